import { OP, SIMD, type SimdOp } from "../../../wasm/index.ts";
import type { Val } from "../ir/emit.ts";
import type { SimdEmit, SimdSemantic } from "../ir/simd-emit.ts";

/**
 * The common cases of floating point on XMM registers; all others are the helpers' (`../simd`). Common is: all exceptions masked, rounding to
 * nearest, neither FTZ nor DAZ; no NaN, infinity or denormal in or out; and no flag that MXCSR does not have yet. PE is nearly always
 * there; while it is not, only results that are seen to be exact are common.
 * NaNs never get as far as a result: Wasm leaves their payloads open.
 */

type Size = 32 | 64;
interface Width {
  readonly ty: "f32" | "f64";
  readonly fromBits: number;
  readonly toBits: number;
  readonly add: number;
  readonly sub: number;
  readonly mul: number;
  readonly div: number;
  readonly sqrt: number;
  readonly eq: number;
  readonly lt: number;
  readonly gt: number;
  /** Twice the bits of: the smallest normal number, infinity. */
  readonly normal2: bigint;
  readonly infinity2: bigint;
}
const WIDTHS: Readonly<Record<Size, Width>> = {
  32: {
    ty: "f32",
    fromBits: OP.f32_reinterpret_i32,
    toBits: OP.i32_reinterpret_f32,
    add: OP.f32_add,
    sub: OP.f32_sub,
    mul: OP.f32_mul,
    div: OP.f32_div,
    sqrt: OP.f32_sqrt,
    eq: OP.f32_eq,
    lt: OP.f32_lt,
    gt: OP.f32_gt,
    normal2: 1n << 24n,
    infinity2: 0xff000000n,
  },
  64: {
    ty: "f64",
    fromBits: OP.f64_reinterpret_i64,
    toBits: OP.i64_reinterpret_f64,
    add: OP.f64_add,
    sub: OP.f64_sub,
    mul: OP.f64_mul,
    div: OP.f64_div,
    sqrt: OP.f64_sqrt,
    eq: OP.f64_eq,
    lt: OP.f64_lt,
    gt: OP.f64_gt,
    normal2: 1n << 53n,
    infinity2: 0xffe0000000000000n,
  },
};

/** MXCSR: masks, rounding, FTZ and DAZ; and PE. */
const CONTROL = 0xffc0,
  COMMON = 0x1f80,
  PRECISION = 0x20,
  PRECISION_MASK = 0x1000;

const i = (e: SimdEmit, size: Size, v: bigint): Val => (size === 64 ? e.i64(v) : e.i32(Number(BigInt.asIntN(32, v))));
const twice = (e: SimdEmit, size: Size, bits: Val): Val => e.shl(bits, i(e, size, 1n));
/** Neither zero nor normal, infinite or NaN. */
const denormal = (e: SimdEmit, size: Size, bits: Val): Val =>
  e.ltU(e.sub(twice(e, size, bits), i(e, size, 1n)), i(e, size, WIDTHS[size].normal2 - 1n));
const isZero = (e: SimdEmit, size: Size, bits: Val): Val => e.eqz(twice(e, size, bits));
const infinite = (e: SimdEmit, size: Size, bits: Val): Val => e.geU(twice(e, size, bits), i(e, size, WIDTHS[size].infinity2));
const isNaN = (e: SimdEmit, size: Size, bits: Val): Val => e.gtU(twice(e, size, bits), i(e, size, WIDTHS[size].infinity2));
/** Finite and above the smallest normal number (which may have been rounded up from below). */
const clearlyNormal = (e: SimdEmit, size: Size, bits: Val): Val => {
  const { normal2, infinity2 } = WIDTHS[size];
  return e.ltU(e.sub(twice(e, size, bits), i(e, size, normal2 + 1n)), i(e, size, infinity2 - normal2 - 1n));
};
const value = (e: SimdEmit, size: Size, bits: Val): Val => e.float(WIDTHS[size].fromBits, WIDTHS[size].ty, bits);
const bitsOf = (e: SimdEmit, size: Size, v: Val): Val => e.float(WIDTHS[size].toBits, size === 64 ? "i64" : "i32", v);
const or = (e: SimdEmit, ...all: readonly Val[]): Val => all.reduce((a, b) => e.or(a, b));
const not = (e: SimdEmit, v: Val): Val => e.eqz(v);
const promote = (e: SimdEmit, v: Val): Val => e.float(OP.f64_promote_f32, "f64", v);

/** The state is not the common one. */
const uncommon = (e: SimdEmit): Val => e.ne(e.and(e.mxcsr(), e.i32(CONTROL)), e.i32(COMMON));
/** Defers when `bad`, or when PE would be new and the result is not known to be exact. */
function deferUnless(e: SimdEmit, bad: Val, exact: () => Val): void {
  const defer = e.mutable("i32", bad);
  e.if(e.eqz(e.and(e.mxcsr(), e.i32(PRECISION))), () => e.set(defer, e.or(e.get(defer), not(e, exact()))));
  e.deferIf(e.get(defer));
}

interface Pair {
  readonly a: Val;
  readonly b: Val;
  readonly r: Val;
  readonly abits: Val;
  readonly bbits: Val;
  readonly rbits: Val;
}
/** dst = a op b on the lowest element. */
function scalar(size: Size, op: (w: Width) => number, bad: (e: SimdEmit, p: Pair) => Val, exact: (e: SimdEmit, p: Pair) => Val): SimdSemantic {
  return (e) => {
    const w = WIDTHS[size];
    e.deferIf(uncommon(e));
    const bbits = e.readLow(1, size);
    const abits = e.readLow(0, size);
    const a = value(e, size, abits);
    const b = value(e, size, bbits);
    const r = e.float(op(w), w.ty, a, b);
    const p = { a, b, r, abits, bbits, rbits: bitsOf(e, size, r) };
    deferUnless(e, or(e, denormal(e, size, abits), denormal(e, size, bbits), bad(e, p)), () => exact(e, p));
    e.writeLow(0, size, p.rbits);
  };
}
/** The rounding error of a sum is 0 (Knuth's TwoSum; an overflow on the way makes infinities, whose difference is not 0). */
const sumIsExact =
  (size: Size, negative: boolean) =>
  (e: SimdEmit, { a, b, r }: Pair): Val => {
    const w = WIDTHS[size];
    const op = (o: number, x: Val, y: Val): Val => e.float(o, w.ty, x, y);
    const bb = op(w.sub, r, a);
    const left = op(w.sub, a, op(w.sub, r, bb));
    // bb should be b, or -b: what it is not equals what is left of a.
    const right = negative ? op(w.add, b, bb) : op(w.sub, bb, b);
    return isZero(e, size, bitsOf(e, size, op(w.sub, left, right)));
  };
const sum = (size: Size, negative: boolean): SimdSemantic =>
  scalar(
    size,
    (w) => (negative ? w.sub : w.add),
    (e, p) => infinite(e, size, p.rbits),
    sumIsExact(size, negative),
  );

const product = (size: Size): SimdSemantic =>
  scalar(
    size,
    (w) => w.mul,
    (e, p) =>
      not(e, e.or(clearlyNormal(e, size, p.rbits), e.and(isZero(e, size, p.rbits), e.or(isZero(e, size, p.abits), isZero(e, size, p.bbits))))),
    (e, p) =>
      size === 32
        ? e.float(OP.f64_eq, "i32", promote(e, p.r), e.float(OP.f64_mul, "f64", promote(e, p.a), promote(e, p.b)))
        : e.eqz(e.and(e.or(p.abits, p.bbits), e.i64(0x7ffffff))),
  );
const quotient = (size: Size): SimdSemantic =>
  scalar(
    size,
    (w) => w.div,
    (e, p) => not(e, e.or(clearlyNormal(e, size, p.rbits), e.and(isZero(e, size, p.rbits), isZero(e, size, p.abits)))),
    (e, p) =>
      size === 32
        ? e.float(OP.f64_eq, "i32", promote(e, p.a), e.float(OP.f64_mul, "f64", promote(e, p.r), promote(e, p.b)))
        : e.eqz(e.and(p.bbits, e.i64(0xfffffffffffffn))),
  );
const root =
  (size: Size): SimdSemantic =>
  (e) => {
    const w = WIDTHS[size];
    e.deferIf(uncommon(e));
    const bbits = e.readLow(1, size);
    const b = value(e, size, bbits);
    const r = e.float(w.sqrt, w.ty, b);
    const rbits = bitsOf(e, size, r);
    // Of a negative number, or of what is not finite: infinite or NaN.
    deferUnless(e, e.or(denormal(e, size, bbits), infinite(e, size, rbits)), () => {
      const square = size === 32 ? e.float(OP.f64_mul, "f64", promote(e, r), promote(e, r)) : e.float(OP.f64_mul, "f64", r, r);
      const same = e.float(OP.f64_eq, "i32", size === 32 ? promote(e, b) : b, square);
      return size === 32 ? same : e.and(same, e.eqz(e.and(rbits, e.i64(0x7ffffff))));
    });
    e.writeLow(0, size, rbits);
  };

/** Anything that would raise a flag in a comparison. */
const strange = (e: SimdEmit, size: Size, bits: Val): Val => e.or(denormal(e, size, bits), isNaN(e, size, bits));
/** MIN and MAX: the second operand unless the first is less (greater). No flags, so MXCSR does not matter. */
const least =
  (size: Size, max: boolean): SimdSemantic =>
  (e) => {
    const w = WIDTHS[size];
    const bbits = e.readLow(1, size);
    const abits = e.readLow(0, size);
    e.deferIf(e.or(strange(e, size, abits), strange(e, size, bbits)));
    const first = e.float(max ? w.gt : w.lt, "i32", value(e, size, abits), value(e, size, bbits));
    e.writeLow(0, size, e.select(first, abits, bbits));
  };
/** COMIS and UCOMIS: ZF equal, CF less. */
const compare =
  (size: Size): SimdSemantic =>
  (e) => {
    const w = WIDTHS[size];
    const bbits = e.readLow(1, size);
    const abits = e.readLow(0, size);
    e.deferIf(e.or(strange(e, size, abits), strange(e, size, bbits)));
    const a = value(e, size, abits);
    const b = value(e, size, bbits);
    const no = e.i32(0);
    e.setFlags({ zf: e.float(w.eq, "i32", a, b), cf: e.float(w.lt, "i32", a, b), pf: no, of: no, sf: no, af: no });
  };

// ---- conversions
/** Integers to the lowest element. Those below 2^53 (2^24) are exact whatever MXCSR says. */
const fromInteger =
  (size: Size): SimdSemantic =>
  (e) => {
    const n = e.read(1);
    const wide = n.ty === "i64";
    if (size === 32 || wide) {
      const limit = size === 64 ? 1n << 53n : 1n << 24n;
      const k = (v: bigint): Val => (wide ? e.i64(v) : e.i32(Number(v)));
      const inexact = e.gtU(e.add(n, k(limit)), k(limit * 2n));
      const state = e.and(e.mxcsr(), e.i32(CONTROL | PRECISION));
      e.deferIf(e.and(inexact, e.ne(state, e.i32(COMMON | PRECISION))));
    }
    const op = size === 64 ? (wide ? OP.f64_convert_i64_s : OP.f64_convert_i32_s) : wide ? OP.f32_convert_i64_s : OP.f32_convert_i32_s;
    e.writeLow(0, size, bitsOf(e, size, e.float(op, WIDTHS[size].ty, n)));
  };
/** The lowest element to an integer: in range, and exact or PE masked and there. */
const toInteger =
  (size: Size, truncate: boolean): SimdSemantic =>
  (e) => {
    const bits = e.readLow(1, size);
    const x = size === 64 ? value(e, 64, bits) : promote(e, value(e, 32, bits));
    const whole = e.float(truncate ? OP.f64_trunc : OP.f64_nearest, "f64", x);
    const wide = e.operandSize(0) === 64;
    const f64 = (v: number): Val => value(e, 64, e.i64(doubleBits(v)));
    const limit = wide ? 2 ** 63 : 2 ** 31;
    const inRange = e.and(e.float(OP.f64_ge, "i32", whole, f64(-limit)), e.float(OP.f64_lt, "i32", whole, f64(limit)));
    const needed = truncate ? PRECISION | PRECISION_MASK : CONTROL | PRECISION;
    const wanted = truncate ? PRECISION | PRECISION_MASK : COMMON | PRECISION;
    const quietly = e.eq(e.and(e.mxcsr(), e.i32(needed)), e.i32(wanted));
    const fine = e.or(e.float(OP.f64_eq, "i32", x, whole), quietly);
    e.deferIf(e.or(denormal(e, size, bits), not(e, e.and(inRange, fine))));
    const op = wide ? OP.i64_trunc_sat_f64_s : OP.i32_trunc_sat_f64_s;
    e.write(0, e.float(op, wide ? "i64" : "i32", whole));
  };
function doubleBits(v: number): bigint {
  return new BigInt64Array(new Float64Array([v]).buffer)[0] ?? 0n;
}
/** Exact. */
const singleToDouble: SimdSemantic = (e) => {
  const bits = e.readLow(1, 32);
  e.deferIf(strange(e, 32, bits));
  e.writeLow(0, 64, bitsOf(e, 64, promote(e, value(e, 32, bits))));
};
const doubleToSingle: SimdSemantic = (e) => {
  e.deferIf(uncommon(e));
  const bits = e.readLow(1, 64);
  const x = value(e, 64, bits);
  const r = e.float(OP.f32_demote_f64, "f32", x);
  const rbits = bitsOf(e, 32, r);
  const good = e.or(clearlyNormal(e, 32, rbits), isZero(e, 64, bits));
  deferUnless(e, not(e, good), () => e.float(OP.f64_eq, "i32", promote(e, r), x));
  e.writeLow(0, 32, rbits);
};
const cvtdq2pd: SimdSemantic = (e) => {
  const low = e.readLow(1, 64);
  e.writeV(0, e.v(SIMD.f64x2_convert_low_i32x4_s, e.v(SIMD.i64x2_splat, low)));
};

// ---- packed
interface Lanes {
  readonly add: SimdOp;
  readonly sub: SimdOp;
  readonly mul: SimdOp;
  readonly div: SimdOp;
  readonly sqrt: SimdOp;
  readonly abs: SimdOp;
  readonly eq: SimdOp;
  readonly ne: SimdOp;
  readonly lt: SimdOp;
  readonly gt: SimdOp;
  readonly normal: bigint;
  readonly infinity: bigint;
}
const LANES: Readonly<Record<Size, Lanes>> = {
  32: {
    add: SIMD.f32x4_add,
    sub: SIMD.f32x4_sub,
    mul: SIMD.f32x4_mul,
    div: SIMD.f32x4_div,
    sqrt: SIMD.f32x4_sqrt,
    abs: SIMD.f32x4_abs,
    eq: SIMD.f32x4_eq,
    ne: SIMD.f32x4_ne,
    lt: SIMD.f32x4_lt,
    gt: SIMD.f32x4_gt,
    normal: 0x00800000_00800000_00800000_00800000n,
    infinity: 0x7f800000_7f800000_7f800000_7f800000n,
  },
  64: {
    add: SIMD.f64x2_add,
    sub: SIMD.f64x2_sub,
    mul: SIMD.f64x2_mul,
    div: SIMD.f64x2_div,
    sqrt: SIMD.f64x2_sqrt,
    abs: SIMD.f64x2_abs,
    eq: SIMD.f64x2_eq,
    ne: SIMD.f64x2_ne,
    lt: SIMD.f64x2_lt,
    gt: SIMD.f64x2_gt,
    normal: 0x0010000000000000_0010000000000000n,
    infinity: 0x7ff0000000000000_7ff0000000000000n,
  },
};
const any = (e: SimdEmit, v: Val): Val => e.v(SIMD.v128_any_true, v);
const either = (e: SimdEmit, ...all: readonly Val[]): Val => all.reduce((a, b) => e.v(SIMD.v128_or, a, b));
const zeroLanes = (e: SimdEmit, l: Lanes, x: Val): Val => e.v(l.eq, x, e.vconst(0n));
const denormalLanes = (e: SimdEmit, l: Lanes, x: Val): Val => e.v(SIMD.v128_andnot, e.v(l.lt, e.v(l.abs, x), e.vconst(l.normal)), zeroLanes(e, l, x));
const finiteLanes = (e: SimdEmit, l: Lanes, x: Val): Val => e.v(l.lt, e.v(l.abs, x), e.vconst(l.infinity));
const normalLanes = (e: SimdEmit, l: Lanes, x: Val): Val => e.v(SIMD.v128_and, finiteLanes(e, l, x), e.v(l.gt, e.v(l.abs, x), e.vconst(l.normal)));
const all = (e: SimdEmit, lanes: Val): Val => not(e, any(e, e.v(SIMD.v128_not, lanes)));

function packed(
  size: Size,
  op: (l: Lanes) => SimdOp,
  good: (e: SimdEmit, l: Lanes, a: Val, b: Val, r: Val) => Val,
  exact: (e: SimdEmit, l: Lanes, a: Val, b: Val, r: Val) => Val,
): SimdSemantic {
  return (e) => {
    const l = LANES[size];
    e.deferIf(uncommon(e));
    const b = e.readV(1);
    const a = e.readV(0);
    const r = e.v(op(l), a, b);
    const denormals = either(e, denormalLanes(e, l, a), denormalLanes(e, l, b));
    deferUnless(e, e.or(any(e, denormals), not(e, all(e, good(e, l, a, b, r)))), () => exact(e, l, a, b, r));
    e.writeV(0, r);
  };
}
const packedSum = (size: Size, negative: boolean): SimdSemantic =>
  packed(
    size,
    (l) => (negative ? l.sub : l.add),
    (e, l, _a, _b, r) => finiteLanes(e, l, r),
    (e, l, a, b, r) => {
      const bb = e.v(l.sub, r, a);
      const left = e.v(l.sub, a, e.v(l.sub, r, bb));
      const right = negative ? e.v(l.add, b, bb) : e.v(l.sub, bb, b);
      return all(e, zeroLanes(e, l, e.v(l.sub, left, right)));
    },
  );
const unknown = (e: SimdEmit): Val => e.i32(0);
const packedProduct = (size: Size): SimdSemantic =>
  packed(
    size,
    (l) => l.mul,
    (e, l, a, b, r) => either(e, normalLanes(e, l, r), e.v(SIMD.v128_and, zeroLanes(e, l, r), either(e, zeroLanes(e, l, a), zeroLanes(e, l, b)))),
    unknown,
  );
const packedQuotient = (size: Size): SimdSemantic =>
  packed(
    size,
    (l) => l.div,
    (e, l, a, _b, r) => either(e, normalLanes(e, l, r), e.v(SIMD.v128_and, zeroLanes(e, l, r), zeroLanes(e, l, a))),
    unknown,
  );
const packedRoot =
  (size: Size): SimdSemantic =>
  (e) => {
    const l = LANES[size];
    e.deferIf(uncommon(e));
    const b = e.readV(1);
    const r = e.v(l.sqrt, b);
    deferUnless(e, e.or(any(e, denormalLanes(e, l, b)), not(e, all(e, finiteLanes(e, l, r)))), () => unknown(e));
    e.writeV(0, r);
  };
const packedLeast =
  (size: Size, max: boolean): SimdSemantic =>
  (e) => {
    const l = LANES[size];
    const b = e.readV(1);
    const a = e.readV(0);
    const nans = either(e, e.v(l.ne, a, a), e.v(l.ne, b, b));
    e.deferIf(any(e, either(e, nans, denormalLanes(e, l, a), denormalLanes(e, l, b))));
    e.writeV(0, e.v(SIMD.v128_bitselect, a, b, e.v(max ? l.gt : l.lt, a, b)));
  };

export const XMM_FLOAT: Readonly<Record<string, SimdSemantic>> = {
  addss: sum(32, false),
  addsd: sum(64, false),
  addps: packedSum(32, false),
  addpd: packedSum(64, false),
  subss: sum(32, true),
  subsd: sum(64, true),
  subps: packedSum(32, true),
  subpd: packedSum(64, true),
  mulss: product(32),
  mulsd: product(64),
  mulps: packedProduct(32),
  mulpd: packedProduct(64),
  divss: quotient(32),
  divsd: quotient(64),
  divps: packedQuotient(32),
  divpd: packedQuotient(64),
  sqrtss: root(32),
  sqrtsd: root(64),
  sqrtps: packedRoot(32),
  sqrtpd: packedRoot(64),
  minss: least(32, false),
  minsd: least(64, false),
  minps: packedLeast(32, false),
  minpd: packedLeast(64, false),
  maxss: least(32, true),
  maxsd: least(64, true),
  maxps: packedLeast(32, true),
  maxpd: packedLeast(64, true),
  comiss: compare(32),
  comisd: compare(64),
  ucomiss: compare(32),
  ucomisd: compare(64),
  cvtsi2ss: fromInteger(32),
  cvtsi2sd: fromInteger(64),
  cvttss2si: toInteger(32, true),
  cvttsd2si: toInteger(64, true),
  cvtss2si: toInteger(32, false),
  cvtsd2si: toInteger(64, false),
  cvtss2sd: singleToDouble,
  cvtsd2ss: doubleToSingle,
  cvtdq2pd,
};
