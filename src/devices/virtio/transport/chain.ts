import type { DmaView } from "../../../bus/index.ts";
import type { VirtioChain } from "../api.ts";

/** Guest-physical addresses from here on do not exist: what is there reads FFh and swallows writes, without asking memory. */
const END_OF_MEMORY = 2 ** 52;

/** DMA for addresses that a guest made up: any number, any length. */
export function dmaRead(dma: DmaView, gpa: number, into: Uint8Array): void {
  if (gpa + into.length <= END_OF_MEMORY) dma.read(gpa, into);
  else into.fill(0xff);
}

export function dmaWrite(dma: DmaView, gpa: number, from: Uint8Array): void {
  if (gpa + from.length <= END_OF_MEMORY) dma.write(gpa, from);
}

/** The segments of one request. Objects are pooled by their queue: dead once pushed. */
export class Chain implements VirtioChain {
  readonly #dma: DmaView;
  readonly #addresses: number[] = [];
  readonly #lengths: number[] = [];
  #count = 0;
  #readableCount = 0;
  readableBytes = 0;
  writableBytes = 0;
  /** Index of the first descriptor, which goes into the used ring. */
  head = 0;
  /** The life of the queue that popped it; 0 while in the pool. */
  life = 0;

  constructor(dma: DmaView) {
    this.#dma = dma;
  }

  start(head: number, life: number): void {
    this.head = head;
    this.life = life;
    this.#count = 0;
    this.#readableCount = 0;
    this.readableBytes = 0;
    this.writableBytes = 0;
  }

  /** False: a readable segment behind a writable one. */
  add(address: number, length: number, writable: boolean): boolean {
    if (!writable && this.#count !== this.#readableCount) return false;
    if (length === 0) return true;
    this.#addresses[this.#count] = address;
    this.#lengths[this.#count] = length;
    this.#count++;
    if (writable) this.writableBytes += length;
    else {
      this.readableBytes += length;
      this.#readableCount = this.#count;
    }
    return true;
  }

  read(offset: number, into: Uint8Array): number {
    return this.#move(0, this.#readableCount, offset, into, dmaRead);
  }

  write(offset: number, from: Uint8Array): number {
    return this.#move(this.#readableCount, this.#count, offset, from, dmaWrite);
  }

  #move(first: number, end: number, offset: number, bytes: Uint8Array, copy: typeof dmaRead): number {
    let skip = offset;
    let done = 0;
    for (let i = first; i < end && done < bytes.length; i++) {
      const length = this.#lengths[i] ?? 0;
      if (skip >= length) {
        skip -= length;
        continue;
      }
      const n = Math.min(length - skip, bytes.length - done);
      copy(this.#dma, (this.#addresses[i] ?? 0) + skip, done === 0 && n === bytes.length ? bytes : bytes.subarray(done, done + n));
      done += n;
      skip = 0;
    }
    return done;
  }
}
