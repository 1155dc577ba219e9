import { BDA } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";
import { STATUS } from "./status.ts";
import { chsToLba, finish } from "./services.ts";
import type { DiskServices, DiskView } from "./services.ts";
import { diskToMemory, memoryToDisk } from "./transfer.ts";

/** 02h, 03h, 04h. Sectors before the end of the disk are moved; then AL says how many and AH why it stopped. */
function transfer(ctx: BiosContext, view: DiskView, operation: 2 | 3 | 4): void {
  const { regs, mem } = ctx;
  const count = regs.al;
  const end = (status: number, done: number): void => {
    regs.al = done;
    finish(ctx, view.number, status);
  };
  if (count === 0 || count > 128) return end(STATUS.BAD_COMMAND, 0);
  if (view.backend === undefined) return end(STATUS.NOT_READY, 0);
  if (operation === 3 && view.readOnly) return end(STATUS.WRITE_PROTECTED, 0);
  const lba = chsToLba(view, regs.cx, regs.dh);
  if (lba < 0) return end(STATUS.SECTOR_NOT_FOUND, 0);
  const available = Math.max(0, Math.min(count, view.totalSectors - lba));
  if (available > 0 && operation !== 4) {
    const gpa = ctx.linear(regs.selector("es"), regs.bx);
    const move = operation === 2 ? diskToMemory : memoryToDisk;
    const moved = move(mem, view.backend, view.startByte + lba * 512, gpa, available * 512);
    if (!moved) return end(operation === 2 ? STATUS.CRC : STATUS.WRITE_FAULT, 0);
  }
  end(available === count ? STATUS.OK : STATUS.SECTOR_NOT_FOUND, available);
}

/** 08h: maxima of the translated geometry; DL = number of hard disks. An absent drive: AH=07h and zeros (AT BIOS). */
function driveParameters(ctx: BiosContext, services: DiskServices, view: DiskView | undefined): void {
  const { regs } = ctx;
  const dl = regs.dl;
  regs.al = 0;
  if (view === undefined) {
    regs.cx = 0;
    regs.dx = 0;
    return finish(ctx, dl, STATUS.PARAMETERS_FAILED);
  }
  const lastCylinder = Math.min(1023, Math.max(0, view.cylinders - 1));
  regs.ch = lastCylinder & 0xff;
  regs.cl = (view.sectors & 63) | ((lastCylinder >>> 2) & 0xc0);
  regs.dh = Math.max(0, view.heads - 1);
  regs.dl = services.count(ctx, "hard-disk");
  finish(ctx, dl, STATUS.OK);
}

/** 15h: AH=3 and CX:DX = sectors; an absent drive AH=0 with everything zero, no carry (AT BIOS). */
function driveType(ctx: BiosContext, view: DiskView | undefined): void {
  const { regs } = ctx;
  const sectors = Math.min(0xffffffff, view?.totalSectors ?? 0);
  if (view === undefined) regs.ax = 0;
  else regs.ah = 3;
  regs.cx = Math.floor(sectors / 65536);
  regs.dx = sectors & 0xffff;
  ctx.mem.write8(BDA.DISK_STATUS, 0);
  ctx.setCarry(false);
}

/** The classic functions (00h-18h) for 80h <= DL < E0h. Source: AT technical reference, fixed-disk BIOS; PS/2 BIOS reference. */
export function hardDiskService(ctx: BiosContext, services: DiskServices): void {
  const { regs } = ctx;
  const dl = regs.dl;
  const view = services.resolve(ctx, dl);
  const fn = regs.ah;
  if (fn === 0x01) {
    const status = ctx.mem.read8(BDA.DISK_STATUS);
    regs.ah = status;
    ctx.setCarry(status !== 0);
    return;
  }
  if (fn === 0x08) return driveParameters(ctx, services, view);
  if (fn === 0x15) return driveType(ctx, view);
  if (view === undefined) return finish(ctx, dl, STATUS.BAD_COMMAND);
  switch (fn) {
    case 0x00:
      // Resets the diskette controller too.
      ctx.mem.write8(BDA.FLOPPY_RECALIBRATE, 0);
      ctx.mem.write8(BDA.FLOPPY_STATUS, 0);
      return finish(ctx, dl, STATUS.OK);
    case 0x02:
      return transfer(ctx, view, 2);
    case 0x03:
      return transfer(ctx, view, 3);
    case 0x04:
      return transfer(ctx, view, 4);
    case 0x0c: {
      const cylinder = regs.ch | ((regs.cl & 0xc0) << 2);
      return finish(ctx, dl, cylinder < view.cylinders ? STATUS.OK : STATUS.SEEK);
    }
    case 0x10:
      return finish(ctx, dl, view.backend === undefined ? STATUS.NOT_READY : STATUS.OK);
    case 0x09:
    case 0x0d:
    case 0x11:
    case 0x14:
      return finish(ctx, dl, STATUS.OK);
    default:
      return finish(ctx, dl, STATUS.BAD_COMMAND);
  }
}
