import { SIMD, type SimdOp } from "../../../wasm/index.ts";
import type { Val } from "../ir/emit.ts";
import type { SimdEmit, SimdSemantic } from "../ir/simd-emit.ts";

/** Small pieces that the XMM families share. */

/** A vector constant from its bytes, lowest first. */
export function bytes(e: SimdEmit, list: readonly number[]): Val {
  let value = 0n;
  for (let i = 15; i >= 0; i--) value = (value << 8n) | BigInt(list[i] & 0xff);
  return e.vconst(value);
}
/** Numbers 0..n-1 mapped. */
export const range = (n: number, f: (i: number) => number): number[] => Array.from({ length: n }, (_, i) => f(i));
/** A constant with `value` in each lane of `lane` bits. */
export function splatConst(e: SimdEmit, lane: 8 | 16 | 32 | 64, value: number | bigint): Val {
  const one = BigInt.asUintN(lane, BigInt(value));
  let all = 0n;
  for (let i = 0; i < 128; i += lane) all |= one << BigInt(i);
  return e.vconst(all);
}
export const zero = (e: SimdEmit): Val => e.vconst(0n);

/** dst = f(dst, src), the source being a whole register or 16 bytes of memory. */
export function binary(f: (e: SimdEmit, a: Val, b: Val) => Val): SimdSemantic {
  return (e) => {
    const b = e.readV(1);
    e.writeV(0, f(e, e.readV(0), b));
  };
}
/** dst = op(dst, src). */
export const plain = (op: SimdOp): SimdSemantic => binary((e, a, b) => e.v(op, a, b));
/** dst = f(src). */
export function unary(f: (e: SimdEmit, a: Val) => Val): SimdSemantic {
  return (e) => e.writeV(0, f(e, e.readV(1)));
}
/** The immediate byte as i32. */
export const imm8 = (e: SimdEmit, n: number): Val => e.read(n);

/** i32 or i64 in the low lane, zeros above. */
export function zeroExtended(e: SimdEmit, value: Val): Val {
  return e.lane(value.ty === "i64" ? SIMD.i64x2_replace_lane : SIMD.i32x4_replace_lane, 0, zero(e), value);
}
/** All ones in the lanes of `size` bits whose bit of the immediate (lane number) is set. */
export function maskOfBits(e: SimdEmit, size: 16 | 32, bits: Val): Val {
  const count = 128 / size;
  let weights = 0n;
  for (let i = 0; i < count; i++) weights |= (1n << BigInt(i)) << BigInt(i * size);
  const w = e.vconst(weights);
  const spread = e.v(size === 16 ? SIMD.i16x8_splat : SIMD.i32x4_splat, bits);
  return e.v(size === 16 ? SIMD.i16x8_eq : SIMD.i32x4_eq, e.v(SIMD.v128_and, spread, w), w);
}
