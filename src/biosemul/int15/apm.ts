import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";

const VERSION = 0x0102;
const SIGNATURE = 0x504d;
/** 16-bit and 32-bit interfaces exist. */
const CAPABLE = 0x0003;
const DISABLED = 0x08;
const DISENGAGED = 0x10;
const ALL_DEVICES = 0x0001;
const DEFAULTS_DEVICE = 0xffff;

const ERROR = {
  DISABLED: 0x01,
  CONNECTED: 0x02,
  NOT_CONNECTED: 0x03,
  PM16_CONNECTED: 0x05,
  PM32_CONNECTED: 0x07,
  BAD_DEVICE: 0x09,
  BAD_RANGE: 0x0a,
  NO_EVENT: 0x80,
  UNSUPPORTED: 0x86,
} as const;

export const APM_STATE = shape.record({
  v: shape.oneOf(1),
  connection: shape.oneOf("none", "real", "pm16", "pm32"),
  enabled: shape.flag,
  engaged: shape.flag,
});
export type ApmStateV1 = Shaped<typeof APM_STATE>;

export interface ApmEntries {
  readonly pm16: number;
  readonly pm32: number;
}

/** Advanced Power Management 1.2, INT 15h/53xx and its protected-mode entries. Source: Intel/Microsoft APM BIOS interface 1.2. */
export class ApmServices {
  readonly #powerOff: () => void;
  readonly #entries: ApmEntries;
  #connection: ApmStateV1["connection"] = "none";
  #enabled = true;
  #engaged = true;
  #off = false;
  constructor(entries: ApmEntries, powerOff: () => void) {
    this.#entries = entries;
    this.#powerOff = powerOff;
  }

  /** True once the guest has turned the machine off. */
  get off(): boolean {
    return this.#off;
  }
  reset(): void {
    this.#connection = "none";
    this.#enabled = true;
    this.#engaged = true;
    this.#off = false;
  }

  handle(ctx: BiosContext): ServiceResult {
    const regs = ctx.regs;
    const al = regs.al;
    if (al <= 0x04) return this.#connect(ctx, al);
    if (this.#connection === "none") return fail(ctx, ERROR.NOT_CONNECTED);
    switch (al) {
      case 0x05:
        if (!ctx.resumed) return "wait"; // CPU idle: one HLT in the stub
        return ok(ctx);
      case 0x06:
        return ok(ctx);
      case 0x07:
        return this.#setState(ctx);
      case 0x08:
        if (regs.bx !== ALL_DEVICES && regs.bx !== DEFAULTS_DEVICE) return fail(ctx, ERROR.BAD_DEVICE);
        if (regs.cx > 1) return fail(ctx, ERROR.BAD_RANGE);
        this.#enabled = regs.cx === 1;
        return ok(ctx);
      case 0x09:
        if (regs.bx !== ALL_DEVICES && regs.bx !== DEFAULTS_DEVICE) return fail(ctx, ERROR.BAD_DEVICE);
        this.#enabled = true;
        return ok(ctx);
      case 0x0a:
        if (regs.bx !== ALL_DEVICES) return fail(ctx, ERROR.BAD_DEVICE);
        regs.bx = 0x01ff; // on line; battery unknown
        regs.cx = 0x80ff; // no system battery
        regs.dx = 0xffff;
        return ok(ctx);
      case 0x0b:
        return fail(ctx, ERROR.NO_EVENT);
      case 0x0c:
        if (regs.bx !== ALL_DEVICES) return fail(ctx, ERROR.BAD_DEVICE);
        regs.cx = 0;
        return ok(ctx);
      case 0x0d:
        if (regs.bx !== ALL_DEVICES) return fail(ctx, ERROR.BAD_DEVICE);
        if (regs.cx > 1) return fail(ctx, ERROR.BAD_RANGE);
        return ok(ctx);
      case 0x0e:
        regs.ax = Math.min(VERSION, Math.max(0x0100, regs.cx));
        ctx.setCarry(false);
        return "done";
      case 0x0f:
        if (regs.bx !== ALL_DEVICES) return fail(ctx, ERROR.BAD_DEVICE);
        if (regs.cx > 1) return fail(ctx, ERROR.BAD_RANGE);
        this.#engaged = regs.cx === 1;
        return ok(ctx);
      case 0x10:
        if (regs.bx !== 0) return fail(ctx, ERROR.BAD_DEVICE);
        regs.bl = 0;
        regs.cx = 0;
        return ok(ctx);
      default:
        return fail(ctx, ERROR.UNSUPPORTED);
    }
  }

  #connect(ctx: BiosContext, al: number): ServiceResult {
    const regs = ctx.regs;
    if (regs.bx !== 0) return fail(ctx, ERROR.BAD_DEVICE);
    if (al === 0x00) {
      regs.ax = VERSION;
      regs.bx = SIGNATURE;
      regs.cx = CAPABLE | (this.#enabled ? 0 : DISABLED) | (this.#engaged ? 0 : DISENGAGED);
      ctx.setCarry(false);
      return "done";
    }
    if (al === 0x04) {
      if (this.#connection === "none") return fail(ctx, ERROR.NOT_CONNECTED);
      this.#connection = "none";
      return ok(ctx);
    }
    if (this.#connection !== "none") {
      const code = this.#connection === "real" ? ERROR.CONNECTED : this.#connection === "pm16" ? ERROR.PM16_CONNECTED : ERROR.PM32_CONNECTED;
      return fail(ctx, code);
    }
    if (al === 0x01) {
      this.#connection = "real";
      return ok(ctx);
    }
    regs.ax = 0xf000;
    if (al === 0x02) {
      this.#connection = "pm16";
      regs.bx = this.#entries.pm16;
      regs.cx = 0xf000;
      regs.si = 0xffff;
      regs.di = 0xffff;
    } else {
      this.#connection = "pm32";
      regs.ebx = this.#entries.pm32;
      regs.cx = 0xf000;
      regs.dx = 0xf000;
      regs.esi = 0xffffffff;
      regs.di = 0xffff;
    }
    ctx.setCarry(false);
    return "done";
  }

  #setState(ctx: BiosContext): ServiceResult {
    const { bx, cx } = ctx.regs;
    if (!this.#enabled && bx === ALL_DEVICES) return fail(ctx, ERROR.DISABLED);
    if (bx !== ALL_DEVICES) return fail(ctx, ERROR.BAD_DEVICE);
    if (cx === 0 || cx > 3) return fail(ctx, ERROR.BAD_RANGE);
    if (cx === 3) {
      this.#off = true;
      this.#powerOff();
    } else if (!ctx.resumed) return "wait"; // standby and suspend end with the next interrupt
    return ok(ctx);
  }

  saveState(): ApmStateV1 {
    return { v: 1, connection: this.#connection, enabled: this.#enabled, engaged: this.#engaged };
  }
  loadState(s: ApmStateV1): void {
    this.#connection = s.connection;
    this.#enabled = s.enabled;
    this.#engaged = s.engaged;
    this.#off = false;
  }
}

function ok(ctx: BiosContext): ServiceResult {
  ctx.regs.ah = 0;
  ctx.setCarry(false);
  return "done";
}
function fail(ctx: BiosContext, code: number): ServiceResult {
  ctx.regs.ah = code;
  ctx.setCarry(true);
  return "done";
}
