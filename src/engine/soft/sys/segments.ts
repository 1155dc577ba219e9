import type { Insn } from "../../../isa/insn.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { DS, ES, FS, GS, SHADOW_SS, SS } from "../cpu-state.ts";
import { STATE } from "../state-layout.ts";
import { loadDataSegment } from "./descriptor.ts";
import { linearAdd, operandAddress, peek, push, readWord, setSp, spAdd, spOf, writeGpr, writeWord } from "./words.ts";
import { load, store } from "./memory.ts";

/** MOV, PUSH and POP of segment registers, and the far-pointer loads. SDM vol. 2. */

/** Interrupts (and traps) are held off for one instruction after SS was loaded. */
function shadowStack(cpu: Cpu): void {
  cpu.shadow = SHADOW_SS;
}

function registerOf(insn: Insn, n: number): number {
  const op = insn.operands[n];
  return op.kind === "reg" ? op.index : 0;
}

const movToSreg: SystemHelper = (cpu, insn) => {
  const s = registerOf(insn, 0);
  if (s === 1 || s > GS) cpu.ud();
  loadDataSegment(cpu, s, readWord(cpu, insn, 1));
  if (s === SS) shadowStack(cpu);
  return "next";
};

const movFromSreg: SystemHelper = (cpu, insn) => {
  const s = registerOf(insn, 1);
  if (s > GS) cpu.ud();
  writeWord(cpu, insn, 0, cpu.selector(s));
  return "next";
};

const pushSreg: SystemHelper = (cpu, insn) => {
  const selector = cpu.selector(registerOf(insn, 0));
  // With a 32-bit operand Intel writes only the low word and leaves the rest of the slot.
  if (insn.opSize === 32) {
    const sp = spAdd(cpu, spOf(cpu), -4);
    const la = stackPush32(cpu, sp);
    store(cpu, la, 2, selector, cpu.cpl === 3);
    setSp(cpu, sp);
  } else push(cpu, insn.opSize >> 3, selector);
  return "next";
};

function stackPush32(cpu: Cpu, sp: number): number {
  return cpu.segmentAddress(SS, sp, 4, true);
}

const popSreg: SystemHelper = (cpu, insn) => {
  const s = registerOf(insn, 0);
  const selector = peek(cpu, 0, 2);
  const sp = spAdd(cpu, spOf(cpu), insn.opSize >> 3);
  if (s === SS) {
    // The pointer moves at the width of the old stack; nothing may fault after the load.
    const wide = cpu.code64;
    const mask = cpu.u32[STATE.stackMask.u32];
    loadDataSegment(cpu, s, selector);
    if (!wide && mask === 0xffff) cpu.setR16(4, sp);
    else if (!wide) cpu.setR32(4, sp);
    else setSp(cpu, sp);
    shadowStack(cpu);
    return "next";
  }
  loadDataSegment(cpu, s, selector);
  setSp(cpu, sp);
  return "next";
};

function loadFar(s: number): SystemHelper {
  return (cpu, insn) => {
    const size = insn.opSize >> 3;
    // Offset and selector are two accesses.
    const la = operandAddress(cpu, insn, 1, size, false);
    const user = cpu.cpl === 3;
    const lo = load(cpu, la, size === 2 ? 2 : 4, user);
    const hi = size === 8 ? load(cpu, linearAdd(cpu, la, 4), 4, user) : 0;
    // (m16:16 is aligned by its words, not as four bytes.)
    operandAddress(cpu, insn, 1, size === 2 && cpu.mmu.alignment ? 3 : size + 2, false);
    const selector = load(cpu, linearAdd(cpu, la, size), 2, user);
    loadDataSegment(cpu, s, selector);
    writeGpr(cpu, registerOf(insn, 0), insn.opSize, lo, hi);
    return "next";
  };
}

export const SEGMENTS: Readonly<Record<string, SystemHelper>> = {
  mov_to_sreg: movToSreg,
  mov_from_sreg: movFromSreg,
  push_sreg: pushSreg,
  pop_sreg: popSreg,
  lds: loadFar(DS),
  les: loadFar(ES),
  lss: loadFar(SS),
  lfs: loadFar(FS),
  lgs: loadFar(GS),
};
