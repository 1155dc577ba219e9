import { BDA, PORT } from "../../isa/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";

/** CMOS access; the index port is left at the harmless register 0Dh, NMI enabled. */
export function readCmos(ctx: BiosContext, register: number): number {
  ctx.ports.out8(PORT.CMOS_INDEX, register);
  const value = ctx.ports.in8(PORT.CMOS_DATA);
  ctx.ports.out8(PORT.CMOS_INDEX, 0x0d);
  return value & 0xff;
}
export function writeCmos(ctx: BiosContext, register: number, value: number): void {
  ctx.ports.out8(PORT.CMOS_INDEX, register);
  ctx.ports.out8(PORT.CMOS_DATA, value & 0xff);
  ctx.ports.out8(PORT.CMOS_INDEX, 0x0d);
}

export const RTC = { A: 0x0a, B: 0x0b, C: 0x0c, D: 0x0d, PERIODIC: 0x40, ALARM: 0x20 } as const;
/** Microseconds between periodic interrupts at 1024 Hz, rounded up as IBM's BIOS does. */
const PERIOD_US = 976;

/** INT 70h, IRQ8: register C is read; the periodic interrupt counts the 15h/83h or 86h wait down. AL bit 5 asks for INT 4Ah. */
export function rtcInterrupt(ctx: BiosContext): ServiceResult {
  const b = readCmos(ctx, RTC.B);
  const c = readCmos(ctx, RTC.C) & b;
  if ((c & RTC.PERIODIC) !== 0) countDown(ctx);
  ctx.regs.al = c & RTC.ALARM;
  return "done";
}

function countDown(ctx: BiosContext): void {
  const mem = ctx.mem;
  if ((mem.read8(BDA.WAIT_ACTIVE) & 1) === 0) return;
  const left = mem.read32(BDA.WAIT_COUNT);
  if (left > PERIOD_US) {
    mem.write32(BDA.WAIT_COUNT, left - PERIOD_US);
    return;
  }
  const flag = ctx.linear(mem.read16(BDA.WAIT_FLAG_POINTER + 2), mem.read16(BDA.WAIT_FLAG_POINTER));
  stopWait(ctx);
  mem.write8(flag, mem.read8(flag) | 0x80);
}

/** Begins a wait of `us` microseconds; bit 7 of the byte at segment:offset is set at its end. */
export function startWait(ctx: BiosContext, us: number, segment: number, offset: number): void {
  const mem = ctx.mem;
  mem.write16(BDA.WAIT_FLAG_POINTER, offset);
  mem.write16(BDA.WAIT_FLAG_POINTER + 2, segment);
  mem.write32(BDA.WAIT_COUNT, us);
  mem.write8(BDA.WAIT_ACTIVE, 1);
  ctx.ports.out8(PORT.PIC2_DATA, ctx.ports.in8(PORT.PIC2_DATA) & 0xfe);
  ctx.ports.out8(PORT.PIC1_DATA, ctx.ports.in8(PORT.PIC1_DATA) & 0xfb);
  readCmos(ctx, RTC.C);
  writeCmos(ctx, RTC.B, readCmos(ctx, RTC.B) | RTC.PERIODIC);
}

export function stopWait(ctx: BiosContext): void {
  ctx.mem.write8(BDA.WAIT_ACTIVE, 0);
  writeCmos(ctx, RTC.B, readCmos(ctx, RTC.B) & ~RTC.PERIODIC);
}
