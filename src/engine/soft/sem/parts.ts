import type { Emit, FlagBits, OpSize, Val } from "../ir/emit.ts";

/** Small pieces that several families share. All of them only build values, except where the name says otherwise. */

/** Log2 of the operand size in bytes. */
export const LOG2_BYTES: Readonly<Record<OpSize, number>> = { 8: 0, 16: 1, 32: 2, 64: 3 };

/** Operand n as a value of `size`: an immediate narrower than the destination is sign-extended, as in ADD Ev, Ib. */
export function source(e: Emit, n: number, size: OpSize): Val {
  if (e.kind(n) === "imm" && e.operandSize(n) !== size) return e.trunc(e.toSize(e.imm64(n), size), size);
  return e.read(n);
}

/** A zero-extended value of any size as i64. */
export function toI64(e: Emit, value: Val): Val {
  return value.ty === "i64" ? value : e.extU(value);
}

/** The low 32 bits of a value of any size as i32. */
export function toI32(e: Emit, value: Val): Val {
  return value.ty === "i64" ? e.wrap(value) : value;
}

/** A value of `size` sign-extended to i64. */
export function signedI64(e: Emit, value: Val, size: OpSize): Val {
  return value.ty === "i64" ? value : e.extS(e.sx(value, size));
}

/** Top bit of a zero-extended value, i32 0 or 1. */
export function topBit(e: Emit, value: Val, size: OpSize): Val {
  return toI32(e, e.shrU(value, e.konst(size, size - 1)));
}

/** Bit `index` (constant) of a value of type `size`, i32 0 or 1. */
export function bitAt(e: Emit, value: Val, size: OpSize, index: number): Val {
  return e.and(toI32(e, index === 0 ? value : e.shrU(value, e.konst(size, index))), e.i32(1));
}

/** Even parity of the low byte, i32 0 or 1. */
export function parity(e: Emit, value: Val): Val {
  return e.xor(e.and(e.popcnt(e.and(toI32(e, value), e.i32(0xff))), e.i32(1)), e.i32(1));
}

/** ZF, SF and PF of a zero-extended result. */
export function resultFlags(e: Emit, size: OpSize, result: Val): FlagBits {
  return { zf: e.eqz(result), sf: topBit(e, result, size), pf: parity(e, result) };
}

/** Bytes in reverse order, for BSWAP and MOVBE. */
export function reverseBytes(e: Emit, value: Val, size: OpSize): Val {
  if (size === 8) return value;
  if (size === 16) return e.trunc(e.or(e.shl(value, e.i32(8)), e.shrU(value, e.i32(8))), 16);
  const mask = size === 32 ? e.i32(0x00ff00ff) : e.i64(0x00ff00ff00ff00ffn);
  const swapped =
    size === 32
      ? value
      : e.or(e.shl(e.and(value, e.i64(0x0000ffff0000ffffn)), e.i64(16)), e.and(e.shrU(value, e.i64(16)), e.i64(0x0000ffff0000ffffn)));
  const eight = e.konst(size, 8);
  const bytes = e.or(e.shl(e.and(swapped, mask), eight), e.and(e.shrU(swapped, eight), mask));
  return size === 32 ? e.rotl(bytes, e.i32(16)) : e.rotl(bytes, e.i64(32));
}

/** Upper half of the 128-bit unsigned product of two i64. */
export function mulHighU(e: Emit, a: Val, b: Val): Val {
  const low = e.i64(0xffffffffn);
  const half = e.i64(32);
  const a0 = e.and(a, low);
  const a1 = e.shrU(a, half);
  const b0 = e.and(b, low);
  const b1 = e.shrU(b, half);
  const t = e.add(e.mul(a1, b0), e.shrU(e.mul(a0, b0), half));
  const u = e.add(e.mul(a0, b1), e.and(t, low));
  return e.add(e.add(e.mul(a1, b1), e.shrU(t, half)), e.shrU(u, half));
}

/** Upper half of the 128-bit signed product of two i64. */
export function mulHighS(e: Emit, a: Val, b: Val): Val {
  const sign = e.i64(63);
  const high = e.sub(mulHighU(e, a, b), e.and(e.shrS(a, sign), b));
  return e.sub(high, e.and(e.shrS(b, sign), a));
}

/** Operand size of stack and near-branch instructions: in 64-bit code there is no 32-bit form. */
export function stackOpSize(e: Emit): 16 | 32 | 64 {
  if (e.size === 16) return 16;
  return e.codeSize === 64 ? 64 : 32;
}

/** A value cut to the stack operation's type (it may keep garbage above the size). */
export function forStack(e: Emit, value: Val, size: 16 | 32 | 64): Val {
  return size === 64 ? toI64(e, value) : toI32(e, value);
}

/**
 * Mask of RSP for stack addressing, as i64. 64-bit code has a 64-bit stack; elsewhere SS.B decides at run time and
 * the only operation that knows is `addRsp`, so its wrap-around of 0 - 1 shows the mask. RSP is put back at once.
 */
export function stackMask(e: Emit): Val {
  if (e.codeSize === 64) return e.i64(-1);
  const rsp = e.gpr(4, 64);
  e.setGpr(4, 64, e.i64(0));
  e.addRsp(e.i64(-1));
  const mask = e.gpr(4, 64);
  e.setGpr(4, 64, rsp);
  return mask;
}
