import type { OpcodeRow } from "../insn.ts";
import { hex2, op, r, rw, w } from "./row.ts";
import type { RowOptions, Spec } from "./row.ts";

/** x87. SDM vol. 2 appendix A.5 (escape opcodes); the aliases are undocumented but in every processor since the 387. */

const FPU = { feature: "fpu" } as const;

function fp(mnemonic: string, encoding: string, operands: readonly Spec[] = [], options: RowOptions = FPU): OpcodeRow {
  return op(mnemonic, encoding, operands, options);
}

/** D8..DE arithmetic by digit; SUB and SUBR, DIV and DIVR change places where the destination is ST(i). */
const ARITHMETIC = ["ADD", "MUL", "COM", "COMP", "SUB", "SUBR", "DIV", "DIVR"] as const;
const SWAPPED = ["ADD", "MUL", "COM", "COMP", "SUBR", "SUB", "DIVR", "DIV"] as const;

function arithmetic(digit: number): OpcodeRow[] {
  const name = ARITHMETIC[digit] ?? "";
  const swapped = SWAPPED[digit] ?? "";
  const at = `${hex2(0xc0 + digit * 8)}+i`;
  const compares = digit === 2 || digit === 3;
  const memory = [
    fp(`F${name}`, `D8 /${digit}`, [r("M32fp")]),
    fp(`F${name}`, `DC /${digit}`, [r("M64fp")]),
    fp(`FI${name}`, `DA /${digit}`, [r("M32int")]),
    fp(`FI${name}`, `DE /${digit}`, [r("M16int")]),
  ];
  if (compares) return [...memory, fp(`F${name}`, `D8 ${at}`, [r("STi")]), fp(`F${name}`, `DC ${at}`, [r("STi")])];
  return [
    ...memory,
    fp(`F${name}`, `D8 ${at}`, [rw("ST0"), r("STi")]),
    fp(`F${swapped}`, `DC ${at}`, [rw("STi"), r("ST0")]),
    fp(`F${swapped}P`, `DE ${at}`, [rw("STi"), r("ST0")]),
  ];
}

/** D9 E0..FF: no operands. */
const D9_NAMES: readonly (readonly [number, string])[] = [
  [0xe0, "FCHS"],
  [0xe1, "FABS"],
  [0xe4, "FTST"],
  [0xe5, "FXAM"],
  [0xe8, "FLD1"],
  [0xe9, "FLDL2T"],
  [0xea, "FLDL2E"],
  [0xeb, "FLDPI"],
  [0xec, "FLDLG2"],
  [0xed, "FLDLN2"],
  [0xee, "FLDZ"],
  [0xf0, "F2XM1"],
  [0xf1, "FYL2X"],
  [0xf2, "FPTAN"],
  [0xf3, "FPATAN"],
  [0xf4, "FXTRACT"],
  [0xf5, "FPREM1"],
  [0xf6, "FDECSTP"],
  [0xf7, "FINCSTP"],
  [0xf8, "FPREM"],
  [0xf9, "FYL2XP1"],
  [0xfa, "FSQRT"],
  [0xfb, "FSINCOS"],
  [0xfc, "FRNDINT"],
  [0xfd, "FSCALE"],
  [0xfe, "FSIN"],
  [0xff, "FCOS"],
];

const CMOV = { feature: "cmov" } as const;
const SSE3 = { feature: "sse3" } as const;

export const X87_ROWS: readonly OpcodeRow[] = [
  ...[0, 1, 2, 3, 4, 5, 6, 7].flatMap(arithmetic),
  fp("FCOMP", "DE D0+i", [r("STi")]), // alias
  fp("FCOMPP", "DE D9"),

  fp("FLD", "D9 /0", [r("M32fp")]),
  fp("FST", "D9 /2", [w("M32fp")]),
  fp("FSTP", "D9 /3", [w("M32fp")]),
  fp("FLDENV", "D9 /4", [r("M14/28")]),
  fp("FLDCW", "D9 /5", [r("Mw")]),
  fp("FNSTENV", "D9 /6", [w("M14/28")]),
  fp("FNSTCW", "D9 /7", [w("Mw")]),
  fp("FLD", "D9 C0+i", [r("STi")]),
  fp("FXCH", "D9 C8+i", [rw("STi")]),
  fp("FNOP", "D9 D0"),
  fp("FSTP", "D9 D8+i", [w("STi")]), // alias
  ...D9_NAMES.map(([at, name]) => fp(name, `D9 ${hex2(at)}`)),

  fp("FCMOVB", "DA C0+i", [rw("ST0"), r("STi")], CMOV),
  fp("FCMOVE", "DA C8+i", [rw("ST0"), r("STi")], CMOV),
  fp("FCMOVBE", "DA D0+i", [rw("ST0"), r("STi")], CMOV),
  fp("FCMOVU", "DA D8+i", [rw("ST0"), r("STi")], CMOV),
  fp("FUCOMPP", "DA E9"),

  fp("FILD", "DB /0", [r("M32int")]),
  fp("FISTTP", "DB /1", [w("M32int")], SSE3),
  fp("FIST", "DB /2", [w("M32int")]),
  fp("FISTP", "DB /3", [w("M32int")]),
  fp("FLD", "DB /5", [r("M80fp")]),
  fp("FSTP", "DB /7", [w("M80fp")]),
  fp("FCMOVNB", "DB C0+i", [rw("ST0"), r("STi")], CMOV),
  fp("FCMOVNE", "DB C8+i", [rw("ST0"), r("STi")], CMOV),
  fp("FCMOVNBE", "DB D0+i", [rw("ST0"), r("STi")], CMOV),
  fp("FCMOVNU", "DB D8+i", [rw("ST0"), r("STi")], CMOV),
  fp("FNENI", "DB E0"), // 8087; does nothing since the 287
  fp("FNDISI", "DB E1"),
  fp("FNCLEX", "DB E2"),
  fp("FNINIT", "DB E3"),
  fp("FNSETPM", "DB E4"), // 287; does nothing since the 387
  fp("FUCOMI", "DB E8+i", [r("ST0"), r("STi")], CMOV),
  fp("FCOMI", "DB F0+i", [r("ST0"), r("STi")], CMOV),

  fp("FLD", "DD /0", [r("M64fp")]),
  fp("FISTTP", "DD /1", [w("M64int")], SSE3),
  fp("FST", "DD /2", [w("M64fp")]),
  fp("FSTP", "DD /3", [w("M64fp")]),
  fp("FRSTOR", "DD /4", [r("M94/108")]),
  fp("FNSAVE", "DD /6", [w("M94/108")]),
  fp("FNSTSW", "DD /7", [w("Mw")]),
  fp("FFREE", "DD C0+i", [w("STi")]),
  fp("FXCH", "DD C8+i", [rw("STi")]), // alias
  fp("FST", "DD D0+i", [w("STi")]),
  fp("FSTP", "DD D8+i", [w("STi")]),
  fp("FUCOM", "DD E0+i", [r("STi")]),
  fp("FUCOMP", "DD E8+i", [r("STi")]),

  fp("FILD", "DF /0", [r("M16int")]),
  fp("FISTTP", "DF /1", [w("M16int")], SSE3),
  fp("FIST", "DF /2", [w("M16int")]),
  fp("FISTP", "DF /3", [w("M16int")]),
  fp("FBLD", "DF /4", [r("M80bcd")]),
  fp("FILD", "DF /5", [r("M64int")]),
  fp("FBSTP", "DF /6", [w("M80bcd")]),
  fp("FISTP", "DF /7", [w("M64int")]),
  fp("FFREEP", "DF C0+i", [w("STi")]), // undocumented
  fp("FXCH", "DF C8+i", [rw("STi")]), // alias
  fp("FSTP", "DF D0+i", [w("STi")]), // alias
  fp("FSTP", "DF D8+i", [w("STi")]), // alias
  fp("FNSTSW", "DF E0", [w("AX")]),
  fp("FUCOMIP", "DF E8+i", [r("ST0"), r("STi")], CMOV),
  fp("FCOMIP", "DF F0+i", [r("ST0"), r("STi")], CMOV),
  fp("FWAIT", "9B"),
];
