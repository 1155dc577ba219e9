import { describe, expect, it } from "vitest";
import { MSR } from "../../../isa/index.ts";
import { cpuidLeaf } from "./cpuid.ts";
import { readMsr, writeMsr } from "./index.ts";
import { TestMachine } from "./machine.testing.ts";

/**
 * Model-specific registers by the SDM (vol. 4 table 2-2, vol. 3B 15.3): value after RESET, values that a write takes (and what is read then, where
 * it differs), values that are #GP. `undefined`: there is none, as CPUID says (RDMSR and WRMSR are #GP).
 */
interface Rule {
  readonly reset: bigint;
  readonly takes?: readonly (bigint | readonly [bigint, bigint])[];
  readonly refuses?: readonly bigint[];
}
const constant = (reset: bigint): Rule => ({ reset, refuses: [reset, 1n << 40n] });
const bits = (...numbers: readonly number[]): bigint => numbers.reduce((sum, n) => sum | (1n << BigInt(n)), 0n);
const ALL = (1n << 64n) - 1n;
const NOT_CANONICAL = 1n << 47n;
const address: Rule = { reset: 0n, takes: [0x1234n, 0xffff_8000_0000_0000n], refuses: [NOT_CANONICAL] };
const cleared: Rule = { reset: 0n, takes: [0n], refuses: [1n, ALL] };

const RULES: Readonly<Record<string, Rule>> = {
  // Fast strings; reserved 2:1, 6:4, 10:8, 15:13, 17, 21:19, 33:24, 63:35; read-only 7, 11, 12, and 18 without MONITOR.
  MISC_ENABLE: {
    reset: bits(0, 11, 12),
    takes: [[0n, bits(11, 12)], [bits(0, 7, 11, 12, 18), bits(0, 11, 12)], bits(0, 3, 11, 12, 16, 22, 23, 34)],
    refuses: [1, 2, 4, 5, 6, 8, 9, 10, 13, 14, 15, 17, 19, 20, 21, 24, 33, 35, 38, 63].map((n) => bits(n)),
  },
  // Four banks; no IA32_MCG_CTL, no CMCI, no local machine checks.
  MCG_CAP: constant(4n),
  MCG_STATUS: { reset: 0n, takes: [0n, bits(2), 7n], refuses: [8n, 1n << 32n, ALL] },
  P5_MC_ADDR: { reset: 0n, takes: [0n], refuses: [1n] },
  P5_MC_TYPE: { reset: 0n, takes: [0n], refuses: [1n] },
  DEBUGCTL: { reset: 0n, takes: [1n, 2n, 3n, 0n], refuses: [4n, 0x40n, 0x80n, 0x100n, 0x4000n] },
  FEATURE_CONTROL: constant(1n),
  PLATFORM_ID: constant(0n),
  SMI_COUNT: constant(0n),
  MTRRCAP: constant(0x508n),
  MTRR_DEF_TYPE: { reset: 0n, takes: [0xc06n, 0xc00n, 6n], refuses: [2n, 7n, 0x100n, 0x1000n, 1n << 32n] },
  MTRR_PHYSBASE0: { reset: 0n, takes: [0x80000006n, 0xff_ffff_f000n], refuses: [2n, 0x100n, 1n << 40n] },
  MTRR_PHYSMASK0: { reset: 0n, takes: [0x800n, 0xff_8000_0800n], refuses: [1n, 0x400n, 1n << 40n] },
  MTRR_FIX64K_00000: { reset: 0n, takes: [0x0606_0606_0606_0606n], refuses: [0x0706n, 0x02n] },
  MTRR_FIX4K_F8000: { reset: 0n, takes: [0x0505_0505_0505_0505n], refuses: [0x03n << 56n] },
  PAT: { reset: 0x0007_0406_0007_0406n, takes: [0x0007_0106_0007_0106n], refuses: [2n, 3n, 8n, 0x80n << 56n] },
  SYSENTER_CS: { reset: 0n, takes: [0x1234n] },
  SYSENTER_ESP: address,
  SYSENTER_EIP: address,
  LSTAR: address,
  CSTAR: address,
  KERNEL_GS_BASE: address,
  FS_BASE: address,
  GS_BASE: address,
  STAR: { reset: 0n, takes: [ALL] },
  FMASK: { reset: 0n, takes: [0x47700n] },
  TSC_AUX: { reset: 0n, takes: [0xffff_ffffn], refuses: [1n << 32n] },
  EFER: { reset: 0n, takes: [1n, bits(0, 8), bits(0, 11), 0n], refuses: [2n, bits(9), bits(12), bits(13), bits(14), bits(15)] },
  SPEC_CTRL: { reset: 0n, takes: [1n, 3n, 0x400n], refuses: [4n, 8n, 1n << 32n] },
  BIOS_SIGN_ID: { reset: 0x1f_0000_0000n, takes: [0n] },
  TSC_ADJUST: { reset: 0n, takes: [5n] },
};
for (let bank = 0; bank < 4; bank++) {
  for (const [i, rule] of [{ reset: 0n, takes: [ALL, 0n] }, cleared, cleared, cleared].entries())
    (RULES as Record<string, Rule>)[`${0x400 + bank * 4 + i}`] = rule;
}
/** What CPUID does not promise: performance monitoring, thermal monitoring, VMX, CMCI, XSAVES, AMD's. */
const ABSENT: readonly number[] = [
  ...[MSR.MCG_CTL, MSR.PMC0, MSR.PERFEVTSEL0, MSR.PERF_GLOBAL_STATUS, MSR.PERF_GLOBAL_CTRL, MSR.MPERF, MSR.APERF, MSR.THERM_STATUS, MSR.XSS],
  ...[MSR.VMX_BASIC, MSR.VMX_PROCBASED_CTLS, MSR.VMX_EPT_VPID_CAP, MSR.HWCR, MSR.SYSCFG, MSR.VM_CR],
  ...[0x280, 0x410, 0x19a, 0x19b, 0x1a2, 0x1b0, 0x345, 0x600, 0x606, 0x770, 0xc0000104, 0xc001001f, 0xdeadbeef],
];

const numberOf = (name: string): number => (MSR as Readonly<Record<string, number>>)[name] ?? Number(name);

describe("model-specific registers", () => {
  for (const [name, { reset, takes = [], refuses = [] }] of Object.entries(RULES)) {
    it(`${name} by the manual`, () => {
      const n = numberOf(name);
      const { cpu } = new TestMachine();
      expect(readMsr(cpu, n), "after RESET").toBe(reset);
      for (const take of takes) {
        const [value, back] = typeof take === "bigint" ? [take, take] : take;
        expect(writeMsr(cpu, n, value), `write of ${value.toString(16)}`).toBe(true);
        expect(readMsr(cpu, n), `after ${value.toString(16)}`).toBe(back);
      }
      const before = readMsr(cpu, n);
      for (const value of refuses) {
        expect(writeMsr(cpu, n, value), `write of ${value.toString(16)}`).toBe(false);
        expect(readMsr(cpu, n)).toBe(before);
      }
    });
  }
  it("are not there where CPUID promises nothing", () => {
    const { cpu } = new TestMachine();
    for (const n of ABSENT) {
      expect(readMsr(cpu, n), n.toString(16)).toBeUndefined();
      expect(writeMsr(cpu, n, 0n), n.toString(16)).toBe(false);
    }
    cpu.features.longMode = false;
    for (const n of [MSR.STAR, MSR.LSTAR, MSR.CSTAR, MSR.FMASK, MSR.FS_BASE, MSR.GS_BASE, MSR.KERNEL_GS_BASE]) {
      expect(readMsr(cpu, n)).toBeUndefined();
      expect(writeMsr(cpu, n, 0n)).toBe(false);
    }
  });
  it("IA32_MISC_ENABLE and CPUID say the same", () => {
    const { cpu } = new TestMachine();
    const nx = (): number => (cpuidLeaf(cpu, 0x80000001, 0)[3] >>> 20) & 1;
    const monitor = (): number => (cpuidLeaf(cpu, 1, 0)[2] >>> 3) & 1;
    const old = readMsr(cpu, MSR.MISC_ENABLE) ?? 0n;
    expect([nx(), monitor(), cpuidLeaf(cpu, 0, 0)[0]]).toEqual([1, 0, 0x16]);
    expect(writeMsr(cpu, MSR.EFER, 0x800n)).toBe(true);
    writeMsr(cpu, MSR.MISC_ENABLE, old | bits(34) | bits(22));
    expect([nx(), cpuidLeaf(cpu, 0, 0)[0], readMsr(cpu, MSR.EFER)]).toEqual([0, 2, 0n]);
    expect(writeMsr(cpu, MSR.EFER, 0x800n)).toBe(false);
    writeMsr(cpu, MSR.MISC_ENABLE, old);
    cpu.features.monitor = true;
    cpu.msrs.delete(MSR.MISC_ENABLE);
    expect([readMsr(cpu, MSR.MISC_ENABLE), monitor(), cpuidLeaf(cpu, 5, 0)[0]]).toEqual([bits(0, 11, 12, 18), 1, 64]);
    writeMsr(cpu, MSR.MISC_ENABLE, bits(0));
    expect([readMsr(cpu, MSR.MISC_ENABLE), monitor(), cpuidLeaf(cpu, 5, 0)[0]]).toEqual([bits(0, 11, 12), 0, 0]);
  });
  it("machine-check banks are as many as IA32_MCG_CAP says, and CPUID has MCE and MCA", () => {
    const { cpu } = new TestMachine();
    const banks = Number((readMsr(cpu, MSR.MCG_CAP) ?? 0n) & 0xffn);
    expect((cpuidLeaf(cpu, 1, 0)[3] >>> 7) & (cpuidLeaf(cpu, 1, 0)[3] >>> 14) & 1).toBe(1);
    for (let n = 0; n < 4; n++) {
      expect(readMsr(cpu, MSR.MC0_CTL + banks * 4 - 4 + n)).toBe(0n);
      expect(readMsr(cpu, MSR.MC0_CTL + banks * 4 + n)).toBeUndefined();
    }
  });
});
