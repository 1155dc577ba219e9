import { invalid, setResult, X87 } from "./env.ts";

const { IE, ENV, RAISED, INT_BIT, QUIET, N, ZERO_CLASS, NORMAL, DENORMAL, INFINITY, NAN, UNSUPPORTED } = X87;

/** What 80-bit operands are, what NaNs answer, and denormals brought to normal form. */

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
export function specialTwo(ac: number, ase: number, ahi: number, alo: number, bc: number, bse: number, bhi: number, blo: number): boolean {
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
