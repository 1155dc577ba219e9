import { VmmError } from "../base/index.ts";
import type { KernelFile, KernelModule, KernelRequest, MemoryRow } from "./api.ts";
import { isElf, physicalEntry, readElf } from "./elf.ts";
import type { ElfFile } from "./elf.ts";
import type { Placement } from "./placement.ts";

/** What both versions of the specification share: how an image gets into memory, its modules, its memory map. */

export const LOADER_NAME = "whyve";
export const MB = 0x100000;
/** Info structures go here or above, below the EBDA. */
export const INFO_FROM = 0x10000;
export const INFO_TO = 0x9f000;

/** Address fields of a header (a.out kludge, address tag): where the image wants to be. */
export interface LoadAddresses {
  /** Where in memory the header itself ends up. */
  readonly header: number;
  /** FFFFFFFFh in version 2: from the file's start. */
  readonly load: number;
  /** 0: to the file's end. */
  readonly loadEnd: number;
  /** 0: no bss. */
  readonly bssEnd: number;
}

export interface PlacedImage {
  readonly entry: number;
  readonly elf: ElfFile | undefined;
  /** First address after the image. */
  readonly end: number;
}

/** Puts the image where its ELF segments or address fields say. */
export function placeImage(
  kernel: KernelFile,
  placement: Placement,
  headerAt: number,
  addresses: LoadAddresses | undefined,
  entry: number,
): PlacedImage {
  const { name, bytes } = kernel;
  if (addresses !== undefined) {
    const start = addresses.load === 0xffffffff ? 0 : headerAt - (addresses.header - addresses.load);
    const load = addresses.load === 0xffffffff ? addresses.header - headerAt : addresses.load;
    if (start < 0 || load < 0) throw new VmmError("KERNEL_FORMAT", `${name}: its load address lies after its header's`);
    const stop = addresses.loadEnd === 0 ? bytes.length : start + addresses.loadEnd - load;
    if (stop < start) throw new VmmError("KERNEL_FORMAT", `${name}: load_end_addr lies before load_addr`);
    if (stop > bytes.length) throw new VmmError("KERNEL_FORMAT", `${name}: truncated: ${bytes.length} of ${stop} bytes`);
    const end = Math.max(load + (stop - start), addresses.bssEnd);
    placement.put("the kernel", load, bytes.subarray(start, stop), end - load - (stop - start));
    return { entry, elf: undefined, end };
  }
  if (!isElf(bytes)) throw new VmmError("KERNEL_FORMAT", `${name}: a multiboot kernel that is neither ELF nor says where it wants to be loaded`);
  const elf = readElf(kernel);
  let end = 0;
  for (const s of elf.segments) {
    placement.put("a segment", s.physical, bytes.subarray(s.offset, s.offset + s.fileBytes), s.memoryBytes - s.fileBytes);
    end = Math.max(end, s.physical + s.memoryBytes);
  }
  return { entry: entry === 0 ? physicalEntry(elf) : entry, elf, end };
}

export interface PlacedModule {
  readonly start: number;
  readonly end: number;
  readonly commandLine: string;
}

/** Modules on page borders after the image, as GRUB does. */
export function placeModules(modules: readonly KernelModule[], placement: Placement, from: number): readonly PlacedModule[] {
  return modules.map((m) => {
    const start = placement.low(`module ${m.name}`, m.bytes.length, 4096, Math.max(MB, from));
    placement.put(`module ${m.name}`, start, m.bytes);
    return { start, end: start + m.bytes.length, commandLine: m.commandLine === "" ? m.name : `${m.name} ${m.commandLine}` };
  });
}

/** The section headers and every section that is not loaded already, for symbol tables; undefined without them. */
export function placeSections(
  kernel: KernelFile,
  elf: ElfFile | undefined,
  placement: Placement,
): { readonly at: number; readonly bytes: Uint8Array } | undefined {
  if (elf === undefined || elf.sections.count === 0) return undefined;
  const { count, entryBytes, offset } = elf.sections;
  if (entryBytes < (elf.is64 ? 64 : 40) || offset < 0 || offset + count * entryBytes > kernel.bytes.length) return undefined;
  const headers = kernel.bytes.slice(offset, offset + count * entryBytes);
  const view = new DataView(headers.buffer);
  const wide = (at: number): number => (elf.is64 ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
  for (let i = 0; i < count; i++) {
    const at = i * entryBytes;
    const type = view.getUint32(at + 4, true);
    const address = wide(at + (elf.is64 ? 16 : 12));
    const fileAt = wide(at + (elf.is64 ? 24 : 16));
    const size = wide(at + (elf.is64 ? 32 : 20));
    // SHT_NULL and SHT_NOBITS have no bytes; those with an address came with their segment.
    if (type === 0 || type === 8 || address !== 0 || size === 0 || fileAt + size > kernel.bytes.length) continue;
    const place = placement.low("a section", size, 16, MB);
    placement.put("a section", place, kernel.bytes.subarray(fileAt, fileAt + size));
    if (elf.is64) view.setBigUint64(at + 16, BigInt(place), true);
    else view.setUint32(at + 12, place, true);
  }
  const at = placement.low("section headers", headers.length, 16, MB);
  return { at, bytes: headers };
}

/** KiB below 640 KiB and KiB in one piece from 1 MiB. */
export function basicMemory(map: readonly MemoryRow[]): { readonly lower: number; readonly upper: number } {
  const low = map.find((r) => r.type === 1 && r.start === 0);
  const high = map.find((r) => r.type === 1 && r.start === MB);
  return { lower: Math.floor(Math.min(low?.length ?? 0, 0xa0000) / 1024), upper: Math.floor((high?.length ?? 0) / 1024) };
}

/** GRUB gives the file's name first. */
export function kernelCommandLine(request: KernelRequest): string {
  return request.commandLine === "" ? request.kernel.name : `${request.kernel.name} ${request.commandLine}`;
}
