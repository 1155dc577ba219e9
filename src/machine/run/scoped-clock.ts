import { shape, VmmError } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";
import { QueuedTimer } from "./timer-queue.ts";

/** A pending timer in a snapshot: which one (by order of making, and name), when, and its place among those of the same instant. */
export const SAVED_TIMER = shape.record({
  index: shape.count,
  name: shape.text(256),
  deadlineNs: shape.count,
  sequence: shape.count,
});
export type SavedTimer = Shaped<typeof SAVED_TIMER>;

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
  /** Arms a saved timer. To be done in the order of `sequence`, after `cancelAll`. */
  armSaved(saved: SavedTimer): void {
    const timer = this.#timers[saved.index];
    if (!(timer instanceof QueuedTimer) || timer.name !== saved.name)
      throw new VmmError("SNAPSHOT_MACHINE", `the machine has no timer "${saved.name}": it has other devices than the saved one`);
    timer.arm(saved.deadlineNs);
  }
}

/** Arms what was armed when the snapshot was taken, and nothing else, in the order of arming over all clocks. */
export function armSavedTimers(scopes: readonly { readonly clock: ScopedClock; readonly timers: readonly SavedTimer[] }[]): void {
  for (const { clock } of scopes) clock.cancelAll();
  const timers = scopes.flatMap(({ clock, timers }) => timers.map((timer) => ({ clock, timer })));
  for (const { clock, timer } of timers.sort((a, b) => a.timer.sequence - b.timer.sequence)) clock.armSaved(timer);
}
