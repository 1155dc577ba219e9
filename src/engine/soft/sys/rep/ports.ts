import type { Insn } from "../../../../isa/insn.ts";
import type { Cpu, SystemHelper } from "../../cpu.ts";
import { ES } from "../../cpu-state.ts";
import { accessSize, addIndex, checkIoPermission, countIsZero, indexOf, insElement, outsElement } from "../io.ts";
import { advanceIndices, allowance, bulkAddress, finish, isDown, loadLow, narrow, pageRoom, RCX, RDI, RSI, segmentRoom, SINGLES } from "./chunk.ts";

/** REP INS and OUTS. */

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
  const step = down ? -size : size;
  const di = indexOf(cpu, RDI, a);
  let n = Math.min(allowed, segmentRoom(cpu, ES, di, step, a, true));
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
    host += step;
  }
  if (i > 0) advanceIndices(cpu, a, i, step, false, true);
  return i;
}

/** OUTS from plain memory, likewise. */
function bulkOuts(cpu: Cpu, insn: Insn, allowed: number): number {
  const a = insn.addrSize;
  const size = accessSize(insn.opSize);
  const down = isDown(cpu);
  const step = down ? -size : size;
  const si = indexOf(cpu, RSI, a);
  let n = Math.min(allowed, segmentRoom(cpu, insn.segment, si, step, a, false));
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
    host += step;
  }
  if (i > 0) advanceIndices(cpu, a, i, step, true, false);
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
    const watched = cpu.mmu.breakpoints.onPort(cpu.r16(2), accessSize(insn.opSize)) !== 0;
    if (watched || cpu.intercepts.unconditionalIo || bulk(cpu, insn, allowed) === 0) {
      // One by one: MMIO, page ends, faults, and ports that become exits.
      element(cpu, insn);
      addIndex(cpu, RCX, a, -1);
    }
    return finish(cpu, countIsZero(cpu, a));
  };
}

export const repIns = repPort(insElement, bulkIns);
export const repOuts = repPort(outsElement, bulkOuts);
