/** Random contents of XMM registers and MXCSR that are worth trying, by the lanes an instruction has. */

const EDGE32 = [
  0, 1, 2, 0x400000, 0x7fffff, 0x7ffffe, 0x800000, 0x800001, 0x00ffffff, 0x01000000, 0x7f7fffff, 0x7f7ffffe, 0x7f000000, 0x7f800000, 0x7fc00000,
  0x7f800001, 0x7fbfffff, 0x7fffffff, 0x3f800000, 0x3f7fffff, 0x3f800001, 0x3f000000, 0x3effffff, 0x3fc00000, 0x40000000, 0x4b000000, 0x4b800000,
  0x4effffff, 0x4f000000, 0x4f800000, 0x5effffff, 0x5f000000, 0x33800000, 0x34000000, 0x1f800000, 0x20000000, 0x5f3504f3,
];
const EDGE64 = [
  0n,
  1n,
  2n,
  0x8000000000000n,
  0xfffffffffffffn,
  0x10000000000000n,
  0x10000000000001n,
  0x20000000000000n,
  0x7fefffffffffffffn,
  0x7feffffffffffffen,
  0x7fe0000000000000n,
  0x7ff0000000000000n,
  0x7ff8000000000000n,
  0x7ff0000000000001n,
  0x7ff7ffffffffffffn,
  0x7fffffffffffffffn,
  0x7ff0000020000000n,
  0x3ff0000000000000n,
  0x3fefffffffffffffn,
  0x3ff0000000000001n,
  0x3fe0000000000000n,
  0x3fdfffffffffffffn,
  0x3ff8000000000000n,
  0x4000000000000000n,
  0x41dfffffffc00000n,
  0x41dfffffffe00000n,
  0x41e0000000000000n,
  0x41dfffffffffffffn,
  0x41e0000000100000n,
  0x43dfffffffffffffn,
  0x43e0000000000000n,
  0x4330000000000000n,
  0x4340000000000000n,
  0x432fffffffffffffn,
  0x3ca0000000000000n,
  0x380fffffffffffffn,
  0x3810000000000000n,
  0x380fffffe0000000n,
  0x380ffffff0000000n,
  0x36a0000000000000n,
  0x3690000000000000n,
  0x3690000000000001n,
  0x47efffffe0000000n,
  0x47efffffefffffffn,
  0x47effffff0000000n,
  0x1ff0000000000000n,
];

/** A mantissa of `bits` bits: random, few ones, long runs, one away from a tie. */
function mantissa(random, bits) {
  const all = (1n << BigInt(bits)) - 1n;
  const k = random.below(6);
  if (k < 2) return random.u64() & all;
  if (k === 2) return (random.u64() << BigInt(random.below(bits))) & all;
  if (k === 3) return (all << BigInt(random.below(bits))) & all;
  if (k === 4) return (1n << BigInt(random.below(bits))) & all;
  return ((1n << BigInt(random.below(bits))) + BigInt(random.below(5) - 2)) & all;
}
function floatBits(random, wide, near) {
  const expBits = wide ? 11 : 8;
  const manBits = wide ? 52 : 23;
  const bias = (1 << (expBits - 1)) - 1;
  const top = (1 << expBits) - 1;
  const sign = random.below(2) === 0 ? 0n : 1n << BigInt(expBits + manBits);
  const k = random.below(16);
  if (k < 3) return sign | (wide ? random.pick(EDGE64) : BigInt(random.pick(EDGE32)));
  if (k === 3) return sign | (mantissa(random, manBits) >> BigInt(random.below(4) === 0 ? random.below(manBits) : 0)); // denormal
  if (k === 4) return random.u64() & ((1n << BigInt(1 + expBits + manBits)) - 1n);
  let e = bias + random.below(12) - 6;
  if (k < 8 && near !== undefined) {
    // Beside the other operand, or where sum, product or quotient leave the range.
    const other = Number((near >> BigInt(manBits)) & BigInt(top));
    e = random.pick([
      other,
      other,
      other + random.below(5) - 2,
      other + random.below(2 * manBits + 8) - manBits - 4,
      bias + top - other + random.below(5) - 3 - bias + bias,
      bias + 1 - other + random.below(manBits + 5) - manBits,
      other - bias + random.below(manBits + 5) - manBits + 1,
      other + bias - top + random.below(4),
    ]);
  } else if (k < 10) e = random.below(top + 1);
  else if (k === 10)
    e = random.pick([
      1,
      2,
      3,
      manBits,
      manBits + 1,
      top - 1,
      top - 2,
      top - manBits,
      bias + 31,
      bias + 30,
      bias + 32,
      bias + 62,
      bias + 63,
      bias + manBits,
      bias + manBits - 1,
    ]);
  else if (k < 13) e = bias + random.below(70) - 5;
  e = Math.max(0, Math.min(top, e));
  return sign | (BigInt(e) << BigInt(manBits)) | mantissa(random, manBits);
}
function narrowed(random) {
  // Doubles around what singles can hold.
  const e = random.pick([896, 897, 895, 874, 873, 872, 871, 1150, 1151, 1023]) + random.below(3) - 1;
  const low = random.pick([0n, 0x10000000n, 0x10000001n, 0xfffffffn, 0x1fffffffn, 1n]);
  return (BigInt(random.below(2)) << 63n) | (BigInt(e) << 52n) | (mantissa(random, 23) << 29n) | low;
}

/** Fills 32 bytes, two operands: lanes 32 singles, 64 doubles, 8 text, 0 integers. */
export function laneBytes(random, lanes, bytes) {
  const v = new DataView(bytes.buffer, bytes.byteOffset, 32);
  if (lanes === 32) {
    for (let i = 0; i < 8; i++) v.setUint32(i * 4, Number(floatBits(random, false, i < 4 ? undefined : BigInt(v.getUint32(i * 4 - 16, true)))), true);
  } else if (lanes === 64) {
    for (let i = 0; i < 4; i++)
      v.setBigUint64(
        i * 8,
        random.below(12) === 0 ? narrowed(random) : floatBits(random, true, i < 2 ? undefined : v.getBigUint64(i * 8 - 16, true)),
        true,
      );
  } else if (lanes === 8) {
    // Short alphabets match; a zero here and there.
    const wide = random.below(2) === 0;
    const size = 1 + random.below(5);
    const base = random.pick([0x60, 0x7e, 0xfe]);
    for (let i = 0; i < 32; i++)
      bytes[i] = (wide && i % 2 === 1) || random.below(24) === 0 ? random.pick([0, 0, 0, 0xff]) : base + random.below(size);
    if (random.below(3) === 0) bytes.copyWithin(16 + random.below(8), 0, random.below(8));
    if (random.below(8) === 0) for (let i = 0; i < 32; i++) bytes[i] = random.below(256);
  } else {
    for (let i = 0; i < 8; i++)
      v.setUint32(
        i * 4,
        random.below(3) === 0
          ? random.pick([0, 1, 0xffffffff, 0x7fffffff, 0x80000000, 0x1000000, 0x1000001, 0xff000001])
          : random.u32() >>> random.below(32),
        true,
      );
  }
}

/** MXCSR: the default often; every rounding, DAZ, FTZ, old flags; sometimes unmasked exceptions. */
export function mxcsrValue(random) {
  if (random.below(3) === 0) return random.pick([0x1f80, 0x1fa0]);
  const masks = random.below(4) === 0 ? random.below(64) : 63;
  return (
    (masks << 7) |
    (random.below(4) << 13) |
    (random.below(4) === 0 ? 0x40 : 0) |
    (random.below(4) === 0 ? 0x8000 : 0) |
    (random.below(2) === 0 ? random.below(64) : 0)
  );
}
