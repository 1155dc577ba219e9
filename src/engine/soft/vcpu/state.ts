import type { Field } from "../../../base/index.ts";
import { VmmError } from "../../../base/index.ts";
import type { VcpuStateV1 } from "../../api/index.ts";
import type { Cpu } from "../cpu.ts";
import { CS, PENDING, SS } from "../cpu-state.ts";
import { CPU } from "../state-layout.ts";

/** A CPU as a plain record and back. New state of the CPU that outlives a run goes here too. */

const hex = (v: bigint): string => v.toString(16);
const big = (v: string): bigint => BigInt(`0x${v}`);
const FPR_BYTES = 10;

/** What the run loop keeps besides the CPU. */
export interface RunState {
  readonly instructions: number;
  readonly startup: number;
}

export function saveCpu(cpu: Cpu, run: RunState): VcpuStateV1 {
  const { u8, u16, u32, u64 } = cpu;
  const long = (field: Field, i = 0): string => hex(u64[field.u64 + i]);
  const word = (field: Field): number => u32[field.u32];
  const half = (field: Field): number => u16[field.u16];
  const pending = word(CPU.pending);
  const registers = new Uint8Array(8 * FPR_BYTES);
  for (let i = 0; i < 8; i++) registers.set(u8.subarray(CPU.fpr.offset + i * 16, CPU.fpr.offset + i * 16 + FPR_BYTES), i * FPR_BYTES);
  return {
    v: 1,
    gpr: Array.from({ length: 16 }, (_, i) => long(CPU.gpr, i)),
    rip: hex(cpu.rip),
    rflags: cpu.eflags >>> 0,
    segments: Array.from({ length: 8 }, (_, s) => ({
      selector: cpu.selector(s),
      base: hex(cpu.base(s)),
      limit: cpu.limit(s),
      access: cpu.access(s),
    })),
    gdtr: { base: hex(cpu.gdtrBase), limit: cpu.gdtrLimit },
    idtr: { base: hex(cpu.idtrBase), limit: cpu.idtrLimit },
    cr0: cpu.cr0,
    cr2: hex(cpu.cr2),
    cr3: hex(cpu.cr3),
    cr4: cpu.cr4,
    cr8: word(CPU.cr8),
    efer: cpu.efer,
    xcr0: hex(cpu.xcr0),
    dr: cpu.dr.map(hex),
    pdptes: cpu.pdptes.map(hex),
    msrs: [...cpu.msrs].map(([index, value]) => ({ index, value: hex(value) })),
    x87: {
      control: half(CPU.fpuControl),
      status: (half(CPU.fpuStatus) & ~0x3800) | ((word(CPU.fpuTop) & 7) << 11),
      empty: word(CPU.fpuEmpty) & 0xff,
      opcode: half(CPU.fpuOpcode),
      cs: half(CPU.fpuCs),
      ds: half(CPU.fpuDs),
      ip: long(CPU.fpuIp),
      dp: long(CPU.fpuDp),
      registers,
    },
    xmm: u8.slice(CPU.xmm.offset, CPU.xmm.offset + 16 * 16),
    mxcsr: word(CPU.mxcsr),
    halted: cpu.halted,
    waitForSipi: cpu.waitForSipi,
    shutdown: cpu.shutdown,
    startup: run.startup,
    intr: (pending & PENDING.intr) !== 0,
    nmi: (pending & PENDING.nmi) !== 0,
    init: (pending & PENDING.init) !== 0,
    nmiBlocked: cpu.nmiBlocked,
    shadow: word(CPU.shadow),
    debug: cpu.pendingDebug,
    mmioRead: cpu.mmu.access.answer ?? null,
    mmioWritten: cpu.mmu.access.written ?? null,
    apicPage: cpu.apicPage < 0 ? null : cpu.apicPage * 4096,
    ignne: cpu.ignne,
    random: hex(cpu.randomState),
    instructions: run.instructions,
  };
}

export function loadCpu(cpu: Cpu, s: VcpuStateV1): RunState {
  if (s.v !== 1) throw new VmmError("VMM_STATE", `CPU state of version ${String(s.v)}; this engine knows version 1`);
  const { u8, u16, u32, u64 } = cpu;
  const long = (field: Field, value: string, i = 0): void => {
    u64[field.u64 + i] = big(value);
  };
  const word = (field: Field, value: number): void => {
    u32[field.u32] = value;
  };
  const half = (field: Field, value: number): void => {
    u16[field.u16] = value;
  };
  s.gpr.forEach((value, i) => long(CPU.gpr, value, i));
  long(CPU.rip, s.rip);
  word(CPU.cr0, s.cr0);
  long(CPU.cr2, s.cr2);
  long(CPU.cr3, s.cr3);
  word(CPU.cr4, s.cr4);
  word(CPU.cr8, s.cr8);
  word(CPU.efer, s.efer);
  cpu.eflags = s.rflags;
  cpu.xcr0 = big(s.xcr0);
  s.dr.forEach((value, i) => (cpu.dr[i] = big(value)));
  s.pdptes.forEach((value, i) => (cpu.pdptes[i] = big(value)));
  cpu.gdtrBase = big(s.gdtr.base);
  cpu.gdtrLimit = s.gdtr.limit;
  cpu.idtrBase = big(s.idtr.base);
  cpu.idtrLimit = s.idtr.limit;
  cpu.msrs.clear();
  for (const { index, value } of s.msrs) cpu.msrs.set(index, big(value));
  half(CPU.fpuControl, s.x87.control);
  half(CPU.fpuStatus, s.x87.status & ~0x3800);
  word(CPU.fpuTop, (s.x87.status >> 11) & 7);
  word(CPU.fpuEmpty, s.x87.empty);
  half(CPU.fpuOpcode, s.x87.opcode);
  half(CPU.fpuCs, s.x87.cs);
  half(CPU.fpuDs, s.x87.ds);
  long(CPU.fpuIp, s.x87.ip);
  long(CPU.fpuDp, s.x87.dp);
  for (let i = 0; i < 8; i++) u8.set(s.x87.registers.subarray(i * FPR_BYTES, (i + 1) * FPR_BYTES), CPU.fpr.offset + i * 16);
  u8.set(s.xmm.subarray(0, 16 * 16), CPU.xmm.offset);
  word(CPU.mxcsr, s.mxcsr);
  cpu.halted = s.halted;
  cpu.waitForSipi = s.waitForSipi;
  cpu.shutdown = s.shutdown;
  word(CPU.pending, (s.intr ? PENDING.intr : 0) | (s.nmi ? PENDING.nmi : 0) | (s.init ? PENDING.init : 0));
  cpu.nmiBlocked = s.nmiBlocked;
  word(CPU.shadow, s.shadow);
  cpu.pendingDebug = s.debug;
  cpu.ignne = s.ignne ?? false;
  cpu.randomState = big(s.random ?? "0");
  cpu.exit = undefined;
  cpu.mmu.access.answer = s.mmioRead ?? undefined;
  cpu.mmu.access.written = s.mmioWritten ?? undefined;
  cpu.apicPage = s.apicPage === null ? -1 : Math.floor(s.apicPage / 4096);
  // CS and SS decide the code size and the privilege that the others' fast limits depend on.
  const loads = [CS, SS, 0, 3, 4, 5, 6, 7];
  for (const n of loads) {
    const segment = s.segments[n];
    cpu.loadSegment(n, segment.selector, big(segment.base), segment.limit, segment.access);
  }
  cpu.updateMode();
  cpu.mmu.flushAll(true);
  return { instructions: s.instructions, startup: s.startup };
}
