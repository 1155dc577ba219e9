import { BDA, PORT } from "../../isa/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";
import { TICKS_PER_DAY } from "../bda.ts";

/** INT 08h, IRQ0: counts the tick, rolls over at midnight, runs the diskette motor's time-out. INT 1Ch and EOI follow in ROM. */
export function int08(ctx: BiosContext): ServiceResult {
  const mem = ctx.mem;
  const ticks = (mem.read32(BDA.TICKS) + 1) >>> 0;
  if (ticks >= TICKS_PER_DAY) {
    mem.write32(BDA.TICKS, 0);
    mem.write8(BDA.MIDNIGHT, 1);
  } else mem.write32(BDA.TICKS, ticks);
  const motor = mem.read8(BDA.FLOPPY_MOTOR_TICKS);
  if (motor !== 0) {
    mem.write8(BDA.FLOPPY_MOTOR_TICKS, motor - 1);
    if (motor === 1) {
      mem.write8(BDA.FLOPPY_MOTOR, mem.read8(BDA.FLOPPY_MOTOR) & 0xf0);
      ctx.ports.out8(PORT.FDC_DOR, 0x0c);
    }
  }
  return "done";
}
