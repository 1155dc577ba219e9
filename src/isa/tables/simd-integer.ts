import type { OpcodeRow } from "../insn.ts";
import { hex2, op, r, rw, w } from "./row.ts";

/** Packed integers: MMX, and the same opcodes with 66 on XMM registers (SSE2, SSSE3, SSE4, AES, PCLMULQDQ, SHA). SDM vol. 2. */

/** MMX row and its 66-prefixed XMM twin, destination read and written. */
function pair(name: string, opcode: number, mmx = "mmx", source: "Qq" | "Qd" = "Qq"): OpcodeRow[] {
  return [
    op(name, `NP 0F ${hex2(opcode)} /r`, [rw("Pq"), r(source)], { feature: mmx }),
    op(name, `66 0F ${hex2(opcode)} /r`, [rw("Vdq"), r("Wdq")], { feature: "sse2" }),
  ];
}

/** Shift by immediate, groups 12..14. */
function shiftImm(name: string, opcode: string, digit: number): OpcodeRow[] {
  return [
    op(name, `NP 0F ${opcode} /${digit} ib`, [rw("Nq"), r("uIb")], { feature: "mmx" }),
    op(name, `66 0F ${opcode} /${digit} ib`, [rw("Udq"), r("uIb")], { feature: "sse2" }),
  ];
}

/** 0F 38 pair of SSSE3; PABS only writes. */
function ssse3(name: string, opcode: number): OpcodeRow[] {
  const dst = name.startsWith("PABS") ? w : rw;
  return [
    op(name, `NP 0F 38 ${hex2(opcode)} /r`, [dst("Pq"), r("Qq")], { feature: "ssse3" }),
    op(name, `66 0F 38 ${hex2(opcode)} /r`, [dst("Vdq"), r("Wdq")], { feature: "ssse3" }),
  ];
}

function sse4(name: string, opcode: number, feature = "sse41"): OpcodeRow {
  return op(name, `66 0F 38 ${hex2(opcode)} /r`, [rw("Vdq"), r("Wdq")], { feature });
}

const EXTENDS = [
  ["BW", 0, "Wq"],
  ["BD", 1, "Wd"],
  ["BQ", 2, "Ww"],
  ["WD", 3, "Wq"],
  ["WQ", 4, "Wd"],
  ["DQ", 5, "Wq"],
] as const;

const MMX = { feature: "mmx" } as const;
const SSE = { feature: "sse" } as const;
const SSE2 = { feature: "sse2" } as const;
const SSE41 = { feature: "sse41" } as const;
const SSE42 = { feature: "sse42", unaligned: true } as const;
const AES = { feature: "aes" } as const;
const SHA = { feature: "sha" } as const;

export const SIMD_INTEGER_ROWS: readonly OpcodeRow[] = [
  ...pair("PUNPCKLBW", 0x60, "mmx", "Qd"),
  ...pair("PUNPCKLWD", 0x61, "mmx", "Qd"),
  ...pair("PUNPCKLDQ", 0x62, "mmx", "Qd"),
  ...pair("PACKSSWB", 0x63),
  ...pair("PCMPGTB", 0x64),
  ...pair("PCMPGTW", 0x65),
  ...pair("PCMPGTD", 0x66),
  ...pair("PACKUSWB", 0x67),
  ...pair("PUNPCKHBW", 0x68),
  ...pair("PUNPCKHWD", 0x69),
  ...pair("PUNPCKHDQ", 0x6a),
  ...pair("PACKSSDW", 0x6b),
  op("PUNPCKLQDQ", "66 0F 6C /r", [rw("Vdq"), r("Wdq")], SSE2),
  op("PUNPCKHQDQ", "66 0F 6D /r", [rw("Vdq"), r("Wdq")], SSE2),
  ...pair("PCMPEQB", 0x74),
  ...pair("PCMPEQW", 0x75),
  ...pair("PCMPEQD", 0x76),
  ...pair("PSRLW", 0xd1),
  ...pair("PSRLD", 0xd2),
  ...pair("PSRLQ", 0xd3),
  ...pair("PADDQ", 0xd4, "sse2"),
  ...pair("PMULLW", 0xd5),
  ...pair("PSUBUSB", 0xd8),
  ...pair("PSUBUSW", 0xd9),
  ...pair("PMINUB", 0xda, "sse"),
  ...pair("PAND", 0xdb),
  ...pair("PADDUSB", 0xdc),
  ...pair("PADDUSW", 0xdd),
  ...pair("PMAXUB", 0xde, "sse"),
  ...pair("PANDN", 0xdf),
  ...pair("PAVGB", 0xe0, "sse"),
  ...pair("PSRAW", 0xe1),
  ...pair("PSRAD", 0xe2),
  ...pair("PAVGW", 0xe3, "sse"),
  ...pair("PMULHUW", 0xe4, "sse"),
  ...pair("PMULHW", 0xe5),
  ...pair("PSUBSB", 0xe8),
  ...pair("PSUBSW", 0xe9),
  ...pair("PMINSW", 0xea, "sse"),
  ...pair("POR", 0xeb),
  ...pair("PADDSB", 0xec),
  ...pair("PADDSW", 0xed),
  ...pair("PMAXSW", 0xee, "sse"),
  ...pair("PXOR", 0xef),
  ...pair("PSLLW", 0xf1),
  ...pair("PSLLD", 0xf2),
  ...pair("PSLLQ", 0xf3),
  ...pair("PMULUDQ", 0xf4, "sse2"),
  ...pair("PMADDWD", 0xf5),
  ...pair("PSADBW", 0xf6, "sse"),
  ...pair("PSUBB", 0xf8),
  ...pair("PSUBW", 0xf9),
  ...pair("PSUBD", 0xfa),
  ...pair("PSUBQ", 0xfb, "sse2"),
  ...pair("PADDB", 0xfc),
  ...pair("PADDW", 0xfd),
  ...pair("PADDD", 0xfe),
  ...shiftImm("PSRLW", "71", 2),
  ...shiftImm("PSRAW", "71", 4),
  ...shiftImm("PSLLW", "71", 6),
  ...shiftImm("PSRLD", "72", 2),
  ...shiftImm("PSRAD", "72", 4),
  ...shiftImm("PSLLD", "72", 6),
  ...shiftImm("PSRLQ", "73", 2),
  op("PSRLDQ", "66 0F 73 /3 ib", [rw("Udq"), r("uIb")], SSE2),
  ...shiftImm("PSLLQ", "73", 6),
  op("PSLLDQ", "66 0F 73 /7 ib", [rw("Udq"), r("uIb")], SSE2),

  // MOVQ with REX.W: the operand says 64.
  op("MOVD", "NP 0F 6E /r", [w("Pq"), r("Ey")], MMX),
  op("MOVD", "66 0F 6E /r", [w("Vdq"), r("Ey")], SSE2),
  op("MOVD", "NP 0F 7E /r", [w("Ey"), r("Pq")], MMX),
  op("MOVD", "66 0F 7E /r", [w("Ey"), r("Vdq")], SSE2),
  op("MOVQ", "NP 0F 6F /r", [w("Pq"), r("Qq")], MMX),
  op("MOVQ", "NP 0F 7F /r", [w("Qq"), r("Pq")], MMX),
  op("MOVQ", "F3 0F 7E /r", [w("Vq"), r("Wq")], SSE2),
  op("MOVQ", "66 0F D6 /r", [w("Wq"), r("Vq")], SSE2),
  op("MOVDQA", "66 0F 6F /r", [w("Vdq"), r("Wdq")], SSE2),
  op("MOVDQA", "66 0F 7F /r", [w("Wdq"), r("Vdq")], SSE2),
  op("MOVDQU", "F3 0F 6F /r", [w("Vdq"), r("Wdq")], { ...SSE2, unaligned: true }),
  op("MOVDQU", "F3 0F 7F /r", [w("Wdq"), r("Vdq")], { ...SSE2, unaligned: true }),
  op("MOVQ2DQ", "F3 0F D6 /r", [w("Vdq"), r("Nq")], SSE2),
  op("MOVDQ2Q", "F2 0F D6 /r", [w("Pq"), r("Uq")], SSE2),
  op("MOVNTQ", "NP 0F E7 /r", [w("Mq"), r("Pq")], SSE),
  op("MOVNTDQ", "66 0F E7 /r", [w("Mdq"), r("Vdq")], SSE2),
  op("MASKMOVQ", "NP 0F F7 /r", [r("Pq"), r("Nq")], SSE),
  op("MASKMOVDQU", "66 0F F7 /r", [r("Vdq"), r("Udq")], SSE2),
  op("LDDQU", "F2 0F F0 /r", [w("Vdq"), r("Mdq")], { feature: "sse3", unaligned: true }),
  op("PMOVMSKB", "NP 0F D7 /r", [w("Gd"), r("Nq")], SSE),
  op("PMOVMSKB", "66 0F D7 /r", [w("Gd"), r("Udq")], SSE2),
  op("PSHUFW", "NP 0F 70 /r ib", [w("Pq"), r("Qq"), r("uIb")], SSE),
  op("PSHUFD", "66 0F 70 /r ib", [w("Vdq"), r("Wdq"), r("uIb")], SSE2),
  op("PSHUFHW", "F3 0F 70 /r ib", [w("Vdq"), r("Wdq"), r("uIb")], SSE2),
  op("PSHUFLW", "F2 0F 70 /r ib", [w("Vdq"), r("Wdq"), r("uIb")], SSE2),
  op("PINSRW", "NP 0F C4 /r ib", [rw("Pq"), r("Rd/Mw"), r("uIb")], SSE),
  op("PINSRW", "66 0F C4 /r ib", [rw("Vdq"), r("Rd/Mw"), r("uIb")], SSE2),
  op("PEXTRW", "NP 0F C5 /r ib", [w("Gd"), r("Nq"), r("uIb")], SSE),
  op("PEXTRW", "66 0F C5 /r ib", [w("Gd"), r("Udq"), r("uIb")], SSE2),
  op("EMMS", "NP 0F 77", [], MMX),

  ...ssse3("PSHUFB", 0x00),
  ...ssse3("PHADDW", 0x01),
  ...ssse3("PHADDD", 0x02),
  ...ssse3("PHADDSW", 0x03),
  ...ssse3("PMADDUBSW", 0x04),
  ...ssse3("PHSUBW", 0x05),
  ...ssse3("PHSUBD", 0x06),
  ...ssse3("PHSUBSW", 0x07),
  ...ssse3("PSIGNB", 0x08),
  ...ssse3("PSIGNW", 0x09),
  ...ssse3("PSIGND", 0x0a),
  ...ssse3("PMULHRSW", 0x0b),
  ...ssse3("PABSB", 0x1c),
  ...ssse3("PABSW", 0x1d),
  ...ssse3("PABSD", 0x1e),
  op("PALIGNR", "NP 0F 3A 0F /r ib", [rw("Pq"), r("Qq"), r("uIb")], { feature: "ssse3" }),
  op("PALIGNR", "66 0F 3A 0F /r ib", [rw("Vdq"), r("Wdq"), r("uIb")], { feature: "ssse3" }),

  op("PBLENDVB", "66 0F 38 10 /r", [rw("Vdq"), r("Wdq"), r("XMM0")], SSE41),
  op("PTEST", "66 0F 38 17 /r", [r("Vdq"), r("Wdq")], SSE41),
  ...EXTENDS.map(([name, at, source]) => op(`PMOVSX${name}`, `66 0F 38 ${hex2(0x20 + at)} /r`, [w("Vdq"), r(source)], SSE41)),
  ...EXTENDS.map(([name, at, source]) => op(`PMOVZX${name}`, `66 0F 38 ${hex2(0x30 + at)} /r`, [w("Vdq"), r(source)], SSE41)),
  sse4("PMULDQ", 0x28),
  sse4("PCMPEQQ", 0x29),
  op("MOVNTDQA", "66 0F 38 2A /r", [w("Vdq"), r("Mdq")], SSE41),
  sse4("PACKUSDW", 0x2b),
  sse4("PCMPGTQ", 0x37, "sse42"),
  sse4("PMINSB", 0x38),
  sse4("PMINSD", 0x39),
  sse4("PMINUW", 0x3a),
  sse4("PMINUD", 0x3b),
  sse4("PMAXSB", 0x3c),
  sse4("PMAXSD", 0x3d),
  sse4("PMAXUW", 0x3e),
  sse4("PMAXUD", 0x3f),
  sse4("PMULLD", 0x40),
  op("PHMINPOSUW", "66 0F 38 41 /r", [w("Vdq"), r("Wdq")], SSE41),
  op("PBLENDW", "66 0F 3A 0E /r ib", [rw("Vdq"), r("Wdq"), r("uIb")], SSE41),
  op("PEXTRB", "66 0F 3A 14 /r ib", [w("Rd/Mb"), r("Vdq"), r("uIb")], SSE41),
  op("PEXTRW", "66 0F 3A 15 /r ib", [w("Rd/Mw"), r("Vdq"), r("uIb")], SSE41),
  op("PEXTRD", "66 0F 3A 16 /r ib", [w("Ey"), r("Vdq"), r("uIb")], SSE41), // PEXTRQ with REX.W
  op("PINSRB", "66 0F 3A 20 /r ib", [rw("Vdq"), r("Rd/Mb"), r("uIb")], SSE41),
  op("PINSRD", "66 0F 3A 22 /r ib", [rw("Vdq"), r("Ey"), r("uIb")], SSE41), // PINSRQ with REX.W
  op("MPSADBW", "66 0F 3A 42 /r ib", [rw("Vdq"), r("Wdq"), r("uIb")], SSE41),
  op("PCMPESTRM", "66 0F 3A 60 /r ib", [r("Vdq"), r("Wdq"), r("uIb")], SSE42),
  op("PCMPESTRI", "66 0F 3A 61 /r ib", [r("Vdq"), r("Wdq"), r("uIb")], SSE42),
  op("PCMPISTRM", "66 0F 3A 62 /r ib", [r("Vdq"), r("Wdq"), r("uIb")], SSE42),
  op("PCMPISTRI", "66 0F 3A 63 /r ib", [r("Vdq"), r("Wdq"), r("uIb")], SSE42),

  op("AESIMC", "66 0F 38 DB /r", [w("Vdq"), r("Wdq")], AES),
  op("AESENC", "66 0F 38 DC /r", [rw("Vdq"), r("Wdq")], AES),
  op("AESENCLAST", "66 0F 38 DD /r", [rw("Vdq"), r("Wdq")], AES),
  op("AESDEC", "66 0F 38 DE /r", [rw("Vdq"), r("Wdq")], AES),
  op("AESDECLAST", "66 0F 38 DF /r", [rw("Vdq"), r("Wdq")], AES),
  op("AESKEYGENASSIST", "66 0F 3A DF /r ib", [w("Vdq"), r("Wdq"), r("uIb")], AES),
  op("PCLMULQDQ", "66 0F 3A 44 /r ib", [rw("Vdq"), r("Wdq"), r("uIb")], { feature: "pclmul" }),
  op("SHA1NEXTE", "NP 0F 38 C8 /r", [rw("Vdq"), r("Wdq")], SHA),
  op("SHA1MSG1", "NP 0F 38 C9 /r", [rw("Vdq"), r("Wdq")], SHA),
  op("SHA1MSG2", "NP 0F 38 CA /r", [rw("Vdq"), r("Wdq")], SHA),
  op("SHA256RNDS2", "NP 0F 38 CB /r", [rw("Vdq"), r("Wdq"), r("XMM0")], SHA),
  op("SHA256MSG1", "NP 0F 38 CC /r", [rw("Vdq"), r("Wdq")], SHA),
  op("SHA256MSG2", "NP 0F 38 CD /r", [rw("Vdq"), r("Wdq")], SHA),
  op("SHA1RNDS4", "NP 0F 3A CC /r ib", [rw("Vdq"), r("Wdq"), r("uIb")], SHA),
];
