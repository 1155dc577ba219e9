import { VmmError } from "../base/index.ts";
import { Fields } from "./bytes.ts";
import type { KernelFile } from "./api.ts";

export interface ElfSegment {
  readonly offset: number;
  readonly fileBytes: number;
  readonly memoryBytes: number;
  readonly physical: number;
  readonly virtual: number;
}

export interface ElfFile {
  readonly is64: boolean;
  /** As the header says: usually a virtual address. */
  readonly entry: number;
  /** PT_LOAD segments with memory. */
  readonly segments: readonly ElfSegment[];
  /** The section header table as it stands, for multiboot. */
  readonly sections: { readonly count: number; readonly entryBytes: number; readonly names: number; readonly offset: number };
}

const PT_LOAD = 1;
const EM_386 = 3;
const EM_X86_64 = 62;

export const isElf = (bytes: Uint8Array): boolean => new Fields(bytes).u32(0) === 0x464c457f;

/** Reads an x86 ELF executable (System V ABI, gABI ch. 4 and 5). Throws `KERNEL_FORMAT` with what is wrong. */
export function readElf(kernel: KernelFile): ElfFile {
  const f = new Fields(kernel.bytes);
  const bad = (what: string): never => {
    throw new VmmError("KERNEL_FORMAT", `${kernel.name}: ${what}`);
  };
  const is64 = f.u8(4) === 2;
  if (!is64 && f.u8(4) !== 1) bad(`ELF class ${f.u8(4)} is neither 32- nor 64-bit`);
  if (f.u8(5) !== 1) bad("a big-endian ELF file is not for x86");
  const machine = f.u16(18);
  if (machine !== EM_386 && machine !== EM_X86_64) bad(`ELF file for machine ${machine}, not for x86 (3 or 62)`);
  const type = f.u16(16);
  if (type !== 2 && type !== 3) bad(`ELF type ${type} is not an executable`);
  const entry = is64 ? f.u64(24) : f.u32(24);
  const table = is64 ? f.u64(32) : f.u32(28);
  const size = f.u16(is64 ? 54 : 42);
  const count = f.u16(is64 ? 56 : 44);
  if (count === 0) bad("ELF file without program headers");
  if (size < (is64 ? 56 : 32) || table < 0 || table + size * count > kernel.bytes.length) bad("program headers lie outside the file");
  const segments: ElfSegment[] = [];
  for (let i = 0; i < count; i++) {
    const at = table + i * size;
    if (f.u32(at) !== PT_LOAD) continue;
    const segment = is64
      ? { offset: f.u64(at + 8), virtual: f.u64(at + 16), physical: f.u64(at + 24), fileBytes: f.u64(at + 32), memoryBytes: f.u64(at + 40) }
      : { offset: f.u32(at + 4), virtual: f.u32(at + 8), physical: f.u32(at + 12), fileBytes: f.u32(at + 16), memoryBytes: f.u32(at + 20) };
    if (segment.memoryBytes === 0) continue;
    if (segment.physical < 0 || segment.memoryBytes < 0) bad(`segment ${i} has a physical address or size beyond any machine`);
    if (segment.fileBytes < 0 || segment.fileBytes > segment.memoryBytes) bad(`segment ${i} is larger in the file than in memory`);
    if (segment.offset < 0 || segment.offset + segment.fileBytes > kernel.bytes.length)
      bad(`truncated: segment ${i} reaches past the end of the file`);
    segments.push(segment);
  }
  if (segments.length === 0) bad("ELF file with nothing to load");
  return {
    is64,
    entry,
    segments,
    sections: {
      count: f.u16(is64 ? 60 : 48),
      entryBytes: f.u16(is64 ? 58 : 46),
      names: f.u16(is64 ? 62 : 50),
      offset: is64 ? f.u64(40) : f.u32(32),
    },
  };
}

/** The physical address of the entry point: ELF states a virtual one. */
export function physicalEntry(elf: ElfFile): number {
  const inside = elf.segments.find((s) => elf.entry >= s.virtual && elf.entry < s.virtual + s.memoryBytes);
  return inside === undefined ? elf.entry : elf.entry - inside.virtual + inside.physical;
}
