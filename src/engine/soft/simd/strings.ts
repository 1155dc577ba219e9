import { SSE } from "./env.ts";

const { X, Y } = SSE;

/** PCMPxSTRx: SDM vol. 1 12.10.3 and vol. 2B 4.1. */

const EQUAL_ANY = 0,
  RANGES = 1,
  EQUAL_EACH = 2;

const BYTES_X = new Uint8Array(X.buffer);
const BYTES_Y = new Uint8Array(Y.buffer);
const WORDS_X = new Uint16Array(X.buffer);
const WORDS_Y = new Uint16Array(Y.buffer);
/** Elements of both operands as numbers, signed or not as the immediate says. */
const A = new Int32Array(16);
const B = new Int32Array(16);

/** Elements before the first zero. */
export function implicitLength(first: boolean, imm: number): number {
  const words = (imm & 1) !== 0;
  const elements = first ? (words ? WORDS_X : BYTES_X) : words ? WORDS_Y : BYTES_Y;
  let n = 0;
  while (n < elements.length && elements[n] !== 0) n++;
  return n;
}

/** IntRes2: a bit for each element of the second operand. */
export function compareStrings(imm: number, lengthX: number, lengthY: number): number {
  const words = (imm & 1) !== 0;
  const n = words ? 8 : 16;
  const xs = words ? WORDS_X : BYTES_X;
  const ys = words ? WORDS_Y : BYTES_Y;
  const extend = (imm & 2) === 0 ? 0 : words ? 16 : 24;
  for (let i = 0; i < n; i++) {
    A[i] = (xs[i] << extend) >> extend;
    B[i] = (ys[i] << extend) >> extend;
  }
  const how = (imm >> 2) & 3;
  let found = 0;
  for (let j = 0; j < n; j++) if (matches(how, j, n, lengthX, lengthY)) found |= 1 << j;
  const all = (1 << n) - 1;
  if ((imm & 0x10) !== 0) found ^= (imm & 0x20) !== 0 ? (1 << lengthY) - 1 : all;
  return found & all;
}
function matches(how: number, j: number, n: number, lengthX: number, lengthY: number): boolean {
  if (how === EQUAL_EACH) return j < lengthX && j < lengthY ? A[j] === B[j] : j >= lengthX && j >= lengthY;
  if (how === EQUAL_ANY) {
    if (j >= lengthY) return false;
    for (let i = 0; i < lengthX; i++) if (A[i] === B[j]) return true;
    return false;
  }
  if (how === RANGES) {
    if (j >= lengthY) return false;
    for (let i = 0; i + 1 < lengthX; i += 2) if (A[i] <= B[j] && B[j] <= A[i + 1]) return true;
    return false;
  }
  // Equal ordered: the first operand as a substring at j, as far as the register goes.
  for (let i = 0; i < lengthX && j + i < n; i++) if (j + i >= lengthY || A[i] !== B[j + i]) return false;
  return true;
}
