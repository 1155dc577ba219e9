import type { Cpu, SystemHelper } from "../../cpu.ts";
import { ES } from "../../cpu-state.ts";
import { countIsZero, indexOf } from "../io.ts";
import { load, store } from "../memory.ts";
import { gprHi, gprLo } from "../words.ts";
import { advanceIndices, allowance, bulkAddress, finish, isDown, narrow, pageRoom, RDI, RSI, segmentRoom, SINGLES } from "./chunk.ts";

/** REP MOVS, STOS and LODS. */

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

export const repMovs: SystemHelper = (cpu, insn) => {
  const a = insn.addrSize;
  narrow(cpu, a, true, true);
  if (countIsZero(cpu, a)) return finish(cpu, true);
  const size = insn.opSize >> 3;
  const down = isDown(cpu);
  const step = down ? -size : size;
  const user = cpu.cpl === 3;
  let n = allowance(cpu, a);
  const si = indexOf(cpu, RSI, a);
  const di = indexOf(cpu, RDI, a);
  n = Math.min(n, segmentRoom(cpu, insn.segment, si, step, a, false), segmentRoom(cpu, ES, di, step, a, true));
  if (n > 0) {
    const from = bulkAddress(cpu, insn.segment, si);
    const to = bulkAddress(cpu, ES, di);
    n = from - from + (to - to) === 0 ? Math.min(n, pageRoom(from, size, down), pageRoom(to, size, down)) : 0;
    if (n > 0) {
      const s = cpu.mmu.hostRead(from, user);
      const d = s === 0 ? 0 : cpu.mmu.hostWrite(to, user, down ? to - (n - 1) * size : to, n * size);
      if (d !== 0) {
        copyElements(cpu, d, s, n, size, down);
        advanceIndices(cpu, a, n, step, true, true);
        return finish(cpu, countIsZero(cpu, a));
      }
    }
  }
  const met = cpu.pendingDebug;
  for (let left = n < 1 ? 1 : Math.min(n, SINGLES); left > 0 && cpu.pendingDebug === met; left--) {
    const from = cpu.segmentAddress(insn.segment, indexOf(cpu, RSI, a), size, false);
    if (size === 8) {
      const v = cpu.mmu.read64(from, user);
      cpu.mmu.write64(cpu.segmentAddress(ES, indexOf(cpu, RDI, a), size, true), v, user);
    } else {
      const v = load(cpu, from, size, user);
      store(cpu, cpu.segmentAddress(ES, indexOf(cpu, RDI, a), size, true), size, v, user);
    }
    advanceIndices(cpu, a, 1, step, true, true);
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

export const repStos: SystemHelper = (cpu, insn) => {
  const a = insn.addrSize;
  narrow(cpu, a, false, true);
  if (countIsZero(cpu, a)) return finish(cpu, true);
  const size = insn.opSize >> 3;
  const down = isDown(cpu);
  const step = down ? -size : size;
  const user = cpu.cpl === 3;
  const di = indexOf(cpu, RDI, a);
  let n = Math.min(allowance(cpu, a), segmentRoom(cpu, ES, di, step, a, true));
  if (n > 0) {
    const to = bulkAddress(cpu, ES, di);
    n = to - to === 0 ? Math.min(n, pageRoom(to, size, down)) : 0;
    if (n > 0) {
      const d = cpu.mmu.hostWrite(to, user, down ? to - (n - 1) * size : to, n * size);
      if (d !== 0) {
        fillElements(cpu, down ? d - (n - 1) * size : d, n, size);
        advanceIndices(cpu, a, n, step, false, true);
        return finish(cpu, countIsZero(cpu, a));
      }
    }
  }
  const met = cpu.pendingDebug;
  for (let left = n < 1 ? 1 : Math.min(n, SINGLES); left > 0 && cpu.pendingDebug === met; left--) {
    const to = cpu.segmentAddress(ES, indexOf(cpu, RDI, a), size, true);
    if (size === 8) cpu.mmu.write64(to, cpu.r64(0), user);
    else store(cpu, to, size, size === 1 ? cpu.r8(0) : size === 2 ? cpu.r16(0) : gprLo(cpu, 0), user);
    advanceIndices(cpu, a, 1, step, false, true);
  }
  return finish(cpu, countIsZero(cpu, a));
};

export const repLods: SystemHelper = (cpu, insn) => {
  const a = insn.addrSize;
  narrow(cpu, a, false, false);
  if (countIsZero(cpu, a)) return finish(cpu, true);
  const size = insn.opSize >> 3;
  const down = isDown(cpu);
  const step = down ? -size : size;
  const user = cpu.cpl === 3;
  // Every element is read (it may be a device); the last one stays.
  const met = cpu.pendingDebug;
  for (let left = Math.min(allowance(cpu, a), SINGLES); left > 0 && cpu.pendingDebug === met; left--) {
    const from = cpu.segmentAddress(insn.segment, indexOf(cpu, RSI, a), size, false);
    if (size === 8) cpu.setR64(0, cpu.mmu.read64(from, user));
    else {
      const v = load(cpu, from, size, user);
      if (size === 1) cpu.setR8(0, v);
      else if (size === 2) cpu.setR16(0, v);
      else cpu.setR32(0, v);
    }
    advanceIndices(cpu, a, 1, step, true, false);
  }
  return finish(cpu, countIsZero(cpu, a));
};
