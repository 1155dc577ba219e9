import type { Emit, OpSize, SemanticFunction, Val } from "../ir/emit.ts";
import { source, topBit } from "./parts.ts";

/**
 * Add, subtract, compare and bitwise logic (SDM volume 2, ADD … XOR). Flags are those of Intel silicon: AF after a
 * logic instruction is undefined in the manual and 0 in the chip (measured on Emerald Rapids).
 */

const carryIn = (e: Emit, size: OpSize): Val => e.toSize(e.flag("cf"), size);

export const add: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const b = source(e, 1, size);
  const r = e.trunc(e.add(a, b), size);
  e.write(0, r);
  e.flagsAdd(size, a, b, r);
};

export const adc: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const b = source(e, 1, size);
  const r = e.trunc(e.add(e.add(a, b), carryIn(e, size)), size);
  e.write(0, r);
  e.flagsAdc(size, a, b, r);
};

export const sub: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const b = source(e, 1, size);
  const r = e.trunc(e.sub(a, b), size);
  e.write(0, r);
  e.flagsSub(size, a, b, r);
};

export const sbb: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const b = source(e, 1, size);
  const r = e.trunc(e.sub(e.sub(a, b), carryIn(e, size)), size);
  e.write(0, r);
  e.flagsSbb(size, a, b, r);
};

export const cmp: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const b = source(e, 1, size);
  e.flagsSub(size, a, b, e.trunc(e.sub(a, b), size));
};

function logic(combine: (e: Emit, a: Val, b: Val) => Val, keep: boolean): SemanticFunction {
  return (e) => {
    const size = e.operandSize(0);
    const a = e.read(0);
    const r = combine(e, a, source(e, 1, size));
    if (keep) e.write(0, r);
    e.flagsLogic(size, r);
  };
}

export const and = logic((e, a, b) => e.and(a, b), true);
export const or = logic((e, a, b) => e.or(a, b), true);
export const xor = logic((e, a, b) => e.xor(a, b), true);
export const test = logic((e, a, b) => e.and(a, b), false);

export const not: SemanticFunction = (e) => {
  e.write(0, e.trunc(e.not(e.read(0)), e.operandSize(0)));
};

export const neg: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const r = e.trunc(e.neg(a), size);
  e.write(0, r);
  e.flagsSub(size, e.konst(size, 0), a, r);
};

export const inc: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const r = e.trunc(e.add(a, e.konst(size, 1)), size);
  e.write(0, r);
  e.flagsInc(size, a, r);
};

export const dec: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const r = e.trunc(e.sub(a, e.konst(size, 1)), size);
  e.write(0, r);
  e.flagsDec(size, a, r);
};

export const xadd: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const a = e.read(0);
  const b = e.read(1);
  const r = e.trunc(e.add(a, b), size);
  // The sum goes last: XADD AL, AL leaves the sum. A memory operand was probed by its read.
  e.write(1, a);
  e.write(0, r);
  e.flagsAdd(size, a, b, r);
};

/** ADCX and ADOX: one flag is carry in and out, the other five keep their value. */
function addWithOne(name: "cf" | "of"): SemanticFunction {
  return (e) => {
    const size = e.operandSize(0);
    const a = e.read(0);
    const b = e.read(1);
    const carry = e.flag(name);
    const r = e.add(e.add(a, b), e.toSize(carry, size));
    const out = e.or(e.ltU(r, a), e.and(carry, e.eq(r, a)));
    e.write(0, r);
    e.setFlags(name === "cf" ? { cf: out } : { of: out });
  };
}

export const adcx = addWithOne("cf");
export const adox = addWithOne("of");

/** BOUND: the pair of signed bounds is one memory operand; #BR when the index is outside. */
export const bound: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const index = e.sx(e.read(0), size);
  const address = e.address(1);
  const segment = e.segment(1);
  // The upper bound is not read when the lower one is passed already.
  const lower = e.sx(e.load(segment, address, size), size);
  e.faultIf(e.ltS(index, lower), 5);
  const upper = e.sx(e.load(segment, e.maskAddress(e.add(address, e.i64(size / 8))), size), size);
  e.faultIf(e.gtS(index, upper), 5);
};

export const lahf: SemanticFunction = (e) => {
  let ah = e.i32(2);
  const place = (name: "cf" | "pf" | "af" | "zf" | "sf", at: number): void => {
    ah = e.or(ah, e.shl(e.flag(name), e.i32(at)));
  };
  place("cf", 0);
  place("pf", 2);
  place("af", 4);
  place("zf", 6);
  place("sf", 7);
  e.setHigh8(0, ah);
};

export const sahf: SemanticFunction = (e) => {
  const ah = e.high8(0);
  const at = (index: number): Val => e.and(e.shrU(ah, e.i32(index)), e.i32(1));
  e.setFlags({ cf: at(0), pf: at(2), af: at(4), zf: at(6), sf: topBit(e, ah, 8) });
};

export const clc: SemanticFunction = (e) => e.setFlags({ cf: e.i32(0) });
export const stc: SemanticFunction = (e) => e.setFlags({ cf: e.i32(1) });
export const cmc: SemanticFunction = (e) => e.setFlags({ cf: e.xor(e.flag("cf"), e.i32(1)) });
export const cld: SemanticFunction = (e) => e.changeSystemFlags(0x400, 0);
export const std: SemanticFunction = (e) => e.changeSystemFlags(0, 0x400);

/** SALC (D6, undocumented): AL = CF ? FF : 0. */
export const salc: SemanticFunction = (e) => e.setGpr(0, 8, e.trunc(e.neg(e.flag("cf")), 8));
