import { BDA } from "../../isa/index.ts";
import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";
import { TICKS_PER_DAY } from "../bda.ts";
import { startWait, stopWait } from "../int/int70.ts";

const WAIT_IN_USE = 0x83;
/** Microseconds of one tick of the 18.2065 Hz clock. */
const TICK_US = 54925;
const SPARE_TICKS = 3;

export const WAIT_STATE = shape.record({
  v: shape.oneOf(1),
  startTick: shape.dword,
  ticks: shape.dword,
});
export type WaitStateV1 = Shaped<typeof WAIT_STATE>;

/** INT 15h/83h and 86h: waits counted by the RTC's periodic interrupt. */
export class WaitServices {
  /** The tick clock bounds a wait too, so that a guest that took INT 70h away does not wait for ever. */
  #startTick = 0;
  #ticks = 0;

  /** AH=83h. */
  event(ctx: BiosContext): ServiceResult {
    const { regs, mem } = ctx;
    if (regs.al === 1) {
      if ((mem.read8(BDA.WAIT_ACTIVE) & 1) !== 0) stopWait(ctx);
      ctx.setCarry(false);
      return "done";
    }
    if (regs.al !== 0 || (mem.read8(BDA.WAIT_ACTIVE) & 1) !== 0) return this.#busy(ctx);
    const at = ctx.linear(regs.selector("es"), regs.bx);
    mem.write8(at, mem.read8(at) & 0x7f);
    startWait(ctx, regs.cx * 0x10000 + regs.dx, regs.selector("es"), regs.bx);
    ctx.setCarry(false);
    return "done";
  }

  /** AH=86h: returns when CX:DX microseconds have passed; interrupts run meanwhile. */
  delay(ctx: BiosContext): ServiceResult {
    const { regs, mem } = ctx;
    if (!ctx.resumed) {
      if ((mem.read8(BDA.WAIT_ACTIVE) & 1) !== 0) return this.#busy(ctx);
      const us = regs.cx * 0x10000 + regs.dx;
      if (us === 0) {
        ctx.setCarry(false);
        return "done";
      }
      this.#startTick = mem.read32(BDA.TICKS);
      this.#ticks = Math.ceil(us / TICK_US) + SPARE_TICKS;
      startWait(ctx, us, 0x40, BDA.WAIT_ACTIVE - 0x400);
      return "wait";
    }
    const state = mem.read8(BDA.WAIT_ACTIVE);
    const passed = (mem.read32(BDA.TICKS) - this.#startTick + TICKS_PER_DAY) % TICKS_PER_DAY;
    if ((state & 0x81) === 1 && passed <= this.#ticks) return "wait";
    if ((state & 1) !== 0) stopWait(ctx);
    mem.write8(BDA.WAIT_ACTIVE, 0);
    ctx.setCarry(false);
    return "done";
  }

  #busy(ctx: BiosContext): ServiceResult {
    ctx.regs.ah = WAIT_IN_USE;
    ctx.setCarry(true);
    return "done";
  }

  saveState(): WaitStateV1 {
    return { v: 1, startTick: this.#startTick, ticks: this.#ticks };
  }
  loadState(s: WaitStateV1): void {
    this.#startTick = s.startTick;
    this.#ticks = s.ticks;
  }
}
