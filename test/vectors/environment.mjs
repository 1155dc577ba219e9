/**
 * The world that recorded instructions run in, the same for the recorder (tools/recorder) and for every player: memory pages,
 * descriptors, segment register sets, and how a seed becomes registers. CPL 3, long mode active (64-bit code or compatibility mode).
 */

/** Pages by linear address: kind 0 code (r-x), 1 data (rw-), 2 read-only (r--). Everything else below 4 GiB is not present. */
export const PAGES = [
  { address: 0x10000, kind: 0 },
  { address: 0x11000, kind: 0 },
  { address: 0x20000, kind: 1 },
  { address: 0x21000, kind: 1 },
  { address: 0x22000, kind: 1 },
  { address: 0x24000, kind: 2 },
  { address: 0x28000, kind: 1 },
  { address: 0x29000, kind: 1 },
];
export const CODE = 0x10000;
export const CODE_SIZE = 0x2000;
/** Where the instruction of a case starts in the code pages. */
export const START = 0x800;
export const DATA = 0x20000;
export const DATA_SIZE = 0x3000;
export const READ_ONLY = 0x24000;
export const STACK = 0x28000;
export const STACK_SIZE = 0x2000;

const PRESENT = 1,
  CODE_SEGMENT = 2,
  DOWN = 4,
  RW = 8,
  BIG = 16,
  PAGES_LIMIT = 32;

/** The LDT, by index. `limit` raw, in bytes or (flag 32) pages. Flags: 1 present, 2 code, 4 expand-down, 8 writable or readable, 16 D/B, 32 G. */
export const LDT = [
  undefined,
  { base: CODE, limit: 0xffff, flags: PRESENT | CODE_SEGMENT | RW }, // 1 code16
  { base: 0x20000, limit: 0xffff, flags: PRESENT | RW }, // 2 data16
  { base: 0x20800, limit: 0xffff, flags: PRESENT | RW }, // 3 ES of 16-bit code
  { base: 0x21000, limit: 0xffff, flags: PRESENT | RW }, // 4 FS
  { base: 0x20010, limit: 0xffff, flags: PRESENT | RW }, // 5 GS
  { base: 0x20000, limit: 0x2ffe, flags: PRESENT | RW }, // 6 ends inside the data pages
  { base: 0x20000, limit: 0x0fff, flags: PRESENT | RW | DOWN }, // 7 expand-down, 64 KiB
  { base: 0x20000, limit: 0xffff, flags: PRESENT }, // 8 read-only
  { base: 0x20000, limit: 0xffff, flags: PRESENT | CODE_SEGMENT }, // 9 execute-only
  { base: 0x20000, limit: 0xffff, flags: RW }, // 10 data, not present
  { base: 0x20000, limit: 0x8fff, flags: PRESENT | RW }, // 11 short stack
  { base: CODE, limit: 0xffff, flags: PRESENT | CODE_SEGMENT | RW | BIG }, // 12 code32 with a base
  { base: 0, limit: 0xfffff, flags: PRESENT | CODE_SEGMENT | RW | BIG | PAGES_LIMIT }, // 13 flat code32
  { base: 0, limit: 0xfffff, flags: PRESENT | RW | BIG | PAGES_LIMIT }, // 14 flat data32
  { base: 0x20000, limit: 0x0fff, flags: PRESENT | RW | DOWN | BIG }, // 15 expand-down, 4 GiB
  { base: 0, limit: 0x22fff, flags: PRESENT | RW | BIG }, // 16 ends with the data pages
  { base: 0x20000, limit: 0xffff, flags: PRESENT | CODE_SEGMENT | RW }, // 17 readable code over the data
  { base: CODE, limit: 0xffff, flags: CODE_SEGMENT | RW }, // 18 code, not present
  { base: CODE, limit: 0x0fff, flags: PRESENT | CODE_SEGMENT | RW | BIG }, // 19 short code32
];

export const ldtSelector = (index) => (index << 3) | 7;
/** 64-bit and 32-bit user code and user data of Linux' GDT. */
export const CS64 = 0x33,
  CS32 = 0x23,
  DS_USER = 0x2b;
/** What the players' GDT needs to hold to answer as Linux' does, entries 1..6 (64-bit values). */
export const GDT = [0n, 0x00cf9b000000ffffn, 0x00af9b000000ffffn, 0x00cf93000000ffffn, 0x00cffb000000ffffn, 0x00cff3000000ffffn, 0x00affb000000ffffn];
export const GDT_LIMIT = 0x7f;
export const LDT_LIMIT = LDT.length * 8 - 1;

/** Segment register sets by code size: cs ss ds es fs gs as LDT indexes, or numbers above 1000 as 1000 + selector. */
const SETS = {
  16: [
    [1, 2, 2, 3, 4, 5],
    [1, 11, 6, 7, 8, 17],
  ],
  32: [
    [13, 14, 14, 14, 4, 5],
    [12, 2, 16, 15, 8, 7],
  ],
  64: [[1000 + CS64, 1000 + DS_USER, 1000, 1000, 1000, 1000]],
};
/** Selectors in the order cs ss ds es fs gs. */
export function segmentSet(codeSize, environment) {
  return SETS[codeSize][environment].map((i) => (i >= 1000 ? i - 1000 : ldtSelector(i)));
}
export const FS_BASE64 = 0x21000,
  GS_BASE64 = 0x20010;

/** A selector's descriptor as VMCS-style fields; undefined: none. Null gives an unusable segment. */
export function hidden(selector) {
  if ((selector & 0xfffc) === 0) return { base: 0, limit: 0xffffffff, access: 0x1c0f3, usable: false };
  if ((selector & 4) !== 0) {
    const d = LDT[selector >> 3];
    if (d === undefined) return undefined;
    const type =
      (d.flags & CODE_SEGMENT) !== 0 ? 9 | ((d.flags & RW) !== 0 ? 2 : 0) : 1 | ((d.flags & DOWN) !== 0 ? 4 : 0) | ((d.flags & RW) !== 0 ? 2 : 0);
    const big = (d.flags & BIG) !== 0 ? 0x4000 : 0;
    const pages = (d.flags & PAGES_LIMIT) !== 0;
    return {
      base: d.base,
      limit: pages ? ((d.limit << 12) | 0xfff) >>> 0 : d.limit,
      access: type | 0x10 | 0x60 | ((d.flags & PRESENT) !== 0 ? 0x80 : 0) | big | (pages ? 0x8000 : 0),
      usable: true,
    };
  }
  const raw = GDT[selector >> 3];
  if (raw === undefined) return undefined;
  return { base: 0, limit: 0xffffffff, access: Number((raw >> 40n) & 0xf0ffn), usable: true };
}
/** The 8 bytes of an LDT descriptor. */
export function ldtDescriptor(index) {
  const d = LDT[index];
  if (d === undefined) return 0n;
  const h = hidden(ldtSelector(index));
  const limit = BigInt(d.limit);
  const base = BigInt(d.base);
  return (
    (limit & 0xffffn) |
    ((base & 0xffffffn) << 16n) |
    (BigInt(h.access & 0xff) << 40n) |
    ((limit >> 16n) << 48n) |
    (BigInt((h.access >> 12) & 15) << 52n) |
    ((base >> 24n) << 56n)
  );
}

/** A small deterministic generator (xorshift32 with a multiplied output). */
export class Random {
  constructor(seed) {
    this.s = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1;
    this.u32();
    this.u32();
  }
  u32() {
    let s = this.s;
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    this.s = s >>> 0;
    return Math.imul(this.s, 0x2c1b3c6d) >>> 0;
  }
  /** 0..n-1 */
  below(n) {
    return Math.floor((this.u32() / 4294967296) * n);
  }
  chance(percent) {
    return this.below(100) < percent;
  }
  pick(list) {
    return list[this.below(list.length)];
  }
  u64() {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }
}

const EDGES = [
  0n,
  1n,
  2n,
  3n,
  0x0fn,
  0x10n,
  0x7fn,
  0x80n,
  0xffn,
  0x100n,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x10000n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0xffffffffffffffffn,
  0xffffffff80000000n,
  0xaaaaaaaaaaaaaaaan,
  0x5555555555555555n,
  0xfffffffffffffffen,
];
/** An operand value: edge cases, small numbers, random bits of random width. */
export function operandValue(random) {
  const k = random.below(8);
  if (k < 2) return EDGES[random.below(EDGES.length)];
  if (k === 2) return BigInt.asUintN(64, EDGES[random.below(EDGES.length)] + BigInt(random.below(9) - 4));
  const v = random.u64();
  if (k === 3) return v & 0xffn;
  if (k === 4) return v & ((1n << BigInt(1 + random.below(64))) - 1n);
  if (k === 5) return BigInt.asUintN(64, ~(v & ((1n << BigInt(1 + random.below(64))) - 1n)));
  return v;
}

/** The initial bytes of the pages, in the order of PAGES. */
export function initialPages() {
  const random = new Random(0x1234567);
  const bytes = new Uint8Array(PAGES.length * 4096);
  for (const [i, page] of PAGES.entries()) {
    const at = i * 4096;
    if (page.kind === 0) bytes.fill(0x90, at, at + 4096);
    else for (let j = 0; j < 4096; j++) bytes[at + j] = random.u32() >>> 24;
  }
  return bytes;
}

const ARITHMETIC = 0x8d5;
/** Registers of a case from its seed: 16 general registers and EFLAGS (IF set, arithmetic flags and DF random). */
export function expandRegisters(seed) {
  const random = new Random(seed);
  const gpr = [];
  for (let i = 0; i < 16; i++) gpr.push(operandValue(random));
  gpr[4] = BigInt(STACK + 0x800 + random.below(0x1000)); // RSP: the lower part is what 16-bit stacks see, see stackPointer()
  const bits = random.u32();
  const rflags = 0x202 | (bits & ARITHMETIC) | ((bits >>> 16) % 4 === 0 ? 0x400 : 0);
  return { gpr, rflags };
}

/** x87/MMX state of a case from its seed. `registers` physical order, ten bytes each; full tag word. */
export function expandFpu(seed) {
  const random = new Random(seed ^ 0x66a5f00d);
  const registers = [];
  for (let i = 0; i < 8; i++) registers.push(extendedValue(random));
  const top = random.chance(60) ? 0 : random.below(8);
  const precision = random.chance(55) ? 3 : random.pick([0, 1, 2, 3]);
  const rounding = random.chance(55) ? 0 : random.below(4);
  const masks = random.chance(80) ? 0x3f : random.below(64);
  const controlWord = 0x40 | masks | (precision << 8) | (rounding << 10) | (random.chance(10) ? 0x1000 : 0);
  // Exception flags that are masked, so that nothing is pending unless wanted.
  let flags = random.chance(60) ? 0 : random.below(128);
  if (!random.chance(4)) flags &= masks | 0x40;
  if ((flags & 0x40) !== 0 && (flags & 1) === 0) flags &= ~0x40;
  const pending = (flags & ~masks & 0x3f) !== 0;
  const conditions = random.u32() & 0x4700;
  const statusWord = (top << 11) | flags | conditions | (pending ? 0x8080 : 0);
  let tagWord = 0;
  const empties = random.chance(65) ? 0 : random.below(256);
  for (let i = 0; i < 8; i++) tagWord |= ((empties >> i) & 1 ? 3 : fullTag(registers[i])) << (i * 2);
  return { controlWord, statusWord, tagWord, registers, mxcsr: 0x1f80 };
}
function fullTag(bytes) {
  const e = (bytes[8] | (bytes[9] << 8)) & 0x7fff;
  const zero = bytes.subarray(0, 8).every((b) => b === 0);
  if (e === 0 && zero) return 1;
  return e === 0 || e === 0x7fff || bytes[7] < 0x80 ? 2 : 0;
}

/** What the XMM registers of a row hold: "f32", "f64" or "int", by the row's key. */
export function sseStyle(key) {
  const name = key.split(" ")[0];
  const source = /^CVTT?(..)2/.exec(name)?.[1];
  if (source !== undefined) return /PS|SS/.test(source) ? "f32" : /PD|SD/.test(source) ? "f64" : "int";
  if (name.startsWith("P")) return "int";
  return /(PS|SS)$/.test(name) ? "f32" : /(PD|SD)$/.test(name) ? "f64" : "int";
}
const SPECIAL_EXPONENTS = {
  32: [0, 1, 2, 254, 255, 127, 126, 128, 103, 104, 150, 151, 158, 159, 190, 189],
  64: [0, 1, 2, 2046, 2047, 1023, 1022, 1024, 896, 897, 874, 873, 1054, 1055, 1086, 1085, 1150, 1151, 970, 971],
};
/** A float of every class as bits; now and then a relative of `other`. */
function floatBits(random, bits, other) {
  const mantissa = bits === 32 ? 23 : 52;
  const top = bits === 32 ? 255 : 2047;
  const bias = top >> 1;
  const fraction = () => {
    const any = random.u64() & ((1n << BigInt(mantissa)) - 1n);
    const k = random.below(6);
    if (k < 2) return any;
    if (k === 2) return 0n;
    if (k === 3) return (1n << BigInt(mantissa)) - 1n - BigInt(random.below(3));
    if (k === 4) return BigInt(random.below(4));
    const cut = BigInt(random.below(mantissa));
    return (any >> cut) << cut;
  };
  const compose = (e) => BigInt.asUintN(bits, (random.chance(50) ? 1n << BigInt(bits - 1) : 0n) | (BigInt(e) << BigInt(mantissa)) | fraction());
  const k = random.below(20);
  if (other !== undefined && k < 4) {
    const near = BigInt.asUintN(bits, other + BigInt(random.below(5) - 2));
    return k === 0 ? near ^ (1n << BigInt(bits - 1)) : near;
  }
  if (k < 11) return compose(bias + random.below(40) - 20);
  if (k < 13) return compose(1 + random.below(top - 1));
  if (k < 15) return compose(random.pick(SPECIAL_EXPONENTS[bits]));
  if (k === 15) return random.chance(50) ? 0n : 1n << BigInt(bits - 1);
  if (k === 16) return compose(0);
  if (k === 17) return compose(top);
  // Whole numbers and halves.
  if (k === 18) {
    const view = new DataView(new ArrayBuffer(8));
    const n = (random.below(4000) - 2000) / 2;
    if (bits === 32) view.setFloat32(0, n);
    else view.setFloat64(0, n);
    return bits === 32 ? BigInt(view.getUint32(0)) : view.getBigUint64(0);
  }
  return BigInt.asUintN(bits, random.u64());
}
const EDGE_BYTES = [0, 1, 0x7f, 0x80, 0xff, 0x81, 0xfe, 0x40];
function vector(random, style, other) {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  if (style !== "int") {
    const bits = style === "f32" ? 32 : 64;
    const before = other === undefined ? undefined : new DataView(other.buffer);
    for (let i = 0; i < 16; i += bits / 8) {
      if (bits === 32) view.setUint32(i, Number(floatBits(random, 32, before === undefined ? undefined : BigInt(before.getUint32(i, true)))), true);
      else view.setBigUint64(i, floatBits(random, 64, before?.getBigUint64(i, true)), true);
    }
    return bytes;
  }
  const k = random.below(8);
  if (k === 0) for (let i = 0; i < 16; i++) bytes[i] = random.pick(EDGE_BYTES);
  else if (k === 1) for (let i = 0; i < 16; i += 2) view.setUint16(i, Number(operandValue(random) & 0xffffn), true);
  else if (k === 2) for (let i = 0; i < 16; i += 4) view.setUint32(i, Number(operandValue(random) & 0xffffffffn), true);
  else if (k === 3) {
    view.setBigUint64(0, random.chance(90) ? BigInt(random.below(70)) : operandValue(random), true);
    if (random.chance(50)) view.setBigUint64(8, operandValue(random), true);
  } else if (k === 4 && other !== undefined) {
    bytes.set(other);
    for (let n = random.below(4); n > 0; n--) bytes[random.below(16)] = random.u32() >>> 24;
  } else if (k === 5) for (let i = 0; i < 16; i++) bytes[i] = random.pick([0, 0x61, 0x61, 0x62, 0x62, 0x63, 0x7a]);
  else for (let i = 0; i < 16; i += 8) view.setBigUint64(i, random.u64(), true);
  return bytes;
}
/** XMM registers and MXCSR of a case from its seed; `xmm[16]` is what a memory operand holds. */
export function expandSse(seed, style) {
  const random = new Random(seed ^ 0x3c96e1a7);
  const xmm = [];
  for (let i = 0; i < 17; i++) xmm.push(vector(random, style, xmm[i - 1]));
  const masks = random.chance(75) ? 0x1f80 : random.below(64) << 7;
  const rounding = random.chance(60) ? 0 : random.below(4);
  const flags = random.chance(70) ? 0 : random.below(64);
  const mxcsr = masks | flags | (rounding << 13) | (random.chance(12) ? 0x8000 : 0) | (random.chance(12) ? 0x40 : 0);
  return { xmm, mxcsr };
}

const MANTISSAS = [
  0x8000000000000000n,
  0x8000000000000001n,
  0xffffffffffffffffn,
  0xfffffffffffffffen,
  0xc000000000000000n,
  0xc000000000000001n,
  0xa000000000000000n,
  0x8000008000000000n,
  0x8000000000000400n,
  0xffffff0000000000n,
  0xfffffffffffff800n,
  0xfffffffffffffc00n,
  0xc90fdaa22168c235n,
];
/** An 80-bit value of every class, encodings that no FPU produces included. */
export function extendedValue(random) {
  const k = random.below(24);
  let e, m;
  const any = random.chance(50) ? random.pick(MANTISSAS) : random.u64() | 0x8000000000000000n;
  if (k < 9) {
    e = 0x3fff + random.below(130) - 65;
    m = any;
    if (random.chance(30)) m = BigInt.asUintN(64, (any >> BigInt(random.below(60))) << BigInt(random.below(60))) | 0x8000000000000000n;
  } else if (k < 11) {
    e = 0x3fff + random.below(64); // integers
    const n = BigInt(random.below(100000) + 1);
    const bits = n.toString(2).length;
    e = 0x3fff + bits - 1;
    m = n << BigInt(64 - bits);
  } else if (k < 13) {
    e = random.below(0x7fff);
    m = any;
  } else if (k === 13) {
    e = random.pick([1, 2, 63, 64, 65, 0x7ffe, 0x7ffd, 0x3fff - 16382, 0x3c01, 0x3bcd, 0x43fe, 0x3f81, 0x3f6a, 0x407e]);
    m = any;
  } else if (k < 16) {
    e = 0;
    m = 0n;
  } else if (k === 16) {
    e = 0;
    m = any >> BigInt(1 + random.below(63)); // denormal
  } else if (k === 17) {
    e = 0;
    m = any; // pseudo-denormal
  } else if (k === 18) {
    e = 0x7fff;
    m = 0x8000000000000000n; // infinity
  } else if (k === 19) {
    e = 0x7fff;
    m = random.u64() | 0xc000000000000000n; // quiet NaN
  } else if (k === 20) {
    e = 0x7fff;
    m = (random.u64() | 0x8000000000000001n) & ~0x4000000000000000n; // signalling NaN
  } else if (k === 21) {
    e = random.chance(50) ? 0x7fff : random.below(0x7fff) + 1; // unnormal, pseudo-NaN, pseudo-infinity
    m = random.u64() & 0x7fffffffffffffffn;
    if (random.chance(30)) m = 0n;
  } else {
    e = 0x3fff + random.pick([0, 0, 1, -1, 2, 62, 63, 64, 52, 53, 23, 24, 14, 15, 16, 30, 31, 32]);
    m = any;
  }
  const bytes = new Uint8Array(10);
  for (let i = 0; i < 8; i++) bytes[i] = Number((m >> BigInt(i * 8)) & 0xffn);
  const sign = random.chance(50) ? 0x8000 : 0;
  bytes[8] = e & 0xff;
  bytes[9] = ((e | sign) >> 8) & 0xff;
  return bytes;
}
