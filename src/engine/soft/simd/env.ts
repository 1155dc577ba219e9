import { CR0, CR4, VECTOR } from "../../../isa/index.ts";
import type { Cpu } from "../cpu.ts";
import { STATE } from "../state-layout.ts";

/** MXCSR at work: exception flags, rounding, and what every SSE instruction checks first. SDM vol. 1 10.2.3, 11.5. */

const IE = 1,
  DE = 2,
  ZE = 4,
  OE = 8,
  UE = 16,
  PE = 32;
/** Rounding control. */
const NEAREST = 0,
  DOWN = 1,
  UP = 2,
  ZERO = 3;
/** Indexes into ENV: rounding control, exceptions that are masked, flags raised by this instruction, DAZ, flush to zero (FTZ with UE masked). */
const RC = 0,
  MASK = 1,
  RAISED = 2,
  DAZ = 3,
  FTZ = 4;
const ENV = new Int32Array(8);

/** First operand (the destination's old value), second operand and result as words, low first. */
const X = new Int32Array(4);
const Y = new Int32Array(4);
const Z = new Int32Array(4);
/** A double that a function of f64.ts answers with: low word, high word. */
const R = new Int32Array(2);

const SIGN = 0x80000000 | 0;

/** All of the above. Modules take what they need as constants of their own: see X87 in ../fpu/env.ts. */
export const SSE = { IE, DE, ZE, OE, UE, PE, NEAREST, DOWN, UP, ZERO, RC, MASK, RAISED, DAZ, FTZ, ENV, X, Y, Z, R, SIGN } as const;

/** MXCSR_MASK: every bit exists, DAZ included. */
export const MXCSR_MASK = 0xffff;

const MXCSR = STATE.mxcsr.u32;

/** #UD, #NM: SDM vol. 2 table 2-18 and vol. 3 2.5. */
export function available(cpu: Cpu): void {
  if ((cpu.cr0 & CR0.EM) !== 0 || (cpu.cr4 & CR4.OSFXSR) === 0) cpu.ud();
  if ((cpu.cr0 & CR0.TS) !== 0) cpu.raise(VECTOR.NM);
}

/** Loads MXCSR's fields for the arithmetic. */
export function begin(cpu: Cpu): void {
  const mxcsr = cpu.u32[MXCSR];
  ENV[RC] = (mxcsr >> 13) & 3;
  ENV[MASK] = (mxcsr >> 7) & 0x3f;
  ENV[RAISED] = 0;
  ENV[DAZ] = mxcsr & 0x40;
  ENV[FTZ] = (mxcsr & 0x8800) === 0x8800 ? 1 : 0;
}
/** Adds what was raised to MXCSR; an unmasked exception is #XM (or #UD), the destination not yet written. */
export function commit(cpu: Cpu): void {
  let raised = ENV[RAISED];
  if (raised === 0) return;
  const unmasked = raised & ~ENV[MASK];
  // Nothing is computed in any element when one has an exception before: the others' later ones are not found.
  if ((unmasked & (IE | DE | ZE)) !== 0) raised &= IE | DE | ZE;
  cpu.u32[MXCSR] |= raised;
  if (unmasked !== 0) {
    if ((cpu.cr4 & CR4.OSXMMEXCPT) === 0) cpu.ud();
    cpu.raise(VECTOR.XM);
  }
}
