import { CR0, EFER } from "../../../isa/index.ts";
import type { Cpu } from "../cpu.ts";
import { CS, LDTR, TR } from "../cpu-state.ts";
import { STATE } from "../state-layout.ts";
import { SIGNATURE } from "./cpuid.ts";
import { loadSeg } from "./descriptor.ts";

/** Power-on RESET and INIT values. SDM vol. 3A table 9-1. */

/** RESET: everything. */
export function resetCpu(cpu: Cpu): void {
  cpu.u32[STATE.cr0.u32] = (CR0.CD | CR0.NW | CR0.ET) >>> 0;
  cpu.msrs.clear();
  cpu.xcr0 = 1n;
  cpu.u8.fill(0, STATE.fpr.offset, STATE.fpr.offset + STATE.fpr.sizeBytes * STATE.fpr.count);
  cpu.u8.fill(0, STATE.xmm.offset, STATE.xmm.offset + STATE.xmm.sizeBytes * STATE.xmm.count);
  cpu.u16[STATE.fpuControl.u16] = 0x40;
  cpu.u16[STATE.fpuStatus.u16] = 0;
  cpu.u32[STATE.fpuTop.u32] = 0;
  // Tag word 5555h: all registers hold +0.0, none is empty.
  cpu.u32[STATE.fpuEmpty.u32] = 0;
  cpu.u16[STATE.fpuOpcode.u16] = 0;
  cpu.u16[STATE.fpuCs.u16] = 0;
  cpu.u16[STATE.fpuDs.u16] = 0;
  cpu.u64[STATE.fpuIp.u64] = 0n;
  cpu.u64[STATE.fpuDp.u64] = 0n;
  cpu.u32[STATE.mxcsr.u32] = 0x1f80;
  common(cpu);
}

/** INIT: as RESET, but the caches' bits in CR0, FPU, MSRs and TSC stay. */
export function initCpu(cpu: Cpu): void {
  cpu.u32[STATE.cr0.u32] = ((cpu.cr0 & (CR0.CD | CR0.NW)) | CR0.ET) >>> 0;
  common(cpu);
}

function common(cpu: Cpu): void {
  for (let i = 0; i < 16; i++) cpu.setR64(i, 0n);
  cpu.setR32(2, SIGNATURE);
  cpu.u64[STATE.zero.u64] = 0n;
  cpu.u32[STATE.cr4.u32] = 0;
  cpu.u64[STATE.cr3.u64] = 0n;
  cpu.u64[STATE.cr2.u64] = 0n;
  cpu.u32[STATE.cr8.u32] = 0;
  cpu.u32[STATE.efer.u32] &= ~(EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE);
  cpu.shadow = 0;
  cpu.u64[STATE.addrMask.u64] = 0xffffn;
  cpu.u64[STATE.addrMask.u64 + 1] = 0xffff_ffffn;
  cpu.u64[STATE.addrMask.u64 + 2] = 0xffff_ffff_ffff_ffffn;
  cpu.eflags = 2;
  cpu.eip = 0xfff0;
  for (let i = 0; i < 4; i++) cpu.dr[i] = 0n;
  cpu.dr[6] = 0xffff0ff0n;
  cpu.dr[7] = 0x400n;
  cpu.pdptes.fill(0n);
  cpu.gdtrBase = 0n;
  cpu.gdtrLimit = 0xffff;
  cpu.idtrBase = 0n;
  cpu.idtrLimit = 0xffff;
  cpu.halted = false;
  cpu.waitForSipi = false;
  cpu.shutdown = false;
  cpu.nmiBlocked = false;
  cpu.pendingDebug = 0;
  cpu.exit = undefined;
  for (let s = 0; s < 6; s++) loadSeg(cpu, s, 0, 0, 0xffff, 0x93);
  loadSeg(cpu, CS, 0xf000, 0xffff0000, 0xffff, 0x9b);
  loadSeg(cpu, LDTR, 0, 0, 0xffff, 0x82);
  loadSeg(cpu, TR, 0, 0, 0xffff, 0x8b);
  cpu.mmu.flushAll(true);
}

/** SIPI: the processor leaves wait-for-SIPI at vector * 4096. */
export function startup(cpu: Cpu, vector: number): void {
  loadSeg(cpu, CS, (vector & 0xff) << 8, (vector & 0xff) << 12, 0xffff, 0x9b);
  cpu.eip = 0;
  cpu.waitForSipi = false;
  cpu.halted = false;
}
