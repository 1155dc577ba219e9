import { PORT } from "../../isa/index.ts";
import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { BiosContext } from "../api.ts";

/** Polls in a row, with nothing to show for, before the next one sleeps. */
const POLLS = 200;
/** A serial line is given longer: bytes of a transfer come with gaps between them, and no interrupt tells of the next. */
const SERIAL_POLLS = 20_000;
/** A guest that runs more instructions than this between two polls has work to do. */
const GAP = 700;
const IRQ0 = 0x01;

export const IDLE_STATE = shape.record({
  polls: shape.int(0, SERIAL_POLLS),
  lastPoll: shape.count,
  registers: shape.bits32,
});
export type IdleStateV1 = Shaped<typeof IDLE_STATE>;

/**
 * Tells a guest that only waits for a key (a DOS prompt, a loader's countdown) from one that works and looks for a key now
 * and then: the same question again and again, a few instructions apart, all registers as the time before, and no other BIOS
 * service between. Such a guest may sleep until the next interrupt. The clock's tick in a register breaks the row only once a tick.
 */
export class IdleWatch {
  readonly #instructions: (() => number) | undefined;
  #polls = 0;
  #lastPoll = 0;
  #registers = 0;

  /** `instructions`: guest instructions retired so far; without it nobody is ever idle. */
  constructor(instructions: (() => number) | undefined) {
    this.#instructions = instructions;
  }

  saveState(): IdleStateV1 {
    return { polls: this.#polls, lastPoll: this.#lastPoll, registers: this.#registers };
  }
  loadState(s: IdleStateV1): void {
    this.#polls = s.polls;
    this.#lastPoll = s.lastPoll;
    this.#registers = s.registers;
  }

  /** The guest got or did something: it is not idle. */
  working(): void {
    this.#polls = 0;
  }

  /** There is no key: may the guest sleep until the next interrupt? To be asked once a call, before it was resumed. */
  noKey(ctx: BiosContext): boolean {
    return this.#count(ctx) >= POLLS && timerOn(ctx);
  }
  /** As `noKey` for an empty serial receiver. */
  noByte(ctx: BiosContext): boolean {
    return this.#count(ctx) >= SERIAL_POLLS && timerOn(ctx);
  }
  /** The poll's call returns: the guest's own instructions count from here. */
  answered(): void {
    if (this.#instructions !== undefined) this.#lastPoll = this.#instructions();
  }

  #count(ctx: BiosContext): number {
    if (this.#instructions === undefined) return 0;
    const { ebx, ecx, edx, esi, edi, ebp, esp } = ctx.regs;
    let registers = Math.imul(ebx, 3) ^ Math.imul(ecx, 5) ^ Math.imul(edx, 7) ^ Math.imul(esi, 11);
    registers ^= Math.imul(edi, 13) ^ Math.imul(ebp, 17) ^ Math.imul(esp, 19);
    const idle = registers === this.#registers && this.#instructions() - this.#lastPoll <= GAP;
    this.#registers = registers;
    this.#polls = idle ? Math.min(this.#polls + 1, SERIAL_POLLS) : 0;
    return this.#polls;
  }
}

/** Nothing wakes a guest that has masked the tick. */
function timerOn(ctx: BiosContext): boolean {
  return (ctx.ports.in8(PORT.PIC1_DATA) & IRQ0) === 0;
}
