import { BDA } from "../../isa/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";
import { TICKS_PER_DAY } from "../bda.ts";

const STATUS = 1;
const CONTROL = 2;
const NOT_BUSY = 0x80;
const STATUS_BITS = 0xf8;
/** Acknowledge and error are active low on the wire. */
const INVERTED = 0x48;
const TIMED_OUT = 0x01;
const SELECT_INIT = 0x0c;
const STROBE = 0x01;
const TICKS_A_SECOND = 18;
const PORTS = 3;

/** INT 17h: parallel printers. */
export class Int17 {
  #startTick = 0;

  readonly handle = (ctx: BiosContext): ServiceResult => {
    const { regs, mem, ports } = ctx;
    const unit = regs.dx;
    const base = unit < PORTS ? mem.read16(BDA.LPT + unit * 2) : 0;
    const ah = regs.ah;
    if (ah > 2) return "done";
    if (base === 0) {
      regs.ah = TIMED_OUT;
      return "done";
    }
    if (ah === 0) {
      const now = mem.read32(BDA.TICKS);
      if (!ctx.resumed) this.#startTick = now;
      if ((ports.in8(base + STATUS) & NOT_BUSY) === 0) {
        const passed = (now - this.#startTick + TICKS_PER_DAY) % TICKS_PER_DAY;
        if (passed <= mem.read8(BDA.LPT_TIMEOUT + unit) * TICKS_A_SECOND) return "poll";
        regs.ah = readStatus(ctx, base) | TIMED_OUT;
        return "done";
      }
      ports.out8(base, regs.al);
      ports.out8(base + CONTROL, SELECT_INIT | STROBE);
      ports.out8(base + CONTROL, SELECT_INIT);
    } else if (ah === 1) {
      ports.out8(base + CONTROL, 0x08);
      ports.out8(base + CONTROL, SELECT_INIT);
    }
    regs.ah = readStatus(ctx, base);
    return "done";
  };

  saveState(): { readonly startTick: number } {
    return { startTick: this.#startTick };
  }
  loadState(s: { readonly startTick: number }): void {
    this.#startTick = s.startTick;
  }
}

function readStatus(ctx: BiosContext, base: number): number {
  return (ctx.ports.in8(base + STATUS) & STATUS_BITS) ^ INVERTED;
}
