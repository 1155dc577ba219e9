import type { Insn } from "../../../isa/insn.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { ES, FS, GS } from "../cpu.ts";
import { writeArithmeticFlags } from "../flags-state.ts";
import { CPU } from "../state-layout.ts";
import { accessSize, addIndex, checkIoPermission, countIsZero, indexOf, insElement, outsElement } from "./io.ts";
import { FLAG, gprHi, gprLo, isCanonical } from "./words.ts";
import { load, store } from "./memory.ts";

/**
 * REP string instructions in bounded chunks: bulk copies where both sides are plain memory, element by element elsewhere. Registers are
 * committed as elements complete, so a fault in the middle leaves the exact restart state. SDM vol. 2 REP.
 */

/** Elements a call does at most in bulk, and one by one. */
const BULK = 4096;
const SINGLES = 256;

const READ32 = CPU.segReadLimit.offset >> 2;
const WRITE32 = CPU.segWriteLimit.offset >> 2;
const BASE32 = CPU.segBase.offset >> 2;
const RCX = 1;
const RSI = 6;
const RDI = 7;

/** Elements this call may do: the count, bounded; one when every iteration traps. */
function allowance(cpu: Cpu, addrSize: number): number {
  if ((cpu.systemFlags & FLAG.TF) !== 0 || cpu.intercepts.mtf) return 1;
  const count = addrSize === 16 ? cpu.r16(RCX) : addrSize === 32 || gprHi(cpu, RCX) === 0 ? gprLo(cpu, RCX) : BULK;
  return count < BULK ? count : BULK;
}

/** Elements from `offset` on (down when `down`) that neither wrap nor pass the segment's limit; 0: let the slow way decide. */
function segmentRoom(cpu: Cpu, s: number, offset: number, size: number, down: boolean, addrSize: number, write: boolean): number {
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
  return down ? Math.floor(offset / size) + 1 : Math.floor((end - offset) / size);
}

/** Linear address for the bulk way, or NaN when not canonical. */
function bulkAddress(cpu: Cpu, s: number, offset: number): number {
  if (!cpu.code64) return (cpu.u32[BASE32 + s * 2] + offset) >>> 0;
  const la = s === FS || s === GS ? cpu.baseNumber(s) + offset : offset;
  return isCanonical(la) ? la : Number.NaN;
}

/** Elements on the page of `la`. */
function pageRoom(la: number, size: number, down: boolean): number {
  const at = la & 0xfff;
  if (!down) return Math.floor((4096 - at) / size);
  return at + size > 4096 ? 0 : Math.floor(at / size) + 1;
}

/** Ends a chunk: RF marks an interrupted repetition, so that an instruction breakpoint does not strike again on the way back. */
function finish(cpu: Cpu, done: boolean): "next" | "repeat" {
  if (done) {
    cpu.systemFlags &= ~FLAG.RF;
    return "next";
  }
  cpu.systemFlags |= FLAG.RF;
  return "repeat";
}

/** Copies n elements from host address s to d, element order and propagation as the hardware's. */
function copyElements(cpu: Cpu, d: number, s: number, n: number, size: number, down: boolean): void {
  const u8 = cpu.u8;
  const bytes = n * size;
  if (!down) {
    const delta = d - s;
    if (delta <= 0 || delta >= bytes) {
      u8.copyWithin(d, s, s + bytes);
      return;
    }
    if (delta % size === 0) {
      // The first `delta` bytes repeat: copy them, then double.
      u8.copyWithin(d, s, d);
      for (let done = delta; done < bytes; ) {
        const more = done < bytes - done ? done : bytes - done;
        u8.copyWithin(d + done, d, d + more);
        done += more;
      }
      return;
    }
    for (let i = 0; i < bytes; i += size) u8.copyWithin(d + i, s + i, s + i + size);
    return;
  }
  const back = bytes - size;
  const delta = s - d;
  if (delta <= 0 || delta >= bytes) u8.copyWithin(d - back, s - back, s + size);
  else for (let i = 0; i < bytes; i += size) u8.copyWithin(d - i, s - i, s - i + size);
}

/** Moves index registers and count past n elements. */
function advanceIndices(cpu: Cpu, addrSize: number, n: number, size: number, down: boolean, si: boolean, di: boolean): void {
  const by = down ? -n * size : n * size;
  if (si) addIndex(cpu, RSI, addrSize, by);
  if (di) addIndex(cpu, RDI, addrSize, by);
  addIndex(cpu, RCX, addrSize, -n);
}

/**
 * What Intel processors do before the first element, even with a count of zero and before a fault: with 32-bit addresses the upper halves of
 * RCX, and of the index registers of MOVS and STOS, are cleared.
 */
function narrow(cpu: Cpu, addrSize: number, si: boolean, di: boolean): void {
  if (addrSize !== 32) return;
  cpu.setR32(RCX, gprLo(cpu, RCX));
  if (si) cpu.setR32(RSI, gprLo(cpu, RSI));
  if (di) cpu.setR32(RDI, gprLo(cpu, RDI));
}

const isDown = (cpu: Cpu): boolean => (cpu.systemFlags & FLAG.DF) !== 0;

const repMovs: SystemHelper = (cpu, insn) => {
  const a = insn.addrSize;
  narrow(cpu, a, true, true);
  if (countIsZero(cpu, a)) return finish(cpu, true);
  const size = insn.opSize >> 3;
  const down = isDown(cpu);
  const user = cpu.cpl === 3;
  let n = allowance(cpu, a);
  const si = indexOf(cpu, RSI, a);
  const di = indexOf(cpu, RDI, a);
  n = Math.min(n, segmentRoom(cpu, insn.segment, si, size, down, a, false), segmentRoom(cpu, ES, di, size, down, a, true));
  if (n > 0) {
    const from = bulkAddress(cpu, insn.segment, si);
    const to = bulkAddress(cpu, ES, di);
    n = from - from + (to - to) === 0 ? Math.min(n, pageRoom(from, size, down), pageRoom(to, size, down)) : 0;
    if (n > 0) {
      const s = cpu.mmu.hostRead(from, user);
      const d = s === 0 ? 0 : cpu.mmu.hostWrite(to, user, down ? to - (n - 1) * size : to, n * size);
      if (d !== 0) {
        copyElements(cpu, d, s, n, size, down);
        advanceIndices(cpu, a, n, size, down, true, true);
        return finish(cpu, countIsZero(cpu, a));
      }
    }
  }
  for (let left = n < 1 ? 1 : Math.min(n, SINGLES); left > 0; left--) {
    const from = cpu.mmu.segmentAddress(insn.segment, indexOf(cpu, RSI, a), size, false);
    if (size === 8) {
      const v = cpu.mmu.read64(from, user);
      cpu.mmu.write64(cpu.mmu.segmentAddress(ES, indexOf(cpu, RDI, a), size, true), v, user);
    } else {
      const v = load(cpu, from, size, user);
      store(cpu, cpu.mmu.segmentAddress(ES, indexOf(cpu, RDI, a), size, true), size, v, user);
    }
    advanceIndices(cpu, a, 1, size, down, true, true);
  }
  return finish(cpu, countIsZero(cpu, a));
};

/** Fills n elements of RAM with the accumulator. */
function fillElements(cpu: Cpu, low: number, n: number, size: number): void {
  const u8 = cpu.u8;
  if (size === 1) {
    u8.fill(cpu.r8(0), low, low + n);
    return;
  }
  const bytes = n * size;
  if (size === 2) cpu.view.setUint16(low, cpu.r16(0), true);
  else {
    cpu.view.setUint32(low, gprLo(cpu, 0), true);
    if (size === 8) cpu.view.setUint32(low + 4, gprHi(cpu, 0), true);
  }
  for (let done = size; done < bytes; ) {
    const more = done < bytes - done ? done : bytes - done;
    u8.copyWithin(low + done, low, low + more);
    done += more;
  }
}

const repStos: SystemHelper = (cpu, insn) => {
  const a = insn.addrSize;
  narrow(cpu, a, false, true);
  if (countIsZero(cpu, a)) return finish(cpu, true);
  const size = insn.opSize >> 3;
  const down = isDown(cpu);
  const user = cpu.cpl === 3;
  const di = indexOf(cpu, RDI, a);
  let n = Math.min(allowance(cpu, a), segmentRoom(cpu, ES, di, size, down, a, true));
  if (n > 0) {
    const to = bulkAddress(cpu, ES, di);
    n = to - to === 0 ? Math.min(n, pageRoom(to, size, down)) : 0;
    if (n > 0) {
      const d = cpu.mmu.hostWrite(to, user, down ? to - (n - 1) * size : to, n * size);
      if (d !== 0) {
        fillElements(cpu, down ? d - (n - 1) * size : d, n, size);
        advanceIndices(cpu, a, n, size, down, false, true);
        return finish(cpu, countIsZero(cpu, a));
      }
    }
  }
  for (let left = n < 1 ? 1 : Math.min(n, SINGLES); left > 0; left--) {
    const to = cpu.mmu.segmentAddress(ES, indexOf(cpu, RDI, a), size, true);
    if (size === 8) cpu.mmu.write64(to, cpu.r64(0), user);
    else store(cpu, to, size, size === 1 ? cpu.r8(0) : size === 2 ? cpu.r16(0) : gprLo(cpu, 0), user);
    advanceIndices(cpu, a, 1, size, down, false, true);
  }
  return finish(cpu, countIsZero(cpu, a));
};

const repLods: SystemHelper = (cpu, insn) => {
  const a = insn.addrSize;
  narrow(cpu, a, false, false);
  if (countIsZero(cpu, a)) return finish(cpu, true);
  const size = insn.opSize >> 3;
  const down = isDown(cpu);
  const user = cpu.cpl === 3;
  // Every element is read (it may be a device); the last one stays.
  for (let left = Math.min(allowance(cpu, a), SINGLES); left > 0; left--) {
    const from = cpu.mmu.segmentAddress(insn.segment, indexOf(cpu, RSI, a), size, false);
    if (size === 8) cpu.setR64(0, cpu.mmu.read64(from, user));
    else {
      const v = load(cpu, from, size, user);
      if (size === 1) cpu.setR8(0, v);
      else if (size === 2) cpu.setR16(0, v);
      else cpu.setR32(0, v);
    }
    advanceIndices(cpu, a, 1, size, down, true, false);
  }
  return finish(cpu, countIsZero(cpu, a));
};

// ---- comparisons

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

function loadLow(cpu: Cpu, host: number, size: number): number {
  if (size === 1) return cpu.u8[host];
  return size === 2 ? cpu.view.getUint16(host, true) : cpu.view.getUint32(host, true);
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

const repScas: SystemHelper = (cpu, insn) => {
  const a = insn.addrSize;
  narrow(cpu, a, false, false);
  if (countIsZero(cpu, a)) return finish(cpu, true);
  const size = insn.opSize >> 3;
  const down = isDown(cpu);
  const user = cpu.cpl === 3;
  const accLo = accumulator(cpu, size);
  const accHi = size === 8 ? gprHi(cpu, 0) : 0;
  const di = indexOf(cpu, RDI, a);
  let n = Math.min(allowance(cpu, a), segmentRoom(cpu, ES, di, size, down, a, false));
  if (n > 0) {
    const at = bulkAddress(cpu, ES, di);
    n = at - at === 0 ? Math.min(n, pageRoom(at, size, down)) : 0;
    const host = n > 0 ? cpu.mmu.hostRead(at, user) : 0;
    if (host !== 0) {
      const by = down ? -size : size;
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
      advanceIndices(cpu, a, i, size, down, false, true);
      if (!stop && !countIsZero(cpu, a)) return finish(cpu, false);
      setSubFlags(cpu, accLo, accHi, lo, hi, size);
      return finish(cpu, true);
    }
  }
  for (let left = n < 1 ? 1 : Math.min(n, SINGLES); left > 0; left--) {
    const la = cpu.mmu.segmentAddress(ES, indexOf(cpu, RDI, a), size, false);
    const wide = size === 8 ? cpu.mmu.read64(la, user) : 0n;
    const lo = size === 8 ? Number(wide & 0xffff_ffffn) : load(cpu, la, size, user) >>> 0;
    const hi = size === 8 ? Number(wide >> 32n) : 0;
    advanceIndices(cpu, a, 1, size, down, false, true);
    if (!stops(insn, lo === accLo && hi === accHi) && !countIsZero(cpu, a)) continue;
    setSubFlags(cpu, accLo, accHi, lo, hi, size);
    return finish(cpu, true);
  }
  return finish(cpu, false);
};

const repCmps: SystemHelper = (cpu, insn) => {
  const a = insn.addrSize;
  narrow(cpu, a, false, false);
  if (countIsZero(cpu, a)) return finish(cpu, true);
  const size = insn.opSize >> 3;
  const down = isDown(cpu);
  const user = cpu.cpl === 3;
  const si = indexOf(cpu, RSI, a);
  const di = indexOf(cpu, RDI, a);
  let n = allowance(cpu, a);
  n = Math.min(n, segmentRoom(cpu, insn.segment, si, size, down, a, false), segmentRoom(cpu, ES, di, size, down, a, false));
  if (n > 0) {
    const left = bulkAddress(cpu, insn.segment, si);
    const right = bulkAddress(cpu, ES, di);
    n = left - left + (right - right) === 0 ? Math.min(n, pageRoom(left, size, down), pageRoom(right, size, down)) : 0;
    let p = n > 0 ? cpu.mmu.hostRead(left, user) : 0;
    let q = p !== 0 ? cpu.mmu.hostRead(right, user) : 0;
    if (q !== 0) {
      const by = down ? -size : size;
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
      advanceIndices(cpu, a, i, size, down, true, true);
      if (!stop && !countIsZero(cpu, a)) return finish(cpu, false);
      setSubFlags(cpu, loadLow(cpu, p, size), loadHigh(cpu, p, size), loadLow(cpu, q, size), loadHigh(cpu, q, size), size);
      return finish(cpu, true);
    }
  }
  for (let left = n < 1 ? 1 : Math.min(n, SINGLES); left > 0; left--) {
    // ES:RDI is read first.
    const la2 = cpu.mmu.segmentAddress(ES, indexOf(cpu, RDI, a), size, false);
    const y = size === 8 ? cpu.mmu.read64(la2, user) : BigInt(load(cpu, la2, size, user) >>> 0);
    const la1 = cpu.mmu.segmentAddress(insn.segment, indexOf(cpu, RSI, a), size, false);
    const x = size === 8 ? cpu.mmu.read64(la1, user) : BigInt(load(cpu, la1, size, user) >>> 0);
    const low = (v: bigint): number => Number(v & 0xffff_ffffn);
    advanceIndices(cpu, a, 1, size, down, true, true);
    if (!stops(insn, x === y) && !countIsZero(cpu, a)) continue;
    setSubFlags(cpu, low(x), Number(x >> 32n), low(y), Number(y >> 32n), size);
    return finish(cpu, true);
  }
  return finish(cpu, false);
};

// ---- ports

function storeElement(cpu: Cpu, host: number, size: number, value: number): void {
  if (size === 1) cpu.u8[host] = value;
  else if (size === 2) cpu.view.setUint16(host, value, true);
  else cpu.view.setUint32(host, value, true);
}

/** INS into plain memory: elements done before the port said "not mine" (or the allowance ended); registers are committed. */
function bulkIns(cpu: Cpu, insn: Insn, allowed: number): number {
  const a = insn.addrSize;
  const size = accessSize(insn.opSize);
  const down = isDown(cpu);
  const di = indexOf(cpu, RDI, a);
  let n = Math.min(allowed, segmentRoom(cpu, ES, di, size, down, a, true));
  const to = n > 0 ? bulkAddress(cpu, ES, di) : Number.NaN;
  n = to - to === 0 ? Math.min(n, pageRoom(to, size, down)) : 0;
  if (n === 0) return 0;
  const port = cpu.r16(2);
  checkIoPermission(cpu, port, size);
  let host = cpu.mmu.hostWrite(to, cpu.cpl === 3, down ? to - (n - 1) * size : to, n * size);
  if (host === 0) return 0;
  let i = 0;
  for (; i < n; i++) {
    const value = cpu.io.portRead(port, size);
    if (value === -1) break;
    storeElement(cpu, host, size, value);
    host += down ? -size : size;
  }
  if (i > 0) advanceIndices(cpu, a, i, size, down, false, true);
  return i;
}

/** OUTS from plain memory, likewise. */
function bulkOuts(cpu: Cpu, insn: Insn, allowed: number): number {
  const a = insn.addrSize;
  const size = accessSize(insn.opSize);
  const down = isDown(cpu);
  const si = indexOf(cpu, RSI, a);
  let n = Math.min(allowed, segmentRoom(cpu, insn.segment, si, size, down, a, false));
  const from = n > 0 ? bulkAddress(cpu, insn.segment, si) : Number.NaN;
  n = from - from === 0 ? Math.min(n, pageRoom(from, size, down)) : 0;
  if (n === 0) return 0;
  const port = cpu.r16(2);
  checkIoPermission(cpu, port, size);
  let host = cpu.mmu.hostRead(from, cpu.cpl === 3);
  if (host === 0) return 0;
  let i = 0;
  for (; i < n; i++) {
    if (!cpu.io.portWrite(port, size, loadLow(cpu, host, size))) break;
    host += down ? -size : size;
  }
  if (i > 0) advanceIndices(cpu, a, i, size, down, true, false);
  return i;
}

function repPort(element: (cpu: Cpu, insn: Insn) => void, bulk: (cpu: Cpu, insn: Insn, allowed: number) => number): SystemHelper {
  return (cpu, insn) => {
    const a = insn.addrSize;
    // The right to use the port is checked even when nothing is moved.
    checkIoPermission(cpu, cpu.r16(2), accessSize(insn.opSize));
    narrow(cpu, a, false, false);
    if (countIsZero(cpu, a)) return finish(cpu, true);
    const allowed = Math.min(allowance(cpu, a), SINGLES);
    if (cpu.intercepts.unconditionalIo || bulk(cpu, insn, allowed) === 0) {
      // One by one: MMIO, page ends, faults, and ports that become exits.
      element(cpu, insn);
      addIndex(cpu, RCX, a, -1);
    }
    return finish(cpu, countIsZero(cpu, a));
  };
}

export const REP: Readonly<Record<string, SystemHelper>> = {
  rep_movs: repMovs,
  rep_stos: repStos,
  rep_lods: repLods,
  rep_scas: repScas,
  rep_cmps: repCmps,
  rep_ins: repPort(insElement, bulkIns),
  rep_outs: repPort(outsElement, bulkOuts),
};
