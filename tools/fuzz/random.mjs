// Numbers for fuzzing: the same from the same seed on every host.

/** 32-bit hash of a seed (splitmix32's finaliser), so that neighbouring seeds have nothing in common. */
const scramble = (seed) => {
  let x = (seed + 0x9e3779b9) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
};

export class Random {
  #x;
  constructor(seed) {
    this.#x = scramble(seed) || 1;
  }
  /** 0 … 2^32-1 (xorshift32). */
  u32() {
    let x = this.#x;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#x = x;
    return x >>> 0;
  }
  u8() {
    return this.u32() >>> 24;
  }
  u16() {
    return this.u32() >>> 16;
  }
  /** 0 … n-1. */
  below(n) {
    return Math.floor((this.u32() / 0x100000000) * n);
  }
  /** True once in `n`. */
  once(n) {
    return this.below(n) === 0;
  }
  pick(list) {
    return list[this.below(list.length)];
  }
  fill(bytes, from = 0, to = bytes.length) {
    for (let i = from; i < to; i++) bytes[i] = this.u8();
    return bytes;
  }
  /** 16-bit values that sit on an edge as often as not. */
  word() {
    return this.once(2)
      ? this.u16()
      : this.pick([0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x40, 0x7c00, 0x7fff, 0x8000, 0xa000, 0xb800, 0xc000, 0xf000, 0xfff0, 0xfffe, 0xffff]);
  }
  /** 32-bit values likewise: sizes, addresses of memory, tables, devices and of nothing. */
  dword() {
    return this.once(2)
      ? this.u32()
      : (this.pick([
          0, 1, 0xff, 0x400, 0x7c00, 0xfff, 0x1000, 0x7fff, 0x8000, 0x9fc00, 0x9ffff, 0xa0000, 0xb8000, 0xbffff, 0xc0000, 0xf0000, 0xfffff, 0x100000,
          0x10ffef, 0x110000, 0x1fffff, 0x200000, 0x7fffffff, 0x80000000, 0xe0000000, 0xfec00000, 0xfee00000, 0xffff0000, 0xfffff000, 0xfffffff0,
          0xffffffff,
        ]) +
          this.pick([0, 0, 0, 1, -1, 2, -4])) >>>
          0;
  }
}
