import { VmmError } from "../base/index.ts";
import type { BiosConfig } from "../biosemul/index.ts";
import { memoryMap } from "../biosemul/index.ts";
import { enterKernel, loadKernel } from "../loaders/index.ts";
import type { KernelFile, KernelModule, KernelRequest, LoadEnvironment } from "../loaders/index.ts";
import type { GuestRegisters, PhysicalMemory } from "../vmm/index.ts";

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

export async function readKernelBoot(boot: KernelBoot): Promise<KernelRequest> {
  const kernel = typeof boot.kernel === "string" ? await readFile("--kernel", boot.kernel) : boot.kernel;
  const modules: KernelModule[] = [];
  for (const m of boot.initrd ?? []) modules.push(typeof m === "string" ? await readModule(m) : m);
  return {
    kernel: { name: kernel.name, bytes: await unpacked(kernel) },
    modules,
    commandLine: boot.append ?? "",
    ...(boot.linuxEntry === undefined ? {} : { linuxEntry: boot.linuxEntry }),
  };
}

async function readModule(text: string): Promise<KernelModule> {
  const { existsSync } = await import("node:fs");
  const space = text.indexOf(" ");
  if (space < 0 || existsSync(text)) return { ...(await readFile("--initrd", text)), commandLine: "" };
  return { ...(await readFile("--initrd", text.slice(0, space))), commandLine: text.slice(space + 1) };
}

async function readFile(flag: string, path: string): Promise<KernelFile> {
  const fs = await import("node:fs");
  let problem: string;
  try {
    const status = fs.statSync(path);
    if (status.isDirectory()) problem = "is a directory";
    // A device may never end, a FIFO may never begin.
    else if (!status.isFile()) problem = "is not a file";
    else if (status.size > MAX_FILE_BYTES) problem = `is larger than ${MAX_FILE_BYTES / 2 ** 20} MiB`;
    else return { name: path, bytes: new Uint8Array(fs.readFileSync(path)) };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    problem = code === "ENOENT" ? "there is no such file" : code === "EACCES" ? "may not be read (permissions)" : `cannot be read (${code})`;
  }
  throw new VmmError("KERNEL_FILE", `${flag} ${path}: ${problem}`);
}

/** GRUB reads compressed kernels as if they were not, and they are packaged so (Xen). */
async function unpacked(kernel: KernelFile): Promise<Uint8Array> {
  if (kernel.bytes[0] !== 0x1f || kernel.bytes[1] !== 0x8b) return kernel.bytes;
  const { gunzipSync } = await import("node:zlib");
  try {
    return new Uint8Array(gunzipSync(kernel.bytes, { maxOutputLength: MAX_FILE_BYTES }));
  } catch {
    throw new VmmError("KERNEL_FORMAT", `--kernel ${kernel.name}: a gzip file that does not unpack`);
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
