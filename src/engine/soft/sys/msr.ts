import { CR0, EFER, MSR } from "../../../isa/index.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { FS, GS } from "../cpu-state.ts";
import { STATE } from "../state-layout.ts";
import { common } from "../exits.ts";
import { MAXPHYADDR } from "./features.ts";
import { gprLo, isCanonicalBig } from "./words.ts";

/** Model-specific registers. SDM vol. 4; memory types vol. 3A 11.11-11.12; machine check vol. 3B 15.3. */

/** Fixed-range MTRRs: 64K, 16K, 4K blocks. */
const isFixedMtrr = (n: number): boolean =>
  n === MSR.MTRR_FIX64K_00000 ||
  n === MSR.MTRR_FIX16K_80000 ||
  n === MSR.MTRR_FIX16K_A0000 ||
  (n >= MSR.MTRR_FIX4K_C0000 && n <= MSR.MTRR_FIX4K_F8000);
const MC_BANKS = 4;
/** In IA32_BIOS_SIGN_ID after CPUID leaf 1. */
export const MICROCODE_REVISION = 0x1f_0000_0000n;
/**
 * What an in-order processor is not vulnerable to, by the bits that say so: RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO,
 * PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO.
 */
const ARCH_CAPABILITIES = [0, 1, 3, 4, 5, 6, 8, 13, 14, 15, 20, 24, 26, 27, 62].reduce((bits, n) => bits | (1n << BigInt(n)), 0n);
const ADDRESS_RESERVED = 0xffff_ffff_ffff_ffffn ^ ((1n << BigInt(MAXPHYADDR)) - 1n);
const DEFAULTS: ReadonlyMap<number, bigint> = new Map([
  [MSR.APIC_BASE, 0xfee00900n],
  [MSR.PAT, 0x0007040600070406n],
  [MSR.BIOS_SIGN_ID, MICROCODE_REVISION],
]);
/** MSRs that are plain storage of 64 bits. */
const PLAIN: ReadonlySet<number> = new Set<number>([MSR.STAR, MSR.PERF_CTL, MSR.EBL_CR_POWERON]);
/** MSRs of IA-32e mode. */
const LONG_MODE: ReadonlySet<number> = new Set<number>([MSR.STAR, MSR.LSTAR, MSR.CSTAR, MSR.FMASK, MSR.FS_BASE, MSR.GS_BASE, MSR.KERNEL_GS_BASE]);
/** MSRs of which bits are defined; a write that sets another is #GP. */
const DEFINED: ReadonlyMap<number, bigint> = new Map([
  // RIPV, EIPV, MCIP. (No local machine checks: IA32_MCG_CAP[27].)
  [MSR.MCG_STATUS, 7n],
  // Last-branch records and single-stepping on branches; no branch trace store, no performance monitoring.
  [MSR.DEBUGCTL, 3n],
  // Read for the P5's sake; never set (SDM vol. 3B 15.10.1).
  [MSR.P5_MC_ADDR, 0n],
  [MSR.P5_MC_TYPE, 0n],
]);
/** MSRs whose value must be canonical. */
const CANONICAL: ReadonlySet<number> = new Set<number>([MSR.LSTAR, MSR.CSTAR, MSR.KERNEL_GS_BASE, MSR.SYSENTER_ESP, MSR.SYSENTER_EIP]);
/** Read-only constants; writes are #GP. */
const CONSTANT: ReadonlyMap<number, bigint> = new Map([
  [MSR.PLATFORM_ID, 0n],
  [MSR.SMI_COUNT, 0n],
  [MSR.FEATURE_CONTROL, 1n], // locked, VMX off
  [MSR.PLATFORM_INFO, 0x0a00_0000_0a00n], // ten times 100 MHz, at most and at least
  [MSR.ARCH_CAPABILITIES, ARCH_CAPABILITIES],
  [MSR.MTRRCAP, 0x508n], // eight variable ranges, fixed ranges, write combining
  [MSR.MCG_CAP, BigInt(MC_BANKS)],
  [MSR.PERF_STATUS, 0xa00n],
]);
/** IBRS, STIBP, BHI_DIS_S. */
const SPEC_CTRL_DEFINED = 0x403n;
/** IA32_MISC_ENABLE (SDM vol. 4 table 2-2). */
const MISC_ENABLE = {
  FAST_STRINGS: 1n << 0n,
  /** What is switched by these is not here, or is the firmware's: thermal control, SpeedStep, xTPR messages. Kept, without effect. */
  KEPT: (1n << 3n) | (1n << 16n) | (1n << 23n),
  /** Read-only: performance monitoring available (no), branch trace store and PEBS unavailable. */
  FIXED: (1n << 7n) | (1n << 11n) | (1n << 12n),
  UNAVAILABLE: (1n << 11n) | (1n << 12n),
  MONITOR: 1n << 18n,
  LIMIT_CPUID: 1n << 22n,
  XD_DISABLE: 1n << 34n,
} as const;

function memoryType(type: number, pat: boolean): boolean {
  return type === 0 || type === 1 || type === 4 || type === 5 || type === 6 || (pat && type === 7);
}
function memoryTypes(value: bigint, pat: boolean): boolean {
  for (let i = 0n; i < 8n; i++) if (!memoryType(Number((value >> (i * 8n)) & 0xffn), pat)) return false;
  return true;
}

const isVariableMtrr = (n: number): boolean => n >= MSR.MTRR_PHYSBASE0 && n <= MSR.MTRR_PHYSMASK7;
const isMachineCheck = (n: number): boolean => n >= MSR.MC0_CTL && n < MSR.MC0_CTL + 4 * MC_BANKS;
const isBranchRecord = (n: number): boolean => n >= MSR.LASTBRANCH_FROM && n <= MSR.LASTINT_TO;

/** Time-stamp counter with the guest's offset. */
export function readTsc(cpu: Cpu): bigint {
  const offset = cpu.msrs.get(MSR.TSC);
  const now = BigInt(Math.floor(cpu.options.readTsc()));
  return offset === undefined ? now : BigInt.asUintN(64, now + offset);
}

/** Moves the counter. The local APIC looks at it when it is told a deadline: an armed one is told again. */
function setTscOffset(cpu: Cpu, offset: bigint): void {
  cpu.msrs.set(MSR.TSC, BigInt.asUintN(64, offset));
  const deadline = cpu.localApic?.msrRead(MSR.TSC_DEADLINE) ?? 0n;
  if (deadline !== 0n) cpu.localApic?.msrWrite(MSR.TSC_DEADLINE, deadline);
}

function miscEnable(cpu: Cpu): bigint {
  const initial = MISC_ENABLE.FAST_STRINGS | MISC_ENABLE.UNAVAILABLE | (cpu.features.monitor ? MISC_ENABLE.MONITOR : 0n);
  return cpu.msrs.get(MSR.MISC_ENABLE) ?? initial;
}
/** MONITOR and MWAIT: there, and not switched off. */
export function monitorEnabled(cpu: Cpu): boolean {
  return cpu.features.monitor && (miscEnable(cpu) & MISC_ENABLE.MONITOR) !== 0n;
}
/** Execute-disable: there, and not switched off. */
export function executeDisable(cpu: Cpu): boolean {
  return cpu.features.nx && (miscEnable(cpu) & MISC_ENABLE.XD_DISABLE) === 0n;
}
/** For systems that cannot stand more than three leaves of CPUID. */
export function cpuidLimited(cpu: Cpu): boolean {
  return (miscEnable(cpu) & MISC_ENABLE.LIMIT_CPUID) !== 0n;
}
function writeMiscEnable(cpu: Cpu, value: bigint): boolean {
  const { FAST_STRINGS, KEPT, FIXED, MONITOR, LIMIT_CPUID, XD_DISABLE } = MISC_ENABLE;
  const writable = FAST_STRINGS | KEPT | LIMIT_CPUID | (cpu.features.monitor ? MONITOR : 0n) | (cpu.features.nx ? XD_DISABLE : 0n);
  // A feature that is not there cannot be switched on or off: its bit is read-only too.
  if ((value & ~(writable | FIXED | MONITOR | XD_DISABLE)) !== 0n) return false;
  cpu.msrs.set(MSR.MISC_ENABLE, (miscEnable(cpu) & ~writable) | (value & writable));
  if (!executeDisable(cpu) && (cpu.efer & EFER.NXE) !== 0) writeEfer(cpu, BigInt(cpu.efer & ~EFER.NXE));
  return true;
}

/** IA32_DEBUGCTL.BTF: a single step goes to the next branch taken. */
export function stepsOnBranches(cpu: Cpu): boolean {
  return ((cpu.msrs.get(MSR.DEBUGCTL) ?? 0n) & 2n) !== 0n;
}
/** A #DB is delivered: LBR and BTF are cleared (SDM vol. 3B 18.4.3, 18.4.4). */
export function debugDelivered(cpu: Cpu): void {
  if (cpu.msrs.has(MSR.DEBUGCTL)) cpu.msrs.set(MSR.DEBUGCTL, 0n);
}

/** MSRs that a local APIC answers: its base, the deadline timer, the x2APIC registers. */
const isApicMsr = (n: number): boolean => n === MSR.APIC_BASE || n === MSR.TSC_DEADLINE || (n >= MSR.X2APIC_FIRST && n <= MSR.X2APIC_LAST);

/** The value of an MSR; undefined: there is none of that number. */
export function readMsr(cpu: Cpu, n: number): bigint | undefined {
  if (cpu.localApic !== undefined && isApicMsr(n)) return cpu.localApic.msrRead(n);
  if (!cpu.features.longMode && LONG_MODE.has(n)) return undefined;
  switch (n) {
    case MSR.TSC:
      return readTsc(cpu);
    case MSR.EFER:
      return BigInt(cpu.efer);
    case MSR.FS_BASE:
      return cpu.base(FS);
    case MSR.GS_BASE:
      return cpu.base(GS);
    case MSR.MISC_ENABLE:
      return miscEnable(cpu);
    case MSR.TSC_ADJUST:
      return cpu.msrs.get(MSR.TSC) ?? 0n;
    case MSR.CORE_THREAD_COUNT: {
      const cores = BigInt(cpu.options.cpus ?? 1);
      return (cores << 16n) | cores;
    }
    case MSR.SPEC_CTRL:
      return cpu.features.specCtrl ? (cpu.msrs.get(n) ?? 0n) : undefined;
    default:
  }
  const constant = CONSTANT.get(n);
  if (constant !== undefined) return constant;
  const known =
    PLAIN.has(n) ||
    DEFINED.has(n) ||
    CANONICAL.has(n) ||
    isFixedMtrr(n) ||
    isVariableMtrr(n) ||
    isMachineCheck(n) ||
    isBranchRecord(n) ||
    DEFAULTS.has(n) ||
    n === MSR.SYSENTER_CS ||
    n === MSR.MTRR_DEF_TYPE ||
    n === MSR.FMASK ||
    n === MSR.TSC_AUX;
  if (!known) return undefined;
  return cpu.msrs.get(n) ?? DEFAULTS.get(n) ?? 0n;
}

/** Stores an MSR with all its checks; false: #GP. */
export function writeMsr(cpu: Cpu, n: number, value: bigint): boolean {
  if (cpu.localApic !== undefined && isApicMsr(n)) return cpu.localApic.msrWrite(n, value);
  if (!cpu.features.longMode && LONG_MODE.has(n)) return false;
  switch (n) {
    case MSR.TSC:
      setTscOffset(cpu, value - BigInt(Math.floor(cpu.options.readTsc())));
      return true;
    case MSR.TSC_ADJUST:
      // The counter's offset since RESET, whichever of the two registers moved it (SDM vol. 3B 17.17.3).
      setTscOffset(cpu, value);
      return true;
    case MSR.SPEC_CTRL:
      if (!cpu.features.specCtrl || (value & ~SPEC_CTRL_DEFINED) !== 0n) return false;
      break;
    case MSR.PRED_CMD:
      return cpu.features.specCtrl && (value & ~1n) === 0n;
    case MSR.EFER:
      return writeEfer(cpu, value);
    case MSR.FS_BASE:
    case MSR.GS_BASE:
      if (!isCanonicalBig(value)) return false;
      cpu.u64[STATE.segBase.u64 + (n === MSR.FS_BASE ? FS : GS)] = value;
      cpu.updateSegment(n === MSR.FS_BASE ? FS : GS);
      return true;
    case MSR.BIOS_SIGN_ID:
      break;
    case MSR.BIOS_UPDT_TRIG:
      // A microcode update that changes nothing.
      return true;
    case MSR.APIC_BASE: {
      // Without an APIC behind it: enable, BSP, base.
      const allowed = 0x900n | (((1n << BigInt(MAXPHYADDR)) - 1n) & ~0xfffn);
      if ((value & ~allowed) !== 0n) return false;
      break;
    }
    case MSR.PAT:
      if (!memoryTypes(value, true)) return false;
      break;
    case MSR.MTRR_DEF_TYPE:
      if ((value & ~0xcffn) !== 0n || !memoryType(Number(value & 0xffn), false)) return false;
      break;
    case MSR.MISC_ENABLE:
      return writeMiscEnable(cpu, value);
    case MSR.TSC_AUX:
    case MSR.FMASK:
      // FMASK's upper half is reserved but not checked on Intel; TSC_AUX's is.
      if (n === MSR.TSC_AUX && value >> 32n !== 0n) return false;
      break;
    case MSR.SYSENTER_CS:
      cpu.msrs.set(n, value & 0xffff_ffffn);
      return true;
    default:
      if (!plainWrite(n, value)) return false;
  }
  cpu.msrs.set(n, value);
  return true;
}

/** The MSRs with checks of a whole family; true: store it. */
function plainWrite(n: number, value: bigint): boolean {
  if (PLAIN.has(n)) return true;
  const defined = DEFINED.get(n);
  if (defined !== undefined) return (value & ~defined) === 0n;
  if (CANONICAL.has(n)) return isCanonicalBig(value);
  if (isFixedMtrr(n)) return memoryTypes(value, false);
  if (isVariableMtrr(n)) {
    if ((value & ADDRESS_RESERVED) !== 0n) return false;
    return (n & 1) === 0 ? (value & 0xf00n) === 0n && memoryType(Number(value & 0xffn), false) : (value & 0x7ffn) === 0n;
  }
  // STATUS, ADDR and MISC of a bank may only be cleared; CTL takes anything.
  if (isMachineCheck(n)) return (n & 3) === 0 || value === 0n;
  return false;
}

function writeEfer(cpu: Cpu, value: bigint): boolean {
  const f = cpu.features;
  const allowed = (f.longMode ? BigInt(EFER.SCE | EFER.LME | EFER.LMA) : 0n) | (executeDisable(cpu) ? BigInt(EFER.NXE) : 0n);
  if ((value & ~allowed) !== 0n) return false;
  const old = cpu.efer;
  const v = (Number(value) & ~EFER.LMA) | (old & EFER.LMA);
  if (((old ^ v) & EFER.LME) !== 0 && (cpu.cr0 & CR0.PG) !== 0) return false;
  cpu.u32[STATE.efer.u32] = v;
  if (((old ^ v) & EFER.NXE) !== 0) cpu.mmu.flushAll(true);
  if (old !== v) cpu.updateMode();
  return true;
}

function listed(set: ReadonlySet<number> | "all", n: number): boolean {
  return set === "all" || set.has(n);
}

const rdmsr: SystemHelper = (cpu, insn) => {
  if (cpu.cpl !== 0) cpu.gp(0);
  const n = gprLo(cpu, 1);
  if (listed(cpu.intercepts.rdmsr, n)) cpu.leave({ kind: "rdmsr", msr: n, ...common("rdmsr", insn) });
  const v = readMsr(cpu, n);
  if (v === undefined) return cpu.gp(0);
  cpu.setR32(0, Number(v & 0xffff_ffffn));
  cpu.setR32(2, Number(v >> 32n));
  return "next";
};

const wrmsr: SystemHelper = (cpu, insn) => {
  if (cpu.cpl !== 0) cpu.gp(0);
  const n = gprLo(cpu, 1);
  const value = (BigInt(gprLo(cpu, 2)) << 32n) | BigInt(gprLo(cpu, 0));
  if (listed(cpu.intercepts.wrmsr, n)) cpu.leave({ kind: "wrmsr", msr: n, value, ...common("wrmsr", insn) });
  if (!writeMsr(cpu, n, value)) cpu.gp(0);
  return "next";
};

export const MSRS: Readonly<Record<string, SystemHelper>> = { rdmsr, wrmsr };
