import {
  BIAS,
  C1,
  DE,
  DOWN,
  ENV,
  HI,
  IE,
  INT_BIT,
  invalid,
  LO,
  NEAREST,
  normalizeRoundPack,
  PE,
  QUIET,
  R,
  RAISED,
  RC,
  roundPack,
  roundPackTo,
  SE,
  setResult,
  shiftRightJam,
  umulh,
  UP,
  W,
  ZE,
} from "./env.ts";

/**
 * Arithmetic on 80-bit extended reals as the x87 does it (SDM vol. 1 chapters 4 and 8), on int32 words, without allocation.
 * Operands come as (se, hi, lo) triples, results go to `R`, exceptions to `ENV[RAISED]`.
 */

/** What an operand is. Denormals include pseudo-denormals. Unsupported: unnormal, pseudo-infinity, pseudo-NaN. */
export const ZERO_CLASS = 0,
  NORMAL = 1,
  DENORMAL = 2,
  INFINITY = 3,
  NAN = 4,
  UNSUPPORTED = 5;

export function classify(se: number, hi: number, lo: number): number {
  const e = se & 0x7fff;
  if (hi < 0) {
    if (e === 0x7fff) return hi === INT_BIT && lo === 0 ? INFINITY : NAN;
    return e === 0 ? DENORMAL : NORMAL;
  }
  if (e !== 0) return UNSUPPORTED;
  return (hi | lo) === 0 ? ZERO_CLASS : DENORMAL;
}
export function isSignaling(hi: number): boolean {
  return (hi & QUIET) === 0;
}

/**
 * The answer to an operation with a NaN or an unsupported operand: the NaN with the larger significand, made quiet
 * (SDM vol. 1 table 4-7). Gives false when neither operand is one.
 */
function special(ac: number, ase: number, ahi: number, alo: number, bc: number, bse: number, bhi: number, blo: number): boolean {
  if (ac < NAN && bc < NAN) return false;
  if (ac === UNSUPPORTED || bc === UNSUPPORTED) {
    invalid();
    return true;
  }
  const asn = ac === NAN && isSignaling(ahi);
  const bsn = bc === NAN && isSignaling(bhi);
  if (asn || bsn) ENV[RAISED] |= IE;
  let first: boolean;
  if (ac !== NAN) first = false;
  else if (bc !== NAN) first = true;
  else if (asn !== bsn) first = bsn;
  else if (ahi !== bhi) first = ahi >>> 0 > bhi >>> 0;
  else if (alo !== blo) first = alo >>> 0 > blo >>> 0;
  else first = (ase & 0x8000) === 0;
  if (first) setResult(ase, ahi | QUIET, alo);
  else setResult(bse, bhi | QUIET, blo);
  return true;
}
/** The same for one operand. */
export function specialOne(c: number, se: number, hi: number, lo: number): boolean {
  if (c < NAN) return false;
  if (c === UNSUPPORTED) invalid();
  else {
    if (isSignaling(hi)) ENV[RAISED] |= IE;
    setResult(se, hi | QUIET, lo);
  }
  return true;
}
export { special as specialTwo };

/** A denormal operand brought to normal form: N[0] exponent (may be below 1), N[1] hi, N[2] lo. */
export const N = new Int32Array(4);
export function normalize(hi: number, lo: number): void {
  let h = hi;
  let l = lo;
  let e = 1;
  if (h === 0) {
    h = l;
    l = 0;
    e = -31;
  }
  const n = Math.clz32(h);
  if (n !== 0) {
    h = (h << n) | (l >>> (32 - n));
    l <<= n;
    e -= n;
  }
  N[0] = e;
  N[1] = h;
  N[2] = l;
}

/** a + b, or a - b with `flip` 0x8000. */
export function add(ase: number, ahi: number, alo: number, bse0: number, bhi: number, blo: number, flip: number): void {
  const ac = classify(ase, ahi, alo);
  const bc = classify(bse0, bhi, blo);
  if (ac !== NORMAL || bc !== NORMAL) {
    addSpecial(ac, ase, ahi, alo, bc, bse0, bhi, blo, flip);
    return;
  }
  const bse = bse0 ^ flip;
  if (((ase ^ bse) & 0x8000) === 0) addMagnitudes(ase & 0x8000, ase & 0x7fff, ahi, alo, bse & 0x7fff, bhi, blo);
  else subMagnitudes(ase & 0x8000, ase & 0x7fff, ahi, alo, bse & 0x7fff, bhi, blo);
}

function addSpecial(ac: number, ase: number, ahi: number, alo: number, bc: number, bse0: number, bhi: number, blo: number, flip: number): void {
  // A subtrahend NaN keeps its own sign.
  if (special(ac, ase, ahi, alo, bc, bse0, bhi, blo)) return;
  const bse = bse0 ^ flip;
  const as = ase & 0x8000;
  const bs = bse & 0x8000;
  if (ac === INFINITY || bc === INFINITY) {
    if (ac === bc && as !== bs) invalid();
    else {
      if (ac === DENORMAL || bc === DENORMAL) ENV[RAISED] |= DE;
      setResult((ac === INFINITY ? as : bs) | 0x7fff, INT_BIT, 0);
    }
    return;
  }
  if (ac === ZERO_CLASS && bc === ZERO_CLASS) {
    setResult(as === bs ? as : ENV[RC] === DOWN ? 0x8000 : 0, 0, 0);
    return;
  }
  if (ac === DENORMAL || bc === DENORMAL) ENV[RAISED] |= DE;
  let ae = ase & 0x7fff;
  let ah = ahi;
  let al = alo;
  if (ac === DENORMAL) {
    normalize(ahi, alo);
    ae = N[0];
    ah = N[1];
    al = N[2];
  }
  let be = bse & 0x7fff;
  let bh = bhi;
  let bl = blo;
  if (bc === DENORMAL) {
    normalize(bhi, blo);
    be = N[0];
    bh = N[1];
    bl = N[2];
  }
  if (ac === ZERO_CLASS) roundPack(bs, be, bh, bl, 0);
  else if (bc === ZERO_CLASS) roundPack(as, ae, ah, al, 0);
  else if (as === bs) addMagnitudes(as, ae, ah, al, be, bh, bl);
  else subMagnitudes(as, ae, ah, al, be, bh, bl);
}

function addMagnitudes(sign: number, ae: number, ahi: number, alo: number, be: number, bhi: number, blo: number): void {
  let e = ae;
  let h: number;
  let l: number;
  let x = 0;
  if (ae === be) {
    h = bhi;
    l = blo;
  } else if (ae > be) {
    shiftRightJam(bhi, blo, 0, ae - be);
    h = W[0];
    l = W[1];
    x = W[2];
  } else {
    e = be;
    shiftRightJam(ahi, alo, 0, be - ae);
    h = W[0];
    l = W[1];
    x = W[2];
  }
  const oh = ae >= be ? ahi : bhi;
  const ol = ae >= be ? alo : blo;
  l = (l + ol) | 0;
  const carry = l >>> 0 < ol >>> 0 ? 1 : 0;
  const sum = (h >>> 0) + (oh >>> 0) + carry;
  h = sum | 0;
  if (sum > 0xffffffff) {
    x = (l << 31) | (x >>> 1) | (x & 1);
    l = (h << 31) | (l >>> 1);
    h = (h >>> 1) | INT_BIT;
    e++;
  }
  roundPack(sign, e, h, l, x);
}

function subMagnitudes(sign0: number, ae0: number, ahi0: number, alo0: number, be0: number, bhi0: number, blo0: number): void {
  let sign = sign0;
  let ae = ae0;
  let ahi = ahi0;
  let alo = alo0;
  let be = be0;
  let bhi = bhi0;
  let blo = blo0;
  const swap = ae < be || (ae === be && (ahi === bhi ? alo >>> 0 < blo >>> 0 : ahi >>> 0 < bhi >>> 0));
  if (swap) {
    sign ^= 0x8000;
    ae = be0;
    ahi = bhi0;
    alo = blo0;
    be = ae0;
    bhi = ahi0;
    blo = alo0;
  }
  let x = 0;
  if (ae !== be) {
    shiftRightJam(bhi, blo, 0, ae - be);
    bhi = W[0];
    blo = W[1];
    x = W[2];
  } else if (ahi === bhi && alo === blo) {
    setResult(ENV[RC] === DOWN ? 0x8000 : 0, 0, 0);
    return;
  }
  let borrow = x !== 0 ? 1 : 0;
  const l = (alo - blo - borrow) | 0;
  borrow = (alo >>> 0) - (blo >>> 0) - borrow < 0 ? 1 : 0;
  const h = (ahi - bhi - borrow) | 0;
  x = -x | 0;
  if (h < 0) roundPack(sign, ae, h, l, x);
  else normalizeRoundPack(sign, ae, h, l, x);
}

export function mul(ase: number, ahi: number, alo: number, bse: number, bhi: number, blo: number): void {
  const ac = classify(ase, ahi, alo);
  const bc = classify(bse, bhi, blo);
  const sign = (ase ^ bse) & 0x8000;
  let ae = ase & 0x7fff;
  let be = bse & 0x7fff;
  let ah = ahi;
  let al = alo;
  let bh = bhi;
  let bl = blo;
  if (ac !== NORMAL || bc !== NORMAL) {
    if (special(ac, ase, ahi, alo, bc, bse, bhi, blo)) return;
    if ((ac === INFINITY && bc === ZERO_CLASS) || (ac === ZERO_CLASS && bc === INFINITY)) {
      invalid();
      return;
    }
    if (ac === DENORMAL || bc === DENORMAL) ENV[RAISED] |= DE;
    if (ac === INFINITY || bc === INFINITY) {
      setResult(sign | 0x7fff, INT_BIT, 0);
      return;
    }
    if (ac === ZERO_CLASS || bc === ZERO_CLASS) {
      setResult(sign, 0, 0);
      return;
    }
    if (ac === DENORMAL) {
      normalize(ahi, alo);
      ae = N[0];
      ah = N[1];
      al = N[2];
    }
    if (bc === DENORMAL) {
      normalize(bhi, blo);
      be = N[0];
      bh = N[1];
      bl = N[2];
    }
  }
  let p3 = umulh(ah, bh);
  let p2 = Math.imul(ah, bh);
  let p1 = 0;
  let sticky = 0;
  if (al !== 0) {
    const up = umulh(al, bh);
    p1 = Math.imul(al, bh);
    p2 = (p2 + up) | 0;
    if (p2 >>> 0 < up >>> 0) p3 = (p3 + 1) | 0;
  }
  if (bl !== 0) {
    const m = Math.imul(ah, bl);
    let up = umulh(ah, bl);
    p1 = (p1 + m) | 0;
    // The upper word of a 64-bit product is at most FFFFFFFE: adding the carry cannot wrap.
    if (p1 >>> 0 < m >>> 0) up = (up + 1) | 0;
    p2 = (p2 + up) | 0;
    if (p2 >>> 0 < up >>> 0) p3 = (p3 + 1) | 0;
    if (al !== 0) {
      sticky = Math.imul(al, bl) !== 0 ? 1 : 0;
      const low = umulh(al, bl);
      p1 = (p1 + low) | 0;
      if (p1 >>> 0 < low >>> 0) {
        p2 = (p2 + 1) | 0;
        if (p2 === 0) p3 = (p3 + 1) | 0;
      }
      // The word below p1 matters for the bit that the normalising shift brings up: it is the top of al * bl's low half.
      if (p3 >= 0) {
        const low0 = Math.imul(al, bl);
        roundPack(sign, ae + be - BIAS, (p3 << 1) | (p2 >>> 31), (p2 << 1) | (p1 >>> 31), (p1 << 1) | (low0 >>> 31) | (low0 << 1 !== 0 ? 1 : 0));
        return;
      }
    }
  }
  const e = ae + be - BIAS + 1;
  if (p3 < 0) roundPack(sign, e, p3, p2, p1 | sticky);
  else roundPack(sign, e - 1, (p3 << 1) | (p2 >>> 31), (p2 << 1) | (p1 >>> 31), p1 << 1);
}

/** Output of `divideDigit`: quotient digit, then the remainder's two words. */
const D = new Int32Array(4);
/**
 * One 32-bit digit of a division: (r2:r1:r0) / (bh:bl) where r2:r1 < bh:bl and bit 31 of bh is set. The estimate in
 * double precision is off by one at most.
 */
function divideDigit(r2: number, r1: number, r0: number, bh: number, bl: number): void {
  const dividend = ((r2 >>> 0) * 4294967296 + (r1 >>> 0)) * 4294967296 + (r0 >>> 0);
  let quotient = Math.floor(dividend / ((bh >>> 0) * 4294967296 + (bl >>> 0)));
  if (quotient > 0xffffffff) quotient = 0xffffffff;
  let q = quotient | 0;
  const s0 = Math.imul(q, bl);
  const m1 = Math.imul(q, bh);
  const s1 = (umulh(q, bl) + m1) | 0;
  const s2 = (umulh(q, bh) + (s1 >>> 0 < m1 >>> 0 ? 1 : 0)) | 0;
  let d0 = (r0 - s0) | 0;
  let borrow = r0 >>> 0 < s0 >>> 0 ? 1 : 0;
  let d1 = (r1 - s1 - borrow) | 0;
  borrow = (r1 >>> 0) - (s1 >>> 0) - borrow < 0 ? 1 : 0;
  const d2 = (r2 - s2 - borrow) | 0;
  if (d2 < 0) {
    q = (q - 1) | 0;
    d0 = (d0 + bl) | 0;
    d1 = (d1 + bh + (d0 >>> 0 < bl >>> 0 ? 1 : 0)) | 0;
  } else if (d2 > 0 || d1 >>> 0 > bh >>> 0 || (d1 === bh && d0 >>> 0 >= bl >>> 0)) {
    q = (q + 1) | 0;
    borrow = d0 >>> 0 < bl >>> 0 ? 1 : 0;
    d0 = (d0 - bl) | 0;
    d1 = (d1 - bh - borrow) | 0;
  }
  D[0] = q;
  D[1] = d1;
  D[2] = d0;
}

export function div(ase: number, ahi: number, alo: number, bse: number, bhi: number, blo: number): void {
  const ac = classify(ase, ahi, alo);
  const bc = classify(bse, bhi, blo);
  const sign = (ase ^ bse) & 0x8000;
  let ae = ase & 0x7fff;
  let be = bse & 0x7fff;
  let ah = ahi;
  let al = alo;
  let bh = bhi;
  let bl = blo;
  if (ac !== NORMAL || bc !== NORMAL) {
    if (special(ac, ase, ahi, alo, bc, bse, bhi, blo)) return;
    if ((ac === INFINITY && bc === INFINITY) || (ac === ZERO_CLASS && bc === ZERO_CLASS)) {
      invalid();
      return;
    }
    if (bc === ZERO_CLASS && ac !== INFINITY) {
      ENV[RAISED] |= ZE;
      setResult(sign | 0x7fff, INT_BIT, 0);
      return;
    }
    if (ac === DENORMAL || bc === DENORMAL) ENV[RAISED] |= DE;
    if (ac === INFINITY) {
      setResult(sign | 0x7fff, INT_BIT, 0);
      return;
    }
    if (ac === ZERO_CLASS || bc === INFINITY) {
      setResult(sign, 0, 0);
      return;
    }
    if (ac === DENORMAL) {
      normalize(ahi, alo);
      ae = N[0];
      ah = N[1];
      al = N[2];
    }
    if (bc === DENORMAL) {
      normalize(bhi, blo);
      be = N[0];
      bh = N[1];
      bl = N[2];
    }
  }
  let e = ae - be + BIAS;
  let r0 = 0;
  if (ah >>> 0 > bh >>> 0 || (ah === bh && al >>> 0 >= bl >>> 0)) {
    r0 = al << 31;
    al = (ah << 31) | (al >>> 1);
    ah >>>= 1;
  } else e--;
  divideDigit(ah, al, r0, bh, bl);
  const q1 = D[0];
  divideDigit(D[1], D[2], 0, bh, bl);
  const q0 = D[0];
  const d1 = D[1];
  const d0 = D[2];
  let ext = 0;
  if ((d1 | d0) !== 0) {
    // The remainder against half the divisor.
    const t1 = (d1 << 1) | (d0 >>> 31);
    const t0 = d0 << 1;
    if (d1 < 0 || t1 >>> 0 > bh >>> 0 || (t1 === bh && t0 >>> 0 > bl >>> 0)) ext = 0xc0000000 | 0;
    else ext = t1 === bh && t0 === bl ? INT_BIT : 0x40000000;
  }
  roundPack(sign, e, q1, q0, ext);
}

export function sqrt(se: number, hi: number, lo: number): void {
  const c = classify(se, hi, lo);
  let e = se & 0x7fff;
  let h = hi;
  let l = lo;
  if (c !== NORMAL || (se & 0x8000) !== 0) {
    if (specialOne(c, se, hi, lo)) return;
    if (c === ZERO_CLASS) {
      setResult(se, 0, 0);
      return;
    }
    if ((se & 0x8000) !== 0) {
      invalid();
      return;
    }
    if (c === INFINITY) {
      setResult(se, hi, lo);
      return;
    }
    if (c === DENORMAL) {
      ENV[RAISED] |= DE;
      normalize(hi, lo);
      e = N[0];
      h = N[1];
      l = N[2];
    }
  }
  const unbiased = e - BIAS;
  let x = 0;
  if ((unbiased & 1) === 0) {
    x = l << 31;
    l = (h << 31) | (l >>> 1);
    h >>>= 1;
  }
  const top = (h >>> 0) * 4294967296 + (l >>> 0);
  let q1 = Math.floor(Math.sqrt(top));
  if (q1 > 0xffffffff) q1 = 0xffffffff;
  // The remainder top - q1² is small: exact as a number from the difference of the words.
  const s0 = Math.imul(q1, q1) >>> 0;
  const s1 = umulh(q1, q1) >>> 0;
  let rem = ((h >>> 0) - s1) * 4294967296 + ((l >>> 0) - s0);
  while (rem < 0) {
    q1--;
    rem += 2 * q1 + 1;
  }
  while (rem > 2 * q1) {
    rem -= 2 * q1 + 1;
    q1++;
  }
  const xu = x >>> 0;
  let q0 = Math.floor((rem * 4294967296 + xu) / (2 * q1));
  if (q0 > 0xffffffff) q0 = 0xffffffff;
  const p0 = Math.imul(q1, q0) >>> 0;
  const p1 = umulh(q1, q0) >>> 0;
  const w0 = Math.imul(q0, q0) >>> 0;
  const w1 = umulh(q0, q0) >>> 0;
  let v = -w0;
  let d0 = v >>> 0;
  v = xu - p0 - p0 - w1 + Math.floor(v / 4294967296);
  let d1 = v >>> 0;
  let d2 = ((rem % 4294967296) - p1 - p1 + Math.floor(v / 4294967296)) | 0;
  while (d2 < 0) {
    q0--;
    v = d0 + 2 * q0 + 1;
    d0 = v >>> 0;
    v = d1 + 2 * q1 + Math.floor(v / 4294967296);
    d1 = v >>> 0;
    d2 = (d2 + Math.floor(v / 4294967296)) | 0;
  }
  while (q0 < 0xffffffff) {
    // One more while the remainder is over twice the root.
    v = d0 - (2 * q0 + 1);
    const n0 = v >>> 0;
    v = d1 - 2 * q1 + Math.floor(v / 4294967296);
    const n1 = v >>> 0;
    const n2 = d2 + Math.floor(v / 4294967296);
    if (n2 < 0) break;
    q0++;
    d0 = n0;
    d1 = n1;
    d2 = n2;
  }
  let ext = 0;
  if (d2 !== 0 || d1 !== 0 || d0 !== 0) ext = d2 !== 0 || d1 > q1 || (d1 === q1 && d0 > q0) ? 0xc0000000 | 0 : 0x40000000;
  roundPack(0, (unbiased >> 1) + BIAS, q1 | 0, q0 | 0, ext);
}

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
  if (special(ac, ase, ahi, alo, bc, bse, bhi, blo)) return 0;
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
  if (special(ac, ase, ahi, alo, bc, bse, bhi, blo)) return;
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
