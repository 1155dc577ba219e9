import { classify, specialTwo, specialOne, normalize } from "./classes.ts";
import { invalid, normalizeRoundPack, roundPack, setResult, shiftRightJam, umulh, X87 } from "./env.ts";

const { DE, ZE, DOWN, ENV, RC, RAISED, INT_BIT, BIAS, W, N, D, ZERO_CLASS, NORMAL, DENORMAL, INFINITY } = X87;

/**
 * Arithmetic on 80-bit extended reals as the x87 does it (SDM vol. 1 chapters 4 and 8), on int32 words, without allocation.
 * Operands come as (se, hi, lo) triples, results go to `R`, exceptions to `ENV[RAISED]`.
 */
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
  if (specialTwo(ac, ase, ahi, alo, bc, bse0, bhi, blo)) return;
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
    if (specialTwo(ac, ase, ahi, alo, bc, bse, bhi, blo)) return;
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

/**
 * One 32-bit digit of a division: (r2:r1:r0) / (bh:bl) where r2:r1 < bh:bl and bit 31 of bh is set. The estimate in
 * double precision is off by one at most.
 */
export function divideDigit(r2: number, r1: number, r0: number, bh: number, bl: number): void {
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
    if (specialTwo(ac, ase, ahi, alo, bc, bse, bhi, blo)) return;
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
