import type { OpcodeRow } from "../insn.ts";
import { CONDITIONS, hex2, n, op, r, rw, w } from "./row.ts";

/** General-purpose instructions: arithmetic, logic, moves, shifts, bits, strings, flags. SDM vol. 2, appendix A tables A-2..A-6. */

/** The eight two-operand operations: opcode base*8, group 1 digit. */
function arithmetic(name: string, digit: number): OpcodeRow[] {
  const at = (i: number): string => hex2(digit * 8 + i);
  const cmp = name === "CMP";
  const dst = cmp ? r : rw;
  const lock = { lock: !cmp };
  return [
    op(name, `${at(0)} /r`, [dst("Eb"), r("Gb")], lock),
    op(name, `${at(1)} /r`, [dst("Ev"), r("Gv")], lock),
    op(name, `${at(2)} /r`, [dst("Gb"), r("Eb")]),
    op(name, `${at(3)} /r`, [dst("Gv"), r("Ev")]),
    op(name, `${at(4)} ib`, [dst("AL"), r("Ib")]),
    op(name, `${at(5)} iz`, [dst("rAX"), r("Iz")]),
    op(name, `80 /${digit} ib`, [dst("Eb"), r("Ib")], lock),
    op(name, `81 /${digit} iz`, [dst("Ev"), r("Iz")], lock),
    op(name, `82 /${digit} ib`, [dst("Eb"), r("Ib")], { ...lock, mode: "no64" }),
    op(name, `83 /${digit} ib`, [dst("Ev"), r("sIb")], lock),
  ];
}

/** Group 2. */
function shift(name: string, digit: number): OpcodeRow[] {
  return [
    op(name, `C0 /${digit} ib`, [rw("Eb"), r("uIb")]),
    op(name, `C1 /${digit} ib`, [rw("Ev"), r("uIb")]),
    op(name, `D0 /${digit}`, [rw("Eb"), r("1")]),
    op(name, `D1 /${digit}`, [rw("Ev"), r("1")]),
    op(name, `D2 /${digit}`, [rw("Eb"), r("CL")]),
    op(name, `D3 /${digit}`, [rw("Ev"), r("CL")]),
  ];
}

function bitTest(name: string, opcode: number, digit: number): OpcodeRow[] {
  const dst = name === "BT" ? r : rw;
  const lock = { lock: name !== "BT" };
  return [op(name, `0F ${hex2(opcode)} /r`, [dst("Ev"), r("Gv")], lock), op(name, `0F BA /${digit} ib`, [dst("Ev"), r("uIb")], lock)];
}

/** A string instruction: byte row, then v row. INS and OUTS have no 64-bit form. */
function string(name: string, opcode: number, options: { exits?: string; ends?: boolean } = {}): OpcodeRow[] {
  const sem = name.toLowerCase();
  const z = name === "INS" || name === "OUTS";
  return [
    op(`${name}B`, hex2(opcode), [], { sem, rep: true, bits: 8, ...options }),
    op(name, hex2(opcode + 1), [], { sem, rep: true, size64: z ? "z" : "v", ...options }),
  ];
}

const LOCK = { lock: true } as const;
const NO64 = { mode: "no64" } as const;
const D64 = { size64: "d64" } as const;

export const INTEGER_ROWS: readonly OpcodeRow[] = [
  ...arithmetic("ADD", 0),
  ...arithmetic("OR", 1),
  ...arithmetic("ADC", 2),
  ...arithmetic("SBB", 3),
  ...arithmetic("AND", 4),
  ...arithmetic("SUB", 5),
  ...arithmetic("XOR", 6),
  ...arithmetic("CMP", 7),

  ...shift("ROL", 0),
  ...shift("ROR", 1),
  ...shift("RCL", 2),
  ...shift("RCR", 3),
  ...shift("SHL", 4),
  ...shift("SHR", 5),
  ...shift("SHL", 6), // undocumented alias
  ...shift("SAR", 7),

  op("TEST", "84 /r", [r("Eb"), r("Gb")]),
  op("TEST", "85 /r", [r("Ev"), r("Gv")]),
  op("TEST", "A8 ib", [r("AL"), r("Ib")]),
  op("TEST", "A9 iz", [r("rAX"), r("Iz")]),
  op("TEST", "F6 /0 ib", [r("Eb"), r("Ib")]),
  op("TEST", "F6 /1 ib", [r("Eb"), r("Ib")]), // undocumented alias
  op("TEST", "F7 /0 iz", [r("Ev"), r("Iz")]),
  op("TEST", "F7 /1 iz", [r("Ev"), r("Iz")]), // undocumented alias
  op("NOT", "F6 /2", [rw("Eb")], LOCK),
  op("NOT", "F7 /2", [rw("Ev")], LOCK),
  op("NEG", "F6 /3", [rw("Eb")], LOCK),
  op("NEG", "F7 /3", [rw("Ev")], LOCK),
  op("MUL", "F6 /4", [r("Eb")]),
  op("MUL", "F7 /4", [r("Ev")]),
  op("IMUL", "F6 /5", [r("Eb")], { sem: "imul1" }),
  op("IMUL", "F7 /5", [r("Ev")], { sem: "imul1" }),
  op("DIV", "F6 /6", [r("Eb")]),
  op("DIV", "F7 /6", [r("Ev")]),
  op("IDIV", "F6 /7", [r("Eb")]),
  op("IDIV", "F7 /7", [r("Ev")]),
  op("IMUL", "0F AF /r", [rw("Gv"), r("Ev")]),
  op("IMUL", "69 /r iz", [w("Gv"), r("Ev"), r("Iz")]),
  op("IMUL", "6B /r ib", [w("Gv"), r("Ev"), r("sIb")]),
  op("INC", "40+r", [rw("Zv")], NO64),
  op("DEC", "48+r", [rw("Zv")], NO64),
  op("INC", "FE /0", [rw("Eb")], LOCK),
  op("INC", "FF /0", [rw("Ev")], LOCK),
  op("DEC", "FE /1", [rw("Eb")], LOCK),
  op("DEC", "FF /1", [rw("Ev")], LOCK),
  op("XADD", "0F C0 /r", [rw("Eb"), rw("Gb")], LOCK),
  op("XADD", "0F C1 /r", [rw("Ev"), rw("Gv")], LOCK),
  op("CMPXCHG", "0F B0 /r", [rw("Eb"), r("Gb")], LOCK),
  op("CMPXCHG", "0F B1 /r", [rw("Ev"), r("Gv")], LOCK),
  op("CMPXCHG8B", "0F C7 /1", [rw("Mq")], { lock: true, feature: "cx8" }),
  op("CMPXCHG16B", "REX.W 0F C7 /1", [rw("Mdq")], { lock: true, feature: "cx16", mode: "only64" }),
  op("ADCX", "66 0F 38 F6 /r", [rw("Gy"), r("Ey")], { feature: "adx" }),
  op("ADOX", "F3 0F 38 F6 /r", [rw("Gy"), r("Ey")], { feature: "adx" }),

  op("DAA", "27", [], NO64),
  op("DAS", "2F", [], NO64),
  op("AAA", "37", [], NO64),
  op("AAS", "3F", [], NO64),
  op("AAM", "D4 ib", [r("uIb")], NO64),
  op("AAD", "D5 ib", [r("uIb")], NO64),
  op("SALC", "D6", [], NO64), // undocumented

  op("MOV", "88 /r", [w("Eb"), r("Gb")]),
  op("MOV", "89 /r", [w("Ev"), r("Gv")]),
  op("MOV", "8A /r", [w("Gb"), r("Eb")]),
  op("MOV", "8B /r", [w("Gv"), r("Ev")]),
  op("MOV", "A0", [w("AL"), r("Ob")]),
  op("MOV", "A1", [w("rAX"), r("Ov")]),
  op("MOV", "A2", [w("Ob"), r("AL")]),
  op("MOV", "A3", [w("Ov"), r("rAX")]),
  op("MOV", "B0+r ib", [w("Zb"), r("Ib")]),
  op("MOV", "B8+r iv", [w("Zv"), r("Iv")]),
  op("MOV", "C6 /0 ib", [w("Eb"), r("Ib")]),
  op("MOV", "C7 /0 iz", [w("Ev"), r("Iz")]),
  op("MOVZX", "0F B6 /r", [w("Gv"), r("Eb")]),
  op("MOVZX", "0F B7 /r", [w("Gv"), r("Ew")]),
  op("MOVSX", "0F BE /r", [w("Gv"), r("Eb")]),
  op("MOVSX", "0F BF /r", [w("Gv"), r("Ew")]),
  op("MOVSXD", "63 /r", [w("Gv"), r("Ez")], { sem: "movsx", mode: "only64" }),
  op("MOVBE", "NFx 0F 38 F0 /r", [w("Gv"), r("Mv")], { feature: "movbe" }),
  op("MOVBE", "NFx 0F 38 F1 /r", [w("Mv"), r("Gv")], { feature: "movbe" }),
  op("MOVNTI", "NP 0F C3 /r", [w("My"), r("Gy")], { feature: "sse2" }),
  op("LEA", "8D /r", [w("Gv"), n("M")]),
  op("XCHG", "86 /r", [rw("Eb"), rw("Gb")], LOCK),
  op("XCHG", "87 /r", [rw("Ev"), rw("Gv")], LOCK),
  op("XCHG", "90+r", [rw("Zv"), rw("rAX")]),
  op("BSWAP", "0F C8+r", [rw("Zv")]),
  op("CBW", "98"), // CBW, CWDE, CDQE by operand size
  op("CWD", "99"), // CWD, CDQ, CQO
  op("XLATB", "D7", [], { sem: "xlat", bits: 8 }),
  op("LAHF", "9F"),
  op("SAHF", "9E"),
  ...CONDITIONS.map((c, cc) => op(`CMOV${c}`, `0F ${hex2(0x40 + cc)} /r`, [rw("Gv"), r("Ev")], { sem: "cmovcc", cc, feature: "cmov" })),
  ...CONDITIONS.map((c, cc) => op(`SET${c}`, `0F ${hex2(0x90 + cc)} /r`, [w("Eb")], { sem: "setcc", cc })),

  op("PUSH", "50+r", [r("Zv")], D64),
  op("PUSH", "68 iz", [r("Iz")], D64),
  op("PUSH", "6A ib", [r("sIb")], D64),
  op("PUSH", "FF /6", [r("Ev")], D64),
  op("POP", "58+r", [w("Zv")], D64),
  op("POP", "8F /0", [w("Ev")], D64),
  op("PUSHA", "60", [], NO64),
  op("POPA", "61", [], NO64),
  op("ENTER", "C8 iw ib", [r("Iw"), r("uIb")], D64),
  op("LEAVE", "C9", [], D64),

  op("SHLD", "0F A4 /r ib", [rw("Ev"), r("Gv"), r("uIb")]),
  op("SHLD", "0F A5 /r", [rw("Ev"), r("Gv"), r("CL")]),
  op("SHRD", "0F AC /r ib", [rw("Ev"), r("Gv"), r("uIb")]),
  op("SHRD", "0F AD /r", [rw("Ev"), r("Gv"), r("CL")]),
  ...bitTest("BT", 0xa3, 4),
  ...bitTest("BTS", 0xab, 5),
  ...bitTest("BTR", 0xb3, 6),
  ...bitTest("BTC", 0xbb, 7),
  op("BSF", "0F BC /r", [rw("Gv"), r("Ev")]), // a zero source leaves the destination
  op("BSR", "0F BD /r", [rw("Gv"), r("Ev")]),
  op("POPCNT", "F3 0F B8 /r", [w("Gv"), r("Ev")], { feature: "popcnt" }),
  op("CRC32", "F2 0F 38 F0 /r", [rw("Gy"), r("Eb")], { feature: "sse42" }),
  op("CRC32", "F2 0F 38 F1 /r", [rw("Gy"), r("Ev")], { feature: "sse42" }),

  ...string("MOVS", 0xa4),
  ...string("CMPS", 0xa6),
  ...string("STOS", 0xaa),
  ...string("LODS", 0xac),
  ...string("SCAS", 0xae),
  ...string("INS", 0x6c, { exits: "io-in" }),
  ...string("OUTS", 0x6e, { exits: "io-out", ends: true }),

  op("CMC", "F5"),
  op("CLC", "F8"),
  op("STC", "F9"),
  op("CLD", "FC"),
  op("STD", "FD"),

  op("NOP", "90"),
  op("PAUSE", "F3 90", [], { exits: "pause" }),
  op("NOP", "0F 0D /r", [n("Ev")]),
  op("PREFETCH", "0F 0D /0", [n("Mb")], { feature: "prefetchw" }),
  op("PREFETCHW", "0F 0D /1", [n("Mb")], { feature: "prefetchw" }),
  op("NOP", "0F 18 /r", [n("Ev")]),
  op("PREFETCHNTA", "0F 18 /0", [n("Mb")], { feature: "sse" }),
  op("PREFETCHT0", "0F 18 /1", [n("Mb")], { feature: "sse" }),
  op("PREFETCHT1", "0F 18 /2", [n("Mb")], { feature: "sse" }),
  op("PREFETCHT2", "0F 18 /3", [n("Mb")], { feature: "sse" }),
  ...[0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f].map((o) => op("NOP", `0F ${hex2(o)} /r`, [n("Ev")])),
  op("ENDBR64", "F3 0F 1E FA"),
  op("ENDBR32", "F3 0F 1E FB"),
];
