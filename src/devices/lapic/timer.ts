import { shape } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";

export const TIMER_ONE_SHOT = 0;
export const TIMER_PERIODIC = 1;
export const TIMER_DEADLINE = 2;

/** Periods of the guest's choosing shorter than this give merged interrupts; the count itself stays exact. */
const MIN_PERIOD_NS = 5_000;

/** Divide configuration, bits 3, 1 and 0: 2, 4, 8, 16, 32, 64, 128, 1. */
const divisor = (configuration: number): number => {
  const code = ((configuration >>> 1) & 4) | (configuration & 3);
  return code === 7 ? 1 : 2 << code;
};

export const LAPIC_TIMER_STATE = shape.record({
  v: shape.oneOf(1),
  mode: shape.int(TIMER_ONE_SHOT, 3),
  divide: shape.dword,
  initial: shape.dword,
  epochNs: shape.real,
  epochCount: shape.dword,
  running: shape.flag,
  deadline: shape.digits("decimal"),
});
export type LapicTimerStateV1 = Shaped<typeof LAPIC_TIMER_STATE>;

/**
 * The APIC timer. SDM vol. 3A 11.5.4. Counts a clock of `tickNs` per tick, divided; the count is computed from the time at which it was last
 * set, so nothing drifts. In TSC-deadline mode it waits for the guest's time-stamp counter instead.
 */
export class LapicTimer {
  readonly #clock: Clock;
  readonly #timer: Timer;
  readonly #tickNs: number;
  readonly #guestTsc: () => number;
  readonly #expired: () => void;
  #mode = TIMER_ONE_SHOT;
  #divide = 0;
  #initial = 0;
  /** The count was `#epochCount` at `#epochNs`. */
  #epochNs = 0;
  #epochCount = 0;
  #running = false;
  #deadline = 0n;

  /** `guestTsc` counts nanoseconds from wherever the guest set it. */
  constructor(options: {
    readonly clock: Clock;
    readonly name: string;
    readonly tickNs: number;
    readonly guestTsc: () => number;
    readonly expired: () => void;
  }) {
    this.#clock = options.clock;
    this.#tickNs = options.tickNs;
    this.#guestTsc = options.guestTsc;
    this.#expired = options.expired;
    this.#timer = options.clock.createTimer(options.name, () => this.#fire());
  }

  get initial(): number {
    return this.#initial;
  }
  get divide(): number {
    return this.#divide;
  }
  get deadline(): bigint {
    return this.#deadline;
  }

  /** A one-shot count that reads zero has expired, be the clock's call on its way or not: to be said before a register changes that matters to it. */
  settle(): void {
    if (this.#mode !== TIMER_ONE_SHOT || !this.#running || this.current() !== 0) return;
    this.#running = false;
    this.#timer.cancel();
    this.#expired();
  }

  /** LVT timer mode bits. A change to or from deadline mode disarms; from one-shot to periodic, a count that has expired does not start again. */
  setMode(mode: number): void {
    if (mode === this.#mode) return;
    this.settle();
    if (mode === TIMER_DEADLINE || this.#mode === TIMER_DEADLINE) this.#stop();
    else this.#rebase();
    this.#mode = mode;
    this.#arm();
  }

  setDivide(configuration: number): void {
    this.settle();
    this.#rebase();
    this.#divide = configuration & 0x0b;
    this.#arm();
  }

  setInitial(count: number): void {
    if (this.#mode === TIMER_DEADLINE) return;
    this.settle();
    this.#initial = count;
    this.#epochNs = this.#clock.nowNs();
    this.#epochCount = count;
    this.#running = count !== 0;
    this.#arm();
  }

  /**
   * IA32_TSC_DEADLINE: zero disarms, what has passed expires at once, before the guest's next instruction; ignored in the other modes. Written again
   * with its value when the guest moved its counter.
   */
  setDeadline(deadline: bigint): void {
    if (this.#mode !== TIMER_DEADLINE) return;
    this.#deadline = deadline;
    if (deadline !== 0n && Number(deadline) <= this.#guestTsc()) {
      this.#deadline = 0n;
      this.#timer.cancel();
      this.#expired();
    } else this.#arm();
  }

  current(): number {
    if (!this.#running) return 0;
    const ticks = this.#ticks();
    if (ticks < this.#epochCount) return this.#epochCount - ticks;
    return this.#mode === TIMER_PERIODIC && this.#initial !== 0 ? this.#initial - ((ticks - this.#epochCount) % this.#initial) : 0;
  }

  reset(): void {
    this.#stop();
    this.#mode = TIMER_ONE_SHOT;
    this.#divide = 0;
  }

  /** For good: the chip is replaced. */
  dispose(): void {
    this.#timer.cancel();
  }

  saveState(): LapicTimerStateV1 {
    return {
      v: 1,
      mode: this.#mode,
      divide: this.#divide,
      initial: this.#initial,
      epochNs: this.#epochNs,
      epochCount: this.#epochCount,
      running: this.#running,
      deadline: this.#deadline.toString(),
    };
  }

  loadState(s: LapicTimerStateV1): void {
    this.#mode = s.mode;
    this.#divide = s.divide;
    this.#initial = s.initial;
    this.#epochNs = s.epochNs;
    this.#epochCount = s.epochCount;
    this.#running = s.running;
    this.#deadline = BigInt(s.deadline);
    this.#arm();
  }

  #stepNs(): number {
    return this.#tickNs * divisor(this.#divide);
  }

  /** Ticks since the epoch. */
  #ticks(): number {
    return Math.floor((this.#clock.nowNs() - this.#epochNs) / this.#stepNs());
  }

  /** Makes now the epoch, so that what follows may count differently. */
  #rebase(): void {
    if (!this.#running) return;
    const count = this.current();
    this.#epochNs = this.#clock.nowNs();
    this.#epochCount = count;
  }

  #stop(): void {
    this.#running = false;
    this.#initial = 0;
    this.#epochCount = 0;
    this.#deadline = 0n;
    this.#timer.cancel();
  }

  #arm(): void {
    if (this.#mode === TIMER_DEADLINE) {
      if (this.#deadline === 0n) this.#timer.cancel();
      else this.#timer.arm(this.#clock.nowNs() + Math.max(0, Number(this.#deadline) - this.#guestTsc()));
    } else if (!this.#running) this.#timer.cancel();
    else {
      const now = this.#clock.nowNs();
      const step = this.#stepNs();
      let next = this.#epochNs + this.#epochCount * step;
      if (next <= now && this.#mode === TIMER_PERIODIC) {
        const period = Math.max(1, this.#initial) * step;
        next += (Math.floor((now - next) / period) + 1) * period;
      }
      this.#timer.arm(this.#mode === TIMER_PERIODIC ? Math.max(next, now + MIN_PERIOD_NS) : next);
    }
  }

  #fire(): void {
    if (this.#mode === TIMER_DEADLINE) {
      if (this.#deadline === 0n) return;
      // The guest's counter may have been set back since.
      if (Number(this.#deadline) > this.#guestTsc()) {
        this.#arm();
        return;
      }
      this.#deadline = 0n;
    } else if (this.#mode === TIMER_ONE_SHOT) {
      this.#running = false;
    } else if (this.#running) this.#arm();
    this.#expired();
  }
}
