import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { BlockBackend } from "../../backends/api/index.ts";
import type { BiosDrive } from "../api.ts";

/** Media types of a boot catalog entry, low nibble of byte 1 (El Torito 1.0, figure 4). */
export const EL_TORITO_MEDIA = { NONE: 0, FLOPPY_1200: 1, FLOPPY_1440: 2, FLOPPY_2880: 3, HARD_DISK: 4 } as const;

/** One bootable image of a disc. */
export interface BootCatalogEntry {
  readonly bootable: boolean;
  readonly media: number;
  /** Real-mode segment; 0 was replaced by 07C0h. */
  readonly loadSegment: number;
  readonly systemType: number;
  /** Virtual 512-byte sectors to load; 0 was replaced by 1. */
  readonly sectorCount: number;
  /** Image start in 2048-byte blocks. */
  readonly lba: number;
  /** 0 x86, 1 PowerPC, 2 Mac, EFh EFI. */
  readonly platform: number;
}

export interface BootCatalog {
  readonly lba: number;
  readonly entries: readonly BootCatalogEntry[];
}

/** A disc that was booted (or is emulated) by El Torito: what functions 4A-4D report. */
export const EMULATION = shape.record({
  cdUnit: shape.byte,
  media: shape.byte,
  /** DL of the emulated drive: 00h, 80h, or the CD's own number without emulation. */
  driveNumber: shape.byte,
  lba: shape.dword,
  loadSegment: shape.word,
  sectorCount: shape.word,
  cylinders: shape.int(0, 1024),
  heads: shape.int(0, 256),
  sectors: shape.int(0, 63),
  /** An emulated drive is answering; false after 4B00h or without emulation. */
  active: shape.flag,
});
export type Emulation = Shaped<typeof EMULATION>;

const u16 = (b: Uint8Array, at: number): number => (b[at] ?? 0) | ((b[at + 1] ?? 0) << 8);
const u32 = (b: Uint8Array, at: number): number => (u16(b, at) | (u16(b, at + 2) << 16)) >>> 0;
const text = (b: Uint8Array, at: number, n: number): string => String.fromCharCode(...b.subarray(at, at + n));

/** Reads one 2048-byte block. */
export function readCdBlock(backend: BlockBackend, lba: number): Uint8Array | undefined {
  const block = new Uint8Array(2048);
  if (lba * 2048 + 2048 > backend.sizeBytes) return undefined;
  return backend.read(lba * 2048, block) ? block : undefined;
}

function entryAt(b: Uint8Array, at: number, platform: number): BootCatalogEntry {
  const loadSegment = u16(b, at + 2);
  const sectorCount = u16(b, at + 6);
  return {
    bootable: b[at] === 0x88,
    media: (b[at + 1] ?? 0) & 15,
    loadSegment: loadSegment === 0 ? 0x7c0 : loadSegment,
    systemType: b[at + 4] ?? 0,
    sectorCount: sectorCount === 0 ? 1 : sectorCount,
    lba: u32(b, at + 8),
    platform,
  };
}

/**
 * Finds the boot record volume descriptor (normally block 17) and parses its catalog: validation entry, default entry,
 * then sections. Undefined when the disc is not bootable or its catalog is damaged.
 */
export function readBootCatalog(backend: BlockBackend): BootCatalog | undefined {
  let catalogLba: number | undefined;
  for (let lba = 16; lba < 32 && catalogLba === undefined; lba++) {
    const block = readCdBlock(backend, lba);
    if (block === undefined || text(block, 1, 5) !== "CD001" || block[0] === 0xff) break;
    if (block[0] === 0 && text(block, 7, 23) === "EL TORITO SPECIFICATION") catalogLba = u32(block, 0x47);
  }
  if (catalogLba === undefined) return undefined;
  const b = readCdBlock(backend, catalogLba);
  if (b === undefined || b[0] !== 1 || b[0x1e] !== 0x55 || b[0x1f] !== 0xaa) return undefined;
  let sum = 0;
  for (let i = 0; i < 32; i += 2) sum += u16(b, i);
  if ((sum & 0xffff) !== 0) return undefined;
  const entries = [entryAt(b, 32, b[1] ?? 0)];
  for (let at = 64; at + 32 <= b.length; ) {
    const id = b[at];
    if (id !== 0x90 && id !== 0x91) break;
    const platform = b[at + 1] ?? 0;
    const count = u16(b, at + 2);
    at += 32;
    for (let i = 0; i < count && at + 32 <= b.length; at += 32) {
      // 44h entries carry vendor data for the one before.
      if (b[at] === 0x44) continue;
      entries.push(entryAt(b, at, platform));
      i++;
    }
    if (id === 0x91) break;
  }
  return { lba: catalogLba, entries };
}

/** The geometry of an emulated medium; a hard disk's comes from the partition table in its first sector. */
export function emulatedGeometry(
  backend: BlockBackend,
  media: number,
  lba: number,
): { cylinders: number; heads: number; sectors: number; floppyType: number } | undefined {
  if (media === EL_TORITO_MEDIA.FLOPPY_1200) return { cylinders: 80, heads: 2, sectors: 15, floppyType: 2 };
  if (media === EL_TORITO_MEDIA.FLOPPY_1440) return { cylinders: 80, heads: 2, sectors: 18, floppyType: 4 };
  if (media === EL_TORITO_MEDIA.FLOPPY_2880) return { cylinders: 80, heads: 2, sectors: 36, floppyType: 5 };
  if (media !== EL_TORITO_MEDIA.HARD_DISK) return undefined;
  const mbr = readCdBlock(backend, lba);
  if (mbr === undefined) return undefined;
  // The standard allows exactly one partition; its end is the disk's end.
  for (let at = 446; at < 510; at += 16) {
    const cl = mbr[at + 6] ?? 0;
    if ((mbr[at + 4] ?? 0) === 0 || (cl & 63) === 0) continue;
    const heads = (mbr[at + 5] ?? 0) + 1;
    const fromChs = ((mbr[at + 7] ?? 0) | ((cl & 0xc0) << 2)) + 1;
    return { cylinders: fromChs, heads: Math.min(255, heads), sectors: cl & 63, floppyType: 0 };
  }
  return { cylinders: 1024, heads: 16, sectors: 63, floppyType: 0 };
}

/** The 13h-byte specification packet of functions 4A-4C (El Torito 1.0, figure 5). */
export function specificationPacket(e: Emulation, cd: BiosDrive | undefined): Uint8Array {
  const p = new Uint8Array(0x13);
  p[0] = 0x13;
  p[1] = e.media;
  p[2] = e.driveNumber;
  p[3] = cd?.path?.channel ?? 0;
  for (let i = 0; i < 4; i++) p[4 + i] = (e.lba >>> (8 * i)) & 0xff;
  p[8] = cd?.path?.device ?? 0;
  p[0x0c] = e.loadSegment & 0xff;
  p[0x0d] = e.loadSegment >>> 8;
  p[0x0e] = e.sectorCount & 0xff;
  p[0x0f] = e.sectorCount >>> 8;
  if (e.media !== EL_TORITO_MEDIA.NONE) {
    const lastCylinder = Math.max(0, e.cylinders - 1);
    p[0x10] = lastCylinder & 0xff;
    p[0x11] = (e.sectors & 63) | ((lastCylinder >>> 2) & 0xc0);
    p[0x12] = Math.max(0, e.heads - 1);
  }
  return p;
}
