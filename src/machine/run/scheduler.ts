import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
/** Instructions a CPU gets in a round. Long enough that a switch (about a microsecond) does not count, short enough for locks and time-outs. */
const QUANTUM = 10_000;

/** A scheduler's memory, for snapshots. */
export const SCHEDULER_STATE = shape.record({
  v: shape.oneOf(1),
  at: shape.int(0, 255),
  preferred: shape.int(-1, 255),
  left: shape.list(shape.whole, 256, 1),
  idle: shape.list(shape.flag, 256, 1),
  deaf: shape.list(shape.flag, 256, 1),
  yielded: shape.list(shape.flag, 256, 1),
});
export type SchedulerStateV1 = Shaped<typeof SCHEDULER_STATE>;

/**
 * Which CPU runs next, and for how long: rounds, in which each CPU that is not asleep gets so many instructions. A CPU that was sent an event
 * has the next turn; one that spins has its turn after the others. Depends on nothing but what the CPUs did, so that runs repeat exactly.
 */
export class Scheduler {
  readonly #left: number[];
  readonly #idle: boolean[];
  readonly #deaf: boolean[];
  readonly #yielded: boolean[];
  readonly #quantum: number;
  #at = 0;
  #preferred = -1;
  /** Changes with every turn. */
  turn = 0;

  constructor(cpus: number, quantum = QUANTUM) {
    // A CPU on its own runs as long as it may.
    this.#quantum = cpus === 1 ? Number.MAX_SAFE_INTEGER : quantum;
    this.#left = Array.from({ length: cpus }, () => this.#quantum);
    this.#idle = this.#left.map(() => false);
    this.#deaf = this.#left.map(() => false);
    this.#yielded = this.#left.map(() => false);
  }
  /** As at power-on. */
  reset(): void {
    this.#left.fill(this.#quantum);
    this.#idle.fill(false);
    this.#deaf.fill(false);
    this.#yielded.fill(false);
    this.#at = 0;
    this.#preferred = -1;
    this.turn++;
  }
  /** The CPU whose turn it is; -1: all are asleep. */
  pick(): number {
    const preferred = this.#preferred;
    this.#preferred = -1;
    if (preferred >= 0 && this.#hasTurn(preferred)) return this.#begin(preferred);
    const count = this.#left.length;
    if (this.#hasTurn(this.#at)) return this.#at;
    for (let i = 1; i < count; i++) {
      const next = (this.#at + i) % count;
      if (this.#hasTurn(next)) return this.#begin(next);
    }
    this.#left.fill(this.#quantum);
    this.#yielded.fill(false);
    for (let i = 1; i <= count; i++) {
      const next = (this.#at + i) % count;
      if (this.#hasTurn(next)) return this.#begin(next);
    }
    return -1;
  }
  #hasTurn(cpu: number): boolean {
    return this.#idle[cpu] === false && this.#yielded[cpu] === false && (this.#left[cpu] ?? 0) > 0;
  }
  #begin(cpu: number): number {
    this.#at = cpu;
    this.turn++;
    return cpu;
  }
  /** Instructions left of its turn. */
  left(cpu: number): number {
    return this.#left[cpu] ?? 0;
  }
  ran(cpu: number, instructions: number): void {
    this.#left[cpu] = this.left(cpu) - instructions;
  }
  /** The CPU waits for another one (a PAUSE loop). */
  yield(cpu: number): void {
    this.#yielded[cpu] = true;
  }
  /** The CPU sleeps until `wake`. `deaf`: no interrupt can wake it. */
  sleep(cpu: number, deaf: boolean): void {
    this.#idle[cpu] = true;
    this.#deaf[cpu] = deaf;
  }
  /** Something came for the CPU. */
  wake(cpu: number): void {
    this.#idle[cpu] = false;
    this.#yielded[cpu] = false;
    if (this.#preferred < 0) this.#preferred = cpu;
  }
  /** All sleep, and no interrupt can change that. */
  get allDeaf(): boolean {
    return this.#idle.every((idle, i) => idle && this.#deaf[i] === true);
  }

  saveState(): SchedulerStateV1 {
    const { v, at, preferred } = { v: 1 as const, at: this.#at, preferred: this.#preferred };
    return { v, at, preferred, left: [...this.#left], idle: [...this.#idle], deaf: [...this.#deaf], yielded: [...this.#yielded] };
  }
  loadState(s: SchedulerStateV1): void {
    this.#at = s.at;
    this.#preferred = s.preferred;
    for (let i = 0; i < this.#left.length; i++) {
      this.#left[i] = s.left[i] ?? this.#quantum;
      this.#idle[i] = s.idle[i] ?? false;
      this.#deaf[i] = s.deaf[i] ?? false;
      this.#yielded[i] = s.yielded[i] ?? false;
    }
  }
}
