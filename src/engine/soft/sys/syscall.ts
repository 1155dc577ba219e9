import { CR4, DR6, EFER, FLAG, FLAGS_DEFINED, MSR } from "../../../isa/index.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { CS, FS, GS, SS } from "../cpu-state.ts";
import { STATE } from "../state-layout.ts";
import { setSeg } from "./descriptor.ts";
import { gprHi, gprLo, gprWide, isCanonical, isCanonicalBig, setFlags, setGprPair } from "./words.ts";

/** Fast system calls, SWAPGS and the FS/GS base instructions. SDM vol. 2; segment values are fixed, no descriptor is read. */

const FLAT = 0xffffffff;
const CODE64 = 0xa09b;
const CODE32 = 0xc09b;
const DATA = 0xc093;
const DPL3 = 0x60;

/** Flat CS and SS; the DPL of SS is the CPL. */
function loadFlat(cpu: Cpu, cs: number, code: number, ss: number, cpl: 0 | 3): void {
  const dpl = cpl === 3 ? DPL3 : 0;
  setSeg(cpu, SS, ss, 0, FLAT, DATA | dpl);
  setSeg(cpu, CS, cs, 0, FLAT, code | dpl);
  cpu.updateMode();
}

function msr(cpu: Cpu, n: number): bigint {
  return cpu.msrs.get(n) ?? 0n;
}

/** Unlike IRET and POPF, TF as it is now decides on the single-step trap: none behind a SYSCALL that masks it, one behind the SYSRET that restores it. */
function trapByNewFlags(cpu: Cpu): void {
  cpu.singleStep = false;
  if ((cpu.systemFlags & FLAG.TF) !== 0) cpu.pendingDebug |= DR6.BS;
}

const syscall: SystemHelper = (cpu, insn) => {
  if (!cpu.code64 || (cpu.efer & EFER.SCE) === 0) cpu.ud();
  const star = Number((msr(cpu, MSR.STAR) >> 32n) & 0xffffn);
  const flags = cpu.eflags;
  cpu.setR64(1, BigInt.asUintN(64, cpu.rip + BigInt(insn.length)));
  setGprPair(cpu, 11, flags & ~FLAG.RF, 0);
  loadFlat(cpu, star & 0xfffc, CODE64, (star + 8) & 0xffff, 0);
  cpu.rip = msr(cpu, MSR.LSTAR);
  setFlags(cpu, (flags & ~Number(msr(cpu, MSR.FMASK) & 0xffff_ffffn) & ~FLAG.RF & FLAGS_DEFINED) | 2);
  trapByNewFlags(cpu);
  return "jump";
};

const sysret: SystemHelper = (cpu, insn) => {
  if (!cpu.code64 || (cpu.efer & EFER.SCE) === 0) cpu.ud();
  if (cpu.cpl !== 0) cpu.gp(0);
  const long = insn.opSize === 64;
  const star = Number(msr(cpu, MSR.STAR) >> 48n);
  const lo = gprLo(cpu, 1);
  const hi = long ? gprHi(cpu, 1) : 0;
  if (long && (hi + 0x8000) >>> 0 > 0xffff) cpu.gp(0);
  const flags = (gprLo(cpu, 11) & 0x3c7fd7) | 2;
  loadFlat(cpu, ((star + (long ? 16 : 0)) | 3) & 0xffff, long ? CODE64 : CODE32, ((star + 8) | 3) & 0xffff, 3);
  cpu.u32[STATE.rip.u32] = lo;
  cpu.u32[STATE.rip.u32 + 1] = hi;
  setFlags(cpu, flags);
  trapByNewFlags(cpu);
  return "jump";
};

const sysenter: SystemHelper = (cpu) => {
  const cs = Number(msr(cpu, MSR.SYSENTER_CS) & 0xfffcn);
  if (!cpu.protectedMode || cs === 0) cpu.gp(0);
  const esp = msr(cpu, MSR.SYSENTER_ESP);
  const eip = msr(cpu, MSR.SYSENTER_EIP);
  const long = cpu.longMode;
  cpu.systemFlags &= ~(FLAG.VM | FLAG.IF | FLAG.RF);
  loadFlat(cpu, cs, long ? CODE64 : CODE32, (cs + 8) & 0xffff, 0);
  cpu.setR64(4, long ? esp : esp & 0xffff_ffffn);
  cpu.rip = long ? eip : eip & 0xffff_ffffn;
  return "jump";
};

const sysexit: SystemHelper = (cpu, insn) => {
  const cs = Number(msr(cpu, MSR.SYSENTER_CS) & 0xfffcn);
  if (!cpu.protectedMode || cs === 0 || cpu.cpl !== 0) cpu.gp(0);
  const long = insn.opSize === 64;
  if (long && (!isCanonical(gprWide(cpu, 1)) || !isCanonical(gprWide(cpu, 2)))) cpu.gp(0);
  const rsp = long ? cpu.r64(1) : BigInt(gprLo(cpu, 1));
  const rip = long ? cpu.r64(2) : BigInt(gprLo(cpu, 2));
  const target = cs + (long ? 32 : 16);
  loadFlat(cpu, (target | 3) & 0xffff, long ? CODE64 : CODE32, ((target + 8) | 3) & 0xffff, 3);
  cpu.setR64(4, rsp);
  cpu.rip = rip;
  return "jump";
};

const swapgs: SystemHelper = (cpu) => {
  if (!cpu.code64) cpu.ud();
  if (cpu.cpl !== 0) cpu.gp(0);
  const at = STATE.segBase.u64 + GS;
  const old = cpu.u64[at];
  cpu.u64[at] = msr(cpu, MSR.KERNEL_GS_BASE);
  cpu.msrs.set(MSR.KERNEL_GS_BASE, old);
  cpu.updateSegment(GS);
  return "next";
};

function checkFsGsBase(cpu: Cpu): void {
  if (!cpu.code64 || (cpu.cr4 & CR4.FSGSBASE) === 0) cpu.ud();
}

const readBase =
  (s: number): SystemHelper =>
  (cpu, insn) => {
    checkFsGsBase(cpu);
    const op = insn.operands[0];
    if (op.kind === "reg") cpu.setReg(op.index, op.size, cpu.base(s));
    return "next";
  };

const writeBase =
  (s: number): SystemHelper =>
  (cpu, insn) => {
    checkFsGsBase(cpu);
    const v = cpu.readOperand(insn, 0);
    if (!isCanonicalBig(v)) cpu.gp(0);
    cpu.u64[STATE.segBase.u64 + s] = v;
    cpu.updateSegment(s);
    return "next";
  };

export const SYSCALLS: Readonly<Record<string, SystemHelper>> = {
  syscall,
  sysret,
  sysenter,
  sysexit,
  swapgs,
  rdfsbase: readBase(FS),
  rdgsbase: readBase(GS),
  wrfsbase: writeBase(FS),
  wrgsbase: writeBase(GS),
};
