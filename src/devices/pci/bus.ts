import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { AccessSize, BusDevice } from "../../bus/index.ts";
import type { PciFunction } from "./config-space.ts";

export interface PciBusOptions {
  /** INTx of a slot: `pirq` 0..3 by the PIIX swizzle, (pin + slot - 1) mod 4 with INTA# = 0. */
  readonly onPirq: (pirq: number, level: boolean) => void;
}

const allOnes = (size: number): number => (size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff);

export const PCI_BUS_STATE = shape.record({
  v: shape.oneOf(1),
  address: shape.dword,
  /** By devfn. */
  functions: shape.list(shape.pair(shape.byte, shape.anything), 256, 0),
});
export type PciBusStateV1 = Shaped<typeof PCI_BUS_STATE>;

/**
 * PCI bus 0 with configuration mechanism #1 (PCI 2.2 §3.2.2.3.2): `addressPort` for CF8h-CFBh, `dataPort` for CFCh-CFFh.
 * Slots without a device read all ones; other buses do not exist.
 */
export class PciBus {
  readonly addressPort: BusDevice;
  readonly dataPort: BusDevice;
  readonly #functions = new Map<number, PciFunction>();
  readonly #options: PciBusOptions;
  /** How many functions pull each PIRQ. */
  readonly #pulls = [0, 0, 0, 0];
  #address = 0;

  constructor(options: PciBusOptions) {
    this.#options = options;
    this.addressPort = {
      name: "pci-address",
      // Only a dword access reaches the address register; CF9h is somebody else's.
      read: (offset, size) => (offset === 0 && size === 4 ? this.#address : allOnes(size)),
      write: (offset, size, value) => {
        if (offset === 0 && size === 4) this.#address = (value & 0x80fffffc) >>> 0;
      },
    };
    this.dataPort = {
      name: "pci-data",
      read: (offset, size) => this.#readData(offset, size),
      write: (offset, size, value) => this.#writeData(offset, size, value),
    };
  }

  /** Plugs a function in. `fn` 0..7 of `slot` 0..31; our own mistake when it is taken. */
  attach(slot: number, fn: number, device: PciFunction): void {
    const devfn = slot * 8 + fn;
    this.#functions.set(devfn, device);
    const first = this.#functions.get(slot * 8);
    const several = [...this.#functions.keys()].some((other) => other >>> 3 === slot && (other & 7) !== 0);
    if (first !== undefined && several) first.setMultiFunction();
    if (device.interruptPin === 0) return;
    const pirq = (device.interruptPin - 1 + slot + 3) & 3;
    device.connectInterrupt((level) => {
      const before = this.#pulls[pirq] ?? 0;
      const after = Math.max(0, before + (level ? 1 : -1));
      this.#pulls[pirq] = after;
      if (before === 0 || after === 0) this.#options.onPirq(pirq, after > 0);
    });
  }

  /** The function at a place, if any. */
  functionAt(slot: number, fn: number): PciFunction | undefined {
    return this.#functions.get(slot * 8 + fn);
  }

  reset(): void {
    this.#address = 0;
    for (const f of this.#functions.values()) f.reset();
  }

  saveState(): PciBusStateV1 {
    return { v: 1, address: this.#address, functions: [...this.#functions].map(([devfn, f]) => [devfn, f.saveState()] as const) };
  }

  loadState(state: PciBusStateV1, at = "pci"): void {
    this.#address = state.address;
    for (const [devfn, s] of state.functions) this.#functions.get(devfn)?.loadState(s, `${at}.functions[${devfn}]`);
  }

  #target(): PciFunction | undefined {
    const a = this.#address;
    if (a < 0x80000000 || (a & 0x00ff0000) !== 0) return undefined;
    return this.#functions.get((a >>> 8) & 0xff);
  }

  #readData(offset: number, size: AccessSize): number {
    const target = this.#target();
    return target === undefined ? allOnes(size) : target.readConfig((this.#address & 0xfc) + offset, size);
  }

  #writeData(offset: number, size: AccessSize, value: number): void {
    this.#target()?.writeConfig((this.#address & 0xfc) + offset, size, value);
  }
}
