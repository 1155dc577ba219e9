import type { Segment, SemanticFunction, Val } from "../ir/emit.ts";
import { forStack, stackMask, stackOpSize, toI32 } from "./parts.ts";

/** Stack instructions. RSP moves only after every access that can fault. */

const SS: Segment = 2;
const RSP = 4;
const RBP = 5;

/** PUSH r/m, PUSH imm. PUSH SP pushes the old value, as every processor since the 286. */
export const push: SemanticFunction = (e) => {
  const size = stackOpSize(e);
  const value = e.kind(0) === "imm" ? e.imm64(0) : e.read(0);
  e.push(size, forStack(e, value, size));
};

/** POP SP takes the popped value; POP [SP + …] counts its address from the SP after the pop. */
export const pop: SemanticFunction = (e) => {
  const size = stackOpSize(e);
  const value = e.peek(size, 0);
  const bytes = e.i64(size / 8);
  if (e.kind(0) === "reg") {
    e.addRsp(bytes);
    e.write(0, value);
    return;
  }
  // The address is computed under the new RSP, the store (which may fault) runs under the old one.
  const old = e.gpr(RSP, 64);
  e.addRsp(bytes);
  const address = e.address(0);
  e.setGpr(RSP, 64, old);
  e.store(e.segment(0), address, size, value);
  e.addRsp(bytes);
};

/** PUSHA, PUSHAD: all eight places are probed, then written. */
export const pusha: SemanticFunction = (e) => {
  const size = stackOpSize(e);
  const bytes = size / 8;
  const mask = stackMask(e);
  const top = e.gpr(RSP, 64);
  const places = Array.from({ length: 8 }, (_, i) => e.loadForWrite(SS, e.and(e.sub(top, e.i64((i + 1) * bytes)), mask), size));
  places.forEach((place, i) => place.storeBack(e.gpr(i, size)));
  e.addRsp(e.i64(-8 * bytes));
};

/** POPA, POPAD: the stored SP is skipped. */
export const popa: SemanticFunction = (e) => {
  const size = stackOpSize(e);
  const bytes = size / 8;
  const registers = [7, 6, 5, 4, 3, 2, 1, 0];
  const values = registers.map((_, i) => (registers[i] === RSP ? undefined : e.peek(size, i * bytes)));
  registers.forEach((register, i) => {
    const value: Val | undefined = values[i];
    if (value !== undefined) e.setGpr(register, size, value);
  });
  e.addRsp(e.i64(8 * bytes));
};

/** LEAVE: SP = BP in the stack's width, then BP is popped in the operand's. */
export const leave: SemanticFunction = (e) => {
  const size = stackOpSize(e);
  const mask = stackMask(e);
  const base = e.gpr(RBP, 64);
  const value = e.load(SS, e.and(base, mask), size);
  // RSP += RBP - RSP + bytes: the stack's mask keeps what lies above a 16-bit SP.
  e.addRsp(e.add(e.sub(base, e.gpr(RSP, 64)), e.i64(size / 8)));
  e.setGpr(RBP, size, value);
};

/**
 * ENTER size, level. The frame's stores lie below SP and are repeated alike after a fault; SP and BP change at the end.
 * The processor also checks that the new top of stack can be written.
 */
export const enter: SemanticFunction = (e) => {
  const size = stackOpSize(e);
  const bytes = e.i64(size / 8);
  const mask = stackMask(e);
  const masked = (v: Val): Val => e.and(v, mask);
  const allocation = e.and(e.imm64(0), e.i64(0xffff));
  // A back end with room for one immediate gives both in operand 0: the level above the 16-bit size.
  const levelBits = e.kind(1) === "none" ? e.shrU(e.imm64(0), e.i64(16)) : e.imm64(1);
  const level = e.and(toI32(e, levelBits), e.i32(31));
  const rsp = e.gpr(RSP, 64);
  const rbp = e.gpr(RBP, 64);
  const frame = masked(e.sub(masked(rsp), bytes));
  e.store(SS, frame, size, forStack(e, rbp, size));
  const top = e.mutable("i64", frame);
  e.if(level, () => {
    const link = e.mutable("i64", rbp);
    const left = e.mutable("i32", e.sub(level, e.i32(1)));
    e.loop((breakIf) => {
      breakIf(e.eqz(e.get(left)));
      e.set(left, e.sub(e.get(left), e.i32(1)));
      e.set(link, e.sub(e.get(link), bytes));
      const saved = e.load(SS, masked(e.get(link)), size);
      e.set(top, masked(e.sub(e.get(top), bytes)));
      e.store(SS, e.get(top), size, saved);
    });
    e.set(top, masked(e.sub(e.get(top), bytes)));
    // The frame pointer as it will be, bits above a 16-bit stack pointer included.
    e.store(SS, e.get(top), size, forStack(e, e.or(e.and(rsp, e.not(mask)), frame), size));
  });
  const end = masked(e.sub(e.get(top), allocation));
  e.loadForWrite(SS, end, 8);
  e.addRsp(e.sub(end, rsp));
  // EBP is written whole by a 32-bit ENTER even on a 16-bit stack: measured.
  e.setGpr(RBP, 64, e.or(e.and(size === 16 ? rbp : rsp, e.not(mask)), frame));
};
