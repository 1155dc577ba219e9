import { shape } from "../../base/index.ts";
import type { Clock, Shaped } from "../../base/index.ts";
import type { AccessSize, BusDevice } from "../../bus/index.ts";
import { CONFIG_ENABLE, CONFIG_LEVEL, HPET_TIMER_STATE, HpetTimer } from "./timer.ts";
import type { HpetCounter } from "./timer.ts";

export interface HpetOptions {
  readonly clock: Clock;
  /** An I/O APIC input that a timer was routed to. An edge is `false` and `true`. */
  readonly setPin: (pin: number, asserted: boolean) => void;
  /** The wires of IRQ0 (timer 0) and IRQ8 (timer 1) while legacy replacement is on. */
  readonly setLegacy: (timer: 0 | 1, asserted: boolean) => void;
  /** Legacy replacement is switched: 8254 and RTC lose or get back their interrupts. */
  readonly onLegacy: (enabled: boolean) => void;
}

const TIMERS = 3;
/** 100 MHz. */
const TICK_NS = 10;
const PERIOD_FS = 10_000_000;
/** Revision 1, three timers, 64-bit counter, legacy replacement, vendor 8086h. */
const CAPABILITIES = 0x8086a201;
/** I/O APIC inputs that timers can be routed to: 20..23, as in ICH chips. */
const ROUTES = 0x00f00000;
const ENABLE = 1;
const LEGACY = 2;
/** The two halves of a 64-bit read come one after the other; the second is that of the same moment within this time. */
const LATCH_NS = 10_000;

export const HPET_STATE = shape.record({
  v: shape.oneOf(1),
  config: shape.int(0, ENABLE | LEGACY),
  status: shape.dword,
  offset: shape.pair(shape.dword, shape.dword),
  latch: shape.pair(shape.whole, shape.dword),
  timers: shape.list(HPET_TIMER_STATE, TIMERS),
});
export type HpetStateV1 = Shaped<typeof HPET_STATE>;

/** An HPET at 1 KB of memory. Source: IA-PC HPET specification 1.0a. No FSB delivery. */
export class Hpet implements BusDevice {
  readonly name = "hpet";
  readonly #clock: Clock;
  readonly #options: HpetOptions;
  readonly #timers: readonly HpetTimer[];
  #config = 0;
  #status = 0;
  /** Halted: the counter. Running: what is added to the clock's ticks to get it. Halves. */
  #offsetLow = 0;
  #offsetHigh = 0;
  #latchNs = -LATCH_NS;
  #latchHigh = 0;

  constructor(options: HpetOptions) {
    this.#clock = options.clock;
    this.#options = options;
    const counter: HpetCounter = {
      running: () => (this.#config & ENABLE) !== 0,
      low: () => this.#counterLow(),
      high: () => this.#counterHigh(),
      deadlineNs: (ticks) => (Math.floor(this.#clock.nowNs() / TICK_NS) + ticks) * TICK_NS,
    };
    this.#timers = Array.from(
      { length: TIMERS },
      (_, n) => new HpetTimer({ clock: options.clock, name: `hpet${n}`, counter, routes: ROUTES, match: () => this.#matched(n) }),
    );
  }

  reset(): void {
    this.#status = 0;
    this.#levels();
    for (const timer of this.#timers) timer.reset();
    if ((this.#config & LEGACY) !== 0) this.#options.onLegacy(false);
    this.#config = 0;
    this.#offsetLow = 0;
    this.#offsetHigh = 0;
  }

  #settle(): void {
    const now = this.#clock.nowNs();
    for (const timer of this.#timers) timer.settle(now);
  }

  read(offset: number, size: AccessSize): number {
    if ((offset & 0x3ff) >= 0x100) this.#settle();
    const value = this.#readDword(offset & 0x3fc) >>> (8 * (offset & 3));
    return size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff);
  }

  /** Registers are written by dwords; narrower writes are not in the specification and change nothing. */
  write(offset: number, size: AccessSize, value: number): void {
    if (size !== 4 || (offset & 3) !== 0) return;
    const v = value >>> 0;
    this.#settle();
    switch (offset & 0x3fc) {
      case 0x010:
        this.#writeConfig(v & (ENABLE | LEGACY));
        return;
      case 0x020:
        this.#status &= ~v;
        this.#levels();
        return;
      case 0x0f0:
        this.#setCounter(v, this.#counterHigh());
        return;
      case 0x0f4:
        this.#setCounter(this.#counterLow(), v);
        return;
      default:
        this.#writeTimer(offset & 0x3fc, v);
    }
  }

  saveState(): HpetStateV1 {
    this.#settle();
    return {
      v: 1,
      config: this.#config,
      status: this.#status,
      offset: [this.#offsetLow, this.#offsetHigh],
      latch: [this.#latchNs, this.#latchHigh],
      timers: this.#timers.map((t) => t.saveState()),
    };
  }

  loadState(s: HpetStateV1): void {
    if (((s.config ^ this.#config) & LEGACY) !== 0) this.#options.onLegacy((s.config & LEGACY) !== 0);
    this.#config = s.config;
    this.#offsetLow = s.offset[0];
    this.#offsetHigh = s.offset[1];
    this.#latchNs = s.latch[0];
    this.#latchHigh = s.latch[1];
    for (let n = 0; n < TIMERS; n++) {
      const state = s.timers[n];
      if (state !== undefined) this.#timers[n]?.loadState(state);
    }
    this.#status = s.status;
    this.#levels();
    for (const timer of this.#timers) timer.arm();
  }

  #ticks(): number {
    return Math.floor(this.#clock.nowNs() / TICK_NS);
  }
  #counterLow(): number {
    if ((this.#config & ENABLE) === 0) return this.#offsetLow;
    return (this.#offsetLow + (this.#ticks() % 0x100000000)) % 0x100000000;
  }
  #counterHigh(): number {
    if ((this.#config & ENABLE) === 0) return this.#offsetHigh;
    const ticks = this.#ticks();
    const carry = this.#offsetLow + (ticks % 0x100000000) > 0xffffffff ? 1 : 0;
    return (this.#offsetHigh + Math.floor(ticks / 0x100000000) + carry) % 0x100000000;
  }

  #setCounter(low: number, high: number): void {
    if ((this.#config & ENABLE) === 0) {
      this.#offsetLow = low;
      this.#offsetHigh = high;
    } else this.#offsetFrom(low, high);
    for (const timer of this.#timers) timer.arm();
  }

  /** The offset with which the clock's ticks give this count now. */
  #offsetFrom(low: number, high: number): void {
    const ticks = this.#ticks();
    const difference = low - (ticks % 0x100000000);
    this.#offsetLow = difference < 0 ? difference + 0x100000000 : difference;
    const rest = high - Math.floor(ticks / 0x100000000) - (difference < 0 ? 1 : 0);
    this.#offsetHigh = ((rest % 0x100000000) + 0x100000000) % 0x100000000;
  }

  #readDword(at: number): number {
    switch (at) {
      case 0x000:
        return CAPABILITIES;
      case 0x004:
        return PERIOD_FS;
      case 0x010:
        return this.#config;
      case 0x020:
        return this.#status;
      case 0x0f0: {
        this.#latchNs = this.#clock.nowNs();
        this.#latchHigh = this.#counterHigh();
        return this.#counterLow();
      }
      case 0x0f4: {
        // Software that reads high, low, high sees the change of the halves all the same.
        const latched = this.#clock.nowNs() - this.#latchNs < LATCH_NS;
        this.#latchNs = -LATCH_NS;
        return latched ? this.#latchHigh : this.#counterHigh();
      }
      default: {
        const timer = at < 0x100 ? undefined : this.#timers[(at - 0x100) >>> 5];
        if (timer === undefined) return 0;
        switch (at & 0x1f) {
          case 0x00:
            return timer.config;
          case 0x04:
            return timer.routes;
          case 0x08:
            return timer.low;
          case 0x0c:
            return timer.high;
          default:
            return 0;
        }
      }
    }
  }

  #writeTimer(at: number, value: number): void {
    const n = (at - 0x100) >>> 5;
    const timer = at < 0x100 ? undefined : this.#timers[n];
    if (timer === undefined) return;
    switch (at & 0x1f) {
      case 0x00: {
        // An asserted wire must not stay behind when the route or the trigger changes.
        this.#drive(n, false);
        timer.writeConfig(value);
        if ((timer.config & CONFIG_LEVEL) === 0) this.#status &= ~(1 << n);
        this.#levels();
        return;
      }
      case 0x08:
        timer.writeLow(value);
        return;
      case 0x0c:
        timer.writeHigh(value);
        return;
      default:
        return;
    }
  }

  #writeConfig(value: number): void {
    const changed = this.#config ^ value;
    if ((changed & ENABLE) !== 0) {
      if ((value & ENABLE) !== 0) {
        this.#offsetFrom(this.#offsetLow, this.#offsetHigh);
      } else {
        const low = this.#counterLow();
        this.#offsetHigh = this.#counterHigh();
        this.#offsetLow = low;
      }
    }
    if ((changed & LEGACY) !== 0) for (let n = 0; n < TIMERS; n++) this.#drive(n, false);
    this.#config = value;
    if ((changed & LEGACY) !== 0) this.#options.onLegacy((value & LEGACY) !== 0);
    this.#levels();
    if ((changed & ENABLE) !== 0) for (const timer of this.#timers) timer.arm();
  }

  #matched(n: number): void {
    const timer = this.#timers[n];
    if (timer === undefined) return;
    if ((timer.config & CONFIG_LEVEL) !== 0) {
      // The status bit is set also while the interrupt is off.
      this.#status |= 1 << n;
      this.#levels();
    } else if ((timer.config & CONFIG_ENABLE) !== 0) {
      // An edge that falls before it is acknowledged would be forgotten by an 8259.
      this.#drive(n, false);
      this.#drive(n, true);
    }
  }

  /** Drives the wires of level-triggered timers. */
  #levels(): void {
    for (let n = 0; n < TIMERS; n++) {
      const config = this.#timers[n]?.config ?? 0;
      if ((config & CONFIG_LEVEL) === 0) continue;
      this.#drive(n, (config & CONFIG_ENABLE) !== 0 && (this.#status & (1 << n)) !== 0);
    }
  }

  #drive(n: number, asserted: boolean): void {
    if ((this.#config & LEGACY) !== 0 && (n === 0 || n === 1)) this.#options.setLegacy(n, asserted);
    else {
      const timer = this.#timers[n];
      // Until software chooses a route (0 is none of ours) a timer is not wired.
      if (timer !== undefined && ((timer.routes >>> timer.route) & 1) !== 0)
        this.#options.setPin(timer.route, asserted || this.#isHeld(timer.route, n));
    }
  }

  /** Another timer holds this input. */
  #isHeld(pin: number, except: number): boolean {
    for (let n = 0; n < TIMERS; n++) {
      const timer = this.#timers[n];
      if (n === except || timer === undefined || timer.route !== pin || (n < 2 && (this.#config & LEGACY) !== 0)) continue;
      if ((this.#status & (1 << n)) !== 0 && (timer.config & (CONFIG_LEVEL | CONFIG_ENABLE)) === (CONFIG_LEVEL | CONFIG_ENABLE)) return true;
    }
    return false;
  }
}
