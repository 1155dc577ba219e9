import { VmmError } from "../../../base/index.ts";
import { ascii, viewOf } from "../be.ts";
import type { ByteFile } from "../byte-file.ts";
import type { Codec } from "../codec.ts";
import type { CheckResult } from "../disk-image.ts";
import { isPowerOfTwo, le64 } from "../le.ts";
import { Findings } from "../mapped-image.ts";
import type { Stretch } from "../mapped-image.ts";
import { MAX_DISK_BYTES, MAX_TABLE_BYTES, readPart } from "../read-part.ts";

/** VMware, "Virtual Disk Format 5.0", SparseExtentHeader. Little-endian; positions and sizes in sectors. */
const HEADER_BYTES = 512;
const SECTOR = 512;
const FIELD = {
  VERSION: 4,
  FLAGS: 8,
  CAPACITY: 12,
  GRAIN: 20,
  DESCRIPTOR: 28,
  DESCRIPTOR_SIZE: 36,
  TABLE_ENTRIES: 44,
  DIRECTORY: 56,
  COMPRESSION: 77,
} as const;
const FLAG = { ZEROED_GRAINS: 4, COMPRESSED: 0x10000, MARKERS: 0x20000 } as const;
const DEFLATE = 1;
/** Of a grain table entry: not there, and (with the flag) known to be zeros. */
const GRAIN = { ABSENT: 0, ZEROED: 1 } as const;
const MAX_GRAIN_SECTORS = 4096;
const MAX_TABLE_ENTRIES = 512;
/** The directory is behind the data: a stream's header could not know. The footer, a second header, does. */
const AT_END = 2 ** 64;
const FOOTER_FROM_END = 1024;
const CACHED_TABLES = 64;
/** A check goes no further. */
const MAX_FINDINGS = 10_000;

interface SparseHeader {
  readonly compressed: boolean;
  readonly zeroedGrains: boolean;
  readonly capacity: number;
  readonly grainSectors: number;
  readonly descriptorSector: number;
  readonly descriptorSectors: number;
  readonly tableEntries: number;
  readonly directorySector: number;
}

export function isSparseHeader(bytes: Uint8Array): boolean {
  return ascii(bytes, 0, 4) === "KDMV";
}

function readHeader(file: ByteFile): SparseHeader {
  const { name } = file;
  const bad = (why: string): VmmError => new VmmError("IMAGE_FORMAT", `${name}: damaged VMDK header: ${why}`);
  if (file.size < HEADER_BYTES) throw bad("the file ends in it");
  let bytes = readPart(file, 0, HEADER_BYTES);
  if (!isSparseHeader(bytes)) throw bad("no KDMV");
  if (le64(viewOf(bytes), FIELD.DIRECTORY) === AT_END) {
    if (file.size < FOOTER_FROM_END + HEADER_BYTES) throw bad("the footer is missing");
    bytes = readPart(file, file.size - FOOTER_FROM_END, HEADER_BYTES);
    if (!isSparseHeader(bytes)) throw bad("the footer is missing (a download that was cut?)");
  }
  const view = viewOf(bytes);
  const version = view.getUint32(FIELD.VERSION, true);
  if (version < 1 || version > 3) throw new VmmError("IMAGE_UNSUPPORTED", `${name}: VMDK version ${version} is not supported (1 to 3 are)`);
  const flags = view.getUint32(FIELD.FLAGS, true);
  const compressed = (flags & FLAG.COMPRESSED) !== 0;
  if (compressed && (view.getUint16(FIELD.COMPRESSION, true) !== DEFLATE || (flags & FLAG.MARKERS) === 0))
    throw new VmmError(
      "IMAGE_UNSUPPORTED",
      `${name}: VMDK compression ${view.getUint16(FIELD.COMPRESSION, true)} is not supported (deflate with markers is)`,
    );
  const header: SparseHeader = {
    compressed,
    zeroedGrains: (flags & FLAG.ZEROED_GRAINS) !== 0,
    capacity: le64(view, FIELD.CAPACITY),
    grainSectors: le64(view, FIELD.GRAIN),
    descriptorSector: le64(view, FIELD.DESCRIPTOR),
    descriptorSectors: le64(view, FIELD.DESCRIPTOR_SIZE),
    tableEntries: view.getUint32(FIELD.TABLE_ENTRIES, true),
    directorySector: le64(view, FIELD.DIRECTORY),
  };
  if (header.capacity === 0 || header.capacity > MAX_DISK_BYTES / SECTOR) throw bad(`a disk of ${header.capacity} sectors`);
  if (!isPowerOfTwo(header.grainSectors) || header.grainSectors > MAX_GRAIN_SECTORS) throw bad(`grains of ${header.grainSectors} sectors`);
  if (header.tableEntries < 1 || header.tableEntries > MAX_TABLE_ENTRIES) throw bad(`grain tables of ${header.tableEntries} entries`);
  return header;
}

/** One file of grains behind two levels of tables. */
export class SparseExtent {
  readonly sectors: number;
  readonly grainBytes: number;
  readonly compressed: boolean;
  /** Where an embedded descriptor is; undefined when there is none. */
  readonly descriptor: { readonly at: number; readonly bytes: number } | undefined;
  readonly #file: ByteFile;
  readonly #codec: Codec;
  readonly #header: SparseHeader;
  readonly #directory: DataView;
  readonly #tables = new Map<number, DataView>();
  #unpacked: { readonly grain: number; readonly data: Uint8Array } | undefined;

  constructor(file: ByteFile, codec: Codec) {
    const header = readHeader(file);
    const tables = Math.ceil(header.capacity / (header.grainSectors * header.tableEntries));
    const at = header.directorySector * SECTOR;
    if (tables * 4 > MAX_TABLE_BYTES)
      throw new VmmError("IMAGE_UNSUPPORTED", `${file.name}: its tables are larger than ${MAX_TABLE_BYTES / 2 ** 20} MiB`);
    if (at + tables * 4 > file.size) throw new VmmError("IMAGE_FORMAT", `${file.name}: damaged VMDK header: the grain directory is outside the file`);
    this.#file = file;
    this.#codec = codec;
    this.#header = header;
    this.#directory = viewOf(readPart(file, at, tables * 4));
    this.sectors = header.capacity;
    this.grainBytes = header.grainSectors * SECTOR;
    this.compressed = header.compressed;
    const { descriptorSector, descriptorSectors } = header;
    const inside = descriptorSector > 0 && (descriptorSector + descriptorSectors) * SECTOR <= file.size;
    this.descriptor = inside ? { at: descriptorSector * SECTOR, bytes: descriptorSectors * SECTOR } : undefined;
  }

  /** How the extent goes on at `offset`. */
  find(offset: number): Stretch {
    const grain = Math.floor(offset / this.grainBytes);
    const inGrain = offset % this.grainBytes;
    const bytes = this.grainBytes - inGrain;
    const at = this.#place(grain);
    if (at === undefined) return { kind: "zero", bytes };
    if (at === "bad") return { kind: "bad", bytes };
    if (!this.#header.compressed) return { kind: "data", bytes, file: this.#file, at: at + inGrain };
    const data = this.#unpack(grain, at);
    return data === undefined ? { kind: "bad", bytes } : { kind: "unpacked", bytes, data: data.subarray(inGrain) };
  }

  #place(grain: number): number | undefined | "bad" {
    const { tableEntries, zeroedGrains } = this.#header;
    const table = this.#table(Math.floor(grain / tableEntries));
    if (table === undefined || table === "bad") return table;
    const sector = table.getUint32((grain % tableEntries) * 4, true);
    if (sector === GRAIN.ABSENT || (zeroedGrains && sector === GRAIN.ZEROED)) return undefined;
    return sector * SECTOR >= this.#file.size ? "bad" : sector * SECTOR;
  }

  #table(index: number): DataView | undefined | "bad" {
    const known = this.#tables.get(index);
    if (known !== undefined) return known;
    const sector = this.#directory.getUint32(index * 4, true);
    if (sector === 0) return undefined;
    const bytes = new Uint8Array(this.#header.tableEntries * 4);
    const at = sector * SECTOR;
    if (at + bytes.length > this.#file.size || !this.#file.read(at, bytes)) return "bad";
    const table = viewOf(bytes);
    if (this.#tables.size >= CACHED_TABLES) this.#tables.clear();
    this.#tables.set(index, table);
    return table;
  }

  /** A grain marker (which sector, how many bytes), then a zlib stream (RFC 1950). The grain that was read last is kept. */
  #unpack(grain: number, at: number): Uint8Array | undefined {
    if (this.#unpacked?.grain === grain) return this.#unpacked.data;
    const marker = new Uint8Array(14);
    if (!this.#file.read(at, marker)) return undefined;
    const view = viewOf(marker);
    const length = view.getUint32(8, true);
    const zlib = view.getUint16(12);
    const first = grain * this.#header.grainSectors;
    // Deflate makes nothing much longer than it was.
    const room = Math.min(2 * this.grainBytes + 64, this.#file.size - at - 12);
    if (le64(view, 0) !== first || length < 3 || length > room || ((zlib >>> 8) & 15) !== 8 || zlib % 31 !== 0 || (zlib & 0x20) !== 0)
      return undefined;
    const packed = new Uint8Array(length - 2);
    if (!this.#file.read(at + 14, packed)) return undefined;
    // The last grain of a disk may be short.
    const wanted = Math.min(this.grainBytes, (this.sectors - first) * SECTOR);
    const data = this.#codec.inflateRaw(packed, this.grainBytes) ?? (wanted < this.grainBytes ? this.#codec.inflateRaw(packed, wanted) : undefined);
    if (data !== undefined) this.#unpacked = { grain, data };
    return data;
  }

  check(): CheckResult {
    const found = new Findings();
    const grains = Math.ceil(this.sectors / this.#header.grainSectors);
    const starts: number[] = [];
    const least = this.#header.compressed ? SECTOR : this.grainBytes;
    // More grains than the file has room for overlap: no need to look at all that a hostile directory names.
    const most = Math.ceil(this.#file.size / least);
    for (let table = 0; table * this.#header.tableEntries < grains && starts.length <= most && found.count <= MAX_FINDINGS; table++) {
      const entries = this.#table(table);
      if (entries === undefined) continue;
      if (entries === "bad") {
        found.add(`grain table ${table} lies outside the file`);
        continue;
      }
      const first = table * this.#header.tableEntries;
      for (let grain = first; grain < Math.min(grains, first + this.#header.tableEntries); grain++) {
        const at = this.#place(grain);
        if (at === "bad") found.add(`grain ${grain} lies outside the file`);
        else if (at !== undefined) {
          starts.push(at);
          if (this.#header.compressed && this.#unpack(grain, at) === undefined) found.add(`grain ${grain} cannot be unpacked`);
        }
      }
    }
    starts.sort((a, b) => a - b);
    for (let i = 1; i < starts.length; i++) {
      if ((starts[i] ?? 0) - (starts[i - 1] ?? 0) < least) found.add(`the grains at ${starts[i - 1]} and ${starts[i]} overlap`);
    }
    return found.result(starts.length, grains);
  }
}
