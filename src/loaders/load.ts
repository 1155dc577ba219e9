import { VmmError } from "../base/index.ts";
import type { GuestRegisters, PhysicalMemory } from "../vmm/index.ts";
import type { KernelRequest, LoadEnvironment, LoadedKernel } from "./api.ts";
import { isElf } from "./elf.ts";
import { isLinux } from "./linux-header.ts";
import { loadLinux } from "./linux.ts";
import { findMultiboot1, loadMultiboot1 } from "./multiboot1.ts";
import { findMultiboot2, loadMultiboot2 } from "./multiboot2.ts";

/** Recognises a kernel file and works out where everything goes. Throws `KERNEL_*` with one line: what, where, what to do. */
export function loadKernel(request: KernelRequest, environment: LoadEnvironment): LoadedKernel {
  const { name, bytes } = request.kernel;
  if (isLinux(bytes)) return loadLinux(request, environment);
  if (request.linuxEntry !== undefined)
    throw new VmmError("KERNEL_FORMAT", `${name}: not a Linux bzImage, so it has no ${request.linuxEntry}-bit Linux entry`);
  const second = findMultiboot2(bytes);
  if (second >= 0) return loadMultiboot2(request, environment, second);
  const first = findMultiboot1(bytes);
  if (first >= 0) return loadMultiboot1(request, environment, first);
  throw new VmmError(
    "KERNEL_FORMAT",
    `${name}: ${whatIsIt(bytes)}; --kernel takes a Linux bzImage, or a kernel with a multiboot or multiboot2 header`,
  );
}

function whatIsIt(bytes: Uint8Array): string {
  if (bytes.length === 0) return "the file is empty";
  if (isElf(bytes)) return "an ELF file without a multiboot header (a vmlinux? take the bzImage)";
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return "a gzip file";
  if (bytes[0] === 0x4d && bytes[1] === 0x5a) return "a DOS or EFI program";
  if (bytes[510] === 0x55 && bytes[511] === 0xaa) return "a disk image or boot sector (give it without --kernel)";
  return "not a kernel that is known here";
}

const FLAT = { base: 0n, limit: 0xffffffff };
const PE = 1n;
const PG_PE_ET = 0x80000011n;
const PAE = 0x20n;
const LME_LMA = 0x500n;

/** Writes the pieces and puts the processor at the kernel's first instruction, from the state that POST leaves. */
export function enterKernel(loaded: LoadedKernel, memory: PhysicalMemory, regs: GuestRegisters): void {
  for (const piece of loaded.pieces) {
    memory.ram.write(piece.gpa, piece.bytes);
    for (let at = 0; at < piece.zeroBytes; at += ZEROS.length) {
      memory.ram.write(piece.gpa + piece.bytes.length + at, ZEROS.subarray(0, Math.min(ZEROS.length, piece.zeroBytes - at)));
    }
  }
  const { raw } = regs;
  const { entry } = loaded;
  for (let i = 0; i < 16; i++) raw.setGpr(i, 0n);
  for (const [name, value] of Object.entries(entry.registers)) raw.setGpr(REGISTER[name] ?? 0, BigInt(value));
  regs.rflags = 2;
  if (entry.mode === 16) {
    const segment = entry.segment ?? 0;
    for (const name of ["ds", "es", "fs", "gs", "ss"] as const) regs.resetRealSegment(name, segment);
    regs.resetRealSegment("cs", segment + 0x20);
  } else {
    const size = entry.mode === 64 ? 0x2000 : 0x4000;
    raw.setDescriptorTable("gdtr", BigInt(entry.gdt ?? 0), 0x1f);
    raw.setDescriptorTable("idtr", 0n, 0);
    if (entry.mode === 64) {
      raw.setControl("cr4", PAE);
      raw.setControl("cr3", BigInt(entry.pageTable ?? 0));
      raw.setControl("efer", LME_LMA);
      raw.setControl("cr0", PG_PE_ET);
    } else raw.setControl("cr0", PE | 0x10n);
    // Code: execute, read, accessed, present, 4-KiB units; data likewise.
    raw.setSegment("cs", { ...FLAT, selector: 0x10, access: 0x809b | size });
    for (const name of ["ds", "es", "fs", "gs", "ss"] as const) raw.setSegment(name, { ...FLAT, selector: 0x18, access: 0xc093 });
  }
  regs.rip = BigInt(entry.ip);
}

const ZEROS = new Uint8Array(65536);
const REGISTER: Readonly<Record<string, number>> = { eax: 0, ebx: 3, esp: 4, esi: 6 };
