import type { Emit, OpSize, SemanticFunction, Val } from "../ir/emit.ts";
import { LOG2_BYTES, signedI64, toI32 } from "./parts.ts";

/**
 * Bit test and bit search. BT, BTS, BTR, BTC change CF only (the manual: ZF kept, the others undefined; the chip keeps
 * all). BSF and BSR with source 0 leave the whole destination register, all 64 bits.
 */

type Change = ((e: Emit, value: Val, mask: Val) => Val) | undefined;

function bitTest(change: Change): SemanticFunction {
  return (e) => {
    const size = e.operandSize(0);
    const isString = e.kind(0) === "mem" && e.kind(1) === "reg";
    const offset = e.kind(1) === "imm" ? e.toSize(e.imm64(1), size) : e.read(1);
    const bit = e.and(offset, e.konst(size, size - 1));
    const finish = (value: Val, write: (v: Val) => void): void => {
      const cf = e.and(toI32(e, e.shrU(value, bit)), e.i32(1));
      if (change !== undefined) write(e.trunc(change(e, value, e.shl(e.konst(size, 1), bit)), size));
      e.setFlags({ cf });
    };
    if (!isString) {
      finish(e.read(0), (v) => e.write(0, v));
      return;
    }
    const address = bitStringAddress(e, size, offset);
    if (change === undefined) {
      finish(e.load(e.segment(0), address, size), () => undefined);
      return;
    }
    const place = e.loadForWrite(e.segment(0), address, size);
    finish(place.value, (v) => place.storeBack(v));
  };
}

/** A register bit offset is signed and reaches past the operand: the word at address + (offset >> log2 size) words. */
function bitStringAddress(e: Emit, size: OpSize, offset: Val): Val {
  const words = e.shrS(signedI64(e, offset, size), e.i64(3 + LOG2_BYTES[size]));
  return e.maskAddress(e.add(e.address(0), e.shl(words, e.i64(LOG2_BYTES[size]))));
}

export const bt = bitTest(undefined);
export const bts = bitTest((e, value, mask) => e.or(value, mask));
export const btr = bitTest((e, value, mask) => e.and(value, e.not(mask)));
export const btc = bitTest((e, value, mask) => e.xor(value, mask));

/** Flags of BSF and BSR on silicon: ZF = source is 0, PF from the index (1 when there is none), the others 0. */
function bitScan(index: (e: Emit, size: OpSize, value: Val) => Val): SemanticFunction {
  return (e) => {
    const size = e.operandSize(0);
    const value = e.read(1);
    const none = e.eqz(value);
    const found = index(e, size, value);
    e.if(e.eqz(none), () => e.write(0, found));
    const zero = e.i32(0);
    // Bit 8 keeps ZF clear for index 0 without touching the parity of the low byte.
    e.flagsResult(32, e.select(none, zero, e.or(toI32(e, found), e.i32(0x100))), { cf: zero, of: zero });
  };
}

export const bsf = bitScan((e, _size, value) => e.ctz(value));
export const bsr = bitScan((e, size, value) => e.sub(e.konst(size, size === 64 ? 63 : 31), e.clz(value)));

export const popcnt: SemanticFunction = (e) => {
  const value = e.read(1);
  e.write(0, e.popcnt(value));
  const zero = e.i32(0);
  e.setFlags({ zf: e.eqz(value), cf: zero, pf: zero, af: zero, sf: zero, of: zero });
};
