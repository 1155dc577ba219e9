import type { CpuFeatures } from "./features.ts";

/** What an opcode row's feature asks of the CPU; features without an entry are always there or gated by their helper. */
const NEEDS: Readonly<Record<string, keyof CpuFeatures>> = {
  fpu: "fpu",
  mmx: "mmx",
  fxsr: "fxsr",
  sse: "sse",
  sse2: "sse2",
  sse3: "sse3",
  ssse3: "ssse3",
  sse41: "sse41",
  sse42: "sse42",
  popcnt: "popcnt",
  cx16: "cx16",
  movbe: "movbe",
  aes: "aes",
  pclmul: "pclmulqdq",
  adx: "adx",
  clflushopt: "clflushopt",
  fsgsbase: "fsgsbase",
  xsave: "xsave",
  xsaveopt: "xsaveopt",
  xsavec: "xsavec",
};
/** Families that no version of this CPU has. */
const ABSENT = new Set(["sha", "clwb", "xsaves"]);

/**
 * Instructions of SSE and SSE2 that touch no XMM register: memory ordering and hints. Every processor with long mode has them, so
 * 64-bit programs use them without asking CPUID; they are there even while CPUID leaves SSE out. (Prefetches are NOPs on any P6.)
 */
const WITHOUT_XMM = new Set(["LFENCE", "MFENCE", "SFENCE", "MOVNTI", "PREFETCHNTA", "PREFETCHT0", "PREFETCHT1", "PREFETCHT2"]);

/** Whether an instruction exists on this CPU, by its row's mnemonic and feature; if not it is #UD. */
export function isAvailable(features: CpuFeatures, mnemonic: string, feature: string): boolean {
  const need = NEEDS[feature];
  if (need === undefined) return !ABSENT.has(feature);
  return features[need] || (features.longMode && WITHOUT_XMM.has(mnemonic));
}
