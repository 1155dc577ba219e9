import { SIMD, type SimdOp } from "../../../wasm/index.ts";
import type { Val } from "../ir/emit.ts";
import type { SimdEmit, SimdSemantic } from "../ir/simd-emit.ts";
import { binary, bytes, imm8, plain, range, splatConst, unary, zero } from "./xmm-parts.ts";

/** Packed integer arithmetic, logic and shifts on XMM registers. */

const and = (e: SimdEmit, a: Val, b: Val): Val => e.v(SIMD.v128_and, a, b);
/** Even or odd elements of `size` bytes of a, then of b. */
function alternate(e: SimdEmit, a: Val, b: Val, size: 2 | 4, odd: 0 | 1): Val {
  return e.shuffle(
    a,
    b,
    range(16, (i) => Math.floor(i / size) * size * 2 + odd * size + (i % size)),
  );
}

// ---- shifts: the count is the low quadword of a register or memory operand, or an immediate byte
type Direction = "left" | "right" | "arithmetic";
const SHIFTS: Readonly<Record<Direction, Readonly<Record<16 | 32 | 64, SimdOp>>>> = {
  left: { 16: SIMD.i16x8_shl, 32: SIMD.i32x4_shl, 64: SIMD.i64x2_shl },
  right: { 16: SIMD.i16x8_shr_u, 32: SIMD.i32x4_shr_u, 64: SIMD.i64x2_shr_u },
  arithmetic: { 16: SIMD.i16x8_shr_s, 32: SIMD.i32x4_shr_s, 64: SIMD.i64x2_shr_s },
};
function shift(size: 16 | 32 | 64, how: Direction): SimdSemantic {
  return (e) => {
    const n = e.kind(1) === "imm" ? e.extU(imm8(e, 1)) : e.lane(SIMD.i64x2_extract_lane, 0, e.readV(1));
    const a = e.readV(0);
    const over = e.gtU(n, e.i64(size - 1));
    const op = SHIFTS[how][size];
    if (how === "arithmetic") e.writeV(0, e.v(op, a, e.select(over, e.i32(size - 1), e.wrap(n))));
    else e.writeV(0, e.select(over, zero(e), e.v(op, a, e.wrap(n))));
  };
}

// ---- multiplications
/** The upper words of eight products given as two vectors of doublewords. */
function upperWords(e: SimdEmit, low: Val, high: Val): Val {
  return alternate(e, low, high, 2, 1);
}
const pmulhw = binary((e, a, b) => upperWords(e, e.v(SIMD.i32x4_extmul_low_i16x8_s, a, b), e.v(SIMD.i32x4_extmul_high_i16x8_s, a, b)));
const pmulhuw = binary((e, a, b) => upperWords(e, e.v(SIMD.i32x4_extmul_low_i16x8_u, a, b), e.v(SIMD.i32x4_extmul_high_i16x8_u, a, b)));
/** Wasm saturates -1 * -1 to 7FFF, the instruction wraps to 8000. */
const pmulhrsw = binary((e, a, b) => {
  const lowest = splatConst(e, 16, 0x8000);
  const both = and(e, e.v(SIMD.i16x8_eq, a, lowest), e.v(SIMD.i16x8_eq, b, lowest));
  return e.v(SIMD.v128_xor, e.v(SIMD.i16x8_q15mulr_sat_s, a, b), both);
});
const evenDwords = (e: SimdEmit, a: Val): Val => alternate(e, a, a, 4, 0);
const pmuludq = binary((e, a, b) => e.v(SIMD.i64x2_extmul_low_i32x4_u, evenDwords(e, a), evenDwords(e, b)));
const pmuldq = binary((e, a, b) => e.v(SIMD.i64x2_extmul_low_i32x4_s, evenDwords(e, a), evenDwords(e, b)));
/** Unsigned bytes of the destination by signed bytes of the source; neighbours added with saturation. */
const pmaddubsw = binary((e, a, b) => {
  const eight = e.i32(8);
  const even = e.v(SIMD.i16x8_mul, and(e, a, splatConst(e, 16, 0xff)), e.v(SIMD.i16x8_shr_s, e.v(SIMD.i16x8_shl, b, eight), eight));
  const odd = e.v(SIMD.i16x8_mul, e.v(SIMD.i16x8_shr_u, a, eight), e.v(SIMD.i16x8_shr_s, b, eight));
  return e.v(SIMD.i16x8_add_sat_s, even, odd);
});

// ---- sums of differences
const psadbw = binary((e, a, b) => {
  const d = e.v(SIMD.v128_or, e.v(SIMD.i8x16_sub_sat_u, a, b), e.v(SIMD.i8x16_sub_sat_u, b, a));
  const sums = e.v(SIMD.i32x4_extadd_pairwise_i16x8_u, e.v(SIMD.i16x8_extadd_pairwise_i8x16_u, d));
  const even = and(e, sums, splatConst(e, 64, 0xffffffffn));
  return e.v(SIMD.i64x2_add, even, e.v(SIMD.i64x2_shr_u, sums, e.i32(32)));
});
/** Eight sums of four differences: of 11 bytes of the destination (from byte 0 or 4) against four of the source. */
const mpsadbw: SimdSemantic = (e) => {
  const b = e.readV(1);
  const a = e.readV(0);
  const imm = imm8(e, 2);
  const from = e.and(imm, e.i32(4));
  const block = e.shl(e.and(imm, e.i32(3)), e.i32(2));
  const low8 = bytes(
    e,
    range(16, (i) => (i < 8 ? i : 0)),
  );
  let sum = zero(e);
  for (let j = 0; j < 4; j++) {
    const at = e.v(SIMD.i8x16_add, low8, e.v(SIMD.i8x16_splat, e.add(from, e.i32(j))));
    const x = e.v(SIMD.i16x8_extend_low_i8x16_u, e.v(SIMD.i8x16_swizzle, a, at));
    const y = e.v(SIMD.i16x8_extend_low_i8x16_u, e.v(SIMD.i8x16_swizzle, b, e.v(SIMD.i8x16_splat, e.add(block, e.i32(j)))));
    sum = e.v(SIMD.i16x8_add, sum, e.v(SIMD.i16x8_abs, e.v(SIMD.i16x8_sub, x, y)));
  }
  e.writeV(0, sum);
};
/** The smallest word and its number: each word above its number, then the least of all. */
const phminposuw = unary((e, a) => {
  const numbered = (half: SimdOp, first: number): Val => {
    const v = e.v(SIMD.i32x4_shl, e.v(half, a), e.i32(16));
    let numbers = 0n;
    for (let i = 0; i < 4; i++) numbers |= BigInt(first + i) << BigInt(i * 32);
    return e.v(SIMD.v128_or, v, e.vconst(numbers));
  };
  let least = e.v(SIMD.i32x4_min_u, numbered(SIMD.i32x4_extend_low_i16x8_u, 0), numbered(SIMD.i32x4_extend_high_i16x8_u, 4));
  for (const by of [8, 4])
    least = e.v(
      SIMD.i32x4_min_u,
      least,
      e.shuffle(
        least,
        least,
        range(16, (i) => (i + by) & 15),
      ),
    );
  const first = e.lane(SIMD.i32x4_extract_lane, 0, least);
  return e.lane(SIMD.i32x4_replace_lane, 0, zero(e), e.rotl(first, e.i32(16)));
});

// ---- signs
const sign = (size: 8 | 16 | 32): SimdSemantic =>
  binary((e, a, b) => {
    const spread = size === 8 ? SIMD.i8x16_shr_s : size === 16 ? SIMD.i16x8_shr_s : SIMD.i32x4_shr_s;
    const minus = size === 8 ? SIMD.i8x16_sub : size === 16 ? SIMD.i16x8_sub : SIMD.i32x4_sub;
    const equal = size === 8 ? SIMD.i8x16_eq : size === 16 ? SIMD.i16x8_eq : SIMD.i32x4_eq;
    const negative = e.v(spread, b, e.i32(size - 1));
    const signed = e.v(minus, e.v(SIMD.v128_xor, a, negative), negative);
    return e.v(SIMD.v128_andnot, signed, e.v(equal, b, zero(e)));
  });
const absolute = (op: SimdOp): SimdSemantic => unary((e, a) => e.v(op, a));
/** Neighbours of the destination, then of the source. */
const horizontal = (size: 2 | 4, op: SimdOp): SimdSemantic => binary((e, a, b) => e.v(op, alternate(e, a, b, size, 0), alternate(e, a, b, size, 1)));

/** PTEST: ZF no common bits, CF none of the source outside the destination. */
const ptest: SimdSemantic = (e) => {
  const b = e.readV(1);
  const a = e.readV(0);
  const none = (v: Val): Val => e.eqz(e.v(SIMD.v128_any_true, v));
  const no = e.i32(0);
  e.setFlags({ zf: none(and(e, a, b)), cf: none(e.v(SIMD.v128_andnot, b, a)), pf: no, af: no, sf: no, of: no });
};
const pandn = binary((e, a, b) => e.v(SIMD.v128_andnot, b, a));
const pxor = plain(SIMD.v128_xor);
const pand = plain(SIMD.v128_and);
const por = plain(SIMD.v128_or);

export const XMM_ARITHMETIC: Readonly<Record<string, SimdSemantic>> = {
  paddb: plain(SIMD.i8x16_add),
  paddw: plain(SIMD.i16x8_add),
  paddd: plain(SIMD.i32x4_add),
  paddq: plain(SIMD.i64x2_add),
  psubb: plain(SIMD.i8x16_sub),
  psubw: plain(SIMD.i16x8_sub),
  psubd: plain(SIMD.i32x4_sub),
  psubq: plain(SIMD.i64x2_sub),
  paddsb: plain(SIMD.i8x16_add_sat_s),
  paddsw: plain(SIMD.i16x8_add_sat_s),
  paddusb: plain(SIMD.i8x16_add_sat_u),
  paddusw: plain(SIMD.i16x8_add_sat_u),
  psubsb: plain(SIMD.i8x16_sub_sat_s),
  psubsw: plain(SIMD.i16x8_sub_sat_s),
  psubusb: plain(SIMD.i8x16_sub_sat_u),
  psubusw: plain(SIMD.i16x8_sub_sat_u),
  pcmpeqb: plain(SIMD.i8x16_eq),
  pcmpeqw: plain(SIMD.i16x8_eq),
  pcmpeqd: plain(SIMD.i32x4_eq),
  pcmpeqq: plain(SIMD.i64x2_eq),
  pcmpgtb: plain(SIMD.i8x16_gt_s),
  pcmpgtw: plain(SIMD.i16x8_gt_s),
  pcmpgtd: plain(SIMD.i32x4_gt_s),
  pcmpgtq: plain(SIMD.i64x2_gt_s),
  pminub: plain(SIMD.i8x16_min_u),
  pminsb: plain(SIMD.i8x16_min_s),
  pminuw: plain(SIMD.i16x8_min_u),
  pminsw: plain(SIMD.i16x8_min_s),
  pminud: plain(SIMD.i32x4_min_u),
  pminsd: plain(SIMD.i32x4_min_s),
  pmaxub: plain(SIMD.i8x16_max_u),
  pmaxsb: plain(SIMD.i8x16_max_s),
  pmaxuw: plain(SIMD.i16x8_max_u),
  pmaxsw: plain(SIMD.i16x8_max_s),
  pmaxud: plain(SIMD.i32x4_max_u),
  pmaxsd: plain(SIMD.i32x4_max_s),
  pavgb: plain(SIMD.i8x16_avgr_u),
  pavgw: plain(SIMD.i16x8_avgr_u),
  pand,
  pandn,
  por,
  pxor,
  andps: pand,
  andpd: pand,
  andnps: pandn,
  andnpd: pandn,
  orps: por,
  orpd: por,
  xorps: pxor,
  xorpd: pxor,
  psllw: shift(16, "left"),
  pslld: shift(32, "left"),
  psllq: shift(64, "left"),
  psrlw: shift(16, "right"),
  psrld: shift(32, "right"),
  psrlq: shift(64, "right"),
  psraw: shift(16, "arithmetic"),
  psrad: shift(32, "arithmetic"),
  pmullw: plain(SIMD.i16x8_mul),
  pmulld: plain(SIMD.i32x4_mul),
  pmulhw,
  pmulhuw,
  pmulhrsw,
  pmuludq,
  pmuldq,
  pmaddwd: plain(SIMD.i32x4_dot_i16x8_s),
  pmaddubsw,
  psadbw,
  mpsadbw,
  phminposuw,
  packsswb: plain(SIMD.i8x16_narrow_i16x8_s),
  packuswb: plain(SIMD.i8x16_narrow_i16x8_u),
  packssdw: plain(SIMD.i16x8_narrow_i32x4_s),
  packusdw: plain(SIMD.i16x8_narrow_i32x4_u),
  psignb: sign(8),
  psignw: sign(16),
  psignd: sign(32),
  pabsb: absolute(SIMD.i8x16_abs),
  pabsw: absolute(SIMD.i16x8_abs),
  pabsd: absolute(SIMD.i32x4_abs),
  phaddw: horizontal(2, SIMD.i16x8_add),
  phaddd: horizontal(4, SIMD.i32x4_add),
  phaddsw: horizontal(2, SIMD.i16x8_add_sat_s),
  phsubw: horizontal(2, SIMD.i16x8_sub),
  phsubd: horizontal(4, SIMD.i32x4_sub),
  phsubsw: horizontal(2, SIMD.i16x8_sub_sat_s),
  ptest,
};
