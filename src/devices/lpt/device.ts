import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { ByteSink } from "../../backends/api/index.ts";
import type { AccessSize, BusDevice, IrqPin } from "../../bus/index.ts";

export interface LptOptions {
  /** "lpt1": for messages and traces. */
  readonly name: string;
  readonly sink: ByteSink;
  /** IRQ7 or IRQ5: the printer's acknowledge, when the guest enabled it. */
  readonly pin: IrqPin;
}

/** Not busy, no acknowledge pulse, paper in, selected, no error (active-low lines read as 1). */
const STATUS_READY = 0xdf;
const CONTROL_STROBE = 0x01;
const CONTROL_INIT = 0x04;
const CONTROL_SELECT = 0x08;
const CONTROL_IRQ = 0x10;
const CONTROL_INPUT = 0x20;

export const LPT_STATE = shape.record({
  v: shape.oneOf(1),
  data: shape.byte,
  control: shape.byte,
});
export type LptStateV1 = Shaped<typeof LPT_STATE>;

/**
 * A PC parallel port (SPP, with the PS/2 direction bit) and an ever-ready printer: data, status, control. A byte is printed when strobe
 * goes on. Source: IBM PC/AT Technical Reference, "Parallel Printer Adapter"; IEEE 1284 compatibility mode.
 */
export class Lpt implements BusDevice {
  readonly name: string;
  readonly #sink: ByteSink;
  readonly #pin: IrqPin;
  #data = 0;
  #control = CONTROL_INIT | CONTROL_SELECT;

  constructor(options: LptOptions) {
    this.name = options.name;
    this.#sink = options.sink;
    this.#pin = options.pin;
  }

  read(offset: number, _size: AccessSize): number {
    switch (offset) {
      case 0:
        // Nothing drives the data lines when the port listens.
        return (this.#control & CONTROL_INPUT) !== 0 ? 0xff : this.#data;
      case 1:
        return STATUS_READY;
      case 2:
        return this.#control | 0xc0;
      default:
        return 0xff;
    }
  }

  write(offset: number, _size: AccessSize, value: number): void {
    if (offset === 0) this.#data = value & 0xff;
    else if (offset === 2) this.#writeControl(value & 0x3f);
  }

  saveState(): LptStateV1 {
    return { v: 1, data: this.#data, control: this.#control };
  }

  loadState(s: LptStateV1): void {
    this.#data = s.data;
    this.#control = s.control;
  }

  #writeControl(value: number): void {
    const strobe = (value & ~this.#control & CONTROL_STROBE) !== 0;
    this.#control = value;
    if ((value & CONTROL_IRQ) === 0) this.#pin.set(false);
    if (!strobe || (value & CONTROL_INPUT) !== 0) return;
    this.#sink.writeByte(this.#data);
    if ((value & CONTROL_IRQ) !== 0) {
      // The trailing edge of the acknowledge pulse, all at once; the 8259 sees the edge and a line that stays up until the next byte.
      this.#pin.set(false);
      this.#pin.set(true);
    }
  }
}
