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
};
/** Families that no version of this CPU has. */
const ABSENT = new Set(["sha", "clwb"]);

/** Whether an instruction of that feature exists on this CPU; if not it is #UD. */
export function isAvailable(features: CpuFeatures, feature: string): boolean {
  const need = NEEDS[feature];
  return need === undefined ? !ABSENT.has(feature) : features[need];
}
