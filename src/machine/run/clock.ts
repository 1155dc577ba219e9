import type { Clock } from "../../base/index.ts";

/** The host's monotonic clock, for clocks that follow it: milliseconds with a fraction. */
export type HostNow = () => number;

/**
 * The guest's time as the run loop needs it. Time never passes a deadline whose timer has not fired: `nowNs` stops at the next
 * deadline until `fireDue` has run it, so a guest that lags sees its ticks one after the other instead of a heap of
 * them merged into one.
 */
export interface MachineClock extends Clock {
  /** The earliest pending deadline; undefined when no timer is armed. */
  nextDeadlineNs(): number | undefined;
  /** Fires the timers whose deadline has come, earliest first; those they arm for the same instant too (bounded). */
  fireDue(): void;
  /** How many instructions the vCPU may run before the next timer is due; at most `limit`. */
  budget(limit: number): number;
  /** The CPU is idle: how long to sleep on the host, in ms, before the next timer is due. 0: time has moved on, go on at once. */
  idle(): number | "no-timer";
  /** Somebody outside did something: a key, a byte for a serial line, a frame. */
  input(): void;
  /** The machine stood still (paused, or waiting for a person): host time that passed does not count. */
  resume(): void;
  /** Sets the time, when a snapshot is loaded: nothing is armed yet, and the vCPUs' instruction counts are in place. */
  setNow(ns: number): void;
  /** Told when a timer becomes due before the end of the running slice, so that the slice can be cut short. */
  onEarlierDeadline: (() => void) | undefined;
  /** Back to an armed-timer set as after a cold start is the devices' business; this only says how far the clock is. */
  readonly kind: "virtual" | "host";
}
