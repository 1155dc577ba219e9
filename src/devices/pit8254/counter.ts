import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
/**
 * One counter of an 8254, as a function of time instead of a ticking loop. Source: Intel 8254 data sheet (231164), "Mode Definitions"
 * and "Read Operations". `t` is always the number of CLK pulses since power-on; a count written at `t` is loaded at `t+1`.
 *
 * Departures: a count of 1 in modes 2 and 3 (illegal in the data sheet) counts as 2. BCD counts above 9999 are taken modulo 10000.
 */

export const PIT_COUNTER_STATE = shape.record({
  mode: shape.int(0, 5),
  bcd: shape.flag,
  access: shape.int(1, 3),
  gate: shape.flag,
  count: shape.int(1, 65536),
  loaded: shape.flag,
  start: shape.whole,
  pausedAt: shape.moment,
  held: shape.word,
  pending: shape.int(0, 65536),
  reloadAt: shape.whole,
  reloadLow: shape.flag,
  armed: shape.flag,
  writeLow: shape.byte,
  writeHighNext: shape.flag,
  readHighNext: shape.flag,
  latched: shape.word,
  latchedBytes: shape.int(0, 3),
  statusLatch: shape.int(-1, 0xff),
  /** The mode bits of the control word as written; absent in older snapshots. */
  writtenMode: shape.maybe(shape.int(0, 7)),
});
export type PitCounterState = Shaped<typeof PIT_COUNTER_STATE>;

export class PitCounter {
  #mode = 3;
  /** The mode field of the control word: 6 and 7 work as 2 and 3 but read back as they were written. */
  #writtenMode = 3;
  #bcd = false;
  /** 1 low byte, 2 high byte, 3 low then high. */
  #access = 3;
  #gate: boolean;
  /** The count in CE, 1..65536. */
  #count = 65536;
  /** CE holds a count and follows the clock (modes 1 and 5: was triggered). */
  #loaded = false;
  /** The CLK pulse that loaded CE. */
  #start = 0;
  /** Elapsed pulses at which a low gate stopped the counter, or -1. */
  #pausedAt = -1;
  /** What CE shows while it does not count. */
  #held = 0;
  /** A count in CR that CE has not taken yet, or 0. */
  #pending = 0;
  /** Modes 2 and 3 with `#pending`: the pulse of the reload, and whether a low half starts there. */
  #reloadAt = 0;
  #reloadLow = false;
  /** A count was written since the control word. */
  #armed = false;
  #writeLow = 0;
  #writeHighNext = false;
  #readHighNext = false;
  #latched = 0;
  /** Bytes of the latched count still to be read: bit 0 low, bit 1 high. */
  #latchedBytes = 0;
  /** The latched status, or -1. */
  #statusLatch = -1;

  constructor(gate: boolean) {
    this.#gate = gate;
  }

  get mode(): number {
    return this.#mode;
  }
  get gate(): boolean {
    return this.#gate;
  }
  /** The count in CE, 1..65536. */
  get count(): number {
    return this.#count;
  }
  /** The count that CE has or takes at its next reload, 1..65536. */
  get programmedCount(): number {
    return this.#pending !== 0 ? this.#pending : this.#count;
  }
  /** True in the periodic modes (2, 3) with a count loaded and the gate high. */
  get periodic(): boolean {
    return this.#loaded && this.#gate && (this.#mode === 2 || this.#mode === 3);
  }

  /** Control word: mode, access and BCD. OUT takes the mode's initial level, CE stops until a count is written. */
  control(value: number, t: number): void {
    this.sync(t);
    this.#held = this.#ce(t);
    const mode = (value >> 1) & 7;
    this.#mode = mode >= 6 ? mode - 4 : mode;
    this.#writtenMode = mode;
    this.#bcd = (value & 1) !== 0;
    this.#access = (value >> 4) & 3;
    this.#loaded = false;
    this.#armed = false;
    this.#pending = 0;
    this.#pausedAt = -1;
    this.#writeHighNext = false;
    this.#readHighNext = false;
    this.#latchedBytes = 0;
    this.#statusLatch = -1;
  }

  latchCount(t: number): void {
    if (this.#latchedBytes !== 0) return;
    this.sync(t);
    this.#latched = this.#ce(t);
    this.#latchedBytes = this.#access;
  }

  /** Read-back of the status byte: OUT, null count, access, mode, BCD. */
  latchStatus(t: number): void {
    if (this.#statusLatch >= 0) return;
    this.sync(t);
    const nullCount = !this.#armed || this.#pending !== 0 || (this.#loaded && t < this.#start);
    this.#statusLatch = (this.out(t) ? 0x80 : 0) | (nullCount ? 0x40 : 0) | (this.#access << 4) | (this.#writtenMode << 1) | (this.#bcd ? 1 : 0);
  }

  read(t: number): number {
    if (this.#statusLatch >= 0) {
      const status = this.#statusLatch;
      this.#statusLatch = -1;
      return status;
    }
    if (this.#latchedBytes !== 0) {
      if ((this.#latchedBytes & 1) !== 0) {
        this.#latchedBytes &= ~1;
        return this.#latched & 0xff;
      }
      this.#latchedBytes = 0;
      return this.#latched >> 8;
    }
    this.sync(t);
    const value = this.#ce(t);
    if (this.#access === 1) return value & 0xff;
    if (this.#access === 2) return value >> 8;
    this.#readHighNext = !this.#readHighNext;
    return this.#readHighNext ? value & 0xff : value >> 8;
  }

  write(value: number, t: number): void {
    this.sync(t);
    if (this.#access === 1) this.#countWritten(value, t);
    else if (this.#access === 2) this.#countWritten(value << 8, t);
    else if (this.#writeHighNext) {
      this.#writeHighNext = false;
      this.#countWritten(this.#writeLow | (value << 8), t);
    } else {
      this.#writeHighNext = true;
      this.#writeLow = value;
      // Mode 0: the first byte stops the counter and OUT goes low at once.
      if (this.#mode === 0) {
        this.#held = this.#ce(t);
        this.#loaded = false;
      }
    }
  }

  setGate(level: boolean, t: number): void {
    if (level === this.#gate) return;
    this.sync(t);
    if (level) this.#gateRises(t);
    else this.#gateFalls(t);
    this.#gate = level;
  }

  /** Takes a pending count whose reload has passed. Called before anything else at time `t`. */
  sync(t: number): void {
    if (this.#pending === 0 || !this.#loaded || !this.#gate || this.#mode < 2 || this.#mode > 3 || t < this.#reloadAt) return;
    this.#count = this.#pending;
    this.#pending = 0;
    // A reload in the middle of a square wave: the new period is moved so that its low half starts now.
    this.#start = this.#reloadLow ? this.#reloadAt - Math.ceil(this.#count / 2) : this.#reloadAt;
  }

  /** The level of OUT at `t` (call `sync(t)` first). */
  out(t: number): boolean {
    const mode = this.#mode;
    if (!this.#loaded) return mode !== 0;
    const e = this.#elapsed(t);
    const n = this.#count;
    switch (mode) {
      case 0:
        return e >= n;
      case 1:
        return e < 0 || e >= n;
      case 2:
        return !this.#gate || e < 0 || e % n !== n - 1;
      case 3:
        return !this.#gate || e < 0 || e % n < Math.ceil(n / 2);
      default:
        return e !== n;
    }
  }

  /** The first pulse after `t` at which OUT rises by itself, or -1 (call `sync(t)` first). */
  nextRise(t: number): number {
    if (!this.#loaded) return -1;
    const n = this.#count;
    const e = this.#elapsed(t);
    switch (this.#mode) {
      case 0:
        return this.#pausedAt < 0 && e < n ? this.#start + n : -1;
      case 1:
        return e < n ? this.#start + n : -1;
      case 2:
      case 3: {
        if (!this.#gate) return -1;
        if (this.#pending !== 0) return this.#mode === 3 && this.#reloadLow ? this.#reloadAt + Math.floor(this.#pending / 2) : this.#reloadAt;
        return this.#start + (e < 0 ? 1 : Math.floor(e / n) + 1) * n;
      }
      default:
        return this.#pausedAt < 0 && e <= n ? this.#start + n + 1 : -1;
    }
  }

  #elapsed(t: number): number {
    // A count is loaded at its pulse even while the gate is low.
    return this.#pausedAt >= 0 ? Math.min(this.#pausedAt, t - this.#start) : t - this.#start;
  }

  #countWritten(raw: number, t: number): void {
    const n = this.#toCount(raw);
    this.#armed = true;
    switch (this.#mode) {
      case 0:
      case 4:
        this.#load(n, t);
        if (!this.#gate) this.#pausedAt = 0;
        break;
      case 1:
      case 5:
        this.#pending = n;
        break;
      default:
        if (!this.#loaded) {
          this.#load(n, t);
          if (!this.#gate) this.#held = this.#encode(n);
          break;
        }
        if (this.#pending === 0) this.#planReload(t);
        this.#pending = n;
        break;
    }
  }

  #load(n: number, t: number): void {
    this.#held = this.#ce(t);
    this.#count = n;
    this.#start = t + 1;
    this.#pausedAt = -1;
    this.#pending = 0;
    this.#loaded = true;
  }

  /** Where the count in progress ends: the period in mode 2, the half period in mode 3. */
  #planReload(t: number): void {
    const n = this.#count;
    const e = t - this.#start;
    const period = e < 0 ? 0 : Math.floor(e / n);
    const high = Math.ceil(n / 2);
    const inHigh = this.#mode === 3 && (e < 0 || e - period * n < high);
    this.#reloadAt = this.#start + period * n + (inHigh ? high : n);
    this.#reloadLow = inHigh;
  }

  #gateRises(t: number): void {
    switch (this.#mode) {
      case 0:
      case 4:
        if (this.#pausedAt >= 0) {
          // The next pulse counts again, unless it is the one that loads.
          this.#start = Math.max(this.#start, t - this.#pausedAt);
          this.#pausedAt = -1;
        }
        break;
      case 1:
      case 5:
        if (this.#armed) this.#load(this.#pending !== 0 ? this.#pending : this.#count, t);
        break;
      default:
        if (this.#loaded) this.#load(this.#pending !== 0 ? this.#pending : this.#count, t);
        break;
    }
  }

  #gateFalls(t: number): void {
    if (!this.#loaded) return;
    if (this.#mode === 0 || this.#mode === 4) this.#pausedAt = Math.max(0, t - this.#start);
    else if (this.#mode === 2 || this.#mode === 3) this.#held = this.#ce(t);
  }

  /** The counting element as the guest reads it: 16 bits, binary or BCD. */
  #ce(t: number): number {
    if (!this.#loaded) return this.#held;
    const e = this.#elapsed(t);
    if (e < 0) return this.#held;
    const n = this.#count;
    switch (this.#mode) {
      case 2:
        return this.#gate ? this.#encode(n - (e % n)) : this.#held;
      case 3: {
        if (!this.#gate) return this.#held;
        const high = Math.ceil(n / 2);
        const p = e % n;
        return this.#encode((n & ~1) - 2 * (p < high ? p : p - high));
      }
      default:
        return this.#encode(n - e);
    }
  }

  #encode(value: number): number {
    if (!this.#bcd) return value & 0xffff;
    const v = ((value % 10000) + 10000) % 10000;
    return (Math.floor(v / 1000) << 12) | (Math.floor((v / 100) % 10) << 8) | (Math.floor((v / 10) % 10) << 4) | (v % 10);
  }

  #toCount(raw: number): number {
    const n = this.#bcd ? ((raw >> 12) * 1000 + ((raw >> 8) & 15) * 100 + ((raw >> 4) & 15) * 10 + (raw & 15)) % 10000 : raw;
    if (n === 0) return this.#bcd ? 10000 : 65536;
    return n === 1 && (this.#mode === 2 || this.#mode === 3) ? 2 : n;
  }

  saveState(): PitCounterState {
    return {
      mode: this.#mode,
      bcd: this.#bcd,
      access: this.#access,
      gate: this.#gate,
      count: this.#count,
      loaded: this.#loaded,
      start: this.#start,
      pausedAt: this.#pausedAt,
      held: this.#held,
      pending: this.#pending,
      reloadAt: this.#reloadAt,
      reloadLow: this.#reloadLow,
      armed: this.#armed,
      writeLow: this.#writeLow,
      writeHighNext: this.#writeHighNext,
      readHighNext: this.#readHighNext,
      latched: this.#latched,
      latchedBytes: this.#latchedBytes,
      statusLatch: this.#statusLatch,
      writtenMode: this.#writtenMode,
    };
  }

  loadState(s: PitCounterState): void {
    this.#mode = s.mode;
    this.#bcd = s.bcd;
    this.#access = s.access;
    this.#gate = s.gate;
    this.#count = s.count;
    this.#loaded = s.loaded;
    this.#start = s.start;
    this.#pausedAt = s.pausedAt;
    this.#held = s.held;
    this.#pending = s.pending;
    this.#reloadAt = s.reloadAt;
    this.#reloadLow = s.reloadLow;
    this.#armed = s.armed;
    this.#writeLow = s.writeLow;
    this.#writeHighNext = s.writeHighNext;
    this.#readHighNext = s.readHighNext;
    this.#latched = s.latched;
    this.#latchedBytes = s.latchedBytes;
    this.#statusLatch = s.statusLatch;
    this.#writtenMode = s.writtenMode ?? s.mode;
  }
}
