import {
  APIC_BASE,
  CPUID_1_ECX,
  CPUID_1_EDX,
  CPUID_7_EBX,
  CPUID_7_ECX,
  CPUID_7_EDX,
  CPUID_81_ECX,
  CPUID_81_EDX,
  CPUID_87_EDX,
  CPUID_D1_EAX,
  CR4,
  MSR,
  XCR0,
} from "../../../isa/index.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { common } from "../exits.ts";
import { MAXPHYADDR } from "./features.ts";
import { cpuidLimited, executeDisable, MICROCODE_REVISION, monitorEnabled } from "./msr.ts";
import { gprLo } from "./words.ts";

/**
 * CPUID: a Westmere-class processor (the first with all of x86-64-v2) with what the engine has on top, and nothing it has not. The model is one
 * that operating systems have no workarounds for once IA32_ARCH_CAPABILITIES tells that nothing here speculates. SDM vol. 2 CPUID.
 */

/** Family 6, model 2Ch, stepping 2. Also in EDX after RESET. */
export const SIGNATURE = 0x206c2;
const BRAND = "whyve software VT-x processor";
const HYPERVISOR = "whyve whyve ";
/** The time-stamp counter counts nanoseconds: 1000 MHz, from a crystal that also feeds the local APIC's timer. */
export const CRYSTAL_HZ = 25_000_000;
const TSC_MHZ = 1000;
const HYPERVISOR_MAXIMUM = 0x40000010;
const EXTENDED_MAXIMUM = 0x80000008;
const MAXIMUM = 0x16;

/** Sets bit n when the feature is there. */
const bit = (present: boolean, n: number): number => (present ? 1 << n : 0);

function word(text: string, at: number): number {
  let v = 0;
  for (let i = 3; i >= 0; i--) v = (v << 8) | (at + i < text.length ? text.charCodeAt(at + i) & 0xff : 0);
  return v;
}

type Leaf = readonly [eax: number, ebx: number, ecx: number, edx: number];
const ZERO: Leaf = [0, 0, 0, 0];

/** Cores of the one package, a thread each. */
const coreCount = (cpu: Cpu): number => cpu.options.cpus ?? 1;
/** Bits of the APIC id that number the cores. */
const coreBits = (cpu: Cpu): number => 32 - Math.clz32(coreCount(cpu) - 1);

/** Whether the local APIC is there and not globally disabled. */
function apicEnabled(cpu: Cpu): boolean {
  return cpu.localApic !== undefined && ((cpu.localApic.msrRead(MSR.APIC_BASE) ?? 0n) & BigInt(APIC_BASE.ENABLE)) !== 0n;
}

/** Features of leaf 1 that this CPU cannot do without. */
const ALWAYS = (
  ["VME", "DE", "PSE", "TSC", "MSR", "PAE", "MCE", "CX8", "SEP", "MTRR", "PGE", "MCA", "CMOV", "PAT", "PSE36", "CLFSH"] as const
).reduce((bits, name) => bits | (1 << CPUID_1_EDX[name]), 0);

function basicFeatures(cpu: Cpu): Leaf {
  const f = cpu.features;
  const apic = apicEnabled(cpu);
  const ecx =
    bit(f.sse3, CPUID_1_ECX.SSE3) |
    bit(f.pclmulqdq, CPUID_1_ECX.PCLMULQDQ) |
    bit(monitorEnabled(cpu), CPUID_1_ECX.MONITOR) |
    bit(f.ssse3, CPUID_1_ECX.SSSE3) |
    bit(f.cx16, CPUID_1_ECX.CX16) |
    bit(f.pcid, CPUID_1_ECX.PCID) |
    bit(f.sse41, CPUID_1_ECX.SSE41) |
    bit(f.sse42, CPUID_1_ECX.SSE42) |
    bit(cpu.localApic !== undefined, CPUID_1_ECX.X2APIC) |
    bit(f.movbe, CPUID_1_ECX.MOVBE) |
    bit(f.popcnt, CPUID_1_ECX.POPCNT) |
    bit(cpu.localApic !== undefined, CPUID_1_ECX.TSC_DEADLINE) |
    bit(f.aes, CPUID_1_ECX.AES) |
    bit(f.xsave, CPUID_1_ECX.XSAVE) |
    bit((cpu.cr4 & CR4.OSXSAVE) !== 0, CPUID_1_ECX.OSXSAVE) |
    bit(f.avx, CPUID_1_ECX.AVX) |
    bit(f.rdrand, CPUID_1_ECX.RDRAND) |
    bit(f.hypervisor, CPUID_1_ECX.HYPERVISOR);
  const cores = coreCount(cpu);
  const edx =
    bit(f.fpu, CPUID_1_EDX.FPU) |
    ALWAYS |
    bit(apic, CPUID_1_EDX.APIC) |
    bit(f.mmx, CPUID_1_EDX.MMX) |
    bit(f.fxsr, CPUID_1_EDX.FXSR) |
    bit(f.sse, CPUID_1_EDX.SSE) |
    bit(f.sse2, CPUID_1_EDX.SSE2) |
    bit(cores > 1, CPUID_1_EDX.HTT);
  return [SIGNATURE, ((cpu.index << 24) | ((1 << coreBits(cpu)) << 16) | (8 << 8)) >>> 0, ecx, edx];
}

function cacheLeaf(cpu: Cpu, index: number): Leaf {
  // type | level << 5 | self-initialising << 8 | sharing threads - 1 << 14 | cores - 1 << 26; ways-1 << 22 | partitions-1 << 12 | line-1; sets-1
  const cores = (1 << coreBits(cpu)) - 1;
  const all = (cores << 26) | (1 << 8);
  if (index === 0) return [1 | (1 << 5) | all, (7 << 22) | 63, 63, 0];
  if (index === 1) return [2 | (1 << 5) | all, (3 << 22) | 63, 127, 0];
  if (index === 2) return [3 | (2 << 5) | all, (7 << 22) | 63, 511, 0];
  return index === 3 ? [3 | (3 << 5) | (cores << 14) | all, (15 << 22) | 63, 8191, 2] : ZERO;
}

/** Structured extended features. */
function extendedFeatures(cpu: Cpu): Leaf {
  const f = cpu.features;
  const ebx =
    bit(f.fsgsbase, CPUID_7_EBX.FSGSBASE) |
    bit(true, CPUID_7_EBX.TSC_ADJUST) |
    bit(f.bmi1, CPUID_7_EBX.BMI1) |
    bit(f.smep, CPUID_7_EBX.SMEP) |
    bit(f.bmi2, CPUID_7_EBX.BMI2) |
    bit(true, CPUID_7_EBX.ERMS) | // REP MOVSB/STOSB are bulk operations here
    bit(f.invpcid, CPUID_7_EBX.INVPCID) |
    bit(f.rdseed, CPUID_7_EBX.RDSEED) |
    bit(f.adx, CPUID_7_EBX.ADX) |
    bit(f.smap, CPUID_7_EBX.SMAP) |
    bit(f.clflushopt, CPUID_7_EBX.CLFLUSHOPT);
  const edx = bit(f.specCtrl, CPUID_7_EDX.IBRS) | bit(f.specCtrl, CPUID_7_EDX.STIBP) | bit(true, CPUID_7_EDX.ARCH_CAPABILITIES);
  return [2, ebx, bit(f.umip, CPUID_7_ECX.UMIP) | bit(f.rdpid, CPUID_7_ECX.RDPID), edx];
}

/** Size of the XSAVE area for the given features. */
function xsaveSize(bits: number): number {
  return (bits & XCR0.AVX) !== 0 ? 832 : 576;
}

function xsaveLeaf(cpu: Cpu, index: number): Leaf {
  const f = cpu.features;
  if (!f.xsave) return ZERO;
  const supported = XCR0.X87 | (f.sse ? XCR0.SSE : 0) | (f.avx ? XCR0.AVX : 0);
  const size = xsaveSize(Number(cpu.xcr0 & 7n));
  if (index === 0) return [supported, size, xsaveSize(supported), 0];
  if (index === 1)
    return [
      bit(f.xsaveopt, CPUID_D1_EAX.XSAVEOPT) | bit(f.xsavec, CPUID_D1_EAX.XSAVEC) | bit(f.xsavec, CPUID_D1_EAX.XGETBV1),
      f.xsavec ? size : 0,
      0,
      0,
    ];
  if (index === 2 && f.avx) return [256, 576, 0, 0];
  return ZERO;
}

function extendedLeaf(cpu: Cpu, leaf: number): Leaf {
  const f = cpu.features;
  switch (leaf) {
    case 0x80000000:
      return [EXTENDED_MAXIMUM, 0, 0, 0];
    case 0x80000001: {
      const ecx = bit(f.longMode, CPUID_81_ECX.LAHF64) | bit(f.lzcnt, CPUID_81_ECX.LZCNT) | bit(true, CPUID_81_ECX.PREFETCHW); // LAHF in 64-bit code, PREFETCHW
      const edx =
        bit(f.longMode && cpu.code64, CPUID_81_EDX.SYSCALL) |
        bit(executeDisable(cpu), CPUID_81_EDX.NX) |
        bit(f.gbPages, CPUID_81_EDX.PAGE1GB) |
        bit(true, CPUID_81_EDX.RDTSCP) |
        bit(f.longMode, CPUID_81_EDX.LM);
      return [0, 0, ecx, edx];
    }
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: {
      const at = (leaf - 0x80000002) * 16;
      return [word(BRAND, at), word(BRAND, at + 4), word(BRAND, at + 8), word(BRAND, at + 12)];
    }
    case 0x80000006:
      return [0, 0, 0x01006040, 0];
    case 0x80000007:
      return [0, 0, 0, 1 << CPUID_87_EDX.INVARIANT_TSC];
    case 0x80000008:
      return [MAXPHYADDR | ((f.longMode ? 48 : 32) << 8), 0, 0, 0];
    default:
      return ZERO;
  }
}

function hypervisorLeaf(leaf: number): Leaf {
  if (leaf === 0x40000000) return [HYPERVISOR_MAXIMUM, word(HYPERVISOR, 0), word(HYPERVISOR, 4), word(HYPERVISOR, 8)];
  // Frequencies in kHz, as several hypervisors have agreed: TSC, local APIC timer.
  return leaf === HYPERVISOR_MAXIMUM ? [TSC_MHZ * 1000, CRYSTAL_HZ / 1000, 0, 0] : ZERO;
}

/** One leaf, without intercepts. */
export function cpuidLeaf(cpu: Cpu, leaf: number, subleaf: number): Leaf {
  const f = cpu.features;
  const maximum = cpuidLimited(cpu) ? 2 : MAXIMUM;
  if (leaf >= 0x80000000 && leaf <= EXTENDED_MAXIMUM) return extendedLeaf(cpu, leaf);
  if (f.hypervisor && leaf >= 0x40000000 && leaf <= 0x400000ff) return hypervisorLeaf(leaf);
  // Beyond the last leaf, basic or extended, Intel answers with the highest basic one.
  switch (leaf > maximum ? maximum : leaf) {
    case 0:
      return [maximum, word("Genu", 0), word("ntel", 0), word("ineI", 0)];
    case 1:
      return basicFeatures(cpu);
    case 2:
      return [0x55035a01, 0x00f0b2ff, 0, 0x00ca0000];
    case 4:
      return cacheLeaf(cpu, subleaf);
    case 5:
      return monitorEnabled(cpu) ? [64, 64, 3, 0] : ZERO;
    case 6:
      return [bit(cpu.localApic !== undefined, 2), 0, 0, 0]; // ARAT
    case 7:
      // Subleaf 2: BHI_CTRL (IA32_SPEC_CTRL.BHI_DIS_S), MCDT_NO.
      return subleaf === 0 ? extendedFeatures(cpu) : subleaf === 2 ? [0, 0, 0, bit(f.specCtrl, 4) | bit(true, 5)] : ZERO;
    case 0xb:
      if (subleaf === 0) return [0, 1, 0x100, cpu.index];
      return subleaf === 1 ? [coreBits(cpu), coreCount(cpu), 0x201, cpu.index] : [0, 0, subleaf & 0xff, cpu.index];
    case 0xd:
      return xsaveLeaf(cpu, subleaf);
    case 0x15:
      return [1, (TSC_MHZ * 1_000_000) / CRYSTAL_HZ, CRYSTAL_HZ, 0];
    case 0x16:
      return [TSC_MHZ, TSC_MHZ, 100, 0];
    default:
      return ZERO;
  }
}

const cpuid: SystemHelper = (cpu, insn) => {
  if (cpu.intercepts.cpuid) cpu.leave({ kind: "cpuid", ...common("cpuid", insn) });
  const leaf = gprLo(cpu, 0);
  // Leaf 1 leaves the microcode's revision in IA32_BIOS_SIGN_ID.
  if (leaf === 1) cpu.msrs.set(MSR.BIOS_SIGN_ID, MICROCODE_REVISION);
  const [eax, ebx, ecx, edx] = cpuidLeaf(cpu, leaf, gprLo(cpu, 1));
  cpu.setR32(0, eax);
  cpu.setR32(3, ebx);
  cpu.setR32(1, ecx);
  cpu.setR32(2, edx);
  return "next";
};

export const CPUID: Readonly<Record<string, SystemHelper>> = { cpuid };
