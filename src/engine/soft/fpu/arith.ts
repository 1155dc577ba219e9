import type { Insn, MemoryOperand, Operand } from "../../../isa/insn.ts";
import type { Cpu } from "../cpu.ts";
import { STATE } from "../state-layout.ts";
import { fromFloat32, fromFloat64, fromInt32 } from "./convert.ts";
import { setResult, X87 } from "./env.ts";
import { classify, normalize, specialOne } from "./classes.ts";
import { add, div, mul, sqrt } from "./floatx80.ts";
import { compare, fromSmallInt, remainder, roundToInt, scale, takeResult } from "./integral.ts";
import { linearAddress, read16, readWords, rememberOperand } from "./memory.ts";
import {
  type Body,
  commit,
  commitKeepingC1,
  commitWith,
  forbidden,
  isEmpty,
  overflowed,
  pop,
  pushResult,
  setSt,
  stAddress,
  storeResult,
  underflowed,
} from "./stack.ts";

const { IE, DE, ZE, C1, R, SE, HI, LO, ENV, RAISED, INT_BIT, BIAS, B, N, WORDS, ZERO_CLASS, DENORMAL, INFINITY, NAN } = X87;

/** Arithmetic, comparison and the simple one-operand instructions. */

const ADD = 0,
  MUL = 1,
  SUB = 2,
  SUBR = 3,
  DIV = 4,
  DIVR = 5;

function compute(kind: number, ase: number, ahi: number, alo: number, bse: number, bhi: number, blo: number): void {
  switch (kind) {
    case ADD:
      add(ase, ahi, alo, bse, bhi, blo, 0);
      break;
    case MUL:
      mul(ase, ahi, alo, bse, bhi, blo);
      break;
    case SUB:
      add(ase, ahi, alo, bse, bhi, blo, 0x8000);
      break;
    case SUBR:
      add(bse, bhi, blo, ase, ahi, alo, 0x8000);
      break;
    case DIV:
      div(ase, ahi, alo, bse, bhi, blo);
      break;
    default:
      div(bse, bhi, blo, ase, ahi, alo);
  }
}

/** ST(i) into B. */
export function loadSt(cpu: Cpu, i: number): void {
  const at = stAddress(cpu, i);
  B[SE] = cpu.u16[(at + 8) >> 1];
  B[HI] = cpu.i32[(at >> 2) + 1];
  B[LO] = cpu.i32[at >> 2];
  B[3] = 0;
}
/** A real or integer memory operand into B. */
export function loadMemory(cpu: Cpu, insn: Insn, op: MemoryOperand, integer: boolean): void {
  const la = linearAddress(cpu, insn, op, op.size >> 3, false);
  if (op.size === 16) {
    fromInt32((read16(cpu, la) << 16) >> 16);
    return;
  }
  readWords(cpu, la, op.size >> 3);
  if (op.size === 64) fromFloat64(WORDS[1], WORDS[0]);
  else if (integer) fromInt32(WORDS[0]);
  else fromFloat32(WORDS[0]);
}
/** The DE of a memory operand that was denormal in its own format: unless a NaN or an invalid operation took precedence. */
function denormalMemory(nan: boolean): void {
  if (B[3] !== 0 && !nan && (ENV[RAISED] & (IE | ZE)) === 0) ENV[RAISED] |= DE;
}
function resultIsNan(): boolean {
  return (R[SE] & 0x7fff) === 0x7fff && (R[HI] !== INT_BIT || R[LO] !== 0);
}
export function stIndex(op: Operand | undefined): number {
  return op !== undefined && op.kind === "reg" ? op.index : 0;
}

/** FADD … FDIVR with a memory operand or ST(0), ST(i) in either order; `pops` for the …P forms. */
function arithmetic(kind: number, integer: boolean, pops: boolean): Body {
  return (cpu, insn) => {
    const first = insn.operands[0];
    let to = 0;
    let empty: boolean;
    if (first !== undefined && first.kind === "mem") {
      loadMemory(cpu, insn, first, integer);
      empty = isEmpty(cpu, 0);
      rememberOperand(cpu, first);
    } else {
      to = stIndex(first);
      const from = stIndex(insn.operands[1]);
      empty = isEmpty(cpu, to) || isEmpty(cpu, from);
      loadSt(cpu, from);
    }
    if (empty) underflowed();
    else {
      const at = stAddress(cpu, to);
      compute(kind, cpu.u16[(at + 8) >> 1], cpu.i32[(at >> 2) + 1], cpu.i32[at >> 2], B[SE], B[HI], B[LO]);
      if (B[3] !== 0) denormalMemory(resultIsNan());
    }
    if (!forbidden()) {
      storeResult(cpu, to);
      if (pops) pop(cpu);
    }
    commit(cpu);
  };
}

/** FCOM, FUCOM, FICOM, FTST: `pops` registers are popped. */
function comparison(quiet: boolean, integer: boolean, pops: number): Body {
  return (cpu, insn) => {
    const op = insn.operands[0];
    let empty = isEmpty(cpu, 0);
    if (op !== undefined && op.kind === "mem") {
      loadMemory(cpu, insn, op, integer);
      rememberOperand(cpu, op);
    } else {
      const i = op === undefined ? 1 : stIndex(op);
      empty ||= isEmpty(cpu, i);
      loadSt(cpu, i);
    }
    compareWithB(cpu, quiet, empty, pops);
  };
}
function compareWithB(cpu: Cpu, quiet: boolean, empty: boolean, pops: number): void {
  let codes = 0x4500;
  if (empty) underflowed();
  else {
    const at = stAddress(cpu, 0);
    codes = compare(cpu.u16[(at + 8) >> 1], cpu.i32[(at >> 2) + 1], cpu.i32[at >> 2], B[SE], B[HI], B[LO], quiet);
    denormalMemory(codes === 0x4500);
  }
  // The codes are set even when an unmasked exception keeps the operands on the stack.
  if (!forbidden()) for (let i = 0; i < pops; i++) pop(cpu);
  commitWith(cpu, codes);
}
const test: Body = (cpu) => {
  B.fill(0);
  compareWithB(cpu, false, isEmpty(cpu, 0), 0);
};

/** FCOMI and FUCOMI: the outcome goes to ZF PF CF; OF SF AF are cleared. */
function comparisonToFlags(quiet: boolean, pops: boolean): Body {
  return (cpu, insn) => {
    const i = stIndex(insn.operands[1]);
    let codes = 0x4500;
    if (isEmpty(cpu, 0) || isEmpty(cpu, i)) underflowed();
    else {
      const at = stAddress(cpu, 0);
      loadSt(cpu, i);
      codes = compare(cpu.u16[(at + 8) >> 1], cpu.i32[(at >> 2) + 1], cpu.i32[at >> 2], B[SE], B[HI], B[LO], quiet);
    }
    cpu.eflags = (cpu.eflags & ~0x8d5) | ((codes >> 8) & 0x45);
    if (!forbidden() && pops) pop(cpu);
    commitKeepingC1(cpu);
  };
}

/** FCMOVcc: `mask` of EFLAGS bits, moved when any (or, with `not`, none) is set. */
function conditionalMove(mask: number, not: boolean): Body {
  return (cpu, insn) => {
    const i = stIndex(insn.operands[1]);
    if (isEmpty(cpu, 0) || isEmpty(cpu, i)) {
      underflowed();
      if (!forbidden()) storeResult(cpu, 0);
    } else if (((cpu.eflags & mask) !== 0) !== not) {
      loadSt(cpu, i);
      setSt(cpu, 0, B[SE], B[HI], B[LO]);
    }
    commitKeepingC1(cpu);
  };
}

/** ST(0) = f(ST(0)). */
export function unary(f: (se: number, hi: number, lo: number) => void): Body {
  return (cpu) => {
    if (isEmpty(cpu, 0)) underflowed();
    else {
      const at = stAddress(cpu, 0);
      f(cpu.u16[(at + 8) >> 1], cpu.i32[(at >> 2) + 1], cpu.i32[at >> 2]);
    }
    if (!forbidden()) storeResult(cpu, 0);
    commit(cpu);
  };
}

/** FPREM, FPREM1: C2 says that there is more to do. */
function partialRemainder(nearest: boolean): Body {
  return (cpu) => {
    let codes = 0;
    if (isEmpty(cpu, 0) || isEmpty(cpu, 1)) underflowed();
    else {
      const at = stAddress(cpu, 0);
      loadSt(cpu, 1);
      codes = remainder(cpu.u16[(at + 8) >> 1], cpu.i32[(at >> 2) + 1], cpu.i32[at >> 2], B[SE], B[HI], B[LO], nearest);
    }
    const bad = (ENV[RAISED] & IE) !== 0 || resultIsNan() || forbidden();
    if (!forbidden()) storeResult(cpu, 0);
    else codes = 0;
    // Without a quotient C0 and C3 keep their values.
    ENV[RAISED] |= codes & C1;
    commitWith(cpu, bad ? cpu.u16[STATE.fpuStatus.u16] & 0x4100 : codes & ~C1);
  };
}

const fscale: Body = (cpu) => {
  if (isEmpty(cpu, 0) || isEmpty(cpu, 1)) underflowed();
  else {
    const at = stAddress(cpu, 0);
    loadSt(cpu, 1);
    scale(cpu.u16[(at + 8) >> 1], cpu.i32[(at >> 2) + 1], cpu.i32[at >> 2], B[SE], B[HI], B[LO]);
  }
  if (!forbidden()) storeResult(cpu, 0);
  commit(cpu);
};

const EXPONENT = new Int32Array(4);
/** FXTRACT: ST(0) becomes the exponent, the significand is pushed. */
const fxtract: Body = (cpu) => {
  if (isEmpty(cpu, 0)) underflowed();
  else if (!isEmpty(cpu, 7)) overflowed();
  else {
    loadSt(cpu, 0);
    extract(B[SE], B[HI], B[LO]);
  }
  if ((ENV[RAISED] & IE) !== 0) takeResult(EXPONENT);
  if (!forbidden()) {
    setSt(cpu, 0, EXPONENT[SE], EXPONENT[HI], EXPONENT[LO]);
    pushResult(cpu);
  }
  commit(cpu);
};
function extract(se: number, hi: number, lo: number): void {
  const c = classify(se, hi, lo);
  if (specialOne(c, se, hi, lo)) {
    takeResult(EXPONENT);
    return;
  }
  if (c === ZERO_CLASS) {
    ENV[RAISED] |= ZE;
    setResult(0xffff, INT_BIT, 0);
    takeResult(EXPONENT);
    setResult(se, hi, lo);
    return;
  }
  if (c === INFINITY) {
    setResult(0x7fff, INT_BIT, 0);
    takeResult(EXPONENT);
    setResult(se, hi, lo);
    return;
  }
  let e = se & 0x7fff;
  let h = hi;
  let l = lo;
  if (c === DENORMAL) {
    ENV[RAISED] |= DE;
    normalize(hi, lo);
    e = N[0];
    h = N[1];
    l = N[2];
  }
  fromSmallInt(e - BIAS);
  takeResult(EXPONENT);
  setResult((se & 0x8000) | BIAS, h, l);
}

/** FXAM: the class of ST(0) in C3 C2 C0 and its sign in C1, of an empty register too. */
const fxam: Body = (cpu) => {
  loadSt(cpu, 0);
  const c = classify(B[SE], B[HI], B[LO]);
  const codes = isEmpty(cpu, 0)
    ? 0x4100
    : c === ZERO_CLASS
      ? 0x4000
      : c === DENORMAL
        ? 0x4400
        : c === INFINITY
          ? 0x500
          : c === NAN
            ? 0x100
            : c > NAN
              ? 0
              : 0x400;
  if ((B[SE] & 0x8000) !== 0) ENV[RAISED] = C1;
  commitWith(cpu, codes);
};

const chs = unary((se, hi, lo) => setResult(se ^ 0x8000, hi, lo));
const abs = unary((se, hi, lo) => setResult(se & 0x7fff, hi, lo));

export const ARITHMETIC: Readonly<Record<string, Body>> = {
  fadd: arithmetic(ADD, false, false),
  faddp: arithmetic(ADD, false, true),
  fiadd: arithmetic(ADD, true, false),
  fmul: arithmetic(MUL, false, false),
  fmulp: arithmetic(MUL, false, true),
  fimul: arithmetic(MUL, true, false),
  fsub: arithmetic(SUB, false, false),
  fsubp: arithmetic(SUB, false, true),
  fisub: arithmetic(SUB, true, false),
  fsubr: arithmetic(SUBR, false, false),
  fsubrp: arithmetic(SUBR, false, true),
  fisubr: arithmetic(SUBR, true, false),
  fdiv: arithmetic(DIV, false, false),
  fdivp: arithmetic(DIV, false, true),
  fidiv: arithmetic(DIV, true, false),
  fdivr: arithmetic(DIVR, false, false),
  fdivrp: arithmetic(DIVR, false, true),
  fidivr: arithmetic(DIVR, true, false),
  fcom: comparison(false, false, 0),
  fcomp: comparison(false, false, 1),
  fcompp: comparison(false, false, 2),
  ficom: comparison(false, true, 0),
  ficomp: comparison(false, true, 1),
  fucom: comparison(true, false, 0),
  fucomp: comparison(true, false, 1),
  fucompp: comparison(true, false, 2),
  ftst: test,
  fcomi: comparisonToFlags(false, false),
  fcomip: comparisonToFlags(false, true),
  fucomi: comparisonToFlags(true, false),
  fucomip: comparisonToFlags(true, true),
  fcmovb: conditionalMove(0x01, false),
  fcmove: conditionalMove(0x40, false),
  fcmovbe: conditionalMove(0x41, false),
  fcmovu: conditionalMove(0x04, false),
  fcmovnb: conditionalMove(0x01, true),
  fcmovne: conditionalMove(0x40, true),
  fcmovnbe: conditionalMove(0x41, true),
  fcmovnu: conditionalMove(0x04, true),
  fsqrt: unary(sqrt),
  frndint: unary(roundToInt),
  fchs: chs,
  fabs: abs,
  fprem: partialRemainder(false),
  fprem1: partialRemainder(true),
  fscale,
  fxtract,
  fxam,
};
