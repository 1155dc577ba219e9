import type { HostNow, MachineClock } from "./clock.ts";
import { QueueClock } from "./timer-queue.ts";

/** Time constant, in host time, with which a guest that lags behind catches up: its clock runs faster by lag / CATCH_UP_NS. */
const CATCH_UP_NS = 2_000_000;
/** How many times as fast as the host's a guest's clock runs at most: between two late ticks the guest gets time to serve the first. */
const MAX_SPEED = 16;
/** Lost time beyond this is gone for good (the host slept, a debugger stopped us). */
const MAX_LAG_NS = 2_000_000_000;
/** Guest time between two looks at the host's clock: a guest may become fifty times slower from one moment to the next. */
const LOOK_NS = 1_000_000;
/** A stretch of instructions that is long enough to take an interrupt and serve it. */
const MIN_INSTRUCTIONS = 1000;

/**
 * Time is the host's. What a guest was held up by (a busy host, a slice that took longer than it should) is a lag: its timers come in order, each
 * with a stretch of instructions of its own, while its clock runs faster until it is right again. A guest that sleeps is right at once.
 */
export class HostClock extends QueueClock implements MachineClock {
  readonly kind = "host";
  readonly #hostNow: HostNow;
  readonly #instructions: () => number;
  /** What the guest saw last; when, on the host; and by how much it was behind. */
  #guestNs = 0;
  #lookedNs = 0;
  #lagNs = 0;
  /** No time passes: before the guest first runs (power-on is not when its parts are made), and while timers fire. */
  #held = true;
  #started = false;
  /** Guest instructions a nanosecond of the host, learnt from the slices that ran. */
  #rate = 0.05;
  #sliceStartNs = 0;
  #sliceStartCount = 0;
  /** The running slice ends when the guest sees time come to a deadline: it is not to wait for its interrupt then. */
  #cuts = false;
  /** Timers have fired since the guest last ran: it gets a stretch to serve them, be the next one due or not. */
  #fired = false;

  constructor(instructions: () => number, hostNow: HostNow) {
    super();
    this.#instructions = instructions;
    this.#hostNow = hostNow;
  }
  /** The guest's nanoseconds a nanosecond of the host at present. */
  get #speed(): number {
    return Math.min(MAX_SPEED, 1 + this.#lagNs / CATCH_UP_NS);
  }
  /** Host time that has passed since the last look, in ns. */
  #passed(): number {
    const host = this.#hostNow() * 1e6;
    const passed = Math.max(0, host - this.#lookedNs);
    this.#lookedNs = host;
    return passed;
  }
  nowNs(): number {
    if (this.#held) return this.#guestNs;
    const passed = this.#passed();
    this.#advance(passed, passed + Math.min(this.#lagNs, passed * (this.#speed - 1)));
    if (this.#cuts && this.#guestNs >= (this.queue.first?.deadline ?? Number.MAX_SAFE_INTEGER)) {
      this.#cuts = false;
      this.onEarlierDeadline?.();
    }
    return this.#guestNs;
  }
  /** `passed` ns of the host are `wanted` ns of the guest, but no further than the next deadline. */
  #advance(passed: number, wanted: number): void {
    const room = (this.queue.first?.deadline ?? Number.MAX_SAFE_INTEGER) - this.#guestNs;
    const ahead = Math.max(0, Math.floor(Math.min(wanted, room)));
    this.#guestNs += ahead;
    this.#lagNs = Math.min(MAX_LAG_NS, Math.max(0, this.#lagNs + passed - ahead));
  }
  fireDue(): void {
    this.sliceEndNs = 0;
    this.#cuts = false;
    this.#learn();
    const now = this.nowNs();
    const deadline = this.queue.first?.deadline;
    this.#fired = deadline !== undefined && deadline <= now;
    if (deadline === undefined || deadline > now) return;
    // Only this instant's timers: the guest runs before the next deadline is looked at.
    const held = this.#held;
    this.#held = true;
    this.queue.fireUntil(deadline, () => {});
    this.#held = held;
  }
  budget(limit: number): number {
    if (!this.#started) {
      this.#started = true;
      this.#held = false;
      this.#passed();
    }
    const now = this.nowNs();
    const deadline = this.queue.first?.deadline ?? Number.MAX_SAFE_INTEGER;
    const stretchNs = Math.min(deadline - now, LOOK_NS);
    // (Due since the last look: one instruction, for the guest may see that.)
    const shortest = deadline <= now && !this.#fired ? 1 : MIN_INSTRUCTIONS;
    const instructions = Math.min(limit, Math.max(shortest, Math.ceil((stretchNs * this.#rate) / this.#speed)));
    this.sliceEndNs = Math.max(now, Math.min(deadline, now + LOOK_NS));
    // (One that is late already comes behind its stretch of instructions.)
    this.#cuts = deadline > now;
    this.#sliceStartNs = this.#lookedNs;
    this.#sliceStartCount = this.#instructions();
    return instructions;
  }
  #learn(): void {
    if (this.#sliceStartNs === 0) return;
    const ns = this.#hostNow() * 1e6 - this.#sliceStartNs;
    const count = this.#instructions() - this.#sliceStartCount;
    this.#sliceStartNs = 0;
    if (ns < 20_000 || count < MIN_INSTRUCTIONS) return;
    // A guest that became slow is believed at once: the next slice would be late as well.
    const rate = count / ns;
    this.#rate = Math.min(4, Math.max(0.001, rate < this.#rate ? rate : this.#rate * 0.75 + rate * 0.25));
  }
  idle(): number | "no-timer" {
    const passed = this.#passed();
    this.#advance(passed, passed + this.#lagNs);
    const deadline = this.queue.first?.deadline;
    return deadline === undefined ? "no-timer" : (deadline - this.#guestNs) / 1e6;
  }
  input(): void {}
  setNow(ns: number): void {
    this.#guestNs = ns;
    this.#lagNs = 0;
    this.#sliceStartNs = 0;
    this.#started = false;
    this.#held = true;
  }
  resume(): void {
    this.#passed();
  }
}
