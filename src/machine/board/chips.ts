import type { Clock } from "../../base/index.ts";
import { MmioBus, NO_PIN, PioBus, SharedIrqLine } from "../../bus/index.ts";
import type { ClaimOptions, DmaView, IrqPin, MsiSink } from "../../bus/index.ts";
import { DebugPort, Dma8237, I8042, Lpt, Pic8259, Pit8254, Ps2Keyboard, Ps2Mouse, Rtc146818, SystemPorts, Uart16550 } from "../../devices/index.ts";
import type { ResetKind } from "../../devices/index.ts";
import type { AcpiPm } from "../../devices/acpi-pm/index.ts";
import type { LapicCpu } from "../../devices/lapic/index.ts";
import { Fdc82077 } from "../../devices/fdc/index.ts";
import { AtaDisk, AtapiDrive, busMasterPorts, IdeChannel } from "../../devices/ide/index.ts";
import { I440fxHostBridge, PciBus, Piix3Ide, Piix3IsaBridge } from "../../devices/pci/index.ts";
import type { PamSegment } from "../../devices/pci/index.ts";
import { Vga } from "../../devices/vga/index.ts";
import { IRQ, MEM, PORT } from "../../isa/index.ts";
import { plugVirtioDisks, plugVirtioExtras, VirtioSlots } from "./virtio.ts";
import { buildAcpiPm } from "./acpi-pm.ts";
import { buildApic, PIRQ_GSI } from "./apic.ts";
import type { ApicBoard } from "./apic.ts";
import { buildHpet } from "./hpet.ts";
import type { HpetBoard } from "./hpet.ts";
import { plugVirtioNet } from "./net.ts";
import { buildPciVga } from "./vga.ts";
import type { MachineConfig } from "../config.ts";
import { floppyMedium, IDE_CHANNELS } from "./drives.ts";
import type { Drive } from "./drives.ts";
import { PowerPorts } from "./power-ports.ts";
import type { SerialLine } from "../automation/serial-line.ts";

/** Where each serial port is, by PC convention. */
export const COM_PORTS = [
  { port: PORT.COM1, irq: IRQ.COM1 },
  { port: PORT.COM2, irq: IRQ.COM2 },
  { port: PORT.COM3, irq: IRQ.COM1 },
  { port: PORT.COM4, irq: IRQ.COM2 },
] as const;

/** The wires that leave the chips. */
export interface ChipWires {
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

/** Every chip of the PC, claimed on its ports. A hard reset makes a new set. */
export interface Chips {
  readonly pio: PioBus;
  readonly mmio: MmioBus;
  readonly pic: Pic8259;
  readonly apic: ApicBoard;
  /** Message-signalled interrupts of PCI functions go here. */
  readonly msi: MsiSink;
  readonly hpet: HpetBoard["hpet"];
  readonly pm: AcpiPm;
  readonly pit: Pit8254;
  readonly rtc: Rtc146818;
  readonly dma: Dma8237;
  readonly kbc: I8042;
  readonly keyboard: Ps2Keyboard;
  readonly mouse: Ps2Mouse;
  readonly uarts: readonly Uart16550[];
  readonly system: SystemPorts;
  readonly vga: Vga;
  readonly pci: PciBus;
  readonly virtio: VirtioSlots;
  readonly ide: readonly IdeChannel[];
  readonly fdc: Fdc82077;
  readonly lpt: Lpt | undefined;
  /** The ISA interrupt wires. */
  readonly lines: readonly SharedIrqLine[];
  readonly power: PowerPorts;
}

/** Reads as a parts list: each chip, its pins, its addresses. */
export function buildChips(config: MachineConfig, wires: ChipWires): Chips {
  const { clock } = wires;
  const pio = new PioBus();
  const mmio = new MmioBus();

  // Interrupts and time.
  const late: { pit?: Pit8254; pic?: Pic8259; pm?: AcpiPm } = {};
  const apic = buildApic({
    clock,
    mmio,
    cpus: wires.cpus,
    guestTsc: wires.guestTsc,
    acknowledgePic: () => late.pic?.acknowledge() ?? 0xff,
    onTimerEdge: () => late.pit?.irq0Acknowledged(),
  });
  const pic = new Pic8259({
    intr: (level) => apic.setPic(level),
    onAcknowledge: (irq) => (irq === IRQ.PIT ? late.pit?.irq0Acknowledged() : undefined),
  });
  late.pic = pic;
  pio.register(PORT.PIC1, 2, pic.master, BYTE_WIDE);
  pio.register(PORT.PIC2, 2, pic.slave, BYTE_WIDE);
  pio.register(PORT.ELCR, 2, pic.elcr, BYTE_WIDE);
  // Every IRQ is a wire that ISA chips and the PCI interrupt router may share; it ends at the 8259s and at the I/O APIC.
  const lines = Array.from({ length: 16 }, (_, irq) => {
    const picPin = pic.pin(irq);
    return new SharedIrqLine({
      set: (level) => {
        picPin.set(level);
        if (irq !== IRQ.CASCADE) apic.setIrq(irq, level);
      },
    });
  });
  const pin = (irq: number): IrqPin => lines[irq]?.connect() ?? NO_PIN;
  const { hpet, pitPin, rtcPin } = buildHpet({ clock, mmio, pin, setGsi: (gsi, asserted) => apic.ioApic.setPin(gsi, asserted) });
  const pit = new Pit8254({ clock, pin: pitPin });
  late.pit = pit;
  pio.register(PORT.PIT, 4, pit, BYTE_WIDE);
  pio.register(PORT.SYSTEM_B, 1, pit.portB);
  const rtcAlarm: IrqPin = {
    set: (level) => {
      rtcPin.set(level);
      if (level) late.pm?.rtcAlarm();
    },
  };
  const rtc = new Rtc146818({ clock, pin: rtcAlarm, startSeconds: Math.floor(config.rtcMs / 1000) });
  pio.register(PORT.CMOS_INDEX, 2, rtc, BYTE_WIDE);

  // DMA.
  const dma = new Dma8237({ memory: wires.dma });
  pio.register(PORT.DMA1, 16, dma.controller1, BYTE_WIDE);
  pio.register(PORT.DMA2, 32, dma.controller2, BYTE_WIDE);
  pio.register(PORT.DMA_PAGE, 16, dma.pages, BYTE_WIDE);

  // Floppy drives.
  const floppies = wires.drives.filter((d) => d.kind === "floppy");
  const fdc = new Fdc82077({
    irq: pin(IRQ.FDC),
    dma: dma.channel(2),
    clock,
    drives: floppies.map((d) => ({ installed: true, medium: floppyMedium(d) })),
  });
  pio.register(PORT.FDC, 6, fdc.ports, BYTE_WIDE);
  pio.register(PORT.FDC + 7, 1, fdc.inputPort);

  // One A20 latch with two handles; whoever moves it, the other follows.
  const handles: { kbc?: I8042; system?: SystemPorts } = {};
  const a20 = (enabled: boolean): void => {
    handles.kbc?.setA20(enabled);
    handles.system?.setA20(enabled);
    wires.a20(enabled);
  };

  // Keyboard and mouse.
  const keyboard = new Ps2Keyboard({ clock });
  const mouse = new Ps2Mouse({ clock });
  const kbc = new I8042({
    clock,
    keyboard,
    aux: mouse,
    keyboardPin: pin(IRQ.KBD),
    auxPin: pin(IRQ.MOUSE),
    a20,
    reset: () => wires.reset("cpu", "keyboard controller"),
  });
  handles.kbc = kbc;
  pio.register(PORT.KBC_DATA, 1, kbc.data);
  pio.register(PORT.KBC_STATUS, 1, kbc.command);

  // Ports 92h, CF9h, F0h.
  const system = new SystemPorts({
    a20,
    fpuPin: pin(IRQ.FPU),
    clearFpuBusy: wires.clearFpuBusy,
    reset: (kind) => wires.reset(kind, kind === "cpu" ? "port 92h" : "port CF9h"),
  });
  handles.system = system;
  pio.register(PORT.SYSTEM_A, 1, system.portA);
  pio.register(PORT.RESET_CONTROL, 1, system.resetControl, { overlay: true });
  pio.register(PORT.FPU_BUSY, 2, system.fpu, BYTE_WIDE);

  // Serial, parallel, debug.
  const uarts = wires.serial.map((line, i) => {
    const { port, irq } = COM_PORTS[i] ?? COM_PORTS[0];
    const uart = new Uart16550({ name: line.name, clock, pin: pin(irq), console: line });
    line.canReceive = () => uart.pendingInput < 16;
    pio.register(port, 8, uart, BYTE_WIDE);
    return uart;
  });
  const lpt = config.printer === undefined ? undefined : new Lpt({ name: "lpt1", sink: config.printer, pin: pin(IRQ.LPT1) });
  if (lpt !== undefined) pio.register(PORT.LPT1, 3, lpt, BYTE_WIDE);
  if (config.debugPort !== undefined) pio.register(PORT.DEBUG_E9, 1, new DebugPort({ sink: config.debugPort }));

  // Display.
  const vga = new Vga({ vram: wires.vram, clock });
  pio.register(PORT.VGA, 0x30, vga.ports);
  pio.register(PORT.VBE_INDEX, 4, vga.dispiPorts);
  mmio.register(MEM.VGA, MEM.VGA_END - MEM.VGA, vga.window);

  // PCI: 440FX host bridge at 0, PIIX3 at 1, display at 2.
  const isa = new Piix3IsaBridge({ pins: lines.map((line) => line.connect()) });
  const onPirq = (pirq: number, level: boolean): void => {
    isa.setPirq(pirq, level);
    apic.ioApic.setPin(PIRQ_GSI + pirq, level);
  };
  const pci = new PciBus({ onPirq });
  pci.attach(0, 0, new I440fxHostBridge({ onPam: wires.shadow }));
  pci.attach(1, 0, isa);
  const ide = buildIde(wires, pin);
  pci.attach(1, 1, connectIde(pio, ide));
  pci.attach(2, 0, buildPciVga({ vga, mmio, frameBufferBytes: wires.vram.length, frameBuffer: wires.frameBuffer }));
  // Virtio devices from slot 3 on.
  const virtio = new VirtioSlots({ pci, pio, mmio, dma: wires.dma, msi: apic.bus });
  plugVirtioDisks(virtio, wires.drives, clock);
  plugVirtioExtras(virtio, config, wires);
  plugVirtioNet(virtio, config.net, wires.arrived);
  pio.register(PORT.PCI_ADDRESS, 4, pci.addressPort);
  pio.register(PORT.PCI_DATA, 4, pci.dataPort);

  // Power.
  const pm = buildAcpiPm({ clock, pio, sci: pin(IRQ.ACPI), powerOff: wires.powerOff });
  late.pm = pm;
  const power = new PowerPorts((by) => wires.powerOff(by));
  pio.register(PowerPorts.SHUTDOWN_PORT, 1, power.shutdown);

  return {
    pio,
    mmio,
    pic,
    apic,
    msi: apic.bus,
    hpet,
    pm,
    pit,
    rtc,
    dma,
    kbc,
    keyboard,
    mouse,
    uarts,
    system,
    vga,
    pci,
    virtio,
    ide,
    fdc,
    lpt,
    lines,
    power,
  };
}

/** The two IDE cables with their drives. */
function buildIde(wires: ChipWires, pin: (irq: number) => IrqPin): readonly [IdeChannel, IdeChannel] {
  const drive = (position: number): AtaDisk | AtapiDrive | undefined => {
    const found = wires.drives.find((d) => d.path?.bus === "ide" && d.position === position);
    if (found === undefined) return undefined;
    const serial = `WHYVE0000${position}`;
    if (found.kind === "hard-disk")
      return found.backend === undefined ? undefined : new AtaDisk({ clock: wires.clock, backend: found.backend, serial });
    const onEject = (): void => {
      found.backend = undefined;
    };
    return new AtapiDrive({ clock: wires.clock, medium: found.backend, serial, onEject });
  };
  const channel = (index: 0 | 1): IdeChannel =>
    new IdeChannel({
      name: `ide${index}`,
      irq: pin(IDE_CHANNELS[index].irq),
      clock: wires.clock,
      dma: wires.dma,
      master: drive(2 * index),
      slave: drive(2 * index + 1),
    });
  return [channel(0), channel(1)];
}

/** The PIIX3's IDE function: the cables' legacy ports, switched by its decode bits, and the bus master's in its BAR. */
function connectIde(pio: PioBus, ide: readonly [IdeChannel, IdeChannel]): Piix3Ide {
  const decode = (index: number, enabled: boolean): void => {
    const wiring = IDE_CHANNELS[index === 0 ? 0 : 1];
    const channel = ide[index === 0 ? 0 : 1];
    if (enabled) {
      pio.tryRegister(wiring.base, 8, channel.commandBlock);
      pio.tryRegister(wiring.control, 1, channel.controlBlock);
    } else {
      pio.unregister(wiring.base, channel.commandBlock);
      pio.unregister(wiring.control, channel.controlBlock);
    }
  };
  decode(0, true);
  decode(1, true);
  const ports = busMasterPorts(ide[0].busMaster, ide[1].busMaster);
  let mapped: number | undefined;
  return new Piix3Ide({
    onDecode: decode,
    onBusMasterMap: (base) => {
      if (mapped !== undefined) pio.unregister(mapped, ports);
      mapped = base !== undefined && pio.tryRegister(base, 16, ports) ? base : undefined;
    },
  });
}
