import type { BlockBackend } from "./block.ts";
import { isXdf, XDF_LAYOUT } from "./floppy-layout.ts";
import type { FloppyLayout } from "./floppy-layout.ts";
import { floppyBySize, floppyDriveType, floppyToHold, lbaAssistGeometry, STANDARD_FLOPPIES } from "./geometry.ts";
import type { DiskGeometry } from "./geometry.ts";

/** In which drive the image belongs. */
export type MediumKind = "floppy" | "hard-disk" | "cdrom";

/** What an image holds. `geometry` is the BIOS view: a floppy's physical, a hard disk's translated one. */
export interface ImageInfo {
  readonly kind: MediumKind;
  /** `superfloppy`: a file system without partition table on a hard disk; `raw`: nothing recognised. */
  readonly layout: "floppy" | "superfloppy" | "mbr" | "gpt" | "raw" | "iso9660" | "hybrid-iso";
  readonly geometry: DiskGeometry;
  /** Where the geometry comes from. */
  readonly geometrySource: "size" | "bpb" | "partition-table" | "lba-assist" | "none";
  /** CMOS floppy drive type 1..5; 0 for others. */
  readonly floppyType: number;
  /** A floppy's tracks, when they are other than `geometry` says. */
  readonly floppyLayout?: FloppyLayout;
  readonly sectorBytes: 512 | 2048;
  /** What the guest must see; more than the file for a short floppy image (see `PaddedBackend`). */
  readonly mediumBytes: number;
}

/** A primary partition of an MBR, as far as geometry detection needs it. */
interface PartitionEntry {
  readonly active: boolean;
  readonly type: number;
  readonly startCylinder: number;
  readonly startHead: number;
  readonly startSector: number;
  readonly endCylinder: number;
  readonly endHead: number;
  readonly endSector: number;
  readonly lba: number;
  readonly count: number;
}

const u16 = (b: Uint8Array, at: number): number => (b[at] ?? 0) | ((b[at + 1] ?? 0) << 8);
const u32 = (b: Uint8Array, at: number): number => (u16(b, at) | (u16(b, at + 2) << 16)) >>> 0;

/** Bytes [offset, offset+length) of the image, zero past its end; undefined on a host error. Keeps to the backend's sector size. */
function readZeroFilled(backend: BlockBackend, offset: number, length: number): Uint8Array | undefined {
  const unit = backend.sectorBytes;
  const start = Math.floor(offset / unit) * unit;
  const end = Math.ceil((offset + length) / unit) * unit;
  const all = new Uint8Array(end - start);
  const have = Math.min(end, backend.sizeBytes) - start;
  if (have > 0 && !backend.read(start, all.subarray(0, have))) return undefined;
  return all.subarray(offset - start, offset - start + length);
}

/** The four entries when the sector is a credible MBR: signature, legal status bytes, extents that start inside the disk. */
function partitionTable(sector: Uint8Array, totalSectors: number): readonly PartitionEntry[] | undefined {
  if (sector[510] !== 0x55 || sector[511] !== 0xaa) return undefined;
  const entries: PartitionEntry[] = [];
  let activeCount = 0;
  for (let i = 0; i < 4; i++) {
    const at = 446 + 16 * i;
    const status = sector[at] ?? 0;
    if ((status & 0x7f) !== 0) return undefined;
    const type = sector[at + 4] ?? 0;
    const lba = u32(sector, at + 8);
    const count = u32(sector, at + 12);
    if (status === 0x80) activeCount++;
    if (type === 0 || count === 0) continue;
    // A hybrid ISO starts its partition at 0; anything else at 0 would cover its own table.
    if (lba >= totalSectors) return undefined;
    const startCl = sector[at + 2] ?? 0;
    const endCl = sector[at + 6] ?? 0;
    entries.push({
      active: status === 0x80,
      type,
      startHead: sector[at + 1] ?? 0,
      startSector: startCl & 63,
      startCylinder: (sector[at + 3] ?? 0) | ((startCl & 0xc0) << 2),
      endHead: sector[at + 5] ?? 0,
      endSector: endCl & 63,
      endCylinder: (sector[at + 7] ?? 0) | ((endCl & 0xc0) << 2),
      lba,
      count,
    });
  }
  return entries.length > 0 && activeCount <= 1 ? entries : undefined;
}

/** Tracks and heads of a DOS BIOS parameter block, when its fields are plausible. `totalSectors` is 0 when it does not say. */
function biosParameterBlock(sector: Uint8Array): { geometry: { heads: number; sectors: number }; totalSectors: number; media: number } | undefined {
  const jump = sector[0];
  if (jump !== 0xeb && jump !== 0xe9 && jump !== 0x60) return undefined;
  const bytes = u16(sector, 11);
  const cluster = sector[13] ?? 0;
  const fats = sector[16] ?? 0;
  const media = sector[21] ?? 0;
  const sectors = u16(sector, 24);
  const heads = u16(sector, 26);
  if (bytes !== 512 || cluster === 0 || (cluster & (cluster - 1)) !== 0 || fats > 4) return undefined;
  if (media !== 0xf0 && media < 0xf8) return undefined;
  if (sectors < 1 || sectors > 63 || heads < 1 || heads > 255) return undefined;
  const small = u16(sector, 19);
  return { geometry: { heads, sectors }, totalSectors: small !== 0 ? small : u32(sector, 32), media };
}

/** The geometry under which every usable CHS address of the table equals its LBA; undefined when none does. */
function geometryFromPartitions(entries: readonly PartitionEntry[], totalSectors: number): DiskGeometry | undefined {
  for (const p of entries) {
    const heads = p.endHead + 1;
    const sectors = p.endSector;
    // One head or one sector per track says the CHS fields were never filled in.
    if (heads < 2 || heads > 255 || sectors < 2) continue;
    const consistent = entries.every((q) => {
      if (q.startSector === 0) return false;
      const start = (q.startCylinder * heads + q.startHead) * sectors + q.startSector - 1;
      if (q.startCylinder >= 1023 || start !== q.lba) return q.startCylinder >= 1022 && q !== p;
      const end = (q.endCylinder * heads + q.endHead) * sectors + q.endSector - 1;
      return q.endCylinder >= 1022 || end === q.lba + q.count - 1;
    });
    if (!consistent) continue;
    // A last, partial cylinder counts when a partition uses it.
    const whole = Math.floor(totalSectors / (heads * sectors));
    const covered = Math.max(...entries.map((q) => q.endCylinder + 1));
    const cylinders = covered === whole + 1 && covered * heads * sectors - totalSectors < heads * sectors ? covered : whole;
    return { cylinders: Math.min(1024, Math.max(1, cylinders)), heads, sectors };
  }
  return undefined;
}

function hardDiskGeometry(
  backend: BlockBackend,
  sector: Uint8Array,
  entries: readonly PartitionEntry[] | undefined,
): { geometry: DiskGeometry; source: ImageInfo["geometrySource"] } {
  const total = Math.floor(backend.sizeBytes / 512);
  if (entries !== undefined) {
    const fromTable = geometryFromPartitions(entries, total);
    if (fromTable !== undefined) return { geometry: fromTable, source: "partition-table" };
  }
  const candidates = entries === undefined ? [0] : [...entries].sort((a, b) => Number(b.active) - Number(a.active)).map((p) => p.lba);
  for (const lba of candidates) {
    const boot = lba === 0 ? sector : readZeroFilled(backend, lba * 512, 512);
    const bpb = boot === undefined ? undefined : biosParameterBlock(boot);
    if (bpb === undefined || bpb.geometry.sectors < 2 || bpb.geometry.heads < 2) continue;
    const { heads, sectors } = bpb.geometry;
    return { geometry: { cylinders: Math.min(1024, Math.max(1, Math.floor(total / (heads * sectors)))), heads, sectors }, source: "bpb" };
  }
  return { geometry: lbaAssistGeometry(total), source: "lba-assist" };
}

const LARGEST_FLOPPY = 4 * 1024 * 1024;

function asFloppy(backend: BlockBackend, sector: Uint8Array): ImageInfo {
  const size = backend.sizeBytes;
  const done = (geometry: DiskGeometry, source: "size" | "bpb", mediumBytes: number): ImageInfo => ({
    kind: "floppy",
    layout: "floppy",
    geometry: { cylinders: geometry.cylinders, heads: geometry.heads, sectors: geometry.sectors },
    geometrySource: source,
    floppyType: floppyDriveType(geometry),
    sectorBytes: 512,
    mediumBytes,
  });
  if (isXdf(size, (n) => readZeroFilled(backend, n * 512, 512)))
    return { ...done({ cylinders: 80, heads: 2, sectors: 23 }, "bpb", size), floppyLayout: XDF_LAYOUT };
  const standard = STANDARD_FLOPPIES.find((f) => f.sizeBytes === size);
  if (standard !== undefined) return done(standard, "size", size);
  const bpb = biosParameterBlock(sector);
  if (
    bpb !== undefined &&
    bpb.geometry.heads <= 2 &&
    bpb.totalSectors * 512 >= Math.min(size, 160 * 1024) &&
    bpb.totalSectors * 512 <= LARGEST_FLOPPY
  ) {
    const perCylinder = bpb.geometry.heads * bpb.geometry.sectors;
    const cylinders = Math.ceil(Math.max(bpb.totalSectors, Math.ceil(size / 512)) / perCylinder);
    if (cylinders <= 255) return done({ ...bpb.geometry, cylinders }, "bpb", Math.max(size, cylinders * perCylinder * 512));
  }
  const odd = floppyBySize(size);
  if (odd !== undefined) return done(odd, "size", size);
  const next = floppyToHold(size);
  if (next !== undefined) return done(next, "size", next.sizeBytes);
  // Larger than any floppy, but somebody put it into a floppy drive: as many 2.88M-style cylinders as a byte can count.
  const cylinders = Math.min(255, Math.ceil(size / (2 * 36 * 512)));
  return done({ cylinders, heads: 2, sectors: 36 }, "size", Math.max(cylinders * 2 * 36 * 512, 512));
}

function asHardDisk(backend: BlockBackend, sector: Uint8Array): ImageInfo {
  const total = Math.floor(backend.sizeBytes / 512);
  const entries = partitionTable(sector, total);
  const header = readZeroFilled(backend, 512, 8);
  const isGpt = header !== undefined && String.fromCharCode(...header) === "EFI PART";
  const { geometry, source } = hardDiskGeometry(backend, sector, entries);
  const layout = isGpt ? "gpt" : entries !== undefined ? "mbr" : biosParameterBlock(sector) !== undefined ? "superfloppy" : "raw";
  return { kind: "hard-disk", layout, geometry, geometrySource: source, floppyType: 0, sectorBytes: 512, mediumBytes: total * 512 };
}

/** ISO 9660 (ECMA-119 §8.1): "CD001" at byte 1 of logical sector 16. */
function isIso9660(backend: BlockBackend): boolean {
  if (backend.sizeBytes < 17 * 2048) return false;
  const id = readZeroFilled(backend, 16 * 2048, 6);
  return id !== undefined && String.fromCharCode(...id.subarray(1)) === "CD001";
}

function asCdrom(backend: BlockBackend, sector: Uint8Array): ImageInfo {
  const hybrid = partitionTable(sector, Math.floor(backend.sizeBytes / 512)) !== undefined;
  return {
    kind: "cdrom",
    layout: !isIso9660(backend) ? "raw" : hybrid ? "hybrid-iso" : "iso9660",
    geometry: { cylinders: 0, heads: 0, sectors: 0 },
    geometrySource: "none",
    floppyType: 0,
    sectorBytes: 2048,
    mediumBytes: Math.floor(backend.sizeBytes / 2048) * 2048,
  };
}

/**
 * Looks at an image's size and first sectors and says which drive it belongs into and what geometry the BIOS gives it.
 * `as` forces the drive (an ISO put on a hard disk, a superfloppy in drive A:). Never throws; an unreadable image is judged by its size.
 */
export function detectImage(backend: BlockBackend, as?: MediumKind): ImageInfo {
  const sector = readZeroFilled(backend, 0, 512) ?? new Uint8Array(512);
  if (as === "floppy") return asFloppy(backend, sector);
  if (as === "hard-disk") return asHardDisk(backend, sector);
  if (as === "cdrom" || isIso9660(backend)) return asCdrom(backend, sector);
  const size = backend.sizeBytes;
  if (STANDARD_FLOPPIES.some((f) => f.sizeBytes === size)) return asFloppy(backend, sector);
  if (partitionTable(sector, Math.floor(size / 512)) !== undefined && size > 512) return asHardDisk(backend, sector);
  const bpb = biosParameterBlock(sector);
  // An empty disk of no floppy's size is what `image create` makes; a short file with a boot sector is a floppy in the making.
  if (sector.every((byte) => byte === 0) && floppyBySize(size) === undefined) return asHardDisk(backend, sector);
  const largest = STANDARD_FLOPPIES[STANDARD_FLOPPIES.length - 1];
  if (largest !== undefined && size <= largest.sizeBytes) return asFloppy(backend, sector);
  const looksLikeFloppy = bpb !== undefined && bpb.media !== 0xf8 && bpb.geometry.heads <= 2 && size <= LARGEST_FLOPPY;
  return looksLikeFloppy ? asFloppy(backend, sector) : asHardDisk(backend, sector);
}
