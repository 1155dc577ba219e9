import type { PioBus } from "../../bus/index.ts";
import { Fdc82077 } from "../../devices/fdc/index.ts";
import { AtaDisk, AtapiDrive, busMasterPorts, IdeChannel } from "../../devices/ide/index.ts";
import { Piix3Ide } from "../../devices/pci/index.ts";
import { IRQ, PORT } from "../../isa/index.ts";
import type { Backplane, BoardWires } from "./backplane.ts";
import type { Chips } from "./devices.ts";
import { floppyMedium, IDE_CHANNELS } from "./drives.ts";
import type { Drive } from "./drives.ts";

/** The floppy controller; 3F6h between its ports is the IDE channel's. */
export function buildFdc(on: Backplane): Fdc82077 {
  const { clock, drives } = on.wires;
  const floppies = drives.filter((d) => d.kind === "floppy");
  const fdc = new Fdc82077({
    irq: on.pin(IRQ.FDC),
    dma: on.chips.dma.channel(2),
    clock,
    drives: floppies.map((d) => ({ installed: true, medium: floppyMedium(d) })),
  });
  on.claimBytes(PORT.FDC, 6, fdc.ports);
  on.pio.register(PORT.FDC + 7, 1, fdc.inputPort);
  return fdc;
}

type Channels = readonly [IdeChannel, IdeChannel];

/** The two IDE cables with their drives, behind the PIIX3's IDE function. */
export function buildIde(on: Backplane): Channels {
  const channel = (index: 0 | 1): IdeChannel =>
    new IdeChannel({
      name: `ide${index}`,
      irq: on.pin(IDE_CHANNELS[index].irq),
      clock: on.wires.clock,
      dma: on.wires.dma,
      master: ideDrive(on.wires, 2 * index),
      slave: ideDrive(on.wires, 2 * index + 1),
    });
  const channels: Channels = [channel(0), channel(1)];
  on.chips.pci.attach(1, 1, connectIde(on.pio, channels));
  return channels;
}

function ideDrive({ clock, drives }: BoardWires, position: number): AtaDisk | AtapiDrive | undefined {
  const found = drives.find((d) => d.path?.bus === "ide" && d.position === position);
  if (found === undefined) return undefined;
  const serial = `WHYVE0000${position}`;
  if (found.kind === "hard-disk") return found.backend === undefined ? undefined : new AtaDisk({ clock, backend: found.backend, serial });
  const onEject = (): void => {
    found.backend = undefined;
  };
  return new AtapiDrive({ clock, medium: found.backend, serial, onEject });
}

/** The PIIX3's IDE function: the cables' legacy ports, switched by its decode bits, and the bus master's in its BAR. */
function connectIde(pio: PioBus, ide: Channels): Piix3Ide {
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

/** Tells the controller that a removable drive has another medium. */
export function showMedium({ fdc, ide }: Pick<Chips, "fdc" | "ide">, drive: Drive): void {
  if (drive.kind === "floppy") fdc.insert(drive.unit, floppyMedium(drive));
  else if (drive.path !== undefined) {
    const device = ide[drive.path.channel === 0 ? 0 : 1].drive(drive.path.device);
    if (device instanceof AtapiDrive) device.insert(drive.backend);
  }
}
