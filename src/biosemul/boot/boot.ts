import { MEM } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";
import type { BootDevice } from "../config.ts";
import {
  bootAddress,
  diskToMemory,
  EL_TORITO_MEDIA,
  emulatedGeometry,
  FIRST_CD,
  floppySectorByte,
  loadBootImage,
  readBootCatalog,
} from "../int13/index.ts";
import type { BootCatalogEntry, DiskServices, Emulation } from "../int13/index.ts";

/** A loaded boot sector or image and how to enter it; or why nothing boots. */
export type BootResult =
  | { readonly kind: "boot"; readonly name: string; readonly segment: number; readonly offset: number; readonly dl: number }
  | { readonly kind: "none"; readonly reasons: readonly BootFailure[] };

/** Why a drive does not boot. */
export interface BootFailure {
  readonly kind: "floppy" | "hard-disk" | "cdrom";
  readonly unit: number;
  /** "no boot signature" */
  readonly why: string;
}

function describe({ kind, unit }: { readonly kind: string; readonly unit: number }): string {
  if (kind === "floppy") return `Floppy ${String.fromCharCode(65 + unit)}`;
  return kind === "hard-disk" ? `Hard disk ${unit}` : `CD-ROM ${unit}`;
}

/** A line for the guest's screen. */
export function describeFailure(failure: BootFailure): string {
  return `${describe(failure)}: ${failure.why}`;
}

/**
 * Tries the devices from `first` on; the first that boots is in memory afterwards, and El Torito emulation is on when it
 * needs it. Returns the index after the device used, for INT 18h.
 *
 * Rules (as PC BIOSes have them): a hard disk's sector needs 55AAh; a floppy's does not, but its first 16 words must not
 * all be equal (an unformatted or data disk); a disc needs a valid catalog with a bootable x86 entry.
 */
export function boot(
  ctx: BiosContext,
  services: DiskServices,
  order: readonly BootDevice[],
  first = 0,
): { readonly result: BootResult; readonly next: number } {
  const candidates = expandOrder(ctx, order);
  const reasons: BootFailure[] = [];
  for (let i = first; i < candidates.length; i++) {
    const candidate = candidates[i];
    if (candidate === undefined) continue;
    const tried = candidate.kind === "cdrom" ? bootCd(ctx, services, candidate.unit) : bootSector(ctx, services, candidate.kind, candidate.unit);
    if (typeof tried !== "string") return { result: { kind: "boot", name: describe(candidate), ...tried }, next: i + 1 };
    reasons.push({ ...candidate, why: tried });
  }
  return { result: { kind: "none", reasons }, next: candidates.length };
}

type Entry = { readonly segment: number; readonly offset: number; readonly dl: number };

function expandOrder(ctx: BiosContext, order: readonly BootDevice[]): readonly { kind: "floppy" | "hard-disk" | "cdrom"; unit: number }[] {
  return order.flatMap((device) => {
    if (typeof device !== "string") return [device];
    const units = ctx.drives.filter((d) => d.kind === device).map((d) => d.unit);
    // Like a PC: only drive A: boots, while every hard disk and disc is tried.
    const tried = device === "floppy" ? units.filter((u) => u === 0) : units;
    return tried.sort((a, b) => a - b).map((unit) => ({ kind: device, unit }));
  });
}

function bootSector(ctx: BiosContext, services: DiskServices, kind: "floppy" | "hard-disk", unit: number): Entry | string {
  services.clearEmulation(ctx);
  const dl = kind === "floppy" ? unit : 0x80 + unit;
  const view = services.resolve(ctx, dl);
  if (view === undefined) return "no such drive";
  if (view.backend === undefined) return "no medium";
  if (view.totalSectors === 0) return "empty image";
  const at = kind === "floppy" ? floppySectorByte(view, 0, 0, 1, 2) : 0;
  if (at < 0) return "no boot sector";
  if (!diskToMemory(ctx.mem, view.backend, at, MEM.BOOT, 512)) return "read error";
  // The BIOS has read this medium: its change line is down.
  services.clearChanged(view.drive);
  if (kind === "hard-disk" && ctx.mem.read16(MEM.BOOT + 510) !== 0xaa55) return "no boot signature";
  if (kind === "floppy" && isUniform(ctx)) return "not a system disk";
  return { segment: 0, offset: MEM.BOOT, dl };
}

function isUniform(ctx: BiosContext): boolean {
  const word = ctx.mem.read16(MEM.BOOT);
  for (let i = 1; i < 16; i++) if (ctx.mem.read16(MEM.BOOT + 2 * i) !== word) return false;
  return true;
}

function bootCd(ctx: BiosContext, services: DiskServices, unit: number): Entry | string {
  services.clearEmulation(ctx);
  const drive = services.cdDrive(ctx, unit);
  if (drive === undefined) return "no such drive";
  if (drive.backend === undefined) return "no disc";
  const catalog = readBootCatalog(drive.backend);
  if (catalog === undefined) return "not a bootable disc";
  const entry = catalog.entries.find((e) => e.bootable && e.platform === 0 && e.media <= EL_TORITO_MEDIA.HARD_DISK);
  if (entry === undefined) return "no bootable x86 image on the disc";
  const emulation = emulationFor(ctx, services, unit, entry);
  if (emulation === undefined || !loadBootImage(ctx, services, emulation)) return "cannot read the boot image";
  services.startEmulation(ctx, emulation);
  return { ...bootAddress(emulation.loadSegment), dl: emulation.driveNumber };
}

function emulationFor(ctx: BiosContext, services: DiskServices, unit: number, entry: BootCatalogEntry): Emulation | undefined {
  const backend = services.cdDrive(ctx, unit)?.backend;
  if (backend === undefined) return undefined;
  const none = entry.media === EL_TORITO_MEDIA.NONE;
  const geometry = none ? { cylinders: 0, heads: 0, sectors: 0 } : emulatedGeometry(backend, entry.media, entry.lba);
  if (geometry === undefined) return undefined;
  return {
    cdUnit: unit,
    media: entry.media,
    driveNumber: none ? FIRST_CD + unit : entry.media === EL_TORITO_MEDIA.HARD_DISK ? 0x80 : 0x00,
    lba: entry.lba,
    loadSegment: entry.loadSegment,
    sectorCount: entry.sectorCount,
    cylinders: geometry.cylinders,
    heads: geometry.heads,
    sectors: geometry.sectors,
    active: !none,
  };
}
