import { ACCESS, CR0, CR4, EFER, FLAG, VECTOR } from "../../../isa/index.ts";
import type { Insn } from "../../../isa/insn.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { CS } from "../cpu-state.ts";
import { STATE } from "../state-layout.ts";
import { common } from "../exits.ts";
import { MAXPHYADDR } from "./features.ts";
import { gprHi, gprLo, readWord, setGprPair, writeWord } from "./words.ts";

/** Control registers: MOV CR, CLTS, LMSW, SMSW with all consistency checks. SDM vol. 3A 2.5 and 4.1, vol. 3C 25.1.3. */

const CR0_DEFINED = 0xe005003f;
const RESERVED_HIGH = 0xffff_ffff_ffff_ffffn << BigInt(MAXPHYADDR);
/** Reserved bits of a present PDPTE in PAE paging: 2:1, 8:5 and those above MAXPHYADDR. */
const PDPTE_RESERVED = BigInt.asUintN(64, RESERVED_HIGH) | 0x1e6n;

/** Reads the four PDPTEs at CR3; undefined when a present one has reserved bits set. */
function readPdptes(cpu: Cpu, cr3: number): bigint[] | undefined {
  const base = (cr3 & 0xffffffe0) >>> 0;
  const out: bigint[] = [];
  for (let i = 0; i < 4; i++) {
    const lo = cpu.mmu.physical.read32(cpu.mmu.a20(base + i * 8));
    const hi = cpu.mmu.physical.read32(cpu.mmu.a20(base + i * 8 + 4));
    const entry = (BigInt(hi) << 32n) | BigInt(lo);
    if ((entry & 1n) !== 0n && (entry & PDPTE_RESERVED) !== 0n) return undefined;
    out.push(entry);
  }
  return out;
}

/** Would loading this CR3 in PAE paging pass the PDPTE checks? */
export function pdptesValid(cpu: Cpu, cr3: number): boolean {
  return readPdptes(cpu, cr3) !== undefined;
}

/** Loads the PDPTE registers; false (and nothing loaded) when one is invalid. */
export function loadPdptes(cpu: Cpu, cr3: number): boolean {
  const entries = readPdptes(cpu, cr3);
  if (entries === undefined) return false;
  for (let i = 0; i < 4; i++) cpu.pdptes[i] = entries[i];
  return true;
}

/** PAE paging that is not IA-32e paging. */
function paePaging(cr0: number, cr4: number, efer: number): boolean {
  return (cr0 & CR0.PG) !== 0 && (cr4 & CR4.PAE) !== 0 && (efer & EFER.LME) === 0;
}

/** CR3 with its flush; in PAE paging also the PDPTEs, which the caller has validated. */
export function loadCr3(cpu: Cpu, value: bigint, flush: boolean): void {
  cpu.u64[STATE.cr3.u64] = value;
  if (paePaging(cpu.cr0, cpu.cr4, cpu.efer)) loadPdptes(cpu, Number(value & 0xffff_ffffn));
  if (flush) cpu.mmu.flushAll(false);
}

/** Stores CR0 and everything that follows from it (EFER.LMA, TLB, modes, segment limits), without checks. */
export function commitCr0(cpu: Cpu, value: number): void {
  const old = cpu.cr0;
  const v = ((value & CR0_DEFINED) | CR0.ET) >>> 0;
  cpu.u32[STATE.cr0.u32] = v;
  const changed = old ^ v;
  if ((changed & CR0.PG) !== 0 && (cpu.efer & EFER.LME) !== 0) {
    if ((v & CR0.PG) !== 0) cpu.u32[STATE.efer.u32] |= EFER.LMA;
    else cpu.u32[STATE.efer.u32] &= ~EFER.LMA;
  }
  if ((changed & (CR0.PG | CR0.PE | CR0.WP)) !== 0) cpu.mmu.flushAll(true);
  if ((changed & (CR0.PE | CR0.PG)) !== 0) for (let s = 0; s < 6; s++) cpu.updateSegment(s);
  else if ((changed & (CR0.WP | CR0.AM)) !== 0) cpu.updateMode();
}

/** MOV to CR0 and LMSW after privilege and intercepts. */
function writeCr0(cpu: Cpu, value: number): void {
  const old = cpu.cr0;
  const v = ((value & CR0_DEFINED) | CR0.ET) >>> 0;
  if ((v & CR0.PG) !== 0 && (v & CR0.PE) === 0) cpu.gp(0);
  if ((v & CR0.NW) !== 0 && (v & CR0.CD) === 0) cpu.gp(0);
  const changed = old ^ v;
  if ((changed & CR0.PG) !== 0) {
    if ((v & CR0.PG) !== 0) {
      if ((cpu.efer & EFER.LME) !== 0 && ((cpu.cr4 & CR4.PAE) === 0 || (cpu.access(CS) & ACCESS.L) !== 0)) cpu.gp(0);
    } else if (cpu.code64 || (cpu.cr4 & CR4.PCIDE) !== 0) cpu.gp(0);
  }
  if ((changed & (CR0.PG | CR0.CD | CR0.NW)) !== 0 && paePaging(v, cpu.cr4, cpu.efer)) {
    if (!loadPdptes(cpu, cpu.u32[STATE.cr3.u32])) cpu.gp(0);
  }
  commitCr0(cpu, v);
}

/** Bits of CR4 that this CPU has. */
export function cr4Defined(cpu: Cpu): number {
  const f = cpu.features;
  let bits = CR4.VME | CR4.PVI | CR4.TSD | CR4.DE | CR4.PSE | CR4.PAE | CR4.MCE | CR4.PGE | CR4.PCE;
  if (f.fxsr) bits |= CR4.OSFXSR | CR4.OSXMMEXCPT;
  if (f.umip) bits |= CR4.UMIP;
  if (f.fsgsbase) bits |= CR4.FSGSBASE;
  if (f.pcid) bits |= CR4.PCIDE;
  if (f.xsave) bits |= CR4.OSXSAVE;
  if (f.smep) bits |= CR4.SMEP;
  if (f.smap) bits |= CR4.SMAP;
  return bits;
}

const CR4_FLUSH = CR4.PAE | CR4.PSE | CR4.PGE | CR4.SMEP | CR4.SMAP | CR4.PCIDE;

/** Stores CR4 without checks. */
export function commitCr4(cpu: Cpu, value: number): void {
  const old = cpu.cr4;
  cpu.u32[STATE.cr4.u32] = value;
  if (((old ^ value) & CR4_FLUSH) !== 0) cpu.mmu.flushAll(true);
  cpu.updateMode();
}

function writeCr4(cpu: Cpu, value: number, hi: number): void {
  const old = cpu.cr4;
  const changed = old ^ value;
  if (hi !== 0 || (value & ~cr4Defined(cpu)) !== 0) cpu.gp(0);
  if (cpu.longMode && (value & CR4.PAE) === 0) cpu.gp(0);
  if ((changed & value & CR4.PCIDE) !== 0 && (!cpu.longMode || (cpu.u32[STATE.cr3.u32] & 0xfff) !== 0)) cpu.gp(0);
  if ((changed & (CR4.PAE | CR4.PSE | CR4.PGE | CR4.SMEP)) !== 0 && paePaging(cpu.cr0, value, cpu.efer)) {
    if (!loadPdptes(cpu, cpu.u32[STATE.cr3.u32])) cpu.gp(0);
  }
  commitCr4(cpu, value >>> 0);
}

function writeCr3(cpu: Cpu, lo: number, hi: number): void {
  const value = (BigInt(hi) << 32n) | BigInt(lo);
  if (cpu.longMode || cpu.code64) {
    // Bit 63 says that the new PCID's translations may be kept. Here none are: more is forgotten than asked for, never less.
    const v = (cpu.cr4 & CR4.PCIDE) !== 0 ? BigInt.asUintN(63, value) : value;
    if ((v & BigInt.asUintN(64, RESERVED_HIGH)) !== 0n) cpu.gp(0);
    loadCr3(cpu, v, true);
    return;
  }
  if (paePaging(cpu.cr0, cpu.cr4, cpu.efer) && !pdptesValid(cpu, lo)) cpu.gp(0);
  loadCr3(cpu, BigInt(lo), true);
}

function checkCr(cpu: Cpu, n: number): void {
  if (n !== 0 && n !== 2 && n !== 3 && n !== 4 && n !== 8) cpu.ud();
  if (cpu.cpl !== 0) cpu.gp(0);
}

/** Register-operand indices of MOV CR/DR: the general register and the special one. */
function pairOf(insn: Insn, special: number): { readonly gpr: number; readonly index: number } {
  const a = insn.operands[special];
  const b = insn.operands[1 - special];
  return { gpr: b.kind === "reg" ? b.index : 0, index: a.kind === "reg" ? a.index : 0 };
}

function crExit(cpu: Cpu, insn: Insn, register: number, type: number, rest: number): never {
  return cpu.leave({ kind: "cr-access", ...common("cr-access", insn, BigInt((register | (type << 4) | rest) >>> 0)) });
}

/** Merges a value with the bits the monitor owns; exits when it would change one as the guest sees it. */
function masked(cpu: Cpu, insn: Insn, register: 0 | 4, gpr: number, value: number): number {
  const { cr0Mask, cr4Mask, cr0Shadow, cr4Shadow } = cpu.intercepts;
  const mask = register === 0 ? cr0Mask : cr4Mask;
  const old = register === 0 ? cpu.cr0 : cpu.cr4;
  if (((value ^ (register === 0 ? cr0Shadow : cr4Shadow)) & mask) !== 0) crExit(cpu, insn, register, 0, gpr << 8);
  return ((value & ~mask) | (old & mask)) >>> 0;
}

const movToCr: SystemHelper = (cpu, insn) => {
  const { gpr, index } = pairOf(insn, 0);
  checkCr(cpu, index);
  const lo = gprLo(cpu, gpr);
  const hi = cpu.code64 ? gprHi(cpu, gpr) : 0;
  const i = cpu.intercepts;
  switch (index) {
    case 0:
      if (hi !== 0) cpu.gp(0);
      writeCr0(cpu, masked(cpu, insn, 0, gpr, lo));
      break;
    case 2:
      cpu.cr2 = (BigInt(hi) << 32n) | BigInt(lo);
      break;
    case 3:
      if (i.cr3Load) crExit(cpu, insn, 3, 0, gpr << 8);
      writeCr3(cpu, lo, hi);
      break;
    case 4:
      writeCr4(cpu, masked(cpu, insn, 4, gpr, lo), hi);
      break;
    default:
      if (i.cr8Load) crExit(cpu, insn, 8, 0, gpr << 8);
      if (hi !== 0 || lo > 15) cpu.gp(0);
      cpu.u32[STATE.cr8.u32] = lo;
      cpu.localApic?.writeTpr(lo);
  }
  return "next";
};

/** CR0 and CR4 as the guest sees them. */
function visibleCr0(cpu: Cpu): number {
  const m = cpu.intercepts.cr0Mask;
  return ((cpu.cr0 & ~m) | (cpu.intercepts.cr0Shadow & m)) >>> 0;
}
function visibleCr4(cpu: Cpu): number {
  const m = cpu.intercepts.cr4Mask;
  return ((cpu.cr4 & ~m) | (cpu.intercepts.cr4Shadow & m)) >>> 0;
}

const movFromCr: SystemHelper = (cpu, insn) => {
  const { gpr, index } = pairOf(insn, 1);
  checkCr(cpu, index);
  let lo = 0;
  let hi = 0;
  if (index === 0) lo = visibleCr0(cpu);
  else if (index === 4) lo = visibleCr4(cpu);
  else if (index === 8) {
    if (cpu.intercepts.cr8Store) crExit(cpu, insn, 8, 1, gpr << 8);
    lo = cpu.localApic?.readTpr() ?? cpu.u32[STATE.cr8.u32];
  } else {
    if (index === 3 && cpu.intercepts.cr3Store) crExit(cpu, insn, 3, 1, gpr << 8);
    const at = (index === 2 ? STATE.cr2.offset : STATE.cr3.offset) >> 2;
    lo = cpu.u32[at];
    hi = cpu.code64 ? cpu.u32[at + 1] : 0;
  }
  setGprPair(cpu, gpr, lo, hi);
  return "next";
};

const clts: SystemHelper = (cpu, insn) => {
  if (cpu.cpl !== 0) cpu.gp(0);
  const { cr0Mask, cr0Shadow } = cpu.intercepts;
  if ((cr0Mask & CR0.TS) !== 0) {
    if ((cr0Shadow & CR0.TS) !== 0) crExit(cpu, insn, 0, 2, 0);
    return "next";
  }
  cpu.u32[STATE.cr0.u32] &= ~CR0.TS;
  return "next";
};

const lmsw: SystemHelper = (cpu, insn) => {
  if (cpu.cpl !== 0) cpu.gp(0);
  const source = readWord(cpu, insn, 0);
  const { cr0Mask, cr0Shadow } = cpu.intercepts;
  const differs = (source ^ cr0Shadow) & cr0Mask & 0xe;
  if (differs !== 0 || (cr0Mask & source & ~cr0Shadow & 1) !== 0) {
    const memory = insn.operands[0].kind === "mem";
    const qualification = (BigInt(source) << 16n) | (memory ? 0x70n : 0x30n);
    cpu.leave({ kind: "cr-access", ...common("cr-access", insn, qualification, 0) });
  }
  const bits = 0xf & ~cr0Mask;
  // PE can be set, never cleared.
  const v = (cpu.cr0 & ~(bits & 0xe)) | (source & bits);
  writeCr0(cpu, v >>> 0);
  return "next";
};

const smsw: SystemHelper = (cpu, insn) => {
  if ((cpu.cr4 & CR4.UMIP) !== 0 && cpu.protectedMode && cpu.cpl !== 0) cpu.gp(0);
  writeWord(cpu, insn, 0, visibleCr0(cpu));
  return "next";
};

// ---- debug registers

const DR6_FIXED = 0xffff0ff0n;
const DR6_WRITABLE = 0xe00fn;
const DR7_WRITABLE = 0xffff23ffn;
const DR7_FIXED = 0x400n;

/** The register a DR number names: 4 and 5 are 6 and 7 unless CR4.DE forbids them. */
function debugIndex(cpu: Cpu, index: number): number {
  if (index > 7) cpu.ud();
  if ((index === 4 || index === 5) && (cpu.cr4 & CR4.DE) !== 0) cpu.ud();
  return index === 4 || index === 5 ? index + 2 : index;
}

function checkDr(cpu: Cpu, insn: Insn, index: number, gpr: number, from: boolean): number {
  const n = debugIndex(cpu, index);
  if (cpu.cpl !== 0) cpu.gp(0);
  // General detect has priority over the VM exit (SDM vol. 3C 25.1.3).
  if ((cpu.dr[7] & 0x2000n) !== 0n) {
    // To the monitor DR6 stays as it is: the condition is the exit's qualification.
    if ((cpu.intercepts.exceptionBitmap & 2) !== 0) {
      const exit = { ...common("exception", insn, 0x2000n), instructionLength: 0 };
      cpu.leave({ kind: "exception", vector: 1, errorCode: undefined, event: "hardware-exception", ...exit });
    }
    cpu.dr[6] |= 0x2000n;
    cpu.dr[7] &= ~0x2000n;
    // The one fault-class #DB whose image has RF set (SDM vol. 3B 18.3.1.1).
    cpu.systemFlags |= FLAG.RF;
    cpu.raise(VECTOR.DB);
  }
  if (cpu.intercepts.movDr) {
    cpu.leave({ kind: "dr-access", ...common("dr-access", insn, BigInt(index | (from ? 0x10 : 0) | (gpr << 8))) });
  }
  return n;
}

const movToDr: SystemHelper = (cpu, insn) => {
  const { gpr, index } = pairOf(insn, 0);
  const n = checkDr(cpu, insn, index, gpr, false);
  const lo = BigInt(gprLo(cpu, gpr));
  const hi = cpu.code64 ? gprHi(cpu, gpr) : 0;
  if (n >= 6 && hi !== 0) cpu.gp(0);
  if (n === 6) cpu.dr[6] = DR6_FIXED | (lo & DR6_WRITABLE);
  else if (n === 7) {
    cpu.dr[7] = DR7_FIXED | (lo & DR7_WRITABLE);
    cpu.mmu.modeChanged();
  } else cpu.dr[n] = (BigInt(hi) << 32n) | lo;
  return "next";
};

const movFromDr: SystemHelper = (cpu, insn) => {
  const { gpr, index } = pairOf(insn, 1);
  const n = checkDr(cpu, insn, index, gpr, true);
  const v = cpu.dr[n];
  setGprPair(cpu, gpr, Number(v & 0xffff_ffffn), cpu.code64 ? Number(v >> 32n) : 0);
  return "next";
};

export const CONTROL: Readonly<Record<string, SystemHelper>> = {
  mov_to_cr: movToCr,
  mov_from_cr: movFromCr,
  clts,
  lmsw,
  smsw,
  mov_to_dr: movToDr,
  mov_from_dr: movFromDr,
};
