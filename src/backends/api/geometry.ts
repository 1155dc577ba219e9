/** A drive's shape as INT 13h, the FDC and ATA speak of it: counts, not maxima. */
export interface DiskGeometry {
  readonly cylinders: number;
  readonly heads: number;
  /** Sectors a track, 512 bytes each. */
  readonly sectors: number;
}

/** A floppy format every PC drive of that class can read. `cmosType` is the drive's type in CMOS register 10h. */
export interface FloppyFormat extends DiskGeometry {
  readonly sizeBytes: number;
  /** 1 360K, 2 1.2M, 3 720K, 4 1.44M, 5 2.88M. */
  readonly cmosType: number;
}

const format = (cylinders: number, heads: number, sectors: number, cmosType: number): FloppyFormat => ({
  cylinders,
  heads,
  sectors,
  cmosType,
  sizeBytes: cylinders * heads * sectors * 512,
});

/** The standard formats in order of size: 160K, 180K, 320K, 360K, 720K, 1.2M, 1.44M, 2.88M. */
export const STANDARD_FLOPPIES: readonly FloppyFormat[] = [
  format(40, 1, 8, 1),
  format(40, 1, 9, 1),
  format(40, 2, 8, 1),
  format(40, 2, 9, 1),
  format(80, 2, 9, 3),
  format(80, 2, 15, 2),
  format(80, 2, 18, 4),
  format(80, 2, 36, 5),
];

/** Over-formatted disks that real drives read: DMF and its relatives, XDF (as 512-byte sectors), 800K, 820K, 83-track forms. */
const ODD_FLOPPIES: readonly FloppyFormat[] = [
  format(80, 2, 10, 3),
  format(82, 2, 10, 3),
  format(80, 2, 16, 2),
  format(82, 2, 15, 2),
  format(80, 2, 20, 4),
  format(82, 2, 18, 4),
  format(83, 2, 18, 4),
  format(80, 2, 21, 4),
  format(82, 2, 20, 4),
  format(82, 2, 21, 4),
  format(83, 2, 21, 4),
  format(80, 2, 22, 4),
  format(80, 2, 23, 4),
  format(80, 2, 24, 4),
];

/** The format with exactly this size, standard or a known over-format. */
export function floppyBySize(sizeBytes: number): FloppyFormat | undefined {
  return STANDARD_FLOPPIES.find((f) => f.sizeBytes === sizeBytes) ?? ODD_FLOPPIES.find((f) => f.sizeBytes === sizeBytes);
}

/** The smallest standard format that holds `sizeBytes`; a lone boot sector goes on a 1.44M disk, the medium every guest expects. */
export function floppyToHold(sizeBytes: number): FloppyFormat | undefined {
  const common = STANDARD_FLOPPIES[6];
  if (common !== undefined && sizeBytes <= common.sizeBytes) return common;
  return STANDARD_FLOPPIES.find((f) => f.sizeBytes >= sizeBytes);
}

/** The drive type (CMOS 10h) that reads such a medium. */
export function floppyDriveType(g: DiskGeometry): number {
  if (g.cylinders <= 43 && g.sectors <= 10) return 1;
  if (g.sectors <= 10) return 3;
  if (g.sectors <= 16) return 2;
  return g.sectors <= 24 ? 4 : 5;
}

/** Bits 0..7: 8-bit sector limit for CHS; cylinders of a BIOS geometry never exceed this. */
const BIOS_CYLINDERS = 1024;

/**
 * The translated geometry "LBA-assist" BIOSes use (Phoenix EDD 1.1 §3): 63 sectors, 16 to 255 heads by size,
 * at most 1024 cylinders.
 */
export function lbaAssistGeometry(totalSectors: number): DiskGeometry {
  let heads = 255;
  for (const candidate of [16, 32, 64, 128]) {
    if (totalSectors <= BIOS_CYLINDERS * candidate * 63) {
      heads = candidate;
      break;
    }
  }
  return { cylinders: Math.min(BIOS_CYLINDERS, Math.max(1, Math.floor(totalSectors / (heads * 63)))), heads, sectors: 63 };
}

/** The physical geometry an ATA drive reports in IDENTIFY words 1, 3, 6 and EDD in function 48h: 16 heads, 63 sectors, at most 16383 cylinders. */
export function ataGeometry(totalSectors: number): DiskGeometry {
  return { cylinders: Math.min(16383, Math.max(1, Math.floor(totalSectors / (16 * 63)))), heads: 16, sectors: 63 };
}
