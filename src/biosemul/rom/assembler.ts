/**
 * A tiny assembler for the ROM's 16-bit code: bytes, labels, and jumps that are fixed up at the end.
 * Offsets are in the F000 segment.
 */
export class Assembler {
  readonly bytes = new Uint8Array(0x10000);
  readonly #used = new Uint8Array(0x10000);
  readonly #labels = new Map<string, number>();
  readonly #fixups: { readonly at: number; readonly label: string; readonly kind: "rel8" | "rel16" | "abs16" }[] = [];
  #at = 0;

  get at(): number {
    return this.#at;
  }
  /** Goes on at `offset`. */
  org(offset: number): this {
    this.#at = offset;
    return this;
  }
  align(step: number): this {
    this.#at = Math.ceil(this.#at / step) * step;
    return this;
  }
  label(name: string): this {
    if (this.#labels.has(name)) throw new Error(`ROM label ${name} defined twice`);
    this.#labels.set(name, this.#at);
    return this;
  }
  /** Emits bytes; two things at one offset are our own mistake. */
  db(...bytes: readonly number[]): this {
    for (const byte of bytes) {
      if (this.#at > 0xffff || this.#used[this.#at] !== 0) throw new Error(`ROM overlap at F000:${this.#at.toString(16)}`);
      this.#used[this.#at] = 1;
      this.bytes[this.#at++] = byte & 0xff;
    }
    return this;
  }
  data(bytes: Uint8Array): this {
    if (!this.isFree(this.#at, bytes.length)) throw new Error(`ROM overlap at F000:${this.#at.toString(16)}`);
    this.#used.fill(1, this.#at, this.#at + bytes.length);
    this.bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }
  dw(...words: readonly number[]): this {
    for (const word of words) this.db(word, word >>> 8);
    return this;
  }
  text(s: string): this {
    for (let i = 0; i < s.length; i++) this.db(s.charCodeAt(i));
    return this;
  }
  #ref(label: string, kind: "rel8" | "rel16" | "abs16"): this {
    this.#fixups.push({ at: this.#at, label, kind });
    return kind === "rel8" ? this.db(0) : this.db(0, 0);
  }
  /** A short jump by its opcode (EB jmp, 74 jz, 75 jnz, 72 jc, 73 jnc, E2 loop …). */
  short(opcode: number, label: string): this {
    return this.db(opcode).#ref(label, "rel8");
  }
  jmp(label: string): this {
    return this.db(0xe9).#ref(label, "rel16");
  }
  call(label: string): this {
    return this.db(0xe8).#ref(label, "rel16");
  }
  /** A 16-bit operand that is the label's offset. */
  offsetOf(label: string): this {
    return this.#ref(label, "abs16");
  }
  /** Offset of a label. */
  address(label: string): number {
    const at = this.#labels.get(label);
    if (at === undefined) throw new Error(`ROM label ${label} not defined`);
    return at;
  }
  /** True when [offset, offset+length) is still free. */
  isFree(offset: number, length: number): boolean {
    return offset + length <= 0x10000 && !this.#used.subarray(offset, offset + length).includes(1);
  }
  /** Resolves the labels. */
  finish(): Uint8Array {
    for (const { at, label, kind } of this.#fixups) {
      const target = this.address(label);
      const value = kind === "abs16" ? target : kind === "rel16" ? target - (at + 2) : target - (at + 1);
      if (kind === "rel8" && (value < -128 || value > 127)) throw new Error(`ROM short jump to ${label} too far`);
      this.bytes[at] = value & 0xff;
      if (kind !== "rel8") this.bytes[at + 1] = (value >>> 8) & 0xff;
    }
    return this.bytes;
  }
}
