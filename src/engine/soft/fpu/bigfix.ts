import { roundPackTo, setResult, X87 } from "./env.ts";

const { PE, ENV, RAISED, BIAS } = X87;

/**
 * The elementary functions in fixed point on bigint: a value is an integer `v` with `w` fraction bits. About 110 bits are
 * right, so that results round correctly to 64 bits but for the rarest cases.
 */

export interface Fixed {
  readonly v: bigint;
  readonly w: number;
}
/** Wanted relative precision in bits. */
const PRECISION = 128;
/** Terms below this many bits under the first one are not added. */
const ENOUGH = 116;

export function bitLength(v: bigint): number {
  const hex = v.toString(16);
  return hex.length * 4 - Math.clz32(Number.parseInt(hex.charAt(0), 16)) + 28;
}
const shift = (v: bigint, by: number): bigint => (by >= 0 ? v << BigInt(by) : v >> BigInt(-by));

/** The same value (positive) with PRECISION significant bits; bits that go are lost. */
export function normalized(x: Fixed): Fixed {
  const by = PRECISION - bitLength(x.v);
  return { v: shift(x.v, by), w: x.w + by };
}
export function withFraction(x: Fixed, w: number): bigint {
  return shift(x.v, w - x.w);
}

/** The magnitude hi:lo * 2^(e - bias - 63). */
export function fixedOf(e: number, hi: number, lo: number): Fixed {
  return { v: (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0), w: BIAS + 63 - e };
}

/** Rounds a positive fixed-point magnitude into R; `exact` false adds a sticky bit below it and #P. */
export function roundFixed(sign: number, x: Fixed, exact: boolean): void {
  if (x.v === 0n) {
    if (!exact) ENV[RAISED] |= PE;
    setResult(sign, 0, 0);
    return;
  }
  const n = bitLength(x.v);
  const drop = n - 96;
  let top = shift(x.v, -drop);
  if (!exact || (drop > 0 && top << BigInt(drop) !== x.v)) top |= 1n;
  const hi = Number(top >> 64n) | 0;
  const lo = Number((top >> 32n) & 0xffffffffn) | 0;
  const ext = Number(top & 0xffffffffn) | 0;
  roundPackTo(sign, n - 1 - x.w + BIAS, hi, lo, ext, 3);
}

/** Sum of first * a(k), each term from the one before; stops when terms vanish. */
function series(first: bigint, floor: bigint, next: (term: bigint, k: number) => bigint, part: (term: bigint, k: number) => bigint): bigint {
  let term = first;
  let sum = first;
  for (let k = 1; k < 200; k++) {
    term = next(term, k);
    if ((term < 0n ? -term : term) <= floor) break;
    sum += part(term, k);
  }
  return sum;
}
const same = (term: bigint): bigint => term;
const floorOf = (v: bigint): bigint => v >> BigInt(ENOUGH);

/** sin(r), 0 < r < 1, as accurate for tiny r. */
export function sin(r: Fixed): Fixed {
  const x = normalized(r);
  const w = BigInt(x.w);
  const square = (x.v * x.v) >> w;
  return { v: series(x.v, floorOf(x.v), (t, k) => -((t * square) >> w) / BigInt(2 * k * (2 * k + 1)), same), w: x.w };
}
/** cos(r), 0 <= r < 1. */
export function cos(r: Fixed): Fixed {
  const x = withFraction(r, PRECISION);
  const w = BigInt(PRECISION);
  const square = (x * x) >> w;
  const one = 1n << w;
  return { v: series(one, floorOf(one), (t, k) => -((t * square) >> w) / BigInt((2 * k - 1) * 2 * k), same), w: PRECISION };
}
/** atanh(s) or atan(s) by their series, 0 < s < 0.2. */
function inverseTangent(s: Fixed, alternating: boolean): Fixed {
  const x = normalized(s);
  const w = BigInt(x.w);
  const square = alternating ? -((x.v * x.v) >> w) : (x.v * x.v) >> w;
  return {
    v: series(
      x.v,
      floorOf(x.v),
      (t) => (t * square) >> w,
      (t, k) => t / BigInt(2 * k + 1),
    ),
    w: x.w,
  };
}
/** a / b of positive values, PRECISION bits. */
export function quotient(a: Fixed, b: Fixed): Fixed {
  const by = PRECISION + bitLength(b.v) - bitLength(a.v) + 1;
  return { v: shift(a.v, by) / b.v, w: a.w - b.w + by };
}

/** ln 2 = 2 atanh(1/3), and pi by Machin's formula, with CONSTANT fraction bits. */
const CONSTANT = 256;
function inverseOf(n: bigint, alternating: boolean): bigint {
  let power = (1n << BigInt(CONSTANT + 16)) / n;
  let sum = power;
  for (let k = 3n; power !== 0n; k += 2n) {
    power /= alternating ? -(n * n) : n * n;
    sum += power / k;
  }
  return sum >> 16n;
}
export const LN2: Fixed = { v: 2n * inverseOf(3n, false), w: CONSTANT };
export const PI: Fixed = { v: 16n * inverseOf(5n, true) - 4n * inverseOf(239n, true), w: CONSTANT };

export function times(a: Fixed, b: Fixed): Fixed {
  return { v: a.v * b.v, w: a.w + b.w };
}

/** 2^x - 1 for 0 < |x| <= 1; the magnitude of the result, whose sign is x's. */
export function exp2m1(x: Fixed, negative: boolean): Fixed {
  const y = normalized(times(x, normalized(LN2)));
  const w = BigInt(y.w);
  const z = negative ? -y.v : y.v;
  const v = series(z, floorOf(y.v), (t, k) => ((t * z) >> w) / BigInt(k + 1), same);
  return { v: v < 0n ? -v : v, w: y.w };
}

/** 2 atanh(s) / ln 2 for 0 < s < 0.2. */
export function log2OfRatio(s: Fixed): Fixed {
  const t = inverseTangent(s, false);
  return quotient({ v: t.v * 2n, w: t.w }, LN2);
}

/** atan(k / 32) for k = 0..32, made when first needed. */
const ARC: bigint[] = [];
function arc(k: number): bigint {
  if (ARC.length === 0) {
    // atan(k/32) = atan((k-1)/32) + atan((1/32) / (1 + k(k-1)/1024))
    ARC.push(0n);
    for (let i = 1; i <= 32; i++) {
      const step = inverseTangent(quotient({ v: 32n, w: 0 }, { v: BigInt(1024 + i * (i - 1)), w: 0 }), true);
      ARC.push((ARC[i - 1] ?? 0n) + withFraction(step, PRECISION + 8));
    }
  }
  return ARC[k] ?? 0n;
}
/** atan(z) for 0 < z <= 1. */
export function atan(z: Fixed): Fixed {
  const k = Number(shift(z.v, 6 - z.w)) + 1;
  const near = k >> 1;
  if (near === 0) return inverseTangent(z, true);
  // (z - c) / (1 + z c) with c = near / 32
  const w = PRECISION + 8;
  const v = withFraction(z, w);
  const c = (BigInt(near) << BigInt(w)) >> 5n;
  const difference = v - c;
  if (difference === 0n) return { v: arc(near), w };
  const below = (1n << BigInt(w)) + ((v * c) >> BigInt(w));
  const s = quotient({ v: difference < 0n ? -difference : difference, w }, { v: below, w });
  const t = withFraction(inverseTangent(s, true), w);
  return { v: arc(near) + (difference < 0n ? -t : t), w };
}
