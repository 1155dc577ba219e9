import { SIMD } from "../../../wasm/index.ts";
import type { Val } from "../ir/emit.ts";
import type { SimdEmit, SimdSemantic } from "../ir/simd-emit.ts";
import { binary, bytes, imm8, maskOfBits, range, splatConst, zero } from "./xmm-parts.ts";

/** Reordering of elements. Where the order is an immediate, the interpreter computes byte numbers for a swizzle; the translator knows it. */

/** The four 2-bit fields of an immediate as bytes of an i32. */
function fields(e: SimdEmit, imm: Val): Val {
  const at = (by: number): Val => e.shl(imm, e.i32(by));
  return e.and(e.or(e.or(imm, at(6)), e.or(at(12), at(18))), e.i32(0x03030303));
}
/** Byte numbers of the doublewords that an immediate names. */
function dwordBytes(e: SimdEmit, imm: Val): Val {
  const v = e.v(SIMD.i32x4_splat, fields(e, imm));
  const each = e.shuffle(
    v,
    v,
    range(16, (i) => i >> 2),
  );
  return e.v(
    SIMD.v128_or,
    e.v(SIMD.i32x4_shl, each, e.i32(2)),
    bytes(
      e,
      range(16, (i) => i & 3),
    ),
  );
}
const pshufd: SimdSemantic = (e) => {
  const a = e.readV(1);
  const known = e.immediate(2);
  if (known === undefined) e.writeV(0, e.v(SIMD.i8x16_swizzle, a, dwordBytes(e, imm8(e, 2))));
  else
    e.writeV(
      0,
      e.shuffle(
        a,
        a,
        range(16, (i) => ((known >> ((i >> 2) * 2)) & 3) * 4 + (i & 3)),
      ),
    );
};
/** PSHUFLW, PSHUFHW: one half's words. */
const words =
  (high: boolean): SimdSemantic =>
  (e) => {
    const a = e.readV(1);
    const base = high ? 8 : 0;
    const inside = (i: number): boolean => i >= 8 === high;
    const known = e.immediate(2);
    if (known !== undefined) {
      const order = range(16, (i) => (inside(i) ? base + ((known >> (((i & 7) >> 1) * 2)) & 3) * 2 + (i & 1) : i));
      e.writeV(0, e.shuffle(a, a, order));
      return;
    }
    const v = e.v(SIMD.i32x4_splat, fields(e, imm8(e, 2)));
    const each = e.shuffle(
      v,
      zero(e),
      range(16, (i) => (inside(i) ? (i & 7) >> 1 : 16)),
    );
    const rest = bytes(
      e,
      range(16, (i) => (inside(i) ? base + (i & 1) : i)),
    );
    e.writeV(0, e.v(SIMD.i8x16_swizzle, a, e.v(SIMD.v128_or, e.v(SIMD.i32x4_shl, each, e.i32(1)), rest)));
  };
const LOW_THEN_HIGH = range(16, (i) => (i < 8 ? i : 16 + i));
const shufps: SimdSemantic = (e) => {
  const b = e.readV(1);
  const a = e.readV(0);
  const known = e.immediate(2);
  if (known !== undefined) {
    const order = range(16, (i) => ((known >> ((i >> 2) * 2)) & 3) * 4 + (i & 3) + (i < 8 ? 0 : 16));
    e.writeV(0, e.shuffle(a, b, order));
    return;
  }
  const at = dwordBytes(e, imm8(e, 2));
  e.writeV(0, e.shuffle(e.v(SIMD.i8x16_swizzle, a, at), e.v(SIMD.i8x16_swizzle, b, at), LOW_THEN_HIGH));
};
const shufpd: SimdSemantic = (e) => {
  const b = e.readV(1);
  const a = e.readV(0);
  const imm = imm8(e, 2);
  const pick = (v: Val, bit: number): Val =>
    e.select(e.and(imm, e.i32(bit)), e.lane(SIMD.i64x2_extract_lane, 1, v), e.lane(SIMD.i64x2_extract_lane, 0, v));
  e.writeV(0, e.lane(SIMD.i64x2_replace_lane, 1, e.v(SIMD.i64x2_splat, pick(a, 1)), pick(b, 2)));
};

/** PUNPCK and UNPCK: elements of both alternately, from the low or high halves. */
const unpack = (size: 1 | 2 | 4 | 8, high: boolean): SimdSemantic =>
  binary((e, a, b) => {
    const base = high ? 8 : 0;
    const order = range(16, (i) => {
      const element = Math.floor(i / size);
      return base + (element >> 1) * size + (i % size) + ((element & 1) === 1 ? 16 : 0);
    });
    return e.shuffle(a, b, order);
  });

/** A byte number with its top bit set gives zero; only four bits of others count. */
const pshufb = binary((e, a, b) => e.v(SIMD.i8x16_swizzle, a, e.v(SIMD.v128_and, b, splatConst(e, 8, 0x8f))));

/** Byte numbers 0..15 plus `by`, an i32 of at most 32. */
function shifted(e: SimdEmit, by: Val): Val {
  return e.v(
    SIMD.i8x16_add,
    bytes(
      e,
      range(16, (i) => i),
    ),
    e.v(SIMD.i8x16_splat, by),
  );
}
const atMost = (e: SimdEmit, v: Val, most: number): Val => e.select(e.gtU(v, e.i32(most)), e.i32(most), v);
/** The pair dst:src shifted right by bytes. A swizzle gives zero for byte numbers out of range, so two of them make up the 32 bytes. */
const palignr: SimdSemantic = (e) => {
  const b = e.readV(1);
  const a = e.readV(0);
  const known = e.immediate(2);
  if (known !== undefined && known <= 16) {
    e.writeV(
      0,
      e.shuffle(
        b,
        a,
        range(16, (i) => i + known),
      ),
    );
    return;
  }
  const at = shifted(e, atMost(e, imm8(e, 2), 32));
  const low = e.v(SIMD.i8x16_swizzle, b, at);
  const high = e.v(SIMD.i8x16_swizzle, a, e.v(SIMD.i8x16_sub, at, splatConst(e, 8, 16)));
  e.writeV(0, e.v(SIMD.v128_or, low, high));
};
const psrldq: SimdSemantic = (e) => {
  const a = e.readV(0);
  e.writeV(0, e.v(SIMD.i8x16_swizzle, a, shifted(e, atMost(e, imm8(e, 1), 16))));
};
const pslldq: SimdSemantic = (e) => {
  const a = e.readV(0);
  e.writeV(0, e.v(SIMD.i8x16_swizzle, a, shifted(e, e.neg(atMost(e, imm8(e, 1), 16)))));
};

// ---- blends
const blendImmediate =
  (size: 16 | 32 | 64): SimdSemantic =>
  (e) => {
    const b = e.readV(1);
    const a = e.readV(0);
    const imm = imm8(e, 2);
    if (size !== 64) {
      e.writeV(0, e.v(SIMD.v128_bitselect, b, a, maskOfBits(e, size, imm)));
      return;
    }
    // A bit for a quadword is two for its doublewords.
    const low = e.mul(e.and(imm, e.i32(1)), e.i32(3));
    const high = e.mul(e.and(imm, e.i32(2)), e.i32(6));
    e.writeV(0, e.v(SIMD.v128_bitselect, b, a, maskOfBits(e, 32, e.or(low, high))));
  };
/** PBLENDVB, BLENDVPS, BLENDVPD: by the top bits of XMM0's elements. */
const blendVariable =
  (size: 8 | 32 | 64): SimdSemantic =>
  (e) => {
    const b = e.readV(1);
    const a = e.readV(0);
    const selector = e.readV(2);
    const shift = size === 8 ? SIMD.i8x16_shr_s : size === 32 ? SIMD.i32x4_shr_s : SIMD.i64x2_shr_s;
    e.writeV(0, e.v(SIMD.v128_bitselect, b, a, e.v(shift, selector, e.i32(size - 1))));
  };
export const XMM_SHUFFLES: Readonly<Record<string, SimdSemantic>> = {
  pshufd,
  pshuflw: words(false),
  pshufhw: words(true),
  shufps,
  shufpd,
  punpcklbw: unpack(1, false),
  punpcklwd: unpack(2, false),
  punpckldq: unpack(4, false),
  punpcklqdq: unpack(8, false),
  punpckhbw: unpack(1, true),
  punpckhwd: unpack(2, true),
  punpckhdq: unpack(4, true),
  punpckhqdq: unpack(8, true),
  unpcklps: unpack(4, false),
  unpcklpd: unpack(8, false),
  unpckhps: unpack(4, true),
  unpckhpd: unpack(8, true),
  pshufb,
  palignr,
  psrldq,
  pslldq,
  pblendw: blendImmediate(16),
  blendps: blendImmediate(32),
  blendpd: blendImmediate(64),
  pblendvb: blendVariable(8),
  blendvps: blendVariable(32),
  blendvpd: blendVariable(64),
};
