import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { AccessSize, BusDevice } from "../../bus/index.ts";

export interface IoApicOptions {
  /** APIC id, 4 bits. */
  readonly id: number;
  /** Inputs, 1..24 (default 24). */
  readonly pins?: number;
  /** Sends an interrupt message; false when no local APIC accepted it. `destination` has 8 bits. */
  readonly deliver: (destination: number, logical: boolean, mode: number, vector: number, level: boolean) => boolean;
  /** An edge of this pin was delivered. */
  readonly onEdge?: (pin: number) => void;
}

const PINS = 24;
const VERSION = 0x20;
const REG_ID = 0;
const REG_VERSION = 1;
const REG_ARBITRATION = 2;
const REG_TABLE = 0x10;

const LEVEL = 0x8000;
const REMOTE_IRR = 0x4000;
const MASKED = 0x10000;
const LOGICAL = 0x800;
/** Vector, delivery mode, destination mode, polarity, trigger, mask. Delivery status and remote IRR are read-only. */
const WRITABLE = 0x1afff;

export const IOAPIC_STATE = shape.record({
  v: shape.oneOf(1),
  id: shape.int(0, 15),
  select: shape.byte,
  lines: shape.bits32,
  low: shape.list(shape.dword, PINS, 0),
  high: shape.list(shape.dword, PINS, 0),
});
export type IoApicStateV1 = Shaped<typeof IOAPIC_STATE>;

/**
 * The I/O APIC: register select at +0, window at +10h, EOI register at +40h. Source: Intel 82093AA data sheet (290566); the EOI register
 * is that of version 20h (ICH data sheets). Pins carry "asserted", not a voltage: the polarity bit is kept and changes nothing.
 */
export class IoApic implements BusDevice {
  readonly name = "ioapic";
  readonly #pins: number;
  readonly #deliver: IoApicOptions["deliver"];
  readonly #onEdge: ((pin: number) => void) | undefined;
  readonly #resetId: number;
  readonly #low: Uint32Array;
  readonly #high: Uint32Array;
  #id: number;
  #select = 0;
  /** Asserted pins, a bit each. */
  #lines = 0;

  constructor(options: IoApicOptions) {
    this.#pins = options.pins ?? 24;
    this.#deliver = options.deliver;
    this.#onEdge = options.onEdge;
    this.#resetId = options.id & 15;
    this.#id = this.#resetId;
    this.#low = new Uint32Array(this.#pins).fill(MASKED);
    this.#high = new Uint32Array(this.#pins);
  }

  get pins(): number {
    return this.#pins;
  }

  /** RST#: masks everything. The wires keep their levels. */
  reset(): void {
    this.#id = this.#resetId;
    this.#select = 0;
    this.#low.fill(MASKED);
    this.#high.fill(0);
  }

  setPin(pin: number, asserted: boolean): void {
    const bit = 1 << pin;
    if (((this.#lines & bit) !== 0) === asserted || pin >= this.#pins) return;
    if (!asserted) {
      this.#lines &= ~bit;
      return;
    }
    this.#lines |= bit;
    const entry = this.#low[pin] ?? MASKED;
    // An edge that finds its entry masked is lost.
    if ((entry & MASKED) !== 0) return;
    if ((entry & LEVEL) !== 0) this.#serveLevel(pin, entry);
    else if (this.#send(pin, entry, false)) this.#onEdge?.(pin);
  }

  /** A local APIC ended a level-triggered interrupt. A line that is still asserted asks again. */
  endOfInterrupt(vector: number): void {
    for (let pin = 0; pin < this.#pins; pin++) {
      const entry = this.#low[pin] ?? 0;
      if ((entry & (LEVEL | REMOTE_IRR)) !== (LEVEL | REMOTE_IRR) || (entry & 0xff) !== vector) continue;
      this.#low[pin] = entry & ~REMOTE_IRR;
      this.#serveLevel(pin, entry & ~REMOTE_IRR);
    }
  }

  read(offset: number, size: AccessSize): number {
    const at = offset & 0xff;
    const value = at < 4 ? this.#select >>> (8 * at) : at >= 0x10 && at < 0x14 ? this.#readRegister() >>> (8 * (at - 0x10)) : 0;
    return size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff);
  }

  write(offset: number, size: AccessSize, value: number): void {
    const at = offset & 0xff;
    if (at === 0) this.#select = value & 0xff;
    else if (at === 0x10 && size === 4) this.#writeRegister(value >>> 0);
    else if (at === 0x40) this.endOfInterrupt(value & 0xff);
  }

  saveState(): IoApicStateV1 {
    return { v: 1, id: this.#id, select: this.#select, lines: this.#lines, low: Array.from(this.#low), high: Array.from(this.#high) };
  }

  loadState(s: IoApicStateV1): void {
    this.#id = s.id;
    this.#select = s.select;
    this.#lines = s.lines;
    this.#low.set(s.low.slice(0, this.#pins));
    this.#high.set(s.high.slice(0, this.#pins));
  }

  #readRegister(): number {
    const index = this.#select;
    if (index >= REG_TABLE && index < REG_TABLE + 2 * this.#pins) {
      const pin = (index - REG_TABLE) >> 1;
      return ((index & 1) === 0 ? this.#low[pin] : this.#high[pin]) ?? 0;
    }
    if (index === REG_ID || index === REG_ARBITRATION) return this.#id << 24;
    return index === REG_VERSION ? VERSION | ((this.#pins - 1) << 16) : 0;
  }

  #writeRegister(value: number): void {
    const index = this.#select;
    if (index === REG_ID) this.#id = (value >>> 24) & 15;
    if (index < REG_TABLE || index >= REG_TABLE + 2 * this.#pins) return;
    const pin = (index - REG_TABLE) >> 1;
    if ((index & 1) !== 0) {
      this.#high[pin] = value & 0xff000000;
      return;
    }
    const old = this.#low[pin] ?? 0;
    // Going to edge-triggered forgets the interrupt in flight; drivers end interrupts that way where there is no EOI register.
    const entry = (value & WRITABLE) | ((value & LEVEL) !== 0 ? old & REMOTE_IRR : 0);
    this.#low[pin] = entry;
    if ((this.#lines & (1 << pin)) !== 0 && (entry & LEVEL) !== 0) this.#serveLevel(pin, entry);
  }

  #serveLevel(pin: number, entry: number): void {
    if ((entry & (MASKED | REMOTE_IRR)) !== 0 || (this.#lines & (1 << pin)) === 0) return;
    // Remote IRR first: the acceptance may come back here by way of an EOI.
    this.#low[pin] = entry | REMOTE_IRR;
    if (!this.#send(pin, entry, true)) this.#low[pin] = (this.#low[pin] ?? 0) & ~REMOTE_IRR;
  }

  #send(pin: number, entry: number, level: boolean): boolean {
    const mode = (entry >>> 8) & 7;
    // Only fixed and lowest-priority interrupts know levels.
    return this.#deliver((this.#high[pin] ?? 0) >>> 24, (entry & LOGICAL) !== 0, mode, entry & 0xff, level && mode <= 1) && (!level || mode <= 1);
  }
}
