import { STATE } from "./state-layout.ts";

/**
 * Lazy arithmetic flags: a result and one word of carries, no kind to switch on.
 * flagRes: the result sign-extended to 64 bits from its operand size. ZF = (flagRes == 0); SF = sign ^ aux bit 0;
 * PF = even parity of (low byte of flagRes ^ aux bits 15:8).
 * flagAux: bit 31 carry out (CF), bit 30 carry into the top bit (OF = bit 31 ^ bit 30), bit 3 AF,
 * bits 15:8 parity delta, bit 0 sign delta.
 */
export interface FlagState {
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;
}

/** CF PF AF ZF SF OF at their EFLAGS places. */
export function readArithmeticFlags(s: FlagState): number {
  const lo = s.u32[STATE.flagRes.u32];
  const hi = s.u32[STATE.flagRes.u32 + 1];
  const aux = s.u32[STATE.flagAux.u32];
  const cf = aux >>> 31;
  const of = cf ^ ((aux >>> 30) & 1);
  let p = (lo ^ (aux >>> 8)) & 0xff;
  p ^= p >> 4;
  p ^= p >> 2;
  p ^= p >> 1;
  const pf = ~p & 1;
  const zf = (lo | hi) === 0 ? 1 : 0;
  const sf = (hi >>> 31) ^ (aux & 1);
  return cf | (pf << 2) | ((aux & 8) << 1) | (zf << 6) | (sf << 7) | (of << 11);
}

/** Sets all six from EFLAGS bits. */
export function writeArithmeticFlags(s: FlagState, flags: number): void {
  const cf = flags & 1;
  const pf = (flags >> 2) & 1;
  const zf = (flags >> 6) & 1;
  const sf = (flags >> 7) & 1;
  const of = (flags >> 11) & 1;
  s.u32[STATE.flagRes.u32] = zf ^ 1;
  s.u32[STATE.flagRes.u32 + 1] = 0;
  // Low byte of the result is 0 or 1: its parity bit is !zf; the delta makes the sum even exactly when PF.
  s.u32[STATE.flagAux.u32] = ((cf << 31) | ((cf ^ of) << 30) | ((flags & 0x10) >> 1) | ((pf ^ zf) << 8) | sf) >>> 0;
}
