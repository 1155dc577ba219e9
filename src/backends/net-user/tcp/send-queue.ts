const FIRST_BYTES = 16 * 1024;
/** A queue that ran empty and was larger than this gives its memory back. */
const KEEP_BYTES = 128 * 1024;

/** Bytes on their way to the guest, kept until it acknowledges them: a ring that grows. Offsets count from the oldest byte kept. */
export class SendQueue {
  #ring = new Uint8Array(0);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#ring.length) this.#grow(this.#length + bytes.length);
    const tail = (this.#head + this.#length) & (this.#ring.length - 1);
    const first = Math.min(bytes.length, this.#ring.length - tail);
    this.#ring.set(bytes.subarray(0, first), tail);
    if (first < bytes.length) this.#ring.set(bytes.subarray(first), 0);
    this.#length += bytes.length;
  }

  /** Copies `length` bytes from `offset` to `into` at `at`. */
  copy(offset: number, length: number, into: Uint8Array, at: number): void {
    const start = (this.#head + offset) & (this.#ring.length - 1);
    const first = Math.min(length, this.#ring.length - start);
    into.set(this.#ring.subarray(start, start + first), at);
    if (first < length) into.set(this.#ring.subarray(0, length - first), at + first);
  }

  /** Forgets the oldest bytes. */
  release(bytes: number): void {
    this.#head = (this.#head + bytes) & (this.#ring.length - 1);
    this.#length -= bytes;
    if (this.#length > 0) return;
    this.#head = 0;
    if (this.#ring.length > KEEP_BYTES) this.#ring = new Uint8Array(0);
  }

  #grow(bytes: number): void {
    let size = Math.max(FIRST_BYTES, this.#ring.length);
    while (size < bytes) size *= 2;
    const ring = new Uint8Array(size);
    if (this.#length > 0) this.copy(0, this.#length, ring, 0);
    this.#ring = ring;
    this.#head = 0;
  }
}
