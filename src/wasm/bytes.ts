/** A growing byte buffer with LEB128 writers. */
export class ByteWriter {
  #bytes = new Uint8Array(1024);
  length = 0;
  #grow(need: number): void {
    if (this.length + need <= this.#bytes.length) return;
    const bigger = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + need));
    bigger.set(this.#bytes.subarray(0, this.length));
    this.#bytes = bigger;
  }
  u8(v: number): void {
    this.#grow(1);
    this.#bytes[this.length++] = v;
  }
  /** Unsigned LEB128 of a value below 2^32. */
  leb(v: number): void {
    this.#grow(5);
    let n = v >>> 0;
    while (n >= 0x80) {
      this.#bytes[this.length++] = (n & 0x7f) | 0x80;
      n >>>= 7;
    }
    this.#bytes[this.length++] = n;
  }
  /** Signed LEB128 of an int32. */
  sleb(v: number): void {
    this.#grow(5);
    let n = v | 0;
    for (;;) {
      const b = n & 0x7f;
      n >>= 7;
      if ((n === 0 && (b & 0x40) === 0) || (n === -1 && (b & 0x40) !== 0)) {
        this.#bytes[this.length++] = b;
        return;
      }
      this.#bytes[this.length++] = b | 0x80;
    }
  }
  /** Signed LEB128 of a 64-bit value. */
  sleb64(v: bigint): void {
    let n = BigInt.asIntN(64, v);
    this.#grow(10);
    for (;;) {
      const b = Number(n & 0x7fn);
      n >>= 7n;
      if ((n === 0n && (b & 0x40) === 0) || (n === -1n && (b & 0x40) !== 0)) {
        this.#bytes[this.length++] = b;
        return;
      }
      this.#bytes[this.length++] = b | 0x80;
    }
  }
  bytes(from: Uint8Array): void {
    this.#grow(from.length);
    this.#bytes.set(from, this.length);
    this.length += from.length;
  }
  name(s: string): void {
    this.leb(s.length);
    for (let i = 0; i < s.length; i++) this.u8(s.charCodeAt(i) & 0x7f);
  }
  /** A borrowed view of what was written. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}
