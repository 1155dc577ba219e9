import type { Clock, Timer } from "../../base/index.ts";

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
  /** The machine stood still (paused, or waiting for a person): host time that passed does not count. */
  resume(): void;
  /** Sets the time, when a snapshot is loaded: nothing is armed yet, and the vCPUs' instruction counts are in place. */
  setNow(ns: number): void;
  /** Told when a timer becomes due before the end of the running slice, so that the slice can be cut short. */
  onEarlierDeadline: (() => void) | undefined;
  /** Back to an armed-timer set as after a cold start is the devices' business; this only says how far the clock is. */
  readonly kind: "virtual" | "host";
}

/** An idle stretch shorter than this is not worth a sleep of the host. */
const MIN_SLEEP_NS = 100_000;
/** Timers that fire without time moving on, before we say that a device re-arms itself at once for ever. */
const MAX_FIRES_AT_ONCE = 10_000;

/** A timer of a machine's clock. */
export class QueuedTimer implements Timer {
  readonly name: string;
  readonly fire: () => void;
  readonly #queue: TimerQueue;
  /** Position in the heap, -1 when disarmed. */
  index = -1;
  deadline = 0;
  /** Order of arming: breaks ties so that a run repeats exactly. */
  sequence = 0;

  constructor(queue: TimerQueue, name: string, callback: () => void) {
    this.#queue = queue;
    this.name = name;
    this.fire = callback;
  }
  get deadlineNs(): number | undefined {
    return this.index < 0 ? undefined : this.deadline;
  }
  arm(deadlineNs: number): void {
    this.#queue.arm(this, deadlineNs);
  }
  cancel(): void {
    this.#queue.cancel(this);
  }
}

/** A binary heap of armed timers, ordered by deadline, then by order of arming. */
export class TimerQueue {
  readonly #heap: QueuedTimer[] = [];
  #sequence = 0;
  onArm: ((deadlineNs: number) => void) | undefined;

  createTimer(name: string, callback: () => void): Timer {
    return new QueuedTimer(this, name, callback);
  }
  get first(): QueuedTimer | undefined {
    return this.#heap[0];
  }
  arm(timer: QueuedTimer, deadlineNs: number): void {
    const deadline = Number.isFinite(deadlineNs) ? Math.max(0, Math.ceil(deadlineNs)) : Number.MAX_SAFE_INTEGER;
    timer.deadline = deadline;
    timer.sequence = this.#sequence++;
    if (timer.index < 0) {
      timer.index = this.#heap.length;
      this.#heap.push(timer);
      this.#up(timer);
    } else {
      this.#up(timer);
      this.#down(timer);
    }
    this.onArm?.(deadline);
  }
  cancel(timer: QueuedTimer): void {
    const at = timer.index;
    if (at < 0) return;
    timer.index = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === timer) return;
    this.#heap[at] = last;
    last.index = at;
    this.#up(last);
    this.#down(last);
  }
  /** Fires everything due at `nowNs`; `setNow` is told each deadline before its callback runs. */
  fireUntil(nowNs: number, setNow: (ns: number) => void): void {
    for (let fired = 0; fired < MAX_FIRES_AT_ONCE; fired++) {
      const timer = this.#heap[0];
      if (timer === undefined || timer.deadline > nowNs) return;
      this.cancel(timer);
      setNow(timer.deadline);
      timer.fire();
    }
  }
  #up(timer: QueuedTimer): void {
    let at = timer.index;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = this.#heap[parentAt];
      if (parent === undefined || !before(timer, parent)) break;
      this.#place(parent, at);
      at = parentAt;
    }
    this.#place(timer, at);
  }
  #down(timer: QueuedTimer): void {
    let at = timer.index;
    for (;;) {
      const left = this.#heap[2 * at + 1];
      const right = this.#heap[2 * at + 2];
      if (left === undefined) break;
      const least = right !== undefined && before(right, left) ? right : left;
      if (!before(least, timer)) break;
      const leastAt = least.index;
      this.#place(least, at);
      at = leastAt;
    }
    this.#place(timer, at);
  }
  #place(timer: QueuedTimer, at: number): void {
    this.#heap[at] = timer;
    timer.index = at;
  }
}

const before = (a: QueuedTimer, b: QueuedTimer): boolean => a.deadline < b.deadline || (a.deadline === b.deadline && a.sequence < b.sequence);

/** What both clocks share: the queue, and cutting a slice short when a timer is armed inside it. */
abstract class QueueClock {
  protected readonly queue = new TimerQueue();
  protected sliceEndNs = 0;
  onEarlierDeadline: (() => void) | undefined;

  constructor() {
    this.queue.onArm = (deadline) => {
      if (deadline < this.sliceEndNs) {
        this.sliceEndNs = deadline;
        this.onEarlierDeadline?.();
      }
    };
  }
  createTimer(name: string, callback: () => void): Timer {
    return this.queue.createTimer(name, callback);
  }
  nextDeadlineNs(): number | undefined {
    return this.queue.first?.deadline;
  }
}

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
  readonly #hostNow: HostNow | undefined;
  /** When the idle stretch under way began on the host. */
  #idleSinceMs: number | undefined;

  /**
   * `instructions` is the vCPU's exact count; `nsPerInstruction` a whole number, so that time is exact. With `hostNow` idle stretches take
   * as long as on the wall: a guest that waits for somebody outside would see its time-outs pass at once otherwise.
   */
  constructor(instructions: () => number, nsPerInstruction: number, hostNow?: HostNow) {
    super();
    this.#instructions = instructions;
    this.#nsPerInstruction = nsPerInstruction;
    this.#hostNow = hostNow;
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
    if (this.#hostNow !== undefined) this.#idleSinceMs = this.#hostNow();
    if (deadline === undefined) return "no-timer";
    const aheadNs = Math.max(0, deadline - this.nowNs());
    if (this.#idleSinceMs !== undefined && aheadNs > MIN_SLEEP_NS) return aheadNs / 1e6;
    this.#idleSinceMs = undefined;
    this.#skippedNs += aheadNs;
    return 0;
  }
  /** An idle stretch on the wall is over: it counts, but not beyond the deadline that was to end it. */
  #endIdle(): void {
    if (this.#idleSinceMs === undefined || this.#hostNow === undefined) return;
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

/** The host's monotonic clock, for `HostClock`: milliseconds with a fraction. */
export type HostNow = () => number;

/** More lag than this is not made up for at once: the guest's clock steps back by it and regains it slowly (`SLEW`). */
const MAX_LAG_NS = 4_000_000;
/** How much faster than the host a guest's clock runs while it regains lost time: little enough for programs that measure. */
const SLEW = 0.01;
/** Lost time beyond this is gone for good (the host slept, a debugger stopped us). */
const MAX_DEBT_MS = 2000;

/**
 * Time is the host's. A guest that falls behind (a slow host, a busy event loop) gets its timers in order, each with a
 * stretch of instructions of its own; a lag beyond a quarter of a second is forgiven.
 */
export class HostClock extends QueueClock implements MachineClock {
  readonly kind = "host";
  readonly #hostNow: HostNow;
  #originMs: number;
  #started = false;
  /** The time was set and the guest has not run since: none passes. */
  #held = false;
  /** Host milliseconds that the guest is still behind, and when `#raw` last looked. */
  #debtMs = 0;
  #lookedMs = 0;
  /** Never goes back, even when a timer's deadline ran ahead of the host. */
  #floorNs = 0;
  /** While timers fire, the time is their deadline. */
  #ceilingNs = Number.MAX_SAFE_INTEGER;
  /** Guest instructions a nanosecond, learnt from the slices that ran. */
  #rate = 0.05;
  #sliceStartMs = 0;
  readonly #instructions: () => number;
  #sliceStartCount = 0;
  /** Host time the guest never saw, in ns (for `stats`). */
  lostNs = 0;

  constructor(instructions: () => number, hostNow: HostNow) {
    super();
    this.#instructions = instructions;
    this.#hostNow = hostNow;
    this.#originMs = hostNow();
  }
  #raw(): number {
    if (this.#held) return this.#floorNs;
    const host = this.#hostNow();
    if (this.#debtMs > 0) {
      const back = Math.min(this.#debtMs, Math.max(0, host - this.#lookedMs) * SLEW);
      this.#debtMs -= back;
      this.#originMs -= back;
    }
    this.#lookedMs = host;
    return Math.floor((host - this.#originMs) * 1e6);
  }
  nowNs(): number {
    const deadline = Math.min(this.#ceilingNs, this.queue.first?.deadline ?? Number.MAX_SAFE_INTEGER);
    const now = Math.max(this.#floorNs, Math.min(this.#raw(), deadline));
    this.#floorNs = now;
    return now;
  }
  fireDue(): void {
    this.sliceEndNs = 0;
    this.#learn();
    const raw = this.#raw();
    const deadline = this.queue.first?.deadline;
    if (deadline === undefined || deadline > raw) return;
    const lag = raw - deadline;
    if (lag > MAX_LAG_NS) {
      this.#originMs += lag / 1e6;
      this.#debtMs = Math.min(MAX_DEBT_MS, this.#debtMs + lag / 1e6);
      this.lostNs += lag;
    }
    // Only this instant's timers: the guest runs before the next deadline is looked at.
    this.#ceilingNs = deadline;
    this.queue.fireUntil(deadline, (ns) => {
      this.#floorNs = Math.max(this.#floorNs, ns);
    });
    this.#ceilingNs = Number.MAX_SAFE_INTEGER;
  }
  budget(limit: number): number {
    if (!this.#started) {
      // Power-on is when the guest first runs, not when its parts were made.
      this.#started = true;
      this.#held = false;
      this.#originMs = this.#hostNow() - this.#floorNs / 1e6;
    }
    const now = this.nowNs();
    const deadline = this.queue.first?.deadline ?? Number.MAX_SAFE_INTEGER;
    // A lagging guest still gets a stretch that is long enough to take the interrupt and serve it.
    const instructions = Math.min(limit, Math.max(1000, Math.ceil((deadline - now) * this.#rate)));
    this.sliceEndNs = Math.max(now, deadline);
    this.#sliceStartMs = this.#hostNow();
    this.#sliceStartCount = this.#instructions();
    return instructions;
  }
  #learn(): void {
    if (this.#sliceStartMs === 0) return;
    const ns = (this.#hostNow() - this.#sliceStartMs) * 1e6;
    const count = this.#instructions() - this.#sliceStartCount;
    this.#sliceStartMs = 0;
    if (ns < 20_000 || count < 1000) return;
    this.#rate = Math.min(4, Math.max(0.001, this.#rate * 0.75 + (count / ns) * 0.25));
  }
  idle(): number | "no-timer" {
    const deadline = this.queue.first?.deadline;
    if (deadline === undefined) return "no-timer";
    return Math.max(0, (deadline - this.#raw()) / 1e6);
  }
  setNow(ns: number): void {
    this.#floorNs = ns;
    this.#debtMs = 0;
    this.#sliceStartMs = 0;
    this.#started = false;
    this.#held = true;
  }
  resume(): void {
    const ahead = this.#raw() - this.#floorNs;
    if (ahead > 0) this.#originMs += ahead / 1e6;
  }
}
