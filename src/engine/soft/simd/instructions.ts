import type { Insn } from "../../../isa/insn.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { writeArithmeticFlags } from "../flags-state.ts";
import { waitForErrors } from "../fpu/stack.ts";
import { STATE } from "../state-layout.ts";
import * as c from "./convert.ts";
import { available, begin, commit, SSE } from "./env.ts";
import * as s from "./f32.ts";
import * as d from "./f64.ts";
import {
  immediate,
  loadDestination,
  loadIntegerSource,
  loadMmxSource,
  loadSource,
  register,
  storeDestination,
  storeInteger,
  storeMmx,
} from "./operand.ts";

const { X, Y, Z, R } = SSE;

/** Floating-point instructions of SSE, SSE2, SSE3 and SSE4.1 (SDM vol. 2). */

/** Of two singles; of two doubles (answer in R). */
type Single = (a: number, b: number) => number;
type Double = (ahi: number, alo: number, bhi: number, blo: number) => void;
type Body = (cpu: Cpu, insn: Insn) => void;
type Table = Record<string, SystemHelper>;

/** The frame of an instruction: #UD and #NM, then `body`, which fills Z or faults, then exceptions, then `words` of Z into the destination. */
function arithmetic(words: number, body: Body): SystemHelper {
  return (cpu, insn) => {
    available(cpu);
    begin(cpu);
    body(cpu, insn);
    commit(cpu);
    storeDestination(cpu, insn, words);
    return "next";
  };
}
function answer(lane: number): void {
  Z[lane] = R[0];
  Z[lane + 1] = R[1];
}
function double(f: Double, i: number): void {
  f(X[i + 1], X[i], Y[i + 1], Y[i]);
  answer(i);
}

// ---- one operation on two operands
function ss(f: Single): SystemHelper {
  return arithmetic(1, (cpu, insn) => {
    loadSource(cpu, insn, 4);
    loadDestination(cpu, insn);
    Z[0] = f(X[0], Y[0]);
  });
}
function ps(f: Single, odd = f): SystemHelper {
  return arithmetic(4, (cpu, insn) => {
    loadSource(cpu, insn, 16);
    loadDestination(cpu, insn);
    Z[0] = f(X[0], Y[0]);
    Z[1] = odd(X[1], Y[1]);
    Z[2] = f(X[2], Y[2]);
    Z[3] = odd(X[3], Y[3]);
  });
}
function sd(f: Double): SystemHelper {
  return arithmetic(2, (cpu, insn) => {
    loadSource(cpu, insn, 8);
    loadDestination(cpu, insn);
    double(f, 0);
  });
}
function pd(f: Double, odd = f): SystemHelper {
  return arithmetic(4, (cpu, insn) => {
    loadSource(cpu, insn, 16);
    loadDestination(cpu, insn);
    double(f, 0);
    double(odd, 2);
  });
}
function four(name: string, single: Single, binary64: Double): Table {
  return { [`${name}ss`]: ss(single), [`${name}ps`]: ps(single), [`${name}sd`]: sd(binary64), [`${name}pd`]: pd(binary64) };
}
const root: Double = (_ahi, _alo, bhi, blo) => d.sqrt64(bhi, blo);

/** Neighbours of the destination, then of the source. */
function horizontalPs(f: Single): SystemHelper {
  return arithmetic(4, (cpu, insn) => {
    loadSource(cpu, insn, 16);
    loadDestination(cpu, insn);
    Z[0] = f(X[0], X[1]);
    Z[1] = f(X[2], X[3]);
    Z[2] = f(Y[0], Y[1]);
    Z[3] = f(Y[2], Y[3]);
  });
}
function horizontalPd(f: Double): SystemHelper {
  return arithmetic(4, (cpu, insn) => {
    loadSource(cpu, insn, 16);
    loadDestination(cpu, insn);
    f(X[1], X[0], X[3], X[2]);
    answer(0);
    f(Y[1], Y[0], Y[3], Y[2]);
    answer(2);
  });
}

// ---- approximations: no exceptions
function approximate(f: (a: number) => number, words: number): SystemHelper {
  return (cpu, insn) => {
    available(cpu);
    loadSource(cpu, insn, words * 4);
    for (let i = 0; i < words; i++) Z[i] = f(Y[i]);
    storeDestination(cpu, insn, words);
    return "next";
  };
}

// ---- comparisons
/** Predicates 0..3 of EQ LT LE UNORD, then their opposites; LT and LE are invalid for quiet NaNs too. By compare's answer (equal, less, greater, unordered). */
const HOLDS = [0b0001, 0b0010, 0b0011, 0b1000];
function holds(relation: number, predicate: number): number {
  const yes = ((HOLDS[predicate & 3] >> relation) & 1) !== 0;
  return yes === ((predicate & 4) === 0) ? -1 : 0;
}
const quiet = (predicate: number): boolean => (predicate & 3) === 0 || (predicate & 3) === 3;
function compareSingles(words: 1 | 4): SystemHelper {
  return arithmetic(words, (cpu, insn) => {
    loadSource(cpu, insn, words * 4);
    loadDestination(cpu, insn);
    const p = immediate(insn) & 7;
    for (let i = 0; i < words; i++) Z[i] = holds(s.compare32(X[i], Y[i], quiet(p)), p);
  });
}
function compareDoubles(words: 2 | 4): SystemHelper {
  return arithmetic(words, (cpu, insn) => {
    loadSource(cpu, insn, words * 4);
    loadDestination(cpu, insn);
    const p = immediate(insn) & 7;
    for (let i = 0; i < words; i += 2) Z[i] = Z[i + 1] = holds(d.compare64(X[i + 1], X[i], Y[i + 1], Y[i], quiet(p)), p);
  });
}
const ZF = 0x40,
  PF = 4,
  CF = 1;
const RELATION_FLAGS = [ZF, CF, 0, ZF | PF | CF];
/** COMISx and UCOMISx: the relation into ZF PF CF; OF SF AF are cleared. */
function comi(binary64: boolean, isQuiet: boolean): SystemHelper {
  return (cpu, insn) => {
    available(cpu);
    begin(cpu);
    loadSource(cpu, insn, binary64 ? 8 : 4);
    loadDestination(cpu, insn);
    const relation = binary64 ? d.compare64(X[1], X[0], Y[1], Y[0], isQuiet) : s.compare32(X[0], Y[0], isQuiet);
    commit(cpu);
    writeArithmeticFlags(cpu, RELATION_FLAGS[relation]);
    return "next";
  };
}

// ---- dot products
/**
 * Products named by immediate bits 7:4, summed in pairs, into the elements named by bits 3:0. Every element has a sum of its own on silicon:
 * the same number, but of two NaNs it takes the one that is first for it.
 */
const dpps = arithmetic(4, (cpu, insn) => {
  loadSource(cpu, insn, 16);
  loadDestination(cpu, insn);
  const imm = immediate(insn);
  for (let i = 0; i < 4; i++) Y[i] = ((imm >> (4 + i)) & 1) !== 0 ? s.mul32(X[i], Y[i]) : 0;
  commit(cpu);
  for (let i = 0; i < 4; i++) X[i] = s.add32(Y[i ^ 1], Y[i]);
  commit(cpu);
  for (let i = 0; i < 4; i++) {
    const sum = s.add32(X[i], X[i ^ 2]);
    Z[i] = ((imm >> i) & 1) !== 0 ? sum : 0;
  }
});
const dppd = arithmetic(4, (cpu, insn) => {
  loadSource(cpu, insn, 16);
  loadDestination(cpu, insn);
  const imm = immediate(insn);
  for (let i = 0; i < 2; i++) {
    if (((imm >> (4 + i)) & 1) !== 0) double(d.mul64, i * 2);
    else Z[i * 2] = Z[i * 2 + 1] = 0;
    Y[i * 2] = Z[i * 2];
    Y[i * 2 + 1] = Z[i * 2 + 1];
  }
  commit(cpu);
  for (let i = 0; i < 4; i += 2) {
    const o = i ^ 2;
    d.add64(Y[i + 1], Y[i], Y[o + 1], Y[o]);
    const into = ((imm >> (i >> 1)) & 1) !== 0;
    Z[i] = into ? R[0] : 0;
    Z[i + 1] = into ? R[1] : 0;
  }
});

// ---- conversions between XMM registers
const fromSource = (words: number, bytes: number, convert: (insn: Insn) => void): SystemHelper =>
  arithmetic(words, (cpu, insn) => {
    loadSource(cpu, insn, bytes);
    convert(insn);
  });
const roundSingles = (words: number): SystemHelper =>
  fromSource(words, words * 4, (insn) => {
    const imm = immediate(insn);
    for (let i = 0; i < words; i++) Z[i] = c.roundTo32(Y[i], imm);
  });
const roundDoubles = (words: number): SystemHelper =>
  fromSource(words, words * 4, (insn) => {
    const imm = immediate(insn);
    for (let i = 0; i < words; i += 2) {
      c.roundTo64(Y[i + 1], Y[i], imm);
      answer(i);
    }
  });
const singlesToIntegers = (truncate: boolean): SystemHelper =>
  fromSource(4, 16, () => {
    for (let i = 0; i < 4; i++) Z[i] = c.int32Of32(Y[i], truncate);
  });
const doublesToIntegers = (truncate: boolean): SystemHelper =>
  fromSource(4, 16, () => {
    Z[0] = c.int32Of64(Y[1], Y[0], truncate);
    Z[1] = c.int32Of64(Y[3], Y[2], truncate);
    Z[2] = Z[3] = 0;
  });

// ---- general registers
function toInteger(binary64: boolean, truncate: boolean): SystemHelper {
  return (cpu, insn) => {
    available(cpu);
    begin(cpu);
    loadSource(cpu, insn, binary64 ? 8 : 4);
    const wide = insn.opSize === 64;
    if (!wide) R[0] = binary64 ? c.int32Of64(Y[1], Y[0], truncate) : c.int32Of32(Y[0], truncate);
    else if (binary64) c.int64Of64(Y[1], Y[0], truncate);
    else c.int64Of32(Y[0], truncate);
    commit(cpu);
    storeInteger(cpu, register(insn, 0), wide ? 64 : 32, R[0], R[1]);
    return "next";
  };
}
const cvtsi2ss = arithmetic(1, (cpu, insn) => {
  Z[0] = loadIntegerSource(cpu, insn) === 64 ? c.singleOf64(Y[1], Y[0]) : c.single32(Y[0]);
});
const cvtsi2sd = arithmetic(2, (cpu, insn) => {
  if (loadIntegerSource(cpu, insn) === 64) c.doubleOf64(Y[1], Y[0]);
  else c.doubleOf32(Y[0]);
  answer(0);
});

// ---- MMX registers: a pending x87 exception is #MF; TOP becomes 0 and all tags valid, on silicon also when #XM follows (SDM vol. 1 11.6.7)
const TOP = STATE.fpuTop.u32;
const EMPTY = STATE.fpuEmpty.u32;
function mmx(body: Body, finish: Body): SystemHelper {
  return (cpu, insn) => {
    available(cpu);
    if (!waitForErrors(cpu)) return "repeat";
    begin(cpu);
    body(cpu, insn);
    cpu.u32[TOP] = 0;
    cpu.u32[EMPTY] = 0;
    commit(cpu);
    finish(cpu, insn);
    return "next";
  };
}
/** CVTPI2PS and CVTPI2PD from memory have nothing to do with MMX on silicon, whatever the manual says of the former. */
function fromMmx(words: number, convert: () => void): SystemHelper {
  const register = mmx(
    (cpu, insn) => {
      loadMmxSource(cpu, insn);
      convert();
    },
    (cpu, insn) => storeDestination(cpu, insn, words),
  );
  const memory = arithmetic(words, (cpu, insn) => {
    loadSource(cpu, insn, 8);
    convert();
  });
  return (cpu, insn) => (insn.operands[1].kind === "mem" ? memory : register)(cpu, insn);
}
const toMmx = (bytes: number, convert: () => void): SystemHelper =>
  mmx((cpu, insn) => {
    loadSource(cpu, insn, bytes);
    convert();
  }, storeMmx);
const singlesToMmx = (truncate: boolean): SystemHelper =>
  toMmx(8, () => {
    Z[0] = c.int32Of32(Y[0], truncate);
    Z[1] = c.int32Of32(Y[1], truncate);
  });
const doublesToMmx = (truncate: boolean): SystemHelper =>
  toMmx(16, () => {
    Z[0] = c.int32Of64(Y[1], Y[0], truncate);
    Z[1] = c.int32Of64(Y[3], Y[2], truncate);
  });
function twoDoubles(): void {
  c.doubleOf32(Y[0]);
  answer(0);
  c.doubleOf32(Y[1]);
  answer(2);
}
export const ARITHMETIC: Readonly<Table> = {
  ...four("add", s.add32, d.add64),
  ...four("sub", s.sub32, d.sub64),
  ...four("mul", s.mul32, d.mul64),
  ...four("div", s.div32, d.div64),
  ...four("min", s.min32, d.min64),
  ...four("max", s.max32, d.max64),
  ...four("sqrt", (_a, b) => s.sqrt32(b), root),
  addsubps: ps(s.sub32, s.add32),
  addsubpd: pd(d.sub64, d.add64),
  haddps: horizontalPs(s.add32),
  haddpd: horizontalPd(d.add64),
  hsubps: horizontalPs(s.sub32),
  hsubpd: horizontalPd(d.sub64),
  rcpss: approximate(s.rcp32, 1),
  rcpps: approximate(s.rcp32, 4),
  rsqrtss: approximate(s.rsqrt32, 1),
  rsqrtps: approximate(s.rsqrt32, 4),
  cmpss: compareSingles(1),
  cmpps: compareSingles(4),
  cmpsd_sse: compareDoubles(2),
  cmppd: compareDoubles(4),
  comiss: comi(false, false),
  comisd: comi(true, false),
  ucomiss: comi(false, true),
  ucomisd: comi(true, true),
  dpps,
  dppd,
  roundss: roundSingles(1),
  roundps: roundSingles(4),
  roundsd: roundDoubles(2),
  roundpd: roundDoubles(4),
  cvtss2sd: fromSource(2, 4, () => {
    c.widen(Y[0]);
    answer(0);
  }),
  cvtps2pd: fromSource(4, 8, () => {
    c.widen(Y[0]);
    answer(0);
    c.widen(Y[1]);
    answer(2);
  }),
  cvtsd2ss: fromSource(1, 8, () => {
    Z[0] = c.narrow(Y[1], Y[0]);
  }),
  cvtpd2ps: fromSource(4, 16, () => {
    Z[0] = c.narrow(Y[1], Y[0]);
    Z[1] = c.narrow(Y[3], Y[2]);
    Z[2] = Z[3] = 0;
  }),
  cvtdq2ps: fromSource(4, 16, () => {
    for (let i = 0; i < 4; i++) Z[i] = c.single32(Y[i]);
  }),
  cvtdq2pd: fromSource(4, 8, twoDoubles),
  cvtps2dq: singlesToIntegers(false),
  cvttps2dq: singlesToIntegers(true),
  cvtpd2dq: doublesToIntegers(false),
  cvttpd2dq: doublesToIntegers(true),
  cvtss2si: toInteger(false, false),
  cvttss2si: toInteger(false, true),
  cvtsd2si: toInteger(true, false),
  cvttsd2si: toInteger(true, true),
  cvtsi2ss,
  cvtsi2sd,
  cvtps2pi: singlesToMmx(false),
  cvttps2pi: singlesToMmx(true),
  cvtpd2pi: doublesToMmx(false),
  cvttpd2pi: doublesToMmx(true),
  cvtpi2ps: fromMmx(2, () => {
    Z[0] = c.single32(Y[0]);
    Z[1] = c.single32(Y[1]);
  }),
  cvtpi2pd: fromMmx(4, twoDoubles),
};
