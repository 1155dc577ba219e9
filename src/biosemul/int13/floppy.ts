import { BDA } from "../../isa/index.ts";
import type { BlockBackend } from "../../backends/api/index.ts";
import type { BiosContext } from "../api.ts";
import { STATUS } from "./status.ts";
import { finish, floppySectorByte } from "./services.ts";
import type { DiskServices, DiskView } from "./services.ts";
import { disketteTableOffset, DISK_ROM, mediaState, readDisketteParameters } from "./tables.ts";
import type { DisketteParameters } from "./tables.ts";
import { diskToMemory, memoryToDisk } from "./transfer.ts";

/** More sectors than a DMA channel can move: refused before any seek. */
const MAX_SECTORS = 128;

/** The NEC result bytes and the bookkeeping a floppy operation leaves in the BDA. */
function recordOperation(ctx: BiosContext, view: DiskView, table: DisketteParameters, status: number): void {
  const { regs, mem } = ctx;
  const unit = view.number & 3;
  const cylinder = regs.ch;
  const st0 = (status === 0 ? 0 : 0x40) | ((regs.dh & 1) << 2) | unit;
  const st1 = status === STATUS.SECTOR_NOT_FOUND ? 4 : status === STATUS.WRITE_PROTECTED ? 2 : status === STATUS.CRC ? 0x20 : 0;
  for (const [i, v] of [st0, st1, 0, cylinder, regs.dh, regs.cl, table.sizeCode].entries()) mem.write8(BDA.FDC_RESULT + i, v);
  mem.write8(BDA.FLOPPY_RECALIBRATE, mem.read8(BDA.FLOPPY_RECALIBRATE) | (1 << unit));
  mem.write8(BDA.FLOPPY_MOTOR, (mem.read8(BDA.FLOPPY_MOTOR) & 0x40) | (1 << unit));
  mem.write8(BDA.FLOPPY_MOTOR_TICKS, table.motorTicks);
  if (unit < 2 && !view.emulated) {
    mem.write8(BDA.FLOPPY_MEDIA + unit, mediaState(view.floppyType));
    mem.write8(BDA.FLOPPY_CYLINDER + unit, cylinder);
    mem.write8(BDA.FLOPPY_RATE, (mem.read8(BDA.FLOPPY_RATE) & 0x3f) | (mediaState(view.floppyType) & 0xc0));
  }
}

/** The checks before every medium access: a medium, then the change line (reported once). */
function mediumStatus(services: DiskServices, view: DiskView): number {
  if (view.backend === undefined) return STATUS.TIME_OUT;
  if (!view.emulated && services.isChanged(view.drive)) {
    services.clearChanged(view.drive);
    if (hasChangeLine(view)) return STATUS.CHANGED;
  }
  return STATUS.OK;
}

/** 360K drives have no change line (AT technical reference, function 15h). */
function hasChangeLine(view: DiskView): boolean {
  return view.floppyType !== 1 && !view.emulated;
}

/** 02h read, 03h write, 04h verify. Ends with AL = sectors done. */
function transfer(ctx: BiosContext, services: DiskServices, view: DiskView, operation: 2 | 3 | 4): void {
  const { regs, mem } = ctx;
  const table = readDisketteParameters(mem);
  const count = regs.al;
  const end = (status: number, done: number): void => {
    if (status !== STATUS.BAD_COMMAND && status !== STATUS.TIME_OUT) recordOperation(ctx, view, table, status);
    regs.al = done;
    finish(ctx, view.number, status);
  };
  if (count === 0 || count > MAX_SECTORS || regs.dh > 1) return end(STATUS.BAD_COMMAND, 0);
  const medium = mediumStatus(services, view);
  if (medium !== STATUS.OK || view.backend === undefined) return end(medium, 0);
  const gpa = ctx.linear(regs.selector("es"), regs.bx);
  const sectorBytes = 128 << (table.sizeCode & 7);
  // The 8237 counts within one 64 KB page; verify moves nothing.
  if (operation !== 4 && (gpa & 0xffff) + count * sectorBytes > 0x10000) return end(STATUS.DMA_BOUNDARY, 0);
  if (operation === 3 && view.readOnly) return end(STATUS.WRITE_PROTECTED, 0);
  const first = floppySectorByte(view, regs.ch, regs.dh, regs.cl, table.sizeCode);
  if (first < 0) return end(STATUS.SECTOR_NOT_FOUND, 0);
  const failed = operation === 2 ? STATUS.CRC : STATUS.CONTROLLER;
  if (view.layout === undefined) {
    const available = Math.min(count, view.totalSectors - (first - view.startByte) / 512);
    if (operation !== 4 && !move(ctx, view.backend, operation, first, gpa, available * 512)) return end(failed, 0);
    return end(available === count ? STATUS.OK : STATUS.SECTOR_NOT_FOUND, available);
  }
  // The controller goes on by R, and from the table's last sector to the other side.
  let head = regs.dh;
  let r = regs.cl;
  for (let done = 0; done < count; done++) {
    const at = floppySectorByte(view, regs.ch, head, r, table.sizeCode);
    if (at < 0) return end(STATUS.SECTOR_NOT_FOUND, done);
    if (operation !== 4 && !move(ctx, view.backend, operation, at, gpa + done * sectorBytes, sectorBytes)) return end(failed, done);
    if (r === table.lastSector) head++;
    r = r === table.lastSector ? 1 : r + 1;
  }
  end(STATUS.OK, count);
}

function move(ctx: BiosContext, backend: BlockBackend, operation: 2 | 3, at: number, gpa: number, bytes: number): boolean {
  return (operation === 2 ? diskToMemory : memoryToDisk)(ctx.mem, backend, at, gpa, bytes);
}

/**
 * 05h: formats one track as the diskette table of IVT 1Eh says: sectors a track, size and fill byte; ES:BX has an
 * address field (C, H, R, N) for each sector. A format the image cannot hold is refused before anything is written.
 */
function formatTrack(ctx: BiosContext, services: DiskServices, view: DiskView): void {
  const { regs, mem } = ctx;
  const table = readDisketteParameters(mem);
  const end = (status: number): void => {
    recordOperation(ctx, view, table, status);
    finish(ctx, view.number, status);
  };
  if (regs.dh > 1) return finish(ctx, view.number, STATUS.BAD_COMMAND);
  const medium = mediumStatus(services, view);
  if (medium === STATUS.TIME_OUT || view.backend === undefined) return finish(ctx, view.number, STATUS.TIME_OUT);
  if (medium !== STATUS.OK) return end(medium);
  if (view.readOnly) return end(STATUS.WRITE_PROTECTED);
  const fields = ctx.linear(regs.selector("es"), regs.bx);
  const count = table.lastSector;
  if ((fields & 0xffff) + count * 4 > 0x10000) return end(STATUS.DMA_BOUNDARY);
  const cylinder = regs.ch;
  if (cylinder >= view.cylinders || regs.dh >= view.heads) return end(STATUS.SEEK);
  const most = view.layout?.track(cylinder, regs.dh).length ?? view.sectors;
  if (count === 0 || count > most || (view.layout === undefined && table.sizeCode !== 2)) return end(STATUS.MEDIA_TYPE);
  const sectors: { readonly at: number; readonly bytes: number }[] = [];
  for (let i = 0; i < count; i++) {
    const field = fields + 4 * i;
    const n = mem.read8(field + 3);
    const at = floppySectorByte(view, cylinder, regs.dh, mem.read8(field + 2), n);
    if (mem.read8(field) !== cylinder || mem.read8(field + 1) !== regs.dh || at < 0) return end(STATUS.SECTOR_NOT_FOUND);
    sectors.push({ at, bytes: 128 << n });
  }
  for (const { at, bytes } of sectors) if (!view.backend.write(at, new Uint8Array(bytes).fill(table.fillByte))) return end(STATUS.CONTROLLER);
  end(STATUS.OK);
}

/** 08h: shape of the drive; ES:DI gets the diskette table of its type. */
function driveParameters(ctx: BiosContext, services: DiskServices, view: DiskView | undefined): void {
  const { regs } = ctx;
  const count = services.count(ctx, "floppy");
  regs.ax = 0;
  if (view === undefined) {
    regs.bx = 0;
    regs.cx = 0;
    regs.dx = count;
    regs.di = 0;
    regs.setRealSegment("es", 0);
    ctx.setCarry(true);
    return;
  }
  const lastCylinder = Math.max(0, view.cylinders - 1);
  regs.bx = view.floppyType;
  regs.ch = lastCylinder & 0xff;
  const table = disketteTableOffset(view.floppyType);
  // A medium with tracks of its own kind has no such number: then the drive's.
  const sectors = view.layout === undefined ? view.sectors : ctx.mem.read8((DISK_ROM.segment << 4) + table + 4);
  regs.cl = (sectors & 63) | ((lastCylinder >>> 2) & 0xc0);
  regs.dh = Math.max(0, view.heads - 1);
  regs.dl = count;
  regs.setRealSegment("es", DISK_ROM.segment);
  regs.di = table;
  finish(ctx, view.number, STATUS.OK);
}

/** 16h: has the medium been changed? Reports without resetting the line; the next access does that. */
function changeStatus(ctx: BiosContext, services: DiskServices, view: DiskView): void {
  if (view.backend === undefined) return finish(ctx, view.number, STATUS.TIME_OUT);
  const unknown = !view.emulated && !hasChangeLine(view);
  const changed = unknown || (!view.emulated && services.isChanged(view.drive));
  finish(ctx, view.number, changed ? STATUS.CHANGED : STATUS.OK);
}

/** Formats (tracks a side, sectors a track) each drive type can make, for functions 17h and 18h. */
function canFormat(view: DiskView, cylinders: number, sectors: number): boolean {
  return cylinders === view.cylinders && sectors === view.sectors;
}

/** 17h: set the media type for format (1 360K in 360K, 2 360K in 1.2M, 3 1.2M in 1.2M, 4 720K in 720K). */
function setMediaType(ctx: BiosContext, services: DiskServices, view: DiskView): void {
  const type = ctx.regs.al;
  if (type < 1 || type > 4) return finish(ctx, view.number, STATUS.BAD_COMMAND);
  const medium = mediumStatus(services, view);
  if (medium !== STATUS.OK) return finish(ctx, view.number, medium);
  const unit = view.number & 3;
  if (unit < 2) ctx.mem.write8(BDA.FLOPPY_MEDIA + unit, [0x93, 0x74, 0x15, 0x97][type - 1] ?? 0);
  finish(ctx, view.number, STATUS.OK);
}

/** 18h: CH last track, CL sectors a track: the table to put into IVT 1Eh before formatting. */
function setMediaForFormat(ctx: BiosContext, services: DiskServices, view: DiskView): void {
  const { regs } = ctx;
  const medium = mediumStatus(services, view);
  if (medium === STATUS.TIME_OUT) return finish(ctx, view.number, medium);
  const cylinders = (regs.ch | ((regs.cl & 0xc0) << 2)) + 1;
  if (!canFormat(view, cylinders, regs.cl & 63)) return finish(ctx, view.number, STATUS.MEDIA_TYPE);
  regs.setRealSegment("es", DISK_ROM.segment);
  regs.di = disketteTableOffset(view.floppyType);
  finish(ctx, view.number, STATUS.OK);
}

/** INT 13h for DL < 80h, and all of INT 40h. Source: PS/2 BIOS interface reference, INT 13h diskette. */
export function floppyService(ctx: BiosContext, services: DiskServices): void {
  const { regs } = ctx;
  const dl = regs.dl;
  const view = services.resolve(ctx, dl);
  const fn = regs.ah;
  if (fn === 0x01) {
    const status = ctx.mem.read8(BDA.FLOPPY_STATUS);
    regs.ah = status;
    ctx.setCarry(status !== 0);
    return;
  }
  if (fn === 0x08) return driveParameters(ctx, services, view);
  if (fn === 0x15) {
    if (view === undefined) regs.ax = 0;
    else regs.ah = hasChangeLine(view) ? 2 : 1;
    ctx.mem.write8(BDA.FLOPPY_STATUS, 0);
    ctx.setCarry(false);
    return;
  }
  if (view === undefined) return finish(ctx, dl, dl > 1 || fn > 0x18 ? STATUS.BAD_COMMAND : STATUS.TIME_OUT);
  switch (fn) {
    case 0x00:
      ctx.mem.write8(BDA.FLOPPY_RECALIBRATE, 0);
      return finish(ctx, dl, STATUS.OK);
    case 0x02:
      return transfer(ctx, services, view, 2);
    case 0x03:
      return transfer(ctx, services, view, 3);
    case 0x04:
      return transfer(ctx, services, view, 4);
    case 0x05:
      return formatTrack(ctx, services, view);
    case 0x16:
      return changeStatus(ctx, services, view);
    case 0x17:
      return setMediaType(ctx, services, view);
    case 0x18:
      return setMediaForFormat(ctx, services, view);
    default:
      return finish(ctx, dl, STATUS.BAD_COMMAND);
  }
}
