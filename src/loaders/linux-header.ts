import { VmmError } from "../base/index.ts";
import type { KernelFile } from "./api.ts";
import { Fields } from "./bytes.ts";

/** Offsets in the setup header. Documentation/arch/x86/boot.rst "The Real-Mode Kernel Header". */
export const SETUP = {
  SECTORS: 0x1f1,
  VIDEO_MODE: 0x1fa,
  BOOT_FLAG: 0x1fe,
  JUMP: 0x200,
  MAGIC: 0x202,
  VERSION: 0x206,
  KERNEL_VERSION: 0x20e,
  LOADER_TYPE: 0x210,
  LOAD_FLAGS: 0x211,
  CODE32_START: 0x214,
  RAMDISK: 0x218,
  RAMDISK_SIZE: 0x21c,
  HEAP_END: 0x224,
  COMMAND_LINE: 0x228,
  INITRD_MAX: 0x22c,
  ALIGNMENT: 0x230,
  RELOCATABLE: 0x234,
  XLOAD_FLAGS: 0x236,
  COMMAND_LINE_SIZE: 0x238,
  PREFERRED: 0x258,
  INIT_SIZE: 0x260,
} as const;

/** "HdrS". */
const MAGIC = 0x53726448;

/** What a bzImage or zImage says about itself. */
export interface LinuxHeader {
  /** Boot protocol, 0204h = 2.04; 0: a kernel from before the header. */
  readonly protocol: number;
  /** Bytes of real-mode code at the file's start. */
  readonly setupBytes: number;
  /** The protected-mode code goes to 1 MiB (bzImage), not to 10000h (zImage). */
  readonly high: boolean;
  readonly has64: boolean;
  /** Last address an initrd may use. */
  readonly initrdMax: number;
  readonly commandLineMax: number;
  readonly relocatable: boolean;
  readonly alignment: number;
  readonly preferred: number;
  /** RAM the kernel needs from its start on before it knows the memory map. */
  readonly initBytes: number;
  readonly version: string;
  /** Bytes of the header that boot_params takes over, from 1F1h. */
  readonly headerEnd: number;
}

/** Whether a file is a Linux kernel for the x86 boot protocol. */
export function isLinux(bytes: Uint8Array): boolean {
  const f = new Fields(bytes);
  return f.u16(SETUP.BOOT_FLAG) === 0xaa55 && f.u32(SETUP.MAGIC) === MAGIC;
}

/** Reads and checks the header. Throws `KERNEL_FORMAT` with what is wrong. */
export function readLinuxHeader(kernel: KernelFile): LinuxHeader {
  const f = new Fields(kernel.bytes);
  const bad = (what: string): never => {
    throw new VmmError("KERNEL_FORMAT", `${kernel.name}: ${what}`);
  };
  const protocol = f.u16(SETUP.VERSION);
  if (protocol < 0x200) bad(`Linux boot protocol ${protocol >>> 8}.${protocol & 255} is none that exists (2.00 and later)`);
  const sectors = f.u8(SETUP.SECTORS) === 0 ? 4 : f.u8(SETUP.SECTORS);
  const setupBytes = (sectors + 1) * 512;
  if (setupBytes > 0x8000 + 512) bad(`real-mode code of ${setupBytes} bytes is more than the 32 KiB the protocol allows`);
  if (kernel.bytes.length <= setupBytes) bad(`the file ends inside its real-mode code (${kernel.bytes.length} of more than ${setupBytes} bytes)`);
  const high = (f.u8(SETUP.LOAD_FLAGS) & 1) !== 0;
  const bodyBytes = kernel.bytes.length - setupBytes;
  if (!high && bodyBytes > 0x80000) bad(`a zImage of ${bodyBytes} bytes does not fit below 90000h`);
  // syssize (1F4h) counts 16-byte units of protected-mode code; a shorter file was cut.
  const stated = (protocol >= 0x204 ? f.u32(0x1f4) : f.u16(0x1f4)) * 16;
  if (stated > bodyBytes + 15) bad(`truncated: ${bodyBytes} of ${stated} bytes of protected-mode code`);
  const versionAt = f.u16(SETUP.KERNEL_VERSION);
  return {
    protocol,
    setupBytes,
    high,
    has64: protocol >= 0x20c && (f.u16(SETUP.XLOAD_FLAGS) & 1) !== 0,
    initrdMax: protocol >= 0x203 ? f.u32(SETUP.INITRD_MAX) : 0x37ffffff,
    commandLineMax: protocol >= 0x206 ? f.u32(SETUP.COMMAND_LINE_SIZE) : 255,
    relocatable: protocol >= 0x205 && f.u8(SETUP.RELOCATABLE) !== 0,
    alignment: protocol >= 0x205 ? f.u32(SETUP.ALIGNMENT) : 0x100000,
    preferred: protocol >= 0x20a ? f.u64(SETUP.PREFERRED) : 0x100000,
    initBytes: protocol >= 0x20a ? f.u32(SETUP.INIT_SIZE) : 3 * bodyBytes,
    version: versionAt === 0 ? "" : (f.text(versionAt + 0x200, 64).split(" ")[0] ?? ""),
    headerEnd: Math.min(0x202 + f.u8(SETUP.JUMP + 1), 0x290),
  };
}

/** The video mode that `vga=` asks the loader for; FFFFh (leave it alone) without one. */
export function videoMode(commandLine: string): number {
  const word = /(?:^|\s)vga=(\S+)/.exec(commandLine)?.[1];
  if (word === undefined || word === "normal" || word === "current") return 0xffff;
  if (word === "ext") return 0xfffe;
  if (word === "ask") return 0xfffd;
  const n = Number(word);
  return Number.isInteger(n) && n >= 0 && n <= 0xffff ? n : 0xffff;
}
