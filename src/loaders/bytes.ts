import { utf8Bytes } from "../base/index.ts";

/** Little-endian fields of a file; zero beyond its end, so that a truncated file cannot make a reader fail. */
export class Fields {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  get length(): number {
    return this.bytes.length;
  }
  u8(at: number): number {
    return this.bytes[at] ?? 0;
  }
  u16(at: number): number {
    return at >= 0 && at + 2 <= this.length ? this.#view.getUint16(at, true) : 0;
  }
  u32(at: number): number {
    return at >= 0 && at + 4 <= this.length ? this.#view.getUint32(at, true) : 0;
  }
  /** As a number; -1 when it does not fit 2^53. */
  u64(at: number): number {
    if (at < 0 || at + 8 > this.length) return 0;
    const value = this.#view.getBigUint64(at, true);
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : -1;
  }
  text(at: number, length: number): string {
    let s = "";
    for (let i = at; i < at + length && this.u8(i) !== 0; i++) s += String.fromCharCode(this.u8(i));
    return s;
  }
}

/** Builds a structure of little-endian fields. */
export class Builder {
  #bytes = new Uint8Array(256);
  #length = 0;
  get length(): number {
    return this.#length;
  }
  #room(n: number): void {
    if (this.#length + n <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#length + n, 2 * this.#bytes.length));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
  u8(...values: readonly number[]): this {
    this.#room(values.length);
    for (const v of values) this.#bytes[this.#length++] = v;
    return this;
  }
  u16(...values: readonly number[]): this {
    for (const v of values) this.u8(v & 0xff, (v >>> 8) & 0xff);
    return this;
  }
  u32(...values: readonly number[]): this {
    for (const v of values) this.u16(v & 0xffff, (v >>> 16) & 0xffff);
    return this;
  }
  u64(...values: readonly number[]): this {
    for (const v of values) this.u32(v >>> 0, Math.floor(v / 0x100000000));
    return this;
  }
  raw(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }
  /** With a terminating zero. */
  text(s: string): this {
    return this.raw(utf8Bytes(s)).u8(0);
  }
  align(to: number): this {
    while (this.#length % to !== 0) this.u8(0);
    return this;
  }
  patch32(at: number, value: number): void {
    new DataView(this.#bytes.buffer).setUint32(at, value, true);
  }
  done(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}
