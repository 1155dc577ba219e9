/**
 * Test support: the cases of record/record.c again. Both files must stay alike: the hashes in recorded.ts are of the results that a
 * processor gave for exactly these states.
 */
export interface Case {
  readonly fcw: number;
  readonly fsw: number;
  readonly ftw: number;
  /** ST(0)..ST(7), ten bytes each. */
  readonly st: Uint8Array;
  readonly memory: Uint8Array;
  readonly flags: number;
}

export class Cases {
  #seed: number;
  #hi = 0;
  #lo = 0;

  constructor(opcode: number) {
    const a = opcode >>> 8;
    const b = opcode & 0xff;
    this.#seed = (0x12345678 ^ Math.imul(a, 0x01010101) ^ ((b << 20) | b)) | 0;
  }
  #random(): number {
    let s = this.#seed;
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    this.#seed = s;
    return s >>> 0;
  }
  #mantissa(): void {
    const kind = this.#random() % 10;
    let hi = this.#random();
    let lo = this.#random();
    if (kind === 0) {
      hi = 0x80000000;
      lo = 0;
    } else if (kind === 1) {
      hi &= ~(0xffffffff >>> (this.#random() & 31));
      lo = 0;
    } else if (kind === 2) lo &= ~(0xffffffff >>> (this.#random() & 31));
    else if (kind === 3) {
      hi = 0xffffffff;
      lo |= ~(0xffffffff >>> (this.#random() & 31));
    } else if (kind === 4) {
      hi = (hi & ~0xff) | 0x80;
      lo = (this.#random() & 1) !== 0 ? 0 : 1;
    } else if (kind === 5) lo = (lo & ~0x7ff) | 0x400;
    else if (kind === 6) hi = 0xffffff00 | (hi & 0xff);
    else if (kind === 7) {
      hi = 0x80000000;
      lo = 1 << (lo & 31);
    }
    this.#hi = hi;
    this.#lo = lo;
  }
  #operand80(out: Uint8Array): void {
    const limits = [0x3fff + 15, 0x3fff + 31, 0x3fff + 63, 0x3fff + 127, 0x3fff - 126, 0x3fff + 1023, 0x3fff - 1022, 0x3fff - 149];
    const kind = this.#random() % 20;
    const sign = this.#random() & 0x8000;
    this.#mantissa();
    let hi = (this.#hi | 0x80000000) >>> 0;
    let lo = this.#lo;
    let e = 0;
    if (kind === 0) hi = lo = 0;
    else if (kind === 1) {
      e = 0x7fff;
      hi = 0x80000000;
      lo = 0;
    } else if (kind === 2) e = 0x7fff;
    else if (kind === 3) {
      hi &= 0x7fffffff;
      if ((this.#random() & 1) !== 0) hi >>>= this.#random() & 31;
    } else if (kind === 5) {
      e = this.#random() & 0x7fff;
      hi &= 0x7fffffff;
    } else if (kind === 6) {
      e = 0x3fff + (this.#random() & 3);
      lo = 0;
      hi &= 0xf0000000;
    } else if (kind === 7 || kind === 8) {
      e = limits[this.#random() & 7] ?? 0;
      e += (this.#random() % 5) - 2;
    } else if (kind === 9) e = 0x7ffe - (this.#random() & 3);
    else if (kind === 10) {
      e = this.#random() & 3;
      if (e === 0) e = 1;
    } else if (kind === 11) {
      e = this.#random() % 0x7fff;
      if (e === 0) e = 1;
    } else if (kind > 11) e = 0x3fff - 70 + (this.#random() % 140);
    const view = new DataView(out.buffer, out.byteOffset);
    view.setUint32(0, lo, true);
    view.setUint32(4, hi, true);
    view.setUint16(8, e | sign, true);
  }
  /** A neighbour of another value. */
  #near80(out: Uint8Array, of: Uint8Array): void {
    out.set(of);
    const change = (i: number, by: number): void => {
      out[i] = (out[i] ?? 0) ^ by;
    };
    const kind = this.#random() % 6;
    if (kind === 1) change(9, 0x80);
    else if (kind === 2) change(0, this.#random() & 7);
    else if (kind === 3) out[8] = (out[8] ?? 0) + (this.#random() % 7) - 3;
    else if (kind === 4) {
      out[8] = (out[8] ?? 0) + (this.#random() % 129) - 64;
      change(9, this.#random() & 0x80);
    } else if (kind === 5) {
      change(9, this.#random() & 0x80);
      const at = this.#random() & 7;
      change(at, this.#random() & 0xff);
    }
  }
  #memory(kind: string): Uint8Array {
    const out = new Uint8Array(16);
    const view = new DataView(out.buffer);
    for (let i = 0; i < 16; i += 4) view.setUint32(i, this.#random(), true);
    if (kind === "f") {
      let v = this.#random();
      const how = this.#random() & 7;
      if (how === 0) v &= 0x807fffff;
      else if (how === 1) v |= 0x7f800000;
      else if (how === 2) v &= 0xff800000;
      else if (how === 3) v = (v & 0x80ffffff) | 0x3f000000;
      view.setUint32(0, v, true);
    } else if (kind === "d") {
      let lo = this.#random();
      let v = this.#random();
      const how = this.#random() & 7;
      if (how === 0) v &= 0x800fffff;
      else if (how === 1) v |= 0x7ff00000;
      else if (how === 2) {
        v &= 0xfff00000;
        lo = 0;
      } else if (how === 3) v = (v & 0x801fffff) | 0x3fe00000;
      view.setUint32(0, lo, true);
      view.setUint32(4, v, true);
    } else if (kind === "t") this.#operand80(out);
    else if (kind === "i") view.setInt32(0, view.getInt32(0, true) >> (this.#random() & 31), true);
    else if (kind === "q") view.setBigInt64(0, view.getBigInt64(0, true) >> BigInt(this.#random() & 63), true);
    else if (kind === "b") {
      for (let i = 0; i < 9; i++) {
        const high = this.#random() % 10;
        out[i] = (high << 4) | (this.#random() % 10);
      }
    }
    return out;
  }
  /** `plain`: all exceptions masked, 64-bit precision, nothing empty. */
  next(kind: string, plain: boolean): Case {
    const r = this.#random();
    const masks = (r & 1) !== 0 || plain ? 0x3f : (r >>> 1) & 0x3f;
    let fcw = 0x40 | masks | ((r >>> 8) & 0x1f00);
    if (plain) fcw |= 0x300;
    let fsw = (r >>> 16) & 0x7f00;
    if ((this.#random() & 3) === 0) fsw |= this.#random() & masks;
    let ftw = 0;
    if ((this.#random() & 3) === 0 && !plain) {
      const t = this.#random() & this.#random();
      for (let i = 0; i < 8; i++) if (((t >> i) & 1) !== 0) ftw |= 3 << (i * 2);
    }
    const st = new Uint8Array(80);
    const first = st.subarray(0, 10);
    for (let i = 0; i < 8; i++) {
      const to = st.subarray(i * 10, i * 10 + 10);
      if (i !== 0 && (this.#random() & 3) === 0) this.#near80(to, first);
      else this.#operand80(to);
    }
    const memory = this.#memory(kind);
    return { fcw, fsw, ftw, st, memory, flags: this.#random() & 0x8d5 };
  }
}
