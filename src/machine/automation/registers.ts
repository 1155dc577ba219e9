import { SEGMENT_NAMES } from "../../engine/api/index.ts";
import type { RegisterAccess, SegmentName, SegmentState } from "../../engine/api/index.ts";

const GPR_NAMES = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"] as const;
const CONTROL_NAMES = ["cr0", "cr2", "cr3", "cr4", "efer"] as const;

export type GprName = (typeof GPR_NAMES)[number];
/** How the CPU reads instructions at this moment. */
export type CpuMode = "real" | "v86" | "protected16" | "protected32" | "compatibility" | "long";

/** A copy of the guest's registers: 64-bit values as unsigned bigint. */
export interface Registers extends Readonly<Record<GprName | (typeof CONTROL_NAMES)[number], bigint>> {
  readonly rip: bigint;
  readonly rflags: bigint;
  readonly segments: Readonly<Record<SegmentName, SegmentState>>;
  readonly gdtr: { readonly base: bigint; readonly limit: number };
  readonly idtr: { readonly base: bigint; readonly limit: number };
  readonly mode: CpuMode;
}

const CR0_PE = 1n;
const EFER_LMA = 0x400n;
const RFLAGS_VM = 0x20000;
const CS_L = 0x2000;
const CS_DB = 0x4000;

/** The mode that CR0, EFER, RFLAGS and CS say the CPU is in. */
export function cpuMode(cpu: RegisterAccess): CpuMode {
  if ((cpu.getControl("cr0") & CR0_PE) === 0n) return "real";
  if ((cpu.getRflags() & RFLAGS_VM) !== 0) return "v86";
  const cs = cpu.getSegment("cs").access;
  if ((cpu.getControl("efer") & EFER_LMA) !== 0n) return (cs & CS_L) !== 0 ? "long" : "compatibility";
  return (cs & CS_DB) !== 0 ? "protected32" : "protected16";
}

/** Width of the code that runs: 16, 32 or 64. */
export function codeSize(cpu: RegisterAccess): 16 | 32 | 64 {
  const mode = cpuMode(cpu);
  if (mode === "long") return 64;
  if (mode === "protected32") return 32;
  return mode === "compatibility" && (cpu.getSegment("cs").access & CS_DB) !== 0 ? 32 : 16;
}

export function readRegisters(cpu: RegisterAccess): Registers {
  const gpr = (name: GprName): bigint => cpu.getGpr(GPR_NAMES.indexOf(name));
  const segment = (name: SegmentName): SegmentState => cpu.getSegment(name);
  return {
    rax: gpr("rax"),
    rcx: gpr("rcx"),
    rdx: gpr("rdx"),
    rbx: gpr("rbx"),
    rsp: gpr("rsp"),
    rbp: gpr("rbp"),
    rsi: gpr("rsi"),
    rdi: gpr("rdi"),
    r8: gpr("r8"),
    r9: gpr("r9"),
    r10: gpr("r10"),
    r11: gpr("r11"),
    r12: gpr("r12"),
    r13: gpr("r13"),
    r14: gpr("r14"),
    r15: gpr("r15"),
    rip: cpu.getRip(),
    rflags: BigInt(cpu.getRflags()),
    cr0: cpu.getControl("cr0"),
    cr2: cpu.getControl("cr2"),
    cr3: cpu.getControl("cr3"),
    cr4: cpu.getControl("cr4"),
    efer: cpu.getControl("efer"),
    segments: {
      es: segment("es"),
      cs: segment("cs"),
      ss: segment("ss"),
      ds: segment("ds"),
      fs: segment("fs"),
      gs: segment("gs"),
      ldtr: segment("ldtr"),
      tr: segment("tr"),
    },
    gdtr: cpu.getDescriptorTable("gdtr"),
    idtr: cpu.getDescriptorTable("idtr"),
    mode: cpuMode(cpu),
  };
}

/** The registers as a few lines for a person. */
export function formatRegisters(r: Registers): string {
  const wide = r.mode === "long" ? 16 : 8;
  const hex = (v: bigint, digits: number): string => (v & ((1n << BigInt(digits * 4)) - 1n)).toString(16).toUpperCase().padStart(digits, "0");
  const names = wide === 16 ? GPR_NAMES : GPR_NAMES.slice(0, 8);
  const label = (name: string): string => (wide === 16 ? name : name.replace(/^r/, "e")).toUpperCase().padStart(3);
  const cells = names.map((name) => `${label(name)}=${hex(r[name], wide)}`);
  const lines: string[] = [];
  for (let i = 0; i < cells.length; i += 4) lines.push(cells.slice(i, i + 4).join(" "));
  lines.push(`${label("rip")}=${hex(r.rip, wide)} FLAGS=${hex(r.rflags, 8)} mode=${r.mode}`);
  lines.push(
    SEGMENT_NAMES.slice(0, 6)
      .map((name) => `${name.toUpperCase()}=${hex(BigInt(r.segments[name].selector), 4)}`)
      .join(" "),
  );
  lines.push(`CR0=${hex(r.cr0, 8)} CR2=${hex(r.cr2, wide)} CR3=${hex(r.cr3, wide)} CR4=${hex(r.cr4, 8)} EFER=${hex(r.efer, 4)}`);
  return lines.join("\n");
}

/** Where a CPU is, for messages: `0008:C0101234 (protected32 mode)`. `number`: which CPU, unless it is the first. */
export function describePlace(cpu: RegisterAccess, number: number): string {
  const hex = (v: bigint | number, digits: number): string => v.toString(16).toUpperCase().padStart(digits, "0");
  const at = `${hex(cpu.getSegment("cs").selector, 4)}:${hex(cpu.getRip(), codeSize(cpu) / 4)}`;
  return `${at} (${cpuMode(cpu)} mode${number === 0 ? "" : `, CPU ${number}`})`;
}
