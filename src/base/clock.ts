/**
 * The guest's time. Nanoseconds since power-on as an integer `number` (good for 104 days); devices never
 * read the host's clock. `machine/` implements it over the instruction count (virtual) or the host's clock.
 */
export interface Clock {
  /** Nanoseconds since power-on; never goes back. */
  nowNs(): number;
  /** Makes a disarmed one-shot timer; `callback` runs at or after the deadline, never inside `arm`. */
  createTimer(name: string, callback: () => void): Timer;
}

export interface Timer {
  /** Fires once when `nowNs()` reaches `deadlineNs`; replaces an earlier deadline. */
  arm(deadlineNs: number): void;
  cancel(): void;
  /** The pending deadline, or undefined when disarmed. */
  readonly deadlineNs: number | undefined;
}

/** A hand-driven clock for unit tests: time moves only by `advanceTo`/`advanceBy`, firing timers in order. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<ManualTimer>();

  nowNs(): number {
    return this.#now;
  }

  createTimer(name: string, callback: () => void): Timer {
    const timer = new ManualTimer(name, callback);
    this.#timers.add(timer);
    return timer;
  }

  advanceBy(ns: number): void {
    this.advanceTo(this.#now + ns);
  }

  advanceTo(ns: number): void {
    for (;;) {
      let next: ManualTimer | undefined;
      let deadline = ns;
      for (const timer of this.#timers) {
        if (timer.deadlineNs !== undefined && timer.deadlineNs <= deadline && (next === undefined || timer.deadlineNs < deadline)) {
          next = timer;
          deadline = timer.deadlineNs;
        }
      }
      if (next === undefined) break;
      this.#now = Math.max(this.#now, deadline);
      next.fire();
    }
    this.#now = Math.max(this.#now, ns);
  }
}

class ManualTimer implements Timer {
  readonly name: string;
  readonly #callback: () => void;
  #deadlineNs: number | undefined;

  constructor(name: string, callback: () => void) {
    this.name = name;
    this.#callback = callback;
  }

  get deadlineNs(): number | undefined {
    return this.#deadlineNs;
  }

  arm(deadlineNs: number): void {
    this.#deadlineNs = deadlineNs;
  }

  cancel(): void {
    this.#deadlineNs = undefined;
  }

  fire(): void {
    this.#deadlineNs = undefined;
    this.#callback();
  }
}
