import { VmmError } from "../../base/index.ts";
import type { MmioBus, PioBus, SharedIrqLine } from "../../bus/index.ts";
import type { MachineConfig } from "../config.ts";
import { Backplane } from "./backplane.ts";
import type { BoardWires } from "./backplane.ts";
import { buildApic, buildIrqLines, buildPic } from "./interrupts.ts";
import { buildDebugPort, buildDma, buildKbc, buildKeyboard, buildLpt, buildMouse, buildSystemPorts, buildUarts } from "./isa.ts";
import { buildPci, buildVga } from "./pci.ts";
import { buildPm, buildShutdownPort } from "./power.ts";
import { buildFdc, buildIde } from "./storage.ts";
import { buildDebugExit, buildPcTestdev } from "./testdev.ts";
import { buildHpet, buildPit, buildRtc } from "./timers.ts";
import { buildVirtio } from "./virtio.ts";

/** One record of a snapshot: how it is made, and how it is taken back. */
interface Part {
  save(): unknown;
  load(record: unknown): boolean;
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

const part = <S>(chip: { saveState(): S; loadState(state: S): void }): Part => ({
  save: () => chip.saveState(),
  load(record) {
    if (!isRecordOf<S>(record)) return false;
    chip.loadState(record);
    return true;
  },
});
const isRecordOf = <S>(record: unknown): record is S => record !== undefined;
/** Who pulls which wire: a device that has pulsed an edge does not say again that it still holds the wire up. */
const wiresOf = (
  lines: readonly SharedIrqLine[],
): { saveState(): readonly (readonly boolean[])[]; loadState(s: readonly (readonly boolean[])[]): void } => ({
  saveState: () => lines.map((line) => line.saveState()),
  loadState: (s) => lines.forEach((line, i) => line.loadState(s[i] ?? [])),
});
const numbered = (name: string, parts: readonly Part[]): Parts => Object.fromEntries(parts.map((p, i) => [`${name}${i}`, p]));
const NOTHING = (): Parts => ({});

/**
 * Every device of the PC, a row each, in the order of building: a snapshot knows timers and the pins on shared wires by their number. A new device is a
 * row here. (Virtio devices are functions of the PCI bus and in its record.)
 */
export const DEVICES = {
  apic: device(buildApic, ({ ioApic, bus, lapics }) => ({ ioapic: part(ioApic), "apic-bus": part(bus), ...numbered("lapic", lapics.map(part)) }), {
    load: "last",
  }),
  pic: device(buildPic, (pic) => ({ pic: part(pic) }), { load: "last" }),
  lines: device(buildIrqLines, (lines) => ({ wires: part(wiresOf(lines)) }), { load: "last" }),
  hpet: device(buildHpet, ({ hpet }) => ({ hpet: part(hpet) })),
  pit: device(buildPit, (pit) => ({ pit: part(pit) })),
  rtc: device(buildRtc, (rtc) => ({ rtc: part(rtc) }), { staysOn: true }),
  dma: device(buildDma, (dma) => ({ dma: part(dma) })),
  fdc: device(buildFdc, (fdc) => ({ fdc: part(fdc) })),
  keyboard: device(buildKeyboard, (keyboard) => ({ keyboard: part(keyboard) })),
  mouse: device(buildMouse, (mouse) => ({ mouse: part(mouse) })),
  kbc: device(buildKbc, (kbc) => ({ kbc: part(kbc) })),
  system: device(buildSystemPorts, (system) => ({ system: part(system) })),
  uarts: device(buildUarts, (uarts) => numbered("uart", uarts.map(part))),
  lpt: device(buildLpt, (lpt) => (lpt === undefined ? {} : { lpt: part(lpt) })),
  debugPort: device(buildDebugPort, NOTHING),
  vga: device(buildVga, (vga) => ({ vga: part(vga) }), { staysOn: true }),
  pci: device(buildPci, (pci) => ({ pci: part(pci) }), { load: "first" }),
  ide: device(buildIde, (channels) => numbered("ide", channels.map(part))),
  virtio: device(buildVirtio, NOTHING, { release: (slots) => slots.dispose() }),
  pm: device(buildPm, (pm) => ({ pm: part(pm) }), { staysOn: true }),
  debugExit: device(buildDebugExit, NOTHING),
  pcTestdev: device(buildPcTestdev, (testdev) => (testdev === undefined ? {} : { pcTestdev: part(testdev) })),
  shutdownPort: device(buildShutdownPort, (port) => ({ shutdownPort: part(port) })),
} as const;

/** What the rows made. A hard reset makes a new set. */
export type Chips = { readonly [Name in keyof typeof DEVICES]: (typeof DEVICES)[Name] extends Row<infer Device> ? Device : never };

/** Every device as plain records. */
export interface ChipsStateV1 {
  readonly v: 1;
  readonly [chip: string]: unknown;
}

/** The devices of one power-on, on their buses. */
export interface DeviceSet {
  readonly chips: Chips;
  readonly pio: PioBus;
  readonly mmio: MmioBus;
  save(): ChipsStateV1;
  /** Into a set that was just made. Timers are the caller's to arm. Throws when the records are not those of this machine. */
  load(state: ChipsStateV1): void;
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
      return { ...out, v: 1 };
    },
    load(state) {
      const missing: string[] = [];
      // Pins pulled on the way leave no trace in what wires end at: told last what it knew, wires before the controllers that they lead to.
      for (const placed of [...ranked("first"), ...ranked("between"), ...ranked("last").reverse()])
        for (const [name, record] of Object.entries(placed.parts())) if (!record.load(state[name])) missing.push(name);
      if (missing.length > 0)
        throw new VmmError("SNAPSHOT_MACHINE", `the snapshot says nothing about ${missing.join(", ")}: the machine has other devices`);
    },
    awake,
    adopt(older) {
      const was = older.awake();
      for (const [name, part] of Object.entries(awake())) part.load(was[name]?.save());
    },
    release() {
      for (const { placed } of places) placed.release();
    },
  };
}
