import type { SimdOp } from "../../../wasm/index.ts";
import type { Val } from "./emit.ts";
import type { SystemEmit } from "./system-emit.ts";

/**
 * What instructions on XMM registers need on top of Emit: vectors are values of type v128, element 0 is the lowest. A register is written
 * whole (`writeV`) or in part (`writeLow`, `writePart`), and then the rest keeps its bits.
 */
export interface SimdEmit extends SystemEmit {
  /** A vector instruction without immediates (splats, arithmetic, shifts by an i32, tests). */
  v(op: SimdOp, ...args: readonly Val[]): Val;
  /** One with a constant lane: extract (vector), replace (vector, scalar). */
  lane(op: SimdOp, lane: number, ...args: readonly Val[]): Val;
  /** Sixteen bytes chosen from a (0..15) and b (16..31). */
  shuffle(a: Val, b: Val, bytes: readonly number[]): Val;
  /** A constant; the lowest byte is element 0. */
  vconst(value: bigint): Val;
  /** Plain Wasm arithmetic on f32 and f64, and conversions. */
  float(opcode: number, result: "i32" | "i64" | "f32" | "f64", ...args: readonly Val[]): Val;
  /** Value of immediate operand n when it is known while generating. */
  immediate(n: number): number | undefined;
  /** Whether operand n is an XMM register. */
  isVector(n: number): boolean;
  /** All 128 bits of operand n (XMM register or memory; memory that must be aligned faults with #GP(0) when it is not). */
  readV(n: number): Val;
  writeV(n: number, value: Val): void;
  /** A memory operand, or the low bits of an XMM register, as read() gives them. */
  readLow(n: number, size: 16 | 32 | 64): Val;
  /** Sets the low bits of XMM register n. */
  writeLow(n: number, size: 32 | 64, value: Val): void;
  /** Element `index` (i32, in range) of XMM register n. */
  readPart(n: number, size: 8 | 16 | 32 | 64, index: Val): Val;
  writePart(n: number, size: 8 | 16 | 32 | 64, index: Val, value: Val): void;
  /** MXCSR as i32. */
  mxcsr(): Val;
}

export type SimdSemantic = (e: SimdEmit) => void;
