import { shape } from "../../../base/index.ts";
import type { Shaped } from "../../../base/index.ts";
import type { DmaView } from "../../../bus/index.ts";
import type { VirtioChain, VirtQueue } from "../api.ts";
import { Chain, dmaRead, dmaWrite } from "./chain.ts";

const DESC_NEXT = 1;
const DESC_WRITE = 2;
const DESC_INDIRECT = 4;
const AVAIL_NO_INTERRUPT = 1;
/** Descriptors of one request, in the ring and in its indirect table together. */
const MAX_SEGMENTS = 1024;
/** Bytes of one request (VIRTIO 1.2 §2.7.4.1: at most 2^32). */
const MAX_BYTES = 2 ** 32;

/** What was negotiated, as far as rings care. */
export interface QueueFeatures {
  readonly indirect: boolean;
  readonly eventIndex: boolean;
  readonly notifyOnEmpty: boolean;
}

export interface QueueOptions {
  readonly index: number;
  readonly maxSize: number;
  readonly dma: DmaView;
  /** The ring is nonsense: the device stops until it is reset. */
  readonly onBroken: (why: string) => void;
  readonly onInterrupt: (queue: SplitQueue) => void;
}

export const QUEUE_STATE = shape.record({
  v: shape.oneOf(1),
  size: shape.int(0, 0x8000),
  desc: shape.count,
  avail: shape.count,
  used: shape.count,
  enabled: shape.flag,
  vector: shape.word,
  lastAvail: shape.word,
  usedIndex: shape.word,
  /** The used index at the last interrupt; -1: none yet. */
  signalled: shape.int(-1, 0xffff),
});
export type QueueStateV1 = Shaped<typeof QUEUE_STATE>;

/**
 * The device's side of a split virtqueue (VIRTIO 1.2 §2.7). Rings and descriptors are read afresh for each request and nothing in them is
 * believed: lengths, links and indices are bounded before a model sees a request.
 */
export class SplitQueue implements VirtQueue {
  readonly index: number;
  readonly maxSize: number;
  /** Number of entries: a power of two up to `maxSize` (0: not available). */
  size: number;
  desc = 0;
  avail = 0;
  used = 0;
  enabled = false;
  /** MSI-X vector; FFFFh none. */
  vector = 0xffff;
  readonly #dma: DmaView;
  readonly #onBroken: (why: string) => void;
  readonly #onInterrupt: (queue: SplitQueue) => void;
  #features: QueueFeatures = { indirect: false, eventIndex: false, notifyOnEmpty: false };
  #lastAvail = 0;
  /** The driver's index as last read. */
  #availIndex = 0;
  #usedIndex = 0;
  #signalled = -1;
  #inFlight = 0;
  #broken = false;
  /** Chains of an earlier life are dead. */
  #life = 1;
  readonly #pool: Chain[] = [];
  readonly #bytes16 = new Uint8Array(16);
  readonly #bytes8 = this.#bytes16.subarray(0, 8);
  readonly #bytes2 = this.#bytes16.subarray(0, 2);
  readonly #view = new DataView(this.#bytes16.buffer);
  #table = new Uint8Array(0);

  constructor(options: QueueOptions) {
    this.index = options.index;
    this.maxSize = options.maxSize;
    this.size = options.maxSize;
    this.#dma = options.dma;
    this.#onBroken = options.onBroken;
    this.#onInterrupt = options.onInterrupt;
  }

  get ready(): boolean {
    return this.enabled && !this.#broken;
  }

  /** Requests popped and not yet pushed. */
  get inFlight(): number {
    return this.#inFlight;
  }

  negotiated(features: QueueFeatures): void {
    this.#features = features;
  }

  /** Back to power-on: nothing set up, popped chains are dead. */
  reset(): void {
    this.size = this.maxSize;
    this.desc = 0;
    this.avail = 0;
    this.used = 0;
    this.enabled = false;
    this.vector = 0xffff;
    this.#lastAvail = 0;
    this.#availIndex = 0;
    this.#usedIndex = 0;
    this.#signalled = -1;
    this.#inFlight = 0;
    this.#broken = false;
    this.#life++;
  }

  pop(): VirtioChain | undefined {
    if (!this.ready) return undefined;
    if (this.#lastAvail === this.#availIndex && !this.#fetchAvail()) return undefined;
    if (this.#inFlight >= this.size) return this.#break("more requests in flight than the queue has entries");
    const head = this.#read16(this.avail + 4 + 2 * (this.#lastAvail & (this.size - 1)));
    if (head >= this.size) return this.#break(`available ring names descriptor ${head}`);
    const chain = this.#pool.pop() ?? new Chain(this.#dma);
    chain.start(head, this.#life);
    const fault = this.#gather(chain, head);
    if (fault !== undefined) return this.#break(fault);
    this.#lastAvail = (this.#lastAvail + 1) & 0xffff;
    this.#inFlight++;
    return chain;
  }

  unpop(chain: VirtioChain): void {
    if (!this.#take(chain)) return;
    this.#lastAvail = (this.#lastAvail - 1) & 0xffff;
  }

  push(chain: VirtioChain, writtenBytes: number): void {
    const head = chain instanceof Chain ? chain.head : 0;
    const length = Math.min(writtenBytes, chain.writableBytes, 0xffffffff);
    if (!this.#take(chain) || this.#broken) return;
    this.#view.setUint32(0, head, true);
    this.#view.setUint32(4, length, true);
    dmaWrite(this.#dma, this.used + 4 + 8 * (this.#usedIndex & (this.size - 1)), this.#bytes8);
    this.#usedIndex = (this.#usedIndex + 1) & 0xffff;
    this.#write16(this.used + 2, this.#usedIndex);
  }

  notifyDriver(): void {
    if (!this.ready) return;
    const before = this.#signalled;
    if (this.#features.notifyOnEmpty && this.#inFlight === 0 && this.#lastAvail === this.#read16(this.avail + 2)) {
      this.#signalled = this.#usedIndex;
      this.#onInterrupt(this);
      return;
    }
    if (this.#features.eventIndex) {
      if (before === this.#usedIndex) return;
      this.#signalled = this.#usedIndex;
      const wanted = this.#read16(this.avail + 4 + 2 * this.size);
      // VIRTIO 1.2 §2.7.7.2: the index after which the driver wants to hear lies in what was added since the last interrupt.
      const added = (this.#usedIndex - Math.max(0, before)) & 0xffff;
      if (before >= 0 && ((this.#usedIndex - wanted - 1) & 0xffff) >= added) return;
    } else if ((this.#read16(this.avail) & AVAIL_NO_INTERRUPT) !== 0) return;
    this.#onInterrupt(this);
  }

  /** Popped chains must have been returned: models hold none between two events of the clock. */
  saveState(): QueueStateV1 {
    return {
      v: 1,
      size: this.size,
      desc: this.desc,
      avail: this.avail,
      used: this.used,
      enabled: this.enabled,
      vector: this.vector,
      lastAvail: (this.#lastAvail - this.#inFlight) & 0xffff,
      usedIndex: this.#usedIndex,
      signalled: this.#signalled,
    };
  }

  loadState(state: QueueStateV1): void {
    this.reset();
    this.size = state.size;
    this.desc = state.desc;
    this.avail = state.avail;
    this.used = state.used;
    this.enabled = state.enabled;
    this.vector = state.vector;
    this.#lastAvail = state.lastAvail;
    this.#availIndex = state.lastAvail;
    this.#usedIndex = state.usedIndex;
    this.#signalled = state.signalled;
  }

  /** False when the driver has nothing for us; then it is asked to say so when it has. */
  #fetchAvail(): boolean {
    const next = this.#read16(this.avail + 2);
    const fresh = (next - this.#lastAvail) & 0xffff;
    if (fresh > this.size) {
      this.#break(`available index moved by ${fresh} in a queue of ${this.size}`);
      return false;
    }
    this.#availIndex = next;
    if (fresh > 0) return true;
    if (this.#features.eventIndex) this.#write16(this.used + 4 + 8 * this.size, this.#lastAvail);
    return false;
  }

  /** Follows the descriptors from `head`; a sentence when they are nonsense. */
  #gather(chain: Chain, head: number): string | undefined {
    let at = head;
    for (let seen = 0; seen < this.size; seen++) {
      dmaRead(this.#dma, this.desc + 16 * at, this.#bytes16);
      const flags = this.#view.getUint16(12, true);
      const next = this.#view.getUint16(14, true);
      if ((flags & DESC_INDIRECT) !== 0) {
        if (!this.#features.indirect) return "an indirect descriptor that was not negotiated";
        if ((flags & DESC_NEXT) !== 0) return "an indirect descriptor with a next one";
        return this.#gatherIndirect(chain, address(this.#view, 0), this.#view.getUint32(8, true), seen);
      }
      const fault = this.#add(chain, this.#view, 0, flags);
      if (fault !== undefined || (flags & DESC_NEXT) === 0) return fault;
      if (next >= this.size) return `descriptor ${at} links to ${next}`;
      at = next;
    }
    return "a loop of descriptors";
  }

  #gatherIndirect(chain: Chain, table: number, bytes: number, seen: number): string | undefined {
    const count = bytes / 16;
    if (count === 0 || !Number.isInteger(count) || count + seen > Math.max(MAX_SEGMENTS, this.size)) return `an indirect table of ${bytes} bytes`;
    if (this.#table.length < bytes) this.#table = new Uint8Array(Math.max(bytes, 2048));
    const copy = this.#table.subarray(0, bytes);
    dmaRead(this.#dma, table, copy);
    const view = new DataView(copy.buffer, 0, bytes);
    let at = 0;
    for (let i = 0; i < count; i++) {
      const flags = view.getUint16(16 * at + 12, true);
      if ((flags & DESC_INDIRECT) !== 0) return "an indirect table in an indirect table";
      const fault = this.#add(chain, view, 16 * at, flags);
      if (fault !== undefined || (flags & DESC_NEXT) === 0) return fault;
      at = view.getUint16(16 * at + 14, true);
      if (at >= count) return `an indirect descriptor links to ${at} of ${count}`;
    }
    return "a loop of indirect descriptors";
  }

  #add(chain: Chain, view: DataView, at: number, flags: number): string | undefined {
    if (!chain.add(address(view, at), view.getUint32(at + 8, true), (flags & DESC_WRITE) !== 0)) return "a readable descriptor after a writable one";
    return chain.readableBytes + chain.writableBytes > MAX_BYTES ? "a request of more than 4 GiB" : undefined;
  }

  /** Takes a chain out of flight and into the pool; false when it is not of this life. */
  #take(chain: VirtioChain): boolean {
    if (!(chain instanceof Chain) || chain.life !== this.#life) return false;
    chain.life = 0;
    this.#pool.push(chain);
    this.#inFlight--;
    return true;
  }

  #break(why: string): undefined {
    this.#broken = true;
    this.#onBroken(`queue ${this.index}: ${why}`);
    return undefined;
  }

  #read16(gpa: number): number {
    dmaRead(this.#dma, gpa, this.#bytes2);
    return this.#view.getUint16(0, true);
  }

  #write16(gpa: number, value: number): void {
    this.#view.setUint16(0, value, true);
    dmaWrite(this.#dma, gpa, this.#bytes2);
  }
}

/** A 64-bit address as a number; above 2^53 inexact, but then it is nowhere. */
function address(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}
