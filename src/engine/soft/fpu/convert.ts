import { roundSignificand, shiftRightJam, X87 } from "./env.ts";
import { classify, isSignaling, normalize } from "./classes.ts";
import { toInteger } from "./integral.ts";

const {
  IE,
  OE,
  UE,
  PE,
  C1,
  NEAREST,
  DOWN,
  UP,
  ZERO,
  SE,
  HI,
  LO,
  ENV,
  RC,
  MASK,
  RAISED,
  INDEFINITE_HI,
  INT_BIT,
  QUIET,
  BIAS,
  W,
  B,
  M,
  N,
  ZERO_CLASS,
  DENORMAL,
  INFINITY,
  NAN,
  UNSUPPORTED,
} = X87;

/** Between the 80-bit format and the memory formats: single, double, integers, packed decimal. */

export function fromFloat32(bits: number): void {
  const sign = (bits >>> 16) & 0x8000;
  const e = (bits >>> 23) & 0xff;
  const f = bits & 0x7fffff;
  B[LO] = 0;
  B[3] = 0;
  if (e === 0) {
    if (f === 0) {
      B[SE] = sign;
      B[HI] = 0;
      return;
    }
    const n = Math.clz32(f);
    B[SE] = sign | (BIAS - 126 + 8 - n);
    B[HI] = f << n;
    B[3] = 1;
    return;
  }
  B[SE] = sign | (e === 0xff ? 0x7fff : e + BIAS - 127);
  B[HI] = INT_BIT | (f << 8);
}

export function fromFloat64(hi: number, lo: number): void {
  const sign = (hi >>> 16) & 0x8000;
  const e = (hi >>> 20) & 0x7ff;
  const f = hi & 0xfffff;
  B[3] = 0;
  if (e === 0) {
    if ((f | lo) === 0) {
      B[SE] = sign;
      B[HI] = B[LO] = 0;
      return;
    }
    normalize((f << 11) | (lo >>> 21), lo << 11);
    B[SE] = sign | (N[0] + BIAS - 1023);
    B[HI] = N[1];
    B[LO] = N[2];
    B[3] = 1;
    return;
  }
  B[SE] = sign | (e === 0x7ff ? 0x7fff : e + BIAS - 1023);
  B[HI] = INT_BIT | (f << 11) | (lo >>> 21);
  B[LO] = lo << 11;
}

/** A signed 64-bit integer; narrower ones are sign-extended by the caller. */
export function fromInt64(hi0: number, lo0: number): void {
  B[3] = 0;
  let hi = hi0;
  let lo = lo0;
  if ((hi | lo) === 0) {
    B[SE] = B[HI] = B[LO] = 0;
    return;
  }
  const sign = hi < 0 ? 0x8000 : 0;
  if (sign !== 0) {
    lo = -lo | 0;
    hi = (~hi + (lo === 0 ? 1 : 0)) | 0;
  }
  normalize(hi, lo);
  B[SE] = sign | (N[0] - 1 + BIAS + 63);
  B[HI] = N[1];
  B[LO] = N[2];
}
export function fromInt32(v: number): void {
  B[3] = 0;
  B[LO] = 0;
  if (v === 0) {
    B[SE] = B[HI] = 0;
    return;
  }
  const magnitude = v < 0 ? -v | 0 : v;
  const n = Math.clz32(magnitude);
  B[SE] = (v < 0 ? 0x8000 : 0) | (BIAS + 31 - n);
  B[HI] = magnitude << n;
}

/** To single (`double` false, M[0]) or double (M[0..1]). False: an unmasked exception forbids the store. */
export function toFloat(se: number, hi: number, lo: number, double: boolean): boolean {
  const sign = se & 0x8000;
  const c = classify(se, hi, lo);
  if (c === NAN || c === UNSUPPORTED) {
    if (c === UNSUPPORTED || isSignaling(hi)) ENV[RAISED] |= IE;
    if (c === UNSUPPORTED) encode(double, 0x8000, 0x7fff, INDEFINITE_HI, 0);
    else encode(double, sign, 0x7fff, hi | QUIET, lo);
    return (ENV[RAISED] & ~ENV[MASK] & IE) === 0;
  }
  if (c === INFINITY || c === ZERO_CLASS) {
    encode(double, sign, c === INFINITY ? 0x7fff : 0, hi, lo);
    return true;
  }
  let h = hi;
  let l = lo;
  let e = se & 0x7fff;
  if (c === DENORMAL) {
    normalize(hi, lo);
    e = N[0];
    h = N[1];
    l = N[2];
  }
  const precision = double ? 2 : 0;
  const top = double ? 0x7ff : 0xff;
  e += double ? 1023 - BIAS : 127 - BIAS;
  const carried = roundSignificand(sign !== 0, h, l, 0, precision);
  const rounded = carried ? e + 1 : e;
  let how = W[2];
  if (rounded >= top) {
    ENV[RAISED] |= OE;
    if ((ENV[MASK] & OE) === 0) return false;
    const mode = ENV[RC];
    const infinite = mode === NEAREST || mode === (sign !== 0 ? DOWN : UP);
    ENV[RAISED] |= infinite ? PE | C1 : PE;
    if (infinite) encode(double, sign, 0x7fff, INT_BIT, 0);
    else encode(double, sign, top - 1, -1, -1);
    return true;
  }
  if (rounded > 0) {
    if (how !== 0) ENV[RAISED] |= how === 3 ? PE | C1 : PE;
    encode(double, sign, rounded, W[0], W[1]);
    return true;
  }
  if ((ENV[MASK] & UE) === 0) {
    ENV[RAISED] |= UE;
    return false;
  }
  shiftRightJam(h, l, 0, 1 - e);
  roundSignificand(sign !== 0, W[0], W[1], W[2], precision);
  how = W[2];
  if (how !== 0) ENV[RAISED] |= how === 3 ? UE | PE | C1 : UE | PE;
  encode(double, sign, W[0] < 0 ? 1 : 0, W[0], W[1]);
  return true;
}
function encode(double: boolean, sign: number, e: number, hi: number, lo: number): void {
  if (double) {
    M[0] = (lo >>> 11) | (hi << 21);
    M[1] = (sign << 16) | ((e & 0x7ff) << 20) | ((hi >>> 11) & 0xfffff);
  } else M[0] = (sign << 16) | ((e & 0xff) << 23) | ((hi >>> 8) & 0x7fffff);
}

/** To a signed integer of `bits` 16, 32 or 64 in M. False: an unmasked invalid operation forbids the store. */
export function toInt(se: number, hi: number, lo: number, bits: number, truncate: boolean): boolean {
  const c = classify(se, hi, lo);
  const e = se & 0x7fff;
  const sign = se & 0x8000;
  M[0] = M[1] = 0;
  if (c === ZERO_CLASS) return true;
  if (c < INFINITY && e < BIAS + 64) {
    const mode = ENV[RC];
    if (truncate) ENV[RC] = ZERO;
    const up = toInteger(sign, c === DENORMAL ? 1 : e, hi, lo);
    ENV[RC] = mode;
    let h = W[0];
    let l = W[1];
    if (W[3] === 0 && inRange(sign !== 0, h, l, bits)) {
      if (W[2] !== 0) ENV[RAISED] |= up ? PE | C1 : PE;
      if (sign !== 0) {
        l = -l | 0;
        h = (~h + (l === 0 ? 1 : 0)) | 0;
      }
      M[0] = l;
      M[1] = h;
      return true;
    }
  }
  ENV[RAISED] |= IE;
  integerIndefinite(bits);
  return (ENV[MASK] & IE) !== 0;
}
function inRange(negative: boolean, hi: number, lo: number, bits: number): boolean {
  if (bits === 64) return hi >= 0 || (negative && hi === INT_BIT && lo === 0);
  if (hi !== 0) return false;
  const limit = bits === 32 ? 0x80000000 : 0x8000;
  return lo >>> 0 < limit || (negative && lo >>> 0 === limit);
}
export function integerIndefinite(bits: number): void {
  M[1] = bits === 64 ? INT_BIT : 0;
  M[0] = bits === 64 ? 0 : bits === 32 ? INT_BIT : 0x8000;
}

const BCD_LIMIT = 10n ** 18n;
/** To 18 packed decimal digits in M[0..2] (FBSTP). False: an unmasked invalid operation forbids the store. */
export function toBcd(se: number, hi: number, lo: number): boolean {
  const c = classify(se, hi, lo);
  const e = se & 0x7fff;
  const sign = se & 0x8000;
  if (c < INFINITY && e < BIAS + 64) {
    let up = false;
    if (c === ZERO_CLASS) W[0] = W[1] = W[2] = W[3] = 0;
    else up = toInteger(sign, c === DENORMAL ? 1 : e, hi, lo);
    let v = (BigInt(W[0] >>> 0) << 32n) | BigInt(W[1] >>> 0);
    if (W[3] === 0 && v < BCD_LIMIT) {
      if (W[2] !== 0) ENV[RAISED] |= up ? PE | C1 : PE;
      let packed = 0n;
      for (let at = 0n; v !== 0n; at += 4n, v /= 10n) packed |= (v % 10n) << at;
      M[0] = Number(packed & 0xffffffffn) | 0;
      M[1] = Number((packed >> 32n) & 0xffffffffn) | 0;
      M[2] = Number(packed >> 64n) | sign;
      return true;
    }
  }
  ENV[RAISED] |= IE;
  bcdIndefinite();
  return (ENV[MASK] & IE) !== 0;
}
export function bcdIndefinite(): void {
  M[0] = 0;
  M[1] = INDEFINITE_HI;
  M[2] = 0xffff;
}

/** From packed decimal; digits over 9 count for their value, as the processor's adder does. */
export function fromBcd(top: number, hi: number, lo: number): void {
  let v = BigInt((top >> 4) & 15) * 10n + BigInt(top & 15);
  const digits = (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
  for (let at = 60n; at >= 0n; at -= 4n) v = v * 10n + ((digits >> at) & 15n);
  const h = Number((v >> 32n) & 0xffffffffn) | 0;
  const l = Number(v & 0xffffffffn) | 0;
  B[3] = 0;
  if ((h | l) === 0) {
    B[SE] = top & 0x8000;
    B[HI] = B[LO] = 0;
    return;
  }
  normalize(h, l);
  B[SE] = (top & 0x8000) | (N[0] - 1 + BIAS + 63);
  B[HI] = N[1];
  B[LO] = N[2];
}
