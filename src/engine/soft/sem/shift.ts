import type { Emit, OpSize, SemanticFunction, Val } from "../ir/emit.ts";
import { bitAt, toI32, topBit } from "./parts.ts";

/**
 * Shifts and rotates. What the manual calls undefined is here as Intel silicon does it (measured on Emerald Rapids for
 * all sizes and counts):
 * - OF for counts above 1 is OF as a count of 1 would set it, from the operand before the shift;
 *   but ROL and ROR of a register by an immediate above 1 keep it.
 * - AF is 0 after a shift; rotates keep SF ZF AF PF.
 * - A masked count of 0 keeps all flags but still writes the destination (a 32-bit register's upper half is cleared).
 * - SHLD/SHRD of 16 bits with a count above 16 shift first the source, then the destination again into the place.
 * - RCL/RCR of 8 and 16 bits whose count is a multiple of 9 or 17 keep CF and OF.
 */

/** The count of operand n, masked to 5 or 6 bits, as i32 and in the operand's type. */
function count(e: Emit, n: number, size: OpSize): { c32: Val; c: Val } {
  const c32 = e.and(toI32(e, e.read(n)), e.i32(size === 64 ? 63 : 31));
  return { c32, c: size === 64 ? e.extU(c32) : c32 };
}

const xorTopTwo = (e: Emit, a: Val, size: OpSize): Val => e.xor(topBit(e, a, size), bitAt(e, a, size, size - 2));

/** Shift by count - 1: the bit that leaves last is then at the edge. Only used where count is not 0. */
const lessOne = (e: Emit, size: OpSize, c: Val): Val => e.sub(c, e.konst(size, 1));

export const shl: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const { c32, c } = count(e, 1, size);
  const r = e.trunc(e.shl(a, c), size);
  e.write(0, r);
  e.if(e.ne(c32, e.i32(0)), () => {
    const cf = bitAt(e, e.shl(a, lessOne(e, size, c)), size, size - 1);
    e.flagsResult(size, r, { cf, of: xorTopTwo(e, a, size) });
  });
};

export const shr: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const { c32, c } = count(e, 1, size);
  const r = e.shrU(a, c);
  e.write(0, r);
  e.if(e.ne(c32, e.i32(0)), () => {
    e.flagsResult(size, r, { cf: bitAt(e, e.shrU(a, lessOne(e, size, c)), size, 0), of: topBit(e, a, size) });
  });
};

export const sar: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.sx(e.read(0), size);
  const { c32, c } = count(e, 1, size);
  const r = e.trunc(e.shrS(a, c), size);
  e.write(0, r);
  e.if(e.ne(c32, e.i32(0)), () => {
    e.flagsResult(size, r, { cf: bitAt(e, e.shrS(a, lessOne(e, size, c)), size, 0), of: e.i32(0) });
  });
};

/** The operand repeated until it fills its type, so that Wasm's rotates serve 8 and 16 bits too. */
function repeated(e: Emit, a: Val, size: OpSize): Val {
  if (size === 8) return e.mul(a, e.i32(0x01010101));
  return size === 16 ? e.or(a, e.shl(a, e.i32(16))) : a;
}

/** OF of ROL and ROR from that of a rotate by 1. */
function rotateOverflow(e: Emit, c32: Val, byOne: () => Val): Val {
  if (e.kind(0) !== "reg" || e.kind(1) !== "imm") return byOne();
  return e.select(e.eq(c32, e.i32(1)), byOne(), e.flag("of"));
}

export const rol: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const { c32, c } = count(e, 1, size);
  const r = e.trunc(e.rotl(repeated(e, a, size), c), size);
  e.write(0, r);
  e.if(e.ne(c32, e.i32(0)), () => e.setFlags({ cf: bitAt(e, r, size, 0), of: rotateOverflow(e, c32, () => xorTopTwo(e, a, size)) }));
};

export const ror: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const { c32, c } = count(e, 1, size);
  const r = e.trunc(e.rotr(repeated(e, a, size), c), size);
  e.write(0, r);
  e.if(e.ne(c32, e.i32(0)), () => {
    e.setFlags({ cf: topBit(e, r, size), of: rotateOverflow(e, c32, () => e.xor(bitAt(e, a, size, 0), topBit(e, a, size))) });
  });
};

/** RCL and RCR of 8, 16 and 32 bits as a rotate of size + 1 bits in i64. */
function rotateThroughCarry(left: boolean): SemanticFunction {
  return (e) => {
    const size = e.operandSize(0);
    const a = e.read(0);
    const { c32 } = count(e, 1, size);
    const cf = e.flag("cf");
    const turns = size < 32 ? e.remU(c32, e.i32(size + 1)) : c32;
    const of = (): Val => (left ? xorTopTwo(e, a, size) : e.xor(cf, topBit(e, a, size)));
    if (size === 64) {
      const { r, out } = left ? rcl64(e, a, cf, turns) : rcr64(e, a, cf, turns);
      e.write(0, r);
      e.if(e.ne(turns, e.i32(0)), () => e.setFlags({ cf: out, of: of() }));
      return;
    }
    const wide = e.or(e.extU(a), e.shl(e.extU(cf), e.i64(size)));
    const n = e.extU(turns);
    const rest = e.sub(e.i64(size + 1), n);
    const turned = left ? e.or(e.shl(wide, n), e.shrU(wide, rest)) : e.or(e.shrU(wide, n), e.shl(wide, rest));
    const r = e.trunc(e.wrap(turned), size);
    e.write(0, r);
    e.if(e.ne(turns, e.i32(0)), () => {
      e.setFlags({ cf: e.and(e.wrap(e.shrU(turned, e.i64(size))), e.i32(1)), of: of() });
    });
  };
}

export const rcl = rotateThroughCarry(true);
export const rcr = rotateThroughCarry(false);

function rcl64(e: Emit, a: Val, cf: Val, turns: Val): { r: Val; out: Val } {
  const n = e.extU(turns);
  const less = e.sub(n, e.i64(1));
  // a >> (65 - n) as two shifts, so that n = 1 gives 0.
  const low = e.shrU(e.shrU(a, e.i64(1)), e.sub(e.i64(64), n));
  const turned = e.or(e.or(e.shl(a, n), e.shl(e.extU(cf), less)), low);
  return { r: e.select(turns, turned, a), out: bitAt(e, e.shl(a, less), 64, 63) };
}

function rcr64(e: Emit, a: Val, cf: Val, turns: Val): { r: Val; out: Val } {
  const n = e.extU(turns);
  const less = e.sub(n, e.i64(1));
  const high = e.shl(e.shl(a, e.i64(1)), e.sub(e.i64(64), n));
  const turned = e.or(e.or(e.shrU(a, n), e.shl(e.extU(cf), e.sub(e.i64(64), n))), high);
  return { r: e.select(turns, turned, a), out: bitAt(e, e.shrU(a, less), 64, 0) };
}

export const shld: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const b = e.read(1);
  const { c32, c } = count(e, 2, size);
  let r: Val;
  let last: Val;
  if (size === 16) {
    // a : b : a, 48 bits; the counts above 16 bring the destination's own bits in again.
    const wide = e.or(e.shl(e.extU(e.or(e.shl(a, e.i32(16)), b)), e.i64(16)), e.extU(a));
    const shifted = e.shl(wide, e.extU(c32));
    r = e.trunc(e.wrap(e.shrU(shifted, e.i64(32))), 16);
    last = e.and(e.wrap(e.shrU(shifted, e.i64(48))), e.i32(1));
  } else {
    const one = e.konst(size, 1);
    const filled = e.shrU(e.shrU(b, one), e.sub(e.konst(size, size - 1), c));
    r = e.or(e.shl(a, c), filled);
    last = bitAt(e, e.shl(a, lessOne(e, size, c)), size, size - 1);
  }
  e.write(0, r);
  e.if(e.ne(c32, e.i32(0)), () => e.flagsResult(size, r, { cf: last, of: xorTopTwo(e, a, size) }));
};

export const shrd: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const b = e.read(1);
  const { c32, c } = count(e, 2, size);
  let r: Val;
  let last: Val;
  if (size === 16) {
    const wide = e.or(e.extU(e.or(a, e.shl(b, e.i32(16)))), e.shl(e.extU(a), e.i64(32)));
    const n = e.extU(c32);
    r = e.trunc(e.wrap(e.shrU(wide, n)), 16);
    last = e.and(e.wrap(e.shrU(wide, e.sub(n, e.i64(1)))), e.i32(1));
  } else {
    const filled = e.shl(e.shl(b, e.konst(size, 1)), e.sub(e.konst(size, size - 1), c));
    r = e.or(e.shrU(a, c), filled);
    last = bitAt(e, e.shrU(a, lessOne(e, size, c)), size, 0);
  }
  e.write(0, r);
  e.if(e.ne(c32, e.i32(0)), () => {
    e.flagsResult(size, r, { cf: last, of: e.xor(bitAt(e, b, size, 0), topBit(e, a, size)) });
  });
};
