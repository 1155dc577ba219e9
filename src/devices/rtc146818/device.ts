import { shape } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";
import type { AccessSize, BusDevice, IrqPin } from "../../bus/index.ts";
import { civilFromSeconds, dayOfWeek, secondsFromCivil } from "./calendar.ts";

export interface Rtc146818Options {
  readonly clock: Clock;
  /** IRQ8. */
  readonly pin: IrqPin;
  /** The calendar's time at power-on: seconds since 1970-01-01 00:00 in the guest's zone (usually UTC). */
  readonly startSeconds: number;
  /** Bit 7 of port 70h: true while NMI is masked. Called only on a change. */
  readonly nmiMask?: (masked: boolean) => void;
}

const SECOND_NS = 1_000_000_000;
/** UIP rises 244 µs before the update cycle of 1984 µs (data sheet table 5, 32768 Hz); the new time appears when it falls. */
const UIP_NS = 2_228_000;

const SECONDS = 0x00;
const SECONDS_ALARM = 0x01;
const MINUTES = 0x02;
const MINUTES_ALARM = 0x03;
const HOURS = 0x04;
const HOURS_ALARM = 0x05;
const WEEKDAY = 0x06;
const DAY = 0x07;
const MONTH = 0x08;
const YEAR = 0x09;
const REG_A = 0x0a;
const REG_B = 0x0b;
const REG_C = 0x0c;
const REG_D = 0x0d;
const CENTURY = 0x32;

const B_SET = 0x80;
const B_PIE = 0x40;
const B_AIE = 0x20;
const B_UIE = 0x10;
const B_BINARY = 0x04;
const B_24H = 0x02;
const B_DSE = 0x01;
const C_IRQF = 0x80;
const C_PF = 0x40;
const C_AF = 0x20;
const C_UF = 0x10;
const D_VRT = 0x80;

export const RTC146818_STATE = shape.record({
  v: shape.oneOf(1),
  bytes: shape.bytes(128),
  index: shape.byte,
  nmiMasked: shape.flag,
  phaseNs: shape.count,
  doneSeconds: shape.count,
  periodicFrom: shape.count,
  fellBackDay: shape.whole,
});
export type Rtc146818StateV1 = Shaped<typeof RTC146818_STATE>;

/**
 * MC146818A clock with the PC/AT's 128 bytes of CMOS RAM at ports 70h (index, NMI mask) and 71h (data).
 *
 * The time registers are the truth and advance lazily, by whole seconds, whenever someone looks; so bytes that a guest wrote stay as
 * written until the next update cycle, even an impossible date. Timers run only for enabled interrupts whose flag is still clear.
 */
export class Rtc146818 implements BusDevice {
  readonly name = "rtc146818";
  readonly #clock: Clock;
  readonly #pin: IrqPin;
  readonly #nmiMask: ((masked: boolean) => void) | undefined;
  readonly #bytes = new Uint8Array(128);
  readonly #updateTimer: Timer;
  readonly #periodicTimer: Timer;
  #index = 0x0d;
  #nmiMasked = false;
  /** Update cycles end at `#phaseNs + k` seconds. */
  #phaseNs = 0;
  /** Update cycles since `#phaseNs` that the registers have taken. */
  #doneSeconds = 0;
  /** Periodic ticks up to this one were seen (register C read, or the rate changed). */
  #periodicFrom = 0;
  /** The day (since 1970) whose clock was already set back. */
  #fellBackDay = -1;

  constructor(options: Rtc146818Options) {
    this.#clock = options.clock;
    this.#pin = options.pin;
    this.#nmiMask = options.nmiMask;
    this.#updateTimer = options.clock.createTimer("rtc146818-update", () => this.#refresh());
    this.#periodicTimer = options.clock.createTimer("rtc146818-periodic", () => this.#refresh());
    this.#bytes[REG_A] = 0x26;
    this.#bytes[REG_B] = B_24H;
    this.#bytes[REG_D] = D_VRT;
    this.#phaseNs = options.clock.nowNs();
    this.#setCalendar(Math.floor(options.startSeconds));
  }

  /** True while bit 7 of port 70h masks NMI. */
  get nmiMasked(): boolean {
    return this.#nmiMasked;
  }

  read(offset: number, _size: AccessSize): number {
    // The index register is write-only on the PC/AT.
    if ((offset & 1) === 0) return 0xff;
    const index = this.#index;
    this.#sync();
    if (index === REG_A) return (this.#bytes[REG_A] ?? 0) | (this.#updateInProgress() ? 0x80 : 0);
    if (index === REG_C) return this.#readC();
    return this.#bytes[index] ?? 0;
  }

  write(offset: number, _size: AccessSize, value: number): void {
    if ((offset & 1) === 0) {
      this.#index = value & 0x7f;
      const masked = (value & 0x80) !== 0;
      if (masked !== this.#nmiMasked) {
        this.#nmiMasked = masked;
        if (this.#nmiMask !== undefined) this.#nmiMask(masked);
      }
      return;
    }
    this.#sync();
    switch (this.#index) {
      case REG_A:
        this.#writeA(value & 0x7f);
        break;
      case REG_B:
        this.#writeB(value & 0xff);
        break;
      case REG_C:
      case REG_D:
        break;
      default:
        this.#bytes[this.#index] = value & 0xff;
        break;
    }
    this.#arm();
  }

  saveState(): Rtc146818StateV1 {
    this.#sync();
    return {
      v: 1,
      bytes: this.#bytes.slice(),
      index: this.#index,
      nmiMasked: this.#nmiMasked,
      phaseNs: this.#phaseNs,
      doneSeconds: this.#doneSeconds,
      periodicFrom: this.#periodicFrom,
      fellBackDay: this.#fellBackDay,
    };
  }

  loadState(s: Rtc146818StateV1): void {
    this.#bytes.set(s.bytes.subarray(0, 128));
    this.#index = s.index & 0x7f;
    this.#nmiMasked = s.nmiMasked;
    this.#phaseNs = s.phaseNs;
    this.#doneSeconds = s.doneSeconds;
    this.#periodicFrom = s.periodicFrom;
    this.#fellBackDay = s.fellBackDay;
    if (this.#nmiMask !== undefined) this.#nmiMask(s.nmiMasked);
    this.#pin.set((this.#reg(REG_C) & C_IRQF) !== 0);
    this.#arm();
  }

  #reg(index: number): number {
    return this.#bytes[index] ?? 0;
  }

  /** The divider chain runs unless register A holds it in reset (DV = 11x). */
  #running(): boolean {
    return (this.#reg(REG_A) & 0x60) !== 0x60;
  }

  #updateInProgress(): boolean {
    if (!this.#running() || (this.#reg(REG_B) & B_SET) !== 0) return false;
    return SECOND_NS - ((this.#clock.nowNs() - this.#phaseNs) % SECOND_NS) <= UIP_NS;
  }

  #writeA(value: number): void {
    const wasRunning = this.#running();
    const rate = this.#reg(REG_A) & 15;
    this.#bytes[REG_A] = value;
    if (!wasRunning && this.#running()) {
      // The first update comes half a second after the divider is let go.
      this.#phaseNs = this.#clock.nowNs() - SECOND_NS / 2;
      this.#doneSeconds = 0;
      this.#periodicFrom = this.#periodicTick();
    } else if ((value & 15) !== rate) {
      this.#periodicFrom = this.#periodicTick();
    }
  }

  #writeB(value: number): void {
    // SET clears UIE (data sheet, register B).
    this.#bytes[REG_B] = (value & B_SET) !== 0 ? value & ~B_UIE : value;
    this.#raise(0);
  }

  #readC(): number {
    const value = this.#reg(REG_C);
    this.#bytes[REG_C] = 0;
    this.#pin.set(false);
    this.#arm();
    return value;
  }

  /** Sets flags in C; IRQF and the pin follow the enabled ones. */
  #raise(flags: number): void {
    const all = (this.#reg(REG_C) & ~C_IRQF) | flags;
    const active = (all & this.#reg(REG_B) & (B_PIE | B_AIE | B_UIE)) !== 0;
    this.#bytes[REG_C] = active ? all | C_IRQF : all;
    this.#pin.set(active);
  }

  /** The periodic interval in cycles of 32768 Hz, 0 when the rate is off. Rates 1 and 2 repeat 8 and 9 (32768 Hz crystal). */
  #periodTicks(): number {
    const rate = this.#reg(REG_A) & 15;
    if (rate === 0) return 0;
    return 1 << ((rate <= 2 ? rate + 7 : rate) - 1);
  }

  /** Periodic ticks since `#phaseNs`. */
  #periodicTick(): number {
    const period = this.#periodTicks();
    if (period === 0) return 0;
    const ns = this.#clock.nowNs() - this.#phaseNs;
    const seconds = Math.floor(ns / SECOND_NS);
    return Math.floor((seconds * 32768 + Math.floor(((ns - seconds * SECOND_NS) * 32768) / SECOND_NS)) / period);
  }

  /** Takes everything that happened up to now: update cycles, alarm, periodic flag. */
  #sync(): void {
    if (!this.#running()) return;
    const now = this.#clock.nowNs();
    let flags = 0;
    const period = this.#periodTicks();
    if (period !== 0) {
      const tick = this.#periodicTick();
      if (tick > this.#periodicFrom) flags |= C_PF;
      this.#periodicFrom = tick;
    }
    const seconds = Math.floor((now - this.#phaseNs) / SECOND_NS);
    const elapsed = seconds - this.#doneSeconds;
    this.#doneSeconds = seconds;
    if (elapsed > 0 && (this.#reg(REG_B) & B_SET) === 0) {
      flags |= C_UF;
      if (this.#advance(elapsed)) flags |= C_AF;
    }
    if (flags !== 0) this.#raise(flags);
  }

  #refresh(): void {
    this.#sync();
    this.#arm();
  }

  /** Moves the time registers on by whole seconds. True when the alarm matched on the way. */
  #advance(seconds: number): boolean {
    const from = this.#calendar();
    const dse = (this.#reg(REG_B) & B_DSE) !== 0;
    let alarm = false;
    let to = from + seconds;
    if (dse && seconds <= 86400) {
      to = from;
      for (let i = 0; i < seconds; i++) {
        to = this.#nextSecond(to);
        alarm ||= this.#alarmMatches(to);
      }
    } else {
      // A day of seconds holds every time of day.
      const steps = Math.min(seconds, 86400);
      for (let i = 0; i < steps && !alarm; i++) alarm = this.#alarmMatches(to - i);
    }
    const days = Math.floor(to / 86400) - Math.floor(from / 86400);
    const weekday = this.#decode(this.#reg(WEEKDAY));
    this.#setCalendar(to);
    // The day of the week only counts; the chip does not derive it from the date.
    this.#bytes[WEEKDAY] = this.#encode(((((weekday - 1 + days) % 7) + 7) % 7) + 1);
    return alarm;
  }

  /** One second on, with the chip's daylight saving: 2:00 on the last Sunday of April and of October. */
  #nextSecond(seconds: number): number {
    const next = seconds + 1;
    if (next % 86400 !== 7200 || dayOfWeek(next) !== 1) return next;
    const t = civilFromSeconds(next);
    if (t.month === 4 && t.day > 23) return next + 3600;
    const day = Math.floor(next / 86400);
    // In October the hour from 1:00 runs twice, and only twice.
    if (t.month !== 10 || t.day <= 24 || this.#fellBackDay === day) return next;
    this.#fellBackDay = day;
    return next - 3600;
  }

  /** Alarm bytes C0h..FFh match any value. */
  #alarmMatches(seconds: number): boolean {
    const a = this.#reg(SECONDS_ALARM);
    const b = this.#reg(MINUTES_ALARM);
    const c = this.#reg(HOURS_ALARM);
    const day = ((seconds % 86400) + 86400) % 86400;
    if (a < 0xc0 && this.#decode(a) !== day % 60) return false;
    if (b < 0xc0 && this.#decode(b) !== Math.floor(day / 60) % 60) return false;
    return c >= 0xc0 || this.#decodeHour(c) === Math.floor(day / 3600);
  }

  #calendar(): number {
    const year = this.#decode(this.#reg(YEAR)) % 100;
    const century = this.#decode(this.#reg(CENTURY));
    return secondsFromCivil({
      // A guest that cleared the century byte still gets a sane year.
      year: (century >= 19 && century <= 99 ? century * 100 : year < 80 ? 2000 : 1900) + year,
      month: Math.min(12, Math.max(1, this.#decode(this.#reg(MONTH)))),
      day: Math.max(1, this.#decode(this.#reg(DAY))),
      hour: this.#decodeHour(this.#reg(HOURS)),
      minute: this.#decode(this.#reg(MINUTES)),
      second: this.#decode(this.#reg(SECONDS)),
    });
  }

  #setCalendar(seconds: number): void {
    const t = civilFromSeconds(seconds);
    this.#bytes[SECONDS] = this.#encode(t.second);
    this.#bytes[MINUTES] = this.#encode(t.minute);
    this.#bytes[HOURS] = this.#encodeHour(t.hour);
    this.#bytes[WEEKDAY] = this.#encode(dayOfWeek(seconds));
    this.#bytes[DAY] = this.#encode(t.day);
    this.#bytes[MONTH] = this.#encode(t.month);
    this.#bytes[YEAR] = this.#encode(t.year % 100);
    this.#bytes[CENTURY] = this.#encode(Math.floor(t.year / 100) % 100);
  }

  #encode(value: number): number {
    return (this.#reg(REG_B) & B_BINARY) !== 0 ? value : (Math.floor(value / 10) << 4) | (value % 10);
  }

  #decode(byte: number): number {
    return (this.#reg(REG_B) & B_BINARY) !== 0 ? byte : (byte >> 4) * 10 + (byte & 15);
  }

  #encodeHour(hour: number): number {
    if ((this.#reg(REG_B) & B_24H) !== 0) return this.#encode(hour);
    return this.#encode(hour % 12 === 0 ? 12 : hour % 12) | (hour >= 12 ? 0x80 : 0);
  }

  #decodeHour(byte: number): number {
    if ((this.#reg(REG_B) & B_24H) !== 0) return this.#decode(byte);
    return (this.#decode(byte & 0x7f) % 12) + ((byte & 0x80) !== 0 ? 12 : 0);
  }

  /** Timers only for enabled interrupts whose flag is not set yet; a set flag already holds the pin. */
  #arm(): void {
    const b = this.#reg(REG_B);
    const waiting = b & ~this.#reg(REG_C);
    if (!this.#running() || (b & B_SET) !== 0 || (waiting & (B_UIE | B_AIE)) === 0) this.#updateTimer.cancel();
    else this.#updateTimer.arm(this.#phaseNs + (Math.floor((this.#clock.nowNs() - this.#phaseNs) / SECOND_NS) + 1) * SECOND_NS);
    const period = this.#periodTicks();
    if (!this.#running() || period === 0 || (waiting & B_PIE) === 0) {
      this.#periodicTimer.cancel();
      return;
    }
    const next = (this.#periodicFrom + 1) * period;
    const seconds = Math.floor(next / 32768);
    this.#periodicTimer.arm(this.#phaseNs + seconds * SECOND_NS + Math.ceil(((next - seconds * 32768) * SECOND_NS) / 32768));
  }
}
