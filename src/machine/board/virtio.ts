import type { BusDevice, DmaView, MmioBus, MsiSink, PioBus } from "../../bus/index.ts";
import type { PciBus } from "../../devices/pci/index.ts";
import type { VirtioModel } from "../../devices/virtio/api.ts";
import { VirtioBlk } from "../../devices/virtio/blk/index.ts";
import { VirtioConsole } from "../../devices/virtio/console/index.ts";
import { VirtioNet } from "../../devices/virtio/net/index.ts";
import { VirtioP9 } from "../../devices/virtio/p9/index.ts";
import { SeededEntropy, VirtioRng } from "../../devices/virtio/rng/index.ts";
import { VirtioPci } from "../../devices/virtio/transport/index.ts";
import type { Backplane } from "./backplane.ts";
import { FIRST_VIRTIO_SLOT } from "./drives.ts";

export interface VirtioBoard {
  readonly pci: PciBus;
  readonly pio: PioBus;
  readonly mmio: MmioBus;
  readonly dma: DmaView;
  /** Undefined: no controller takes messages; the devices have INTx alone. */
  readonly msi: MsiSink | undefined;
}

/** The slots of PCI bus 0 that virtio devices go into. */
export class VirtioSlots {
  readonly #board: VirtioBoard;
  readonly #devices: VirtioPci[] = [];

  constructor(board: VirtioBoard) {
    this.#board = board;
  }

  /** Plugs a device into `slot`, or into the first free one. The machine's parts list decides how many there are: a full bus is our own mistake. */
  plug(model: VirtioModel, options: { readonly slot?: number; readonly mode?: "transitional" | "modern" } = {}): VirtioPci {
    const { pci, pio, mmio, dma, msi } = this.#board;
    let slot = options.slot ?? FIRST_VIRTIO_SLOT;
    while (options.slot === undefined && slot < 32 && pci.functionAt(slot, 0) !== undefined) slot++;
    if (slot > 31) throw new Error(`no PCI slot is left for ${model.name}`);
    const device = new VirtioPci({
      model,
      dma,
      msi,
      ...(options.mode === undefined ? {} : { mode: options.mode }),
      mapPorts: follow(
        (at, range, size) => pio.tryRegister(at, size, range),
        (at, range) => pio.unregister(at, range),
      ),
      mapMemory: follow(
        (at, range, size) => mmio.tryRegister(at, size, range),
        (at, range) => mmio.unregister(at, range),
      ),
    });
    pci.attach(slot, 0, device);
    this.#devices.push(device);
    return device;
  }

  /** The devices go away, at a hard reset or with the machine: what they hold of the host (open files) is let go. */
  dispose(): void {
    for (const device of this.#devices) device.core.reset();
  }
}

/** Keeps each register range of a device claimed where its BAR is. A place that is taken leaves it nowhere. */
function follow(
  claim: (at: number, range: BusDevice, sizeBytes: number) => boolean,
  release: (at: number, range: BusDevice) => unknown,
): (range: BusDevice, sizeBytes: number, at: number | undefined) => void {
  const claimed = new Map<BusDevice, number>();
  return (range, sizeBytes, at) => {
    const before = claimed.get(range);
    if (before !== undefined) release(before, range);
    claimed.delete(range);
    if (at !== undefined && claim(at, range, sizeBytes)) claimed.set(range, at);
  };
}

/** Disks in the slots that the BIOS was told; console, shared directories, entropy source and network card where the configuration has them. */
export function buildVirtio(on: Backplane): VirtioSlots {
  const { config, wires } = on;
  const { clock, consoles } = wires;
  const slots = new VirtioSlots({ pci: on.chips.pci, pio: on.pio, mmio: on.mmio, dma: wires.dma, msi: on.chips.apic.bus });
  for (const { virtio, backend } of wires.drives) {
    if (virtio === undefined || backend === undefined) continue;
    slots.plug(new VirtioBlk({ clock, backend, serial: `WHYVE1000${virtio.slot}` }), { slot: virtio.slot });
  }
  if (consoles.length > 0) {
    const device = new VirtioConsole({ clock, ports: consoles.map((backend) => ({ backend, isConsole: true })) });
    for (const [i, line] of consoles.entries()) line.canReceive = () => device.room(i) > 0;
    slots.plug(device);
  }
  for (const { tag, tree } of config.shares) slots.plug(new VirtioP9({ clock, tree, tag }));
  if (config.rng) slots.plug(new VirtioRng({ clock, source: config.clock === "virtual" ? new SeededEntropy(0) : { fill: wires.random } }));
  // Frames come while the guest sleeps.
  const { net } = config;
  if (net !== undefined) slots.plug(new VirtioNet({ name: "net0", backend: net.backend, mac: net.mac, onDelivered: wires.arrived }));
  return slots;
}
