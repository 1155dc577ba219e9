import { BDA, UART_REGISTER } from "../../isa/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";
import { TICKS_PER_DAY } from "../bda.ts";
import { BAUD_DIVISORS } from "../rom/data.ts";
import type { IdleWatch } from "./idle.ts";

const { DATA, DLM, IER, LCR, MCR, LSR, MSR } = UART_REGISTER;
const LCR_DLAB = 0x80;
const LSR_READY = 0x01;
const LSR_ERRORS = 0x1e;
const LSR_EMPTY = 0x20;
const TIMED_OUT = 0x80;
const DTR_RTS = 0x03;
const TICKS_A_SECOND = 18;
/** Divisor of 19200 baud, the ninth rate of the extended initialisation. */
const DIVISOR_19200 = 6;
const PORTS = 4;

/**
 * INT 14h: serial ports through the line's registers. A FOSSIL driver answers AH=04 with AX=1954h; this BIOS never does, so
 * probes see that none is there. Functions above 05 change nothing.
 */
export class Int14 {
  #startTick = 0;
  readonly #idle: IdleWatch;

  constructor(idle: IdleWatch) {
    this.#idle = idle;
  }

  readonly handle = (ctx: BiosContext): ServiceResult => {
    const { regs, mem } = ctx;
    const unit = regs.dx;
    const base = unit < PORTS ? mem.read16(BDA.COM + unit * 2) : 0;
    const ah = regs.ah;
    if (ah !== 0x03) this.#idle.working();
    if (ah > 5) return "done";
    if (base === 0) {
      regs.ah = TIMED_OUT;
      return "done";
    }
    switch (ah) {
      case 0x00:
        setLine(ctx, base, BAUD_DIVISORS[regs.al >>> 5] ?? 12, regs.al & 0x1f);
        return status(ctx, base);
      case 0x01:
        return this.#send(ctx, base, unit);
      case 0x02:
        return this.#receive(ctx, base, unit);
      case 0x03:
        return this.#poll(ctx, base);
      case 0x04:
        return extendedInit(ctx, base);
      default:
        if (regs.al === 0) regs.bl = ctx.ports.in8(base + MCR);
        else if (regs.al === 1) ctx.ports.out8(base + MCR, regs.bl & 0x1f);
        return status(ctx, base);
    }
  };

  /** True while the port's time-out has not passed; starts counting on the first ask of a call. */
  #timeLeft(ctx: BiosContext, unit: number): boolean {
    const now = ctx.mem.read32(BDA.TICKS);
    if (!ctx.resumed) this.#startTick = now;
    const passed = (now - this.#startTick + TICKS_PER_DAY) % TICKS_PER_DAY;
    return passed <= ctx.mem.read8(BDA.COM_TIMEOUT + unit) * TICKS_A_SECOND;
  }

  #send(ctx: BiosContext, base: number, unit: number): ServiceResult {
    const { regs, ports } = ctx;
    if (!ctx.resumed) ports.out8(base + MCR, ports.in8(base + MCR) | DTR_RTS);
    const line = ports.in8(base + LSR);
    if ((line & LSR_EMPTY) === 0) {
      if (this.#timeLeft(ctx, unit)) return "poll";
      regs.ah = (line & 0x7f) | TIMED_OUT;
      return "done";
    }
    ports.out8(base + DATA, regs.al);
    regs.ah = line & 0x7f;
    return "done";
  }

  #receive(ctx: BiosContext, base: number, unit: number): ServiceResult {
    const { regs, ports } = ctx;
    if (!ctx.resumed) ports.out8(base + MCR, (ports.in8(base + MCR) & ~2) | 1);
    const line = ports.in8(base + LSR);
    if ((line & LSR_READY) === 0) {
      if (this.#timeLeft(ctx, unit)) return "poll";
      regs.ah = (line & 0x7f) | TIMED_OUT;
      return "done";
    }
    regs.al = ports.in8(base + DATA);
    regs.ah = line & LSR_ERRORS;
    return "done";
  }

  /** The line's state; a guest that asks for nothing else sleeps between two looks. */
  #poll(ctx: BiosContext, base: number): ServiceResult {
    const line = ctx.ports.in8(base + LSR); // reading clears the errors in it
    if ((line & (LSR_READY | LSR_ERRORS)) !== 0) this.#idle.working();
    else if (!ctx.resumed && this.#idle.noByte(ctx)) return "wait";
    this.#idle.answered();
    ctx.regs.ax = ((line & 0x7f) << 8) | (ctx.ports.in8(base + MSR) & 0xff);
    return "done";
  }

  saveState(): { readonly startTick: number } {
    return { startTick: this.#startTick };
  }
  loadState(s: { readonly startTick: number }): void {
    this.#startTick = s.startTick;
  }
}

function setLine(ctx: BiosContext, base: number, divisor: number, line: number): void {
  const { ports } = ctx;
  ports.out8(base + LCR, LCR_DLAB);
  ports.out8(base + DATA, divisor & 0xff);
  ports.out8(base + DLM, divisor >>> 8);
  ports.out8(base + LCR, line);
  ports.out8(base + IER, 0);
}

function status(ctx: BiosContext, base: number): ServiceResult {
  ctx.regs.ax = ((ctx.ports.in8(base + LSR) & 0x7f) << 8) | (ctx.ports.in8(base + MSR) & 0xff);
  return "done";
}

/** AH=04: BH parity, BL stop bits, CH length, CL rate, AL break. */
function extendedInit(ctx: BiosContext, base: number): ServiceResult {
  const { al, bh, bl, ch, cl } = ctx.regs;
  const parity = [0x00, 0x08, 0x18, 0x28, 0x38][bh];
  const divisor = cl === 8 ? DIVISOR_19200 : BAUD_DIVISORS[cl];
  if (parity === undefined || divisor === undefined || ch > 3 || bl > 1 || al > 1) {
    ctx.regs.ah = TIMED_OUT;
    return "done";
  }
  setLine(ctx, base, divisor, parity | ch | (bl << 2) | (al << 6));
  return status(ctx, base);
}
