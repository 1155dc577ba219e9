import { BDA } from "../../isa/index.ts";
import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import { sectorIndex } from "../../backends/api/index.ts";
import type { BlockBackend, FloppyLayout } from "../../backends/api/index.ts";
import type { BiosContext, BiosDrive } from "../api.ts";
import { EL_TORITO_MEDIA, EMULATION } from "./el-torito.ts";
import type { Emulation } from "./el-torito.ts";
import { setFloppyCount } from "./tables.ts";

/** DL of the first CD drive; the next ones follow. */
export const FIRST_CD = 0xe0;

/** A drive as INT 13h addresses it: a real one, or one that El Torito emulates inside a disc. */
export interface DiskView {
  readonly kind: "floppy" | "hard-disk" | "cdrom";
  /** DL. */
  readonly number: number;
  readonly drive: BiosDrive;
  readonly backend: BlockBackend | undefined;
  /** Where sector 0 is in the backend. */
  readonly startByte: number;
  readonly sectorBytes: 512 | 2048;
  readonly totalSectors: number;
  readonly cylinders: number;
  readonly heads: number;
  readonly sectors: number;
  readonly floppyType: number;
  /** A floppy with tracks of its own kind: `sectors` and `totalSectors` say nothing about them. */
  readonly layout?: FloppyLayout | undefined;
  readonly readOnly: boolean;
  readonly emulated: boolean;
}

/** What INT 13h remembers between calls. JSON-able. */
export const DISK_SERVICES_STATE = shape.record({
  v: shape.oneOf(1),
  emulation: shape.maybe(EMULATION),
  changed: shape.list(shape.byte, 256, 0),
  locks: shape.list(shape.pair(shape.byte, shape.byte), 256, 0),
});
export type DiskServicesStateV1 = Shaped<typeof DISK_SERVICES_STATE>;

/**
 * The state behind INT 13h: change lines, lock counts and El Torito emulation. One for a machine, shared by INT 13h,
 * INT 40h and the boot services.
 */
export class DiskServices {
  #emulation: Emulation | undefined;
  /** Medium last seen in a drive, so that a swap is noticed without a call. */
  readonly #seen = new Map<BiosDrive, BlockBackend | undefined>();
  /** Drives (floppy: unit; CD: FIRST_CD + unit) with the change line up. */
  readonly #changed = new Set<number>();
  readonly #locks = new Map<number, number>();

  /** What was booted or is emulated by El Torito. */
  get emulation(): Emulation | undefined {
    return this.#emulation;
  }

  /** Power-on or warm boot: no emulation, no locks; media count as known. */
  reset(): void {
    this.#emulation = undefined;
    this.#seen.clear();
    this.#changed.clear();
    this.#locks.clear();
  }

  /** Records what was booted from a disc; an active one takes drive 00h or 80h and the real ones move up by one. */
  startEmulation(ctx: BiosContext, emulation: Emulation): void {
    this.#emulation = emulation;
    this.updateCounts(ctx);
  }

  /** Function 4B00h: the drive letters go back to the real drives; status stays readable. */
  endEmulation(ctx: BiosContext): void {
    if (this.#emulation === undefined) return;
    this.#emulation = { ...this.#emulation, active: false };
    this.updateCounts(ctx);
  }

  /** Forgets El Torito (booting from something else). */
  clearEmulation(ctx: BiosContext): void {
    if (this.#emulation === undefined) return;
    this.#emulation = undefined;
    this.updateCounts(ctx);
  }

  /** Writes the number of floppies and hard disks into the BDA. */
  updateCounts(ctx: BiosContext): void {
    setFloppyCount(ctx.mem, this.count(ctx, "floppy"));
    ctx.mem.write8(BDA.DISK_COUNT, this.count(ctx, "hard-disk"));
  }

  /** Drives of a class, emulated one included. */
  count(ctx: BiosContext, kind: "floppy" | "hard-disk" | "cdrom"): number {
    let n = this.#emulates(kind) ? 1 : 0;
    for (const d of ctx.drives) if (d.kind === kind) n++;
    return n;
  }

  #emulates(kind: "floppy" | "hard-disk" | "cdrom"): boolean {
    const e = this.#emulation;
    if (e === undefined || !e.active || e.media === EL_TORITO_MEDIA.NONE) return false;
    return kind === (e.media === EL_TORITO_MEDIA.HARD_DISK ? "hard-disk" : "floppy");
  }

  /** The drive DL addresses; undefined when there is none. */
  resolve(ctx: BiosContext, dl: number): DiskView | undefined {
    const kind = dl < 0x80 ? "floppy" : dl < FIRST_CD ? "hard-disk" : "cdrom";
    let unit = kind === "floppy" ? dl : kind === "hard-disk" ? dl - 0x80 : dl - FIRST_CD;
    if (this.#emulates(kind)) {
      if (unit === 0) return this.#emulatedView(ctx, kind);
      unit--;
    }
    for (const drive of ctx.drives) {
      if (drive.kind !== kind || drive.unit !== unit) continue;
      this.#notice(drive);
      const backend = drive.backend;
      const sectorBytes = kind === "cdrom" ? 2048 : 512;
      return {
        kind,
        number: dl,
        drive,
        backend,
        startByte: 0,
        sectorBytes,
        totalSectors: backend === undefined ? 0 : Math.floor(backend.sizeBytes / sectorBytes),
        cylinders: drive.geometry.cylinders,
        heads: drive.geometry.heads,
        sectors: drive.geometry.sectors,
        floppyType: drive.floppyType,
        layout: drive.layout,
        readOnly: backend === undefined || backend.readOnly || kind === "cdrom",
        emulated: false,
      };
    }
    return undefined;
  }

  #emulatedView(ctx: BiosContext, kind: "floppy" | "hard-disk" | "cdrom"): DiskView | undefined {
    const e = this.#emulation;
    const drive = e === undefined ? undefined : this.cdDrive(ctx, e.cdUnit);
    if (e === undefined || drive === undefined) return undefined;
    const startByte = e.lba * 2048;
    const inImage = e.cylinders * e.heads * e.sectors;
    const onDisc = drive.backend === undefined ? 0 : Math.max(0, Math.floor((drive.backend.sizeBytes - startByte) / 512));
    return {
      kind,
      number: kind === "floppy" ? 0 : 0x80,
      drive,
      backend: drive.backend,
      startByte,
      sectorBytes: 512,
      totalSectors: Math.min(inImage, onDisc),
      cylinders: e.cylinders,
      heads: e.heads,
      sectors: e.sectors,
      floppyType: e.media === EL_TORITO_MEDIA.FLOPPY_1200 ? 2 : e.media === EL_TORITO_MEDIA.FLOPPY_2880 ? 5 : kind === "floppy" ? 4 : 0,
      readOnly: true,
      emulated: true,
    };
  }

  /** CD drive by unit. */
  cdDrive(ctx: BiosContext, unit: number): BiosDrive | undefined {
    return ctx.drives.find((d) => d.kind === "cdrom" && d.unit === unit);
  }

  #key(drive: BiosDrive): number {
    return drive.kind === "cdrom" ? FIRST_CD + drive.unit : drive.unit;
  }

  #notice(drive: BiosDrive): void {
    if (drive.kind === "hard-disk") return;
    if (this.#seen.has(drive) && this.#seen.get(drive) !== drive.backend) this.#changed.add(this.#key(drive));
    this.#seen.set(drive, drive.backend);
  }

  /** State of the change line. */
  isChanged(drive: BiosDrive): boolean {
    return this.#changed.has(this.#key(drive));
  }

  clearChanged(drive: BiosDrive): void {
    this.#changed.delete(this.#key(drive));
  }

  lockCount(drive: BiosDrive): number {
    return this.#locks.get(this.#key(drive)) ?? 0;
  }

  setLockCount(drive: BiosDrive, count: number): void {
    this.#locks.set(this.#key(drive), count);
  }

  saveState(): DiskServicesStateV1 {
    return { v: 1, emulation: this.#emulation, changed: [...this.#changed], locks: [...this.#locks] };
  }

  /** The media in the drives at the next call count as those that were there when the state was saved. */
  loadState(state: DiskServicesStateV1): void {
    this.reset();
    this.#emulation = state.emulation;
    for (const key of state.changed) this.#changed.add(key);
    for (const [key, count] of state.locks) this.#locks.set(key, count);
  }
}

/** Ends a service: AH, carry and the status cell of the class (441h floppies, 474h the rest). */
export function finish(ctx: BiosContext, dl: number, status: number): void {
  ctx.regs.ah = status;
  ctx.setCarry(status !== 0);
  ctx.mem.write8(dl < 0x80 ? BDA.FLOPPY_STATUS : BDA.DISK_STATUS, status);
}

/**
 * Where a floppy's sector with ID (cylinder, head, r, size code) is in the backend, or -1. Diskette calls give cylinder and sector as whole bytes:
 * CL's upper bits are not the cylinder's.
 */
export function floppySectorByte(view: DiskView, cylinder: number, head: number, r: number, sizeCode: number): number {
  if (cylinder >= view.cylinders || head >= view.heads) return -1;
  if (view.layout === undefined) {
    if (r === 0 || r > view.sectors || sizeCode !== 2) return -1;
    const lba = (cylinder * view.heads + head) * view.sectors + r - 1;
    return lba < view.totalSectors ? view.startByte + lba * 512 : -1;
  }
  const track = view.layout.track(cylinder, head);
  const sector = track[sectorIndex(track, r)];
  if (sector === undefined || sector.n !== sizeCode) return -1;
  const at = cylinder * view.layout.cylinderBytes + sector.offset;
  return at + (128 << sector.n) <= view.totalSectors * 512 ? view.startByte + at : -1;
}

/** The block number of the CHS address in CX:DH; -1 when the drive has no such sector. */
export function chsToLba(view: DiskView, cx: number, dh: number): number {
  const cylinder = (cx >>> 8) | ((cx & 0xc0) << 2);
  const sector = cx & 63;
  if (sector === 0 || sector > view.sectors || dh >= view.heads || cylinder >= view.cylinders) return -1;
  return (cylinder * view.heads + dh) * view.sectors + sector - 1;
}
