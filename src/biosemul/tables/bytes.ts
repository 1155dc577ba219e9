/** Collects little-endian bytes of a firmware table. */
export class ByteWriter {
  readonly #bytes: number[] = [];
  get length(): number {
    return this.#bytes.length;
  }
  u8(...values: readonly number[]): this {
    for (const v of values) this.#bytes.push(v & 0xff);
    return this;
  }
  u16(...values: readonly number[]): this {
    for (const v of values) this.#bytes.push(v & 0xff, (v >>> 8) & 0xff);
    return this;
  }
  u32(...values: readonly number[]): this {
    for (const v of values) this.#bytes.push(v & 0xff, (v >>> 8) & 0xff, (v >>> 16) & 0xff, v >>> 24);
    return this;
  }
  u64(value: number): this {
    return this.u32(value % 0x100000000, Math.floor(value / 0x100000000));
  }
  text(s: string, length = s.length): this {
    for (let i = 0; i < length; i++) this.u8(i < s.length ? s.charCodeAt(i) : 0);
    return this;
  }
  bytes(b: Uint8Array | readonly number[]): this {
    for (const v of b) this.#bytes.push(v & 0xff);
    return this;
  }
  pad(length: number, value = 0): this {
    while (this.#bytes.length < length) this.u8(value);
    return this;
  }
  done(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

/** Sum of bytes [from, to), modulo 2^32. */
export function sumOf(bytes: Uint8Array, from = 0, to = bytes.length): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += bytes[i] ?? 0;
  return sum >>> 0;
}

/** Sets byte `at` so that bytes [from, from+length) add up to zero. */
export function fixChecksum(bytes: Uint8Array, at: number, from = 0, length = bytes.length - from): Uint8Array {
  bytes[at] = 0;
  bytes[at] = -sumOf(bytes, from, from + length) & 0xff;
  return bytes;
}
