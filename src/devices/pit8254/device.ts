import { shape } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";
import type { AccessSize, BusDevice, IrqPin } from "../../bus/index.ts";
import { PIT_HZ } from "../../isa/index.ts";
import { nsOfTick, ticksAt } from "../common/ticks.ts";
import { PIT_COUNTER_STATE, PitCounter } from "./counter.ts";

export interface Pit8254Options {
  readonly clock: Clock;
  /** OUT0: IRQ0. */
  readonly pin: IrqPin;
  /** The speaker's tone; `on` is false when the gate, the data bit or a periodic mode is missing. Called only on a change. */
  readonly speaker?: (freqHz: number, on: boolean) => void;
}

/** Edges of OUT0 that came while the host was late and that the guest still gets, at most. More than that is lost time. */
const MAX_BACKLOG = 256;
/** Edges of OUT0 are never delivered more often than this; faster ones merge (a hostile count of 2 would be 600 kHz). */
const MIN_EDGE_NS = 5_000;
/** Refresh request: counter 1 at its PC/AT count of 18, 15.085 µs. */
const REFRESH_TICKS = 18;

export const PIT8254_STATE = shape.record({
  v: shape.oneOf(1),
  counters: shape.list(PIT_COUNTER_STATE, 3),
  pinLevel: shape.flag,
  nextRise: shape.moment,
  backlog: shape.int(0, MAX_BACKLOG),
  portB: shape.byte,
});
export type Pit8254StateV1 = Shaped<typeof PIT8254_STATE>;

/**
 * The PC's 8254 at 40h and port 61h (system control port B). OUT1 is not wired; OUT2 drives the speaker.
 *
 * OUT0 is edge-sensitive at the 8259, so only its rises are simulated: in the periodic modes the pin pulses low and high at each rise
 * and one timer runs. When the host comes late by several periods, one edge is raised now, and the missed ones follow one by one, half a
 * period after the guest acknowledged the last (`irq0Acknowledged`), at most MAX_BACKLOG of them.
 */
export class Pit8254 implements BusDevice {
  readonly name = "pit8254";
  /** Port 61h. */
  readonly portB: BusDevice;
  readonly #clock: Clock;
  readonly #pin: IrqPin;
  readonly #speaker: ((freqHz: number, on: boolean) => void) | undefined;
  readonly #counters: readonly [PitCounter, PitCounter, PitCounter] = [new PitCounter(true), new PitCounter(true), new PitCounter(false)];
  readonly #timer: Timer;
  readonly #catchUp: Timer;
  #pinLevel = false;
  /** The tick of the rise that the timer waits for, -1 for none. */
  #nextRise = -1;
  #backlog = 0;
  #portB = 0;
  #speakerHz = 0;
  #speakerOn = false;

  constructor(options: Pit8254Options) {
    this.#clock = options.clock;
    this.#pin = options.pin;
    this.#speaker = options.speaker;
    this.#timer = options.clock.createTimer("pit8254", () => this.#onTimer());
    this.#catchUp = options.clock.createTimer("pit8254-catch-up", () => this.#onCatchUp());
    this.portB = {
      name: "system-port-b",
      read: () => this.#readPortB(),
      write: (_offset, _size, value) => this.#writePortB(value),
    };
  }

  read(offset: number, _size: AccessSize): number {
    const counter = this.#counters[offset & 3];
    // The control word register cannot be read; the bus floats.
    return counter === undefined ? 0xff : counter.read(this.#now());
  }

  write(offset: number, _size: AccessSize, value: number): void {
    const t = this.#now();
    // A rise that is due but whose timer has not run yet comes first.
    if (this.#nextRise >= 0 && t >= this.#nextRise) this.#onTimer();
    const index = offset & 3;
    const counter = this.#counters[index];
    if (counter !== undefined) counter.write(value & 0xff, t);
    else if (!this.#control(value & 0xff, t)) return;
    if (index === 0 || (index === 3 && value >> 6 === 0)) this.#counter0Changed(t);
    this.#updateSpeaker();
  }

  /** The guest took IRQ0. Lets an edge that came while the host was late follow. */
  irq0Acknowledged(): void {
    if (this.#backlog === 0) return;
    const c0 = this.#counters[0];
    const periodNs = c0.periodic ? nsOfTick(c0.count, PIT_HZ) : 0;
    this.#catchUp.arm(this.#clock.nowNs() + Math.max(MIN_EDGE_NS, Math.floor(periodNs / 2)));
  }

  saveState(): Pit8254StateV1 {
    return {
      v: 1,
      counters: this.#counters.map((c) => c.saveState()),
      pinLevel: this.#pinLevel,
      nextRise: this.#nextRise,
      backlog: this.#backlog,
      portB: this.#portB,
    };
  }

  loadState(s: Pit8254StateV1): void {
    for (let i = 0; i < 3; i++) {
      const state = s.counters[i];
      if (state !== undefined) this.#counters[i]?.loadState(state);
    }
    this.#portB = s.portB;
    this.#backlog = s.backlog;
    this.#pinLevel = s.pinLevel;
    this.#pin.set(s.pinLevel);
    this.#nextRise = s.nextRise;
    this.#catchUp.cancel();
    if (s.nextRise >= 0) this.#timer.arm(nsOfTick(s.nextRise, PIT_HZ));
    else this.#timer.cancel();
    this.#updateSpeaker();
  }

  #now(): number {
    return ticksAt(this.#clock.nowNs(), PIT_HZ);
  }

  /** True when a counter was programmed, false for the latch and read-back commands. */
  #control(value: number, t: number): boolean {
    const select = value >> 6;
    if (select === 3) {
      // Read-back: bits 5 and 4 are active low, bits 3..1 select counters.
      for (let i = 0; i < 3; i++) {
        if ((value & (2 << i)) === 0) continue;
        const counter = this.#counters[i];
        if ((value & 0x20) === 0) counter?.latchCount(t);
        if ((value & 0x10) === 0) counter?.latchStatus(t);
      }
      return false;
    }
    const counter = this.#counters[select];
    if ((value & 0x30) === 0) {
      counter?.latchCount(t);
      return false;
    }
    counter?.control(value, t);
    return true;
  }

  /** After a write: OUT0 as it is now, and the timer for its next rise. */
  #counter0Changed(t: number): void {
    const c0 = this.#counters[0];
    c0.sync(t);
    // Falls inside a period are not simulated: in modes 2 and 3 the pin stays high until the next rise pulses it.
    this.#setPin(c0.mode === 2 || c0.mode === 3 ? true : c0.out(t));
    if (!c0.periodic) this.#backlog = 0;
    this.#arm(c0.nextRise(t));
  }

  #arm(rise: number): void {
    this.#nextRise = rise;
    if (rise < 0) this.#timer.cancel();
    else this.#timer.arm(Math.max(nsOfTick(rise, PIT_HZ), this.#clock.nowNs() + (this.#counters[0].periodic ? MIN_EDGE_NS : 0)));
  }

  #onTimer(): void {
    const t = this.#now();
    const c0 = this.#counters[0];
    const due = this.#nextRise;
    c0.sync(t);
    if (due < 0) return;
    if (t < due) {
      this.#arm(due);
      return;
    }
    this.#pulse();
    if (c0.periodic && nsOfTick(c0.count, PIT_HZ) > MIN_EDGE_NS) {
      this.#backlog = Math.min(MAX_BACKLOG, this.#backlog + Math.floor((t - due) / c0.count));
    }
    this.#arm(c0.nextRise(t));
  }

  #onCatchUp(): void {
    if (this.#backlog === 0) return;
    this.#backlog--;
    this.#pulse();
  }

  #pulse(): void {
    this.#setPin(false);
    this.#setPin(true);
  }

  #setPin(level: boolean): void {
    this.#pinLevel = level;
    this.#pin.set(level);
  }

  /** Bits 0..3 as written; bit 4 toggles with each refresh request, bit 5 is OUT2; 6 and 7 (I/O check, parity) never happen. */
  #readPortB(): number {
    const t = this.#now();
    const c2 = this.#counters[2];
    c2.sync(t);
    return this.#portB | (Math.floor(t / REFRESH_TICKS) % 2 === 1 ? 0x10 : 0) | (c2.out(t) ? 0x20 : 0);
  }

  #writePortB(value: number): void {
    this.#portB = value & 0x0f;
    this.#counters[2].setGate((value & 1) !== 0, this.#now());
    this.#updateSpeaker();
  }

  #updateSpeaker(): void {
    const c2 = this.#counters[2];
    const on = (this.#portB & 3) === 3 && c2.periodic;
    const freqHz = on ? PIT_HZ / c2.programmedCount : 0;
    if (on === this.#speakerOn && freqHz === this.#speakerHz) return;
    this.#speakerOn = on;
    this.#speakerHz = freqHz;
    if (this.#speaker !== undefined) this.#speaker(freqHz, on);
  }
}
