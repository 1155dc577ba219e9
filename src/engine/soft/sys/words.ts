import { FLAG } from "../../../isa/index.ts";
import type { Insn, MemoryOperand } from "../../../isa/insn.ts";
import type { Cpu } from "../cpu.ts";
import { SS } from "../cpu-state.ts";
import { STATE } from "../state-layout.ts";
import { hostForLoad, load, store } from "./memory.ts";

/**
 * Words that all system helpers share: numeric (never bigint) access to registers, stack and operands.
 * A "wide" number is a 64-bit register read as signed double: exact when canonical, and never taken for canonical when it is not.
 */

const TWO32 = 0x100000000;
const GPR32 = STATE.gpr.u32;
const RIP32 = STATE.rip.u32;
const BASE32 = STATE.segBase.u32;
const READ32 = STATE.segReadLimit.u32;
const WRITE32 = STATE.segWriteLimit.u32;
const STACK_MASK32 = STATE.stackMask.u32;

export function gprLo(cpu: Cpu, i: number): number {
  return cpu.u32[GPR32 + i * 2];
}
export function gprHi(cpu: Cpu, i: number): number {
  return cpu.u32[GPR32 + i * 2 + 1];
}
export function setGprPair(cpu: Cpu, i: number, lo: number, hi: number): void {
  cpu.u32[GPR32 + i * 2] = lo;
  cpu.u32[GPR32 + i * 2 + 1] = hi;
}
/** A 64-bit register as wide number. */
export function gprWide(cpu: Cpu, i: number): number {
  return cpu.i32[GPR32 + i * 2 + 1] * TWO32 + cpu.u32[GPR32 + i * 2];
}
export function setGprWide(cpu: Cpu, i: number, v: number): void {
  setGprPair(cpu, i, lo32(v), hi32(v));
}
/** Low and high half of a wide number. */
export function lo32(v: number): number {
  return v >>> 0;
}
export function hi32(v: number): number {
  return Math.floor(v / TWO32) >>> 0;
}
/** Wide number from halves. */
export function wide(lo: number, hi: number): number {
  return (hi | 0) * TWO32 + (lo >>> 0);
}
export function isCanonical(v: number): boolean {
  return v >= -0x800000000000 && v < 0x800000000000;
}
export function isCanonicalBig(v: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(48, v)) === BigInt.asUintN(64, v);
}
/** A 64-bit value as wide number. */
export function toWide(v: bigint): number {
  return Number(BigInt.asIntN(64, v));
}

/** IP as unsigned 32 bits, or wide in 64-bit code. */
export function ipOf(cpu: Cpu): number {
  return cpu.code64 ? cpu.i32[RIP32 + 1] * TWO32 + cpu.u32[RIP32] : cpu.u32[RIP32];
}
/** IP of the next instruction. */
export function nextIp(cpu: Cpu, insn: Insn): number {
  const ip = ipOf(cpu) + insn.length;
  return cpu.code64 ? ip : ip >>> 0;
}
export function setIp(cpu: Cpu, ip: number): void {
  cpu.u32[RIP32] = lo32(ip);
  cpu.u32[RIP32 + 1] = ip >= 0 && ip < TWO32 ? 0 : hi32(ip);
}

/** Wraps a linear address: 32 bits outside IA-32e mode. */
export function linear(cpu: Cpu, la: number): number {
  return cpu.longMode ? la : la >>> 0;
}
/** Next byte inside an access that passed its segment check: wraps at 4 GiB but in 64-bit code. */
export function linearAdd(cpu: Cpu, la: number, n: number): number {
  return cpu.code64 ? la + n : (la + n) >>> 0;
}

// ---- stack

/** Stack pointer at the width of the stack: 16, 32 bits, or wide. */
export function spOf(cpu: Cpu): number {
  return cpu.code64 ? gprWide(cpu, 4) : (cpu.u32[GPR32 + 8] & cpu.u32[STACK_MASK32]) >>> 0;
}
export function spAdd(cpu: Cpu, sp: number, n: number): number {
  return cpu.code64 ? sp + n : ((sp + n) & cpu.u32[STACK_MASK32]) >>> 0;
}
/** Commits the stack pointer at the width of the stack. */
export function setSp(cpu: Cpu, sp: number): void {
  if (cpu.code64) setGprWide(cpu, 4, sp);
  else if (cpu.u32[STACK_MASK32] === 0xffff) cpu.setR16(4, sp);
  else cpu.setR32(4, sp);
}
/** Linear address of a stack access after the limit check (#SS(0)). */
export function stackAddress(cpu: Cpu, sp: number, size: number, write: boolean): number {
  const at = (write ? WRITE32 : READ32) + SS * 2;
  const top = cpu.mmu.alignment ? -1 : cpu.i32[at + 1];
  if (top === 0) {
    if (sp + size - 1 <= cpu.u32[at]) return (cpu.u32[BASE32 + SS * 2] + sp) >>> 0;
  } else if (top > 0 && isCanonical(sp) && isCanonical(sp + size - 1)) return sp;
  return cpu.segmentAddress(SS, sp, size, write);
}
/** Reads 2 or 4 bytes `offset` above the stack pointer. */
export function peek(cpu: Cpu, offset: number, size: number): number {
  const la = stackAddress(cpu, spAdd(cpu, spOf(cpu), offset), size, false);
  return load(cpu, la, size, cpu.cpl === 3);
}
/** Reads an item of 2, 4 or 8 bytes above the stack pointer: the low 32 bits. Their upper half is read by `peekHigh`. */
export function peekItem(cpu: Cpu, offset: number, size: number): number {
  if (size !== 8) return peek(cpu, offset, size);
  const la = stackAddress(cpu, spAdd(cpu, spOf(cpu), offset), 8, false);
  return load(cpu, la, 4, cpu.cpl === 3);
}
/** The item as wide number when 8 bytes, else unsigned. */
export function peekWide(cpu: Cpu, offset: number, size: number): number {
  if (size !== 8) return peek(cpu, offset, size);
  const la = stackAddress(cpu, spAdd(cpu, spOf(cpu), offset), 8, false);
  const user = cpu.cpl === 3;
  return wide(load(cpu, la, 4, user), load(cpu, la + 4, 4, user));
}
/** Where `readFrame` puts the halves of its items. Read them before anything else reads a frame. */
export const frameLo = new Uint32Array(9);
export const frameHi = new Uint32Array(9);

/** Reads `count` items of 2, 4 or 8 bytes from the top of the stack, in one go where they lie on one known page. */
export function readFrame(cpu: Cpu, count: number, size: number): void {
  const sp = spOf(cpu);
  const user = cpu.cpl === 3;
  // Where the whole frame does not pass, item by item finds the one that faults.
  const host = frameHost(cpu, sp, count * size, user);
  for (let i = 0; i < count; i++) {
    if (host === 0) {
      const la = stackAddress(cpu, spAdd(cpu, sp, i * size), size, false);
      frameLo[i] = load(cpu, la, size === 2 ? 2 : 4, user);
      frameHi[i] = size === 8 ? load(cpu, la + 4, 4, user) : 0;
    } else {
      const at = host + i * size;
      frameLo[i] = size === 2 ? cpu.view.getUint16(at, true) : cpu.view.getUint32(at, true);
      frameHi[i] = size === 8 ? cpu.view.getUint32(at + 4, true) : 0;
    }
  }
}

/** Wasm address of a whole frame that passes the stack's limit, or 0. */
function frameHost(cpu: Cpu, sp: number, bytes: number, user: boolean): number {
  const at = READ32 + SS * 2;
  const top = cpu.i32[at + 1];
  if (top === 0) {
    const mask = cpu.u32[STACK_MASK32];
    const last = sp + bytes - 1;
    return last <= mask && last <= cpu.u32[at] ? hostForLoad(cpu, (cpu.u32[BASE32 + SS * 2] + sp) >>> 0, bytes, user) : 0;
  }
  return top > 0 && isCanonical(sp) && isCanonical(sp + bytes) ? hostForLoad(cpu, sp, bytes, user) : 0;
}

/** Pushes one value of 2, 4 or 8 bytes (upper half `hi`), all or nothing. */
export function push(cpu: Cpu, size: number, lo: number, hi = 0): void {
  const sp = spAdd(cpu, spOf(cpu), -size);
  const la = stackAddress(cpu, sp, size, true);
  writeItem(cpu, la, size, lo, hi, cpu.cpl === 3);
  setSp(cpu, sp);
}
export function writeItem(cpu: Cpu, la: number, size: number, lo: number, hi: number, user: boolean): void {
  if (size === 2) store(cpu, la, 2, lo & 0xffff, user);
  else if (size === 4) store(cpu, la, 4, lo >>> 0, user);
  else {
    if ((la & 0xfff) > 0xff8) cpu.mmu.probeWrite(la, 8, user);
    store(cpu, la, 4, lo >>> 0, user);
    store(cpu, la + 4, 4, hi >>> 0, user);
  }
}

// ---- operands

/** Offset of a memory operand at its address size: unsigned, or wide for 64 bits. */
export function effectiveOffset(cpu: Cpu, insn: Insn, op: MemoryOperand): number {
  if (insn.addrSize === 64) return toWide(cpu.effectiveAddress(insn, op));
  let ea = op.disp;
  if (op.base === 16) ea += cpu.u32[RIP32] + insn.length;
  else if (op.base >= 0) ea += cpu.u32[GPR32 + op.base * 2];
  if (op.index >= 0) ea += cpu.u32[GPR32 + op.index * 2] * (1 << op.scale);
  return insn.addrSize === 16 ? ea & 0xffff : ea >>> 0;
}
/** Linear address of memory operand n after its segment's checks for `size` bytes. */
export function operandAddress(cpu: Cpu, insn: Insn, n: number, size: number, write: boolean): number {
  const op = insn.operands[n];
  if (op.kind !== "mem") return 0;
  return cpu.segmentAddress(op.segment, effectiveOffset(cpu, insn, op), size, write);
}
/** A 16-bit register or memory operand. */
export function readWord(cpu: Cpu, insn: Insn, n: number): number {
  const op = insn.operands[n];
  if (op.kind === "reg") return cpu.r16(op.index);
  return load(cpu, operandAddress(cpu, insn, n, 2, false), 2, cpu.cpl === 3);
}
/** Stores a zero-extended word: registers at their operand size, memory always 16 bits (SLDT, STR, SMSW, MOV from segment). */
export function writeWord(cpu: Cpu, insn: Insn, n: number, v: number): void {
  const op = insn.operands[n];
  if (op.kind === "reg") {
    if (op.size === 16) cpu.setR16(op.index, v);
    else cpu.setR32(op.index, v);
    return;
  }
  store(cpu, operandAddress(cpu, insn, n, 2, true), 2, v & 0xffff, cpu.cpl === 3);
}
/** Writes a register operand of 16, 32 or 64 bits from halves. */
export function writeGpr(cpu: Cpu, index: number, size: number, lo: number, hi = 0): void {
  if (size === 16) cpu.setR16(index, lo);
  else if (size === 32) cpu.setR32(index, lo);
  else setGprPair(cpu, index, lo, hi);
}
/** CF PF AF ZF SF OF replaced under `mask` by `value`. */
export function setArithmetic(cpu: Cpu, mask: number, value: number): void {
  cpu.eflags = (cpu.eflags & ~mask) | (value & mask);
}
/** The whole of EFLAGS; tells the MMU when AC (alignment checks, SMAP) changes. */
export function setFlags(cpu: Cpu, flags: number): void {
  const changed = cpu.systemFlags ^ flags;
  cpu.eflags = flags;
  if ((changed & FLAG.AC) !== 0) cpu.mmu.modeChanged();
}
