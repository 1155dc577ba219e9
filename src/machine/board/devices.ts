import { shape, VmmError } from "../../base/index.ts";
import type { Shape, Shaped } from "../../base/index.ts";
import type { MmioBus, PioBus } from "../../bus/index.ts";
import { ACPI_PM_STATE } from "../../devices/acpi-pm/index.ts";
import { FDC82077_STATE } from "../../devices/fdc/index.ts";
import { HPET_STATE } from "../../devices/hpet/index.ts";
import { IDE_CHANNEL_STATE } from "../../devices/ide/index.ts";
import {
  DMA8237_STATE,
  I8042_STATE,
  LPT_STATE,
  PIC8259_STATE,
  PIT8254_STATE,
  PS2_KEYBOARD_STATE,
  PS2_MOUSE_STATE,
  RTC146818_STATE,
  SYSTEM_PORTS_STATE,
  UART16550_STATE,
} from "../../devices/index.ts";
import { IOAPIC_STATE } from "../../devices/ioapic/index.ts";
import { APIC_BUS_STATE, LOCAL_APIC_STATE } from "../../devices/lapic/index.ts";
import { PCI_BUS_STATE } from "../../devices/pci/index.ts";
import { PC_TESTDEV_STATE } from "../../devices/testdev/index.ts";
import { VGA_STATE } from "../../devices/vga/index.ts";
import type { MachineConfig } from "../config.ts";
import { Backplane } from "./backplane.ts";
import type { BoardWires } from "./backplane.ts";
import { buildApic, buildIrqLines, buildPic, IRQ_LINES_STATE } from "./interrupts.ts";
import { buildDebugPort, buildDma, buildKbc, buildKeyboard, buildLpt, buildMouse, buildSystemPorts, buildUarts } from "./isa.ts";
import { buildPci, buildVga } from "./pci.ts";
import { buildPm, buildShutdownPort, SHUTDOWN_PORT_STATE } from "./power.ts";
import { buildFdc, buildIde } from "./storage.ts";
import { buildDebugExit, buildPcTestdev } from "./testdev.ts";
import { buildHpet, buildPit, buildRtc } from "./timers.ts";
import { buildVirtio } from "./virtio.ts";

/** One record of a snapshot: how it is made, and how it is taken back. */
interface Part {
  save(): unknown;
  load(record: unknown, at: string): void;
}
type Parts = Readonly<Record<string, Part>>;

/** A device in its place. */
interface Placed<Device> {
  readonly device: Device;
  /** What of it a snapshot holds, by the names of the records. */
  readonly parts: () => Parts;
  /** The device goes away, with the machine or at a hard reset: it lets go what it holds of the host. */
  readonly release: () => void;
}

interface Row<Device> {
  readonly place: (on: Backplane) => Placed<Device>;
  /** Has power in S3, too. */
  readonly staysOn: boolean;
  /** Address maps are loaded before everything else, what wires end at after it. */
  readonly load: "first" | "between" | "last";
}

/** `build` makes the device, gives it its addresses and wires. What the rows above have made is there; what is below, once the guest runs. */
function device<D>(
  build: (on: Backplane) => D,
  parts: (device: D) => Parts,
  {
    load = "between",
    staysOn = false,
    release = () => {},
  }: { readonly load?: Row<D>["load"]; readonly staysOn?: boolean; readonly release?: (device: D) => void } = {},
): Row<D> {
  const place = (on: Backplane): Placed<D> => {
    const device = build(on);
    return { device, parts: () => parts(device), release: () => release(device) };
  };
  return { place, load, staysOn };
}

/** A device's own record, read by its shape. */
const part = <S>(shape: Shape<S>, device: { saveState(): S; loadState(state: S, at: string): void }): Part => ({
  save: () => device.saveState(),
  load: (record, at) => device.loadState(shape(record, at), at),
});
const parts = <S>(name: string, shape: Shape<S>, devices: readonly Parameters<typeof part<S>>[1][]): Parts =>
  Object.fromEntries(devices.map((device, i) => [`${name}${i}`, part(shape, device)]));
const NOTHING = (): Parts => ({});

/**
 * Every device of the PC, a row each, in the order of building: a snapshot knows timers and the pins on shared wires by their number. A new device is a
 * row here. (Virtio devices are functions of the PCI bus and in its record.)
 */
export const DEVICES = {
  apic: device(
    buildApic,
    ({ ioApic, bus, lapics }) => ({
      ioapic: part(IOAPIC_STATE, ioApic),
      "apic-bus": part(APIC_BUS_STATE, bus),
      ...parts("lapic", LOCAL_APIC_STATE, lapics),
    }),
    { load: "last" },
  ),
  pic: device(buildPic, (pic) => ({ pic: part(PIC8259_STATE, pic) }), { load: "last" }),
  lines: device(buildIrqLines, (lines) => ({ wires: part(IRQ_LINES_STATE, lines) }), { load: "last" }),
  hpet: device(buildHpet, ({ hpet }) => ({ hpet: part(HPET_STATE, hpet) })),
  pit: device(buildPit, (pit) => ({ pit: part(PIT8254_STATE, pit) })),
  rtc: device(buildRtc, (rtc) => ({ rtc: part(RTC146818_STATE, rtc) }), { staysOn: true }),
  dma: device(buildDma, (dma) => ({ dma: part(DMA8237_STATE, dma) })),
  fdc: device(buildFdc, (fdc) => ({ fdc: part(FDC82077_STATE, fdc) })),
  keyboard: device(buildKeyboard, (keyboard) => ({ keyboard: part(PS2_KEYBOARD_STATE, keyboard) })),
  mouse: device(buildMouse, (mouse) => ({ mouse: part(PS2_MOUSE_STATE, mouse) })),
  kbc: device(buildKbc, (kbc) => ({ kbc: part(I8042_STATE, kbc) })),
  system: device(buildSystemPorts, (system) => ({ system: part(SYSTEM_PORTS_STATE, system) })),
  uarts: device(buildUarts, (uarts) => parts("uart", UART16550_STATE, uarts)),
  lpt: device(buildLpt, (lpt) => (lpt === undefined ? {} : { lpt: part(LPT_STATE, lpt) })),
  debugPort: device(buildDebugPort, NOTHING),
  vga: device(buildVga, (vga) => ({ vga: part(VGA_STATE, vga) }), { staysOn: true }),
  pci: device(buildPci, (pci) => ({ pci: part(PCI_BUS_STATE, pci) }), { load: "first" }),
  ide: device(buildIde, (channels) => parts("ide", IDE_CHANNEL_STATE, channels)),
  virtio: device(buildVirtio, NOTHING, { release: (slots) => slots.dispose() }),
  pm: device(buildPm, (pm) => ({ pm: part(ACPI_PM_STATE, pm) }), { staysOn: true }),
  debugExit: device(buildDebugExit, NOTHING),
  pcTestdev: device(buildPcTestdev, (testdev) => (testdev === undefined ? {} : { pcTestdev: part(PC_TESTDEV_STATE, testdev) })),
  shutdownPort: device(buildShutdownPort, (port) => ({ shutdownPort: part(SHUTDOWN_PORT_STATE, port) })),
} as const;

/** What the rows made. A hard reset makes a new set. */
export type Chips = { readonly [Name in keyof typeof DEVICES]: (typeof DEVICES)[Name] extends Row<infer Device> ? Device : never };

/** Every device's records by their names; each is read by the shape in its device's row. */
export const DEVICE_RECORDS = shape.dictionary(shape.anything, 1000);
export type DeviceRecords = Shaped<typeof DEVICE_RECORDS>;

/** The devices of one power-on, on their buses. */
export interface DeviceSet {
  readonly chips: Chips;
  readonly pio: PioBus;
  readonly mmio: MmioBus;
  save(): DeviceRecords;
  /** Into a set that was just made. Timers are the caller's to arm. Throws when the records are not those of this machine. */
  load(records: DeviceRecords, at: string): void;
  /** What kept its power while the machine slept. */
  awake(): Parts;
  /** The machine slept: what had power goes on as it was in the older set. */
  adopt(older: DeviceSet): void;
  release(): void;
}

/** Builds every device. */
export function buildDevices(config: MachineConfig, wires: BoardWires): DeviceSet {
  const made: Record<string, unknown> = {};
  // oxlint-disable-next-line no-unsafe-type-assertion -- the loop below puts in what each row makes
  const chips = made as Chips;
  const on = new Backplane(config, wires, chips);
  const places: { readonly load: Row<unknown>["load"]; readonly staysOn: boolean; readonly placed: Placed<unknown> }[] = [];
  for (const [name, row] of Object.entries(DEVICES)) {
    const placed = row.place(on);
    made[name] = placed.device;
    places.push({ load: row.load, staysOn: row.staysOn, placed });
  }
  const ranked = (load: Row<unknown>["load"]): Placed<unknown>[] => places.filter((p) => p.load === load).map((p) => p.placed);
  const awake = (): Parts => Object.assign({}, ...places.filter((p) => p.staysOn).map((p) => p.placed.parts()));
  return {
    chips,
    pio: on.pio,
    mmio: on.mmio,
    save() {
      const out: Record<string, unknown> = {};
      for (const { placed } of places) for (const [name, record] of Object.entries(placed.parts())) out[name] = record.save();
      return out;
    },
    load(records, at) {
      // Pins pulled on the way leave no trace in what wires end at: told last what it knew, wires before the controllers that they lead to.
      for (const placed of [...ranked("first"), ...ranked("between"), ...ranked("last").reverse()])
        for (const [name, part] of Object.entries(placed.parts())) {
          if (records[name] === undefined)
            throw new VmmError("SNAPSHOT_MACHINE", `the snapshot says nothing about ${name}: the machine has other devices`);
          part.load(records[name], `${at}.${name}`);
        }
    },
    awake,
    adopt(older) {
      const was = older.awake();
      for (const [name, part] of Object.entries(awake())) part.load(was[name]?.save(), name);
    },
    release() {
      for (const { placed } of places) placed.release();
    },
  };
}
