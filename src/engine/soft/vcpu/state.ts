import { VmmError } from "../../../base/index.ts";
import type { VcpuStateV1 } from "../../api/index.ts";
import type { Cpu } from "../cpu.ts";
import { CS, PENDING, SS } from "../cpu-state.ts";
import { STATE } from "../state-layout.ts";

/** A CPU as a plain record and back. New state of the CPU that outlives a run goes here too. */

const hex = (v: bigint): string => v.toString(16);
const big = (v: string): bigint => BigInt(`0x${v}`);
const FPR_BYTES = 10;
/** TOP in the x87 status word; kept apart in the CPU. */
const TOP = 0x3800;

/** What the run loop keeps besides the CPU. */
export interface RunState {
  readonly instructions: number;
  readonly startup: number;
}

function saveX87({ u8, u16, u32, u64 }: Cpu): VcpuStateV1["x87"] {
  const registers = new Uint8Array(8 * FPR_BYTES);
  for (let i = 0; i < 8; i++) registers.set(u8.subarray(STATE.fpr.offset + i * 16, STATE.fpr.offset + i * 16 + FPR_BYTES), i * FPR_BYTES);
  return {
    control: u16[STATE.fpuControl.u16],
    status: (u16[STATE.fpuStatus.u16] & ~TOP) | ((u32[STATE.fpuTop.u32] & 7) << 11),
    empty: u32[STATE.fpuEmpty.u32] & 0xff,
    opcode: u16[STATE.fpuOpcode.u16],
    cs: u16[STATE.fpuCs.u16],
    ds: u16[STATE.fpuDs.u16],
    ip: hex(u64[STATE.fpuIp.u64]),
    dp: hex(u64[STATE.fpuDp.u64]),
    registers,
  };
}
function loadX87({ u8, u16, u32, u64 }: Cpu, x87: VcpuStateV1["x87"]): void {
  u16[STATE.fpuControl.u16] = x87.control;
  u16[STATE.fpuStatus.u16] = x87.status & ~TOP;
  u32[STATE.fpuTop.u32] = (x87.status & TOP) >> 11;
  u32[STATE.fpuEmpty.u32] = x87.empty;
  u16[STATE.fpuOpcode.u16] = x87.opcode;
  u16[STATE.fpuCs.u16] = x87.cs;
  u16[STATE.fpuDs.u16] = x87.ds;
  u64[STATE.fpuIp.u64] = big(x87.ip);
  u64[STATE.fpuDp.u64] = big(x87.dp);
  for (let i = 0; i < 8; i++) u8.set(x87.registers.subarray(i * FPR_BYTES, (i + 1) * FPR_BYTES), STATE.fpr.offset + i * 16);
}

export function saveCpu(cpu: Cpu, run: RunState): VcpuStateV1 {
  const { u8, u32 } = cpu;
  const { pending } = cpu;
  return {
    v: 1,
    gpr: Array.from({ length: 16 }, (_, i) => hex(cpu.r64(i))),
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
    cr8: u32[STATE.cr8.u32],
    efer: cpu.efer,
    xcr0: hex(cpu.xcr0),
    dr: cpu.dr.map(hex),
    pdptes: cpu.pdptes.map(hex),
    msrs: [...cpu.msrs].map(([index, value]) => ({ index, value: hex(value) })),
    x87: saveX87(cpu),
    xmm: u8.slice(STATE.xmm.offset, STATE.xmm.offset + 16 * 16),
    mxcsr: u32[STATE.mxcsr.u32],
    halted: cpu.halted,
    waitForSipi: cpu.waitForSipi,
    shutdown: cpu.shutdown,
    startup: run.startup,
    intr: (pending & PENDING.intr) !== 0,
    nmi: (pending & PENDING.nmi) !== 0,
    init: (pending & PENDING.init) !== 0,
    nmiBlocked: cpu.nmiBlocked,
    shadow: cpu.shadow,
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
  const { u8, u32, u64 } = cpu;
  s.gpr.forEach((value, i) => cpu.setR64(i, big(value)));
  cpu.rip = big(s.rip);
  u32[STATE.cr0.u32] = s.cr0;
  cpu.cr2 = big(s.cr2);
  u64[STATE.cr3.u64] = big(s.cr3);
  u32[STATE.cr4.u32] = s.cr4;
  u32[STATE.cr8.u32] = s.cr8;
  u32[STATE.efer.u32] = s.efer;
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
  loadX87(cpu, s.x87);
  u8.set(s.xmm.subarray(0, 16 * 16), STATE.xmm.offset);
  u32[STATE.mxcsr.u32] = s.mxcsr;
  cpu.halted = s.halted;
  cpu.waitForSipi = s.waitForSipi;
  cpu.shutdown = s.shutdown;
  cpu.pending = (s.intr ? PENDING.intr : 0) | (s.nmi ? PENDING.nmi : 0) | (s.init ? PENDING.init : 0);
  cpu.nmiBlocked = s.nmiBlocked;
  cpu.shadow = s.shadow;
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
