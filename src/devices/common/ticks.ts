const SECOND_NS = 1_000_000_000;

/**
 * Exact conversion between nanoseconds since power-on and ticks of a crystal. Whole seconds and the rest are scaled apart, so that
 * every product stays below 2^53: no rounding error collects, whatever the up-time. `ratePerSecond` must be below 9 MHz.
 */
export function ticksAt(ns: number, ratePerSecond: number): number {
  const seconds = Math.floor(ns / SECOND_NS);
  return seconds * ratePerSecond + Math.floor(((ns - seconds * SECOND_NS) * ratePerSecond) / SECOND_NS);
}

/** The first nanosecond at which `ticksAt` gives `tick`. */
export function nsOfTick(tick: number, ratePerSecond: number): number {
  const seconds = Math.floor(tick / ratePerSecond);
  return seconds * SECOND_NS + Math.ceil(((tick - seconds * ratePerSecond) * SECOND_NS) / ratePerSecond);
}
