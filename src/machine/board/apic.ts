import type { Clock } from "../../base/index.ts";
import type { MmioBus } from "../../bus/index.ts";
import { IoApic } from "../../devices/ioapic/index.ts";
import { ApicBus, LocalApic, LocalApicPorts, setVirtualWire } from "../../devices/lapic/index.ts";
import type { LapicCpu } from "../../devices/lapic/index.ts";
import { MEM } from "../../isa/index.ts";
import type { AccessSize, LocalApicPort } from "../../vmm/index.ts";

/** I/O APIC inputs of PIRQA#..PIRQD# in APIC mode; the ACPI and MP tables name them. */
export const PIRQ_GSI = 16;

export interface ApicBoardOptions {
  readonly clock: Clock;
  readonly mmio: MmioBus;
  /** In order of their APIC ids; the first is the bootstrap processor. */
  readonly cpus: readonly LapicCpu[];
  /** A CPU's time-stamp counter. */
  readonly guestTsc: (cpu: number) => number;
  /** The 8259s' INTA cycle. */
  readonly acknowledgePic: () => number;
  /** IRQ0 reached a CPU by way of the I/O APIC. */
  readonly onTimerEdge: () => void;
}

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

export function buildApic(options: ApicBoardOptions): ApicBoard {
  const bus = new ApicBus();
  const lapics = options.cpus.map(
    (cpu, id) =>
      new LocalApic({
        id,
        bsp: id === 0,
        clock: options.clock,
        bus,
        cpu,
        acknowledgePic: options.acknowledgePic,
        guestTsc: () => options.guestTsc(id),
      }),
  );
  const ioApic = new IoApic({
    id: 0,
    deliver: (destination, logical, mode, vector, level) => bus.deliver(destination, logical, false, mode, vector, level),
    onEdge: (pin) => {
      if (pin === 2) options.onTimerEdge();
    },
  });
  bus.attachListener(ioApic);
  options.mmio.register(MEM.IOAPIC, 0x1000, ioApic);
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
