import type { HostNow, MachineClock } from "./clock.ts";
import { QueueClock } from "./timer-queue.ts";

/** An idle stretch shorter than this is not worth a sleep of the host. */
const MIN_SLEEP_NS = 100_000;

/**
 * Time is the number of guest instructions: `instructionsPerUs` of them make a microsecond, and an idle CPU jumps to the
 * next deadline. The same disk and the same keys give the same run, bit for bit, on any host.
 */
export class VirtualClock extends QueueClock implements MachineClock {
  readonly kind = "virtual";
  readonly #nsPerInstruction: number;
  readonly #instructions: () => number;
  /** Time that no instruction accounts for: jumps over idle stretches. */
  #skippedNs = 0;
  readonly #hostNow: HostNow;
  /** Idle time that may be skipped after input from outside, and what is left of it. */
  readonly #mayNs: number;
  #leftNs: number;
  /** When the idle stretch under way began on the host, if it passes as on the wall. */
  #idleSinceMs: number | undefined;

  /**
   * `instructions` is the vCPU's exact count; `nsPerInstruction` a whole number, so that time is exact. Idle stretches take no time on the host,
   * `skipNs` of them at most without input; what is beyond passes as on the wall: the time-outs of a guest that waits for somebody outside would
   * pass at once otherwise.
   */
  constructor(instructions: () => number, nsPerInstruction: number, hostNow: HostNow, skipNs = Number.POSITIVE_INFINITY) {
    super();
    this.#instructions = instructions;
    this.#nsPerInstruction = nsPerInstruction;
    this.#hostNow = hostNow;
    this.#mayNs = this.#leftNs = skipNs;
  }
  nowNs(): number {
    return this.#instructions() * this.#nsPerInstruction + this.#skippedNs;
  }
  fireDue(): void {
    this.sliceEndNs = 0;
    this.#endIdle();
    this.queue.fireUntil(this.nowNs(), () => {});
  }
  budget(limit: number): number {
    const now = this.nowNs();
    const deadline = this.queue.first?.deadline ?? Number.MAX_SAFE_INTEGER;
    const instructions = Math.max(1, Math.min(limit, Math.ceil((deadline - now) / this.#nsPerInstruction)));
    this.sliceEndNs = now + instructions * this.#nsPerInstruction;
    return instructions;
  }
  idle(): number | "no-timer" {
    const deadline = this.queue.first?.deadline;
    const aheadNs = deadline === undefined ? 0 : Math.max(0, deadline - this.nowNs());
    const skips = aheadNs <= this.#leftNs && this.#leftNs > 0;
    this.#idleSinceMs = skips ? undefined : this.#hostNow();
    if (deadline === undefined) return "no-timer";
    if (!skips && aheadNs > MIN_SLEEP_NS) return aheadNs / 1e6;
    this.#idleSinceMs = undefined;
    this.#skippedNs += aheadNs;
    this.#leftNs = Math.max(0, this.#leftNs - aheadNs);
    return 0;
  }
  input(): void {
    this.#leftNs = this.#mayNs;
  }
  /** An idle stretch on the wall is over: it counts, but not beyond the deadline that was to end it. */
  #endIdle(): void {
    if (this.#idleSinceMs === undefined) return;
    const passedNs = Math.floor((this.#hostNow() - this.#idleSinceMs) * 1e6);
    this.#idleSinceMs = undefined;
    const deadline = this.queue.first?.deadline ?? Number.MAX_SAFE_INTEGER;
    this.#skippedNs += Math.max(0, Math.min(passedNs, deadline - this.nowNs()));
  }
  resume(): void {
    this.#idleSinceMs = undefined;
  }
  setNow(ns: number): void {
    this.#skippedNs = ns - this.#instructions() * this.#nsPerInstruction;
  }
}
