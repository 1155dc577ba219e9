import { CR0, type Insn, VECTOR } from "../../../isa/index.ts";
import type { SystemHelper } from "../cpu.ts";
import { FPU } from "../fpu/index.ts";
import { waitForErrors } from "../fpu/stack.ts";
import { SIMD } from "../simd/index.ts";
import { isAvailable } from "../sys/available.ts";
import type { CpuFeatures } from "../sys/features.ts";
import { SYSTEM } from "../sys/index.ts";

// Apart from `semantics.ts`, which a run with the prebuilt interpreter does not load.

/** MOV whose operands do not fit a record: 64-bit absolute addresses, RIP-relative ones beyond 32 bits. */
const mov: SystemHelper = (cpu, insn) => {
  cpu.writeOperand(insn, 0, cpu.readOperand(insn, 1));
  return "next";
};
/** Bytes that are no instruction: undefined, or over 15 of them. */
const undefinedOpcode: SystemHelper = (cpu) => cpu.ud();
const tooLong: SystemHelper = (cpu) => cpu.gp();
/** An MMX instruction whose generated code deferred: CR0.EM, CR0.TS, or a pending x87 exception. */
const mmxUnavailable: SystemHelper = (cpu) => {
  if ((cpu.cr0 & CR0.EM) !== 0) cpu.ud();
  if ((cpu.cr0 & CR0.TS) !== 0) cpu.raise(VECTOR.NM);
  return waitForErrors(cpu) ? cpu.raise(VECTOR.MF) : "repeat";
};

/** Helpers by semantic name. */
export const HELPER_FAMILIES: readonly Readonly<Record<string, SystemHelper>>[] = [SYSTEM, FPU, SIMD, { mov, too_long: tooLong }];
const HELPERS = new Map<string, SystemHelper | undefined>();
/** By name; looked for once. */
function helperNamed(name: string): SystemHelper | undefined {
  if (HELPERS.has(name)) return HELPERS.get(name);
  const helper = HELPER_FAMILIES.find((family) => family[name] !== undefined)?.[name];
  HELPERS.set(name, helper);
  return helper;
}
/** The helper of an instruction that this CPU has; undefined: there is none, generated code does all of it. */
export function findHelper(insn: Insn): SystemHelper | undefined {
  const { sem, facts } = insn.row;
  if (insn.operands.some((o) => o.kind === "reg" && o.cls === "mm") && FPU[sem] === undefined && SIMD[sem] === undefined) return mmxUnavailable;
  return helperNamed(insn.rep !== 0 && facts.rep ? `rep_${sem}` : sem);
}
/** What does an instruction that generated code does not. */
export function helperFor(features: CpuFeatures, insn: Insn): SystemHelper {
  if (!isAvailable(features, insn.row.mnemonic, insn.row.facts.feature)) return undefinedOpcode;
  return findHelper(insn) ?? undefinedOpcode;
}
