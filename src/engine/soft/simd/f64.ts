import { SSE } from "./env.ts";

const { IE, DE, ZE, OE, UE, PE, NEAREST, DOWN, UP, RC, MASK, RAISED, DAZ, FTZ, ENV, R, SIGN } = SSE;

/**
 * Binary64 in all rounding modes. The host's doubles give the value rounded to nearest, an error-free transformation the sign of what is missing;
 * from both follow the other rounding modes, the flags, and results beyond the exponent range. Operands are (high word, low word); answers go to R.
 */

const F = new Float64Array(2);
const I = new Int32Array(F.buffer);
const EXP = 0x7ff00000;
/** The greatest exponent of a finite number. */
const LAST = 0x7fe00000;
const SPLIT = 134217729; // 2^27 + 1, Veltkamp's

function set(hi: number, lo: number): void {
  R[1] = hi;
  R[0] = lo;
}
/** The default NaN with #I. */
function invalid(): void {
  ENV[RAISED] |= IE;
  set(0xfff80000 | 0, 0);
}
export function isNan64(hi: number, lo: number): boolean {
  return (hi & EXP) === EXP && ((hi & 0xfffff) | lo) !== 0;
}
function isSignaling64(hi: number, lo: number): boolean {
  return isNan64(hi, lo) && (hi & 0x80000) === 0;
}
/** True, with the answer in R, when an operand is a NaN: the first one, made quiet. */
function nan(ahi: number, alo: number, bhi: number, blo: number): boolean {
  const first = isNan64(ahi, alo);
  if (!first && !isNan64(bhi, blo)) return false;
  if (isSignaling64(ahi, alo) || isSignaling64(bhi, blo)) ENV[RAISED] |= IE;
  if (first) set(ahi | 0x80000, alo);
  else set(bhi | 0x80000, blo);
  return true;
}
/** Looks at an operand with exponent 0: true when it counts as zero. A denormal raises #D. */
function zeroOrDenormal(hi: number, lo: number): boolean {
  if (((hi & 0xfffff) | lo) === 0) return true;
  if (ENV[DAZ] !== 0) return true;
  ENV[RAISED] |= DE;
  return false;
}
/** Whether an operand is zero, with #D if it is a denormal; NaNs have been dealt with. */
export function isZero64(hi: number, lo: number): boolean {
  return (hi & EXP) === 0 && zeroOrDenormal(hi, lo);
}

/**
 * Rounds and stores sign, |v| = hi:lo (a normal double, the true value rounded to nearest) with `scale` added to its exponent; `err` is the
 * true magnitude minus |v|: only its sign counts.
 */
function pack(sign: number, hi: number, lo: number, scale: number, err: number): void {
  let h = hi;
  let l = lo;
  const rc = ENV[RC];
  if (err !== 0 && rc !== NEAREST) {
    if (rc === (sign !== 0 ? DOWN : UP)) {
      if (err > 0) {
        l = (l + 1) | 0;
        if (l === 0) h = (h + 1) | 0;
      }
    } else if (err < 0) {
      if (l === 0) h = (h - 1) | 0;
      l = (l - 1) | 0;
    }
  }
  const e = (h >>> 20) + scale;
  if (e > 0 && e < 0x7ff) {
    if (err !== 0) ENV[RAISED] |= PE;
    R[1] = sign | (e << 20) | (h & 0xfffff);
    R[0] = l;
  } else if (e > 0) overflow(sign, err !== 0);
  else underflow(sign, hi, lo, scale, err);
}
function overflow(sign: number, inexact: boolean): void {
  if ((ENV[MASK] & OE) === 0) {
    ENV[RAISED] |= inexact ? OE | PE : OE;
    return;
  }
  ENV[RAISED] |= OE | PE;
  const rc = ENV[RC];
  if (rc === NEAREST || rc === (sign !== 0 ? DOWN : UP)) set(sign | EXP, 0);
  else set(sign | 0x7fefffff, -1);
}
function underflow(sign: number, hi: number, lo: number, scale: number, err: number): void {
  if ((ENV[MASK] & UE) === 0) {
    ENV[RAISED] |= err !== 0 ? UE | PE : UE;
    return;
  }
  if (ENV[FTZ] !== 0) {
    ENV[RAISED] |= UE | PE;
    set(sign, 0);
    return;
  }
  // Truncate first, then shift into place with what falls out in x: its top bit is the half, the rest sticks.
  let h = hi;
  let l = lo;
  if (err < 0) {
    if (l === 0) h = (h - 1) | 0;
    l = (l - 1) | 0;
  }
  let n = 1 - ((h >>> 20) + scale);
  h = (h & 0xfffff) | 0x100000;
  let x = err !== 0 ? 1 : 0;
  if (n >= 64) {
    h = l = 0;
    x = 1;
    n = 0;
  }
  if (n >= 32) {
    x = l | (x !== 0 ? 1 : 0);
    l = h;
    h = 0;
    n -= 32;
  }
  if (n > 0) {
    x = (l << (32 - n)) | (x >>> n) | (x << (32 - n) !== 0 ? 1 : 0);
    l = (h << (32 - n)) | (l >>> n);
    h >>>= n;
  }
  if (x !== 0) {
    ENV[RAISED] |= UE | PE;
    const rc = ENV[RC];
    const up = rc === NEAREST ? x < 0 && (x !== SIGN || (l & 1) !== 0) : rc === (sign !== 0 ? DOWN : UP);
    if (up) {
      l = (l + 1) | 0;
      if (l === 0) h++;
    }
  }
  set(sign | h, l);
}
/** An exact result below the normal range. */
function exactTiny(sign: number, hi: number, lo: number): void {
  if ((ENV[MASK] & UE) === 0) ENV[RAISED] |= UE;
  else if (ENV[FTZ] !== 0) {
    ENV[RAISED] |= UE | PE;
    set(sign, 0);
    return;
  }
  set(sign | hi, lo);
}
/** Stores a double value and what it misses to the true one. */
export function store64(value: number, missing: number): void {
  F[0] = value;
  const hi = I[1];
  const sign = hi & SIGN;
  pack(sign, hi & 0x7fffffff, I[0], 0, sign !== 0 ? -missing : missing);
}

export function add64(ahi: number, alo: number, bhi: number, blo: number): void {
  const ea = ahi & EXP;
  const eb = bhi & EXP;
  if (ea === EXP || eb === EXP) {
    if (nan(ahi, alo, bhi, blo)) return;
    if (ea === EXP && eb === EXP && (ahi ^ bhi) < 0) {
      invalid();
      return;
    }
    if (ea === 0) zeroOrDenormal(ahi, alo);
    if (eb === 0) zeroOrDenormal(bhi, blo);
    set(ea === EXP ? ahi : bhi, 0);
    return;
  }
  I[0] = alo;
  I[1] = ahi;
  I[2] = blo;
  I[3] = bhi;
  if (ea === 0 && zeroOrDenormal(ahi, alo)) {
    I[0] = 0;
    I[1] = ahi & SIGN;
  }
  if (eb === 0 && zeroOrDenormal(bhi, blo)) {
    I[2] = 0;
    I[3] = bhi & SIGN;
  }
  const a = F[0];
  const b = F[1];
  const s = a + b;
  if (s === 0) {
    // Exact: x - x is +0, in round-down -0.
    F[0] = s;
    set(ENV[RC] === DOWN && (a !== 0 || b !== 0 || ((ahi | bhi) & SIGN) !== 0) ? SIGN : I[1], 0);
    return;
  }
  if (ea === LAST || eb === LAST) {
    addLarge(a, b);
    return;
  }
  const t = s - a;
  F[0] = s;
  const hi = I[1];
  const sign = hi & SIGN;
  const e = hi & EXP;
  const lo = I[0];
  if (e === 0) {
    exactTiny(sign, hi & 0xfffff, lo);
    return;
  }
  const err = a - (s - t) + (b - t);
  pack(sign, hi & 0x7fffffff, lo, 0, sign !== 0 ? -err : err);
}
/** A sum that is, or whose parts may be, beyond the range: the same, four powers of two lower; an operand too small for that only sticks. */
function addLarge(a0: number, b0: number): void {
  const low = (v: number): number => (v === 0 || Math.abs(v) >= 2 ** 900 ? v / 16 : v < 0 ? -(2 ** 800) : 2 ** 800);
  const a = low(a0);
  const b = low(b0);
  const s = a + b;
  const t = s - a;
  const err = a - (s - t) + (b - t);
  F[0] = s;
  const hi = I[1];
  const sign = hi & SIGN;
  pack(sign, hi & 0x7fffffff, I[0], 4, sign !== 0 ? -err : err);
}
export function sub64(ahi: number, alo: number, bhi: number, blo: number): void {
  if (isNan64(bhi, blo)) nan(ahi, alo, bhi, blo);
  else add64(ahi, alo, bhi ^ SIGN, blo);
}

/** Puts a finite nonzero magnitude into F[at] as 1 <= m < 2 and gives its biased exponent, below 1 for denormals. */
function normalize(hi: number, lo: number, at: number): number {
  const e = (hi >>> 20) & 0x7ff;
  if (e !== 0) {
    I[at * 2] = lo;
    I[at * 2 + 1] = (hi & 0xfffff) | 0x3ff00000;
    return e;
  }
  I[at * 2] = lo;
  I[at * 2 + 1] = hi & 0xfffff;
  F[at] *= 2 ** 54;
  const h = I[at * 2 + 1];
  I[at * 2 + 1] = (h & 0xfffff) | 0x3ff00000;
  return (h >>> 20) - 54;
}

export function mul64(ahi: number, alo: number, bhi: number, blo: number): void {
  const ea = ahi & EXP;
  const eb = bhi & EXP;
  const sign = (ahi ^ bhi) & SIGN;
  if (ea === EXP || eb === EXP) {
    if (nan(ahi, alo, bhi, blo)) return;
    if ((ea === 0 && zeroOrDenormal(ahi, alo)) || (eb === 0 && zeroOrDenormal(bhi, blo))) invalid();
    else set(sign | EXP, 0);
    return;
  }
  const za = ea === 0 && zeroOrDenormal(ahi, alo);
  const zb = eb === 0 && zeroOrDenormal(bhi, blo);
  if (za || zb) {
    set(sign, 0);
    return;
  }
  const scale = normalize(ahi, alo, 0) + normalize(bhi, blo, 1) - 2046;
  const a = F[0];
  const b = F[1];
  const p = a * b;
  let c = SPLIT * a;
  const ah = c - (c - a);
  const al = a - ah;
  c = SPLIT * b;
  const bh = c - (c - b);
  const bl = b - bh;
  const err = al * bl - (p - ah * bh - al * bh - ah * bl);
  F[0] = p;
  pack(sign, I[1], I[0], scale, err);
}

export function div64(ahi: number, alo: number, bhi: number, blo: number): void {
  const ea = ahi & EXP;
  const eb = bhi & EXP;
  const sign = (ahi ^ bhi) & SIGN;
  if (ea === EXP || eb === EXP) {
    if (nan(ahi, alo, bhi, blo)) return;
    if (ea === eb) {
      invalid();
      return;
    }
    if (ea === 0) zeroOrDenormal(ahi, alo);
    if (eb === 0) zeroOrDenormal(bhi, blo);
    set(ea === EXP ? sign | EXP : sign, 0);
    return;
  }
  const zb = eb === 0 && zeroOrDenormal(bhi, blo);
  if (zb) {
    if (ea === 0 && (ENV[DAZ] !== 0 || ((ahi & 0xfffff) | alo) === 0)) invalid();
    else {
      ENV[RAISED] |= ZE;
      set(sign | EXP, 0);
    }
    return;
  }
  if (ea === 0 && zeroOrDenormal(ahi, alo)) {
    set(sign, 0);
    return;
  }
  const scale = normalize(ahi, alo, 0) - normalize(bhi, blo, 1);
  const a = F[0];
  const b = F[1];
  const q = a / b;
  const err = residue(a, q, b);
  F[0] = q;
  pack(sign, I[1], I[0], scale, err);
}
/** a - q * b, exactly, where q is a / b rounded. */
function residue(a: number, q: number, b: number): number {
  const p = q * b;
  let c = SPLIT * q;
  const qh = c - (c - q);
  const ql = q - qh;
  c = SPLIT * b;
  const bh = c - (c - b);
  const bl = b - bh;
  return a - p - (ql * bl - (p - qh * bh - ql * bh - qh * bl));
}

/** Square root of the operand. */
export function sqrt64(hi: number, lo: number): void {
  const e = hi & EXP;
  if (isNan64(hi, lo)) {
    nan(hi, lo, hi, lo);
    return;
  }
  if (e === 0 && (((hi & 0xfffff) | lo) === 0 || ENV[DAZ] !== 0)) {
    set(hi & SIGN, 0);
    return;
  }
  if (hi < 0) {
    invalid();
    return;
  }
  if (e === EXP) {
    set(hi, lo);
    return;
  }
  if (e === 0) ENV[RAISED] |= DE;
  let k = normalize(hi, lo, 0) - 1023;
  let a = F[0];
  if ((k & 1) !== 0) {
    a *= 2;
    k--;
  }
  const s = Math.sqrt(a);
  const err = residue(a, s, s);
  F[0] = s;
  pack(0, I[1], I[0], k / 2, err);
}

/** MIN and MAX: the second operand when either is a NaN or both are zero. */
function choose(ahi: number, alo: number, bhi: number, blo: number, least: boolean): void {
  if (isNan64(ahi, alo) || isNan64(bhi, blo)) {
    ENV[RAISED] |= IE;
    if ((bhi & EXP) === 0 && ENV[DAZ] !== 0) set(bhi & SIGN, 0);
    else set(bhi, blo);
    return;
  }
  const za = isZero64(ahi, alo);
  const zb = isZero64(bhi, blo);
  I[0] = za ? 0 : alo;
  I[1] = za ? ahi & SIGN : ahi;
  I[2] = zb ? 0 : blo;
  I[3] = zb ? bhi & SIGN : bhi;
  const a = F[0];
  const b = F[1];
  const at = (least ? a < b : a > b) ? 0 : 2;
  set(I[at + 1], I[at]);
}
export function min64(ahi: number, alo: number, bhi: number, blo: number): void {
  choose(ahi, alo, bhi, blo, true);
}
export function max64(ahi: number, alo: number, bhi: number, blo: number): void {
  choose(ahi, alo, bhi, blo, false);
}

/** 0 equal, 1 less, 2 greater, 3 unordered. `quiet`: only signalling NaNs are invalid. */
export function compare64(ahi: number, alo: number, bhi: number, blo: number, quiet: boolean): number {
  if (isNan64(ahi, alo) || isNan64(bhi, blo)) {
    if (!quiet || isSignaling64(ahi, alo) || isSignaling64(bhi, blo)) ENV[RAISED] |= IE;
    return 3;
  }
  const za = isZero64(ahi, alo);
  const zb = isZero64(bhi, blo);
  I[0] = alo;
  I[1] = ahi;
  I[2] = blo;
  I[3] = bhi;
  const a = za ? 0 : F[0];
  const b = zb ? 0 : F[1];
  return a < b ? 1 : a > b ? 2 : 0;
}
