import type { Emit, Val } from "../ir/emit.ts";

/**
 * Packed arithmetic on one i64: lanes of 8, 16 or 32 bits side by side. The top bit of every lane is kept out of carries
 * and put back by exclusive or, so nothing crosses a lane border.
 */
export type Lane = 8 | 16 | 32;

const TOPS: Readonly<Record<Lane, bigint>> = { 8: 0x8080808080808080n, 16: 0x8000800080008000n, 32: 0x8000000080000000n };
const ONES: Readonly<Record<Lane, bigint>> = { 8: 0x0101010101010101n, 16: 0x0001000100010001n, 32: 0x0000000100000001n };
const ALL = 0xffffffffffffffffn;

export function tops(e: Emit, lane: Lane): Val {
  return e.i64(TOPS[lane]);
}
function rest(e: Emit, lane: Lane): Val {
  return e.i64(TOPS[lane] ^ ALL);
}
/** A constant in every lane. */
export function splat(e: Emit, lane: Lane, n: number): Val {
  return e.i64((BigInt.asUintN(lane, BigInt(n)) * ONES[lane]) & ALL);
}
/** A run-time value (i64 below 2^lane) in every lane. */
export function splatValue(e: Emit, lane: Lane, v: Val): Val {
  return e.mul(v, e.i64(ONES[lane]));
}

export function add(e: Emit, lane: Lane, a: Val, b: Val): Val {
  const low = rest(e, lane);
  return e.xor(e.add(e.and(a, low), e.and(b, low)), e.and(e.xor(a, b), tops(e, lane)));
}
export function sub(e: Emit, lane: Lane, a: Val, b: Val): Val {
  const top = tops(e, lane);
  return e.xor(e.sub(e.or(a, top), e.and(b, rest(e, lane))), e.and(e.xor(a, e.not(b)), top));
}
/** All ones in every lane whose top bit is set in `c`. */
export function spread(e: Emit, lane: Lane, c: Val): Val {
  const bits = e.and(c, tops(e, lane));
  return e.or(e.sub(bits, e.shrU(bits, e.i64(lane - 1))), bits);
}
export function choose(e: Emit, mask: Val, whenSet: Val, whenClear: Val): Val {
  return e.xor(whenClear, e.and(e.xor(whenSet, whenClear), mask));
}

export function addUnsignedSaturated(e: Emit, lane: Lane, a: Val, b: Val): Val {
  const s = add(e, lane, a, b);
  return e.or(s, spread(e, lane, e.or(e.and(a, b), e.and(e.or(a, b), e.not(s)))));
}
/** Lane mask of a < b, unsigned. */
export function below(e: Emit, lane: Lane, a: Val, b: Val): Val {
  const d = sub(e, lane, a, b);
  return spread(e, lane, e.or(e.and(e.not(a), b), e.and(e.not(e.xor(a, b)), d)));
}
export function subUnsignedSaturated(e: Emit, lane: Lane, a: Val, b: Val): Val {
  return e.and(sub(e, lane, a, b), e.not(below(e, lane, a, b)));
}
/** 7F… or 80… by the sign of a. */
function limit(e: Emit, lane: Lane, a: Val): Val {
  return e.add(rest(e, lane), e.shrU(e.and(a, tops(e, lane)), e.i64(lane - 1)));
}
export function addSigned(e: Emit, lane: Lane, a: Val, b: Val): Val {
  const s = add(e, lane, a, b);
  return choose(e, spread(e, lane, e.and(e.not(e.xor(a, b)), e.xor(a, s))), limit(e, lane, a), s);
}
export function subSigned(e: Emit, lane: Lane, a: Val, b: Val): Val {
  const d = sub(e, lane, a, b);
  return choose(e, spread(e, lane, e.and(e.xor(a, b), e.xor(a, d))), limit(e, lane, a), d);
}
/** Lane mask of a == b. */
export function equal(e: Emit, lane: Lane, a: Val, b: Val): Val {
  const x = e.xor(a, b);
  const low = rest(e, lane);
  return spread(e, lane, e.not(e.or(e.add(e.and(x, low), low), x)));
}
/** Lane mask of a > b, signed. */
export function greater(e: Emit, lane: Lane, a: Val, b: Val): Val {
  const d = sub(e, lane, b, a);
  return spread(e, lane, e.xor(d, e.and(e.xor(b, a), e.xor(d, b))));
}
export function minSigned(e: Emit, lane: Lane, a: Val, b: Val): Val {
  return choose(e, greater(e, lane, a, b), b, a);
}
export function maxSigned(e: Emit, lane: Lane, a: Val, b: Val): Val {
  return choose(e, greater(e, lane, a, b), a, b);
}
/** (a + b + 1) >> 1, unsigned. */
export function average(e: Emit, lane: Lane, a: Val, b: Val): Val {
  const odd = e.i64(ONES[lane] ^ ALL);
  return e.sub(e.or(a, b), e.shrU(e.and(e.xor(a, b), odd), e.i64(1)));
}

/** Lane i at the bottom, zero-extended. */
export function laneU(e: Emit, lane: Lane, a: Val, i: number): Val {
  const down = i === 0 ? a : e.shrU(a, e.i64(i * lane));
  return (i + 1) * lane === 64 ? down : e.and(down, e.i64((1n << BigInt(lane)) - 1n));
}
/** Lane i sign-extended to 64 bits. */
export function laneS(e: Emit, lane: Lane, a: Val, i: number): Val {
  const up = 64 - (i + 1) * lane;
  return e.shrS(up === 0 ? a : e.shl(a, e.i64(up)), e.i64(64 - lane));
}
/** Lanes put side by side, each cut to its width. */
export function gather(e: Emit, lane: Lane, values: readonly Val[]): Val {
  const mask = e.i64((1n << BigInt(lane)) - 1n);
  return values.map((v, i) => (i === 0 ? e.and(v, mask) : e.shl(e.and(v, mask), e.i64(i * lane)))).reduce((a, b) => e.or(a, b));
}
/** An i64 brought into lo..hi, signed. */
export function clamp(e: Emit, v: Val, lo: number, hi: number): Val {
  const top = e.select(e.gtS(v, e.i64(hi)), e.i64(hi), v);
  return e.select(e.ltS(top, e.i64(lo)), e.i64(lo), top);
}

/** The low bytes of four 16-bit lanes, in the low 32 bits. */
export function squeezeBytes(e: Emit, a: Val): Val {
  const x = e.and(a, e.i64(0x00ff00ff00ff00ffn));
  const y = e.and(e.or(x, e.shrU(x, e.i64(8))), e.i64(0x0000ffff0000ffffn));
  return e.and(e.or(y, e.shrU(y, e.i64(16))), e.i64(0xffffffffn));
}
/** Lanes 0 and 2 of 16 bits, in the low 32 bits. */
export function evenWords(e: Emit, a: Val): Val {
  const x = e.and(a, e.i64(0x0000ffff0000ffffn));
  return e.and(e.or(x, e.shrU(x, e.i64(16))), e.i64(0xffffffffn));
}
/** The low four bytes spread to 16-bit lanes. */
export function stretchBytes(e: Emit, a: Val): Val {
  const x = e.and(a, e.i64(0xffffffffn));
  const y = e.and(e.or(x, e.shl(x, e.i64(16))), e.i64(0x0000ffff0000ffffn));
  return e.and(e.or(y, e.shl(y, e.i64(8))), e.i64(0x00ff00ff00ff00ffn));
}
/** The low two words spread to 32-bit lanes. */
export function stretchWords(e: Emit, a: Val): Val {
  const x = e.and(a, e.i64(0xffffffffn));
  return e.and(e.or(x, e.shl(x, e.i64(16))), e.i64(0x0000ffff0000ffffn));
}
export function pairOf(e: Emit, low: Val, high: Val): Val {
  return e.or(e.and(low, e.i64(0xffffffffn)), e.shl(high, e.i64(32)));
}
