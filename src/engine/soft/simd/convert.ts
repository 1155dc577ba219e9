import { SSE } from "./env.ts";
import { isNan32, round32, value32 } from "./f32.ts";
import { isNan64, store64 } from "./f64.ts";

const { IE, DE, UE, PE, DOWN, UP, ZERO, RC, MASK, RAISED, DAZ, ENV, R, SIGN } = SSE;

/** Between single, double and integers, and rounding to an integral value. */

const F = new Float64Array(1);
const I = new Int32Array(F.buffer);
const TWO52 = 2 ** 52;
const TWO32 = 4294967296;

/** Value of a double that is no NaN; a denormal is zero with DAZ. */
function value64(hi: number, lo: number): number {
  if ((hi & 0x7ff00000) === 0 && ENV[DAZ] !== 0) return hi < 0 ? -0 : 0;
  I[0] = lo;
  I[1] = hi;
  return F[0];
}
/** The same of a single. */
function flushed32(a: number): number {
  return (a & 0x7f800000) === 0 && ENV[DAZ] !== 0 ? value32(a & SIGN) : value32(a);
}

/** To an integral value by rounding control `rc`; the sign of zero stays. */
function integral(v: number, rc: number): number {
  if (v >= TWO52 || v <= -TWO52) return v;
  if (rc === DOWN) return Math.floor(v);
  if (rc === UP) return Math.ceil(v);
  if (rc === ZERO) return Math.trunc(v);
  if (v > 0) return v + TWO52 - TWO52;
  return v < 0 ? -(TWO52 - v - TWO52) : v;
}

/** To a signed integer of 32 bits (answered) or 64 (in R); the indefinite integer when it does not fit. */
function toInteger32(v: number, truncate: boolean): number {
  const r = integral(v, truncate ? ZERO : ENV[RC]);
  if (r >= -2147483648 && r <= 2147483647) {
    if (r !== v) ENV[RAISED] |= PE;
    return r | 0;
  }
  ENV[RAISED] |= IE;
  return SIGN;
}
function toInteger64(v: number, truncate: boolean): void {
  const r = integral(v, truncate ? ZERO : ENV[RC]);
  if (r >= -9223372036854775808 && r < 9223372036854775808) {
    if (r !== v) ENV[RAISED] |= PE;
    const hi = Math.floor(r / TWO32);
    R[1] = hi;
    R[0] = r - hi * TWO32;
    return;
  }
  ENV[RAISED] |= IE;
  R[1] = SIGN;
  R[0] = 0;
}
export function int32Of64(hi: number, lo: number, truncate: boolean): number {
  return toInteger32(isNan64(hi, lo) ? Number.NaN : value64(hi, lo), truncate);
}
export function int32Of32(a: number, truncate: boolean): number {
  return toInteger32(isNan32(a) ? Number.NaN : flushed32(a), truncate);
}
export function int64Of64(hi: number, lo: number, truncate: boolean): void {
  toInteger64(isNan64(hi, lo) ? Number.NaN : value64(hi, lo), truncate);
}
export function int64Of32(a: number, truncate: boolean): void {
  toInteger64(isNan32(a) ? Number.NaN : flushed32(a), truncate);
}

export function single32(v: number): number {
  return round32(v, 0);
}
/** A signed 64-bit integer to single. */
export function singleOf64(hi: number, lo: number): number {
  const a = hi * TWO32;
  const b = lo >>> 0;
  const s = a + b;
  return round32(s, b - (s - a));
}
/** An int32 to double, exactly, in R. */
export function doubleOf32(v: number): void {
  F[0] = v;
  R[0] = I[0];
  R[1] = I[1];
}
/** A signed 64-bit integer to double, in R. */
export function doubleOf64(hi: number, lo: number): void {
  const a = hi * TWO32;
  const b = lo >>> 0;
  const s = a + b;
  if (s === 0) R[0] = R[1] = 0;
  else store64(s, b - (s - a));
}

/** Single to double, in R. */
export function widen(a: number): void {
  if (isNan32(a)) {
    if ((a & 0x400000) === 0) ENV[RAISED] |= IE;
    R[1] = (a & SIGN) | 0x7ff80000 | ((a & 0x7fffff) >>> 3);
    R[0] = a << 29;
    return;
  }
  let v = a;
  if ((a & 0x7f800000) === 0 && (a & 0x7fffff) !== 0) {
    if (ENV[DAZ] !== 0) v = a & SIGN;
    else ENV[RAISED] |= DE;
  }
  F[0] = value32(v);
  R[0] = I[0];
  R[1] = I[1];
}
/** Double to single. */
export function narrow(hi: number, lo: number): number {
  const e = hi & 0x7ff00000;
  if (e === 0x7ff00000) {
    if (((hi & 0xfffff) | lo) === 0) return (hi & SIGN) | 0x7f800000;
    if ((hi & 0x80000) === 0) ENV[RAISED] |= IE;
    return (hi & SIGN) | 0x7fc00000 | ((hi & 0x7ffff) << 3) | (lo >>> 29);
  }
  if (e === 0 && ((hi & 0xfffff) | lo) !== 0) {
    if (ENV[DAZ] !== 0) return hi & SIGN;
    ENV[RAISED] |= DE;
    if ((ENV[MASK] & UE) === 0) {
      // Inexact is what does not fit 24 bits, whatever the exponent.
      I[0] = lo;
      I[1] = hi;
      const v = F[0] * 2 ** 1000;
      ENV[RAISED] |= Math.fround(v) === v ? UE : UE | PE;
      return 0;
    }
  }
  I[0] = lo;
  I[1] = hi;
  return round32(F[0], 0);
}

/** ROUNDxx: bits 1:0 of the immediate round, unless bit 2 says MXCSR; bit 3 keeps #P quiet. */
function rounding(imm: number): number {
  return (imm & 4) !== 0 ? ENV[RC] : imm & 3;
}
export function roundTo32(a: number, imm: number): number {
  if (isNan32(a)) {
    if ((a & 0x400000) === 0) ENV[RAISED] |= IE;
    return a | 0x400000;
  }
  const v = flushed32(a);
  const r = integral(v, rounding(imm));
  if (r !== v && (imm & 8) === 0) ENV[RAISED] |= PE;
  return bits32(r);
}
const S = new Float32Array(1);
const SI = new Int32Array(S.buffer);
function bits32(v: number): number {
  S[0] = v;
  return SI[0];
}
export function roundTo64(hi: number, lo: number, imm: number): void {
  if (isNan64(hi, lo)) {
    if ((hi & 0x80000) === 0) ENV[RAISED] |= IE;
    R[1] = hi | 0x80000;
    R[0] = lo;
    return;
  }
  const v = value64(hi, lo);
  const r = integral(v, rounding(imm));
  if (r !== v && (imm & 8) === 0) ENV[RAISED] |= PE;
  F[0] = r;
  R[0] = I[0];
  R[1] = I[1];
}
