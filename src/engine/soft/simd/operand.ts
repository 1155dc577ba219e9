import type { Insn, MemoryOperand } from "../../../isa/insn.ts";
import type { Cpu } from "../cpu.ts";
import { linearAddress } from "../fpu/memory.ts";
import { STATE } from "../state-layout.ts";
import { SSE } from "./env.ts";

const { X, Y, Z } = SSE;

/** Operands of SSE instructions: XMM, MMX and general registers, memory of 4, 8 or 16 bytes. */

const XMM = STATE.xmm.u32;
const FPR = STATE.fpr.u32;
const GPR = STATE.gpr.u32;

/** Number of register operand n. */
export function register(insn: Insn, n: number): number {
  const op = insn.operands[n];
  return op.kind === "reg" ? op.index : 0;
}
export function immediate(insn: Insn): number {
  const op = insn.operands[2];
  return op?.kind === "imm" ? op.lo & 0xff : 0;
}
function fromXmm(cpu: Cpu, index: number, to: Int32Array): void {
  const at = XMM + index * 4;
  const i32 = cpu.i32;
  to[0] = i32[at];
  to[1] = i32[at + 1];
  to[2] = i32[at + 2];
  to[3] = i32[at + 3];
}
/** Reads 4, 8 or 16 bytes into `to` as one access: both pages are looked at before either is read, devices see its parts once. */
function fromMemory(cpu: Cpu, insn: Insn, op: MemoryOperand, bytes: number, to: Int32Array): void {
  const la = bytes === 16 ? address128(cpu, insn, op) : linearAddress(cpu, insn, op, bytes, false);
  const { mmu, view } = cpu;
  const user = cpu.cpl === 3;
  let at = (la & 0xfff) + bytes <= 4096 ? mmu.hostRead(la, user) : 0;
  if (at === 0) {
    if (!mmu.slowRead(la, bytes, user)) {
      if (cpu.exit !== undefined) cpu.leave(cpu.exit);
      cpu.raise(cpu.fault.vector, cpu.fault.errorCode);
    }
    at = STATE.scratch.offset;
  }
  to[0] = view.getInt32(at, true);
  if (bytes > 4) to[1] = view.getInt32(at + 4, true);
  if (bytes > 8) {
    to[2] = view.getInt32(at + 8, true);
    to[3] = view.getInt32(at + 12, true);
  }
}
/** 16 bytes: #GP(0) for a misaligned address where the row asks for alignment, before the segment's limit (measured); no #AC then. */
function address128(cpu: Cpu, insn: Insn, op: MemoryOperand): number {
  const { mmu } = cpu;
  if (!insn.row.facts.aligned) return linearAddress(cpu, insn, op, 16, false);
  const checks = mmu.alignment;
  mmu.alignment = false;
  let la = 0;
  try {
    la = linearAddress(cpu, insn, op, 16, false);
  } catch (e) {
    const base = cpu.u32[STATE.segEffBase.u32 + op.segment * 2];
    if (((Number(cpu.effectiveAddress(insn, op) & 15n) + base) & 15) !== 0) cpu.gp(0);
    throw e;
  } finally {
    mmu.alignment = checks;
  }
  if ((la & 15) !== 0) cpu.gp(0);
  return la;
}

/** The old value of the destination register into X. */
export function loadDestination(cpu: Cpu, insn: Insn): void {
  fromXmm(cpu, register(insn, 0), X);
}
/** XMM register or memory of `bytes` into Y. */
export function loadSource(cpu: Cpu, insn: Insn, bytes: number): void {
  const op = insn.operands[1];
  if (op.kind === "mem") fromMemory(cpu, insn, op, bytes, Y);
  else if (op.kind === "reg") fromXmm(cpu, op.index, Y);
}
/** MMX register or 8 bytes of memory into Y. */
export function loadMmxSource(cpu: Cpu, insn: Insn): void {
  const op = insn.operands[1];
  if (op.kind === "mem") fromMemory(cpu, insn, op, 8, Y);
  else if (op.kind === "reg") {
    Y[0] = cpu.i32[FPR + op.index * 4];
    Y[1] = cpu.i32[FPR + op.index * 4 + 1];
  }
}
/** General register or memory of 4 or 8 bytes into Y; gives its width in bits. */
export function loadIntegerSource(cpu: Cpu, insn: Insn): number {
  const op = insn.operands[1];
  if (op.kind === "mem") fromMemory(cpu, insn, op, op.size >> 3, Y);
  else if (op.kind === "reg") {
    Y[0] = cpu.i32[GPR + op.index * 2];
    Y[1] = cpu.i32[GPR + op.index * 2 + 1];
  }
  return op.kind === "mem" || op.kind === "reg" ? op.size : 0;
}

/** `words` words of Z into the low part of XMM register `index`. */
export function storeXmm(cpu: Cpu, index: number, words: number): void {
  const at = XMM + index * 4;
  for (let i = 0; i < words; i++) cpu.i32[at + i] = Z[i];
}
export function storeDestination(cpu: Cpu, insn: Insn, words: number): void {
  storeXmm(cpu, register(insn, 0), words);
}
/** Z[0..1] into an MMX register. */
export function storeMmx(cpu: Cpu, insn: Insn): void {
  const at = FPR + register(insn, 0) * 4;
  cpu.i32[at] = Z[0];
  cpu.i32[at + 1] = Z[1];
  cpu.u16[(at + 2) * 2] = 0xffff;
}
/** Words into a general register of 32 (upper half cleared) or 64 bits. */
export function storeInteger(cpu: Cpu, index: number, bits: number, lo: number, hi: number): void {
  cpu.i32[GPR + index * 2] = lo;
  cpu.i32[GPR + index * 2 + 1] = bits === 64 ? hi : 0;
}
