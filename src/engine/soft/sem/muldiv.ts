import type { Emit, OpSize, SemanticFunction, Val } from "../ir/emit.ts";
import { mulHighS, mulHighU, signedI64, source, toI32, toI64 } from "./parts.ts";

/**
 * Multiply and divide. The manual leaves SF, ZF, AF and PF undefined after a multiplication; Intel silicon (measured on
 * Emerald Rapids) sets SF and PF from the low half of the product and clears AF and ZF, ZF even when the product is 0.
 * Division leaves all flags as they were.
 */
function multiplyFlags(e: Emit, size: OpSize, low: Val, overflow: Val): void {
  // Bit 8 makes the 64-bit "result" other than 0 and touches neither its sign nor its low byte.
  e.flagsResult(64, e.or(signedI64(e, low, size), e.i64(0x100)), { cf: overflow, of: overflow });
}

/** IMUL with two or three operands. */
export const imul: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const three = e.kind(2) !== "none";
  const a = three ? e.read(1) : e.read(0);
  const b = three ? source(e, 2, size) : e.read(1);
  const { low, overflow } = signedProduct(e, size, a, b);
  e.write(0, low);
  multiplyFlags(e, size, low, overflow);
};

/** Low half, high half (both of the operand's type) and whether the signed product needs more than `size` bits. */
function signedProduct(e: Emit, size: OpSize, a: Val, b: Val): { low: Val; high: () => Val; overflow: Val } {
  if (size === 64) {
    const low = e.mul(a, b);
    const high = mulHighS(e, a, b);
    return { low, high: () => high, overflow: e.ne(high, e.shrS(low, e.i64(63))) };
  }
  if (size === 32) {
    const product = e.mul(e.extS(a), e.extS(b));
    const low = e.wrap(product);
    return { low, high: () => e.wrap(e.shrU(product, e.i64(32))), overflow: e.ne(e.extS(low), product) };
  }
  const product = e.mul(e.sx(a, size), e.sx(b, size));
  return {
    low: e.trunc(product, size),
    high: () => e.trunc(e.shrU(product, e.i32(size)), size),
    overflow: e.ne(e.sx(product, size), product),
  };
}

/** The double-width accumulator: AH:AL, DX:AX, EDX:EAX, RDX:RAX. */
function writePair(e: Emit, size: OpSize, low: Val, high: Val): void {
  if (size === 8) {
    e.setGpr(0, 16, e.or(e.trunc(low, 8), e.shl(high, e.i32(8))));
    return;
  }
  e.setGpr(0, size, low);
  e.setGpr(2, size, high);
}

export const mul: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const b = e.read(0);
  const a = e.gpr(0, size);
  let low: Val;
  let high: Val;
  if (size === 64) {
    low = e.mul(a, b);
    high = mulHighU(e, a, b);
  } else if (size === 32) {
    const product = e.mul(e.extU(a), e.extU(b));
    low = e.wrap(product);
    high = e.wrap(e.shrU(product, e.i64(32)));
  } else {
    const product = e.mul(a, b);
    low = e.trunc(product, size);
    high = e.shrU(product, e.i32(size));
  }
  writePair(e, size, low, high);
  multiplyFlags(e, size, low, e.ne(high, e.konst(size, 0)));
};

/** IMUL with one operand. */
export const imul1: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const b = e.read(0);
  const a = e.gpr(0, size);
  const { low, high, overflow } = signedProduct(e, size, a, b);
  writePair(e, size, low, high());
  multiplyFlags(e, size, low, overflow);
};

/** #DE. */
const DIVIDE_ERROR = 0;

export const div: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const b = e.read(0);
  if (size === 8) {
    const dividend = e.gpr(0, 16);
    // One test finds both a zero divisor and a quotient that does not fit: high half >= divisor.
    e.faultIf(e.geU(e.shrU(dividend, e.i32(8)), b), DIVIDE_ERROR);
    e.setGpr(0, 16, e.or(e.divU(dividend, b), e.shl(e.remU(dividend, b), e.i32(8))));
    return;
  }
  const low = e.gpr(0, size);
  const high = e.gpr(2, size);
  e.faultIf(e.geU(high, b), DIVIDE_ERROR);
  if (size === 16) {
    const dividend = e.or(low, e.shl(high, e.i32(16)));
    writePair(e, 16, e.divU(dividend, b), e.remU(dividend, b));
  } else if (size === 32) {
    const dividend = e.or(e.extU(low), e.shl(e.extU(high), e.i64(32)));
    const divisor = e.extU(b);
    writePair(e, 32, e.wrap(e.divU(dividend, divisor)), e.wrap(e.remU(dividend, divisor)));
  } else {
    const { quotient, remainder } = divide128(e, high, low, b);
    writePair(e, 64, quotient, remainder);
  }
};

/**
 * high:low / divisor for high < divisor, so that the quotient fits 64 bits: Knuth's algorithm D (TAOCP 2, 4.3.1) with two
 * 32-bit digits, after the quick case of an empty high half.
 */
function divide128(e: Emit, high: Val, low: Val, divisor: Val): { quotient: Val; remainder: Val } {
  const zero = e.i64(0);
  const quotient = e.mutable("i64", zero);
  const remainder = e.mutable("i64", zero);
  e.if(
    e.eqz(high),
    () => {
      e.set(quotient, e.divU(low, divisor));
      e.set(remainder, e.remU(low, divisor));
    },
    () => {
      const half = e.i64(32);
      const digit = e.i64(0xffffffffn);
      const shift = e.clz(divisor);
      const v = e.shl(divisor, shift);
      // (low >> 1) >> (63 - shift) is low >> (64 - shift), and 0 for shift 0.
      const carried = e.shrU(e.shrU(low, e.i64(1)), e.sub(e.i64(63), shift));
      const top = e.or(e.shl(high, shift), carried);
      const rest = e.shl(low, shift);
      const first = quotientDigit(e, top, e.shrU(rest, half), v);
      const second = quotientDigit(e, first.remainder, e.and(rest, digit), v);
      e.set(quotient, e.or(e.shl(first.quotient, half), second.quotient));
      e.set(remainder, e.shrU(second.remainder, shift));
    },
  );
  return { quotient: e.get(quotient), remainder: e.get(remainder) };
}

/** One digit of (top·2^32 + next) / v for a normalised v and top < v. */
function quotientDigit(e: Emit, top: Val, next: Val, v: Val): { quotient: Val; remainder: Val } {
  const half = e.i64(32);
  const base = e.i64(0x100000000n);
  const vTop = e.shrU(v, half);
  const vLow = e.and(v, e.i64(0xffffffffn));
  let q = e.divU(top, vTop);
  let r = e.sub(top, e.mul(q, vTop));
  // The estimate is at most two too big. The second correction must not run once r has outgrown a digit.
  for (let i = 0; i < 2; i++) {
    const tooBig = e.or(e.geU(q, base), e.gtU(e.mul(q, vLow), e.or(e.shl(r, half), next)));
    const wrong = e.and(tooBig, e.ltU(r, base));
    q = e.sub(q, e.extU(wrong));
    r = e.select(wrong, e.add(r, vTop), r);
  }
  return { quotient: q, remainder: e.sub(e.or(e.shl(top, half), next), e.mul(q, v)) };
}

export const idiv: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const b = e.read(0);
  e.faultIf(e.eqz(b), DIVIDE_ERROR);
  if (size === 64) {
    divideSigned128(e, b);
    return;
  }
  if (size === 8) {
    const dividend = e.sx(e.gpr(0, 16), 16);
    const divisor = e.sx(b, 8);
    const quotient = e.divS(dividend, divisor);
    e.faultIf(e.ne(e.sx(quotient, 8), quotient), DIVIDE_ERROR);
    e.setGpr(0, 16, e.or(e.trunc(quotient, 8), e.shl(e.remS(dividend, divisor), e.i32(8))));
    return;
  }
  const low = e.gpr(0, size);
  const high = e.gpr(2, size);
  const dividend = e.or(e.extU(low), e.shl(size === 16 ? e.extS(e.sx(high, 16)) : e.extU(high), e.i64(size)));
  const divisor = signedI64(e, b, size);
  if (size === 32) {
    e.faultIf(e.and(e.eq(divisor, e.i64(-1)), e.eq(dividend, e.i64(-0x8000000000000000n))), DIVIDE_ERROR);
  }
  const quotient = e.divS(dividend, divisor);
  e.faultIf(e.ne(e.sx(quotient, size), quotient), DIVIDE_ERROR);
  writePair(e, size, e.wrap(quotient), e.wrap(e.remS(dividend, divisor)));
};

/** RDX:RAX / divisor (not 0), signed, by magnitudes. The remainder has the dividend's sign. */
function divideSigned128(e: Emit, divisor: Val): void {
  const zero = e.i64(0);
  const sign = e.i64(63);
  const low = e.gpr(0, 64);
  const high = e.gpr(2, 64);
  const dividendSign = e.shrS(high, sign);
  const quotientSign = e.xor(dividendSign, e.shrS(divisor, sign));
  const lowMagnitude = e.sub(e.xor(low, dividendSign), dividendSign);
  // Negating the pair carries into the high half only when the low half is 0.
  const carry = e.and(e.extU(e.eqz(low)), dividendSign);
  const highMagnitude = e.add(e.xor(high, dividendSign), carry);
  const divisorSign = e.shrS(divisor, sign);
  const divisorMagnitude = e.sub(e.xor(divisor, divisorSign), divisorSign);
  e.faultIf(e.geU(highMagnitude, divisorMagnitude), DIVIDE_ERROR);
  const { quotient, remainder } = divide128(e, highMagnitude, lowMagnitude, divisorMagnitude);
  const signed = e.sub(e.xor(quotient, quotientSign), quotientSign);
  // A quotient other than 0 must have the sign it should have.
  const wrongSign = e.ltS(e.xor(signed, quotientSign), zero);
  e.faultIf(e.and(e.ne(quotient, zero), wrongSign), DIVIDE_ERROR);
  e.setGpr(0, 64, signed);
  e.setGpr(2, 64, e.sub(e.xor(remainder, dividendSign), dividendSign));
}

/** CBW, CWDE, CDQE: the accumulator's lower half sign-extended. */
export const cbw: SemanticFunction = (e) => {
  const size = e.size;
  if (size === 64) e.setGpr(0, 64, e.extS(e.gpr(0, 32)));
  else e.setGpr(0, size, e.trunc(e.sx(e.gpr(0, size === 16 ? 8 : 16), size === 16 ? 8 : 16), size));
};

/** CWD, CDQ, CQO: the accumulator's sign in all bits of xDX. */
export const cwd: SemanticFunction = (e) => {
  const size = e.size;
  const a = e.gpr(0, size);
  if (size === 64) e.setGpr(2, 64, e.shrS(a, e.i64(63)));
  else e.setGpr(2, size, e.trunc(e.shrS(e.sx(a, size), e.i32(31)), size));
};

/** CRC32 (polynomial 11EDC6F41h reflected), one bit at a time over 8, 16, 32 or 64 source bits. No flags. */
export const crc32: SemanticFunction = (e) => {
  const sourceSize = e.operandSize(1);
  const data = e.read(1);
  const crc = toI32(e, e.read(0));
  const state = e.mutable("i64", e.xor(e.extU(crc), toI64(e, data)));
  const left = e.mutable("i32", e.i32(sourceSize));
  // The state holds the remainder in its low 32 bits and source bits not yet reached above them; shorter sources
  // leave the remainder's upper bits in place, which is what shifting it by the source's size means.
  e.loop((breakIf) => {
    const s = e.get(state);
    const poly = e.and(e.neg(e.and(s, e.i64(1))), e.i64(0x82f63b78n));
    e.set(state, e.xor(e.shrU(s, e.i64(1)), poly));
    const n = e.sub(e.get(left), e.i32(1));
    e.set(left, n);
    breakIf(e.eqz(n));
  });
  e.write(0, e.toSize(e.and(e.get(state), e.i64(0xffffffffn)), e.operandSize(0)));
};
