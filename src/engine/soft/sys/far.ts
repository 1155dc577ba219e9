import { VECTOR } from "../../../isa/index.ts";
import type { Insn } from "../../../isa/insn.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { CS, SS } from "../cpu-state.ts";
import type { Descriptor } from "./descriptor.ts";
import { checkTarget, dropInnerSegments, loadCode, loadCodeAndStack, readDescriptor, readHighHalf, readStack, touch } from "./descriptor.ts";
import { innerStack, pushFrame, pushFrame64, tssPointer64 } from "./frames.ts";
import { enterTask } from "./deliver.ts";
import { availableTss, tssOfGate } from "./task.ts";
import {
  gprHi,
  gprLo,
  gprWide,
  hi32,
  linearAdd,
  lo32,
  nextIp,
  operandAddress,
  peek,
  peekItem,
  peekWide,
  setGprWide,
  setIp,
  setSp,
  spAdd,
  spOf,
  stackAddress,
  wide,
  writeItem,
} from "./words.ts";
import { load, store } from "./memory.ts";

/** Far JMP, CALL and RET in every mode, call gates, and the doors to task switches. SDM vol. 2, vol. 3A 5.8 and 7.3. */

type Outcome = "jump";

/** Checks of a code descriptor reached directly by JMP or CALL. */
function checkDirect(cpu: Cpu, d: Descriptor, selector: number): void {
  const code = selector & 0xfffc;
  if (cpu.longMode && d.longCode && d.big) cpu.gp(code);
  if (d.conforming ? d.dpl > cpu.cpl : (selector & 3) > cpu.cpl || d.dpl !== cpu.cpl) cpu.gp(code);
  if (!d.present) cpu.raise(VECTOR.NP, code);
}

function enter(cpu: Cpu, d: Descriptor, ip: number, cpl: number): Outcome {
  loadCode(cpu, d, cpl);
  setIp(cpu, ip);
  return "jump";
}

export function jumpFar(cpu: Cpu, insn: Insn, selector: number, offset: number): Outcome {
  if (cpu.realOrV86) {
    if (offset > cpu.limit(CS)) cpu.gp(0);
    cpu.loadRealSegment(CS, selector);
    cpu.eip = offset;
    return "jump";
  }
  if ((selector & 0xfffc) === 0) cpu.gp(0);
  const d = readDescriptor(cpu, selector);
  if (d.code) {
    checkDirect(cpu, d, selector);
    checkTarget(cpu, d, offset);
    return enter(cpu, d, offset, cpu.cpl);
  }
  if (!d.system) cpu.gp(selector & 0xfffc);
  return throughSystem(cpu, insn, d, false);
}

export function callFar(cpu: Cpu, insn: Insn, selector: number, offset: number): Outcome {
  const size = insn.opSize >> 3;
  if (cpu.realOrV86) {
    const sp = spOf(cpu);
    const sp1 = spAdd(cpu, sp, -size);
    const sp2 = spAdd(cpu, sp1, -size);
    const la1 = stackAddress(cpu, sp1, size, true);
    const la2 = stackAddress(cpu, sp2, size, true);
    if (offset > cpu.limit(CS)) cpu.gp(0);
    const user = cpu.cpl === 3;
    if (((la1 ^ la2) & ~0xfff) !== 0) cpu.mmu.probeWrite(la2, size, user);
    store(cpu, la1, size, cpu.selector(CS), user);
    const ip = cpu.eip + insn.length;
    store(cpu, la2, size, size === 2 ? ip & 0xffff : ip >>> 0, user);
    setSp(cpu, sp2);
    cpu.loadRealSegment(CS, selector);
    cpu.eip = offset;
    return "jump";
  }
  if ((selector & 0xfffc) === 0) cpu.gp(0);
  const d = readDescriptor(cpu, selector);
  if (d.code) {
    checkDirect(cpu, d, selector);
    const sp = pushReturn(cpu, insn, size, d, offset);
    setSp(cpu, sp);
    return enter(cpu, d, offset, cpu.cpl);
  }
  if (!d.system) cpu.gp(selector & 0xfffc);
  return throughSystem(cpu, insn, d, true);
}

/** Stores CS and the return IP on the current stack (not committing the pointer, which it gives). */
function pushReturn(cpu: Cpu, insn: Insn, size: number, d: Descriptor, target: number): number {
  const sp = spOf(cpu);
  const sp1 = spAdd(cpu, sp, -size);
  const sp2 = spAdd(cpu, sp1, -size);
  const la1 = stackAddress(cpu, sp1, size, true);
  const la2 = stackAddress(cpu, sp2, size, true);
  checkTarget(cpu, d, target);
  const user = cpu.cpl === 3;
  cpu.mmu.probeWrite(la1, size, user);
  cpu.mmu.probeWrite(la2, size, user);
  touch(cpu, d);
  const ip = nextIp(cpu, insn);
  writeItem(cpu, la1, size, cpu.selector(CS), 0, user);
  writeItem(cpu, la2, size, lo32(ip), hi32(ip), user);
  return sp2;
}

/** JMP or CALL whose selector names a gate or a TSS. */
function throughSystem(cpu: Cpu, insn: Insn, d: Descriptor, call: boolean): Outcome {
  const code = d.selector & 0xfffc;
  const type = d.type;
  if (cpu.longMode) {
    if (type !== 0xc) cpu.gp(code);
    readHighHalf(cpu, d);
    return throughGate(cpu, insn, d, call);
  }
  if (type === 4 || type === 0xc) return throughGate(cpu, insn, d, call);
  if (type !== 1 && type !== 9 && type !== 5) cpu.gp(code);
  if (d.dpl < cpu.cpl || d.dpl < (d.selector & 3)) cpu.gp(code);
  let tss = d;
  if (type === 5) {
    if (!d.present) cpu.raise(VECTOR.NP, code);
    tss = tssOfGate(cpu, d.gateSelector, 0);
  } else availableTss(cpu, d, 0);
  enterTask(cpu, {
    tss,
    source: call ? "call" : "jmp",
    returnIp: nextIp(cpu, insn),
    flags: cpu.eflags,
    instructionLength: insn.length,
    ext: 0,
  });
  return "jump";
}

function throughGate(cpu: Cpu, insn: Insn, gate: Descriptor, call: boolean): Outcome {
  const gateCode = gate.selector & 0xfffc;
  const cpl = cpu.cpl;
  if (gate.dpl < cpl || gate.dpl < (gate.selector & 3)) cpu.gp(gateCode);
  if (!gate.present) cpu.raise(VECTOR.NP, gateCode);
  const selector = gate.gateSelector;
  if ((selector & 0xfffc) === 0) cpu.gp(0);
  const d = readDescriptor(cpu, selector);
  const code = selector & 0xfffc;
  if (!d.code || d.dpl > cpl) cpu.gp(code);
  if (!call && !d.conforming && d.dpl !== cpl) cpu.gp(code);
  if (cpu.longMode && (!d.longCode || d.big)) cpu.gp(code);
  if (!d.present) cpu.raise(VECTOR.NP, code);
  const wideGate = (gate.type & 8) !== 0;
  const offset = cpu.longMode ? wide(gate.gateOffset, gate.high) : wideGate ? gate.gateOffset : gate.gateOffset & 0xffff;
  if (!call) {
    checkTarget(cpu, d, offset);
    return enter(cpu, d, offset, cpl);
  }
  const inner = !d.conforming && d.dpl < cpl;
  if (cpu.longMode) return callGate64(cpu, insn, d, offset, inner);
  const size = wideGate ? 4 : 2;
  if (inner) return callInner(cpu, insn, d, offset, size, gate.hi & 0x1f);
  const sp = pushReturn(cpu, insn, size, d, offset);
  setSp(cpu, sp);
  return enter(cpu, d, offset, cpl);
}

function callInner(cpu: Cpu, insn: Insn, d: Descriptor, offset: number, size: number, params: number): Outcome {
  const stack = innerStack(cpu, d.dpl, 0);
  const ss = stack.descriptor;
  // The whole ESP is saved, whatever the width of the old stack.
  const frame = [cpu.selector(SS), gprLo(cpu, 4)];
  for (let i = params - 1; i >= 0; i--) frame.push(peek(cpu, i * size, size));
  frame.push(cpu.selector(CS), nextIp(cpu, insn));
  checkTarget(cpu, d, offset);
  const ssAccess = touch(cpu, ss);
  touch(cpu, d);
  const sp = pushFrame(cpu, { base: ss.base, limit: ss.limit, access: ssAccess, sp: stack.sp }, size, frame, false, ss.selector & 0xfffc);
  const cpl = d.dpl;
  loadCodeAndStack(cpu, d, ss, ss.selector, cpl);
  setSp(cpu, sp);
  setIp(cpu, offset);
  return "jump";
}

function callGate64(cpu: Cpu, insn: Insn, d: Descriptor, offset: number, inner: boolean): Outcome {
  const ip = nextIp(cpu, insn);
  const cpl = inner ? d.dpl : cpu.cpl;
  checkTarget(cpu, d, offset);
  let rsp: number;
  if (inner) {
    rsp = tssPointer64(cpu, d.dpl * 8 + 4, 0);
    touch(cpu, d);
    rsp = pushFrame64(cpu, rsp, [cpu.selector(SS), 0, gprLo(cpu, 4), gprHi(cpu, 4), cpu.selector(CS), 0, lo32(ip), hi32(ip)], false, 0);
    loadCodeAndStack(cpu, d, undefined, cpl, cpl);
  } else {
    touch(cpu, d);
    rsp = pushFrame64(cpu, gprWide(cpu, 4), [cpu.selector(CS), 0, lo32(ip), hi32(ip)], cpl === 3, 0);
    loadCode(cpu, d, cpl);
  }
  setGprWide(cpu, 4, rsp);
  setIp(cpu, offset);
  return "jump";
}

export function returnFar(cpu: Cpu, insn: Insn, release: number): Outcome {
  const size = insn.opSize >> 3;
  if (cpu.realOrV86) {
    const ip = peek(cpu, 0, size);
    const selector = peek(cpu, size, 2);
    if (ip > cpu.limit(CS)) cpu.gp(0);
    setSp(cpu, spAdd(cpu, spOf(cpu), 2 * size + release));
    cpu.loadRealSegment(CS, selector);
    cpu.eip = ip;
    return "jump";
  }
  const ip = peekWide(cpu, 0, size);
  const selector = peekItem(cpu, size, size) & 0xffff;
  const d = readReturnCode(cpu, selector);
  const rpl = selector & 3;
  if (rpl === cpu.cpl) {
    checkTarget(cpu, d, ip);
    touch(cpu, d);
    // What is released is counted at the stack's width before the switch of code segments, added at the width after it: measured.
    const narrow = !cpu.code64 && (cpu.access(SS) & 0x4000) === 0;
    const outcome = enter(cpu, d, ip, rpl);
    setSp(cpu, spAdd(cpu, spOf(cpu), narrow ? (2 * size + release) & 0xffff : 2 * size + release));
    return outcome;
  }
  const newSp = peekWide(cpu, 2 * size + release, size);
  const newSs = peekItem(cpu, 3 * size + release, size) & 0xffff;
  returnOuter(cpu, d, { ip, ss: newSs, sp: newSp, release }, size);
  return "jump";
}

/** The checks that RETF and IRET make on the code selector they pop. */
export function readReturnCode(cpu: Cpu, selector: number): Descriptor {
  if ((selector & 0xfffc) === 0) cpu.gp(0);
  const d = readDescriptor(cpu, selector);
  const code = selector & 0xfffc;
  const rpl = selector & 3;
  if (!d.code || rpl < cpu.cpl) cpu.gp(code);
  if (d.conforming ? d.dpl > rpl : d.dpl !== rpl) cpu.gp(code);
  if (cpu.longMode && d.longCode && d.big) cpu.gp(code);
  if (!d.present) cpu.raise(VECTOR.NP, code);
  return d;
}

/** Where a return to an outer level goes; `release`: bytes of parameters on the outer stack. */
export interface OuterReturn {
  readonly ip: number;
  readonly ss: number;
  readonly sp: number;
  readonly release: number;
}

/** The end of a return to an outer level (or, for IRET in 64-bit code, with a stack): checks SS, then loads everything. */
export function returnOuter(cpu: Cpu, d: Descriptor, { ip, ss, sp, release }: OuterReturn, size: number): void {
  const rpl = d.selector & 3;
  const outer = rpl !== cpu.cpl;
  let stack: Descriptor | undefined;
  if ((ss & 0xfffc) === 0) {
    if (!(cpu.longMode && d.longCode) || rpl === 3 || (ss & 3) !== rpl) cpu.gp(0);
  } else stack = readStack(cpu, ss, rpl);
  checkTarget(cpu, d, ip);
  touch(cpu, d);
  if (stack !== undefined) touch(cpu, stack);
  loadCodeAndStack(cpu, d, stack, ss, rpl);
  setIp(cpu, ip);
  if (cpu.code64) setGprWide(cpu, 4, sp + release);
  else if (size === 2 && (cpu.access(SS) & 0x4000) !== 0) cpu.setR32(4, (sp + release) >>> 0);
  else setSp(cpu, spAddRaw(cpu, sp, release));
  if (outer) dropInnerSegments(cpu);
}

function spAddRaw(cpu: Cpu, sp: number, n: number): number {
  return (cpu.access(SS) & 0x4000) !== 0 ? (sp + n) >>> 0 : (sp + n) & 0xffff;
}

/** Far pointer operand: memory or immediate. */
function farOperand(cpu: Cpu, insn: Insn, go: (cpu: Cpu, insn: Insn, selector: number, offset: number) => Outcome): Outcome {
  const op = insn.operands[0];
  if (op.kind === "far") return go(cpu, insn, op.selector, insn.opSize === 16 ? op.offset & 0xffff : op.offset >>> 0);
  const size = insn.opSize >> 3;
  // Offset and selector are two accesses.
  const la = operandAddress(cpu, insn, 0, size, false);
  const user = cpu.cpl === 3;
  let offset = load(cpu, la, size === 2 ? 2 : 4, user);
  if (size === 8) offset = wide(offset, load(cpu, la + 4, 4, user));
  else offset >>>= 0;
  // (m16:16 is aligned by its words, not as four bytes.)
  operandAddress(cpu, insn, 0, size === 2 && cpu.mmu.alignment ? 3 : size + 2, false);
  return go(cpu, insn, load(cpu, linearAdd(cpu, la, size), 2, user), offset);
}

const jmpFarHelper: SystemHelper = (cpu, insn) => farOperand(cpu, insn, jumpFar);
const callFarHelper: SystemHelper = (cpu, insn) => farOperand(cpu, insn, callFar);

export const FAR: Readonly<Record<string, SystemHelper>> = {
  jmp_far: jmpFarHelper,
  jmp_far_mem: jmpFarHelper,
  call_far: callFarHelper,
  call_far_mem: callFarHelper,
  ret_far: (cpu, insn) => returnFar(cpu, insn, 0),
  ret_far_imm: (cpu, insn) => {
    const op = insn.operands[0];
    return returnFar(cpu, insn, op.kind === "imm" ? op.lo & 0xffff : 0);
  },
};
