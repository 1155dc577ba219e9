import type { Insn, MemoryOperand } from "../../../isa/insn.ts";
import type { Cpu } from "../cpu.ts";
import { STATE } from "../state-layout.ts";
import { imageAddress, linearAddress, plus, read16, read32, write16, write32 } from "./memory.ts";
import { type Body, setControlWord, top, updateSummary } from "./stack.ts";
import { statusWord, tagWord } from "./state.ts";

/** Control word, status word, environment and whole-state instructions (SDM vol. 1 8.1.10, 8.3.11). */

const STATUS = STATE.fpuStatus.u16;
const FPR = STATE.fpr.offset;

const fnclex: Body = (cpu) => {
  cpu.u16[STATUS] &= 0x7f00;
  cpu.ignne = false;
};
/** FNINIT: registers keep their contents, all are empty. */
export function initialize(cpu: Cpu): void {
  cpu.u16[STATE.fpuControl.u16] = 0x37f;
  cpu.u16[STATUS] = 0;
  cpu.u32[STATE.fpuTop.u32] = 0;
  cpu.u32[STATE.fpuEmpty.u32] = 0xff;
  cpu.u16[STATE.fpuOpcode.u16] = 0;
  cpu.u16[STATE.fpuCs.u16] = 0;
  cpu.u16[STATE.fpuDs.u16] = 0;
  cpu.u64[STATE.fpuIp.u64] = 0n;
  cpu.u64[STATE.fpuDp.u64] = 0n;
  cpu.ignne = false;
}

function memoryOperand(insn: Insn): MemoryOperand | undefined {
  const op = insn.operands[0];
  return op !== undefined && op.kind === "mem" ? op : undefined;
}

const fldcw: Body = (cpu, insn) => {
  const op = memoryOperand(insn);
  if (op !== undefined) setControlWord(cpu, read16(cpu, linearAddress(cpu, insn, op, 2, false)));
};
const fnstcw: Body = (cpu, insn) => {
  const op = memoryOperand(insn);
  if (op !== undefined) write16(cpu, linearAddress(cpu, insn, op, 2, true), cpu.u16[STATE.fpuControl.u16]);
};
const fnstsw: Body = (cpu, insn) => {
  const op = memoryOperand(insn);
  if (op === undefined) cpu.setR16(0, statusWord(cpu));
  else write16(cpu, linearAddress(cpu, insn, op, 2, true), statusWord(cpu));
};

/** The environment's fields by position; in the 16-bit formats each takes two bytes, in the 32-bit ones four. */
const FIELDS = new Int32Array(7);

/**
 * Instruction and operand pointers as the format has them: real and virtual-8086 mode store 20- or 32-bit linear addresses,
 * protected mode offset and selector.
 */
function gather(cpu: Cpu, wide: boolean): void {
  FIELDS[0] = cpu.u16[STATE.fpuControl.u16];
  FIELDS[1] = statusWord(cpu);
  FIELDS[2] = tagWord(cpu);
  const opcode = cpu.u16[STATE.fpuOpcode.u16] & 0x7ff;
  const cs = cpu.u16[STATE.fpuCs.u16];
  const ds = cpu.u16[STATE.fpuDs.u16];
  const ip = cpu.i32[STATE.fpuIp.u32];
  const dp = cpu.i32[STATE.fpuDp.u32];
  if (cpu.realOrV86) {
    const code = ((cs << 4) + ip) | 0;
    const data = ((ds << 4) + dp) | 0;
    FIELDS[3] = code & 0xffff;
    FIELDS[5] = data & 0xffff;
    FIELDS[4] = ((code >>> 16) << 12) | opcode;
    FIELDS[6] = (data >>> 16) << 12;
  } else {
    FIELDS[3] = ip;
    FIELDS[4] = wide ? cs | (opcode << 16) : cs;
    FIELDS[5] = dp;
    FIELDS[6] = ds;
  }
}
function storeEnvironment(cpu: Cpu, la: number, wide: boolean): void {
  gather(cpu, wide);
  for (let i = 0; i < 7; i++) {
    if (!wide) write16(cpu, plus(cpu, la, i * 2), FIELDS[i]);
    else write32(cpu, plus(cpu, la, i * 4), i < 3 || i === 6 || (i !== 4 && cpu.realOrV86) ? envelope(cpu, i) : FIELDS[i]);
  }
}
/** The reserved upper halves of the 32-bit formats read as ones. */
function envelope(cpu: Cpu, i: number): number {
  return i === 6 && cpu.realOrV86 ? FIELDS[i] : FIELDS[i] | (0xffff << 16);
}
function readEnvironment(cpu: Cpu, la: number, wide: boolean): void {
  for (let i = 0; i < 7; i++) FIELDS[i] = wide ? read32(cpu, plus(cpu, la, i * 4)) : read16(cpu, plus(cpu, la, i * 2));
}
function applyEnvironment(cpu: Cpu, wide: boolean): void {
  cpu.u16[STATE.fpuControl.u16] = (FIELDS[0] & 0x1f3f) | 0x40;
  cpu.u16[STATUS] = FIELDS[1] & ~0x3800;
  cpu.u32[STATE.fpuTop.u32] = (FIELDS[1] >> 11) & 7;
  let empty = 0;
  for (let i = 0; i < 8; i++) if (((FIELDS[2] >> (i * 2)) & 3) === 3) empty |= 1 << i;
  cpu.u32[STATE.fpuEmpty.u32] = empty;
  updateSummary(cpu);
  let ip = FIELDS[3];
  let dp = FIELDS[5];
  let cs = 0;
  let ds = 0;
  let opcode = FIELDS[4];
  if (cpu.realOrV86) {
    // Linear addresses: the selectors are gone, offset 0 of selector 0 is kept.
    ip = (ip & 0xffff) | (((FIELDS[4] >>> 12) & 0xffff) << 16);
    dp = (dp & 0xffff) | (((FIELDS[6] >>> 12) & 0xffff) << 16);
  } else {
    cs = FIELDS[4] & 0xffff;
    ds = FIELDS[6] & 0xffff;
    opcode = wide ? FIELDS[4] >>> 16 : cpu.u16[STATE.fpuOpcode.u16];
  }
  cpu.u32[STATE.fpuIp.u32] = ip;
  cpu.u32[STATE.fpuIp.u32 + 1] = 0;
  cpu.u32[STATE.fpuDp.u32] = dp;
  cpu.u32[STATE.fpuDp.u32 + 1] = 0;
  cpu.u16[STATE.fpuCs.u16] = cs;
  cpu.u16[STATE.fpuDs.u16] = ds;
  cpu.u16[STATE.fpuOpcode.u16] = opcode & 0x7ff;
}

const fnstenv: Body = (cpu, insn) => {
  const op = memoryOperand(insn);
  if (op === undefined) return;
  const wide = insn.opSize !== 16;
  const la = imageAddress(cpu, insn, op, wide ? 28 : 14, true);
  cpu.probeWrite(la, wide ? 28 : 14);
  storeEnvironment(cpu, la, wide);
  // All exceptions are masked, nothing is pending any more.
  setControlWord(cpu, cpu.u16[STATE.fpuControl.u16] | 0x3f);
};
const fldenv: Body = (cpu, insn) => {
  const op = memoryOperand(insn);
  if (op === undefined) return;
  const wide = insn.opSize !== 16;
  readEnvironment(cpu, imageAddress(cpu, insn, op, wide ? 28 : 14, false), wide);
  applyEnvironment(cpu, wide);
};
const fnsave: Body = (cpu, insn) => {
  const op = memoryOperand(insn);
  if (op === undefined) return;
  const wide = insn.opSize !== 16;
  const head = wide ? 28 : 14;
  const la = imageAddress(cpu, insn, op, head + 80, true);
  cpu.probeWrite(la, head + 80);
  storeEnvironment(cpu, la, wide);
  for (let i = 0; i < 8; i++) {
    const from = FPR + ((top(cpu) + i) & 7) * 16;
    const at = plus(cpu, la, head + i * 10);
    write32(cpu, at, cpu.i32[from >> 2]);
    write32(cpu, plus(cpu, at, 4), cpu.i32[(from >> 2) + 1]);
    write16(cpu, plus(cpu, at, 8), cpu.u16[(from + 8) >> 1]);
  }
  initialize(cpu);
};

/** Registers read before any is changed: a fault half-way leaves the state alone. 8 times lo, hi, exponent. */
const REGISTERS = new Int32Array(24);
const frstor: Body = (cpu, insn) => {
  const op = memoryOperand(insn);
  if (op === undefined) return;
  const wide = insn.opSize !== 16;
  const head = wide ? 28 : 14;
  const la = imageAddress(cpu, insn, op, head + 80, false);
  readEnvironment(cpu, la, wide);
  readRegisters(cpu, plus(cpu, la, head));
  applyEnvironment(cpu, wide);
  writeRegisters(cpu);
};
function readRegisters(cpu: Cpu, la: number): void {
  for (let i = 0; i < 8; i++) {
    const at = plus(cpu, la, i * 10);
    REGISTERS[i * 3] = read32(cpu, at);
    REGISTERS[i * 3 + 1] = read32(cpu, plus(cpu, at, 4));
    REGISTERS[i * 3 + 2] = read16(cpu, plus(cpu, at, 8));
  }
}
function writeRegisters(cpu: Cpu): void {
  for (let i = 0; i < 8; i++) {
    const to = FPR + ((top(cpu) + i) & 7) * 16;
    cpu.i32[to >> 2] = REGISTERS[i * 3];
    cpu.i32[(to >> 2) + 1] = REGISTERS[i * 3 + 1];
    cpu.u16[(to + 8) >> 1] = REGISTERS[i * 3 + 2];
  }
}

/** EMMS: every register becomes empty. CR0.EM makes it undefined, as every MMX instruction. */
export function emms(cpu: Cpu): void {
  cpu.u32[STATE.fpuEmpty.u32] = 0xff;
  // Measured; the manual speaks of the tags only.
  cpu.u32[STATE.fpuTop.u32] = 0;
}

export const WAITING_CONTROL: Readonly<Record<string, Body>> = { fldcw, fldenv, frstor };
export const NO_WAIT: Readonly<Record<string, Body>> = {
  fnclex,
  fninit: initialize,
  fnstcw,
  fnstsw,
  fnstenv,
  fnsave,
  // Signals of the 8087 and 287 that later processors ignore.
  fneni: () => {},
  fndisi: () => {},
  fnsetpm: () => {},
};
