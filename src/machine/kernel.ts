import { VmmError } from "../base/index.ts";
import type { BiosConfig } from "../biosemul/index.ts";
import { memoryMap } from "../biosemul/index.ts";
import { enterKernel, loadKernel } from "../loaders/index.ts";
import type { KernelFile, KernelModule, KernelRequest, LoadEnvironment } from "../loaders/index.ts";
import type { GuestRegisters, PhysicalMemory } from "../vmm/index.ts";
import type { Platform } from "./platform.ts";

/** Direct boot: files by name (read when the machine is made, gzip undone for multiboot kernels) or as bytes. */
export interface KernelBoot {
  readonly kernel: string | KernelFile;
  /** Linux: initrds, joined. Multiboot: modules, each "FILE" or "FILE ARGUMENTS". */
  readonly initrd?: readonly (string | KernelModule)[];
  readonly append?: string;
  /** Linux only: 16 (default), 32 or 64. */
  readonly linuxEntry?: 16 | 32 | 64;
}

/** Larger files are no kernels; the limit keeps a slip of the finger from filling memory. */
const MAX_FILE_BYTES = 2 ** 30;

export async function readKernelBoot(boot: KernelBoot, platform: Platform): Promise<KernelRequest> {
  const kernel = typeof boot.kernel === "string" ? await readFile("--kernel", boot.kernel, platform) : boot.kernel;
  const modules: KernelModule[] = [];
  for (const m of boot.initrd ?? []) modules.push(typeof m === "string" ? await readModule(m, platform) : m);
  return {
    kernel: { name: kernel.name, bytes: await unpacked(kernel, platform) },
    modules,
    commandLine: boot.append ?? "",
    ...(boot.linuxEntry === undefined ? {} : { linuxEntry: boot.linuxEntry }),
  };
}

/** "FILE" or "FILE ARGUMENTS": a file whose name has a space in it goes first. */
async function readModule(text: string, platform: Platform): Promise<KernelModule> {
  const space = text.indexOf(" ");
  const content = space < 0 ? undefined : await platform.readFile(text, MAX_FILE_BYTES);
  const wholeName = content === undefined || content instanceof Uint8Array || !content.missing;
  const [path, commandLine] = wholeName ? [text, ""] : [text.slice(0, space), text.slice(space + 1)];
  return { ...(await readFile("--initrd", path, platform)), commandLine };
}

async function readFile(flag: string, path: string, platform: Platform): Promise<KernelFile> {
  const content = await platform.readFile(path, MAX_FILE_BYTES);
  if (content instanceof Uint8Array) return { name: path, bytes: content };
  throw new VmmError("KERNEL_FILE", `${flag} ${path}: ${content.why}`);
}

/** GRUB reads compressed kernels as if they were not, and they are packaged so (Xen). */
async function unpacked(kernel: KernelFile, platform: Platform): Promise<Uint8Array> {
  if (kernel.bytes[0] !== 0x1f || kernel.bytes[1] !== 0x8b) return kernel.bytes;
  try {
    return await platform.gunzip(kernel.bytes, MAX_FILE_BYTES);
  } catch (cause) {
    throw new VmmError("KERNEL_FORMAT", `--kernel ${kernel.name}: a gzip file that does not unpack`, { cause });
  }
}

/** After POST: puts the kernel into memory and the processor at its entry. */
export function startKernel(request: KernelRequest, bios: BiosConfig, memory: PhysicalMemory, regs: GuestRegisters): void {
  enterKernel(loadKernel(request, environment(bios, memory)), memory, regs);
}

/** Says what is wrong with a kernel before a machine is made. */
export function checkKernel(request: KernelRequest, bios: BiosConfig): string {
  return loadKernel(request, { memoryMap: memoryMap(bios), rsdp: undefined }).description;
}

function environment(bios: BiosConfig, memory: PhysicalMemory): LoadEnvironment {
  return { memoryMap: memoryMap(bios), rsdp: findRsdp(memory) };
}

/** ACPI 6 §5.2.5.1: on a 16-byte border in E0000-FFFFF. */
function findRsdp(memory: PhysicalMemory): LoadEnvironment["rsdp"] {
  const area = new Uint8Array(0x20000);
  memory.ram.read(0xe0000, area);
  for (let at = 0; at < area.length; at += 16) {
    if (String.fromCharCode(...area.subarray(at, at + 8)) === "RSD PTR ") return { address: 0xe0000 + at, bytes: area.slice(at, at + 36) };
  }
  return undefined;
}
