import type { AccessSize, BusDevice } from "../../../bus/index.ts";
import { readBytes } from "../../common/byte-access.ts";
import type { VirtioModel } from "../api.ts";
import { NO_VECTOR } from "./core.ts";
import type { VirtioCore } from "./core.ts";

/** Bytes of the common header, without and with MSI-X vectors; the device's configuration follows. VIRTIO 1.2 §4.1.4.10. */
const HEADER = 20;
const HEADER_MSIX = 24;
/** Legacy rings are given as page numbers and laid out in whole pages. */
const PAGE = 4096;

/** What the ports need of the PCI function around them. */
export interface LegacyWires {
  /** MSI-X is on: two vector registers precede the device's configuration. */
  readonly messages: () => boolean;
  /** The ISR byte; reading clears it and lets INTx go. */
  readonly takeIsr: () => number;
  readonly vectors: () => number;
}

/** The port range of virtio 0.9 drivers. A queue has one page number for its three parts, laid out one behind the other (§2.7.2). */
export class LegacyPorts implements BusDevice {
  readonly name = "virtio-legacy";
  readonly #core: VirtioCore;
  readonly #wires: LegacyWires;
  queueSelect = 0;

  constructor(core: VirtioCore, wires: LegacyWires) {
    this.#core = core;
    this.#wires = wires;
  }

  /** A power of two. */
  static sizeBytes(model: VirtioModel): number {
    let size = 32;
    while (size < HEADER_MSIX + model.configBytes) size *= 2;
    return size;
  }

  reset(): void {
    this.queueSelect = 0;
  }

  read(offset: number, size: AccessSize): number {
    return readBytes(offset, size, (at) => this.#byte(at));
  }

  #byte(at: number): number {
    const core = this.#core;
    const header = this.#wires.messages() ? HEADER_MSIX : HEADER;
    if (at >= header) return core.readDeviceConfig(at - header);
    const queue = core.queues[this.queueSelect];
    const shift = 8 * (at & 3);
    switch (at & ~3) {
      case 0:
        return (core.offered(0, true) >>> shift) & 0xff;
      case 4:
        return (core.driverFeatures(0) >>> shift) & 0xff;
      case 8:
        return ((queue === undefined ? 0 : Math.floor(queue.desc / PAGE)) >>> shift) & 0xff;
      case 12:
        return (((queue?.maxSize ?? 0) | (this.queueSelect << 16)) >>> shift) & 0xff;
      case 16:
        return at === 18 ? core.status : at === 19 ? this.#wires.takeIsr() : 0;
      default:
        return ((core.configVector | ((queue?.vector ?? NO_VECTOR) << 16)) >>> shift) & 0xff;
    }
  }

  write(offset: number, size: AccessSize, value: number): void {
    const core = this.#core;
    const messages = this.#wires.messages();
    const header = messages ? HEADER_MSIX : HEADER;
    if (offset >= header) {
      core.writeDeviceConfig(offset - header, size, value);
      return;
    }
    const queue = core.queues[this.queueSelect];
    switch (offset) {
      case 4:
        core.setDriverFeatures(0, value);
        return;
      case 8:
        this.#place(value);
        return;
      case 14:
        this.queueSelect = value & 0xffff;
        return;
      case 16:
        core.kick(value & 0xffff, true);
        return;
      case 18:
        core.setStatus(value & 0xff, true);
        if ((value & 0xff) === 0) this.#wires.takeIsr();
        return;
      case 20:
        core.configVector = this.#vector(value & 0xffff);
        if (size === 4 && queue !== undefined) queue.vector = this.#vector(value >>> 16);
        return;
      case 22:
        if (queue !== undefined) queue.vector = this.#vector(value & 0xffff);
        return;
      default:
    }
  }

  /** The queue's page number; zero takes the queue away. */
  #place(page: number): void {
    const queue = this.#core.queues[this.queueSelect];
    if (queue === undefined) return;
    const { vector } = queue;
    if (page === 0) {
      queue.reset();
      queue.vector = vector;
      return;
    }
    const size = queue.maxSize;
    queue.desc = page * PAGE;
    queue.avail = queue.desc + 16 * size;
    // Flags, index, ring, used_event; the used ring starts on the next page.
    queue.used = Math.ceil((queue.avail + 6 + 2 * size) / PAGE) * PAGE;
    queue.enabled = true;
  }

  #vector(wanted: number): number {
    return wanted < this.#wires.vectors() ? wanted : NO_VECTOR;
  }
}
