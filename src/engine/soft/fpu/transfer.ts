import type { Insn, MemoryOperand } from "../../../isa/insn.ts";
import type { Cpu } from "../cpu.ts";
import { loadMemory, loadSt, stIndex } from "./arith.ts";
import { bcdIndefinite, fromBcd, fromInt32, fromInt64, integerIndefinite, toBcd, toFloat, toInt } from "./convert.ts";
import { setResult, X87 } from "./env.ts";
import { classify } from "./classes.ts";
import { linearAddress, read16, readWords, rememberOperand, writeWords } from "./memory.ts";
import {
  type Body,
  commit,
  forbidden,
  free,
  isEmpty,
  moveTop,
  overflowed,
  pop,
  pushResult,
  setSt,
  stAddress,
  storeResult,
  underflowed,
} from "./stack.ts";

const { IE, DE, NEAREST, UP, SE, HI, LO, ENV, RC, MASK, RAISED, INDEFINITE_SE, INDEFINITE_HI, INT_BIT, QUIET, BIAS, B, M, WORDS, NAN } = X87;

/** Loads, stores, exchanges, constants and stack management. */

/** B onto the stack with #IS when it is full. */
function pushB(cpu: Cpu): void {
  if (!isEmpty(cpu, 7)) overflowed();
  else setResult(B[SE], B[HI], B[LO]);
  if (!forbidden()) pushResult(cpu);
  commit(cpu);
}

const fld: Body = (cpu, insn) => {
  const op = insn.operands[0];
  if (op === undefined || op.kind !== "mem") {
    const i = stIndex(op);
    if (isEmpty(cpu, i)) {
      underflowed();
      if (!forbidden()) pushResult(cpu);
      commit(cpu);
      return;
    }
    loadSt(cpu, i);
    pushB(cpu);
    return;
  }
  if (op.size === 80) {
    // The significand is an access of its own, before the segment's end matters to the rest.
    cpu.mmu.read(linearAddress(cpu, insn, op, 8, false), 4, cpu.cpl === 3);
    const la = linearAddress(cpu, insn, op, 10, false);
    readWords(cpu, la, 10);
    B[SE] = WORDS[2];
    B[HI] = WORDS[1];
    B[LO] = WORDS[0];
    rememberOperand(cpu, op);
    pushB(cpu);
    return;
  }
  loadMemory(cpu, insn, op, false);
  rememberOperand(cpu, op);
  if (isEmpty(cpu, 7)) {
    if (B[3] !== 0) {
      // An unmasked denormal exception does not keep a load from happening.
      setResult(B[SE], B[HI], B[LO]);
      pushResult(cpu);
      ENV[RAISED] = DE;
      commit(cpu);
      return;
    }
    if ((B[SE] & 0x7fff) === 0x7fff && classify(B[SE], B[HI], B[LO]) === NAN && (B[HI] & QUIET) === 0) {
      ENV[RAISED] |= IE;
      B[HI] |= QUIET;
    }
  }
  pushB(cpu);
};

const fild: Body = (cpu, insn) => {
  const op = insn.operands[0];
  if (op === undefined || op.kind !== "mem") return;
  const la = linearAddress(cpu, insn, op, op.size >> 3, false);
  if (op.size === 16) fromInt32((read16(cpu, la) << 16) >> 16);
  else {
    readWords(cpu, la, op.size >> 3);
    if (op.size === 64) fromInt64(WORDS[1], WORDS[0]);
    else fromInt32(WORDS[0]);
  }
  rememberOperand(cpu, op);
  pushB(cpu);
};
const fbld: Body = (cpu, insn) => {
  const op = insn.operands[0];
  if (op === undefined || op.kind !== "mem") return;
  cpu.mmu.read(linearAddress(cpu, insn, op, 8, false), 4, cpu.cpl === 3);
  const la = linearAddress(cpu, insn, op, 10, false);
  readWords(cpu, la, 10);
  fromBcd(WORDS[2], WORDS[1], WORDS[0]);
  rememberOperand(cpu, op);
  pushB(cpu);
};

/** The end of a store instruction: memory first, then status and stack. */
function finishStore(cpu: Cpu, insn: Insn, op: MemoryOperand, bytes: number, allowed: boolean, pops: boolean): void {
  // An unmasked exception goes before the memory access and its faults.
  if (allowed) {
    // Ten bytes are two accesses: the first may fault before the segment's end matters to the second.
    if (bytes === 10) cpu.probeWrite(linearAddress(cpu, insn, op, 8, true), 4);
    writeWords(cpu, linearAddress(cpu, insn, op, bytes, true), bytes, M);
  }
  rememberOperand(cpu, op);
  if (allowed && pops) pop(cpu);
  commit(cpu);
}
const maskedInvalid = (): boolean => (ENV[MASK] & IE) !== 0;

function store(pops: boolean): Body {
  return (cpu, insn) => {
    const op = insn.operands[0];
    const empty = isEmpty(cpu, 0);
    loadSt(cpu, 0);
    if (op === undefined || op.kind !== "mem") {
      if (empty && insn.row.encoding === "D9 D8+i") {
        // The alias never checks ST(0).
        pop(cpu);
      } else if (empty) {
        underflowed();
        if (!forbidden()) {
          storeResult(cpu, stIndex(op));
          if (pops) pop(cpu);
        }
      } else {
        setSt(cpu, stIndex(op), B[SE], B[HI], B[LO]);
        if (pops) pop(cpu);
      }
      commit(cpu);
      return;
    }
    if (op.size === 80) {
      if (empty) {
        underflowed();
        M[0] = 0;
        M[1] = INDEFINITE_HI;
        M[2] = INDEFINITE_SE;
      } else {
        M[0] = B[LO];
        M[1] = B[HI];
        M[2] = B[SE];
      }
      finishStore(cpu, insn, op, 10, !empty || maskedInvalid(), pops);
      return;
    }
    let allowed: boolean;
    if (empty) {
      underflowed();
      const raised = ENV[RAISED];
      toFloat(INDEFINITE_SE, INDEFINITE_HI, 0, op.size === 64);
      ENV[RAISED] = raised;
      allowed = maskedInvalid();
    } else allowed = toFloat(B[SE], B[HI], B[LO], op.size === 64);
    finishStore(cpu, insn, op, op.size >> 3, allowed, pops);
  };
}
function storeInteger(pops: boolean, truncate: boolean): Body {
  return (cpu, insn) => {
    const op = insn.operands[0];
    if (op === undefined || op.kind !== "mem") return;
    let allowed: boolean;
    if (isEmpty(cpu, 0)) {
      underflowed();
      integerIndefinite(op.size);
      allowed = maskedInvalid();
    } else {
      loadSt(cpu, 0);
      allowed = toInt(B[SE], B[HI], B[LO], op.size, truncate);
    }
    finishStore(cpu, insn, op, op.size >> 3, allowed, pops);
  };
}
const fbstp: Body = (cpu, insn) => {
  const op = insn.operands[0];
  if (op === undefined || op.kind !== "mem") return;
  let allowed: boolean;
  if (isEmpty(cpu, 0)) {
    underflowed();
    bcdIndefinite();
    allowed = maskedInvalid();
  } else {
    loadSt(cpu, 0);
    allowed = toBcd(B[SE], B[HI], B[LO]);
  }
  finishStore(cpu, insn, op, 10, allowed, true);
};

/** FXCH: with #IS masked, an empty register takes part as the default NaN. */
const fxch: Body = (cpu, insn) => {
  const i = stIndex(insn.operands[0]);
  const none0 = isEmpty(cpu, 0);
  const noneI = isEmpty(cpu, i);
  if (none0 || noneI) {
    underflowed();
    if (forbidden()) {
      commit(cpu);
      return;
    }
    if (none0) storeResult(cpu, 0);
    if (noneI) storeResult(cpu, i);
  }
  loadSt(cpu, 0);
  const at = stAddress(cpu, i);
  setSt(cpu, 0, cpu.u16[(at + 8) >> 1], cpu.i32[(at >> 2) + 1], cpu.i32[at >> 2]);
  setSt(cpu, i, B[SE], B[HI], B[LO]);
  commit(cpu);
};

/** A constant: its truncated significand and whether the bits that follow are over one half (then nearest rounds up). Precision control does not matter. */
function constant(se: number, hi: number, lo: number, nearestUp: boolean): Body {
  return (cpu) => {
    const up = ENV[RC] === UP || (ENV[RC] === NEAREST && nearestUp);
    B[SE] = se;
    B[HI] = hi;
    B[LO] = up ? lo + 1 : lo;
    pushB(cpu);
  };
}
function exact(se: number, hi: number): Body {
  return (cpu) => {
    B[SE] = se;
    B[HI] = hi;
    B[LO] = 0;
    pushB(cpu);
  };
}

export const TRANSFER: Readonly<Record<string, Body>> = {
  fld,
  fild,
  fbld,
  fst: store(false),
  fstp: store(true),
  fist: storeInteger(false, false),
  fistp: storeInteger(true, false),
  fisttp: storeInteger(true, true),
  fbstp,
  fxch,
  fld1: exact(BIAS, INT_BIT),
  fldz: exact(0, 0),
  fldl2t: constant(0x4000, 0xd49a784b, 0xcd1b8afe, false),
  fldl2e: constant(0x3fff, 0xb8aa3b29, 0x5c17f0bb, true),
  fldpi: constant(0x4000, 0xc90fdaa2, 0x2168c234, true),
  fldlg2: constant(0x3ffd, 0x9a209a84, 0xfbcff798, true),
  fldln2: constant(0x3ffe, 0xb17217f7, 0xd1cf79ab, true),
  ffree: (cpu, insn) => {
    free(cpu, stIndex(insn.operands[0]));
    commit(cpu);
  },
  ffreep: (cpu, insn) => {
    free(cpu, stIndex(insn.operands[0]));
    pop(cpu);
    commit(cpu);
  },
  fincstp: (cpu) => {
    moveTop(cpu, 1);
    commit(cpu);
  },
  fdecstp: (cpu) => {
    moveTop(cpu, 7);
    commit(cpu);
  },
  fnop: () => {},
};
