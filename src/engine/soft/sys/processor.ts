import { CR0, CR4, FLAG, MSR } from "../../../isa/index.ts";
import type { Insn } from "../../../isa/insn.ts";
import { VMX_INSTRUCTION_REASON } from "../../../isa/facts/vmx.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { inUse } from "../fpu/image.ts";
import { common, EXIT_VMCALL } from "../exits.ts";
import { displacement, operandInfo } from "./exits.ts";
import { monitorEnabled, readTsc } from "./msr.ts";
import { effectiveOffset, gprHi, gprLo, isCanonicalBig, linearAdd, operandAddress, setArithmetic, writeGpr } from "./words.ts";

/** HLT, PAUSE, caches, TLB, counters, MONITOR/MWAIT, XGETBV/XSETBV, random numbers, and what is never there. SDM vol. 2. */

function supervisor(cpu: Cpu): void {
  if (cpu.cpl !== 0) cpu.gp(0);
}

const hlt: SystemHelper = (cpu, insn) => {
  supervisor(cpu);
  if (cpu.intercepts.hlt) cpu.leave({ kind: "hlt", ...common("hlt", insn) });
  cpu.halted = true;
  return "next";
};

const pause: SystemHelper = (cpu, insn) => {
  const { intercepts } = cpu;
  if (intercepts.pause) cpu.leave({ kind: "pause", ...common("pause", insn) });
  if (intercepts.pauseLoop !== undefined && intercepts.pauseLoop-- <= 0) {
    intercepts.pauseLoop = 0;
    cpu.leave({ kind: "pause", ...common("pause", insn) });
  }
  return "next";
};

const invlpg: SystemHelper = (cpu, insn) => {
  supervisor(cpu);
  const op = insn.operands[0];
  if (op.kind !== "mem") return cpu.ud();
  const offset = effectiveOffset(cpu, insn, op);
  // No limit check: the address is only a name. FS and GS bases count in 64-bit code, the others are zero there.
  const base = cpu.code64 && op.segment < 4 ? 0 : cpu.baseNumber(op.segment);
  const la = cpu.code64 ? base + offset : (base + offset) >>> 0;
  if (cpu.intercepts.invlpg) cpu.leave({ kind: "invlpg", ...common("invlpg", insn, BigInt.asUintN(64, BigInt(la))) });
  // A non-canonical address flushes nothing and does not fault.
  if (!cpu.code64 || isCanonicalBig(BigInt.asUintN(64, BigInt(la)))) cpu.mmu.flushPage(la);
  return "next";
};

const invpcid: SystemHelper = (cpu, insn) => {
  const taken = cpu.intercepts.invpcid;
  if ((!cpu.features.invpcid && !taken) || cpu.v86) cpu.ud();
  supervisor(cpu);
  if (taken || cpu.intercepts.invlpg) {
    const op = insn.operands[0];
    const info = operandInfo(insn) | ((op.kind === "reg" ? op.index : 0) << 28);
    cpu.leave({ kind: "invpcid", ...common("invpcid", insn, displacement(cpu, insn), info >>> 0) });
  }
  const reg = insn.operands[0];
  const index = reg.kind === "reg" ? reg.index : 0;
  const type = cpu.code64 && gprHi(cpu, index) !== 0 ? 4 : gprLo(cpu, index);
  const la = operandAddress(cpu, insn, 1, 16, false);
  const pcid = cpu.readLinear64(la);
  const address = cpu.readLinear64(linearAdd(cpu, la, 8));
  if (type > 3) cpu.gp(0);
  if (pcid >> 12n !== 0n) cpu.gp(0);
  if (type < 2 && (cpu.cr4 & CR4.PCIDE) === 0 && pcid !== 0n) cpu.gp(0);
  if (type === 0 && !isCanonicalBig(address)) cpu.gp(0);
  // The TLB here has no tags: more is forgotten than asked for, never less.
  if (type === 0) cpu.mmu.flushPage(Number(BigInt.asIntN(64, address)));
  else cpu.mmu.flushAll(type === 2);
  return "next";
};

const invd: SystemHelper = (cpu, insn) => {
  supervisor(cpu);
  if (cpu.intercepts.wbinvd) cpu.leave({ kind: "invd", ...common("invd", insn) });
  return "next";
};
const wbinvd: SystemHelper = (cpu, insn) => {
  supervisor(cpu);
  if (cpu.intercepts.wbinvd) cpu.leave({ kind: "wbinvd", ...common("wbinvd", insn) });
  return "next";
};

function setTsc(cpu: Cpu): void {
  if (cpu.msrs.has(MSR.TSC)) {
    const v = readTsc(cpu);
    cpu.setR32(0, Number(v & 0xffff_ffffn));
    cpu.setR32(2, Number(v >> 32n));
    return;
  }
  const now = Math.floor(cpu.options.readTsc());
  cpu.setR32(0, now >>> 0);
  cpu.setR32(2, Math.floor(now / 0x100000000) >>> 0);
}

const rdtsc: SystemHelper = (cpu, insn) => {
  if ((cpu.cr4 & CR4.TSD) !== 0 && cpu.cpl !== 0) cpu.gp(0);
  if (cpu.intercepts.rdtsc) cpu.leave({ kind: "rdtsc", ...common("rdtsc", insn) });
  setTsc(cpu);
  return "next";
};
const rdtscp: SystemHelper = (cpu, insn) => {
  if ((cpu.cr4 & CR4.TSD) !== 0 && cpu.cpl !== 0) cpu.gp(0);
  if (cpu.intercepts.rdtsc) cpu.leave({ kind: "rdtscp", ...common("rdtscp", insn) });
  setTsc(cpu);
  cpu.setR32(1, Number((cpu.msrs.get(MSR.TSC_AUX) ?? 0n) & 0xffff_ffffn));
  return "next";
};
const rdpid: SystemHelper = (cpu, insn) => {
  if (!cpu.features.rdpid) cpu.ud();
  const op = insn.operands[0];
  if (op.kind === "reg") writeGpr(cpu, op.index, op.size, Number((cpu.msrs.get(MSR.TSC_AUX) ?? 0n) & 0xffff_ffffn));
  return "next";
};
const rdpmc: SystemHelper = (cpu, insn) => {
  if ((cpu.cr4 & CR4.PCE) === 0 && cpu.protectedMode && cpu.cpl !== 0) cpu.gp(0);
  if (cpu.intercepts.rdpmc) cpu.leave({ kind: "rdpmc", ...common("rdpmc", insn) });
  // CPUID 0Ah says: no counters.
  return cpu.gp(0);
};

const monitor: SystemHelper = (cpu, insn) => {
  const taken = cpu.intercepts.monitor;
  if ((!monitorEnabled(cpu) && !taken) || cpu.cpl !== 0) cpu.ud();
  if (taken) cpu.leave({ kind: "monitor", ...common("monitor", insn) });
  if (gprLo(cpu, 1) !== 0) cpu.gp(0);
  // A byte load at DS:rAX for its faults; nothing is watched: MWAIT may end at any time.
  const offset = insn.addrSize === 64 ? cpu.r64(0) : insn.addrSize === 32 ? gprLo(cpu, 0) : cpu.r16(0);
  cpu.readLinear8(cpu.segmentAddress(insn.segment, offset, 1, false));
  return "next";
};
const mwait: SystemHelper = (cpu, insn) => {
  const taken = cpu.intercepts.mwait;
  if ((!monitorEnabled(cpu) && !taken) || cpu.cpl !== 0) cpu.ud();
  if (taken) cpu.leave({ kind: "mwait", ...common("mwait", insn) });
  if ((gprLo(cpu, 1) & ~1) !== 0) cpu.gp(0);
  return "next";
};

const xgetbv: SystemHelper = (cpu) => {
  if ((cpu.cr4 & CR4.OSXSAVE) === 0) cpu.ud();
  const n = gprLo(cpu, 1);
  if (n > (cpu.features.xsavec ? 1 : 0)) cpu.gp(0);
  const enabled = Number(cpu.xcr0 & 0xffff_ffffn);
  cpu.setR32(0, n === 1 ? enabled & inUse(cpu) : enabled);
  cpu.setR32(2, 0);
  return "next";
};
const xsetbv: SystemHelper = (cpu, insn) => {
  if ((cpu.cr4 & CR4.OSXSAVE) === 0) cpu.ud();
  if (cpu.intercepts.xsetbv) cpu.leave({ kind: "xsetbv", ...common("xsetbv", insn) });
  supervisor(cpu);
  if (gprLo(cpu, 1) !== 0) cpu.gp(0);
  const f = cpu.features;
  const allowed = 1 | (f.sse ? 2 : 0) | (f.avx ? 4 : 0);
  const lo = gprLo(cpu, 0);
  if (gprLo(cpu, 2) !== 0 || (lo & ~allowed) !== 0 || (lo & 1) === 0 || (lo & 6) === 4) cpu.gp(0);
  cpu.xcr0 = BigInt(lo);
  return "next";
};

const GOLDEN = 0x9e3779b97f4a7c15n;
/** 64 random bits: the monitor's, else a generator (splitmix64) that gives the same numbers in every run. */
function randomBits(cpu: Cpu): bigint {
  const source = cpu.options.random;
  if (source !== undefined) return (BigInt(source() >>> 0) << 32n) | BigInt(source() >>> 0);
  // Each CPU has its own sequence.
  cpu.randomState = BigInt.asUintN(64, cpu.randomState + GOLDEN);
  let x = BigInt.asUintN(64, cpu.randomState + BigInt(cpu.index + 1) * 0xd1342543de82ef95n);
  x = BigInt.asUintN(64, (x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n);
  x = BigInt.asUintN(64, (x ^ (x >> 27n)) * 0x94d049bb133111ebn);
  return x ^ (x >> 31n);
}
/** RDRAND and RDSEED never run dry: CF is always set. */
function random(kind: "rdrand" | "rdseed"): SystemHelper {
  return (cpu, insn) => {
    const taken = cpu.intercepts[kind];
    const present = cpu.features[kind];
    if (!present && !taken) cpu.ud();
    const op = insn.operands[0];
    if (op.kind !== "reg") return cpu.ud();
    if (taken) {
      const info = (op.index << 3) | ((op.size === 16 ? 0 : op.size === 32 ? 1 : 2) << 11);
      cpu.leave({ kind, ...common(kind, insn, 0n, info) });
    }
    cpu.setReg(op.index, op.size, randomBits(cpu));
    setArithmetic(cpu, 0x8d5, FLAG.CF);
    return "next";
  };
}

/** SMX is never there: #UD unless the monitor wants to be it. */
const getsec: SystemHelper = (cpu, insn) => (cpu.intercepts.getsec ? cpu.leave({ kind: "getsec", ...common("getsec", insn) }) : cpu.ud());

const undefinedOpcode: SystemHelper = (cpu) => cpu.ud();

/** VMFUNC is no matter of VMX operation: without EPTP switching it is undefined. */
const VMX_INSTRUCTIONS = Object.entries(VMX_INSTRUCTION_REASON).filter(([name]) => name !== "vmfunc");

function vmxInstruction(name: string, reason: number): SystemHelper {
  return (cpu, insn) => {
    // The guest is in VMX non-root operation: only the mode checks come before the exit.
    if ((cpu.cr0 & CR0.PE) === 0 || cpu.v86 || (cpu.longMode && !cpu.code64)) cpu.ud();
    let info = 0;
    if (insn.operands.length > 0) {
      info = operandInfo(insn);
      const n = name === "vmread" ? 1 : 0;
      const reg2 = insn.operands[n];
      if (insn.operands.length > 1 && reg2.kind === "reg") info = vmxRegisters(insn, n, info);
    }
    return cpu.leave({ kind: "vmx-instruction", name, ...common(reason, insn, displacement(cpu, insn), info >>> 0) });
  };
}

/** Reg1 (bits 6:3, with bit 10) is the r/m register, Reg2 (31:28) the other one. */
function vmxRegisters(insn: Insn, n: number, info: number): number {
  const reg2 = insn.operands[n];
  const rm = insn.operands[1 - n];
  const withRm = rm.kind === "reg" ? (1 << 10) | (rm.index << 3) : info;
  return withRm | ((reg2.kind === "reg" ? reg2.index : 0) << 28);
}

/** VMCALL (and AMD's VMMCALL): exits at any privilege and in every mode, before all checks. */
export const vmcall: SystemHelper = (cpu, insn) => {
  cpu.exit = insn.length === 3 ? EXIT_VMCALL : { kind: "vmcall", ...common("vmcall", insn) };
  return "exit";
};

export const PROCESSOR: Readonly<Record<string, SystemHelper>> = {
  hlt,
  pause,
  invlpg,
  invpcid,
  invd,
  wbinvd,
  rdtsc,
  rdtscp,
  rdpid,
  rdpmc,
  monitor,
  mwait,
  xgetbv,
  xsetbv,
  rdrand: random("rdrand"),
  rdseed: random("rdseed"),
  vmcall,
  vmmcall: vmcall,
  ...Object.fromEntries(VMX_INSTRUCTIONS.map(([name, reason]) => [name, vmxInstruction(name, reason)])),
  // No SMM, no SMX, no EPTP switching, no protection keys: these are undefined opcodes here.
  rsm: undefinedOpcode,
  getsec,
  vmfunc: undefinedOpcode,
  rdpkru: undefinedOpcode,
  wrpkru: undefinedOpcode,
  ud0: undefinedOpcode,
  ud1: undefinedOpcode,
  ud2: undefinedOpcode,
};
