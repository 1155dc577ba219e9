import { CR0, VECTOR } from "../../../isa/index.ts";
import type { Insn } from "../../../isa/insn.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { STATE } from "../state-layout.ts";
import { setResult, X87 } from "./env.ts";

const { IE, DE, ZE, SF, ES, C1, BUSY, R, SE, HI, LO, ENV, RC, PREC, MASK, RAISED, INDEFINITE_SE, INDEFINITE_HI } = X87;

/** The register stack, the status word and the frame every x87 instruction runs in. */

const STATUS = STATE.fpuStatus.u16;
const CONTROL = STATE.fpuControl.u16;
const TOP = STATE.fpuTop.u32;
const EMPTY = STATE.fpuEmpty.u32;
const FPR = STATE.fpr.offset;
const IF = 0x200;

export function top(cpu: Cpu): number {
  return cpu.u32[TOP];
}
/** Byte address of ST(i). */
export function stAddress(cpu: Cpu, i: number): number {
  return FPR + ((cpu.u32[TOP] + i) & 7) * 16;
}
export function isEmpty(cpu: Cpu, i: number): boolean {
  return ((cpu.u32[EMPTY] >> ((cpu.u32[TOP] + i) & 7)) & 1) !== 0;
}
export function setSt(cpu: Cpu, i: number, se: number, hi: number, lo: number): void {
  const p = (cpu.u32[TOP] + i) & 7;
  const at = FPR + p * 16;
  cpu.i32[at >> 2] = lo;
  cpu.i32[(at >> 2) + 1] = hi;
  cpu.u16[(at + 8) >> 1] = se;
  cpu.u32[EMPTY] &= ~(1 << p);
}
/** R into ST(i). */
export function storeResult(cpu: Cpu, i: number): void {
  setSt(cpu, i, R[SE], R[HI], R[LO]);
}
export function pop(cpu: Cpu): void {
  const t = cpu.u32[TOP];
  cpu.u32[EMPTY] |= 1 << t;
  cpu.u32[TOP] = (t + 1) & 7;
}
/** R onto the stack; the caller has looked for overflow. */
export function pushResult(cpu: Cpu): void {
  cpu.u32[TOP] = (cpu.u32[TOP] + 7) & 7;
  storeResult(cpu, 0);
}
export function free(cpu: Cpu, i: number): void {
  cpu.u32[EMPTY] |= 1 << ((cpu.u32[TOP] + i) & 7);
}
export function moveTop(cpu: Cpu, by: number): void {
  cpu.u32[TOP] = (cpu.u32[TOP] + by) & 7;
}

/** #IS for a read of an empty register: the answer is the default NaN. */
export function underflowed(): void {
  ENV[RAISED] = IE | SF;
  setResult(INDEFINITE_SE, INDEFINITE_HI, 0);
}
/** #IS for a push onto a full stack. */
export function overflowed(): void {
  ENV[RAISED] = IE | SF | C1;
  setResult(INDEFINITE_SE, INDEFINITE_HI, 0);
}

/**
 * True when an unmasked exception that is found before the computation forbids the result (SDM vol. 1 8.6); the
 * exceptions that only the computation would have found are then not reported.
 */
export function forbidden(): boolean {
  if ((ENV[RAISED] & ~ENV[MASK] & (IE | DE | ZE)) === 0) return false;
  ENV[RAISED] &= (ENV[RAISED] & SF) !== 0 ? IE | SF | C1 : IE | DE | ZE;
  return true;
}

/** Adds what was raised to the status word, C1 included; C0, C2 and C3 keep. Signals an unmasked exception. */
export function commit(cpu: Cpu): void {
  const raised = ENV[RAISED];
  let status = (cpu.u16[STATUS] & ~C1) | raised;
  if ((raised & 0x3f & ~ENV[MASK]) !== 0) {
    status |= ES | BUSY;
    cpu.u16[STATUS] = status;
    if ((cpu.cr0 & CR0.NE) === 0) cpu.ferr?.();
    return;
  }
  cpu.u16[STATUS] = status;
}
/** The same for FCMOVcc and FCOMI: they leave C1 alone unless the stack faulted. */
export function commitKeepingC1(cpu: Cpu): void {
  if ((ENV[RAISED] & SF) === 0) ENV[RAISED] |= cpu.u16[STATUS] & C1;
  commit(cpu);
}
/** The same, setting C0, C2 and C3 too. */
export function commitWith(cpu: Cpu, codes: number): void {
  cpu.u16[STATUS] = (cpu.u16[STATUS] & ~0x4500) | codes;
  commit(cpu);
}
/** Sets the control word and recomputes the error summary from it. */
export function setControlWord(cpu: Cpu, value: number): void {
  // Bits 15:13 and 7 do not exist, bit 6 reads as 1; bit 12 (infinity control) is kept for the 287's sake.
  cpu.u16[CONTROL] = (value & 0x1f3f) | 0x40;
  updateSummary(cpu);
}
export function updateSummary(cpu: Cpu): void {
  const status = cpu.u16[STATUS];
  const pending = (status & 0x3f & ~cpu.u16[CONTROL]) !== 0;
  cpu.u16[STATUS] = pending ? status | ES | BUSY : status & ~(ES | BUSY);
}

/** #NM when the x87 is absent or its state belongs to another task. */
export function available(cpu: Cpu): void {
  if ((cpu.cr0 & (CR0.EM | CR0.TS)) !== 0) cpu.raise(VECTOR.NM);
}
/**
 * The wait before an instruction: a pending unmasked exception is #MF with CR0.NE, else FERR# (IRQ 13). A processor whose FERR# is not
 * answered by IGNNE# stops until an interrupt comes: false, the instruction is to be tried again. With interrupts off
 * or without a FERR# pin it goes on, as with IGNNE#.
 */
export function waitForErrors(cpu: Cpu): boolean {
  if ((cpu.u16[STATUS] & ES) === 0) return true;
  if ((cpu.cr0 & CR0.NE) !== 0) cpu.raise(VECTOR.MF);
  if (cpu.ferr === undefined || cpu.ignne) return true;
  cpu.ferr();
  return (cpu.systemFlags & IF) === 0;
}

/** Loads the control word's fields for the arithmetic. */
export function begin(cpu: Cpu): void {
  const control = cpu.u16[CONTROL];
  ENV[RC] = (control >> 10) & 3;
  ENV[PREC] = (control >> 8) & 3;
  ENV[MASK] = control & 0x3f;
  ENV[RAISED] = 0;
}

const RIP = STATE.rip.u32;
const FPU_IP = STATE.fpuIp.u32;
const FPU_CS = STATE.fpuCs.u16;
const FPU_OPCODE = STATE.fpuOpcode.u16;
const CS_SELECTOR = STATE.segSelector.u16 + 1;
/** Remembers the instruction for FSTENV: opcode and IP (SDM vol. 1 8.1.8). Kept as processors before FCS/FDS deprecation do. */
function remember(cpu: Cpu, insn: Insn): void {
  const u32 = cpu.u32;
  const u16 = cpu.u16;
  u32[FPU_IP] = u32[RIP];
  u32[FPU_IP + 1] = u32[RIP + 1];
  u16[FPU_CS] = u16[CS_SELECTOR];
  // "D8".."DF": the row says the first byte.
  const digit = insn.row.encoding.charCodeAt(1);
  u16[FPU_OPCODE] = ((digit < 60 ? digit - 56 : digit - 63) << 8) | (insn.modrm & 0xff);
}

export type Body = (cpu: Cpu, insn: Insn) => void;

/** An ordinary x87 instruction. The body throws before it commits anything or not at all. */
export function waiting(body: Body): SystemHelper {
  return (cpu, insn) => {
    available(cpu);
    if (!waitForErrors(cpu)) return "repeat";
    begin(cpu);
    body(cpu, insn);
    remember(cpu, insn);
    return "next";
  };
}
/** A control instruction that waits: it does not touch the instruction and operand pointers. */
export function control(body: Body): SystemHelper {
  return (cpu, insn) => {
    available(cpu);
    if (!waitForErrors(cpu)) return "repeat";
    body(cpu, insn);
    return "next";
  };
}
/** An FN… instruction: runs with an exception pending. */
export function noWait(body: Body): SystemHelper {
  return (cpu, insn) => {
    available(cpu);
    body(cpu, insn);
    return "next";
  };
}
