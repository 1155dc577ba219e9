/**
 * What the x87 arithmetic shares: constants, and the scratch that replaces allocation. Values of 80 bits are three int32:
 * `se` (sign in bit 15, biased exponent below), `hi` and `lo` (the significand with its explicit integer bit).
 * A function that gives an 80-bit value leaves it in `R`.
 */

/** Exception flags and condition codes as in the status word (SDM vol. 1 8.1.3). */
const IE = 1,
  DE = 2,
  ZE = 4,
  OE = 8,
  UE = 16,
  PE = 32,
  SF = 64,
  ES = 128;
const C0 = 0x100,
  C1 = 0x200,
  C2 = 0x400,
  C3 = 0x4000,
  CC = 0x4700,
  BUSY = 0x8000;

/** Rounding control (SDM vol. 1 table 4-8). */
const NEAREST = 0,
  DOWN = 1,
  UP = 2,
  ZERO = 3;

/** The 80-bit result: R[SE], R[HI], R[LO]. */
const R = new Int32Array(4);
const SE = 0,
  HI = 1,
  LO = 2;

/** Control of the instruction in progress, and what it raised. */
const ENV = new Int32Array(8);
const RC = 0;
/** 0: 24 bits, 2: 53, 3 (and the reserved 1): 64. */
const PREC = 1;
/** Control word bits 5:0: set = masked. */
const MASK = 2;
/** Exception bits raised and C1 (rounded up). */
const RAISED = 3;

const INDEFINITE_SE = 0xffff;
const INDEFINITE_HI = 0xc0000000 | 0;
const INT_BIT = 0x80000000 | 0;
const QUIET = 0x40000000;
const BIAS = 0x3fff;

/** Outputs of `shiftRightJam` and of the rounding core: significand words, high first; W[2] is the fraction below, sticky in its bit 0. */
const W = new Int32Array(4);
/** A memory operand made 80-bit: B[SE], B[HI], B[LO]; B[3] is 1 when it was a denormal of its own format. NaNs stay as they are. */
const B = new Int32Array(4);
/** Results for memory: M[0] low word, M[1] next, M[2] the rest (packed decimal). */
const M = new Int32Array(4);
/** A denormal operand brought to normal form: N[0] exponent (may be below 1), N[1] hi, N[2] lo. */
const N = new Int32Array(4);
/** Output of `divideDigit`: quotient digit, then the remainder's two words. */
const D = new Int32Array(4);
/** Operand words, low first: filled by `readWords`, stored by `writeWords`. */
const WORDS = new Int32Array(4);
/** What an operand is. Denormals include pseudo-denormals. Unsupported: unnormal, pseudo-infinity, pseudo-NaN. */
const ZERO_CLASS = 0,
  NORMAL = 1,
  DENORMAL = 2,
  INFINITY = 3,
  NAN = 4,
  UNSUPPORTED = 5;

/**
 * All of the above. Modules take what they need as constants of their own (`const { R, HI } = X87`): the compiler knows a local constant,
 * but looks an imported one up on every use, which costs half of the speed.
 */
export const X87 = {
  IE,
  DE,
  ZE,
  OE,
  UE,
  PE,
  SF,
  ES,
  C0,
  C1,
  C2,
  C3,
  CC,
  BUSY,
  NEAREST,
  DOWN,
  UP,
  ZERO,
  R,
  SE,
  HI,
  LO,
  ENV,
  RC,
  PREC,
  MASK,
  RAISED,
  INDEFINITE_SE,
  INDEFINITE_HI,
  INT_BIT,
  QUIET,
  BIAS,
  W,
  B,
  M,
  N,
  D,
  WORDS,
  ZERO_CLASS,
  NORMAL,
  DENORMAL,
  INFINITY,
  NAN,
  UNSUPPORTED,
} as const;

export function setResult(se: number, hi: number, lo: number): void {
  R[SE] = se;
  R[HI] = hi;
  R[LO] = lo;
}
/** The default NaN, with #IA raised. */
export function invalid(): void {
  ENV[RAISED] |= IE;
  setResult(INDEFINITE_SE, INDEFINITE_HI, 0);
}

/** Upper 32 bits of the product of two uint32, as int32. */
export function umulh(a: number, b: number): number {
  const al = a & 0xffff;
  const ah = a >>> 16;
  const bl = b & 0xffff;
  const bh = b >>> 16;
  const w1 = (Math.imul(ah, bl) + (Math.imul(al, bl) >>> 16)) | 0;
  const w2 = (Math.imul(al, bh) + (w1 & 0xffff)) | 0;
  return (Math.imul(ah, bh) + (w1 >>> 16) + (w2 >>> 16)) | 0;
}

/** Shifts the 96 bits hi:lo:ext right by n >= 0; what falls out sticks to bit 0 of W[2]. */
export function shiftRightJam(hi: number, lo: number, ext: number, n: number): void {
  let h = hi;
  let l = lo;
  let x = ext;
  let left = n;
  if (left >= 32) {
    if (left >= 96) {
      W[0] = W[1] = 0;
      W[2] = (h | l | x) !== 0 ? 1 : 0;
      return;
    }
    while (left >= 32) {
      x = l | (x !== 0 ? 1 : 0);
      l = h;
      h = 0;
      left -= 32;
    }
  }
  if (left !== 0) {
    const up = 32 - left;
    x = (l << up) | (x >>> left) | (x << up !== 0 ? 1 : 0);
    l = (h << up) | (l >>> left);
    h >>>= left;
  }
  W[0] = h;
  W[1] = l;
  W[2] = x;
}

/** Whether a magnitude with fraction `ext` below an odd or even last bit is rounded away from zero. */
function roundsUp(negative: boolean, odd: boolean, ext: number): boolean {
  const mode = ENV[RC];
  if (mode === NEAREST) return ext < 0 && (ext !== INT_BIT || odd);
  return mode === (negative ? DOWN : UP) && ext !== 0;
}

/**
 * Rounds the significand in hi:lo.ext to `precision` (as PREC); leaves it in W[0..1], and in W[2] 0 exact, 1 inexact, 3 inexact and rounded up.
 * Gives true when it overflowed to the next power of two (W is then 0.1000… with the integer bit set: exponent + 1).
 */
export function roundSignificand(negative: boolean, hi: number, lo: number, ext: number, precision: number): boolean {
  let h = hi;
  let l = lo;
  let x = ext;
  let up = false;
  let carried = false;
  if (precision === 0) {
    x = (h << 24) | ((l | x) !== 0 ? 1 : 0);
    h &= ~0xff;
    l = 0;
    if (x !== 0 && roundsUp(negative, (h & 0x100) !== 0, x)) {
      up = true;
      h = (h + 0x100) | 0;
      carried = h === 0;
    }
  } else if (precision === 2) {
    x = (l << 21) | (x !== 0 ? 1 : 0);
    l &= ~0x7ff;
    if (x !== 0 && roundsUp(negative, (l & 0x800) !== 0, x)) {
      up = true;
      l = (l + 0x800) | 0;
      if (l === 0) {
        h = (h + 1) | 0;
        carried = h === 0;
      }
    }
  } else if (x !== 0 && roundsUp(negative, (l & 1) !== 0, x)) {
    up = true;
    l = (l + 1) | 0;
    if (l === 0) {
      h = (h + 1) | 0;
      carried = h === 0;
    }
  }
  if (carried) h = INT_BIT;
  W[0] = h;
  W[1] = l;
  W[2] = x === 0 ? 0 : up ? 3 : 1;
  return carried;
}

/**
 * Rounds a normalised value (bit 31 of hi set; exponent may be out of range) to the precision in force, with the masked or
 * unmasked answers to overflow and underflow of a register destination (SDM vol. 1 8.5.4 and 8.5.5).
 * `sign` is 0 or 0x8000.
 */
export function roundPack(sign: number, exp: number, hi: number, lo: number, ext: number): void {
  roundPackTo(sign, exp, hi, lo, ext, ENV[PREC]);
}

export function roundPackTo(sign: number, exp: number, hi: number, lo: number, ext: number, precision: number): void {
  if (exp > 0 && exp < 0x7fff && (precision === 0 ? (hi & 0xff) | lo | ext : precision === 2 ? (lo & 0x7ff) | ext : ext) === 0) {
    R[SE] = sign | exp;
    R[HI] = hi;
    R[LO] = lo;
    return;
  }
  const carried = roundSignificand(sign !== 0, hi, lo, ext, precision);
  let e = carried ? exp + 1 : exp;
  if (e > 0 && e < 0x7fff) {
    const how = W[2];
    if (how !== 0) ENV[RAISED] |= how === 3 ? PE | C1 : PE;
    R[SE] = sign | e;
    R[HI] = W[0];
    R[LO] = W[1];
    return;
  }
  if (e >= 0x7fff) {
    overflow(sign, e, precision);
    return;
  }
  if ((ENV[MASK] & UE) === 0) {
    // Unmasked: the true result with its exponent brought into range.
    const how = W[2];
    ENV[RAISED] |= UE | (how === 3 ? PE | C1 : how === 1 ? PE : 0);
    e += 0x6000;
    if (e <= 0) {
      // Only scaling gets here: nothing representable is left.
      ENV[RAISED] |= PE;
      ENV[RAISED] &= ~C1;
      setResult(sign, 0, 0);
      return;
    }
    setResult(sign | e, W[0], W[1]);
    return;
  }
  shiftRightJam(hi, lo, ext, 1 - exp);
  roundSignificand(sign !== 0, W[0], W[1], W[2], precision);
  const how = W[2];
  if (how !== 0) ENV[RAISED] |= how === 3 ? UE | PE | C1 : UE | PE;
  setResult(sign | (W[0] < 0 ? 1 : 0), W[0], W[1]);
}

function overflow(sign: number, e: number, precision: number): void {
  const how = W[2];
  if ((ENV[MASK] & OE) === 0) {
    if (e - 0x6000 >= 0x7fff) {
      // Only scaling gets here: too large even with the exponent brought down.
      ENV[RAISED] |= OE | PE | C1;
      setResult(sign | 0x7fff, INT_BIT, 0);
      return;
    }
    ENV[RAISED] |= OE | (how === 3 ? PE | C1 : how === 1 ? PE : 0);
    setResult(sign | (e - 0x6000), W[0], W[1]);
    return;
  }
  ENV[RAISED] |= OE | PE;
  const mode = ENV[RC];
  if (mode === NEAREST || mode === (sign !== 0 ? DOWN : UP)) {
    ENV[RAISED] |= C1;
    setResult(sign | 0x7fff, INT_BIT, 0);
  } else if (precision === 0) setResult(sign | 0x7ffe, 0xffffff00 | 0, 0);
  else setResult(sign | 0x7ffe, -1, precision === 2 ? 0xfffff800 | 0 : -1);
}

/** As `roundPack` for any significand, zero included (which gets the sign given). */
export function normalizeRoundPack(sign: number, exp: number, hi: number, lo: number, ext: number): void {
  let h = hi;
  let l = lo;
  let x = ext;
  let e = exp;
  while (h === 0) {
    if ((l | x) === 0) {
      setResult(sign, 0, 0);
      return;
    }
    h = l;
    l = x;
    x = 0;
    e -= 32;
  }
  const n = Math.clz32(h);
  if (n !== 0) {
    const down = 32 - n;
    h = (h << n) | (l >>> down);
    l = (l << n) | (x >>> down);
    x <<= n;
    e -= n;
  }
  roundPackTo(sign, e, h, l, x, ENV[PREC]);
}
