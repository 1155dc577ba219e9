import { shape } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";

/** Numbers from 2^52 on mean "not in the life of this machine". */
const FAR = 2 ** 52;
/** Interrupts of a periodic timer are never closer than this; shorter periods give merged ones. */
const MIN_PERIOD_TICKS = 500;

export const CONFIG_LEVEL = 0x002;
export const CONFIG_ENABLE = 0x004;
export const CONFIG_PERIODIC = 0x008;
const CONFIG_PERIODIC_CAPABLE = 0x010;
const CONFIG_64_BIT = 0x020;
const CONFIG_SET_VALUE = 0x040;
const CONFIG_32_BIT = 0x100;
const CONFIG_WRITABLE = 0x3f4e;

/** The main counter as a timer sees it. Halves are unsigned 32-bit. */
export interface HpetCounter {
  running(): boolean;
  low(): number;
  high(): number;
  /** When the counter will have gone `ticks` further. */
  deadlineNs(ticks: number): number;
}

export const HPET_TIMER_STATE = shape.record({
  config: shape.int(0, CONFIG_WRITABLE | CONFIG_PERIODIC_CAPABLE | CONFIG_64_BIT),
  comparator: shape.pair(shape.dword, shape.dword),
  period: shape.pair(shape.dword, shape.dword),
  setHigh: shape.flag,
});
export type HpetTimerStateV1 = Shaped<typeof HPET_TIMER_STATE>;

/** One comparator of an HPET. IA-PC HPET specification 1.0a, 2.3.8 and 2.3.9. */
export class HpetTimer {
  readonly #counter: HpetCounter;
  readonly #timer: Timer;
  readonly #routes: number;
  readonly #match: () => void;
  #config = CONFIG_PERIODIC_CAPABLE | CONFIG_64_BIT;
  #low = 0xffffffff;
  #high = 0xffffffff;
  #periodLow = 0;
  #periodHigh = 0;
  /** The low half was just set by way of "set value": the high half that follows goes to the comparator too. */
  #setHigh = false;
  /** Nobody would notice the next match, so no timer of the clock waits for it: when it is. `settle` makes up for it. */
  #unseenNs = Number.POSITIVE_INFINITY;

  /** `routes`: I/O APIC inputs that may be chosen, a bit each. */
  constructor(options: {
    readonly clock: Clock;
    readonly name: string;
    readonly counter: HpetCounter;
    readonly routes: number;
    readonly match: () => void;
  }) {
    this.#counter = options.counter;
    this.#routes = options.routes;
    this.#match = options.match;
    this.#timer = options.clock.createTimer(options.name, () => this.#fire());
  }

  get config(): number {
    return this.#config;
  }
  get routes(): number {
    return this.#routes;
  }
  /** The chosen I/O APIC input. */
  get route(): number {
    return (this.#config >>> 9) & 31;
  }
  get low(): number {
    return this.#low;
  }
  get high(): number {
    return this.#wide ? this.#high : 0;
  }
  get #wide(): boolean {
    return (this.#config & CONFIG_32_BIT) === 0;
  }
  get #periodic(): boolean {
    return (this.#config & CONFIG_PERIODIC) !== 0;
  }

  writeConfig(value: number): void {
    const route = (value >>> 9) & 31;
    // A route that is not there cannot be chosen: the field keeps what it had.
    const allowed = ((this.#routes >>> route) & 1) !== 0 ? value : (value & ~0x3e00) | (this.#config & 0x3e00);
    this.#config = (this.#config & ~CONFIG_WRITABLE) | (allowed & CONFIG_WRITABLE);
    this.#setHigh = false;
    this.arm();
  }

  writeLow(value: number): void {
    const setValue = (this.#config & CONFIG_SET_VALUE) !== 0;
    this.#config &= ~CONFIG_SET_VALUE;
    this.#setHigh = setValue;
    if (!this.#periodic || setValue) this.#low = value;
    if (this.#periodic) this.#periodLow = value;
    this.arm();
  }

  writeHigh(value: number): void {
    if (!this.#periodic || this.#setHigh || (this.#config & CONFIG_SET_VALUE) !== 0) this.#high = value;
    this.#config &= ~CONFIG_SET_VALUE;
    if (this.#periodic) this.#periodHigh = value;
    this.#setHigh = false;
    this.arm();
  }

  reset(): void {
    this.#config = CONFIG_PERIODIC_CAPABLE | CONFIG_64_BIT;
    this.#low = 0xffffffff;
    this.#high = 0xffffffff;
    this.#periodLow = 0;
    this.#periodHigh = 0;
    this.#setHigh = false;
    this.#timer.cancel();
    this.#unseenNs = Number.POSITIVE_INFINITY;
  }

  /** Waits for the next match, `atLeast` ticks from now; for none while the counter stands. */
  arm(atLeast = 0): void {
    this.#wait(this.#counter.running() ? Math.max(atLeast, this.#ahead()) : FAR);
  }
  #wait(ticks: number): void {
    this.#timer.cancel();
    this.#unseenNs = Number.POSITIVE_INFINITY;
    if (ticks >= FAR) return;
    const deadlineNs = this.#counter.deadlineNs(ticks);
    // An idle guest that has another clock would be woken up for nothing: Linux leaves a periodic timer running with its interrupt off.
    if ((this.#config & (CONFIG_LEVEL | CONFIG_ENABLE)) === 0) this.#unseenNs = deadlineNs;
    else this.#timer.arm(deadlineNs);
  }

  /** Before a register of this timer or the counter is looked at or changed: matches that nobody waited for have been. */
  settle(nowNs: number): void {
    if (nowNs >= this.#unseenNs) this.#fire();
  }

  saveState(): HpetTimerStateV1 {
    return { config: this.#config, comparator: [this.#low, this.#high], period: [this.#periodLow, this.#periodHigh], setHigh: this.#setHigh };
  }

  /** Call `arm` when the counter is right. */
  loadState(s: HpetTimerStateV1): void {
    this.#config = s.config;
    this.#low = s.comparator[0];
    this.#high = s.comparator[1];
    this.#periodLow = s.period[0];
    this.#periodHigh = s.period[1];
    this.#setHigh = s.setHigh;
  }

  /** Ticks until the counter equals the comparator, modulo its width. */
  #ahead(): number {
    return this.#difference(this.#low, this.#high, this.#counter.low(), this.#counter.high());
  }
  /** How far the counter is past the comparator. */
  #behind(): number {
    return this.#difference(this.#counter.low(), this.#counter.high(), this.#low, this.#high);
  }
  /** Exact below 2^53, and beyond that at least large. */
  #difference(toLow: number, toHigh: number, fromLow: number, fromHigh: number): number {
    let low = toLow - fromLow;
    const borrow = low < 0 ? 1 : 0;
    if (low < 0) low += 0x100000000;
    if (!this.#wide) return low;
    let high = toHigh - fromHigh - borrow;
    if (high < 0) high += 0x100000000;
    return high * 0x100000000 + low;
  }

  #fire(): void {
    if (!this.#counter.running()) return;
    if (!this.#periodic) {
      this.#match();
      // The counter comes round again; with 64 bits not in our days.
      if (!this.#wide && this.#counter.running()) this.#wait(0x100000000 - this.#behind());
      return;
    }
    const period = (this.#wide ? this.#periodHigh * 0x100000000 : 0) + this.#periodLow;
    const behind = this.#behind();
    // The matches up to now, this one at least; the next lies ahead of the counter.
    if (period !== 0 && period < FAR && behind < FAR) this.#advance((Math.floor(behind / period) + 1) * period);
    this.#match();
    this.arm(MIN_PERIOD_TICKS);
  }

  #advance(ticks: number): void {
    const low = this.#low + ticks;
    this.#low = low % 0x100000000;
    this.#high = (this.#high + Math.floor(low / 0x100000000)) % 0x100000000;
  }
}
