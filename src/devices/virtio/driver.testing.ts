import type { BusDevice, DmaView, MsiSink } from "../../bus/index.ts";
import type { VirtioModel } from "./api.ts";
import { VirtioPci } from "./transport/index.ts";

/** Guest memory for tests: outside it reads give FFh and writes are counted, not done. */
export class TestMemory implements DmaView {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(sizeBytes);
    this.view = new DataView(this.bytes.buffer);
  }
  read(gpa: number, into: Uint8Array): void {
    if (!Number.isSafeInteger(gpa) || gpa < 0) throw new Error(`read at ${gpa}`);
    into.fill(0xff);
    if (gpa < this.bytes.length) into.set(this.bytes.subarray(gpa, Math.min(this.bytes.length, gpa + into.length)));
  }
  write(gpa: number, from: Uint8Array): void {
    if (!Number.isSafeInteger(gpa) || gpa < 0) throw new Error(`write at ${gpa}`);
    if (gpa < this.bytes.length) this.bytes.set(from.subarray(0, this.bytes.length - gpa), gpa);
  }
}

/** A buffer of a request, in guest memory. */
export interface Segment {
  readonly at: number;
  readonly length: number;
  readonly write?: boolean;
}

interface Ring {
  readonly size: number;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  free: number;
  seen: number;
}

/** A driver for tests: finds the registers by their capabilities, sets queues up, puts requests into rings and takes answers out. */
export class TestDriver {
  readonly memory: TestMemory;
  readonly pci: VirtioPci;
  readonly messages: { readonly address: number; readonly data: number }[] = [];
  intx = false;
  /** Where each mapped range is. */
  readonly ports = new Map<number, BusDevice>();
  readonly mmio = new Map<number, BusDevice>();
  readonly #rings: Ring[] = [];
  readonly #caps = new Map<number, number>();

  constructor(
    model: VirtioModel,
    options: { readonly mode?: "transitional" | "modern"; readonly msi?: boolean; readonly memoryBytes?: number } = {},
  ) {
    this.memory = new TestMemory(options.memoryBytes ?? 1 << 20);
    const sink: MsiSink = { write: (address, data) => void this.messages.push({ address, data }) };
    const place = (map: Map<number, BusDevice>) => (device: BusDevice, _size: number, address: number | undefined) => {
      for (const [at, other] of map) if (other === device) map.delete(at);
      if (address !== undefined) map.set(address, device);
    };
    this.pci = new VirtioPci({
      model,
      dma: this.memory,
      msi: options.msi === false ? undefined : sink,
      ...(options.mode === undefined ? {} : { mode: options.mode }),
      mapPorts: place(this.ports),
      mapMemory: place(this.mmio),
    });
    this.pci.connectInterrupt((level) => (this.intx = level));
    this.pci.writeConfig(0x10, 4, 0xc000);
    this.pci.writeConfig(0x14, 4, 0xe0000000);
    this.pci.writeConfig(0x20, 4, 0xe0010000);
    this.pci.writeConfig(0x24, 4, 0x1);
    this.pci.writeConfig(4, 2, 0x0007);
    for (let at = this.pci.readConfig(0x34, 1); at !== 0; at = this.pci.readConfig(at + 1, 1)) {
      if (this.pci.readConfig(at, 1) === 9) this.#caps.set(this.pci.readConfig(at + 3, 1), at);
    }
  }

  /** A modern register by its capability's structure type. */
  read(type: number, offset: number, size: 1 | 2 | 4): number {
    return this.#modern.read(this.#base(type) + offset, size);
  }
  write(type: number, offset: number, size: 1 | 2 | 4, value: number): void {
    this.#modern.write(this.#base(type) + offset, size, value);
  }
  capability(type: number): number {
    return this.#caps.get(type) ?? 0;
  }
  #base(type: number): number {
    return this.pci.readConfig(this.capability(type) + 8, 4);
  }
  get #modern(): BusDevice {
    const device = this.mmio.get(0x1e0010000);
    if (device === undefined) throw new Error("BAR 4 is not mapped");
    return device;
  }
  get legacy(): BusDevice {
    const device = this.ports.get(0xc000);
    if (device === undefined) throw new Error("BAR 0 is not mapped");
    return device;
  }
  get status(): number {
    return this.read(1, 0x14, 1);
  }
  set status(value: number) {
    this.write(1, 0x14, 1, value);
  }

  /** Turns MSI-X on, vector v with data 40h + v. */
  useMessages(): void {
    const table = this.mmio.get(0xe0000000);
    if (table === undefined) throw new Error("BAR 1 is not mapped");
    for (let v = 0; v < this.pci.core.queues.length + 1; v++) {
      table.write(16 * v, 4, 0xfee00000);
      table.write(16 * v + 8, 4, 0x40 + v);
      table.write(16 * v + 12, 4, 0);
    }
    for (let at = this.pci.readConfig(0x34, 1); at !== 0; at = this.pci.readConfig(at + 1, 1)) {
      if (this.pci.readConfig(at, 1) === 0x11) this.pci.writeConfig(at + 2, 2, 0x8000);
    }
  }

  /** Negotiates all that is offered, less `without`, sets every queue up and says DRIVER_OK. */
  start(options: { readonly without?: bigint; readonly size?: number } = {}): void {
    this.status = 0;
    this.status = 3;
    this.write(1, 0, 4, 0);
    const low = this.read(1, 4, 4);
    this.write(1, 0, 4, 1);
    const wanted = (BigInt(low) | (BigInt(this.read(1, 4, 4)) << 32n)) & ~(options.without ?? 0n);
    for (const half of [0, 1]) {
      this.write(1, 8, 4, half);
      this.write(1, 0x0c, 4, Number((wanted >> BigInt(32 * half)) & 0xffffffffn));
    }
    this.status = 11;
    if ((this.status & 8) === 0) throw new Error("features refused");
    for (let i = 0; i < this.read(1, 0x12, 2); i++) {
      this.write(1, 0x16, 2, i);
      const size = Math.min(options.size ?? 16, this.read(1, 0x18, 2));
      this.write(1, 0x18, 2, size);
      this.write(1, 0x1a, 2, i + 1);
      const ring = this.#ring(i, size, 0x1000 * (i + 1));
      for (const [reg, at] of [
        [0x20, ring.desc],
        [0x28, ring.avail],
        [0x30, ring.used],
      ] as const) {
        this.write(1, reg, 4, at);
        this.write(1, reg + 4, 4, 0);
      }
      this.write(1, 0x1c, 2, 1);
    }
    this.write(1, 0x10, 2, 0);
    this.status = 15;
  }

  /** The same with a driver of virtio 0.9. */
  startLegacy(options: { readonly features?: number; readonly driverOk?: boolean } = {}): void {
    const io = this.legacy;
    io.write(18, 1, 0);
    io.write(18, 1, 3);
    io.write(4, 4, options.features ?? io.read(0, 4));
    for (let i = 0; i < this.pci.core.queues.length; i++) {
      io.write(14, 2, i);
      const size = io.read(12, 2);
      const at = 0x10000 * (i + 1);
      io.write(8, 4, at / 4096);
      this.#ring(i, size, at, Math.ceil((at + 16 * size + 6 + 2 * size) / 4096) * 4096);
    }
    if (options.driverOk !== false) io.write(18, 1, 7);
  }

  ring(queue: number): Ring {
    const ring = this.#rings[queue];
    if (ring === undefined) throw new Error(`no ring ${queue}`);
    return ring;
  }
  #ring(index: number, size: number, desc: number, used?: number): Ring {
    const ring = { size, desc, avail: desc + 16 * size, used: used ?? desc + 0x800, free: 0, seen: 0 };
    this.#rings[index] = ring;
    this.memory.bytes.fill(0, desc, ring.used + 6 + 8 * size);
    return ring;
  }

  /** Writes one descriptor. */
  descriptor(at: number, address: number, length: number, flags: number, next = 0): void {
    const v = this.memory.view;
    v.setUint32(at, address >>> 0, true);
    v.setUint32(at + 4, Math.floor(address / 2 ** 32), true);
    v.setUint32(at + 8, length, true);
    v.setUint16(at + 12, flags, true);
    v.setUint16(at + 14, next, true);
  }

  /** Puts a request into a queue without telling; returns its head. */
  put(queue: number, segments: readonly Segment[]): number {
    const ring = this.ring(queue);
    const first = ring.free;
    for (const [i, s] of segments.entries()) {
      const last = i === segments.length - 1;
      const at = (first + i) % ring.size;
      this.descriptor(ring.desc + 16 * at, s.at, s.length, (s.write === true ? 2 : 0) | (last ? 0 : 1), last ? 0 : (at + 1) % ring.size);
    }
    ring.free = (first + segments.length) % ring.size;
    this.available(queue, first);
    return first;
  }

  /** Makes a descriptor available. */
  available(queue: number, head: number): void {
    const ring = this.ring(queue);
    const v = this.memory.view;
    const index = v.getUint16(ring.avail + 2, true);
    v.setUint16(ring.avail + 4 + 2 * (index % ring.size), head, true);
    v.setUint16(ring.avail + 2, (index + 1) & 0xffff, true);
  }

  kick(queue: number): void {
    this.write(2, 4 * queue, 2, queue);
  }

  /** Takes the next answer out of the used ring. */
  take(queue: number): { readonly head: number; readonly length: number } | undefined {
    const ring = this.ring(queue);
    const v = this.memory.view;
    if (v.getUint16(ring.used + 2, true) === ring.seen) return undefined;
    const at = ring.used + 4 + 8 * (ring.seen % ring.size);
    ring.seen = (ring.seen + 1) & 0xffff;
    return { head: v.getUint32(at, true), length: v.getUint32(at + 4, true) };
  }
}
