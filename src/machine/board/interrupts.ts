import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import { NO_PIN, SharedIrqLine } from "../../bus/index.ts";
import type { IrqPin } from "../../bus/index.ts";
import { Pic8259 } from "../../devices/index.ts";
import { IoApic } from "../../devices/ioapic/index.ts";
import { ApicBus, LocalApic, LocalApicPorts, setVirtualWire } from "../../devices/lapic/index.ts";
import { IRQ, MEM, PORT } from "../../isa/index.ts";
import type { AccessSize, LocalApicPort } from "../../vmm/index.ts";
import type { Backplane } from "./backplane.ts";
import type { Chips } from "./devices.ts";

/** I/O APIC inputs of PIRQA#..PIRQD# in APIC mode; the ACPI and MP tables name them. */
export const PIRQ_GSI = 16;

/** Local APICs, I/O APIC and the bus between them. `bus` is where message-signalled interrupts go. */
export interface ApicBoard {
  readonly bus: ApicBus;
  readonly lapics: readonly LocalApic[];
  readonly ports: readonly LocalApicPorts[];
  readonly ioApic: IoApic;
  /** The 8259s' INT output: to every LINT0 and to I/O APIC input 0. */
  setPic(level: boolean): void;
  /** An ISA interrupt wire: IRQ0 is on input 2, the others on their own. */
  setIrq(irq: number, level: boolean): void;
  /** INIT on every processor by its pin (keyboard controller, port 92h), then what firmware does on the bootstrap processor. */
  initBoot(): void;
}

/** Local APICs, I/O APIC and the bus between them. */
export function buildApic(on: Backplane): ApicBoard {
  const { clock, cpus, guestTsc } = on.wires;
  const bus = new ApicBus();
  const acknowledgePic = (): number => on.chips.pic.acknowledge();
  const lapics = cpus.map((cpu, id) => new LocalApic({ id, bsp: id === 0, clock, bus, cpu, acknowledgePic, guestTsc: () => guestTsc(id) }));
  const ioApic = new IoApic({
    id: 0,
    deliver: (destination, logical, mode, vector, level) => bus.deliver(destination, logical, false, mode, vector, level),
    // IRQ0 reached a CPU by way of the I/O APIC.
    onEdge: (pin) => {
      if (pin === 2) on.chips.pit.irq0Acknowledged();
    },
  });
  bus.attachListener(ioApic);
  on.mmio.register(MEM.IOAPIC, 0x1000, ioApic);
  return {
    bus,
    lapics,
    ports: lapics.map((apic) => new LocalApicPorts(apic)),
    ioApic,
    setPic(level) {
      for (let i = 0; i < lapics.length; i++) lapics[i]?.setLint(0, level);
      ioApic.setPin(0, level);
    },
    setIrq(irq, level) {
      ioApic.setPin(irq === 0 ? 2 : irq, level);
    },
    initBoot() {
      for (const apic of lapics) apic.init();
      if (lapics[0] !== undefined) setVirtualWire(lapics[0]);
    },
  };
}

export function buildPic(on: Backplane): Pic8259 {
  const pic = new Pic8259({
    intr: (level) => on.chips.apic.setPic(level),
    onAcknowledge: (irq) => (irq === IRQ.PIT ? on.chips.pit.irq0Acknowledged() : undefined),
  });
  on.claimBytes(PORT.PIC1, 2, pic.master);
  on.claimBytes(PORT.PIC2, 2, pic.slave);
  on.claimBytes(PORT.ELCR, 2, pic.elcr);
  return pic;
}

/** Who pulls which wire, each in the order of connection. */
export const IRQ_LINES_STATE = shape.list(shape.list(shape.flag, 64, 0), 16);

/** The ISA interrupt wires: ISA chips and the PCI interrupt router may share each; it ends at the 8259s and at the I/O APIC. */
export class IrqLines {
  readonly #lines: readonly SharedIrqLine[];

  constructor({ pic, apic }: Pick<Chips, "pic" | "apic">) {
    this.#lines = Array.from({ length: 16 }, (_, irq) => {
      const picPin = pic.pin(irq);
      return new SharedIrqLine({
        set: (level) => {
          picPin.set(level);
          if (irq !== IRQ.CASCADE) apic.setIrq(irq, level);
        },
      });
    });
  }
  /** A place for one more device on a wire. */
  connect(irq: number): IrqPin {
    return this.#lines[irq]?.connect() ?? NO_PIN;
  }
  /** A place on each wire. */
  connectAll(): readonly IrqPin[] {
    return this.#lines.map((line) => line.connect());
  }
  /** A device that has pulsed an edge does not say again that it still holds the wire up: this does. */
  saveState(): Shaped<typeof IRQ_LINES_STATE> {
    return this.#lines.map((line) => line.saveState());
  }
  loadState(s: Shaped<typeof IRQ_LINES_STATE>): void {
    for (const [i, line] of this.#lines.entries()) line.loadState(s[i] ?? []);
  }
}

export function buildIrqLines({ chips }: Backplane): IrqLines {
  return new IrqLines(chips);
}

/** A CPU's way to its local APIC; the chip behind it is exchanged at a hard reset. */
export class ApicGateway implements LocalApicPort {
  #ports: LocalApicPorts | undefined;

  connect(ports: LocalApicPorts | undefined): void {
    this.#ports = ports;
  }
  interruptAcknowledge(): number {
    return this.#ports === undefined ? 0xff : this.#ports.interruptAcknowledge();
  }
  readTpr(): number {
    return this.#ports === undefined ? 0 : this.#ports.readTpr();
  }
  writeTpr(value: number): void {
    this.#ports?.writeTpr(value);
  }
  msrRead(index: number): bigint | undefined {
    return this.#ports?.msrRead(index);
  }
  msrWrite(index: number, value: bigint): boolean {
    return this.#ports?.msrWrite(index, value) ?? false;
  }
  pageRead(offset: number, size: AccessSize): number {
    return this.#ports === undefined ? 0 : this.#ports.pageRead(offset, size);
  }
  pageWrite(offset: number, size: AccessSize, value: number): void {
    this.#ports?.pageWrite(offset, size, value);
  }
}
