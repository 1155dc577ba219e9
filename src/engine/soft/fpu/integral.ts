import { classify, isSignaling, specialTwo, specialOne, normalize } from "./classes.ts";
import { invalid, roundPackTo, setResult, shiftRightJam, X87 } from "./env.ts";
import { divideDigit } from "./floatx80.ts";

const {
  IE,
  DE,
  PE,
  C1,
  NEAREST,
  DOWN,
  UP,
  R,
  SE,
  HI,
  LO,
  ENV,
  RC,
  RAISED,
  INT_BIT,
  BIAS,
  W,
  N,
  D,
  ZERO_CLASS,
  DENORMAL,
  INFINITY,
  NAN,
  UNSUPPORTED,
} = X87;

/** Comparison, rounding to integers, remainders and scaling of 80-bit reals. */

/** Result of a comparison as condition codes: above 0, below C0, equal C3, unordered C0 C2 C3. `quiet`: no #IA for quiet NaNs (FUCOM). */
export function compare(ase: number, ahi: number, alo: number, bse: number, bhi: number, blo: number, quiet: boolean): number {
  const ac = classify(ase, ahi, alo);
  const bc = classify(bse, bhi, blo);
  if (ac >= NAN || bc >= NAN) {
    if (!quiet || ac === UNSUPPORTED || bc === UNSUPPORTED || (ac === NAN && isSignaling(ahi)) || (bc === NAN && isSignaling(bhi))) ENV[RAISED] |= IE;
    return 0x4500;
  }
  if (ac === DENORMAL || bc === DENORMAL) ENV[RAISED] |= DE;
  if (ac === ZERO_CLASS && bc === ZERO_CLASS) return 0x4000;
  if (((ase ^ bse) & 0x8000) !== 0) return (ase & 0x8000) !== 0 ? 0x100 : 0;
  // A pseudo-denormal has exponent 1 in disguise.
  const ae = ac === DENORMAL ? 1 : ase & 0x7fff;
  const be = bc === DENORMAL ? 1 : bse & 0x7fff;
  let less: boolean;
  if (ac === ZERO_CLASS || bc === ZERO_CLASS) less = ac === ZERO_CLASS;
  else if (ae !== be) less = ae < be;
  else if (ahi !== bhi) less = ahi >>> 0 < bhi >>> 0;
  else if (alo !== blo) less = alo >>> 0 < blo >>> 0;
  else return 0x4000;
  return less !== ((ase & 0x8000) !== 0) ? 0x100 : 0;
}

/** Rounds to an integer in the current mode (FRNDINT). */
export function roundToInt(se: number, hi: number, lo: number): void {
  const c = classify(se, hi, lo);
  if (specialOne(c, se, hi, lo)) return;
  const e = se & 0x7fff;
  if (c === ZERO_CLASS || c === INFINITY || e >= BIAS + 63) {
    setResult(se, hi, lo);
    return;
  }
  if (c === DENORMAL) ENV[RAISED] |= DE;
  const up = toInteger(se & 0x8000, c === DENORMAL ? 1 : e, hi, lo);
  if (W[2] !== 0) ENV[RAISED] |= up ? PE | C1 : PE;
  const h = W[0];
  const l = W[1];
  if ((h | l) === 0) setResult(se & 0x8000, 0, 0);
  else {
    normalize(h, l);
    // The integer's last bit weighs 1: exponent 63 above what normalize takes it for.
    setResult((se & 0x8000) | (N[0] - 1 + BIAS + 63), N[1], N[2]);
  }
}

/**
 * The magnitude rounded to an integer in the current mode, for exponents below bias + 64: W[0..1], and W[2] the fraction that was
 * lost. Gives true when rounded away from zero. W[3] is 1 when the rounding carried out of 64 bits.
 */
export function toInteger(sign: number, e: number, hi: number, lo: number): boolean {
  shiftRightJam(hi, lo, 0, BIAS + 63 - e);
  const mode = ENV[RC];
  const x = W[2];
  W[3] = 0;
  if (x === 0) return false;
  const up = mode === NEAREST ? x < 0 && (x !== INT_BIT || (W[1] & 1) !== 0) : mode === (sign !== 0 ? DOWN : UP);
  if (up) {
    W[1] = W[1] + 1;
    if (W[1] === 0) {
      W[0] = W[0] + 1;
      if (W[0] === 0) W[3] = 1;
    }
  }
  return up;
}

/** FPREM (truncating) and FPREM1 (nearest) of a / b. Gives the condition codes: C2 when only part of the way, else the quotient's low bits. */
export function remainder(ase: number, ahi: number, alo: number, bse: number, bhi: number, blo: number, nearest: boolean): number {
  const ac = classify(ase, ahi, alo);
  const bc = classify(bse, bhi, blo);
  if (specialTwo(ac, ase, ahi, alo, bc, bse, bhi, blo)) return 0;
  if (ac === INFINITY || bc === ZERO_CLASS) {
    invalid();
    return 0;
  }
  if (ac === DENORMAL || bc === DENORMAL) ENV[RAISED] |= DE;
  if (ac === ZERO_CLASS) {
    setResult(ase & 0x8000, 0, 0);
    return 0;
  }
  let sign = ase & 0x8000;
  let ae = ase & 0x7fff;
  let be = bse & 0x7fff;
  let rh = ahi;
  let rl = alo;
  let bh = bhi;
  let bl = blo;
  if (ac === DENORMAL) {
    normalize(ahi, alo);
    ae = N[0];
    rh = N[1];
    rl = N[2];
  }
  if (bc === INFINITY) {
    unchanged(ac, ase, ahi, alo);
    return 0;
  }
  if (bc === DENORMAL) {
    normalize(bhi, blo);
    be = N[0];
    bh = N[1];
    bl = N[2];
  }
  const distance = ae - be;
  if (distance < (nearest ? -1 : 0)) {
    roundPackTo(sign, ae, rh, rl, 0, 3);
    return 0;
  }
  let q = 0;
  let e = be;
  let left = distance;
  if (distance >= 64) {
    // Part of the way: the exponent comes down by 32 to 63, as many as make the rest a multiple of 32.
    left = (distance & 31) | 32;
    e = ae - left;
  }
  if (distance === -1) e = ae;
  else {
    if (rh >>> 0 > bh >>> 0 || (rh === bh && rl >>> 0 >= bl >>> 0)) {
      const borrow = rl >>> 0 < bl >>> 0 ? 1 : 0;
      rl = (rl - bl) | 0;
      rh = (rh - bh - borrow) | 0;
      q = 1;
    }
    while (left > 0) {
      const k = left >= 32 ? 32 : left;
      if (k === 32) divideDigit(rh, rl, 0, bh, bl);
      else divideDigit(rh >>> (32 - k), (rh << k) | (rl >>> (32 - k)), rl << k, bh, bl);
      q = k === 32 ? D[0] : (q << k) | D[0];
      rh = D[1];
      rl = D[2];
      left -= k;
    }
  }
  if (distance >= 64) {
    const precise = e;
    if ((rh | rl) === 0) setResult(sign, 0, 0);
    else normalizeTo64(sign, precise, rh, rl);
    return 0x400;
  }
  if (nearest) {
    // 2r against b; for distance -1 r is a, which lies one binary place lower.
    let over: boolean;
    let tie = false;
    if (distance === -1) {
      over = rh >>> 0 > bh >>> 0 || (rh === bh && rl >>> 0 > bl >>> 0);
      tie = rh === bh && rl === bl;
    } else {
      const t1 = (rh << 1) | (rl >>> 31);
      const t0 = rl << 1;
      over = rh < 0 || t1 >>> 0 > bh >>> 0 || (t1 === bh && t0 >>> 0 > bl >>> 0);
      tie = rh >= 0 && t1 === bh && t0 === bl;
    }
    if (over || (tie && (q & 1) !== 0)) {
      sign ^= 0x8000;
      q = (q + 1) | 0;
      if (distance === -1) {
        // b - a with b doubled to a's scale; both below 2^65, the difference below 2^64.
        const b1 = (bh << 1) | (bl >>> 31);
        const b0 = bl << 1;
        const borrow = b0 >>> 0 < rl >>> 0 ? 1 : 0;
        rl = (b0 - rl) | 0;
        rh = (b1 - rh - borrow) | 0;
      } else {
        const borrow = bl >>> 0 < rl >>> 0 ? 1 : 0;
        rl = (bl - rl) | 0;
        rh = (bh - rh - borrow) | 0;
      }
    }
  }
  if ((rh | rl) === 0) setResult(ase & 0x8000, 0, 0);
  else normalizeTo64(sign, e, rh, rl);
  return ((q & 4) << 6) | ((q & 1) << 9) | ((q & 2) << 13);
}
/** The operand as result, without #U for a denormal; a pseudo-denormal gets its true exponent. */
function unchanged(c: number, se: number, hi: number, lo: number): void {
  setResult(c === DENORMAL && hi < 0 ? se | 1 : se, hi, lo);
}
function normalizeTo64(sign: number, e: number, hi: number, lo: number): void {
  normalize(hi, lo);
  roundPackTo(sign, N[0] - 1 + e, N[1], N[2], 0, 3);
}

/** a * 2^trunc(b) (FSCALE). */
export function scale(ase: number, ahi: number, alo: number, bse: number, bhi: number, blo: number): void {
  const ac = classify(ase, ahi, alo);
  const bc = classify(bse, bhi, blo);
  if (specialTwo(ac, ase, ahi, alo, bc, bse, bhi, blo)) return;
  const sign = ase & 0x8000;
  if (bc === INFINITY) {
    if ((bse & 0x8000) === 0 ? ac === ZERO_CLASS : ac === INFINITY) invalid();
    else {
      if (ac === DENORMAL) ENV[RAISED] |= DE;
      if ((bse & 0x8000) === 0) setResult(sign | 0x7fff, INT_BIT, 0);
      else setResult(sign, 0, 0);
    }
    return;
  }
  if (ac === DENORMAL || bc === DENORMAL) ENV[RAISED] |= DE;
  if (ac === INFINITY || ac === ZERO_CLASS) {
    setResult(ase, ahi, alo);
    return;
  }
  if (bc === ZERO_CLASS) {
    unchanged(ac, ase, ahi, alo);
    return;
  }
  let ae = ase & 0x7fff;
  let ah = ahi;
  let al = alo;
  if (ac === DENORMAL) {
    normalize(ahi, alo);
    ae = N[0];
    ah = N[1];
    al = N[2];
  }
  const be = bse & 0x7fff;
  let by = 0;
  if (be >= BIAS) {
    by = be > BIAS + 16 ? 0x20000 : bhi >>> (31 - (be - BIAS));
    if ((bse & 0x8000) !== 0) by = -by;
  }
  roundPackTo(sign, ae + by, ah, al, 0, 3);
}

/** The exponent as a real (FXTRACT's first result) of a finite non-zero operand with unbiased exponent e. */
export function fromSmallInt(n: number): void {
  if (n === 0) {
    setResult(0, 0, 0);
    return;
  }
  const magnitude = Math.abs(n) | 0;
  const shift = Math.clz32(magnitude);
  setResult((n < 0 ? 0x8000 : 0) | (BIAS + 31 - shift), magnitude << shift, 0);
}
/** A copy of R's three words to the place given, for callers that need two results. */
export function takeResult(into: Int32Array): void {
  into[SE] = R[SE];
  into[HI] = R[HI];
  into[LO] = R[LO];
}
