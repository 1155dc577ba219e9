import type { Cpu, SystemHelper } from "../cpu.ts";
import { common } from "./exits.ts";
import { MAXPHYADDR } from "./features.ts";
import { CR4, gprLo } from "./words.ts";

/** CPUID: a Westmere-class processor less what the engine lacks. SDM vol. 2 CPUID; AMD APM vol. 3 for the extended leaves. */

/** Family 6, model 2Ch, stepping 2. Also in EDX after RESET. */
export const SIGNATURE = 0x206c2;
const BRAND = "whyve software VT-x processor";
const HYPERVISOR = "whyve whyve ";

/** Sets bit n when the feature is there. */
const bit = (present: boolean, n: number): number => (present ? 1 << n : 0);

function word(text: string, at: number): number {
  let v = 0;
  for (let i = 3; i >= 0; i--) v = (v << 8) | (at + i < text.length ? text.charCodeAt(at + i) & 0xff : 0);
  return v;
}

type Leaf = readonly [eax: number, ebx: number, ecx: number, edx: number];
const ZERO: Leaf = [0, 0, 0, 0];

function basicFeatures(cpu: Cpu): Leaf {
  const f = cpu.features;
  const ecx =
    bit(f.sse3, 0) |
    bit(f.pclmulqdq, 1) |
    bit(f.monitor, 3) |
    bit(f.ssse3, 9) |
    bit(f.cx16, 13) |
    bit(f.pcid, 17) |
    bit(f.sse41, 19) |
    bit(f.sse42, 20) |
    bit(f.x2apic, 21) |
    bit(f.movbe, 22) |
    bit(f.popcnt, 23) |
    bit(f.aes, 25) |
    bit(f.xsave, 26) |
    bit((cpu.cr4 & CR4.OSXSAVE) !== 0, 27) |
    bit(f.avx, 28) |
    bit(f.rdrand, 30) |
    bit(f.hypervisor, 31);
  // VME DE PSE TSC MSR PAE MCE CX8, SEP, MTRR PGE MCA CMOV PAT PSE36, CLFSH
  const base = 0x1fe | (1 << 11) | (0x3f << 12) | (1 << 19);
  const edx = bit(f.fpu, 0) | base | bit(f.apic, 9) | bit(f.mmx, 23) | bit(f.fxsr, 24) | bit(f.sse, 25) | bit(f.sse2, 26);
  return [SIGNATURE, (8 << 8) | (1 << 16), ecx, edx];
}

function cacheLeaf(index: number): Leaf {
  // type | level << 5 | self-initialising << 8; ways-1 << 22 | partitions-1 << 12 | line-1; sets-1
  if (index === 0) return [1 | (1 << 5) | (1 << 8), (7 << 22) | 63, 63, 0];
  if (index === 1) return [2 | (1 << 5) | (1 << 8), (3 << 22) | 63, 127, 0];
  if (index === 2) return [3 | (2 << 5) | (1 << 8), (7 << 22) | 63, 511, 0];
  return index === 3 ? [3 | (3 << 5) | (1 << 8), (15 << 22) | 63, 8191, 2] : ZERO;
}

/** Size of the XSAVE area for the given features. */
function xsaveSize(bits: number): number {
  return (bits & 4) !== 0 ? 832 : 576;
}

function xsaveLeaf(cpu: Cpu, index: number): Leaf {
  const f = cpu.features;
  if (!f.xsave) return ZERO;
  const supported = 1 | bit(f.sse, 1) | bit(f.avx, 2);
  if (index === 0) return [supported, xsaveSize(Number(cpu.xcr0 & 7n)), xsaveSize(supported), 0];
  if (index === 2 && f.avx) return [256, 576, 0, 0];
  return ZERO;
}

/** One leaf, without intercepts. */
export function cpuidLeaf(cpu: Cpu, leaf: number, subleaf: number): Leaf {
  const f = cpu.features;
  const maximum = f.xsave ? 0xd : 0xb;
  if (leaf >= 0x80000000) {
    if (f.longMode || leaf <= 0x80000008) {
      switch (leaf) {
        case 0x80000000:
          return [0x80000008, 0, 0, 0];
        case 0x80000001: {
          const ecx = bit(f.longMode, 0) | bit(f.lzcnt, 5);
          const edx = bit(f.longMode && cpu.code64, 11) | bit(f.nx, 20) | bit(f.gbPages, 26) | (1 << 27) | bit(f.longMode, 29);
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
          return [0, 0, 0, 1 << 8]; // invariant TSC
        case 0x80000008:
          return [MAXPHYADDR | ((f.longMode ? 48 : 32) << 8), 0, 0, 0];
        default:
      }
    }
    // Out of range, below: extended leaves that say nothing are zero; beyond the last, Intel answers with the highest basic leaf.
    if (leaf > 0x80000000 && leaf < 0x80000008) return ZERO;
    return cpuidLeaf(cpu, maximum, subleaf);
  }
  if (f.hypervisor && leaf >= 0x40000000 && leaf <= 0x400000ff) {
    if (leaf === 0x40000000) return [0x40000000, word(HYPERVISOR, 0), word(HYPERVISOR, 4), word(HYPERVISOR, 8)];
    return ZERO;
  }
  switch (leaf > maximum ? maximum : leaf) {
    case 0:
      return [maximum, word("Genu", 0), word("ntel", 0), word("ineI", 0)];
    case 1:
      return basicFeatures(cpu);
    case 2:
      return [0x55035a01, 0x00f0b2ff, 0, 0x00ca0000];
    case 4:
      return cacheLeaf(subleaf);
    case 5:
      return f.monitor ? [64, 64, 3, 0] : ZERO;
    case 6:
      return [f.apic ? 4 : 0, 0, 0, 0]; // ARAT
    case 7: {
      if (subleaf !== 0) return ZERO;
      const ebx =
        bit(f.fsgsbase, 0) |
        bit(f.bmi1, 3) |
        bit(f.smep, 7) |
        bit(f.bmi2, 8) |
        bit(true, 9) | // REP MOVSB/STOSB are bulk operations here
        bit(f.invpcid, 10) |
        bit(f.rdseed, 18) |
        bit(f.adx, 19) |
        bit(f.smap, 20) |
        bit(f.clflushopt, 23);
      return [0, ebx, bit(f.umip, 2) | bit(f.rdpid, 22), 0];
    }
    case 0xb:
      // One thread, one core; x2APIC id 0.
      if (subleaf === 0) return [0, 1, 0x100, 0];
      return subleaf === 1 ? [0, 1, 0x201, 0] : [0, 0, subleaf & 0xff, 0];
    case 0xd:
      return xsaveLeaf(cpu, subleaf);
    default:
      return ZERO;
  }
}

const cpuid: SystemHelper = (cpu, insn) => {
  if (cpu.intercepts.cpuid) cpu.leave({ kind: "cpuid", ...common(10, insn) });
  const [eax, ebx, ecx, edx] = cpuidLeaf(cpu, gprLo(cpu, 0), gprLo(cpu, 1));
  cpu.setR32(0, eax);
  cpu.setR32(3, ebx);
  cpu.setR32(1, ecx);
  cpu.setR32(2, edx);
  return "next";
};

export const CPUID: Readonly<Record<string, SystemHelper>> = { cpuid };
