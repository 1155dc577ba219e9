import { shape } from "../../../base/index.ts";
import type { Shaped } from "../../../base/index.ts";
import type { AccessSize, DmaView } from "../../../bus/index.ts";
import { writeBytes } from "../../common/byte-access.ts";
import type { VirtioHost, VirtioModel } from "../api.ts";
import { QUEUE_STATE, SplitQueue } from "./queue.ts";

/** Device status bits. Source: VIRTIO 1.2 §2.1. */
export const STATUS = { ACKNOWLEDGE: 1, DRIVER: 2, DRIVER_OK: 4, FEATURES_OK: 8, NEEDS_RESET: 0x40, FAILED: 0x80 } as const;
const DRIVER_STATUS = STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.DRIVER_OK | STATUS.FEATURES_OK | STATUS.FAILED;

/** Feature bits that belong to transports and rings. Source: VIRTIO 1.2 §6 and §6.3. */
export const FEATURE = {
  NOTIFY_ON_EMPTY: 1n << 24n,
  ANY_LAYOUT: 1n << 27n,
  RING_INDIRECT_DESC: 1n << 28n,
  RING_EVENT_IDX: 1n << 29n,
  VERSION_1: 1n << 32n,
  RING_RESET: 1n << 40n,
} as const;

const RING_FEATURES = FEATURE.RING_INDIRECT_DESC | FEATURE.RING_EVENT_IDX;
const LEGACY_FEATURES = RING_FEATURES | FEATURE.NOTIFY_ON_EMPTY | FEATURE.ANY_LAYOUT;
const MODERN_FEATURES = RING_FEATURES | FEATURE.VERSION_1 | FEATURE.RING_RESET;
export const NO_VECTOR = 0xffff;

/** What the bus side of a transport does for the core. */
export interface CoreWires {
  readonly dma: DmaView;
  /** Interrupts with `vector`; `isr` is what the ISR byte says when there are no messages: 1 queue, 2 configuration. */
  readonly interrupt: (vector: number, isr: number) => void;
}

/** More than any device here has. */
const MAX_QUEUES = 1024;

export const VIRTIO_CORE_STATE = shape.record({
  v: shape.oneOf(1),
  status: shape.byte,
  /** What the driver wrote, low and high half; what was negotiated, as hexadecimal. */
  driverFeatures: shape.pair(shape.dword, shape.dword),
  features: shape.digits("hex"),
  active: shape.flag,
  configVector: shape.word,
  generation: shape.byte,
  kicked: shape.list(shape.word, MAX_QUEUES, 0),
  queues: shape.list(QUEUE_STATE, MAX_QUEUES, 0),
});
export type VirtioCoreStateV1 = Shaped<typeof VIRTIO_CORE_STATE>;

/**
 * A virtio device without its bus: status, feature negotiation, queues, and the model behind them. Both driver generations end here; a
 * legacy driver (0.9) needs no FEATURES_OK and may use queues before DRIVER_OK.
 */
export class VirtioCore implements VirtioHost {
  readonly model: VirtioModel;
  readonly queues: readonly SplitQueue[];
  readonly #wires: CoreWires;
  #status = 0;
  readonly #driverFeatures: [number, number] = [0, 0];
  #features = 0n;
  #active = false;
  configVector: number = NO_VECTOR;
  #generation = 0;
  /** Queues that were notified before DRIVER_OK. */
  readonly #kicked = new Set<number>();
  /** Why the device needs a reset, for people; undefined: it does not. */
  fault: string | undefined;

  constructor(model: VirtioModel, wires: CoreWires) {
    this.model = model;
    this.#wires = wires;
    this.queues = model.queueSizes.map(
      (maxSize, index) =>
        new SplitQueue({
          index,
          maxSize,
          dma: wires.dma,
          onBroken: (why) => this.#break(why),
          onInterrupt: (queue) => wires.interrupt(queue.vector, 1),
        }),
    );
    model.connect(this);
  }

  /** A byte of the model's configuration; zero behind its end. */
  readDeviceConfig(at: number): number {
    return at < this.model.configBytes ? this.model.readConfig(at) & 0xff : 0;
  }

  /** Bytes behind the end of the model's configuration vanish. */
  writeDeviceConfig(offset: number, size: AccessSize, value: number): void {
    writeBytes(offset, size, value, (at, byte) => {
      if (at < this.model.configBytes) this.model.writeConfig(at, byte);
    });
  }

  get features(): bigint {
    return this.#features;
  }
  get status(): number {
    return this.#status;
  }
  get generation(): number {
    return this.#generation;
  }
  get active(): boolean {
    return this.#active;
  }

  queue(index: number): SplitQueue {
    const queue = this.queues[index];
    if (queue === undefined) throw new Error(`${this.model.name} has no queue ${index}`);
    return queue;
  }

  configChanged(): void {
    this.#generation = (this.#generation + 1) & 0xff;
    if ((this.#status & STATUS.DRIVER_OK) !== 0) this.#wires.interrupt(this.configVector, 2);
  }

  /** What the device offers to a driver of this generation; `half` 0 or 1 of 64 bits, others are zero. */
  offered(half: number, legacy: boolean): number {
    if (half > 1) return 0;
    return Number(((this.model.features | (legacy ? LEGACY_FEATURES : MODERN_FEATURES)) >> (half === 0 ? 0n : 32n)) & 0xffffffffn);
  }

  driverFeatures(half: number): number {
    return half === 0 ? this.#driverFeatures[0] : half === 1 ? this.#driverFeatures[1] : 0;
  }

  /** The driver's choice counts until FEATURES_OK (legacy: until its first use of a queue). */
  setDriverFeatures(half: number, value: number): void {
    if (half > 1 || (this.#status & STATUS.FEATURES_OK) !== 0 || this.#active) return;
    this.#driverFeatures[half === 0 ? 0 : 1] = value >>> 0;
  }

  /** Writing zero resets the device; otherwise bits are added. FEATURES_OK stays off when the features do not go together. */
  setStatus(value: number, legacy: boolean): void {
    if (value === 0) {
      this.reset();
      return;
    }
    let next = this.#status | (value & DRIVER_STATUS);
    if (legacy) {
      this.#status = next & ~STATUS.FEATURES_OK;
      if ((next & STATUS.DRIVER_OK) !== 0) this.#activateLegacy();
      return;
    }
    if ((next & ~this.#status & STATUS.FEATURES_OK) !== 0 && !this.#agree()) next &= ~STATUS.FEATURES_OK;
    if ((next & STATUS.FEATURES_OK) === 0) next &= ~STATUS.DRIVER_OK;
    const goes = (next & ~this.#status & STATUS.DRIVER_OK) !== 0;
    this.#status = next;
    if (goes) this.#activate();
  }

  /** The driver notified a queue. */
  kick(index: number, legacy: boolean): void {
    const queue = this.queues[index];
    if (queue === undefined) return;
    if (!this.#active) {
      // Drivers of the 0.9 age read partition tables before they say DRIVER_OK.
      if (legacy && queue.ready && (this.#status & STATUS.DRIVER) !== 0) this.#activateLegacy();
      else {
        this.#kicked.add(index);
        return;
      }
    }
    if (queue.ready && this.fault === undefined) this.model.notified(index);
  }

  /** A queue goes back to where it was at reset (RING_RESET, VIRTIO 1.2 §2.6.1). */
  resetQueue(index: number): void {
    if ((this.#features & FEATURE.RING_RESET) === 0n) return;
    this.queues[index]?.reset();
    this.queues[index]?.negotiated(ringFeatures(this.#features));
  }

  reset(): void {
    const had = this.#active;
    this.#status = 0;
    this.#driverFeatures.fill(0);
    this.#features = 0n;
    this.#active = false;
    this.configVector = NO_VECTOR;
    this.#kicked.clear();
    this.fault = undefined;
    for (const queue of this.queues) queue.reset();
    if (had) this.model.reset();
  }

  saveState(): VirtioCoreStateV1 {
    return {
      v: 1,
      status: this.#status,
      driverFeatures: [this.#driverFeatures[0], this.#driverFeatures[1]],
      features: this.#features.toString(16),
      active: this.#active,
      configVector: this.configVector,
      generation: this.#generation,
      kicked: [...this.#kicked],
      queues: this.queues.map((q) => q.saveState()),
    };
  }

  loadState(state: VirtioCoreStateV1): void {
    this.#status = state.status;
    this.#driverFeatures[0] = state.driverFeatures[0];
    this.#driverFeatures[1] = state.driverFeatures[1];
    this.#features = BigInt(`0x${state.features}`);
    this.#active = state.active;
    this.configVector = state.configVector;
    this.#generation = state.generation;
    this.fault = (state.status & STATUS.NEEDS_RESET) !== 0 ? "saved in need of a reset" : undefined;
    this.#kicked.clear();
    for (const index of state.kicked) this.#kicked.add(index);
    for (const [i, queue] of this.queues.entries()) {
      const saved = state.queues[i];
      if (saved !== undefined) queue.loadState(saved);
      queue.negotiated(ringFeatures(this.#features));
    }
  }

  #agree(): boolean {
    const wanted = BigInt(this.#driverFeatures[0]) | (BigInt(this.#driverFeatures[1]) << 32n);
    const offered = this.model.features | MODERN_FEATURES;
    if ((wanted & ~offered) !== 0n || (wanted & FEATURE.VERSION_1) === 0n) return false;
    if (this.model.acceptsFeatures?.(wanted) === false) return false;
    this.#negotiated(wanted);
    return true;
  }

  #negotiated(features: bigint): void {
    this.#features = features;
    for (const queue of this.queues) queue.negotiated(ringFeatures(features));
  }

  #activateLegacy(): void {
    if (this.#active) return;
    this.#negotiated(BigInt(this.#driverFeatures[0]) & (this.model.features | LEGACY_FEATURES) & 0xffffffffn);
    this.#activate();
  }

  #activate(): void {
    this.#active = true;
    this.model.activate();
    const kicked = [...this.#kicked].sort((a, b) => a - b);
    this.#kicked.clear();
    for (const index of kicked) this.kick(index, false);
  }

  #break(why: string): void {
    if (this.fault !== undefined) return;
    this.fault = `${this.model.name}: ${why}`;
    // Legacy drivers have no name for this bit; their device is just dead.
    if ((this.#features & FEATURE.VERSION_1) === 0n) return;
    this.#status |= STATUS.NEEDS_RESET;
    if ((this.#status & STATUS.DRIVER_OK) !== 0) this.#wires.interrupt(this.configVector, 2);
  }
}

const ringFeatures = (features: bigint): { readonly indirect: boolean; readonly eventIndex: boolean; readonly notifyOnEmpty: boolean } => ({
  indirect: (features & FEATURE.RING_INDIRECT_DESC) !== 0n,
  eventIndex: (features & FEATURE.RING_EVENT_IDX) !== 0n,
  // Bit 24 means this to legacy drivers only.
  notifyOnEmpty: (features & (FEATURE.NOTIFY_ON_EMPTY | FEATURE.VERSION_1)) === FEATURE.NOTIFY_ON_EMPTY,
});
