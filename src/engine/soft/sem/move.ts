import type { Emit, OpSize, Segment, SemanticFunction, Val } from "../ir/emit.ts";
import { reverseBytes, source, toI64 } from "./parts.ts";

/** Data movement without arithmetic, and the compare-and-exchange family. */

export const mov: SemanticFunction = (e) => e.write(0, source(e, 1, e.operandSize(0)));

export const movzx: SemanticFunction = (e) => e.write(0, e.toSize(e.read(1), e.operandSize(0)));

/** MOVSX and MOVSXD. MOVSXD with 16 or 32-bit operands moves without extension. */
export const movsx: SemanticFunction = (e) => {
  const to = e.operandSize(0);
  const from = e.operandSize(1);
  const value = e.toSize(e.read(1), to);
  e.write(0, from < to ? e.trunc(e.sx(value, from), to) : value);
};

/** The memory form locks by itself; it needs one access "rw". */
export const xchg: SemanticFunction = (e) => {
  const memory = e.kind(1) === "mem" ? 1 : 0;
  const other = 1 - memory;
  const a = e.read(memory);
  const b = e.read(other);
  e.write(memory, b);
  e.write(other, a);
};

/**
 * CMPXCHG. Memory is written in both cases (the old value when unequal), so it must be writable. A 32-bit register
 * destination keeps its upper half when unequal, and then RAX's upper half is cleared; when equal the other way round.
 */
export const cmpxchg: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const old = e.read(0);
  const replacement = e.read(1);
  const accumulator = e.gpr(0, size);
  const equal = e.eq(old, accumulator);
  if (e.kind(0) === "mem") e.write(0, e.select(equal, replacement, old));
  else e.if(equal, () => e.write(0, replacement));
  e.if(e.eqz(equal), () => e.setGpr(0, size, old));
  e.flagsSub(size, accumulator, old, e.trunc(e.sub(accumulator, old), size));
};

const pair32 = (e: Emit, high: number, low: number): Val => e.or(e.extU(e.gpr(low, 32)), e.shl(e.extU(e.gpr(high, 32)), e.i64(32)));

/** CMPXCHG8B changes ZF only. */
export const cmpxchg8b: SemanticFunction = (e) => {
  const place = e.loadForWrite(e.segment(0), e.address(0), 64);
  const old = place.value;
  const equal = e.eq(old, pair32(e, 2, 0));
  place.storeBack(e.select(equal, pair32(e, 1, 3), old));
  e.if(e.eqz(equal), () => {
    e.setGpr(0, 32, e.wrap(old));
    e.setGpr(2, 32, e.wrap(e.shrU(old, e.i64(32))));
  });
  e.setFlags({ zf: equal });
};

/** CMPXCHG16B: #GP(0) unless 16-byte aligned (judged by the offset; the bases of 64-bit code are 0 or, for FS and GS, aligned in practice). */
export const cmpxchg16b: SemanticFunction = (e) => {
  const segment = e.segment(0);
  const address = e.address(0);
  e.faultIf(e.ne(e.and(address, e.i64(15)), e.i64(0)), 13, 0);
  const low = e.loadForWrite(segment, address, 64);
  const high = e.loadForWrite(segment, e.maskAddress(e.add(address, e.i64(8))), 64);
  const equal = e.and(e.eq(low.value, e.gpr(0, 64)), e.eq(high.value, e.gpr(2, 64)));
  low.storeBack(e.select(equal, e.gpr(3, 64), low.value));
  high.storeBack(e.select(equal, e.gpr(1, 64), high.value));
  e.if(e.eqz(equal), () => {
    e.setGpr(0, 64, low.value);
    e.setGpr(2, 64, high.value);
  });
  e.setFlags({ zf: equal });
};

/** BSWAP of a 16-bit register is undefined in the manual; the chip gives 0. */
export const bswap: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  const value = e.read(0);
  e.write(0, size === 16 ? e.i32(0) : reverseBytes(e, value, size));
};

export const movbe: SemanticFunction = (e) => e.write(0, reverseBytes(e, e.read(1), e.operandSize(0)));

export const lea: SemanticFunction = (e) => {
  const size = e.operandSize(0);
  e.write(0, e.trunc(e.toSize(e.address(1), size), size));
};

export const setcc: SemanticFunction = (e) => e.write(0, e.condition(e.cc));

/** The source is always read (and may fault); a 32-bit destination's upper half is cleared even when nothing moves. */
export const cmovcc: SemanticFunction = (e) => {
  const value = e.read(1);
  const old = e.read(0);
  e.write(0, e.select(e.condition(e.cc), value, old));
};

/** XLAT: AL = [rBX + AL] in DS or the override. */
export const xlat: SemanticFunction = (e) => {
  const offset = e.maskAddress(e.add(e.addrReg(3), e.extU(e.gpr(0, 8))));
  e.setGpr(0, 8, e.load(e.stringSource(), offset, 8));
};

// ---- string instructions, one step (the engine does the repetition)

/** SDM volume 2: the destination is always ES:rDI. */
const ES: Segment = 0;
const RSI = 6;
const RDI = 7;

/** +bytes or -bytes by DF, i64. */
function step(e: Emit, size: OpSize): Val {
  const bytes = size / 8;
  const twice = bytes * 2;
  const back = e.and(e.shrU(e.systemFlags(), e.i32(10 - Math.log2(twice))), e.i32(twice));
  return e.extS(e.sub(e.i32(bytes), back));
}

const advance = (e: Emit, register: number, offset: Val, by: Val): void => e.setAddrReg(register, e.maskAddress(e.add(offset, by)));

export const movs: SemanticFunction = (e) => {
  const from = e.addrReg(RSI);
  const to = e.addrReg(RDI);
  e.store(ES, to, e.size, e.load(e.stringSource(), from, e.size));
  const by = step(e, e.size);
  advance(e, RSI, from, by);
  advance(e, RDI, to, by);
};

export const stos: SemanticFunction = (e) => {
  const to = e.addrReg(RDI);
  e.store(ES, to, e.size, e.gpr(0, e.size));
  advance(e, RDI, to, step(e, e.size));
};

export const lods: SemanticFunction = (e) => {
  const from = e.addrReg(RSI);
  const value = e.load(e.stringSource(), from, e.size);
  advance(e, RSI, from, step(e, e.size));
  e.setGpr(0, e.size, value);
};

export const scas: SemanticFunction = (e) => {
  const at = e.addrReg(RDI);
  const b = e.load(ES, at, e.size);
  const a = e.gpr(0, e.size);
  advance(e, RDI, at, step(e, e.size));
  e.flagsSub(e.size, a, b, e.trunc(e.sub(a, b), e.size));
};

export const cmps: SemanticFunction = (e) => {
  const from = e.addrReg(RSI);
  const at = e.addrReg(RDI);
  // Silicon reads ES:RDI first: it names the fault when both would.
  const b = e.load(ES, at, e.size);
  const a = e.load(e.stringSource(), from, e.size);
  const by = step(e, e.size);
  advance(e, RSI, from, by);
  advance(e, RDI, at, by);
  e.flagsSub(e.size, a, b, e.trunc(e.sub(a, b), e.size));
};

// ---- nothing, or nearly

/** NOP, hints, fences, prefetches: memory order is total here and nothing is cached. */
export const nop: SemanticFunction = () => undefined;

/** CLFLUSH and its kin fault like a load of one byte and do nothing else. */
export const clflush: SemanticFunction = (e) => {
  e.load(e.segment(0), e.address(0), 8);
};

/** MOVNTI. */
export const movnti: SemanticFunction = (e) => e.write(0, toI64IfWide(e, e.read(1)));

function toI64IfWide(e: Emit, value: Val): Val {
  return e.operandSize(0) === 64 ? toI64(e, value) : value;
}
