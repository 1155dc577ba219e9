/** RFC 6298, in milliseconds. The wire loses nothing by itself: a long minimum spares a slow guest needless repeats. */
const MIN_RTO_MS = 600;
const MAX_RTO_MS = 60_000;

/** Round-trip estimate and retransmission time-out of one connection. */
export class RoundTrip {
  #smoothed = -1;
  #variance = 0;
  #backoff = 0;
  /** The segment being timed: its end, or undefined. */
  #timedEnd: number | undefined;
  #timedAtMs = 0;

  get rtoMs(): number {
    const base = this.#smoothed < 0 ? 1000 : Math.max(MIN_RTO_MS, this.#smoothed + 4 * this.#variance);
    return Math.min(MAX_RTO_MS, base * 2 ** this.#backoff);
  }
  /** Time-outs since the last progress. */
  get retries(): number {
    return this.#backoff;
  }

  /** A segment that ends at `end` leaves for the first time. */
  sent(end: number, nowMs: number): void {
    if (this.#timedEnd !== undefined) return;
    this.#timedEnd = end;
    this.#timedAtMs = nowMs;
  }

  /** Everything before `ack` has arrived. */
  acknowledged(ack: number, nowMs: number): void {
    this.#backoff = 0;
    if (this.#timedEnd === undefined || ((ack - this.#timedEnd) | 0) < 0) return;
    this.#timedEnd = undefined;
    const sample = nowMs - this.#timedAtMs;
    if (this.#smoothed < 0) {
      this.#smoothed = sample;
      this.#variance = sample / 2;
    } else {
      this.#variance = 0.75 * this.#variance + 0.25 * Math.abs(this.#smoothed - sample);
      this.#smoothed = 0.875 * this.#smoothed + 0.125 * sample;
    }
  }

  /** Something is sent again: what was timed says nothing any more (Karn). */
  repeated(): void {
    this.#timedEnd = undefined;
  }

  backOff(): void {
    this.#backoff++;
    this.#timedEnd = undefined;
  }
}
