import { utf8Bytes, VmmError } from "../base/index.ts";
import type { EntryState, KernelModule, KernelRequest, LoadEnvironment, LoadedKernel } from "./api.ts";
import { Builder } from "./bytes.ts";
import { flatDescriptors, identityPages } from "./flat.ts";
import { readLinuxHeader, SETUP, videoMode } from "./linux-header.ts";
import type { LinuxHeader } from "./linux-header.ts";
import { Placement } from "./placement.ts";

const MB = 0x100000;
/** "Undefined" loader, with an extended version (boot.rst, type_of_loader). */
const LOADER_TYPE = 0xff;
const CAN_USE_HEAP = 0x80;
/** Real-mode code, stack and heap share a segment; the command line follows it. */
const REAL_BASE = 0x10000;
const REAL_BASE_OLD = 0x90000;
const HEAP_END = 0xfe00;
const HEAP_END_OLD = 0x9000;
const E820_MAX = 128;

/** Puts a bzImage or zImage into memory as its boot protocol says (Documentation/arch/x86/boot.rst). */
export function loadLinux(request: KernelRequest, environment: LoadEnvironment): LoadedKernel {
  const { kernel } = request;
  const header = readLinuxHeader(kernel);
  const entry = request.linuxEntry ?? 16;
  const length = utf8Bytes(request.commandLine).length;
  if (length > header.commandLineMax) {
    throw new VmmError("KERNEL_COMMAND_LINE", `${kernel.name}: command line of ${length} bytes, this kernel takes ${header.commandLineMax}`);
  }
  const placement = new Placement(kernel.name, environment.memoryMap);
  const state = entry === 16 ? throughRealMode(request, header, placement) : throughBootParams(request, header, placement, environment, entry);
  const protocol = `${header.protocol >>> 8}.${String(header.protocol & 255).padStart(2, "0")}`;
  return {
    description: `Linux ${header.version} (${header.high ? "bzImage" : "zImage"}, protocol ${protocol}, ${entry}-bit entry)`,
    pieces: placement.pieces,
    entry: state,
  };
}

/** All initrds one after the other, each padded to 4 bytes as the kernel's unpacker wants. */
function joined(modules: readonly KernelModule[]): Uint8Array {
  if (modules.length === 1 && modules[0] !== undefined) return modules[0].bytes;
  const all = new Builder();
  for (const m of modules) all.align(4).raw(m.bytes);
  return all.done();
}

function putInitrd(request: KernelRequest, header: LinuxHeader, placement: Placement): { readonly address: number; readonly size: number } {
  const bytes = joined(request.modules);
  if (bytes.length === 0) return { address: 0, size: 0 };
  const address = placement.high("the initrd", bytes.length, header.initrdMax + 1);
  placement.put("the initrd", address, bytes);
  return { address, size: bytes.length };
}

/** The 16-bit entry: the kernel's own real-mode code asks the BIOS for memory map, video mode and disks. */
function throughRealMode(request: KernelRequest, header: LinuxHeader, placement: Placement): EntryState {
  const { bytes } = request.kernel;
  // Before 2.02 the code expects to be at 90000h, and a zImage's protected-mode code comes up to there.
  const old = header.protocol < 0x202 || !header.high;
  const base = old ? REAL_BASE_OLD : REAL_BASE;
  const heapEnd = old ? HEAP_END_OLD : HEAP_END;
  const line = new Builder().text(request.commandLine).done();
  const setup = new Uint8Array(heapEnd + 0x200);
  setup.set(bytes.subarray(0, header.setupBytes));
  const view = new DataView(setup.buffer);
  placement.reserve("the real-mode code", base, setup.length);
  const lineAt = base + setup.length;
  placement.put("the command line", lineAt, line);
  const body = bytes.subarray(header.setupBytes);
  placement.put("the kernel", header.high ? MB : 0x10000, body, header.high ? Math.max(0, header.initBytes - body.length) : 0);
  const initrd = putInitrd(request, header, placement);
  setup[SETUP.LOADER_TYPE] = LOADER_TYPE;
  view.setUint32(SETUP.RAMDISK, initrd.address, true);
  view.setUint32(SETUP.RAMDISK_SIZE, initrd.size, true);
  view.setUint16(SETUP.VIDEO_MODE, videoMode(request.commandLine), true);
  if (header.protocol >= 0x201) {
    view.setUint16(SETUP.HEAP_END, heapEnd - 0x200, true);
    setup[SETUP.LOAD_FLAGS] = (setup[SETUP.LOAD_FLAGS] ?? 0) | CAN_USE_HEAP;
  }
  if (header.protocol >= 0x202) view.setUint32(SETUP.COMMAND_LINE, lineAt, true);
  else {
    view.setUint16(0x20, 0xa33f, true);
    view.setUint16(0x22, lineAt - base, true);
  }
  placement.pieces.push({ gpa: base, bytes: setup, zeroBytes: 0 });
  return { mode: 16, ip: 0, segment: base >>> 4, registers: { esp: heapEnd } };
}

/** The 32- and 64-bit entries: the loader has done what the real-mode code would, and hands over boot_params. */
function throughBootParams(
  request: KernelRequest,
  header: LinuxHeader,
  placement: Placement,
  environment: LoadEnvironment,
  entry: 32 | 64,
): EntryState {
  const { name, bytes } = request.kernel;
  if (!header.high) throw new VmmError("KERNEL_FORMAT", `${name}: a zImage has no ${entry}-bit entry`);
  if (entry === 64 && !header.has64) throw new VmmError("KERNEL_FORMAT", `${name}: this kernel has no 64-bit entry`);
  const body = bytes.subarray(header.setupBytes);
  const need = Math.max(header.initBytes, body.length);
  let address = header.relocatable && header.preferred > 0 ? header.preferred : MB;
  if (header.relocatable && !placement.isFree(address, need)) address = placement.low("the kernel", need, Math.max(0x1000, header.alignment), MB);
  placement.put("the kernel", address, body, need - body.length);
  const initrd = putInitrd(request, header, placement);
  const line = new Builder().text(request.commandLine).done();
  const lineAt = placement.low("the command line", line.length, 16, 0x10000);
  placement.put("the command line", lineAt, line);

  const params = new Uint8Array(4096);
  params.set(bytes.subarray(SETUP.SECTORS, header.headerEnd), SETUP.SECTORS);
  const view = new DataView(params.buffer);
  params[SETUP.LOADER_TYPE] = LOADER_TYPE;
  view.setUint32(SETUP.RAMDISK, initrd.address, true);
  view.setUint32(SETUP.RAMDISK_SIZE, initrd.size, true);
  view.setUint16(SETUP.VIDEO_MODE, 0xffff, true);
  view.setUint32(SETUP.COMMAND_LINE, lineAt, true);
  view.setUint32(SETUP.CODE32_START, address, true);
  // screen_info: the text mode that POST leaves. Mode 3, 80 columns, 25 rows, a VGA, 16 lines a character.
  params[0x06] = 3;
  params[0x07] = 80;
  params[0x0e] = 25;
  params[0x0f] = 1;
  params[0x10] = 16;
  if (environment.rsdp !== undefined) view.setBigUint64(0x70, BigInt(environment.rsdp.address), true);
  const above = environment.memoryMap.find((r) => r.type === 1 && r.start === MB);
  view.setUint16(0x02, Math.min(0xfc00, Math.floor((above?.length ?? 0) / 1024)), true);
  view.setUint32(0x1e0, Math.floor((above?.length ?? 0) / 1024), true);
  const rows = environment.memoryMap.slice(0, E820_MAX);
  params[0x1e8] = rows.length;
  rows.forEach((row, i) => {
    view.setBigUint64(0x2d0 + 20 * i, BigInt(row.start), true);
    view.setBigUint64(0x2d8 + 20 * i, BigInt(row.length), true);
    view.setUint32(0x2e0 + 20 * i, row.type, true);
  });
  const paramsAt = placement.low("boot_params", params.length, 4096, 0x10000);
  placement.put("boot_params", paramsAt, params);
  const gdt = flatDescriptors(placement, entry);
  const common = { gdt, registers: { esi: paramsAt } };
  if (entry === 32) return { ...common, mode: 32, ip: address };
  return { ...common, mode: 64, ip: address + 0x200, pageTable: identityPages(placement) };
}
