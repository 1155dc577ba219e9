import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { AccessSize, BusDevice } from "../../bus/index.ts";
import { configU32 } from "./bytes.ts";
import { PCI_COMMAND_IO, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY, PCI_CONFIG } from "./config-space.ts";
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

  /** Every function with its slot and number, in order. */
  functions(): readonly { readonly slot: number; readonly fn: number; readonly device: PciFunction }[] {
    return [...this.#functions].sort(([a], [b]) => a - b).map(([devfn, device]) => ({ slot: devfn >>> 3, fn: devfn & 7, device }));
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

/** What firmware gives out to the functions of a bus. */
export interface PciAssignment {
  /** First I/O port and first memory address to give out; both move up. */
  readonly ioStart: number;
  readonly memoryStart: number;
  /** IRQ of each PIRQ, for the interrupt line registers; 0: leave. */
  readonly pirqIrqs: readonly [number, number, number, number];
  /** BARs with a wanted place: `slot.fn.index`, e.g. "2.0.0". */
  readonly fixed?: ReadonlyMap<string, number>;
}

/**
 * What PCI firmware does at POST: gives every BAR an aligned address, writes interrupt lines and turns decoding on.
 * Large memory BARs first, so that alignment wastes little. Expansion ROMs stay off.
 */
export function assignPciResources(bus: PciBus, plan: PciAssignment): void {
  let io = plan.ioStart;
  let memory = plan.memoryStart;
  const all = bus.functions().flatMap(({ slot, fn, device }) => device.bars.map((bar) => ({ slot, fn, device, bar })));
  const align = (at: number, size: number): number => Math.ceil(at / size) * size;
  for (const { slot, fn, device, bar } of [...all].sort((a, b) => b.bar.sizeBytes - a.bar.sizeBytes)) {
    if (bar.index === "rom") continue;
    const wanted = plan.fixed?.get(`${slot}.${fn}.${bar.index}`);
    if (wanted !== undefined) {
      device.writeConfig(bar.offset, 4, wanted);
    } else if (bar.kind === "io") {
      io = align(io, bar.sizeBytes);
      device.writeConfig(bar.offset, 4, io);
      io += bar.sizeBytes;
    } else {
      memory = align(memory, bar.sizeBytes);
      device.writeConfig(bar.offset, 4, memory);
      if (bar.wide === true) device.writeConfig(bar.offset + 4, 4, 0);
      memory += bar.sizeBytes;
    }
  }
  for (const { slot, device } of bus.functions()) {
    const pin = device.interruptPin;
    const irq = pin === 0 ? 0 : (plan.pirqIrqs[(pin - 1 + slot + 3) & 3] ?? 0);
    if (irq !== 0) device.writeConfig(PCI_CONFIG.INTERRUPT_LINE, 1, irq);
    let enable = 0;
    for (const bar of device.bars) {
      if (bar.index === "rom" || configU32(Uint8Array.of(...bytesOf(device, bar.offset)), 0) === 0) continue;
      enable |= bar.kind === "io" ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
    }
    if (enable !== 0) device.writeConfig(PCI_CONFIG.COMMAND, 2, device.command | enable | PCI_COMMAND_MASTER);
  }
}

function bytesOf(device: PciFunction, offset: number): readonly number[] {
  return [0, 1, 2, 3].map((i) => device.readConfig(offset + i, 1));
}
