import { EBDA, PORT } from "../../isa/index.ts";
import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";
import { ebdaSegment } from "../bda.ts";

const STATUS_FULL = 0x01;
const STATUS_AUX = 0x20;
const WRITE_COMMAND_BYTE = 0x60;
const WRITE_AUX = 0xd4;
const ENABLE_AUX = 0xa8;
/** Command bytes: translation, system flag, IRQ1; then IRQ12 (02h) or auxiliary clock off (20h). */
const COMMAND_TALK = 0x45;
const COMMAND_RUN = 0x47;
const COMMAND_OFF = 0x65;
const ACK = 0xfa;
const RESEND = 0xfe;
const ERROR = { FUNCTION: 1, INPUT: 2, INTERFACE: 3, RESEND: 4, NO_HANDLER: 5 } as const;
const HANDLER_INSTALLED = 0x80;
/** Polls before the stub sleeps instead, and sleeps (to the next interrupt) before the mouse counts as dead. */
const POLLS = 256;
const SLEEPS = 40;
const RATES = [10, 20, 40, 60, 80, 100, 200] as const;

export const MOUSE_STATE = shape.record({
  v: shape.oneOf(1),
  enabled: shape.flag,
  send: shape.list(shape.byte, 16, 0),
  replies: shape.list(shape.byte, 64, 0),
  expected: shape.byte,
  awaitingAck: shape.flag,
  polls: shape.count,
  sleeps: shape.count,
});
export type MouseStateV1 = Shaped<typeof MOUSE_STATE>;

/** INT 15h/C2xx, the PS/2 pointing device, and the packet half of INT 74h. */
export class MouseServices {
  readonly #present: boolean;
  #enabled = false;
  /** The exchange under way: bytes still to send, and how many replies are wanted after the last acknowledge. */
  #send: number[] = [];
  #replies: number[] = [];
  #expected = 0;
  #awaitingAck = false;
  #polls = 0;
  #sleeps = 0;

  constructor(present: boolean) {
    this.#present = present;
  }

  reset(): void {
    this.#enabled = false;
    this.#send = [];
    this.#replies = [];
    this.#expected = 0;
    this.#awaitingAck = false;
  }

  handle(ctx: BiosContext): ServiceResult {
    const regs = ctx.regs;
    if (!this.#present) return fail(ctx, ERROR.INTERFACE);
    const al = regs.al;
    if (al === 0x07) return this.#setHandler(ctx);
    if (!ctx.resumed) {
      const error = this.#begin(ctx, al);
      if (error !== 0) return fail(ctx, error);
    }
    const progress = this.#exchange(ctx);
    if (progress === "poll" || progress === "wait") return progress;
    this.#listen(ctx);
    if (progress !== "done") return fail(ctx, progress);
    this.#finish(ctx, al);
    return "done";
  }

  /** Sets the exchange up; an error code, or 0. */
  #begin(ctx: BiosContext, al: number): number {
    const { bh, bl } = ctx.regs;
    const talk = (send: number[], expected: number): number => {
      this.#send = send;
      this.#expected = expected;
      this.#replies = [];
      this.#awaitingAck = false;
      this.#polls = 0;
      this.#sleeps = 0;
      ctx.ports.out8(PORT.KBC_STATUS, ENABLE_AUX);
      commandByte(ctx, COMMAND_TALK);
      return 0;
    };
    switch (al) {
      case 0x00:
        if (bh > 1) return ERROR.INPUT;
        if (bh === 1 && (ctx.mem.read8(ebda(ctx) + EBDA.MOUSE_FLAGS2) & HANDLER_INSTALLED) === 0) return ERROR.NO_HANDLER;
        return talk([bh === 1 ? 0xf4 : 0xf5], 0);
      case 0x01:
        return talk([0xff], 2);
      case 0x02: {
        const rate = RATES[bh];
        return rate === undefined ? ERROR.INPUT : talk([0xf3, rate], 0);
      }
      case 0x03:
        return bh > 3 ? ERROR.INPUT : talk([0xe8, bh], 0);
      case 0x04:
        return talk([0xf2], 1);
      case 0x05:
        return bh < 1 || bh > 8 ? ERROR.INPUT : talk([0xff], 2);
      case 0x06:
        if (bh === 0) return talk([0xe9], 3);
        return bh > 2 ? ERROR.INPUT : talk([bh === 1 ? 0xe6 : 0xe7], 0);
      case 0x08:
        return talk([bl], 0);
      case 0x09:
        return talk([], 3);
      default:
        return ERROR.FUNCTION;
    }
  }

  /** Goes as far as the controller lets it. */
  #exchange(ctx: BiosContext): "poll" | "wait" | "done" | number {
    for (;;) {
      if (!this.#awaitingAck && this.#replies.length >= this.#expected && this.#send.length === 0) return "done";
      if (!this.#awaitingAck && this.#send.length > 0) {
        ctx.ports.out8(PORT.KBC_STATUS, WRITE_AUX);
        ctx.ports.out8(PORT.KBC_DATA, this.#send[0] ?? 0);
        this.#awaitingAck = true;
      }
      if ((ctx.ports.in8(PORT.KBC_STATUS) & (STATUS_FULL | STATUS_AUX)) !== (STATUS_FULL | STATUS_AUX)) {
        if (this.#polls++ < POLLS) return "poll";
        this.#polls = 0;
        return this.#sleeps++ < SLEEPS ? "wait" : ERROR.INTERFACE;
      }
      const byte = ctx.ports.in8(PORT.KBC_DATA) & 0xff;
      if (!this.#awaitingAck) this.#replies.push(byte);
      else if (byte === ACK) {
        this.#awaitingAck = false;
        this.#send.shift();
      } else if (byte === RESEND) return ERROR.RESEND;
      else if (this.#sleeps++ >= SLEEPS) return ERROR.INTERFACE; // movement packets of a mouse that still reports
    }
  }

  /** The command byte for the time after the exchange. */
  #listen(ctx: BiosContext): void {
    commandByte(ctx, this.#enabled ? COMMAND_RUN : COMMAND_OFF);
  }

  #finish(ctx: BiosContext, al: number): void {
    const { regs, mem } = ctx;
    const area = ebda(ctx);
    const reply = (i: number): number => this.#replies[i] ?? 0;
    switch (al) {
      case 0x00:
        this.#enabled = regs.bh === 1;
        mem.write8(area + EBDA.MOUSE_FLAGS1, 0);
        this.#listen(ctx);
        break;
      case 0x05:
        mem.write8(area + EBDA.MOUSE_FLAGS2, (mem.read8(area + EBDA.MOUSE_FLAGS2) & 0xf8) | (regs.bh - 1));
        this.#afterReset(ctx);
        break;
      case 0x01:
        regs.bx = (reply(1) << 8) | reply(0);
        this.#afterReset(ctx);
        break;
      case 0x04:
        regs.bh = reply(0);
        break;
      case 0x06:
        if (regs.bh !== 0) break;
        regs.bl = reply(0);
        regs.cl = reply(1);
        regs.dl = reply(2);
        break;
      case 0x09:
        regs.bl = reply(0);
        regs.cl = reply(1);
        regs.dl = reply(2);
        break;
      default:
        break;
    }
    regs.ah = 0;
    ctx.setCarry(false);
  }

  #afterReset(ctx: BiosContext): void {
    this.#enabled = false;
    ctx.mem.write8(ebda(ctx) + EBDA.MOUSE_FLAGS1, 0);
    this.#listen(ctx);
  }

  #setHandler(ctx: BiosContext): ServiceResult {
    const { regs, mem } = ctx;
    const area = ebda(ctx);
    const segment = regs.selector("es");
    const offset = regs.bx;
    mem.write16(area + EBDA.MOUSE_HANDLER, offset);
    mem.write16(area + EBDA.MOUSE_HANDLER + 2, segment);
    const flags = mem.read8(area + EBDA.MOUSE_FLAGS2);
    const installed = segment !== 0 || offset !== 0;
    mem.write8(area + EBDA.MOUSE_FLAGS2, installed ? flags | HANDLER_INSTALLED : flags & ~HANDLER_INSTALLED & 0xff);
    regs.ah = 0;
    ctx.setCarry(false);
    return "done";
  }

  /** INT 74h: takes one byte. With a packet complete and a handler there: SI=1, status, X, Y, Z in AX, BX, CX, DX, DS = EBDA. */
  interrupt(ctx: BiosContext): ServiceResult {
    const { regs, mem } = ctx;
    const area = ebda(ctx);
    regs.si = 0;
    const full = STATUS_FULL | STATUS_AUX;
    if ((ctx.ports.in8(PORT.KBC_STATUS) & full) !== full) return "done";
    const byte = ctx.ports.in8(PORT.KBC_DATA) & 0xff;
    const flags2 = mem.read8(area + EBDA.MOUSE_FLAGS2);
    if ((flags2 & HANDLER_INSTALLED) === 0) return "done";
    const flags1 = mem.read8(area + EBDA.MOUSE_FLAGS1);
    const index = flags1 & 7;
    if (index === 0 && (byte & 0x08) === 0) return "done"; // bit 3 of the first byte is always one
    mem.write8(area + EBDA.MOUSE_DATA + index, byte);
    const last = flags2 & 7;
    if (index < last) {
      mem.write8(area + EBDA.MOUSE_FLAGS1, (flags1 & 0xf8) | (index + 1));
      return "done";
    }
    mem.write8(area + EBDA.MOUSE_FLAGS1, flags1 & 0xf8);
    const data = (i: number): number => (i <= last ? mem.read8(area + EBDA.MOUSE_DATA + i) : 0);
    regs.ax = data(0);
    regs.bx = data(1);
    regs.cx = data(2);
    regs.dx = data(3);
    regs.si = 1;
    regs.setRealSegment("ds", ebdaSegment(mem));
    return "done";
  }

  saveState(): MouseStateV1 {
    return {
      v: 1,
      enabled: this.#enabled,
      send: [...this.#send],
      replies: [...this.#replies],
      expected: this.#expected,
      awaitingAck: this.#awaitingAck,
      polls: this.#polls,
      sleeps: this.#sleeps,
    };
  }
  loadState(s: MouseStateV1): void {
    this.#enabled = s.enabled;
    this.#send = [...s.send];
    this.#replies = [...s.replies];
    this.#expected = s.expected;
    this.#awaitingAck = s.awaitingAck;
    this.#polls = s.polls;
    this.#sleeps = s.sleeps;
  }
}

/** Linear address of the extended BIOS data area. */
function ebda(ctx: BiosContext): number {
  return ebdaSegment(ctx.mem) * 16;
}

function commandByte(ctx: BiosContext, value: number): void {
  ctx.ports.out8(PORT.KBC_STATUS, WRITE_COMMAND_BYTE);
  ctx.ports.out8(PORT.KBC_DATA, value);
}

function fail(ctx: BiosContext, code: number): ServiceResult {
  ctx.regs.ah = code;
  ctx.setCarry(true);
  return "done";
}
