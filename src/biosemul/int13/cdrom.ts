import { BDA } from "../../isa/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";
import { EL_TORITO_MEDIA, emulatedGeometry, readBootCatalog, specificationPacket } from "./el-torito.ts";
import type { Emulation } from "./el-torito.ts";
import { STATUS } from "./status.ts";
import { FIRST_CD, finish } from "./services.ts";
import type { DiskServices } from "./services.ts";
import { diskToMemory } from "./transfer.ts";

/** The classic functions on a CD unit (DL >= E0h): only controller ones work; data needs 42h with 2048-byte blocks. */
export function cdromService(ctx: BiosContext, services: DiskServices): void {
  const { regs } = ctx;
  const dl = regs.dl;
  const fn = regs.ah;
  if (fn === 0x01) {
    const status = ctx.mem.read8(BDA.DISK_STATUS);
    regs.ah = status;
    ctx.setCarry(status !== 0);
    return;
  }
  const view = services.resolve(ctx, dl);
  if (view === undefined) return finish(ctx, dl, STATUS.BAD_COMMAND);
  switch (fn) {
    case 0x00:
    case 0x09:
    case 0x0c:
    case 0x0d:
    case 0x11:
    case 0x14:
      return finish(ctx, dl, STATUS.OK);
    case 0x10:
      return finish(ctx, dl, view.backend === undefined ? STATUS.NOT_READY : STATUS.OK);
    case 0x03:
    case 0x05:
      return finish(ctx, dl, STATUS.WRITE_PROTECTED);
    default:
      // 08h and 15h too: SETUPLDR takes any answer for a hard disk.
      return finish(ctx, dl, STATUS.BAD_COMMAND);
  }
}

/** Does DL name the disc that was booted: its emulated drive, its CD unit, or 7Fh for "all"? */
function namesEmulation(e: Emulation, dl: number): boolean {
  return dl === 0x7f || dl === FIRST_CD + e.cdUnit || (dl === e.driveNumber && (e.active || e.media === EL_TORITO_MEDIA.NONE));
}

/** The emulation the specification packet at DS:SI describes (4Ah, 4Ch). */
function emulationFromPacket(ctx: BiosContext, services: DiskServices): Emulation | undefined {
  const { regs, mem } = ctx;
  const at = ctx.linear(regs.selector("ds"), regs.si);
  if (mem.read8(at) < 0x13) return undefined;
  const media = mem.read8(at + 1) & 15;
  const controller = mem.read8(at + 3);
  const device = mem.read16(at + 8) & 1;
  const cd = ctx.drives.find((d) => d.kind === "cdrom" && d.path?.channel === controller && d.path.device === device) ?? services.cdDrive(ctx, 0);
  if (cd?.backend === undefined || media > EL_TORITO_MEDIA.HARD_DISK) return undefined;
  const lba = mem.read32(at + 4);
  const geometry = media === EL_TORITO_MEDIA.NONE ? { cylinders: 0, heads: 0, sectors: 0 } : emulatedGeometry(cd.backend, media, lba);
  if (geometry === undefined) return undefined;
  const loadSegment = mem.read16(at + 0x0c);
  const none = media === EL_TORITO_MEDIA.NONE;
  return {
    cdUnit: cd.unit,
    media,
    driveNumber: none ? FIRST_CD + cd.unit : media === EL_TORITO_MEDIA.HARD_DISK ? 0x80 : 0,
    lba,
    loadSegment: loadSegment === 0 ? 0x7c0 : loadSegment,
    sectorCount: Math.max(1, mem.read16(at + 0x0e)),
    cylinders: geometry.cylinders,
    heads: geometry.heads,
    sectors: geometry.sectors,
    active: !none,
  };
}

/** Loads the boot image of an emulation to its load segment; false when the disc cannot give it. */
export function loadBootImage(ctx: BiosContext, services: DiskServices, e: Emulation): boolean {
  const backend = services.cdDrive(ctx, e.cdUnit)?.backend;
  if (backend === undefined) return false;
  const gpa = e.loadSegment << 4;
  // An emulated drive boots like a real one: its first sector only. Conventional memory bounds the rest.
  const wanted = e.media === EL_TORITO_MEDIA.NONE ? e.sectorCount * 512 : 512;
  const start = e.lba * 2048;
  const room = Math.min(0xa0000 - gpa, backend.sizeBytes - start);
  const bytes = Math.min(wanted, Math.floor(room / 512) * 512);
  return bytes >= 512 && diskToMemory(ctx.mem, backend, start, gpa, bytes);
}

/** 4A00h-4D00h (El Torito 1.0 §4). Undefined: not one of them. */
export function elToritoService(ctx: BiosContext, services: DiskServices): ServiceResult | undefined {
  const { regs, mem } = ctx;
  const fn = regs.ah;
  if (fn < 0x4a || fn > 0x4d) return undefined;
  const dl = regs.dl;
  const e = services.emulation;
  const end = (status: number): ServiceResult => {
    finish(ctx, dl, status);
    return "done";
  };
  if (fn === 0x4b && regs.al <= 1) {
    if (e === undefined || !namesEmulation(e, dl)) return end(STATUS.BAD_COMMAND);
    mem.write(ctx.linear(regs.selector("ds"), regs.si), specificationPacket(e, services.cdDrive(ctx, e.cdUnit)));
    if (regs.al === 0) services.endEmulation(ctx);
    return end(STATUS.OK);
  }
  if ((fn === 0x4a || fn === 0x4c) && regs.al === 0) {
    const next = emulationFromPacket(ctx, services);
    if (next === undefined) return end(STATUS.BAD_COMMAND);
    services.startEmulation(ctx, next);
    if (fn === 0x4a) return end(STATUS.OK);
    if (!loadBootImage(ctx, services, next)) return end(STATUS.SECTOR_NOT_FOUND);
    regs.dl = next.driveNumber;
    finish(ctx, dl, STATUS.OK);
    return { jump: bootAddress(next.loadSegment) };
  }
  if (fn === 0x4d && regs.al === 0) {
    const at = ctx.linear(regs.selector("ds"), regs.si);
    const unit = dl >= FIRST_CD ? dl - FIRST_CD : (e?.cdUnit ?? 0);
    const backend = services.cdDrive(ctx, unit)?.backend;
    const catalog = backend === undefined ? undefined : readBootCatalog(backend);
    if (backend === undefined || catalog === undefined || mem.read8(at) < 8) return end(STATUS.BAD_COMMAND);
    const count = mem.read8(at + 1);
    const gpa = ctx.linear(mem.read16(at + 4), mem.read16(at + 2));
    const start = (catalog.lba + mem.read16(at + 6)) * 2048;
    if (start + count * 2048 > backend.sizeBytes) return end(STATUS.SECTOR_NOT_FOUND);
    return end(count === 0 || diskToMemory(mem, backend, start, gpa, count * 2048) ? STATUS.OK : STATUS.CRC);
  }
  return end(STATUS.BAD_COMMAND);
}

/** Real-mode entry of a boot image: 0000:7C00 for the default segment, as loaders compare CS with it. */
export function bootAddress(loadSegment: number): { segment: number; offset: number } {
  return { segment: loadSegment & 0xf000, offset: (loadSegment & 0x0fff) << 4 };
}
