import { BDA } from "../../isa/index.ts";
import { ataGeometry } from "../../backends/api/index.ts";
import type { DiskGeometry } from "../../backends/api/index.ts";
import type { PhysicalMemory } from "../../vmm/index.ts";
import type { BiosDrive } from "../api.ts";

/**
 * Disk tables live in the ROM inside the room the IBM layout gives to the fixed-disk type table (FE401-FE6F1; types 16 and up are not used there), so no
 * guest can spoil them. `installDiskData` fills it; nobody else may use these bytes.
 */
export const DISK_ROM = { segment: 0xf000, dpte: 0xe500, diskette: 0xe580, end: 0xe5c8 } as const;

/** Device parameter table extensions in `DISK_ROM`, one for each hard disk, then each CD drive. */
const MAX_DPTES = 8;

/**
 * Diskette tables by CMOS drive type 1..5 (PS/2 BIOS reference, INT 1Eh): the 11 bytes of IVT 1Eh, then last track and
 * data rate as the AT keeps them for functions 08h and 18h.
 */
const DISKETTE_TABLES: readonly (readonly number[])[] = [
  [0xdf, 0x02, 0x25, 0x02, 0x09, 0x2a, 0xff, 0x50, 0xf6, 0x0f, 0x08, 39, 0x80],
  [0xdf, 0x02, 0x25, 0x02, 0x0f, 0x1b, 0xff, 0x54, 0xf6, 0x0f, 0x08, 79, 0x00],
  [0xdf, 0x02, 0x25, 0x02, 0x09, 0x2a, 0xff, 0x50, 0xf6, 0x0f, 0x08, 79, 0x80],
  [0xdf, 0x02, 0x25, 0x02, 0x12, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08, 79, 0x00],
  [0xdf, 0x02, 0x25, 0x02, 0x24, 0x1b, 0xff, 0x53, 0xf6, 0x0f, 0x08, 79, 0xc0],
];
const DISKETTE_TABLE_BYTES = 13;

/** The offset in `DISK_ROM.segment` of the table for a CMOS drive type (1.44M for unknown types). */
export function disketteTableOffset(floppyType: number): number {
  const index = floppyType >= 1 && floppyType <= DISKETTE_TABLES.length ? floppyType - 1 : 3;
  return DISK_ROM.diskette + index * DISKETTE_TABLE_BYTES;
}

/** What IVT 1Eh says now: software swaps the vector, so it is read on each call (IBM PC technical reference, DISK_BASE). */
export interface DisketteParameters {
  readonly motorTicks: number;
  /** 0..7: a sector holds 128 << sizeCode bytes. */
  readonly sizeCode: number;
  readonly lastSector: number;
  readonly fillByte: number;
}

export function readDisketteParameters(mem: PhysicalMemory): DisketteParameters {
  const table = (mem.read16(0x7a) << 4) + mem.read16(0x78);
  return { motorTicks: mem.read8(table + 2), sizeCode: mem.read8(table + 3), lastSector: mem.read8(table + 4), fillByte: mem.read8(table + 8) };
}

/** Makes the sum of `bytes[from..]` zero modulo 256 by setting the last one. */
export function setChecksum(bytes: Uint8Array, from: number): void {
  let sum = 0;
  for (let i = from; i < bytes.length - 1; i++) sum += bytes[i] ?? 0;
  bytes[bytes.length - 1] = -sum & 0xff;
}

/**
 * The 16-byte fixed-disk parameter table INT 41h and 46h point to (spec of the translated form: Phoenix EDD 1.1 §3.2.2;
 * the plain form: AT technical reference, FDPT).
 */
export function fixedDiskTable(translated: DiskGeometry, physical: DiskGeometry): Uint8Array {
  const t = new Uint8Array(16);
  const put16 = (at: number, v: number): void => {
    t[at] = v & 0xff;
    t[at + 1] = v >>> 8;
  };
  put16(0, Math.min(1024, translated.cylinders));
  t[2] = translated.heads & 0xff;
  put16(5, 0xffff);
  t[8] = 0xc0 | (physical.heads > 8 ? 8 : 0);
  t[14] = translated.sectors;
  const isTranslated = translated.heads !== physical.heads || translated.sectors !== physical.sectors || translated.cylinders !== physical.cylinders;
  if (isTranslated) {
    t[3] = 0xa0;
    t[4] = physical.sectors;
    put16(9, physical.cylinders);
    t[11] = physical.heads;
    put16(12, 0);
    setChecksum(t, 0);
  } else {
    put16(12, translated.cylinders);
  }
  return t;
}

/** The device parameter table extension (EDD 3.0 §8.15, 16 bytes) of an IDE drive. */
export function deviceParameterTable(drive: BiosDrive): Uint8Array {
  const t = new Uint8Array(16);
  const path = drive.path;
  if (path === undefined) return t;
  t[0] = path.base & 0xff;
  t[1] = path.base >>> 8;
  t[2] = path.control & 0xff;
  t[3] = path.control >>> 8;
  t[4] = 0xe0 | (path.device !== 0 ? 0x10 : 0);
  t[5] = 0xcb;
  t[6] = path.irq & 15;
  t[7] = 1;
  // Bit 3 CHS translation, 4 LBA translation, 5 removable, 6 ATAPI.
  t[10] = drive.kind === "cdrom" ? 0x60 : 0x18;
  t[14] = 0x11;
  setChecksum(t, 0);
  return t;
}

/** Where the DPTE of a drive is, as segment:offset packed high:low; FFFFFFFFh when it has none. */
export function deviceParameterPointer(drives: readonly BiosDrive[], drive: BiosDrive): number {
  const slot = dpteDrives(drives).indexOf(drive);
  if (slot < 0) return 0xffffffff;
  return ((DISK_ROM.segment << 16) | (DISK_ROM.dpte + slot * 16)) >>> 0;
}

function dpteDrives(drives: readonly BiosDrive[]): readonly BiosDrive[] {
  return [...drives.filter((d) => d.kind === "hard-disk"), ...drives.filter((d) => d.kind === "cdrom")]
    .filter((d) => d.path !== undefined)
    .slice(0, MAX_DPTES);
}

/** Sets the floppy bits of the equipment word (bit 0 any, bits 6-7 count - 1). */
export function setFloppyCount(mem: PhysicalMemory, count: number): void {
  const n = Math.min(4, count);
  const others = mem.read16(BDA.EQUIPMENT) & ~0x00c1;
  mem.write16(BDA.EQUIPMENT, n === 0 ? others : others | 1 | ((n - 1) << 6));
}

/** The BDA media-state byte (490h, 491h) of a drive type with its own kind of medium in it. */
export function mediaState(floppyType: number): number {
  return [0x00, 0x93, 0x15, 0x97, 0x17, 0xd7][floppyType] ?? 0x17;
}

/**
 * The disk part of POST: fixed-disk tables in the EBDA (3Dh, 4Dh) with INT 41h/46h, DPTEs and diskette tables in the
 * ROM, equipment bits, counts and media states in the BDA. The EBDA segment (40Eh) must be set before.
 */
export function installDiskData(mem: PhysicalMemory, drives: readonly BiosDrive[]): void {
  const ebda = mem.read16(BDA.EBDA_SEGMENT);
  const disks = drives.filter((d) => d.kind === "hard-disk");
  const floppies = drives.filter((d) => d.kind === "floppy");
  for (const [i, vector] of [0x41, 0x46].entries()) {
    const disk = disks[i];
    const at = 0x3d + 16 * i;
    const physical = ataGeometry(Math.floor((disk?.backend?.sizeBytes ?? 0) / 512));
    if (ebda === 0) continue;
    mem.write((ebda << 4) + at, disk === undefined ? new Uint8Array(16) : fixedDiskTable(disk.geometry, physical));
    mem.write32(vector * 4, ((ebda << 16) | at) >>> 0);
  }
  const rom = new Uint8Array(DISK_ROM.end - DISK_ROM.dpte);
  for (const [i, drive] of dpteDrives(drives).entries()) rom.set(deviceParameterTable(drive), i * 16);
  for (const [i, table] of DISKETTE_TABLES.entries()) rom.set(table, DISK_ROM.diskette - DISK_ROM.dpte + i * DISKETTE_TABLE_BYTES);
  mem.ram.writeRom((DISK_ROM.segment << 4) + DISK_ROM.dpte, rom);
  setFloppyCount(mem, floppies.length);
  mem.write8(BDA.DISK_STATUS, 0);
  mem.write8(BDA.DISK_COUNT, disks.length);
  mem.write8(BDA.DISK_CONTROL, disks.length === 0 ? 0 : 0xc8); // retries off, more than eight heads
  mem.write8(BDA.FLOPPY_RECALIBRATE, 0);
  mem.write8(BDA.FLOPPY_MOTOR, 0);
  mem.write8(BDA.FLOPPY_MOTOR_TICKS, 0);
  mem.write8(BDA.FLOPPY_STATUS, 0);
  // 48Fh: a nibble a drive, "determined, 80 tracks, multi-rate" (PS/2 reference).
  mem.write8(BDA.FLOPPY_DRIVES, floppies.reduce((sum, d) => sum | ((d.floppyType === 1 ? 4 : 7) << (d.unit * 4)), 0) & 0xff);
  for (const d of floppies) {
    if (d.unit > 1) continue;
    mem.write8(BDA.FLOPPY_MEDIA + d.unit, d.backend === undefined ? 0 : mediaState(d.floppyType));
    mem.write8(BDA.FLOPPY_CYLINDER + d.unit, 0);
  }
}
