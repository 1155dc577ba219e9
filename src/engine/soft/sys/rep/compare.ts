import { FLAG } from "../../../../isa/index.ts";
import type { Insn } from "../../../../isa/insn.ts";
import type { Cpu, SystemHelper } from "../../cpu.ts";
import { ES } from "../../cpu-state.ts";
import { writeArithmeticFlags } from "../../flags-state.ts";
import { countIsZero, indexOf } from "../io.ts";
import { load } from "../memory.ts";
import { gprHi, gprLo } from "../words.ts";
import { advanceIndices, allowance, bulkAddress, finish, isDown, loadLow, narrow, pageRoom, RDI, RSI, segmentRoom, SINGLES } from "./chunk.ts";

/** REPE and REPNE SCAS and CMPS. */

/** Arithmetic flags of a - b on 8..32 bits, or 64 bits as halves. */
function setSubFlags(cpu: Cpu, aLo: number, aHi: number, bLo: number, bHi: number, size: number): void {
  let top = (aLo - bLo) | 0;
  let borrow = aLo < bLo ? 1 : 0;
  const low = top;
  let a = aLo;
  let b = bLo;
  let zero: boolean;
  let shift = size * 8 - 1;
  if (size === 8) {
    a = aHi;
    b = bHi;
    top = (aHi - bHi - borrow) | 0;
    borrow = aHi < bHi || (aHi === bHi && borrow === 1) ? 1 : 0;
    zero = (low | top) === 0;
    shift = 31;
  } else zero = aLo === bLo;
  const sign = (top >>> shift) & 1;
  const overflow = (((a ^ b) & (a ^ top)) >>> shift) & 1;
  let p = low & 0xff;
  p ^= p >> 4;
  p ^= p >> 2;
  p ^= p >> 1;
  writeArithmeticFlags(cpu, borrow | ((~p & 1) << 2) | ((aLo ^ bLo ^ low) & FLAG.AF) | (zero ? FLAG.ZF : 0) | (sign << 7) | (overflow << 11));
}

function loadHigh(cpu: Cpu, host: number, size: number): number {
  return size === 8 ? cpu.view.getUint32(host + 4, true) : 0;
}
function accumulator(cpu: Cpu, size: number): number {
  return size === 1 ? cpu.r8(0) : size === 2 ? cpu.r16(0) : gprLo(cpu, 0);
}

/*
 * Flags of SCAS and CMPS are written when the repetition ends: a fault or an interrupt in the middle leaves those from before the instruction
 * (SDM vol. 2 REP).
 */

/** REPE (F3) goes on while equal, REPNE (F2) while different. */
function stops(insn: Insn, equal: boolean): boolean {
  return insn.rep === 0xf2 ? equal : !equal;
}

export const repScas: SystemHelper = (cpu, insn) => {
  const a = insn.addrSize;
  narrow(cpu, a, false, false);
  if (countIsZero(cpu, a)) return finish(cpu, true);
  const size = insn.opSize >> 3;
  const down = isDown(cpu);
  const step = down ? -size : size;
  const user = cpu.cpl === 3;
  const accLo = accumulator(cpu, size);
  const accHi = size === 8 ? gprHi(cpu, 0) : 0;
  const di = indexOf(cpu, RDI, a);
  let n = Math.min(allowance(cpu, a), segmentRoom(cpu, ES, di, step, a, false));
  if (n > 0) {
    const at = bulkAddress(cpu, ES, di);
    n = at - at === 0 ? Math.min(n, pageRoom(at, size, down)) : 0;
    const host = n > 0 ? cpu.mmu.hostRead(at, user) : 0;
    if (host !== 0) {
      const by = step;
      let p = host;
      let i = 0;
      let stop = false;
      let lo = 0;
      let hi = 0;
      while (i < n && !stop) {
        lo = loadLow(cpu, p, size);
        hi = loadHigh(cpu, p, size);
        stop = stops(insn, lo === accLo && hi === accHi);
        p += by;
        i++;
      }
      advanceIndices(cpu, a, i, step, false, true);
      if (!stop && !countIsZero(cpu, a)) return finish(cpu, false);
      setSubFlags(cpu, accLo, accHi, lo, hi, size);
      return finish(cpu, true);
    }
  }
  const met = cpu.pendingDebug;
  for (let left = n < 1 ? 1 : Math.min(n, SINGLES); left > 0 && cpu.pendingDebug === met; left--) {
    const la = cpu.segmentAddress(ES, indexOf(cpu, RDI, a), size, false);
    const wide = size === 8 ? cpu.mmu.read64(la, user) : 0n;
    const lo = size === 8 ? Number(wide & 0xffff_ffffn) : load(cpu, la, size, user) >>> 0;
    const hi = size === 8 ? Number(wide >> 32n) : 0;
    advanceIndices(cpu, a, 1, step, false, true);
    if (!stops(insn, lo === accLo && hi === accHi) && !countIsZero(cpu, a)) continue;
    setSubFlags(cpu, accLo, accHi, lo, hi, size);
    return finish(cpu, true);
  }
  return finish(cpu, false);
};

export const repCmps: SystemHelper = (cpu, insn) => {
  const a = insn.addrSize;
  narrow(cpu, a, false, false);
  if (countIsZero(cpu, a)) return finish(cpu, true);
  const size = insn.opSize >> 3;
  const down = isDown(cpu);
  const step = down ? -size : size;
  const user = cpu.cpl === 3;
  const si = indexOf(cpu, RSI, a);
  const di = indexOf(cpu, RDI, a);
  let n = allowance(cpu, a);
  n = Math.min(n, segmentRoom(cpu, insn.segment, si, step, a, false), segmentRoom(cpu, ES, di, step, a, false));
  if (n > 0) {
    const left = bulkAddress(cpu, insn.segment, si);
    const right = bulkAddress(cpu, ES, di);
    n = left - left + (right - right) === 0 ? Math.min(n, pageRoom(left, size, down), pageRoom(right, size, down)) : 0;
    let p = n > 0 ? cpu.mmu.hostRead(left, user) : 0;
    let q = p !== 0 ? cpu.mmu.hostRead(right, user) : 0;
    if (q !== 0) {
      const by = step;
      let i = 0;
      let stop = false;
      while (i < n && !stop) {
        stop = stops(insn, loadLow(cpu, p, size) === loadLow(cpu, q, size) && loadHigh(cpu, p, size) === loadHigh(cpu, q, size));
        p += by;
        q += by;
        i++;
      }
      p -= by;
      q -= by;
      advanceIndices(cpu, a, i, step, true, true);
      if (!stop && !countIsZero(cpu, a)) return finish(cpu, false);
      setSubFlags(cpu, loadLow(cpu, p, size), loadHigh(cpu, p, size), loadLow(cpu, q, size), loadHigh(cpu, q, size), size);
      return finish(cpu, true);
    }
  }
  const met = cpu.pendingDebug;
  for (let left = n < 1 ? 1 : Math.min(n, SINGLES); left > 0 && cpu.pendingDebug === met; left--) {
    // ES:RDI is read first.
    const la2 = cpu.segmentAddress(ES, indexOf(cpu, RDI, a), size, false);
    const y = size === 8 ? cpu.mmu.read64(la2, user) : BigInt(load(cpu, la2, size, user) >>> 0);
    const la1 = cpu.segmentAddress(insn.segment, indexOf(cpu, RSI, a), size, false);
    const x = size === 8 ? cpu.mmu.read64(la1, user) : BigInt(load(cpu, la1, size, user) >>> 0);
    const low = (v: bigint): number => Number(v & 0xffff_ffffn);
    advanceIndices(cpu, a, 1, step, true, true);
    if (!stops(insn, x === y) && !countIsZero(cpu, a)) continue;
    setSubFlags(cpu, low(x), Number(x >> 32n), low(y), Number(y >> 32n), size);
    return finish(cpu, true);
  }
  return finish(cpu, false);
};
