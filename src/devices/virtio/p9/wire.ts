/** Message numbers of 9P2000.L; a reply is its request plus one. Source: the 9P2000.L description of diod, "protocol.md". */
export const T = {
  LERROR: 6,
  STATFS: 8,
  LOPEN: 12,
  LCREATE: 14,
  SYMLINK: 16,
  MKNOD: 18,
  RENAME: 20,
  READLINK: 22,
  GETATTR: 24,
  SETATTR: 26,
  XATTRWALK: 30,
  XATTRCREATE: 32,
  READDIR: 40,
  FSYNC: 50,
  LOCK: 52,
  GETLOCK: 54,
  LINK: 70,
  MKDIR: 72,
  RENAMEAT: 74,
  UNLINKAT: 76,
  VERSION: 100,
  AUTH: 102,
  ATTACH: 104,
  FLUSH: 108,
  WALK: 110,
  READ: 116,
  WRITE: 118,
  CLUNK: 120,
  REMOVE: 122,
} as const;

/** size[4] type[1] tag[2]. */
export const HEADER_BYTES = 7;

/** Takes fields off a message. Past its end everything is zero and `ok` is false. */
export class MessageReader {
  readonly #view: DataView;
  readonly #end: number;
  #at: number;
  ok = true;

  /** The message is `bytes` up to `end`; reading starts behind the header. */
  constructor(bytes: Uint8Array, end: number) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#end = Math.min(end, bytes.length);
    this.#at = HEADER_BYTES;
  }

  get position(): number {
    return this.#at;
  }
  get left(): number {
    return this.#end - this.#at;
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#end) {
      this.ok = false;
      return -1;
    }
    this.#at += bytes;
    return at;
  }
  u8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.#view.getUint8(at);
  }
  u16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.#view.getUint16(at, true);
  }
  u32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#view.getUint32(at, true);
  }
  u64(): bigint {
    const at = this.#take(8);
    return at < 0 ? 0n : this.#view.getBigUint64(at, true);
  }
  /** A byte string: a character a byte. */
  string(): string {
    const length = this.u16();
    const at = this.#take(length);
    let text = "";
    for (let i = 0; at >= 0 && i < length; i++) text += String.fromCharCode(this.#view.getUint8(at + i));
    return text;
  }
}

/** Builds a message in a buffer of its owner. What does not fit sets `overflow`. */
export class MessageWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #at = HEADER_BYTES;
  overflow = false;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get length(): number {
    return this.#at;
  }

  /** Starts a reply over. */
  rewind(): void {
    this.#at = HEADER_BYTES;
    this.overflow = false;
  }

  /** Writes the header; the message is complete. */
  finish(type: number, tag: number): void {
    this.#view.setUint32(0, this.#at, true);
    this.#view.setUint8(4, type);
    this.#view.setUint16(5, tag, true);
  }

  /** Room for `bytes` more; their place, or -1. */
  #grow(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.bytes.length) {
      this.overflow = true;
      return -1;
    }
    this.#at += bytes;
    return at;
  }
  u8(value: number): void {
    const at = this.#grow(1);
    if (at >= 0) this.#view.setUint8(at, value);
  }
  u16(value: number): void {
    const at = this.#grow(2);
    if (at >= 0) this.#view.setUint16(at, value, true);
  }
  u32(value: number): void {
    const at = this.#grow(4);
    if (at >= 0) this.#view.setUint32(at, value >>> 0, true);
  }
  u64(value: bigint): void {
    const at = this.#grow(8);
    if (at >= 0) this.#view.setBigUint64(at, BigInt.asUintN(64, value), true);
  }
  string(text: string): void {
    const length = Math.min(text.length, 0xffff);
    this.u16(length);
    const at = this.#grow(length);
    if (at < 0) return;
    for (let i = 0; i < length; i++) this.bytes[at + i] = text.charCodeAt(i);
  }
  /** A place of `bytes` to fill in, or undefined. */
  reserve(bytes: number): Uint8Array | undefined {
    const at = this.#grow(bytes);
    return at < 0 ? undefined : this.bytes.subarray(at, at + bytes);
  }
  /** Gives back the last `bytes`. */
  drop(bytes: number): void {
    this.#at -= bytes;
  }
  /** Overwrites an earlier 32-bit field. */
  patch32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }
}
