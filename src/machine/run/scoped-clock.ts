import type { Clock, Timer } from "../../base/index.ts";
import { QueuedTimer } from "./timer-queue.ts";

/** A pending timer in a snapshot: which one (by order of making, and name), when, and its place among those of the same instant. */
export interface SavedTimer {
  readonly index: number;
  readonly name: string;
  readonly deadlineNs: number;
  readonly sequence: number;
}

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

  saveTimers(): SavedTimer[] {
    const out: SavedTimer[] = [];
    for (const [index, timer] of this.#timers.entries()) {
      const { deadlineNs } = timer;
      if (timer instanceof QueuedTimer && deadlineNs !== undefined) out.push({ index, name: timer.name, deadlineNs, sequence: timer.sequence });
    }
    return out;
  }
  /** Arms a saved timer; false when this machine has no such timer in its place. To be done in the order of `sequence`, after `cancelAll`. */
  armSaved(saved: SavedTimer): boolean {
    const timer = this.#timers[saved.index];
    if (!(timer instanceof QueuedTimer) || timer.name !== saved.name) return false;
    timer.arm(saved.deadlineNs);
    return true;
  }
}
