/** Little-endian words, as VMDK, VDI and VHDX store them. */

/** 64 bits as a number; inexact from 2^53 on, which every caller refuses as too large. */
export function le64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

export const isPowerOfTwo = (n: number): boolean => n > 0 && Number.isInteger(Math.log2(n));
