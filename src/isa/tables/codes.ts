import type { RegisterClass } from "../insn.ts";

/**
 * Operand codes, spelt as in the SDM vol. 2D appendix A.2 (addressing letter, then size letters), with what the decoder needs of each.
 * Ours, where the appendix has words instead of a code: `sIb` (Ib sign-extended to the operand size), `uIb` (Ib zero-extended),
 * `Zb`/`Zv` (register in the low opcode bits), suffix `n` (64 bits in 64-bit code, else 32, whatever the prefixes), `M32fp` and
 * the like as the instruction pages spell them.
 */

/** Sizes that depend on the instruction; a positive size is bits. */
export const SIZE_V = -1;
/** 16 or 32: never 64. */
export const SIZE_Z = -2;
/** 32, or 64 with REX.W. */
export const SIZE_Y = -3;
/** 64 in 64-bit code, else 32. */
export const SIZE_N = -4;
/** Far pointer in memory: 16 + operand size. */
export const SIZE_P = -5;

/** How an operand is found. Plain numbers so that the decoder's switch is dense. */
export const K_RM = 0;
export const K_REG = 1;
export const K_MEM = 2;
export const K_RMREG = 3;
export const K_OPREG = 4;
export const K_IMM8S = 5;
export const K_IMM8U = 6;
export const K_IMM16 = 7;
export const K_IMMZ = 8;
export const K_IMMV = 9;
export const K_REL8 = 10;
export const K_RELZ = 11;
export const K_FAR = 12;
export const K_MOFFS = 13;
export const K_SREG = 14;
export const K_CR = 15;
export const K_DR = 16;
export const K_FIXED = 17;
export const K_ONE = 18;
export const K_STI = 19;

export interface CodeShape {
  readonly kind: number;
  readonly cls: RegisterClass;
  /** Register width or immediate width; bits or a SIZE_ constant. */
  readonly reg: number;
  /** Memory width; bits, 0 (structure) or a SIZE_ constant. */
  readonly mem: number;
  /** Register number of K_FIXED. */
  readonly index: number;
}

function shape(kind: number, cls: RegisterClass, reg: number, mem = reg, index = 0): CodeShape {
  return { kind, cls, reg, mem, index };
}
const E = (reg: number, mem = reg): CodeShape => shape(K_RM, "gpr", reg, mem);
const G = (size: number): CodeShape => shape(K_REG, "gpr", size);
const M = (size: number): CodeShape => shape(K_MEM, "gpr", size);
const R = (size: number): CodeShape => shape(K_RMREG, "gpr", size);
const P = (): CodeShape => shape(K_REG, "mm", 64);
const Q = (mem: number): CodeShape => shape(K_RM, "mm", 64, mem);
const V = (): CodeShape => shape(K_REG, "xmm", 128);
const W = (mem: number): CodeShape => shape(K_RM, "xmm", 128, mem);
const I = (kind: number, size: number): CodeShape => shape(kind, "gpr", size);
const fixed = (cls: RegisterClass, index: number, size: number): CodeShape => shape(K_FIXED, cls, size, size, index);

const CODES = {
  // r/m: register or memory
  Eb: E(8),
  Ew: E(16),
  Ed: E(32),
  Ev: E(SIZE_V),
  Ey: E(SIZE_Y),
  Ez: E(SIZE_Z),
  En: E(SIZE_N),
  // different widths as register and in memory
  "Rv/Mw": E(SIZE_V, 16),
  "Rd/Mb": E(32, 8),
  "Rd/Mw": E(32, 16),
  // ModRM.reg
  Gb: G(8),
  Gw: G(16),
  Gd: G(32),
  Gv: G(SIZE_V),
  Gy: G(SIZE_Y),
  Gz: G(SIZE_Z),
  Gn: G(SIZE_N),
  // r/m: register only
  Rv: R(SIZE_V),
  Ry: R(SIZE_Y),
  Rn: R(SIZE_N),
  // memory only; M is a structure or an address without access
  M: M(0),
  Ma: M(0),
  Ms: M(0),
  Mb: M(8),
  Mw: M(16),
  Md: M(32),
  Mq: M(64),
  Mdq: M(128),
  Mv: M(SIZE_V),
  My: M(SIZE_Y),
  Mp: M(SIZE_P),
  M512: M(0),
  Mxsave: M(0),
  "M14/28": M(0),
  "M94/108": M(0),
  M32fp: M(32),
  M64fp: M(64),
  M80fp: M(80),
  M16int: M(16),
  M32int: M(32),
  M64int: M(64),
  M80bcd: M(80),
  Ob: shape(K_MOFFS, "gpr", 8),
  Ov: shape(K_MOFFS, "gpr", SIZE_V),
  // immediates and displacements
  Ib: I(K_IMM8S, 8),
  sIb: I(K_IMM8S, SIZE_V),
  uIb: I(K_IMM8U, 8),
  Iw: I(K_IMM16, 16),
  Iz: I(K_IMMZ, SIZE_V),
  Iv: I(K_IMMV, SIZE_V),
  Jb: I(K_REL8, SIZE_V),
  Jz: I(K_RELZ, SIZE_V),
  Ap: I(K_FAR, SIZE_V),
  "1": I(K_ONE, 8),
  // opcode low bits
  Zb: shape(K_OPREG, "gpr", 8),
  Zv: shape(K_OPREG, "gpr", SIZE_V),
  // fixed registers
  AL: fixed("gpr", 0, 8),
  CL: fixed("gpr", 1, 8),
  AX: fixed("gpr", 0, 16),
  DX: fixed("gpr", 2, 16),
  eAX: fixed("gpr", 0, SIZE_Z),
  rAX: fixed("gpr", 0, SIZE_V),
  ES: fixed("sreg", 0, 16),
  CS: fixed("sreg", 1, 16),
  SS: fixed("sreg", 2, 16),
  DS: fixed("sreg", 3, 16),
  FS: fixed("sreg", 4, 16),
  GS: fixed("sreg", 5, 16),
  XMM0: fixed("xmm", 0, 128),
  // system registers
  Sw: shape(K_SREG, "sreg", 16),
  Cn: shape(K_CR, "cr", SIZE_N),
  Dn: shape(K_DR, "dr", SIZE_N),
  // x87
  ST0: fixed("st", 0, 80),
  STi: shape(K_STI, "st", 80),
  // MMX: P reg, Q r/m, N register only
  Pq: P(),
  Qq: Q(64),
  Qd: Q(32),
  Nq: shape(K_RMREG, "mm", 64),
  // SSE: V reg, W r/m, U register only
  Vps: V(),
  Vpd: V(),
  Vss: V(),
  Vsd: V(),
  Vdq: V(),
  Vq: V(),
  Wps: W(128),
  Wpd: W(128),
  Wdq: W(128),
  Wss: W(32),
  Wsd: W(64),
  Wq: W(64),
  Wd: W(32),
  Ww: W(16),
  Ups: shape(K_RMREG, "xmm", 128),
  Upd: shape(K_RMREG, "xmm", 128),
  Udq: shape(K_RMREG, "xmm", 128),
  Uq: shape(K_RMREG, "xmm", 128),
  Uss: shape(K_RMREG, "xmm", 128),
  Usd: shape(K_RMREG, "xmm", 128),
} as const satisfies Record<string, CodeShape>;

/** An operand code of the SDM: "Ev", "Gb", "Ib", ... */
export type OperandCode = keyof typeof CODES;

export const OPERAND_CODES: Readonly<Record<OperandCode, CodeShape>> = CODES;

const BY_NAME: ReadonlyMap<string, CodeShape> = new Map(Object.entries(CODES));

/** Shape of a code from a row; rows are type-checked, so an unknown one is our mistake. */
export function codeShape(code: string): CodeShape {
  const found = BY_NAME.get(code);
  if (found === undefined) throw new Error(`unknown operand code ${code}`);
  return found;
}
