import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { BusDevice, IrqPin } from "../../bus/index.ts";
import { PIC8259_CHIP_STATE, Pic8259Chip } from "./chip.ts";

export interface Pic8259Options {
  /** The master's INT wire to the CPU. Called only on a change. */
  readonly intr: (level: boolean) => void;
  /** After an interrupt was acknowledged: its IRQ number 0..15 (spurious ones are not reported). */
  readonly onAcknowledge?: (irq: number) => void;
}

/** ELCR bits that exist: IRQ0, 1, 2, 8 and 13 are always edge-triggered (PIIX, 4D0h/4D1h). */
const ELCR_MASTER = 0xf8;
const ELCR_SLAVE = 0xde;
const CASCADE = 2;

export const PIC8259_STATE = shape.record({
  v: shape.oneOf(1),
  master: PIC8259_CHIP_STATE,
  slave: PIC8259_CHIP_STATE,
});
export type Pic8259StateV1 = Shaped<typeof PIC8259_STATE>;

/**
 * The PC/AT pair of 8259As: master at 20h, slave at A0h on the master's input 2, ELCR at 4D0h. `master`, `slave` and `elcr` are
 * three bus devices of two ports each.
 */
export class Pic8259 {
  readonly master: BusDevice;
  readonly slave: BusDevice;
  readonly elcr: BusDevice;
  readonly #master: Pic8259Chip;
  readonly #slave: Pic8259Chip;
  readonly #intr: (level: boolean) => void;
  readonly #onAcknowledge: ((irq: number) => void) | undefined;
  readonly #pins: IrqPin[] = [];
  #level = false;

  constructor(options: Pic8259Options) {
    this.#intr = options.intr;
    this.#onAcknowledge = options.onAcknowledge;
    this.#master = new Pic8259Chip(1 << CASCADE, () => this.#update());
    this.#slave = new Pic8259Chip(0, () => this.#master.setLine(CASCADE, this.#slave.int));
    this.master = ports("pic8259-master", this.#master);
    this.slave = ports("pic8259-slave", this.#slave);
    this.elcr = {
      name: "elcr",
      read: (offset) => (offset === 0 ? this.#master.elcr : this.#slave.elcr),
      write: (offset, _size, value) => {
        if (offset === 0) this.#master.setElcr(value & ELCR_MASTER);
        else this.#slave.setElcr(value & ELCR_SLAVE);
      },
    };
    for (let irq = 0; irq < 16; irq++) {
      const chip = irq < 8 ? this.#master : this.#slave;
      const input = irq & 7;
      this.#pins.push(irq === CASCADE ? { set() {} } : { set: (level) => chip.setLine(input, level) });
    }
  }

  /** The wire of an IRQ, 0..15. IRQ2 is the cascade: its pin goes nowhere. */
  pin(irq: number): IrqPin {
    const pin = this.#pins[irq];
    if (pin === undefined) throw new RangeError(`IRQ ${irq} does not exist; the 8259 pair has 0..15`);
    return pin;
  }

  /** The two INTA cycles: the vector. With nothing pending the chip answers as its input 7 (spurious IRQ7 or IRQ15). */
  acknowledge(): number {
    const input = this.#master.takeRequest();
    let irq = input;
    let vector: number;
    if (input < 0) {
      vector = this.#master.vectorOf(7);
    } else if (input === CASCADE) {
      const slaveInput = this.#slave.takeRequest();
      irq = slaveInput < 0 ? -1 : 8 + slaveInput;
      vector = this.#slave.vectorOf(slaveInput < 0 ? 7 : slaveInput);
      // INT falls at INTA; a further request of the slave is a new edge for the master.
      this.#master.setLine(CASCADE, false);
      this.#master.setLine(CASCADE, this.#slave.int);
    } else {
      vector = this.#master.vectorOf(input);
    }
    this.#update();
    if (irq >= 0 && this.#onAcknowledge !== undefined) this.#onAcknowledge(irq);
    return vector;
  }

  /** Registers for monitors and tests: IRR, ISR, IMR as 16-bit sets, and the two vector bases. */
  inspect(): { readonly irr: number; readonly isr: number; readonly imr: number; readonly masterBase: number; readonly slaveBase: number } {
    return {
      irr: this.#master.irr | (this.#slave.irr << 8),
      isr: this.#master.isr | (this.#slave.isr << 8),
      imr: this.#master.imr | (this.#slave.imr << 8),
      masterBase: this.#master.vectorBase,
      slaveBase: this.#slave.vectorBase,
    };
  }

  saveState(): Pic8259StateV1 {
    return { v: 1, master: this.#master.saveState(), slave: this.#slave.saveState() };
  }

  loadState(s: Pic8259StateV1): void {
    this.#master.loadState(s.master);
    this.#slave.loadState(s.slave);
    this.#level = this.#master.int;
    this.#intr(this.#level);
  }

  #update(): void {
    const level = this.#master.int;
    if (level === this.#level) return;
    this.#level = level;
    this.#intr(level);
  }
}

function ports(name: string, chip: Pic8259Chip): BusDevice {
  return {
    name,
    read: (offset) => chip.read(offset !== 0),
    write: (offset, _size, value) => chip.write(offset !== 0, value & 0xff),
  };
}
