import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
/**
 * One 8259A. Source: Intel 8259A data sheet (231468), operation command words, priority modes, cascade. Bits of `irr`, `isr`, `imr`
 * and of the cascade mask are the eight inputs.
 */

const ICW1_IC4 = 0x01;
const ICW1_SNGL = 0x02;
const ICW1_ADI = 0x04;
const ICW1_LTIM = 0x08;
const ICW4_UPM = 0x01;
const ICW4_AEOI = 0x02;
const ICW4_SFNM = 0x10;

export const PIC8259_CHIP_STATE = shape.record({
  lines: shape.byte,
  irr: shape.byte,
  isr: shape.byte,
  imr: shape.byte,
  elcr: shape.byte,
  icw1: shape.byte,
  icw2: shape.byte,
  icw3: shape.byte,
  icw4: shape.byte,
  initStep: shape.int(0, 4),
  lowest: shape.int(0, 7),
  rotateOnAutoEoi: shape.flag,
  specialMask: shape.flag,
  readIsr: shape.flag,
  poll: shape.flag,
});
export type Pic8259ChipState = Shaped<typeof PIC8259_CHIP_STATE>;

export class Pic8259Chip {
  /** Inputs that are another 8259A's INT (master: bit 2). */
  readonly #cascade: number;
  readonly #intChanged: () => void;
  #lines = 0;
  #irr = 0;
  #isr = 0;
  #imr = 0;
  #elcr = 0;
  #icw1 = 0x11;
  #icw2 = 0;
  #icw3 = 0;
  #icw4 = 0;
  /** 0: ready. 2, 3, 4: that ICW is expected at the odd port. */
  #initStep = 0;
  /** The input of lowest priority; the next one is the highest. */
  #lowest = 7;
  #rotateOnAutoEoi = false;
  #specialMask = false;
  #readIsr = false;
  #poll = false;

  constructor(cascade: number, intChanged: () => void) {
    this.#cascade = cascade;
    this.#intChanged = intChanged;
  }

  get irr(): number {
    return this.#irr;
  }
  get isr(): number {
    return this.#isr;
  }
  get imr(): number {
    return this.#imr;
  }
  get elcr(): number {
    return this.#elcr;
  }
  /** The vector of input 0. */
  get vectorBase(): number {
    return this.#icw2 & 0xf8;
  }

  /** Inputs that are level-sensitive: by ICW1's LTIM for all, or by ELCR one by one. */
  setElcr(value: number): void {
    this.#elcr = value;
    const level = this.#levelMask();
    this.#irr = (this.#irr & ~level) | (this.#lines & level);
    this.#intChanged();
  }

  /** The INT output. */
  get int(): boolean {
    return this.#pending() >= 0;
  }

  setLine(input: number, high: boolean): void {
    const bit = 1 << input;
    if (high === ((this.#lines & bit) !== 0)) return;
    if (high) {
      this.#lines |= bit;
      this.#irr |= bit;
    } else {
      // A request that goes away before the first INTA is forgotten, in both trigger modes.
      this.#lines &= ~bit;
      this.#irr &= ~bit;
    }
    this.#intChanged();
  }

  /** First INTA: freezes the winner, -1 when there is none (the chip then answers with input 7 and sets no ISR bit). */
  takeRequest(): number {
    const input = this.#pending();
    if (input < 0) return -1;
    const bit = 1 << input;
    if ((this.#levelMask() & bit) === 0) this.#irr &= ~bit;
    if ((this.#icw4 & ICW4_AEOI) === 0) this.#isr |= bit;
    else if (this.#rotateOnAutoEoi) this.#lowest = input;
    return input;
  }

  /** The byte on the bus at the second INTA. In MCS-80 mode it is the low half of the CALL address. */
  vectorOf(input: number): number {
    if ((this.#icw4 & ICW4_UPM) !== 0) return (this.#icw2 & 0xf8) | input;
    return (this.#icw1 & ICW1_ADI) !== 0 ? (this.#icw1 & 0xe0) | (input << 2) : (this.#icw1 & 0xc0) | (input << 3);
  }

  write(odd: boolean, value: number): void {
    if (odd) this.#writeOdd(value);
    else if ((value & 0x10) !== 0) this.#icw1Write(value);
    else if ((value & 0x08) !== 0) this.#ocw3(value);
    else this.#ocw2(value);
    this.#intChanged();
  }

  read(odd: boolean): number {
    if (this.#poll) {
      // The read pulse after a poll command is an INTA.
      this.#poll = false;
      const input = this.takeRequest();
      this.#intChanged();
      return input < 0 ? 0 : 0x80 | input;
    }
    if (odd) return this.#imr;
    return this.#readIsr ? this.#isr : this.#irr;
  }

  #icw1Write(value: number): void {
    this.#icw1 = value;
    this.#initStep = 2;
    this.#imr = 0;
    this.#isr = 0;
    // The edge sense circuit is reset: a line that is high must fall and rise again.
    this.#irr = this.#lines & this.#levelMask();
    this.#lowest = 7;
    this.#rotateOnAutoEoi = false;
    this.#specialMask = false;
    this.#readIsr = false;
    this.#poll = false;
    if ((value & ICW1_IC4) === 0) this.#icw4 = 0;
  }

  #writeOdd(value: number): void {
    switch (this.#initStep) {
      case 2:
        this.#icw2 = value;
        this.#initStep = (this.#icw1 & ICW1_SNGL) === 0 ? 3 : (this.#icw1 & ICW1_IC4) !== 0 ? 4 : 0;
        break;
      case 3:
        this.#icw3 = value;
        this.#initStep = (this.#icw1 & ICW1_IC4) !== 0 ? 4 : 0;
        break;
      case 4:
        this.#icw4 = value;
        this.#initStep = 0;
        break;
      default:
        this.#imr = value;
        break;
    }
  }

  #ocw2(value: number): void {
    const input = value & 7;
    switch (value >> 5) {
      case 0:
        this.#rotateOnAutoEoi = false;
        break;
      case 1:
        this.#endHighest(false);
        break;
      case 3:
        this.#isr &= ~(1 << input);
        break;
      case 4:
        this.#rotateOnAutoEoi = true;
        break;
      case 5:
        this.#endHighest(true);
        break;
      case 6:
        this.#lowest = input;
        break;
      case 7:
        this.#isr &= ~(1 << input);
        this.#lowest = input;
        break;
      default:
        break;
    }
  }

  #ocw3(value: number): void {
    if ((value & 0x40) !== 0) this.#specialMask = (value & 0x20) !== 0;
    if ((value & 0x04) !== 0) this.#poll = true;
    else if ((value & 0x02) !== 0) this.#readIsr = (value & 0x01) !== 0;
  }

  /** Non-specific EOI. In special mask mode a masked in-service bit is not the one it ends. */
  #endHighest(rotate: boolean): void {
    const input = this.#highest(this.#specialMask ? this.#isr & ~this.#imr : this.#isr);
    if (input < 0) return;
    this.#isr &= ~(1 << input);
    if (rotate) this.#lowest = input;
  }

  #levelMask(): number {
    return (this.#icw1 & ICW1_LTIM) !== 0 ? 0xff : this.#elcr;
  }

  /** The set bit of highest priority, -1 for none. */
  #highest(bits: number): number {
    for (let i = 1; i <= 8; i++) {
      const input = (this.#lowest + i) & 7;
      if ((bits & (1 << input)) !== 0) return input;
    }
    return -1;
  }

  /** The request that INT stands for, -1 for none. */
  #pending(): number {
    if (this.#initStep !== 0) return -1;
    const request = this.#highest(this.#irr & ~this.#imr);
    if (request < 0) return -1;
    const serving = this.#highest(this.#specialMask ? this.#isr & ~this.#imr : this.#isr);
    if (serving < 0) return request;
    if (request === serving) {
      // Special fully nested: a slave in service may ask again for one of its higher inputs.
      return (this.#icw4 & ICW4_SFNM) !== 0 && (this.#cascade & (1 << request)) !== 0 ? request : -1;
    }
    const first = (this.#lowest + 1) & 7;
    return ((request - first) & 7) < ((serving - first) & 7) ? request : -1;
  }

  saveState(): Pic8259ChipState {
    return {
      lines: this.#lines,
      irr: this.#irr,
      isr: this.#isr,
      imr: this.#imr,
      elcr: this.#elcr,
      icw1: this.#icw1,
      icw2: this.#icw2,
      icw3: this.#icw3,
      icw4: this.#icw4,
      initStep: this.#initStep,
      lowest: this.#lowest,
      rotateOnAutoEoi: this.#rotateOnAutoEoi,
      specialMask: this.#specialMask,
      readIsr: this.#readIsr,
      poll: this.#poll,
    };
  }

  loadState(s: Pic8259ChipState): void {
    this.#lines = s.lines;
    this.#irr = s.irr;
    this.#isr = s.isr;
    this.#imr = s.imr;
    this.#elcr = s.elcr;
    this.#icw1 = s.icw1;
    this.#icw2 = s.icw2;
    this.#icw3 = s.icw3;
    this.#icw4 = s.icw4;
    this.#initStep = s.initStep;
    this.#lowest = s.lowest;
    this.#rotateOnAutoEoi = s.rotateOnAutoEoi;
    this.#specialMask = s.specialMask;
    this.#readIsr = s.readIsr;
    this.#poll = s.poll;
  }
}
