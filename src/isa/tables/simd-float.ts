import type { OpcodeRow } from "../insn.ts";
import { hex2, op, r, rw, w } from "./row.ts";

/** Packed and scalar floating point: SSE, SSE2, SSE3, SSE4.1. SDM vol. 2. The string instructions own the names MOVSD and CMPSD. */

const SSE = { feature: "sse" } as const;
const SSE2 = { feature: "sse2" } as const;
const SSE3 = { feature: "sse3" } as const;
const SSE41 = { feature: "sse41" } as const;

/** PS, PD, SS, SD forms of one operation. A scalar form keeps the upper part of the destination; packed SQRT only writes. */
function four(name: string, opcode: number, packed: typeof w = rw): OpcodeRow[] {
  const at = `0F ${hex2(opcode)} /r`;
  return [
    op(`${name}PS`, `NP ${at}`, [packed("Vps"), r("Wps")], SSE),
    op(`${name}PD`, `66 ${at}`, [packed("Vpd"), r("Wpd")], SSE2),
    op(`${name}SS`, `F3 ${at}`, [rw("Vss"), r("Wss")], SSE),
    op(`${name}SD`, `F2 ${at}`, [rw("Vsd"), r("Wsd")], SSE2),
  ];
}

function psPd(name: string, opcode: number): OpcodeRow[] {
  const at = `0F ${hex2(opcode)} /r`;
  return [op(`${name}PS`, `NP ${at}`, [rw("Vps"), r("Wps")], SSE), op(`${name}PD`, `66 ${at}`, [rw("Vpd"), r("Wpd")], SSE2)];
}

function psSs(name: string, opcode: number): OpcodeRow[] {
  const at = `0F ${hex2(opcode)} /r`;
  return [op(`${name}PS`, `NP ${at}`, [w("Vps"), r("Wps")], SSE), op(`${name}SS`, `F3 ${at}`, [rw("Vss"), r("Wss")], SSE)];
}

/** 66 (PD) and F2 (PS) of SSE3. */
function horizontal(name: string, opcode: number): OpcodeRow[] {
  const at = `0F ${hex2(opcode)} /r`;
  return [op(`${name}PD`, `66 ${at}`, [rw("Vpd"), r("Wpd")], SSE3), op(`${name}PS`, `F2 ${at}`, [rw("Vps"), r("Wps")], SSE3)];
}

const MOVSD = { ...SSE2, sem: "movsd_sse" } as const;

export const SIMD_FLOAT_ROWS: readonly OpcodeRow[] = [
  op("MOVUPS", "NP 0F 10 /r", [w("Vps"), r("Wps")], { ...SSE, unaligned: true }),
  op("MOVUPD", "66 0F 10 /r", [w("Vpd"), r("Wpd")], { ...SSE2, unaligned: true }),
  op("MOVUPS", "NP 0F 11 /r", [w("Wps"), r("Vps")], { ...SSE, unaligned: true }),
  op("MOVUPD", "66 0F 11 /r", [w("Wpd"), r("Vpd")], { ...SSE2, unaligned: true }),
  // From memory the rest becomes zero, from a register it stays: two manual rows each.
  op("MOVSS", "F3 0F 10 /r", [w("Vss"), r("Md")], SSE),
  op("MOVSS", "F3 0F 10 /r", [rw("Vss"), r("Uss")], SSE),
  op("MOVSS", "F3 0F 11 /r", [w("Md"), r("Vss")], SSE),
  op("MOVSS", "F3 0F 11 /r", [rw("Uss"), r("Vss")], SSE),
  op("MOVSD", "F2 0F 10 /r", [w("Vsd"), r("Mq")], MOVSD),
  op("MOVSD", "F2 0F 10 /r", [rw("Vsd"), r("Usd")], MOVSD),
  op("MOVSD", "F2 0F 11 /r", [w("Mq"), r("Vsd")], MOVSD),
  op("MOVSD", "F2 0F 11 /r", [rw("Usd"), r("Vsd")], MOVSD),
  op("MOVLPS", "NP 0F 12 /r", [rw("Vq"), r("Mq")], SSE),
  op("MOVHLPS", "NP 0F 12 /r", [rw("Vq"), r("Uq")], SSE),
  op("MOVLPD", "66 0F 12 /r", [rw("Vq"), r("Mq")], SSE2),
  op("MOVSLDUP", "F3 0F 12 /r", [w("Vps"), r("Wps")], SSE3),
  op("MOVDDUP", "F2 0F 12 /r", [w("Vq"), r("Wq")], SSE3),
  op("MOVLPS", "NP 0F 13 /r", [w("Mq"), r("Vq")], SSE),
  op("MOVLPD", "66 0F 13 /r", [w("Mq"), r("Vq")], SSE2),
  ...psPd("UNPCKL", 0x14),
  ...psPd("UNPCKH", 0x15),
  op("MOVHPS", "NP 0F 16 /r", [rw("Vq"), r("Mq")], SSE),
  op("MOVLHPS", "NP 0F 16 /r", [rw("Vq"), r("Uq")], SSE),
  op("MOVHPD", "66 0F 16 /r", [rw("Vq"), r("Mq")], SSE2),
  op("MOVSHDUP", "F3 0F 16 /r", [w("Vps"), r("Wps")], SSE3),
  op("MOVHPS", "NP 0F 17 /r", [w("Mq"), r("Vq")], SSE),
  op("MOVHPD", "66 0F 17 /r", [w("Mq"), r("Vq")], SSE2),
  op("MOVAPS", "NP 0F 28 /r", [w("Vps"), r("Wps")], SSE),
  op("MOVAPD", "66 0F 28 /r", [w("Vpd"), r("Wpd")], SSE2),
  op("MOVAPS", "NP 0F 29 /r", [w("Wps"), r("Vps")], SSE),
  op("MOVAPD", "66 0F 29 /r", [w("Wpd"), r("Vpd")], SSE2),
  op("MOVNTPS", "NP 0F 2B /r", [w("Mdq"), r("Vps")], SSE),
  op("MOVNTPD", "66 0F 2B /r", [w("Mdq"), r("Vpd")], SSE2),
  op("MOVMSKPS", "NP 0F 50 /r", [w("Gd"), r("Ups")], SSE),
  op("MOVMSKPD", "66 0F 50 /r", [w("Gd"), r("Upd")], SSE2),

  op("CVTPI2PS", "NP 0F 2A /r", [rw("Vps"), r("Qq")], SSE),
  op("CVTPI2PD", "66 0F 2A /r", [w("Vpd"), r("Qq")], SSE2),
  op("CVTSI2SS", "F3 0F 2A /r", [rw("Vss"), r("Ey")], SSE),
  op("CVTSI2SD", "F2 0F 2A /r", [rw("Vsd"), r("Ey")], SSE2),
  op("CVTTPS2PI", "NP 0F 2C /r", [w("Pq"), r("Wq")], SSE),
  op("CVTTPD2PI", "66 0F 2C /r", [w("Pq"), r("Wpd")], SSE2),
  op("CVTTSS2SI", "F3 0F 2C /r", [w("Gy"), r("Wss")], SSE),
  op("CVTTSD2SI", "F2 0F 2C /r", [w("Gy"), r("Wsd")], SSE2),
  op("CVTPS2PI", "NP 0F 2D /r", [w("Pq"), r("Wq")], SSE),
  op("CVTPD2PI", "66 0F 2D /r", [w("Pq"), r("Wpd")], SSE2),
  op("CVTSS2SI", "F3 0F 2D /r", [w("Gy"), r("Wss")], SSE),
  op("CVTSD2SI", "F2 0F 2D /r", [w("Gy"), r("Wsd")], SSE2),
  op("UCOMISS", "NP 0F 2E /r", [r("Vss"), r("Wss")], SSE),
  op("UCOMISD", "66 0F 2E /r", [r("Vsd"), r("Wsd")], SSE2),
  op("COMISS", "NP 0F 2F /r", [r("Vss"), r("Wss")], SSE),
  op("COMISD", "66 0F 2F /r", [r("Vsd"), r("Wsd")], SSE2),
  op("CVTPS2PD", "NP 0F 5A /r", [w("Vpd"), r("Wq")], SSE2),
  op("CVTPD2PS", "66 0F 5A /r", [w("Vps"), r("Wpd")], SSE2),
  op("CVTSS2SD", "F3 0F 5A /r", [rw("Vsd"), r("Wss")], SSE2),
  op("CVTSD2SS", "F2 0F 5A /r", [rw("Vss"), r("Wsd")], SSE2),
  op("CVTDQ2PS", "NP 0F 5B /r", [w("Vps"), r("Wdq")], SSE2),
  op("CVTPS2DQ", "66 0F 5B /r", [w("Vdq"), r("Wps")], SSE2),
  op("CVTTPS2DQ", "F3 0F 5B /r", [w("Vdq"), r("Wps")], SSE2),
  op("CVTTPD2DQ", "66 0F E6 /r", [w("Vdq"), r("Wpd")], SSE2),
  op("CVTDQ2PD", "F3 0F E6 /r", [w("Vpd"), r("Wq")], SSE2),
  op("CVTPD2DQ", "F2 0F E6 /r", [w("Vdq"), r("Wpd")], SSE2),

  ...four("SQRT", 0x51, w),
  ...psSs("RSQRT", 0x52),
  ...psSs("RCP", 0x53),
  ...psPd("AND", 0x54),
  ...psPd("ANDN", 0x55),
  ...psPd("OR", 0x56),
  ...psPd("XOR", 0x57),
  ...four("ADD", 0x58),
  ...four("MUL", 0x59),
  ...four("SUB", 0x5c),
  ...four("MIN", 0x5d),
  ...four("DIV", 0x5e),
  ...four("MAX", 0x5f),
  ...horizontal("HADD", 0x7c),
  ...horizontal("HSUB", 0x7d),
  ...horizontal("ADDSUB", 0xd0),
  op("CMPPS", "NP 0F C2 /r ib", [rw("Vps"), r("Wps"), r("uIb")], SSE),
  op("CMPPD", "66 0F C2 /r ib", [rw("Vpd"), r("Wpd"), r("uIb")], SSE2),
  op("CMPSS", "F3 0F C2 /r ib", [rw("Vss"), r("Wss"), r("uIb")], SSE),
  op("CMPSD", "F2 0F C2 /r ib", [rw("Vsd"), r("Wsd"), r("uIb")], { ...SSE2, sem: "cmpsd_sse" }),
  op("SHUFPS", "NP 0F C6 /r ib", [rw("Vps"), r("Wps"), r("uIb")], SSE),
  op("SHUFPD", "66 0F C6 /r ib", [rw("Vpd"), r("Wpd"), r("uIb")], SSE2),

  op("BLENDVPS", "66 0F 38 14 /r", [rw("Vps"), r("Wps"), r("XMM0")], SSE41),
  op("BLENDVPD", "66 0F 38 15 /r", [rw("Vpd"), r("Wpd"), r("XMM0")], SSE41),
  op("ROUNDPS", "66 0F 3A 08 /r ib", [w("Vps"), r("Wps"), r("uIb")], SSE41),
  op("ROUNDPD", "66 0F 3A 09 /r ib", [w("Vpd"), r("Wpd"), r("uIb")], SSE41),
  op("ROUNDSS", "66 0F 3A 0A /r ib", [rw("Vss"), r("Wss"), r("uIb")], SSE41),
  op("ROUNDSD", "66 0F 3A 0B /r ib", [rw("Vsd"), r("Wsd"), r("uIb")], SSE41),
  op("BLENDPS", "66 0F 3A 0C /r ib", [rw("Vps"), r("Wps"), r("uIb")], SSE41),
  op("BLENDPD", "66 0F 3A 0D /r ib", [rw("Vpd"), r("Wpd"), r("uIb")], SSE41),
  op("EXTRACTPS", "66 0F 3A 17 /r ib", [w("Ed"), r("Vps"), r("uIb")], SSE41),
  op("INSERTPS", "66 0F 3A 21 /r ib", [rw("Vps"), r("Wd"), r("uIb")], SSE41),
  op("DPPS", "66 0F 3A 40 /r ib", [rw("Vps"), r("Wps"), r("uIb")], SSE41),
  op("DPPD", "66 0F 3A 41 /r ib", [rw("Vpd"), r("Wpd"), r("uIb")], SSE41),
];
