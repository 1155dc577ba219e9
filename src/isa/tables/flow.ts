import type { OpcodeRow } from "../insn.ts";
import { CONDITIONS, hex2, op, r, rw, w } from "./row.ts";

/** Control transfer, segment registers, far pointers, ports. SDM vol. 2. */

/** Near branches: Intel ignores the operand-size prefix in 64-bit code. */
const BRANCH = { flow: "branch", size64: "f64" } as const;
const JUMP = { flow: "jump", size64: "f64" } as const;
const CALL = { flow: "call", size64: "f64" } as const;
const RET = { flow: "return", size64: "f64" } as const;
const FAR = { flow: "far" } as const;
const INTERRUPT = { flow: "interrupt" } as const;
const ENDS = { ends: true } as const;
const NO64 = { mode: "no64" } as const;
const IN = { size64: "z", exits: "io-in" } as const;
const OUT = { size64: "z", exits: "io-out", ends: true } as const;
const PUSH = { sem: "push_sreg" } as const;
const POP = { sem: "pop_sreg" } as const;
const TO_SREG = { sem: "mov_to_sreg" } as const;

export const FLOW_ROWS: readonly OpcodeRow[] = [
  ...CONDITIONS.map((c, cc) => op(`J${c}`, `${hex2(0x70 + cc)} cb`, [r("Jb")], { ...BRANCH, sem: "jcc", cc })),
  ...CONDITIONS.map((c, cc) => op(`J${c}`, `0F ${hex2(0x80 + cc)} cz`, [r("Jz")], { ...BRANCH, sem: "jcc", cc })),
  op("JMP", "EB cb", [r("Jb")], JUMP),
  op("JMP", "E9 cz", [r("Jz")], JUMP),
  op("JMP", "FF /4", [r("Ev")], { ...JUMP, sem: "jmp_ind" }),
  op("JMP", "EA cp", [r("Ap")], { ...FAR, ...NO64, sem: "jmp_far" }),
  op("JMP", "FF /5", [r("Mp")], { ...FAR, sem: "jmp_far_mem" }),
  op("CALL", "E8 cz", [r("Jz")], CALL),
  op("CALL", "FF /2", [r("Ev")], { ...CALL, sem: "call_ind" }),
  op("CALL", "9A cp", [r("Ap")], { ...FAR, ...NO64, sem: "call_far" }),
  op("CALL", "FF /3", [r("Mp")], { ...FAR, sem: "call_far_mem" }),
  op("RET", "C3", [], RET),
  op("RET", "C2 iw", [r("Iw")], { ...RET, sem: "ret_imm" }),
  op("RETF", "CB", [], { ...FAR, sem: "ret_far" }),
  op("RETF", "CA iw", [r("Iw")], { ...FAR, sem: "ret_far_imm" }),
  op("LOOPNE", "E0 cb", [r("Jb")], BRANCH),
  op("LOOPE", "E1 cb", [r("Jb")], BRANCH),
  op("LOOP", "E2 cb", [r("Jb")], BRANCH),
  op("JCXZ", "E3 cb", [r("Jb")], BRANCH), // JCXZ, JECXZ, JRCXZ by address size
  op("INT3", "CC", [], INTERRUPT),
  op("INT", "CD ib", [r("uIb")], INTERRUPT),
  op("INTO", "CE", [], { ...INTERRUPT, ...NO64 }),
  op("INT1", "F1", [], INTERRUPT),
  op("IRET", "CF", [], { flow: "interrupt-return" }),
  op("BOUND", "62 /r", [r("Gv"), r("Ma")], NO64),
  op("UD0", "0F FF /r", [r("Gv"), r("Ev")], ENDS),
  op("UD1", "0F B9 /r", [r("Gv"), r("Ev")], ENDS),
  op("UD2", "0F 0B", [], ENDS),

  op("PUSHF", "9C", [], { size64: "d64" }),
  op("POPF", "9D", [], { size64: "d64", ends: true }),
  op("CLI", "FA"),
  op("STI", "FB", [], { ends: true, shadow: "sti" }),

  op("MOV", "8C /r", [w("Rv/Mw"), r("Sw")], { sem: "mov_from_sreg" }),
  // One row a register: CS has none, and only SS holds off interrupts.
  op("MOV", "8E /0", [w("Sw"), r("Ew")], TO_SREG),
  op("MOV", "8E /2", [w("Sw"), r("Ew")], { ...TO_SREG, ...ENDS, shadow: "ss" }),
  op("MOV", "8E /3", [w("Sw"), r("Ew")], TO_SREG),
  op("MOV", "8E /4", [w("Sw"), r("Ew")], TO_SREG),
  op("MOV", "8E /5", [w("Sw"), r("Ew")], TO_SREG),
  op("PUSH", "06", [r("ES")], { ...PUSH, ...NO64 }),
  op("PUSH", "0E", [r("CS")], { ...PUSH, ...NO64 }),
  op("PUSH", "16", [r("SS")], { ...PUSH, ...NO64 }),
  op("PUSH", "1E", [r("DS")], { ...PUSH, ...NO64 }),
  op("PUSH", "0F A0", [r("FS")], { ...PUSH, size64: "d64" }),
  op("PUSH", "0F A8", [r("GS")], { ...PUSH, size64: "d64" }),
  op("POP", "07", [w("ES")], { ...POP, ...NO64 }),
  op("POP", "17", [w("SS")], { ...POP, ...NO64, ...ENDS, shadow: "ss" }),
  op("POP", "1F", [w("DS")], { ...POP, ...NO64 }),
  op("POP", "0F A1", [w("FS")], { ...POP, size64: "d64" }),
  op("POP", "0F A9", [w("GS")], { ...POP, size64: "d64" }),
  op("LES", "C4 /r", [w("Gv"), r("Mp")], NO64),
  op("LDS", "C5 /r", [w("Gv"), r("Mp")], NO64),
  op("LSS", "0F B2 /r", [w("Gv"), r("Mp")]),
  op("LFS", "0F B4 /r", [w("Gv"), r("Mp")]),
  op("LGS", "0F B5 /r", [w("Gv"), r("Mp")]),
  op("ARPL", "63 /r", [rw("Ew"), r("Gw")], { mode: "no64", protectedOnly: true }),
  op("LAR", "0F 02 /r", [rw("Gv"), r("Ew")], { protectedOnly: true }),
  op("LSL", "0F 03 /r", [rw("Gv"), r("Ew")], { protectedOnly: true }),

  op("IN", "E4 ib", [w("AL"), r("uIb")], IN),
  op("IN", "E5 ib", [w("eAX"), r("uIb")], IN),
  op("IN", "EC", [w("AL"), r("DX")], IN),
  op("IN", "ED", [w("eAX"), r("DX")], IN),
  op("OUT", "E6 ib", [r("uIb"), r("AL")], OUT),
  op("OUT", "E7 ib", [r("uIb"), r("eAX")], OUT),
  op("OUT", "EE", [r("DX"), r("AL")], OUT),
  op("OUT", "EF", [r("DX"), r("eAX")], OUT),
];
