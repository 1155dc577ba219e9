import { ACCESS, CR4, EXIT_REASON, EXIT_REASON_LDTR_TR, FLAG, VECTOR } from "../../../isa/index.ts";
import type { Insn } from "../../../isa/insn.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { LDTR, TR } from "../cpu-state.ts";
import type { Descriptor } from "./descriptor.ts";
import { loadSeg, readDescriptor, readHighHalf, setBusy } from "./descriptor.ts";
import { common } from "../exits.ts";
import { displacement, operandInfo } from "./exits.ts";
import { isCanonicalBig, linearAdd, isCanonical, operandAddress, readWord, setArithmetic, writeGpr, writeWord } from "./words.ts";
import { load, store } from "./memory.ts";

/** Descriptor-table registers and the instructions that ask about descriptors. SDM vol. 2. */

const GDTR_IDTR = EXIT_REASON["descriptor-table"];
const LDTR_TR = EXIT_REASON_LDTR_TR;
/** `reason`: GDTR_IDTR or LDTR_TR; `which` as in bits 29:28 of the instruction information. */
function tableExit(cpu: Cpu, insn: Insn, reason: number, which: number): void {
  if (!cpu.intercepts.descriptorTable) return;
  let info = operandInfo(insn) | (which << 28);
  if (reason === GDTR_IDTR && insn.opSize !== 16) info |= 1 << 11;
  cpu.leave({ kind: "descriptor-table", ...common(reason, insn, displacement(cpu, insn), info >>> 0) });
}

function userMode(cpu: Cpu): void {
  if ((cpu.cr4 & CR4.UMIP) !== 0 && cpu.protectedMode && cpu.cpl !== 0) cpu.gp(0);
}

function storeTable(which: 0 | 1): SystemHelper {
  return (cpu, insn) => {
    userMode(cpu);
    tableExit(cpu, insn, GDTR_IDTR, which);
    const long = cpu.code64;
    const bytes = long ? 10 : 6;
    const la = operandAddress(cpu, insn, 0, bytes, true);
    const user = cpu.cpl === 3;
    cpu.probeWrite(la, bytes, user);
    const base = which === 0 ? cpu.gdtrBase : cpu.idtrBase;
    store(cpu, la, 2, which === 0 ? cpu.gdtrLimit : cpu.idtrLimit, user);
    // The 80286 form aside, silicon stores all 32 bits even with a 16-bit operand size.
    store(cpu, linearAdd(cpu, la, 2), 4, Number(base & 0xffff_ffffn), user);
    if (long) store(cpu, la + 6, 4, Number(base >> 32n), user);
    return "next";
  };
}

function loadTable(which: 2 | 3): SystemHelper {
  return (cpu, insn) => {
    if (cpu.cpl !== 0) cpu.gp(0);
    tableExit(cpu, insn, GDTR_IDTR, which);
    const long = cpu.code64;
    const la = operandAddress(cpu, insn, 0, long ? 10 : 6, false);
    const limit = load(cpu, la, 2, false);
    let base = BigInt(load(cpu, linearAdd(cpu, la, 2), 4, false) >>> 0);
    if (long) {
      base |= BigInt(load(cpu, la + 6, 4, false) >>> 0) << 32n;
      if (!isCanonicalBig(base)) cpu.gp(0);
    } else if (insn.opSize === 16) base &= 0xff_ffffn;
    if (which === 2) {
      cpu.gdtrBase = base;
      cpu.gdtrLimit = limit;
    } else {
      cpu.idtrBase = base;
      cpu.idtrLimit = limit;
    }
    return "next";
  };
}

function storeSystemSegment(s: number, which: 0 | 1): SystemHelper {
  return (cpu, insn) => {
    if (cpu.realOrV86) cpu.ud();
    userMode(cpu);
    tableExit(cpu, insn, LDTR_TR, which);
    writeWord(cpu, insn, 0, cpu.selector(s));
    return "next";
  };
}

const lldt: SystemHelper = (cpu, insn) => {
  if (cpu.realOrV86) cpu.ud();
  if (cpu.cpl !== 0) cpu.gp(0);
  tableExit(cpu, insn, LDTR_TR, 2);
  const selector = readWord(cpu, insn, 0);
  const code = selector & 0xfffc;
  if (code === 0) {
    loadSeg(cpu, LDTR, selector, 0, 0, ACCESS.UNUSABLE);
    return "next";
  }
  if ((selector & 4) !== 0) cpu.gp(code);
  const d = readDescriptor(cpu, selector);
  if (!d.system || d.type !== 2) cpu.gp(code);
  if (cpu.longMode) readHighHalf(cpu, d);
  if (!d.present) cpu.raise(VECTOR.NP, code);
  if (cpu.longMode && !isCanonical(d.wideBase)) cpu.gp(code);
  loadSeg(cpu, LDTR, selector, d.wideBase === d.base ? d.base : d.wideBase, d.limit, d.access);
  return "next";
};

const ltr: SystemHelper = (cpu, insn) => {
  if (cpu.realOrV86) cpu.ud();
  if (cpu.cpl !== 0) cpu.gp(0);
  tableExit(cpu, insn, LDTR_TR, 3);
  const selector = readWord(cpu, insn, 0);
  const code = selector & 0xfffc;
  if (code === 0) cpu.gp(0);
  if ((selector & 4) !== 0) cpu.gp(code);
  const d = readDescriptor(cpu, selector);
  if (!d.system || (d.type !== 9 && (cpu.longMode || d.type !== 1))) cpu.gp(code);
  if (cpu.longMode) readHighHalf(cpu, d);
  if (!d.present) cpu.raise(VECTOR.NP, code);
  if (cpu.longMode && !isCanonical(d.wideBase)) cpu.gp(code);
  setBusy(cpu, d.address, true);
  loadSeg(cpu, TR, selector, d.wideBase, d.limit, d.access | 2);
  return "next";
};

// ---- LAR, LSL, VERR, VERW

/** The descriptor if the selector names one at all that the caller may see; its own faults are only those of paging. */
function visible(cpu: Cpu, selector: number): Descriptor | undefined {
  if ((selector & 0xfffc) === 0) return undefined;
  if ((selector & 4) !== 0 ? !cpu.usable(LDTR) || (selector & 0xfff8) + 7 > cpu.limit(LDTR) : (selector & 0xfff8) + 7 > cpu.gdtrLimit)
    return undefined;
  return readDescriptor(cpu, selector);
}

function privileged(cpu: Cpu, d: Descriptor): boolean {
  return d.dpl >= cpu.cpl && d.dpl >= (d.selector & 3);
}

/** Types that LAR accepts, by bit: legacy and IA-32e. */
const LAR_TYPES = (1 << 1) | (1 << 2) | (1 << 3) | (1 << 4) | (1 << 5) | (1 << 9) | (1 << 11) | (1 << 12);
const LAR_TYPES_LONG = (1 << 2) | (1 << 9) | (1 << 11) | (1 << 12);
const LSL_TYPES = (1 << 1) | (1 << 2) | (1 << 3) | (1 << 9) | (1 << 11);
const LSL_TYPES_LONG = (1 << 2) | (1 << 9) | (1 << 11);

/** A system descriptor of 16 bytes must lie whole in its table, its upper type field zero. */
function wholeInTable(cpu: Cpu, d: Descriptor): boolean {
  if (!cpu.longMode) return true;
  const limit = (d.selector & 4) !== 0 ? cpu.limit(LDTR) : cpu.gdtrLimit;
  if ((d.selector & 0xfff8) + 15 > limit) return false;
  return (load(cpu, d.address + 12, 4, false) & 0x1f00) === 0;
}

function inspect(types: number, typesLong: number, result: (d: Descriptor) => number): SystemHelper {
  return (cpu, insn) => {
    if (cpu.realOrV86) cpu.ud();
    const d = visible(cpu, readWord(cpu, insn, 1));
    let ok = false;
    if (d !== undefined) {
      if (d.system) ok = (((cpu.longMode ? typesLong : types) >> d.type) & 1) !== 0 && privileged(cpu, d) && wholeInTable(cpu, d);
      else ok = d.conforming || privileged(cpu, d);
    }
    if (ok && d !== undefined) {
      const op = insn.operands[0];
      if (op.kind === "reg") writeGpr(cpu, op.index, op.size, result(d), 0);
    }
    setArithmetic(cpu, FLAG.ZF, ok ? FLAG.ZF : 0);
    return "next";
  };
}

function verify(write: boolean): SystemHelper {
  return (cpu, insn) => {
    if (cpu.realOrV86) cpu.ud();
    const d = visible(cpu, readWord(cpu, insn, 0));
    let ok = false;
    if (d !== undefined && !d.system) {
      if (write) ok = d.writableData && privileged(cpu, d);
      else ok = d.readable && (d.conforming || privileged(cpu, d));
    }
    setArithmetic(cpu, FLAG.ZF, ok ? FLAG.ZF : 0);
    return "next";
  };
}

const arpl: SystemHelper = (cpu, insn) => {
  if (cpu.realOrV86) cpu.ud();
  const source = insn.operands[1];
  const rpl = (source.kind === "reg" ? cpu.r16(source.index) : 0) & 3;
  const target = readWord(cpu, insn, 0);
  const lower = (target & 3) < rpl;
  // Memory is read as by a load, and written only when it changes: so says silicon.
  const op = insn.operands[0];
  if (lower) {
    const value = (target & 0xfffc) | rpl;
    if (op.kind === "reg") cpu.setR16(op.index, value);
    else store(cpu, operandAddress(cpu, insn, 0, 2, true), 2, value, cpu.cpl === 3);
  }
  setArithmetic(cpu, FLAG.ZF, lower ? FLAG.ZF : 0);
  return "next";
};

export const TABLES: Readonly<Record<string, SystemHelper>> = {
  sgdt: storeTable(0),
  sidt: storeTable(1),
  lgdt: loadTable(2),
  lidt: loadTable(3),
  sldt: storeSystemSegment(LDTR, 0),
  str: storeSystemSegment(TR, 1),
  lldt,
  ltr,
  lar: inspect(LAR_TYPES, LAR_TYPES_LONG, (d) => d.hi & 0x00ffff00),
  lsl: inspect(LSL_TYPES, LSL_TYPES_LONG, (d) => d.limit),
  verr: verify(false),
  verw: verify(true),
  arpl,
};
