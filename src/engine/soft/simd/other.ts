import type { Cpu, SystemHelper } from "../cpu.ts";
import type { Insn } from "../../../isa/insn.ts";
import { writeArithmeticFlags } from "../flags-state.ts";
import { linearAddress, read32, write32 } from "../fpu/memory.ts";
import { STATE } from "../state-layout.ts";
import * as k from "./crypto.ts";
import { available, MXCSR_MASK, SSE } from "./env.ts";
import { immediate, loadDestination, loadSource, storeDestination, storeInteger, storeXmm } from "./operand.ts";
import { compareStrings, implicitLength } from "./strings.ts";

const { Z } = SSE;

/** MXCSR, AES, carry-less multiplication, CRC32 and the string comparisons. */

const MXCSR = STATE.mxcsr.u32;
const GPR = STATE.gpr.u32;

const ldmxcsr: SystemHelper = (cpu, insn) => {
  available(cpu);
  const op = insn.operands[0];
  if (op.kind !== "mem") return cpu.ud();
  const value = read32(cpu, linearAddress(cpu, insn, op, 4, false));
  if ((value & ~MXCSR_MASK) !== 0) cpu.gp(0);
  cpu.u32[MXCSR] = value;
  return "next";
};
const stmxcsr: SystemHelper = (cpu, insn) => {
  available(cpu);
  const op = insn.operands[0];
  if (op.kind !== "mem") return cpu.ud();
  write32(cpu, linearAddress(cpu, insn, op, 4, true), cpu.u32[MXCSR]);
  return "next";
};

function block(compute: (imm: number) => void): SystemHelper {
  return (cpu, insn) => {
    available(cpu);
    loadSource(cpu, insn, 16);
    loadDestination(cpu, insn);
    compute(immediate(insn));
    storeDestination(cpu, insn, 4);
    return "next";
  };
}

/** The general register destination is 32 or 64 bits wide; the sum is always 32. */
const crc32: SystemHelper = (cpu, insn) => {
  const [destination, source] = insn.operands;
  if (destination.kind !== "reg" || (source.kind !== "reg" && source.kind !== "mem")) return cpu.ud();
  const value = cpu.readOperand(insn, 1);
  const bytes = source.size >> 3;
  let crc = k.crc32c(cpu.i32[GPR + destination.index * 2], Number(value & 0xffffffffn), Math.min(bytes, 4));
  if (bytes === 8) crc = k.crc32c(crc, Number(value >> 32n), 4);
  storeInteger(cpu, destination.index, 32, crc, 0);
  return "next";
};

const CF = 1,
  ZF = 0x40,
  SF = 0x80,
  OF = 0x800;
/** The magnitude of EAX or EDX (RAX, RDX with REX.W), at most `limit`. */
function explicitLength(cpu: Cpu, insn: Insn, index: number, limit: number): number {
  const lo = cpu.i32[GPR + index * 2];
  const value = insn.opSize === 64 ? cpu.i32[GPR + index * 2 + 1] * 4294967296 + (lo >>> 0) : lo;
  return Math.min(Math.abs(value), limit);
}
function stringCompare(explicit: boolean, mask: boolean): SystemHelper {
  return (cpu, insn) => {
    available(cpu);
    loadSource(cpu, insn, 16);
    loadDestination(cpu, insn);
    const imm = immediate(insn);
    const words = (imm & 1) !== 0;
    const limit = words ? 8 : 16;
    const first = explicit ? explicitLength(cpu, insn, 0, limit) : implicitLength(true, imm);
    const second = explicit ? explicitLength(cpu, insn, 2, limit) : implicitLength(false, imm);
    const found = compareStrings(imm, first, second);
    const high = (imm & 0x40) !== 0;
    if (mask) {
      Z[0] = found;
      Z[1] = Z[2] = Z[3] = 0;
      if (high) for (let i = 0; i < 4; i++) Z[i] = words ? spread(found >> (i * 2), 2) : spread(found >> (i * 4), 4);
      storeXmm(cpu, 0, 4);
    } else {
      const index = found === 0 ? limit : high ? 31 - Math.clz32(found) : 31 - Math.clz32(found & -found);
      storeInteger(cpu, 1, 32, index, 0);
    }
    writeArithmeticFlags(cpu, (found !== 0 ? CF : 0) | (second < limit ? ZF : 0) | (first < limit ? SF : 0) | ((found & 1) !== 0 ? OF : 0));
    return "next";
  };
}
/** The low `n` bits as a word of n elements of all ones or zeros. */
function spread(bits: number, n: 2 | 4): number {
  const width = 32 / n;
  const ones = n === 2 ? 0xffff : 0xff;
  let word = 0;
  for (let i = 0; i < n; i++) if (((bits >> i) & 1) !== 0) word |= ones << (i * width);
  return word;
}

export const OTHER: Readonly<Record<string, SystemHelper>> = {
  ldmxcsr,
  stmxcsr,
  aesenc: block(k.aesenc),
  aesenclast: block(k.aesenclast),
  aesdec: block(k.aesdec),
  aesdeclast: block(k.aesdeclast),
  aesimc: block(k.aesimc),
  aeskeygenassist: block(k.aeskeygenassist),
  pclmulqdq: block(k.pclmulqdq),
  crc32,
  pcmpestrm: stringCompare(true, true),
  pcmpestri: stringCompare(true, false),
  pcmpistrm: stringCompare(false, true),
  pcmpistri: stringCompare(false, false),
};
