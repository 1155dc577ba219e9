import type { Cpu } from "../cpu.ts";
import { loadSt } from "./arith.ts";
import { atan, cos, exp2m1, type Fixed, fixedOf, log2OfRatio, PI, quotient, roundFixed, sin, times, withFraction } from "./bigfix.ts";
import { invalid, roundPackTo, setResult, X87 } from "./env.ts";
import { classify, normalize, specialOne, specialTwo } from "./classes.ts";
import { takeResult } from "./integral.ts";
import { type Body, commit, commitWith, forbidden, isEmpty, overflowed, pop, pushResult, setSt, storeResult, underflowed } from "./stack.ts";
import { STATE } from "../state-layout.ts";

const { DE, ZE, UE, PE, ZERO, R, SE, HI, LO, ENV, RC, RAISED, INT_BIT, BIAS, B, N, ZERO_CLASS, DENORMAL, INFINITY } = X87;

/**
 * FSIN FCOS FSINCOS FPTAN FPATAN F2XM1 FYL2X FYL2XP1 (SDM vol. 1 8.3.8 to 8.3.10). Arguments of the trigonometric ones are reduced
 * with the processor's 66-bit pi, so sin(pi) is what the silicon says. Results are correctly rounded in the rounding mode in force where
 * the silicon is within one unit in the last place.
 */

/** Pi as the processor knows it: 0.C90FDAA22168C234C * 2^2. */
const PI66 = 0xc90fdaa22168c234cn;
const PI66_FRACTION = 66;

/** Exponent, hi, lo of an operand, normalised with #D when denormal. */
const X = new Int32Array(3);
function take(c: number, se: number, hi: number, lo: number, into: Int32Array): void {
  if (c === DENORMAL) {
    ENV[RAISED] |= DE;
    normalize(hi, lo);
    into[0] = N[0];
    into[1] = N[1];
    into[2] = N[2];
    return;
  }
  into[0] = se & 0x7fff;
  into[1] = hi;
  into[2] = lo;
}

/** A value a hair smaller in magnitude than hi:lo: what sin x is for small x. */
function almost(sign: number, e: number, hi: number, lo: number): void {
  const l = (lo - 1) | 0;
  const h = lo === 0 ? (hi - 1) | 0 : hi;
  if (h < 0) roundPackTo(sign, e, h, l, -1, 3);
  else roundPackTo(sign, e - 1, -1, -1, -1, 3);
}
/** hi:lo as it is, with #P (and #U where it is denormal). */
function truncated(sign: number, e: number, hi: number, lo: number): void {
  const mode = ENV[RC];
  ENV[RC] = ZERO;
  roundPackTo(sign, e, hi, lo, 1, 3);
  ENV[RC] = mode;
}

/** #P for an exact result that the silicon calls inexact; #U too where it is denormal. */
function alwaysInexact(): void {
  ENV[RAISED] |= (R[SE] & 0x7fff) === 0 && (R[HI] | R[LO]) !== 0 ? PE | UE : PE;
}

interface Reduced {
  readonly quadrant: number;
  readonly r: Fixed;
  /** The remainder is negative. */
  readonly below: boolean;
}
/** x (positive) minus the nearest multiple of pi/2. */
function reduce(x: Fixed): Reduced {
  const halfPiFraction = PI66_FRACTION + 1;
  const w = Math.max(halfPiFraction, x.w);
  const v = withFraction(x, w);
  const halfPi = PI66 << BigInt(w - halfPiFraction);
  const n = (v * 2n + halfPi) / (halfPi * 2n);
  const r = v - n * halfPi;
  return { quadrant: Number(n & 3n), r: { v: r < 0n ? -r : r, w }, below: r < 0n };
}

/** Below 2^-34 series have one term; below 2^-68 the processor gives sine and tangent as the operand in every rounding mode. */
const TINY = BIAS - 33;
const TINIEST = BIAS - 68;
/** Sine and cosine of a finite, non-zero operand below 2^63; results are rounded one at a time by `give`. */
class Angle {
  readonly #sign: number;
  readonly #e: number;
  readonly #hi: number;
  readonly #lo: number;
  readonly #reduced: Reduced | undefined;
  constructor(sign: number, e: number, hi: number, lo: number) {
    this.#sign = sign;
    this.#e = e;
    this.#hi = hi;
    this.#lo = lo;
    this.#reduced = e < TINY ? undefined : reduce(fixedOf(e, hi, lo));
  }
  sine(): void {
    const a = this.#reduced;
    if (this.#e < TINIEST) {
      truncated(this.#sign, this.#e, this.#hi, this.#lo);
      return;
    }
    if (a === undefined) {
      almost(this.#sign, this.#e, this.#hi, this.#lo);
      return;
    }
    const odd = (a.quadrant & 1) !== 0;
    const negative = ((a.quadrant & 2) !== 0) !== (!odd && a.below);
    roundFixed(this.#sign ^ (negative ? 0x8000 : 0), odd ? cos(a.r) : sin(a.r), false);
  }
  cosine(): void {
    const a = this.#reduced;
    if (this.#e < TINIEST) {
      ENV[RAISED] |= PE;
      setResult(BIAS, INT_BIT, 0);
      return;
    }
    if (a === undefined) {
      almost(0, BIAS, INT_BIT, 0);
      return;
    }
    const odd = (a.quadrant & 1) !== 0;
    // cos(x + pi/2) = -sin x: quadrants 1 and 2 are negative; an odd one takes the remainder's sign.
    const negative = (a.quadrant === 1 || a.quadrant === 2) !== (odd && a.below);
    roundFixed(negative ? 0x8000 : 0, odd ? sin(a.r) : cos(a.r), false);
  }
  tangent(): void {
    const a = this.#reduced;
    if (this.#e < TINIEST) {
      truncated(this.#sign, this.#e, this.#hi, this.#lo);
      return;
    }
    if (a === undefined) {
      // The silicon has it below the operand, though the tangent lies above.
      almost(this.#sign, this.#e, this.#hi, this.#lo);
      return;
    }
    const odd = (a.quadrant & 1) !== 0;
    const s = sin(a.r);
    const c = cos(a.r);
    roundFixed(this.#sign ^ (a.below !== odd ? 0x8000 : 0), odd ? quotient(c, s) : quotient(s, c), false);
  }
}

const SINE = 0,
  COSINE = 1,
  SINE_AND_COSINE = 2,
  TANGENT = 3;
const FIRST = new Int32Array(4);
function clearC2(cpu: Cpu): void {
  cpu.u16[STATE.fpuStatus.u16] &= ~0x400;
}

function trigonometric(kind: number): Body {
  const two = kind >= SINE_AND_COSINE;
  return (cpu) => {
    clearC2(cpu);
    if (isEmpty(cpu, 0)) {
      underflowed();
      takeResult(FIRST);
    } else if (two && !isEmpty(cpu, 7)) {
      overflowed();
      takeResult(FIRST);
    } else {
      loadSt(cpu, 0);
      const c = classify(B[SE], B[HI], B[LO]);
      if (c < INFINITY && (B[SE] & 0x7fff) >= BIAS + 63) {
        // Out of range: nothing happens but C2.
        commitWith(cpu, 0x400 | (cpu.u16[STATE.fpuStatus.u16] & 0x4100));
        return;
      }
      compute(kind, c, B[SE], B[HI], B[LO]);
    }
    if (!forbidden()) {
      if (two) {
        setSt(cpu, 0, FIRST[SE], FIRST[HI], FIRST[LO]);
        pushResult(cpu);
      } else storeResult(cpu, 0);
    }
    commit(cpu);
  };
}
/** One result in R; two: the first in FIRST (stays), the second in R (is pushed). */
function compute(kind: number, c: number, se: number, hi: number, lo: number): void {
  const sign = se & 0x8000;
  if (c >= INFINITY) {
    if (!specialOne(c, se, hi, lo)) invalid();
    takeResult(FIRST);
    return;
  }
  if (c === ZERO_CLASS) {
    if (kind === COSINE) setResult(BIAS, INT_BIT, 0);
    else setResult(sign, 0, 0);
    if (kind >= SINE_AND_COSINE) {
      takeResult(FIRST);
      setResult(BIAS, INT_BIT, 0);
    }
    return;
  }
  take(c, se, hi, lo, X);
  const angle = new Angle(sign, X[0], X[1], X[2]);
  if (kind === SINE) angle.sine();
  else if (kind === COSINE) angle.cosine();
  else {
    // C1 tells the rounding of the result that stays.
    if (kind === TANGENT) angle.tangent();
    else angle.sine();
    takeResult(FIRST);
    const raised = ENV[RAISED];
    if (kind === TANGENT) setResult(BIAS, INT_BIT, 0);
    else angle.cosine();
    ENV[RAISED] = raised | (ENV[RAISED] & ~0x200);
  }
}

const f2xm1: Body = (cpu) => {
  if (isEmpty(cpu, 0)) underflowed();
  else {
    loadSt(cpu, 0);
    powerMinusOne(B[SE], B[HI], B[LO]);
  }
  if (!forbidden()) storeResult(cpu, 0);
  commit(cpu);
};
function powerMinusOne(se: number, hi: number, lo: number): void {
  const c = classify(se, hi, lo);
  if (specialOne(c, se, hi, lo)) return;
  const sign = se & 0x8000;
  if (c === INFINITY) {
    if (sign !== 0) setResult(0x8000 | BIAS, INT_BIT, 0);
    else setResult(se, hi, lo);
    return;
  }
  if (c === ZERO_CLASS) {
    setResult(se, hi, lo);
    return;
  }
  take(c, se, hi, lo, X);
  if (X[0] >= BIAS) {
    ENV[RAISED] |= PE;
    if (X[0] === BIAS && hi === INT_BIT && lo === 0) setResult(sign !== 0 ? 0x8000 | (BIAS - 1) : BIAS, INT_BIT, 0);
    // Outside -1..+1 the processor gives the operand back.
    else setResult(se, hi, lo);
    return;
  }
  roundFixed(sign, exp2m1(fixedOf(X[0], X[1], X[2]), sign !== 0), false);
}

const Y = new Int32Array(3);
/** ST(1) = f(ST(1), ST(0)), pop. */
function binary(f: (yc: number, yse: number, yhi: number, ylo: number, xc: number, xse: number, xhi: number, xlo: number) => void): Body {
  return (cpu) => {
    if (isEmpty(cpu, 0) || isEmpty(cpu, 1)) underflowed();
    else {
      loadSt(cpu, 1);
      const yse = B[SE];
      const yhi = B[HI];
      const ylo = B[LO];
      loadSt(cpu, 0);
      const yc = classify(yse, yhi, ylo);
      const xc = classify(B[SE], B[HI], B[LO]);
      if (!specialTwo(yc, yse, yhi, ylo, xc, B[SE], B[HI], B[LO])) f(yc, yse, yhi, ylo, xc, B[SE], B[HI], B[LO]);
    }
    if (!forbidden()) {
      storeResult(cpu, 1);
      pop(cpu);
    }
    commit(cpu);
  };
}
function denormals(ac: number, bc: number): void {
  if (ac === DENORMAL || bc === DENORMAL) ENV[RAISED] |= DE;
}
const infinity = (sign: number): void => setResult(sign | 0x7fff, INT_BIT, 0);

/** pi * numerator / 4 with a sign. */
function piQuarters(sign: number, quarters: number): void {
  roundFixed(sign, { v: PI.v * BigInt(quarters), w: PI.w + 2 }, false);
}
const fpatan = binary((yc, yse, yhi, ylo, xc, xse, xhi, xlo) => {
  const sign = yse & 0x8000;
  const left = (xse & 0x8000) !== 0;
  denormals(yc, xc);
  if (yc === INFINITY) {
    piQuarters(sign, xc === INFINITY ? (left ? 3 : 1) : 2);
    return;
  }
  if (yc === ZERO_CLASS || xc === INFINITY) {
    if (left) piQuarters(sign, 4);
    else setResult(sign, 0, 0);
    return;
  }
  if (xc === ZERO_CLASS) {
    piQuarters(sign, 2);
    return;
  }
  take(yc, yse, yhi, ylo, Y);
  take(xc, xse, xhi, xlo, X);
  arcTangent(sign, left);
});
/** atan2 of the magnitudes in Y and X. */
function arcTangent(sign: number, left: boolean): void {
  const y: Fixed = { v: fixedOf(Y[0], Y[1], Y[2]).v, w: 0 };
  const x: Fixed = { v: fixedOf(X[0], X[1], X[2]).v, w: 0 };
  const distance = Y[0] - X[0];
  if (distance < -70 || distance > 70) {
    // The quotient (or its inverse) is below 2^-69: atan z = z less a hair.
    if (distance > 0) {
      roundFixed(sign, { v: PI.v + (left ? 1n : -1n), w: PI.w + 1 }, false);
    } else if (left) roundFixed(sign, { v: PI.v - 1n, w: PI.w }, false);
    else {
      roundQuotient(sign, quotient(y, x), distance);
    }
    return;
  }
  if (distance < -40 && !left) {
    roundQuotient(sign, quotient(y, x), distance);
    return;
  }
  const steep = distance > 0 || (distance === 0 && y.v > x.v);
  const z = steep ? quotient(x, y) : quotient(y, x);
  const a = atan({ v: z.v, w: z.w + Math.abs(distance) });
  if (!steep && !left) {
    roundFixed(sign, a, false);
    return;
  }
  const w = PI.w;
  const part = withFraction(a, w);
  const result = steep ? (left ? (PI.v >> 1n) + part : (PI.v >> 1n) - part) : PI.v - part;
  roundFixed(sign, { v: result, w }, false);
}

/** The arc tangent of a small quotient: the silicon rounds the quotient itself, and calls it inexact always. */
function roundQuotient(sign: number, z: Fixed, distance: number): void {
  roundFixed(sign, { v: z.v, w: z.w - distance }, true);
  alwaysInexact();
}

/** y * (a signed logarithm): exact tells that no bits are missing. */
function productWithLog(sign: number, log: Fixed, exact: boolean): void {
  const y = fixedOf(Y[0], Y[1], Y[2]);
  roundFixed(sign, times(y, log), exact);
}
const fyl2x = binary((yc, yse, yhi, ylo, xc, xse, xhi, xlo) => {
  const ysign = yse & 0x8000;
  const one = xse === BIAS && xhi === INT_BIT && xlo === 0;
  if ((xse & 0x8000) !== 0 && xc !== ZERO_CLASS) {
    invalid();
    return;
  }
  if (xc === ZERO_CLASS) {
    if (yc === ZERO_CLASS) invalid();
    else {
      ENV[RAISED] |= yc === INFINITY ? 0 : ZE;
      infinity(ysign ^ 0x8000);
    }
    return;
  }
  if (xc === INFINITY) {
    if (yc === ZERO_CLASS) invalid();
    else {
      denormals(yc, xc);
      infinity(ysign);
    }
    return;
  }
  const logSign = (xse & 0x7fff) < BIAS ? 0x8000 : 0;
  if (yc === INFINITY) {
    if (one) invalid();
    else {
      denormals(yc, xc);
      infinity(ysign ^ logSign);
    }
    return;
  }
  denormals(yc, xc);
  if (yc === ZERO_CLASS || one) {
    setResult(one ? ysign : ysign ^ logSign, 0, 0);
    return;
  }
  take(yc, yse, yhi, ylo, Y);
  take(xc, xse, xhi, xlo, X);
  let e = X[0] - BIAS;
  const m = fixedOf(BIAS, X[1], X[2]).v;
  if (X[1] === INT_BIT && X[2] === 0) {
    productWithLog(ysign ^ (e < 0 ? 0x8000 : 0), { v: BigInt(Math.abs(e)), w: 0 }, true);
    alwaysInexact();
    return;
  }
  // m in [1, 2): above the square root of 2 take m / 2, so that the logarithm of the fraction stays small.
  const half = m > 0xb504f333f9de6484n;
  if (half) e++;
  const unit = 1n << (half ? 64n : 63n);
  const difference = half ? unit - m : m - unit;
  const log = log2OfRatio(quotient({ v: difference, w: 0 }, { v: m + unit, w: 0 }));
  if (e === 0) {
    productWithLog(ysign ^ (half ? 0x8000 : 0), log, false);
    return;
  }
  const w = 160;
  const sum = (BigInt(e) << BigInt(w)) + (half ? -withFraction(log, w) : withFraction(log, w));
  productWithLog(ysign ^ (sum < 0n ? 0x8000 : 0), { v: sum < 0n ? -sum : sum, w }, false);
});

const fyl2xp1 = binary((yc, yse, yhi, ylo, xc, xse, xhi, xlo) => {
  const ysign = yse & 0x8000;
  const xsign = xse & 0x8000;
  if (xc === INFINITY) {
    if (xsign !== 0 || yc === ZERO_CLASS) invalid();
    else {
      denormals(yc, xc);
      infinity(ysign);
    }
    return;
  }
  if (yc === INFINITY) {
    if (xc === ZERO_CLASS) invalid();
    else {
      denormals(yc, xc);
      infinity(ysign ^ xsign);
    }
    return;
  }
  denormals(yc, xc);
  if (xc === ZERO_CLASS || yc === ZERO_CLASS) {
    setResult(ysign ^ xsign, 0, 0);
    return;
  }
  take(yc, yse, yhi, ylo, Y);
  take(xc, xse, xhi, xlo, X);
  if (xsign !== 0 && X[0] >= BIAS) {
    // 1 + x is not positive: outside the defined range.
    ENV[RAISED] |= PE;
    setResult(xse, xhi, xlo);
    return;
  }
  const sign = ysign ^ xsign;
  const x = fixedOf(X[0], X[1], X[2]);
  if (X[0] > BIAS - 2) {
    largeLog(sign, x, xsign !== 0);
    return;
  }
  // s = x / (2 + x); for tiny x the 2 alone has all the bits that matter.
  const w = Math.min(x.w, 200);
  const below = (2n << BigInt(w)) + (xsign !== 0 ? -withFraction(x, w) : withFraction(x, w));
  productWithLog(sign, log2OfRatio(quotient(x, { v: below, w })), false);
});
/** log2(1 + x) outside the range where FYL2XP1 is meant to be used: by way of the logarithm of the sum. */
function largeLog(sign: number, x: Fixed, negative: boolean): void {
  const w = Math.max(x.w, 0);
  const one = 1n << BigInt(w);
  const v = withFraction(x, w);
  let sum: Fixed = { v: negative ? one - v : one + v, w };
  let e = 0;
  const n = sum.v.toString(2).length - 1 - w;
  sum = { v: sum.v, w: w + n };
  e = n;
  // sum in [1, 2)
  const unit = 1n << BigInt(sum.w);
  const half = sum.v * sum.v > unit * unit * 2n;
  if (half) e++;
  const against = half ? unit * 2n : unit;
  const difference = half ? against - sum.v : sum.v - against;
  const width = 160;
  let total = BigInt(e) << BigInt(width);
  if (difference !== 0n) {
    const log = withFraction(log2OfRatio(quotient({ v: difference, w: 0 }, { v: sum.v + against, w: 0 })), width);
    total += half ? -log : log;
  }
  productWithLog(sign, { v: total < 0n ? -total : total, w: width }, false);
}

export const TRANSCENDENTAL: Readonly<Record<string, Body>> = {
  fsin: trigonometric(SINE),
  fcos: trigonometric(COSINE),
  fsincos: trigonometric(SINE_AND_COSINE),
  fptan: trigonometric(TANGENT),
  fpatan,
  f2xm1,
  fyl2x,
  fyl2xp1,
};
