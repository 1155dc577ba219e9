import { shape } from "../../../base/index.ts";
import type { Shaped } from "../../../base/index.ts";
import type { AccessSize, BusDevice, DmaView, MsiSink } from "../../../bus/index.ts";
import { readBytes } from "../../common/byte-access.ts";
import { PCI_CAPABILITY, PciFunction } from "../../pci/index.ts";
import type { BarOptions, PciFunctionStateV1 } from "../../pci/index.ts";
import type { VirtioModel } from "../api.ts";
import { VIRTIO_CORE_STATE, NO_VECTOR, VirtioCore } from "./core.ts";
import { LegacyPorts } from "./legacy.ts";

/** Device ids of transitional devices by type. Source: VIRTIO 1.2 §4.1.2.1. */
const TRANSITIONAL_IDS: Readonly<Record<number, number>> = { 1: 0x1000, 2: 0x1001, 3: 0x1003, 4: 0x1005, 9: 0x1009 };
const VENDOR = 0x1af4;

/** The modern registers' places in BAR 4, one page each. */
const COMMON = 0x0000;
const ISR = 0x1000;
const DEVICE = 0x2000;
const NOTIFY = 0x3000;
const MODERN_BYTES = 0x4000;
const COMMON_BYTES = 0x3c;
/** Bytes between the notification addresses of two queues. */
const NOTIFY_STEP = 4;
const MSIX_BYTES = 0x1000;
const MAX_VECTORS = 64;

/** cfg_type of the vendor capabilities. Source: VIRTIO 1.2 §4.1.4. */
const CAP = { COMMON: 1, NOTIFY: 2, ISR: 3, DEVICE: 4, PCI: 5 } as const;

export interface VirtioPciOptions {
  readonly model: VirtioModel;
  readonly dma: DmaView;
  /** Undefined: there is no interrupt controller for messages, and no MSI-X capability. */
  readonly msi: MsiSink | undefined;
  /** "transitional" (default) also answers drivers of virtio 0.9; types that never had such are modern anyway. */
  readonly mode?: "transitional" | "modern";
  /** A BAR's registers are at this address now; undefined: nowhere. Called only on a change. */
  readonly mapPorts: (device: BusDevice, sizeBytes: number, address: number | undefined) => void;
  readonly mapMemory: (device: BusDevice, sizeBytes: number, address: number | undefined) => void;
}

/** What a function's record holds besides that of every PCI function. */
const VIRTIO_PCI_STATE = shape.record({
  virtio: shape.record({
    v: shape.oneOf(1),
    isr: shape.byte,
    deviceFeatureSelect: shape.dword,
    driverFeatureSelect: shape.dword,
    queueSelect: shape.dword,
    core: VIRTIO_CORE_STATE,
    model: shape.anything,
  }),
});
export type VirtioPciStateV1 = PciFunctionStateV1 & Shaped<typeof VIRTIO_PCI_STATE>;

/** Vectors: one for the configuration and one a queue. */
const vectorsOf = (model: VirtioModel): number => Math.min(MAX_VECTORS, model.queueSizes.length + 1);

/** A virtio device as a PCI function: modern registers in BAR 4, MSI-X in BAR 1, the legacy ports in BAR 0. VIRTIO 1.2 §4.1. */
export class VirtioPci extends PciFunction {
  readonly core: VirtioCore;
  readonly legacy: LegacyPorts | undefined;
  #isr = 0;
  #deviceFeatureSelect = 0;
  #driverFeatureSelect = 0;
  #queueSelect = 0;
  /** The PCI access capability's header. */
  readonly #window: number;

  constructor(options: VirtioPciOptions) {
    const { model, msi } = options;
    const transitionalId = options.mode === "modern" ? undefined : TRANSITIONAL_IDS[model.deviceType];
    const bars: BarOptions[] = [];
    if (transitionalId !== undefined) {
      const sizeBytes = LegacyPorts.sizeBytes(model);
      bars.push({ index: 0, kind: "io", sizeBytes, onMap: (at) => this.legacy !== undefined && options.mapPorts(this.legacy, sizeBytes, at) });
    }
    if (msi !== undefined) {
      bars.push({
        index: 1,
        kind: "memory",
        sizeBytes: MSIX_BYTES,
        onMap: (at) => this.msixTable !== undefined && options.mapMemory(this.msixTable, MSIX_BYTES, at),
      });
    }
    bars.push({
      index: 4,
      kind: "prefetchable",
      wide: true,
      sizeBytes: MODERN_BYTES,
      onMap: (at) => options.mapMemory(this.registers, MODERN_BYTES, at),
    });
    super({
      name: model.name,
      vendorId: VENDOR,
      deviceId: transitionalId ?? 0x1040 + model.deviceType,
      // Transitional: revision 0 and the type as subsystem id.
      revision: transitionalId === undefined ? 1 : 0,
      classCode: model.classCode,
      subsystemVendorId: VENDOR,
      subsystemId: transitionalId === undefined ? 0x1100 : model.deviceType,
      interruptPin: 1,
      powerManagement: true,
      bars,
      ...(msi === undefined ? {} : { msix: { vectors: vectorsOf(model), bar: 1, barBytes: MSIX_BYTES, sink: msi } }),
    });
    this.core = new VirtioCore(model, { dma: options.dma, interrupt: (vector, isr) => this.#raise(vector, isr) });
    if (transitionalId !== undefined) {
      this.legacy = new LegacyPorts(this.core, {
        messages: () => this.msixEnabled,
        takeIsr: () => this.#takeIsr(),
        vectors: () => this.msixTable?.vectors ?? 0,
      });
    }
    const cap = (type: number, offset: number, length: number, extra: Uint8Array, writable = new Uint8Array(0)): number => {
      const body = new Uint8Array(14 + extra.length);
      body[0] = 16 + extra.length;
      body[1] = type;
      body[2] = 4;
      new DataView(body.buffer).setUint32(6, offset, true);
      new DataView(body.buffer).setUint32(10, length, true);
      body.set(extra, 14);
      return this.addCapability(PCI_CAPABILITY.VENDOR, body, writable);
    };
    cap(CAP.COMMON, COMMON, COMMON_BYTES, new Uint8Array(0));
    cap(CAP.ISR, ISR, 1, new Uint8Array(0));
    if (model.configBytes > 0) cap(CAP.DEVICE, DEVICE, model.configBytes, new Uint8Array(0));
    cap(CAP.NOTIFY, NOTIFY, NOTIFY_STEP * model.queueSizes.length, Uint8Array.of(NOTIFY_STEP, 0, 0, 0));
    const writable = Uint8Array.of(0, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
    this.#window = cap(CAP.PCI, 0, 0, new Uint8Array(4), writable);
  }

  /** The modern registers. */
  readonly registers: BusDevice = {
    name: "virtio",
    read: (offset, size) => this.#read(offset, size),
    write: (offset, size, value) => this.#write(offset, size, value),
  };

  override readConfig(offset: number, size: number): number {
    if (offset >= this.#window + 16 && offset < this.#window + 20) {
      const access = this.#windowAccess();
      if (access !== undefined) {
        const value = this.#read(access.offset, access.size);
        for (let i = 0; i < access.size; i++) this.config[this.#window + 16 + i] = (value >>> (8 * i)) & 0xff;
      }
    }
    return super.readConfig(offset, size);
  }

  protected override onConfigWrite(offset: number, size: number): void {
    // The base constructor comes here before this class has its fields; so does a reset, which writes everything.
    if (size > 4 || !(offset >= this.#window + 16 && offset < this.#window + 20)) return;
    const access = this.#windowAccess();
    if (access === undefined) return;
    let value = 0;
    for (let i = 0; i < access.size; i++) value |= (this.config[this.#window + 16 + i] ?? 0) << (8 * i);
    this.#write(access.offset, access.size, value >>> 0);
  }

  override reset(): void {
    this.core.reset();
    this.#isr = 0;
    this.#deviceFeatureSelect = 0;
    this.#driverFeatureSelect = 0;
    this.#queueSelect = 0;
    this.legacy?.reset();
    super.reset();
  }

  override saveState(): VirtioPciStateV1 {
    return {
      ...super.saveState(),
      virtio: {
        v: 1,
        isr: this.#isr,
        deviceFeatureSelect: this.#deviceFeatureSelect,
        driverFeatureSelect: this.#driverFeatureSelect,
        queueSelect: this.legacy === undefined ? this.#queueSelect : (this.#queueSelect | (this.legacy.queueSelect << 16)) >>> 0,
        core: this.core.saveState(),
        model: this.core.model.saveState(),
      },
    };
  }

  override loadState(record: unknown, at = this.name): void {
    super.loadState(record, at);
    const { virtio } = VIRTIO_PCI_STATE(record, at);
    this.#isr = virtio.isr;
    this.#deviceFeatureSelect = virtio.deviceFeatureSelect;
    this.#driverFeatureSelect = virtio.driverFeatureSelect;
    this.#queueSelect = virtio.queueSelect & 0xffff;
    if (this.legacy !== undefined) this.legacy.queueSelect = virtio.queueSelect >>> 16;
    this.core.loadState(virtio.core);
    this.core.model.loadState(virtio.model, `${at}.virtio.model`);
  }

  #raise(vector: number, isr: number): void {
    if (this.msixEnabled) {
      if (vector !== NO_VECTOR) this.signalMessage(vector);
      return;
    }
    this.#isr |= isr;
    this.setInterrupt(true);
  }

  #takeIsr(): number {
    const isr = this.#isr;
    this.#isr = 0;
    this.setInterrupt(false);
    return isr;
  }

  /** What the PCI access capability points at; undefined when that is nothing of ours. */
  #windowAccess(): { readonly offset: number; readonly size: AccessSize } | undefined {
    const field = (at: number): number => super.readConfig(this.#window + at, 4);
    const offset = field(8);
    const size = field(12);
    if ((this.config[this.#window + 4] ?? 0) !== 4 || (size !== 1 && size !== 2 && size !== 4)) return undefined;
    return offset % size !== 0 || offset + size > MODERN_BYTES ? undefined : { offset, size };
  }

  #read(offset: number, size: AccessSize): number {
    if (offset >= NOTIFY) return 0;
    return readBytes(offset, size, (at) =>
      at >= DEVICE ? this.core.readDeviceConfig(at - DEVICE) : at >= ISR ? (at === ISR ? this.#takeIsr() : 0) : this.#commonByte(at),
    );
  }

  /** Common configuration (VIRTIO 1.2 §4.1.4.3), a byte at a time. */
  #commonByte(at: number): number {
    const { core } = this;
    const queue = core.queues[this.#queueSelect];
    const shift = 8 * (at & 3);
    const dword = at & ~3;
    switch (dword) {
      case 0x00:
        return (this.#deviceFeatureSelect >>> shift) & 0xff;
      case 0x04:
        return (core.offered(this.#deviceFeatureSelect, false) >>> shift) & 0xff;
      case 0x08:
        return (this.#driverFeatureSelect >>> shift) & 0xff;
      case 0x0c:
        return (core.driverFeatures(this.#driverFeatureSelect) >>> shift) & 0xff;
      case 0x10:
        return ((core.configVector | (core.queues.length << 16)) >>> shift) & 0xff;
      case 0x14:
        return ((core.status | (core.generation << 8) | (this.#queueSelect << 16)) >>> shift) & 0xff;
      case 0x18:
        return (((queue?.size ?? 0) | ((queue?.vector ?? NO_VECTOR) << 16)) >>> shift) & 0xff;
      case 0x1c:
        return (((queue?.enabled === true ? 1 : 0) | (this.#queueSelect << 16)) >>> shift) & 0xff;
      case 0x20:
      case 0x24:
        return half(queue?.desc, dword - 0x20, shift);
      case 0x28:
      case 0x2c:
        return half(queue?.avail, dword - 0x28, shift);
      case 0x30:
      case 0x34:
        return half(queue?.used, dword - 0x30, shift);
      default:
        // queue_notify_data is the queue's number; queue_reset reads zero, since a reset is over at once.
        return dword === 0x38 ? (this.#queueSelect >>> shift) & (at < 0x3a ? 0xff : 0) : 0;
    }
  }

  #write(offset: number, size: AccessSize, value: number): void {
    if (offset >= NOTIFY) {
      if (this.#mayRun) this.core.kick((offset - NOTIFY) >>> 2, false);
    } else if (offset >= DEVICE) {
      this.core.writeDeviceConfig(offset - DEVICE, size, value);
    } else if (offset < COMMON_BYTES) this.#writeCommon(offset, size, value);
  }

  /** Without bus mastering a function does no DMA; a notification then reaches a device that cannot look. */
  get #mayRun(): boolean {
    return (this.command & 4) !== 0;
  }

  #writeCommon(offset: number, size: AccessSize, value: number): void {
    const { core } = this;
    const queue = core.queues[this.#queueSelect];
    // A queue's registers are the driver's until it is enabled.
    const open = queue !== undefined && !queue.enabled ? queue : undefined;
    switch (offset) {
      case 0x00:
        this.#deviceFeatureSelect = value;
        return;
      case 0x08:
        this.#driverFeatureSelect = value;
        return;
      case 0x0c:
        core.setDriverFeatures(this.#driverFeatureSelect, value);
        return;
      case 0x10:
        core.configVector = this.#vector(value & 0xffff);
        return;
      case 0x14:
        this.#setStatus(value & 0xff);
        return;
      case 0x16:
        this.#queueSelect = value & 0xffff;
        return;
      case 0x18: {
        const entries = value & 0xffff;
        if (open !== undefined && entries !== 0 && entries <= open.maxSize && (entries & (entries - 1)) === 0) open.size = entries;
        return;
      }
      case 0x1a:
        if (queue !== undefined) queue.vector = this.#vector(value & 0xffff);
        return;
      case 0x1c:
        if (open !== undefined && (value & 0xffff) === 1) open.enabled = true;
        return;
      case 0x20:
      case 0x24:
        if (open !== undefined && size === 4) open.desc = withHalf(open.desc, offset - 0x20, value);
        return;
      case 0x28:
      case 0x2c:
        if (open !== undefined && size === 4) open.avail = withHalf(open.avail, offset - 0x28, value);
        return;
      case 0x30:
      case 0x34:
        if (open !== undefined && size === 4) open.used = withHalf(open.used, offset - 0x30, value);
        return;
      case 0x3a:
        if ((value & 0xffff) === 1) core.resetQueue(this.#queueSelect);
        return;
      default:
    }
  }

  #setStatus(value: number): void {
    this.core.setStatus(value, false);
    if (value === 0) this.#takeIsr();
  }

  #vector(wanted: number): number {
    return wanted < (this.msixTable?.vectors ?? 0) ? wanted : NO_VECTOR;
  }
}

/** A byte of one half of a 64-bit address. */
function half(address: number | undefined, high: number, shift: number): number {
  const value = address ?? 0;
  const dword = high === 0 ? value % 2 ** 32 : Math.floor(value / 2 ** 32);
  return (dword >>> shift) & 0xff;
}

function withHalf(address: number, high: number, value: number): number {
  return high === 0 ? Math.floor(address / 2 ** 32) * 2 ** 32 + value : (address % 2 ** 32) + value * 2 ** 32;
}
