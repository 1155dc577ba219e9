import { BDA, PORT } from "../../isa/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";
import { TICKS_PER_DAY } from "../bda.ts";
import { RTC, readCmos, writeCmos } from "./int70.ts";
import type { PciBios } from "./pci-bios.ts";

const UPDATE_IN_PROGRESS = 0x80;
const VALID = 0x80;
const SET = 0x80;
const DAYLIGHT = 0x01;
const MODE_24H = 0x02;
const CENTURY = 0x32;

/** INT 1Ah: the tick count, the real-time clock, and the PCI BIOS. TCG (BBh), PXE (5650h) and others are absent: CF=1, registers kept. */
export class Int1a {
  readonly #pci: PciBios;
  constructor(pci: PciBios) {
    this.#pci = pci;
  }

  readonly handle = (ctx: BiosContext): ServiceResult => {
    const { regs, mem } = ctx;
    switch (regs.ah) {
      case 0x00: {
        const ticks = mem.read32(BDA.TICKS);
        regs.dx = ticks & 0xffff;
        regs.cx = ticks >>> 16;
        regs.al = mem.read8(BDA.MIDNIGHT);
        mem.write8(BDA.MIDNIGHT, 0);
        ctx.setCarry(false);
        return "done";
      }
      case 0x01:
        mem.write32(BDA.TICKS, (regs.cx * 0x10000 + regs.dx) % TICKS_PER_DAY);
        mem.write8(BDA.MIDNIGHT, 0);
        ctx.setCarry(false);
        return "done";
      case 0x02:
      case 0x04:
        return readClock(ctx, regs.ah);
      case 0x03:
        return setTime(ctx);
      case 0x05:
        return setDate(ctx);
      case 0x06:
        return setAlarm(ctx);
      case 0x07:
        writeCmos(ctx, RTC.B, readCmos(ctx, RTC.B) & ~RTC.ALARM & ~SET);
        regs.ah = 0;
        ctx.setCarry(false);
        return "done";
      case 0x80: // PCjr sound multiplexer: nothing to switch
        ctx.setCarry(false);
        return "done";
      case 0xb1: {
        const result = this.#pci.handle(ctx);
        if (result !== undefined) return result;
        ctx.setCarry(true);
        return "done";
      }
      default:
        ctx.setCarry(true);
        return "done";
    }
  };
}

function readClock(ctx: BiosContext, ah: number): ServiceResult {
  const { regs } = ctx;
  if ((readCmos(ctx, RTC.A) & UPDATE_IN_PROGRESS) !== 0 && !ctx.resumed) return "poll";
  const stopped = (readCmos(ctx, RTC.D) & VALID) === 0 || (readCmos(ctx, RTC.B) & SET) !== 0;
  if (stopped) {
    ctx.setCarry(true);
    return "done";
  }
  if (ah === 0x02) {
    regs.ch = readCmos(ctx, 4);
    regs.cl = readCmos(ctx, 2);
    regs.dh = readCmos(ctx, 0);
    regs.dl = readCmos(ctx, RTC.B) & DAYLIGHT;
  } else {
    regs.ch = readCmos(ctx, CENTURY);
    regs.cl = readCmos(ctx, 9);
    regs.dh = readCmos(ctx, 8);
    regs.dl = readCmos(ctx, 7);
  }
  regs.ah = 0;
  ctx.setCarry(false);
  return "done";
}

/** A stopped or never started clock is brought to 1 Hz division first. */
function stopForSet(ctx: BiosContext): number {
  const b = readCmos(ctx, RTC.B);
  writeCmos(ctx, RTC.A, 0x26);
  writeCmos(ctx, RTC.B, b | SET);
  return b & ~SET;
}

function setTime(ctx: BiosContext): ServiceResult {
  const { regs } = ctx;
  const b = stopForSet(ctx);
  writeCmos(ctx, 4, regs.ch);
  writeCmos(ctx, 2, regs.cl);
  writeCmos(ctx, 0, regs.dh);
  writeCmos(ctx, RTC.B, (b & ~DAYLIGHT) | MODE_24H | (regs.dl & DAYLIGHT));
  regs.ah = 0;
  ctx.setCarry(false);
  return "done";
}

function setDate(ctx: BiosContext): ServiceResult {
  const { regs } = ctx;
  const b = stopForSet(ctx);
  writeCmos(ctx, 9, regs.cl);
  writeCmos(ctx, 8, regs.dh);
  writeCmos(ctx, 7, regs.dl);
  writeCmos(ctx, CENTURY, regs.ch);
  writeCmos(ctx, RTC.B, b);
  regs.ah = 0;
  ctx.setCarry(false);
  return "done";
}

function setAlarm(ctx: BiosContext): ServiceResult {
  const { regs } = ctx;
  const b = readCmos(ctx, RTC.B);
  if ((b & RTC.ALARM) !== 0) {
    ctx.setCarry(true);
    return "done";
  }
  writeCmos(ctx, 5, regs.ch);
  writeCmos(ctx, 3, regs.cl);
  writeCmos(ctx, 1, regs.dh);
  ctx.ports.out8(PORT.PIC2_DATA, ctx.ports.in8(PORT.PIC2_DATA) & 0xfe);
  ctx.ports.out8(PORT.PIC1_DATA, ctx.ports.in8(PORT.PIC1_DATA) & 0xfb);
  readCmos(ctx, RTC.C);
  writeCmos(ctx, RTC.B, (b & ~SET) | RTC.ALARM);
  regs.ah = 0;
  ctx.setCarry(false);
  return "done";
}
