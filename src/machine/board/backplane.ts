import type { Clock } from "../../base/index.ts";
import { MmioBus, PioBus } from "../../bus/index.ts";
import type { BusDevice, ClaimOptions, DmaView, IrqPin } from "../../bus/index.ts";
import type { LapicCpu } from "../../devices/lapic/index.ts";
import type { ResetKind } from "../../devices/index.ts";
import type { PamSegment } from "../../devices/pci/index.ts";
import type { SerialLine } from "../automation/serial-line.ts";
import type { MachineConfig } from "../config.ts";
import type { Chips } from "./devices.ts";
import type { Drive } from "./drives.ts";

/** The wires that leave the devices. */
export interface BoardWires {
  readonly clock: Clock;
  readonly dma: DmaView;
  readonly vram: Uint8Array;
  /** Interrupt pins of each CPU, the bootstrap processor first, and its time-stamp counter. */
  readonly cpus: readonly LapicCpu[];
  readonly guestTsc: (cpu: number) => number;
  readonly a20: (enabled: boolean) => void;
  /** OUT F0h: the FPU error was taken. */
  readonly clearFpuBusy: () => void;
  readonly reset: (kind: ResetKind, by: string) => void;
  readonly powerOff: (by: string) => void;
  /** The guest suspended to RAM; something woke it. */
  readonly suspend: () => void;
  readonly wake: () => void;
  /** A guest that is a test is done. */
  readonly debugExit: (exitCode: number) => void;
  /** The frame buffer's BAR moved; undefined: it is not decoded. */
  readonly frameBuffer: (address: number | undefined) => void;
  /** Shadow RAM was switched in or out. */
  readonly shadow: (segment: PamSegment) => void;
  /** Fills with bytes that nobody can guess. */
  readonly random: (into: Uint8Array) => void;
  readonly serial: readonly SerialLine[];
  /** Something came from outside that a sleeping guest should look at. */
  readonly arrived: () => void;
  /** Virtio consoles. */
  readonly consoles: readonly SerialLine[];
  readonly drives: readonly Drive[];
}

/** An 8-bit chip of the ISA bus: a wider access reaches it as several, low byte first. */
const BYTE_WIDE: ClaimOptions = { maxSize: 1 };

/** What devices are plugged into: buses, interrupt wires, the wires to the rest of the machine. */
export class Backplane {
  readonly config: MachineConfig;
  readonly wires: BoardWires;
  readonly pio = new PioBus();
  readonly mmio = new MmioBus();
  /** While a device is built: those of the rows above it. Afterwards: all. */
  readonly chips: Chips;

  constructor(config: MachineConfig, wires: BoardWires, chips: Chips) {
    this.config = config;
    this.wires = wires;
    this.chips = chips;
  }

  /** A place for one more device on an ISA interrupt wire. */
  pin(irq: number): IrqPin {
    return this.chips.lines.connect(irq);
  }
  /** Gives an 8-bit chip its ports. */
  claimBytes(port: number, count: number, device: BusDevice): void {
    this.pio.register(port, count, device, BYTE_WIDE);
  }
}
