import { FLAG } from "../../../../isa/index.ts";
import type { Cpu } from "../../cpu.ts";
import { FS, GS } from "../../cpu-state.ts";
import { STATE } from "../../state-layout.ts";
import { addIndex } from "../io.ts";
import { gprHi, gprLo, isCanonical } from "../words.ts";

/**
 * REP string instructions in bounded chunks: bulk work where memory is plain, element by element elsewhere. Registers are
 * committed as elements complete, so a fault in the middle leaves the exact restart state. SDM vol. 2 REP.
 *
 * This file: how much a chunk may do, and what every chunk does at its start and end.
 */

/** Elements a call does at most in bulk, and one by one. One by one it also ends behind an element that meets a breakpoint. */
const BULK = 4096;
export const SINGLES = 256;

const READ32 = STATE.segReadLimit.u32;
const WRITE32 = STATE.segWriteLimit.u32;
const BASE32 = STATE.segBase.u32;
export const RCX = 1;
export const RSI = 6;
export const RDI = 7;

/** Elements this call may do: the count, bounded; one when every iteration traps. */
export function allowance(cpu: Cpu, addrSize: number): number {
  if ((cpu.systemFlags & FLAG.TF) !== 0 || cpu.intercepts.mtf) return 1;
  const count = addrSize === 16 ? cpu.r16(RCX) : addrSize === 32 || gprHi(cpu, RCX) === 0 ? gprLo(cpu, RCX) : BULK;
  return count < BULK ? count : BULK;
}

/** Elements from `offset` on in steps of `step` bytes (negative: down) that neither wrap nor pass the segment's limit; 0: let the slow way decide. */
export function segmentRoom(cpu: Cpu, s: number, offset: number, step: number, addrSize: number, write: boolean): number {
  const size = Math.abs(step);
  const at = (write ? WRITE32 : READ32) + s * 2;
  const top = cpu.i32[at + 1];
  if (top < 0) return 0;
  let end = addrSize === 16 ? 0x10000 : addrSize === 32 ? 0x100000000 : Infinity;
  if (top === 0) {
    const limit = cpu.u32[at] + 1;
    if (limit < end) end = limit;
  }
  if (offset + size > end) return 0;
  if (addrSize === 64) return BULK;
  return step < 0 ? Math.floor(offset / size) + 1 : Math.floor((end - offset) / size);
}

/** Linear address for the bulk way, or NaN when not canonical. */
export function bulkAddress(cpu: Cpu, s: number, offset: number): number {
  if (!cpu.code64) return (cpu.u32[BASE32 + s * 2] + offset) >>> 0;
  const la = s === FS || s === GS ? cpu.baseNumber(s) + offset : offset;
  return isCanonical(la) ? la : Number.NaN;
}

/** Elements on the page of `la`. */
export function pageRoom(la: number, size: number, down: boolean): number {
  const at = la & 0xfff;
  if (!down) return Math.floor((4096 - at) / size);
  return at + size > 4096 ? 0 : Math.floor(at / size) + 1;
}

/** Ends a chunk: RF marks an interrupted repetition, so that an instruction breakpoint does not strike again on the way back. */
export function finish(cpu: Cpu, done: boolean): "next" | "repeat" {
  if (done) {
    cpu.systemFlags &= ~FLAG.RF;
    return "next";
  }
  cpu.systemFlags |= FLAG.RF;
  return "repeat";
}

/** Moves index registers and count past n elements of `step` bytes (negative: down). */
export function advanceIndices(cpu: Cpu, addrSize: number, n: number, step: number, si: boolean, di: boolean): void {
  const by = n * step;
  if (si) addIndex(cpu, RSI, addrSize, by);
  if (di) addIndex(cpu, RDI, addrSize, by);
  addIndex(cpu, RCX, addrSize, -n);
}

/**
 * What Intel processors do before the first element, even with a count of zero and before a fault: with 32-bit addresses the upper halves of
 * RCX, and of the index registers of MOVS and STOS, are cleared.
 */
export function narrow(cpu: Cpu, addrSize: number, si: boolean, di: boolean): void {
  if (addrSize !== 32) return;
  cpu.setR32(RCX, gprLo(cpu, RCX));
  if (si) cpu.setR32(RSI, gprLo(cpu, RSI));
  if (di) cpu.setR32(RDI, gprLo(cpu, RDI));
}

export const isDown = (cpu: Cpu): boolean => (cpu.systemFlags & FLAG.DF) !== 0;

/** An element of 8 to 32 bits at a host address, or the low half of one of 64. */
export function loadLow(cpu: Cpu, host: number, size: number): number {
  if (size === 1) return cpu.u8[host];
  return size === 2 ? cpu.view.getUint16(host, true) : cpu.view.getUint32(host, true);
}
