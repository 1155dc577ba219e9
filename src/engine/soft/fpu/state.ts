import type { FpuState } from "../../api/index.ts";
import type { Cpu } from "../cpu.ts";
import { STATE } from "../state-layout.ts";

/** The full two-bit tag of a physical register: 0 valid, 1 zero, 2 special, 3 empty (SDM vol. 1 8.1.7). */
export function fullTag(cpu: Cpu, physical: number): number {
  if ((cpu.u32[STATE.fpuEmpty.u32] >> physical) & 1) return 3;
  const at = STATE.fpr.offset + physical * 16;
  const exponent = cpu.u16[(at + 8) >> 1] & 0x7fff;
  const lo = cpu.u32[at >> 2];
  const hi = cpu.u32[(at >> 2) + 1];
  if (exponent === 0 && lo === 0 && hi === 0) return 1;
  return exponent === 0x7fff || exponent === 0 || hi >>> 31 === 0 ? 2 : 0;
}
export function tagWord(cpu: Cpu): number {
  let word = 0;
  for (let i = 0; i < 8; i++) word |= fullTag(cpu, i) << (i * 2);
  return word;
}
export function statusWord(cpu: Cpu): number {
  return (cpu.u16[STATE.fpuStatus.u16] & ~0x3800) | ((cpu.u32[STATE.fpuTop.u32] & 7) << 11);
}
export function readFpuState(cpu: Cpu): FpuState {
  const registers: Uint8Array[] = [];
  for (let i = 0; i < 8; i++) registers.push(cpu.u8.slice(STATE.fpr.offset + i * 16, STATE.fpr.offset + i * 16 + 10));
  return {
    controlWord: cpu.u16[STATE.fpuControl.u16],
    statusWord: statusWord(cpu),
    tagWord: tagWord(cpu),
    registers,
    mxcsr: cpu.u32[STATE.mxcsr.u32],
  };
}
export function writeFpuState(cpu: Cpu, s: FpuState): void {
  cpu.u16[STATE.fpuControl.u16] = s.controlWord;
  cpu.u16[STATE.fpuStatus.u16] = s.statusWord & ~0x3800;
  cpu.u32[STATE.fpuTop.u32] = (s.statusWord >> 11) & 7;
  let empty = 0;
  for (let i = 0; i < 8; i++) {
    if (((s.tagWord >> (i * 2)) & 3) === 3) empty |= 1 << i;
    cpu.u8.set((s.registers[i] ?? new Uint8Array(10)).subarray(0, 10), STATE.fpr.offset + i * 16);
  }
  cpu.u32[STATE.fpuEmpty.u32] = empty;
  cpu.u32[STATE.mxcsr.u32] = s.mxcsr;
  // The pointers to the last instruction and operand are not part of FpuState.
  cpu.u64[STATE.fpuIp.u64] = cpu.u64[STATE.fpuDp.u64] = 0n;
  cpu.u16[STATE.fpuOpcode.u16] = cpu.u16[STATE.fpuCs.u16] = cpu.u16[STATE.fpuDs.u16] = 0;
}
