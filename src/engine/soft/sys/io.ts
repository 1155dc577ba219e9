import { FLAG } from "../../../isa/index.ts";
import type { AccessSize, VmEntry, VmExit } from "../../api/index.ts";
import type { Insn } from "../../../isa/insn.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { ES, TR } from "../cpu-state.ts";
import { common } from "../exits.ts";
import { addressSizeCode } from "./exits.ts";
import { gprHi, gprLo, linear, setGprPair, wide } from "./words.ts";
import { load, store } from "./memory.ts";

/** IN, OUT, INS, OUTS: permissions, the fast way through `GuestIo`, and VM exits. SDM vol. 1 chapter 19, vol. 3C 25.1.3, 27.2.1. */

export function accessSize(bits: number): AccessSize {
  return bits === 8 ? 1 : bits === 16 ? 2 : 4;
}

/** IOPL, then the I/O permission bitmap of a 32- or 64-bit TSS. #GP(0) when the access is not allowed. */
export function checkIoPermission(cpu: Cpu, port: number, size: number): void {
  if (!cpu.protectedMode) return;
  if (!cpu.v86 && cpu.cpl <= cpu.iopl) return;
  // 32-bit TSS only, and only one long enough to have the bitmap's offset.
  if ((cpu.access(TR) & 0x1000d) !== 9) cpu.gp(0);
  const limit = cpu.limit(TR);
  if (limit < 0x67) cpu.gp(0);
  const base = cpu.baseNumber(TR);
  const at = load(cpu, linear(cpu, base + 0x66), 2, false) + (port >> 3);
  // Always two bytes, so that a port range may straddle them.
  if (at + 1 > limit) cpu.gp(0);
  const bits = load(cpu, linear(cpu, base + at), 2, false) >> (port & 7);
  if ((bits & ((1 << size) - 1)) !== 0) cpu.gp(0);
}

/** Exit qualification of reason 30. */
function qualification(size: number, input: boolean, string: boolean, rep: boolean, immediate: boolean, port: number): bigint {
  return BigInt(((size - 1) | (input ? 8 : 0) | (string ? 0x10 : 0) | (rep ? 0x20 : 0) | (immediate ? 0x40 : 0) | (port << 16)) >>> 0);
}

function stringInfo(insn: Insn, segment: number): number {
  return (addressSizeCode(insn) << 7) | (segment << 15);
}

/** An access has been made, by whomever: I/O breakpoints trap behind it. */
function accessed(cpu: Cpu, port: number, size: number): void {
  cpu.pendingDebug |= cpu.mmu.breakpoints.onPort(port, size);
}

function portOf(cpu: Cpu, insn: Insn, n: number): number {
  const op = insn.operands[n];
  return op.kind === "imm" ? op.lo & 0xff : cpu.r16(2);
}

function setAccumulator(cpu: Cpu, size: number, value: number): void {
  if (size === 1) cpu.setR8(0, value);
  else if (size === 2) cpu.setR16(0, value);
  else cpu.setR32(0, value);
}

const input: SystemHelper = (cpu, insn) => {
  const port = portOf(cpu, insn, 1);
  const size = accessSize(insn.opSize);
  checkIoPermission(cpu, port, size);
  if (!cpu.intercepts.unconditionalIo) {
    const value = cpu.io.portRead(port, size);
    if (value !== -1) {
      setAccumulator(cpu, size, value);
      accessed(cpu, port, size);
      return "next";
    }
  }
  const q = qualification(size, true, false, false, insn.operands[1].kind === "imm", port);
  return cpu.leave({ kind: "io-in", port, size, string: false, ...common("io-in", insn, q) });
};

const output: SystemHelper = (cpu, insn) => {
  const port = portOf(cpu, insn, 0);
  const size = accessSize(insn.opSize);
  checkIoPermission(cpu, port, size);
  const value = size === 1 ? cpu.r8(0) : size === 2 ? cpu.r16(0) : cpu.r32(0);
  if (!cpu.intercepts.unconditionalIo && cpu.io.portWrite(port, size, value)) {
    accessed(cpu, port, size);
    return "next";
  }
  const q = qualification(size, false, false, false, insn.operands[0].kind === "imm", port);
  return cpu.leave({ kind: "io-out", port, size, value, string: false, ...common("io-out", insn, q) });
};

// ---- strings: one element; the REP forms repeat it

/** An index register at an address size: unsigned, or wide for 64 bits. */
export function indexOf(cpu: Cpu, register: number, addrSize: number): number {
  if (addrSize === 16) return cpu.r16(register);
  return addrSize === 32 ? gprLo(cpu, register) : wide(gprLo(cpu, register), gprHi(cpu, register));
}
/** Adds to an index or count register at an address size; |delta| < 2^31. 32-bit addresses clear the upper half, as any write of a 32-bit register. */
export function addIndex(cpu: Cpu, register: number, addrSize: number, delta: number): void {
  if (addrSize === 16) cpu.setR16(register, cpu.r16(register) + delta);
  else {
    const lo = gprLo(cpu, register) + delta;
    if (addrSize === 32) cpu.setR32(register, lo >>> 0);
    else setGprPair(cpu, register, lo >>> 0, (gprHi(cpu, register) + Math.floor(lo / 0x100000000)) >>> 0);
  }
}
/** Count register is zero at the address size. */
export function countIsZero(cpu: Cpu, addrSize: number): boolean {
  if (addrSize === 16) return cpu.r16(1) === 0;
  return gprLo(cpu, 1) === 0 && (addrSize === 32 || gprHi(cpu, 1) === 0);
}

function step(cpu: Cpu, size: number): number {
  return (cpu.systemFlags & FLAG.DF) !== 0 ? -size : size;
}

/** One INS element: permission, then the destination's checks, then the port. Commits RDI. */
export function insElement(cpu: Cpu, insn: Insn): void {
  const port = cpu.r16(2);
  const size = accessSize(insn.opSize);
  checkIoPermission(cpu, port, size);
  const user = cpu.cpl === 3;
  const la = cpu.segmentAddress(ES, indexOf(cpu, 7, insn.addrSize), size, true);
  cpu.mmu.probeWrite(la, size, user);
  const value = cpu.intercepts.unconditionalIo ? -1 : cpu.io.portRead(port, size);
  if (value === -1) {
    const q = qualification(size, true, true, insn.rep !== 0, false, port);
    cpu.leave({ kind: "io-in", port, size, string: true, ...common("io-in", insn, q, stringInfo(insn, ES)) });
  }
  store(cpu, la, size, value, user);
  accessed(cpu, port, size);
  addIndex(cpu, 7, insn.addrSize, step(cpu, size));
}

/** One OUTS element. Commits RSI. */
export function outsElement(cpu: Cpu, insn: Insn): void {
  const port = cpu.r16(2);
  const size = accessSize(insn.opSize);
  checkIoPermission(cpu, port, size);
  const la = cpu.segmentAddress(insn.segment, indexOf(cpu, 6, insn.addrSize), size, false);
  const value = load(cpu, la, size, cpu.cpl === 3) >>> 0;
  if (cpu.intercepts.unconditionalIo || !cpu.io.portWrite(port, size, value)) {
    const q = qualification(size, false, true, insn.rep !== 0, false, port);
    cpu.leave({ kind: "io-out", port, size, value, string: true, ...common("io-out", insn, q, stringInfo(insn, insn.segment)) });
  }
  accessed(cpu, port, size);
  addIndex(cpu, 6, insn.addrSize, step(cpu, size));
}

/**
 * Completes the port access that left with `exit`: with the answer's value (`io-in`) or as done by the monitor (`skip`). RIP moves on when the
 * instruction is over (a REP with elements left stays): true then. May throw GuestFault when the INS destination went away meanwhile. Undefined:
 * the entry does not answer this exit.
 */
export function completeIo(cpu: Cpu, entry: VmEntry, exit: VmExit): boolean | undefined {
  if (exit.kind !== "io-in" && exit.kind !== "io-out") return undefined;
  if (entry.kind !== "skip" && !(entry.kind === "io-in" && exit.kind === "io-in")) return undefined;
  const q = Number(exit.qualification & 0xffffn);
  let done = true;
  if (exit.string) {
    const addrSize = 16 << ((exit.instructionInfo >> 7) & 3);
    if (exit.kind === "io-in") {
      if (entry.kind === "io-in") {
        const la = cpu.segmentAddress(ES, indexOf(cpu, 7, addrSize), exit.size, true);
        store(cpu, la, exit.size, exit.size === 4 ? entry.value >>> 0 : entry.value & ((1 << (exit.size * 8)) - 1), cpu.cpl === 3);
      }
      addIndex(cpu, 7, addrSize, step(cpu, exit.size));
    } else addIndex(cpu, 6, addrSize, step(cpu, exit.size));
    if ((q & 0x20) !== 0) {
      addIndex(cpu, 1, addrSize, -1);
      done = countIsZero(cpu, addrSize);
    }
  } else if (exit.kind === "io-in" && entry.kind === "io-in") setAccumulator(cpu, exit.size, entry.value);
  accessed(cpu, exit.port, exit.size);
  if (done) advance(cpu, exit.instructionLength);
  return done;
}

/** Moves RIP past an instruction. */
export function advance(cpu: Cpu, length: number): void {
  if (cpu.code64) cpu.rip = BigInt.asUintN(64, cpu.rip + BigInt(length));
  else cpu.eip = cpu.codeSize === 16 ? (cpu.eip + length) & 0xffff : (cpu.eip + length) >>> 0;
}

export const IO: Readonly<Record<string, SystemHelper>> = {
  in: input,
  out: output,
  ins: (cpu, insn) => {
    insElement(cpu, insn);
    return "next";
  },
  outs: (cpu, insn) => {
    outsElement(cpu, insn);
    return "next";
  },
};
