import { SSE } from "./env.ts";

const { X, Y, Z } = SSE;

/** AES rounds (FIPS 197; SDM vol. 1 12.13), carry-less multiplication and CRC32C. Operands in X and Y, results in Z. */

const SBOX = new Uint8Array(256);
const INVERSE = new Uint8Array(256);
/** Column contributions of MixColumns and its inverse for a byte in row 0, without the S-box. */
const MIX = new Int32Array(256);
const UNMIX = new Int32Array(256);
const CRC = new Int32Array(256);

function times(a: number, b: number): number {
  let product = 0;
  for (let x = a, y = b; y !== 0; y >>= 1, x = (x << 1) ^ ((x & 0x80) !== 0 ? 0x11b : 0)) if ((y & 1) !== 0) product ^= x;
  return product;
}
function buildTables(): void {
  // 3 generates the field's multiplicative group: p and q run through inverses.
  let p = 1;
  let q = 1;
  do {
    p = times(p, 3);
    q = times(q, 0xf6);
    const s = q ^ (q << 1) ^ (q << 2) ^ (q << 3) ^ (q << 4);
    SBOX[p] = (s ^ (s >> 8) ^ 0x63) & 0xff;
  } while (p !== 1);
  SBOX[0] = 0x63;
  for (let i = 0; i < 256; i++) {
    INVERSE[SBOX[i]] = i;
    MIX[i] = times(i, 2) | (i << 8) | (i << 16) | (times(i, 3) << 24);
    UNMIX[i] = times(i, 14) | (times(i, 9) << 8) | (times(i, 13) << 16) | (times(i, 11) << 24);
    let c = i;
    for (let k = 0; k < 8; k++) c = (c >>> 1) ^ ((c & 1) !== 0 ? 0x82f63b78 : 0);
    CRC[i] = c;
  }
}
buildTables();

const rotl = (v: number, n: number): number => (n === 0 ? v : (v << n) | (v >>> (32 - n)));
function mixColumn(table: Int32Array, c: number): number {
  return table[c & 0xff] ^ rotl(table[(c >>> 8) & 0xff], 8) ^ rotl(table[(c >>> 16) & 0xff], 16) ^ rotl(table[c >>> 24], 24);
}
/** Bytes of column `c` of X after shifting rows by `step` columns each, through the S-box. */
function shifted(box: Uint8Array, c: number, step: number): number {
  return (
    box[X[c] & 0xff] |
    (box[(X[(c + step) & 3] >>> 8) & 0xff] << 8) |
    (box[(X[(c + step * 2) & 3] >>> 16) & 0xff] << 16) |
    (box[X[(c + step * 3) & 3] >>> 24] << 24)
  );
}
export function aesenc(): void {
  for (let c = 0; c < 4; c++) Z[c] = mixColumn(MIX, shifted(SBOX, c, 1)) ^ Y[c];
}
export function aesenclast(): void {
  for (let c = 0; c < 4; c++) Z[c] = shifted(SBOX, c, 1) ^ Y[c];
}
export function aesdec(): void {
  for (let c = 0; c < 4; c++) Z[c] = mixColumn(UNMIX, shifted(INVERSE, c, 3)) ^ Y[c];
}
export function aesdeclast(): void {
  for (let c = 0; c < 4; c++) Z[c] = shifted(INVERSE, c, 3) ^ Y[c];
}
export function aesimc(): void {
  for (let c = 0; c < 4; c++) Z[c] = mixColumn(UNMIX, Y[c]);
}
function substitute(v: number): number {
  return SBOX[v & 0xff] | (SBOX[(v >>> 8) & 0xff] << 8) | (SBOX[(v >>> 16) & 0xff] << 16) | (SBOX[v >>> 24] << 24);
}
export function aeskeygenassist(roundConstant: number): void {
  for (let i = 0; i < 4; i += 2) {
    const s = substitute(Y[i + 1]);
    Z[i] = s;
    Z[i + 1] = rotl(s, 24) ^ roundConstant;
  }
}

/** 64 x 64 bits without carries, of the quadwords that bits 0 and 4 of the immediate name. */
export function pclmulqdq(imm: number): void {
  const a = (imm & 1) * 2;
  const b = ((imm >> 4) & 1) * 2;
  const alo = X[a];
  const ahi = X[a + 1];
  const blo = Y[b];
  const bhi = Y[b + 1];
  let z0 = 0;
  let z1 = 0;
  let z2 = 0;
  let z3 = 0;
  for (let i = 0; i < 32; i++) {
    const s0 = alo << i;
    const s1 = i === 0 ? ahi : (ahi << i) | (alo >>> (32 - i));
    const s2 = i === 0 ? 0 : ahi >>> (32 - i);
    const low = -((blo >>> i) & 1);
    const high = -((bhi >>> i) & 1);
    z0 ^= s0 & low;
    z1 ^= (s1 & low) ^ (s0 & high);
    z2 ^= (s2 & low) ^ (s1 & high);
    z3 ^= s2 & high;
  }
  Z[0] = z0;
  Z[1] = z1;
  Z[2] = z2;
  Z[3] = z3;
}

/** CRC32 (polynomial 11EDC6F41h, reflected) over `bytes` of a word. */
export function crc32c(crc: number, word: number, bytes: number): number {
  let c = crc;
  for (let i = 0; i < bytes; i++) c = CRC[(c ^ (word >>> (i * 8))) & 0xff] ^ (c >>> 8);
  return c;
}
