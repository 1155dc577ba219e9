import type { Insn, MemoryOperand } from "../../../isa/insn.ts";
import type { Cpu } from "../cpu.ts";
import { STATE } from "../state-layout.ts";
import { X87 } from "./env.ts";

const { WORDS } = X87;

/** Memory operands of x87 instructions without bigint where the address allows it. */

const GPR = STATE.gpr.u32;
const FPU_DP = STATE.fpuDp.u32;
const FPU_DS = STATE.fpuDs.u16;
const SAFE = 2 ** 46;

/** Offset of a memory operand as a number: exact, or NaN when only a bigint can tell. */
function offsetOf(cpu: Cpu, insn: Insn, op: MemoryOperand): number {
  const u32 = cpu.u32;
  if (insn.addrSize !== 64) {
    if (op.base === 16) return Number(cpu.effectiveAddress(insn, op));
    let ea = op.disp;
    if (op.base >= 0) ea = (ea + u32[GPR + op.base * 2]) | 0;
    if (op.index >= 0) ea = (ea + (u32[GPR + op.index * 2] << op.scale)) | 0;
    return insn.addrSize === 16 ? ea & 0xffff : ea >>> 0;
  }
  if (op.dispHi !== op.disp >> 31) return Number.NaN;
  let ea = op.disp;
  if (op.base === 16) ea += cpu.i32[STATE.rip.u32 + 1] * 4294967296 + u32[STATE.rip.u32] + insn.length;
  else if (op.base >= 0) ea += cpu.i32[GPR + op.base * 2 + 1] * 4294967296 + u32[GPR + op.base * 2];
  if (op.index >= 0) {
    const scaled = (cpu.i32[GPR + op.index * 2 + 1] * 4294967296 + u32[GPR + op.index * 2]) * (1 << op.scale);
    if (scaled >= SAFE || scaled < -SAFE) return Number.NaN;
    ea += scaled;
  }
  return ea < SAFE && ea >= -SAFE ? ea : Number.NaN;
}

/** Offset of the last memory operand, for the operand pointer. */
let lastOffset = 0;

/** The linear address of the memory operand, after its segment checks. Faults are thrown. */
export function linearAddress(cpu: Cpu, insn: Insn, op: MemoryOperand, bytes: number, write: boolean): number {
  const offset = offsetOf(cpu, insn, op);
  if (Number.isNaN(offset)) {
    const exact = cpu.effectiveAddress(insn, op);
    lastOffset = Number(BigInt.asIntN(64, exact));
    return cpu.segmentAddress(op.segment, exact, bytes, write);
  }
  lastOffset = offset;
  if (cpu.code64 && insn.addrSize === 64 && !cpu.mmu.alignment) {
    // Below 2^46 in magnitude: canonical; FS and GS add their base.
    if (op.segment < 4) return offset;
    const la = cpu.baseNumber(op.segment) + offset;
    if (la < 2 * SAFE && la >= -2 * SAFE) return la;
  }
  return cpu.segmentAddress(op.segment, offset, bytes, write);
}
function touch(cpu: Cpu, la: number, bytes: number, write: boolean): void {
  const user = cpu.cpl === 3;
  if (write) cpu.mmu.probeWrite(la, bytes, user);
  else cpu.mmu.read(la, bytes, user);
}
/** Images of many words: the processor touches the first word, then the last; FXSAVE and FXRSTOR (512 bytes) the last first. Measured. */
export function imageAddress(cpu: Cpu, insn: Insn, op: MemoryOperand, bytes: number, write: boolean): number {
  const word = bytes & 2 ? 2 : 4;
  if (bytes !== 512) touch(cpu, linearAddress(cpu, insn, op, word, write), word, write);
  const la = linearAddress(cpu, insn, op, bytes, write);
  touch(cpu, plus(cpu, la, bytes - 1), 1, write);
  return la;
}
/** Records the operand pointer for FSTENV; after the instruction can no longer fault. */
export function rememberOperand(cpu: Cpu, op: MemoryOperand): void {
  cpu.u32[FPU_DP] = lastOffset;
  cpu.u32[FPU_DP + 1] = Math.floor(lastOffset / 4294967296);
  cpu.u16[FPU_DS] = cpu.selector(op.segment);
}

/** The address `by` bytes on, wrapping where addresses are 32 bits wide. */
export function plus(cpu: Cpu, la: number, by: number): number {
  return cpu.code64 ? la + by : (la + by) >>> 0;
}
export function read16(cpu: Cpu, la: number): number {
  return cpu.mmu.read(la, 2, cpu.cpl === 3);
}
export function read32(cpu: Cpu, la: number): number {
  return cpu.mmu.read(la, 4, cpu.cpl === 3) | 0;
}
/** Reads 4, 8 or 10 bytes: straight from RAM where they lie in one page of it. */
export function readWords(cpu: Cpu, la: number, bytes: number): void {
  const user = cpu.cpl === 3;
  if ((la & 0xfff) + bytes <= 4096) {
    const host = cpu.mmu.hostRead(la, user);
    if (host !== 0) {
      WORDS[0] = cpu.view.getInt32(host, true);
      if (bytes > 4) WORDS[1] = cpu.view.getInt32(host + 4, true);
      if (bytes > 8) WORDS[2] = cpu.view.getUint16(host + 8, true);
      return;
    }
  }
  WORDS[0] = cpu.mmu.read(la, 4, user);
  if (bytes > 4) WORDS[1] = cpu.mmu.read(plus(cpu, la, 4), 4, user);
  if (bytes > 8) WORDS[2] = cpu.mmu.read(plus(cpu, la, 8), 2, user);
}
export function write16(cpu: Cpu, la: number, v: number): void {
  cpu.mmu.write(la, 2, v & 0xffff, cpu.cpl === 3);
}
export function write32(cpu: Cpu, la: number, v: number): void {
  cpu.mmu.write(la, 4, v >>> 0, cpu.cpl === 3);
}
/** Writes 2, 4, 8 or 10 bytes; every page is checked before the first byte is written. */
export function writeWords(cpu: Cpu, la: number, bytes: number, words: Int32Array): void {
  const user = cpu.cpl === 3;
  if ((la & 0xfff) + bytes <= 4096) {
    const host = cpu.mmu.hostWrite(la, user);
    if (host !== 0) {
      if (bytes === 2) cpu.view.setUint16(host, words[0], true);
      else {
        cpu.view.setInt32(host, words[0], true);
        if (bytes > 4) cpu.view.setInt32(host + 4, words[1], true);
        if (bytes > 8) cpu.view.setUint16(host + 8, words[2], true);
      }
      return;
    }
  } else cpu.mmu.probeWrite(la, bytes, user);
  if (bytes === 2) {
    cpu.mmu.write(la, 2, words[0] & 0xffff, user);
    return;
  }
  cpu.mmu.write(la, 4, words[0] >>> 0, user);
  if (bytes > 4) cpu.mmu.write(plus(cpu, la, 4), 4, words[1] >>> 0, user);
  if (bytes > 8) cpu.mmu.write(plus(cpu, la, 8), 2, words[2] & 0xffff, user);
}
