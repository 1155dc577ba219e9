import type { Timer } from "../../base/index.ts";

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
export abstract class QueueClock {
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
