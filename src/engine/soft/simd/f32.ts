import { SSE } from "./env.ts";

const { IE, DE, ZE, OE, UE, PE, NEAREST, DOWN, UP, RC, MASK, RAISED, DAZ, FTZ, ENV, SIGN } = SSE;

/**
 * Binary32 in all rounding modes, on bit patterns (int32). Computed in the host's doubles: products are exact there, quotients and roots of 24-bit
 * operands cannot come within a double's rounding error of a float or of the middle between two; sums get their last bit from what they miss.
 */

const F = new Float64Array(1);
const I = new Int32Array(F.buffer);
const S = new Float32Array(2);
const SI = new Int32Array(S.buffer);
const EXP = 0x7f800000;
const LEAST_NORMAL = 2 ** -126;
const DEFAULT_NAN = 0xffc00000 | 0;

export function isNan32(a: number): boolean {
  return (a & 0x7fffffff) > EXP;
}
function isSignaling32(a: number): boolean {
  return isNan32(a) && (a & 0x400000) === 0;
}
/** The answer when an operand is a NaN: the first one, made quiet. */
function nan(a: number, b: number): number {
  if (isSignaling32(a) || isSignaling32(b)) ENV[RAISED] |= IE;
  return (isNan32(a) ? a : b) | 0x400000;
}
function invalid(): number {
  ENV[RAISED] |= IE;
  return DEFAULT_NAN;
}
/** An operand that is no NaN as the arithmetic sees it: denormals raise #D or are zero. */
function operand(a: number): number {
  if ((a & EXP) !== 0 || (a & 0x7fffff) === 0) return a;
  if (ENV[DAZ] !== 0) return a & SIGN;
  ENV[RAISED] |= DE;
  return a;
}
/** A denormal as zero with DAZ. */
function flushed(a: number): number {
  return (a & EXP) === 0 && ENV[DAZ] !== 0 ? a & SIGN : a;
}
/** Value of a bit pattern that is no NaN. */
export function value32(a: number): number {
  SI[0] = a;
  return S[0];
}

/** Rounds value + missing (whose size does not matter: it is below the value's last place) to a float. */
export function round32(value: number, missing: number): number {
  F[0] = value;
  if (missing !== 0 && (I[0] & 1) === 0) {
    // To odd: no second rounding can then mistake it for exact or for a tie.
    if (missing < 0 === value < 0) I[0] |= 1;
    else {
      if (I[0] === 0) I[1] = (I[1] - 1) | 0;
      I[0] = (I[0] - 1) | 0;
    }
  }
  if (ENV[RC] === NEAREST) {
    const d = F[0];
    const r = Math.fround(d);
    if ((d >= LEAST_NORMAL || d <= -LEAST_NORMAL) && r - r === 0) {
      if (r !== d) ENV[RAISED] |= PE;
      S[0] = r;
      return SI[0];
    }
  }
  return pack(I[1], I[0]);
}
/** Rounds a double given by its words. */
function pack(hi: number, lo: number): number {
  const sign = hi & SIGN;
  const e0 = ((hi >>> 20) & 0x7ff) - 896;
  if (((hi & 0x7fffffff) | lo) === 0) return sign;
  const rc = ENV[RC];
  const away = rc === (sign !== 0 ? DOWN : UP);
  const m0 = 0x800000 | ((hi & 0xfffff) << 3) | (lo >>> 29);
  const x0 = lo << 3;
  let m = m0;
  if (x0 !== 0 && (rc === NEAREST ? x0 < 0 && (x0 !== SIGN || (m & 1) !== 0) : away)) m++;
  const e = m === 0x1000000 ? e0 + 1 : e0;
  if (e > 0 && e < 255) {
    if (x0 !== 0) ENV[RAISED] |= PE;
    return sign | (e << 23) | (m & 0x7fffff);
  }
  if (e > 0) {
    if ((ENV[MASK] & OE) === 0) {
      ENV[RAISED] |= x0 !== 0 ? OE | PE : OE;
      return 0;
    }
    ENV[RAISED] |= OE | PE;
    return rc === NEAREST || away ? sign | EXP : sign | 0x7f7fffff;
  }
  if ((ENV[MASK] & UE) === 0) {
    ENV[RAISED] |= x0 !== 0 ? UE | PE : UE;
    return 0;
  }
  if (ENV[FTZ] !== 0) {
    ENV[RAISED] |= UE | PE;
    return sign;
  }
  const n = 1 - e0;
  let x = x0 !== 0 ? 1 : 0;
  if (n >= 32) {
    m = 0;
    x = 1;
  } else {
    x |= m0 << (32 - n);
    m = m0 >>> n;
  }
  if (x !== 0) {
    ENV[RAISED] |= UE | PE;
    if (rc === NEAREST ? x < 0 && (x !== SIGN || (m & 1) !== 0) : away) m++;
  }
  return sign | m;
}

export function add32(a0: number, b0: number): number {
  if ((a0 & EXP) === EXP || (b0 & EXP) === EXP) {
    if (isNan32(a0) || isNan32(b0)) return nan(a0, b0);
    if (((a0 ^ b0) & 0x7fffffff) === 0 && (a0 ^ b0) < 0) return invalid();
    operand(a0);
    operand(b0);
    return (a0 & EXP) === EXP ? a0 : b0;
  }
  SI[0] = operand(a0);
  SI[1] = operand(b0);
  const a = S[0];
  const b = S[1];
  const s = a + b;
  if (s === 0) {
    if (ENV[RC] === DOWN && (a !== 0 || ((a0 | b0) & SIGN) !== 0)) return SIGN;
    S[0] = s;
    return SI[0];
  }
  const t = s - a;
  return round32(s, a - (s - t) + (b - t));
}
export function sub32(a: number, b: number): number {
  return isNan32(b) ? nan(a, b) : add32(a, b ^ SIGN);
}
export function mul32(a0: number, b0: number): number {
  if ((a0 & EXP) === EXP || (b0 & EXP) === EXP) {
    if (isNan32(a0) || isNan32(b0)) return nan(a0, b0);
    const a = operand(a0);
    const b = operand(b0);
    if ((a & 0x7fffffff) === 0 || (b & 0x7fffffff) === 0) return invalid();
    return ((a ^ b) & SIGN) | EXP;
  }
  SI[0] = operand(a0);
  SI[1] = operand(b0);
  return round32(S[0] * S[1], 0);
}
export function div32(a0: number, b0: number): number {
  const sign = (a0 ^ b0) & SIGN;
  if ((a0 & EXP) === EXP || (b0 & EXP) === EXP) {
    if (isNan32(a0) || isNan32(b0)) return nan(a0, b0);
    if (((a0 ^ b0) & EXP) === 0) return invalid();
    operand(a0);
    operand(b0);
    return (a0 & EXP) === EXP ? sign | EXP : sign;
  }
  const b = operand(b0);
  if ((b & 0x7fffffff) === 0) {
    if ((a0 & 0x7fffffff) === 0 || ((a0 & EXP) === 0 && ENV[DAZ] !== 0)) return invalid();
    ENV[RAISED] |= ZE;
    return sign | EXP;
  }
  SI[0] = operand(a0);
  SI[1] = b;
  return round32(S[0] / S[1], 0);
}
export function sqrt32(a: number): number {
  if (isNan32(a)) return nan(a, a);
  if ((a & 0x7fffffff) === 0 || ((a & EXP) === 0 && ENV[DAZ] !== 0)) return a & SIGN;
  if (a < 0) return invalid();
  if (a === EXP) return a;
  SI[0] = operand(a);
  return round32(Math.sqrt(S[0]), 0);
}

/** MIN and MAX: the second operand when either is a NaN or both are zero. */
export function min32(a0: number, b0: number): number {
  if (isNan32(a0) || isNan32(b0)) {
    ENV[RAISED] |= IE;
    return flushed(b0);
  }
  SI[0] = operand(a0);
  SI[1] = operand(b0);
  return S[0] < S[1] ? SI[0] : SI[1];
}
export function max32(a0: number, b0: number): number {
  if (isNan32(a0) || isNan32(b0)) {
    ENV[RAISED] |= IE;
    return flushed(b0);
  }
  SI[0] = operand(a0);
  SI[1] = operand(b0);
  return S[0] > S[1] ? SI[0] : SI[1];
}

/** 0 equal, 1 less, 2 greater, 3 unordered. `quiet`: only signalling NaNs are invalid. */
export function compare32(a0: number, b0: number, quiet: boolean): number {
  if (isNan32(a0) || isNan32(b0)) {
    if (!quiet || isSignaling32(a0) || isSignaling32(b0)) ENV[RAISED] |= IE;
    return 3;
  }
  SI[0] = operand(a0);
  SI[1] = operand(b0);
  const a = S[0];
  const b = S[1];
  return a < b ? 1 : a > b ? 2 : 0;
}

// ---- approximations (SDM vol. 2, RCPPS and RSQRTPS): no exceptions, MXCSR plays no part

/**
 * What Intel's processors have in their table: the reciprocal of the middle of each of 2048 intervals, rounded to 13 bits. Equal to silicon
 * (Emerald Rapids) for all 2^32 operands.
 */
const RECIPROCAL = Int32Array.from({ length: 2048 }, (_, k) => (Math.floor(8192 / (1 + (k + 0.5) / 2048) + 0.5) & 0xfff) << 11);
/** The same for the root of 1..2 (first 1024) and of 1/2..1. */
const ROOT = Int32Array.from({ length: 2048 }, (_, k) => {
  const low = k >= 1024;
  const x = 1 + ((k & 1023) + 0.5) / 1024;
  return (Math.floor((low ? 4096 : 8192) / Math.sqrt(low ? x / 2 : x) + 0.5) & 0xfff) << 11;
});

export function rcp32(a: number): number {
  const sign = a & SIGN;
  const e = (a >>> 23) & 0xff;
  if (e === 0xff) return isNan32(a) ? a | 0x400000 : sign;
  if (e === 0) return sign | EXP;
  return e >= 253 ? sign : sign | ((253 - e) << 23) | RECIPROCAL[(a >>> 12) & 0x7ff];
}
export function rsqrt32(a: number): number {
  const e = (a >>> 23) & 0xff;
  if (isNan32(a)) return a | 0x400000;
  if (e === 0) return (a & SIGN) | EXP;
  if (a < 0) return DEFAULT_NAN;
  if (e === 0xff) return 0;
  const low = (e & 1) === 0;
  const exponent = low ? 127 - (e - 126) / 2 : 126 - (e - 127) / 2;
  return (exponent << 23) | ROOT[(low ? 1024 : 0) + ((a >>> 13) & 0x3ff)];
}
