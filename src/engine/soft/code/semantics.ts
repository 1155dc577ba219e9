import type { Insn } from "../../../isa/index.ts";
import type { SystemHelper } from "../cpu.ts";
import { FPU } from "../fpu/index.ts";
import { waitForErrors } from "../fpu/stack.ts";
import type { SimdSemantic } from "../ir/simd-emit.ts";
import { SEMANTICS } from "../sem/index.ts";
import { type FastSemantic, SYSTEM_FAST } from "../sem/system-fast.ts";
import { XMM, XMM_DEFERS } from "../sem/xmm.ts";
import { SIMD } from "../simd/index.ts";
import { isAvailable } from "../sys/available.ts";
import type { CpuFeatures } from "../sys/features.ts";
import { SYSTEM } from "../sys/index.ts";
import type { Shape } from "./shape.ts";

/**
 * What the engine has for the semantic name of an opcode row: where its generated code is written, and its helper. `semantics.test.ts` holds
 * every form that the decoder knows against this: none is without either.
 */

/** An instruction as generated code does it. */
export interface Generated {
  readonly emit: SimdSemantic;
  /** It may leave the work to the instruction's helper. */
  readonly defers: boolean;
  readonly regions: FastSemantic["regions"];
}

/** Undefined: helpers do it. */
export function generatedFor({ sem, mm, xmm }: Shape): Generated | undefined {
  const semantic = xmm ? XMM[sem] : SEMANTICS[sem];
  // No region keeps the FPU state in locals yet.
  if (semantic !== undefined) return { emit: semantic, defers: mm || (xmm && XMM_DEFERS.has(sem)), regions: mm ? "none" : "all" };
  const fast = xmm ? undefined : SYSTEM_FAST[sem];
  return fast === undefined ? undefined : { emit: fast.emit, defers: true, regions: fast.regions };
}

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
  if ((cpu.cr0 & 4) !== 0) cpu.ud();
  if ((cpu.cr0 & 8) !== 0) cpu.raise(7);
  return waitForErrors(cpu) ? cpu.raise(16) : "repeat";
};

const FAMILIES: readonly Readonly<Record<string, SystemHelper>>[] = [SYSTEM, FPU, SIMD, { mov, too_long: tooLong }];
const HELPERS = new Map<string, SystemHelper | undefined>();
/** By name; looked for once. */
function helperNamed(name: string): SystemHelper | undefined {
  if (HELPERS.has(name)) return HELPERS.get(name);
  const helper = FAMILIES.find((family) => family[name] !== undefined)?.[name];
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

/** Semantic names that the engine has. */
export function implementedNames(): Set<string> {
  return new Set([SEMANTICS, SYSTEM_FAST, XMM, ...FAMILIES].flatMap((family) => Object.keys(family)));
}
