import type { Clock, Timer } from "../base/index.ts";

/** A clock for one generation of chips: a hard reset replaces the chips, and none of the old ones' timers may fire again. */
export class ScopedClock implements Clock {
  readonly #clock: Clock;
  readonly #timers: Timer[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }
  nowNs(): number {
    return this.#clock.nowNs();
  }
  createTimer(name: string, callback: () => void): Timer {
    const timer = this.#clock.createTimer(name, callback);
    this.#timers.push(timer);
    return timer;
  }
  cancelAll(): void {
    for (const timer of this.#timers) timer.cancel();
  }
}
