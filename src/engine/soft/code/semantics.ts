import type { SimdSemantic } from "../ir/simd-emit.ts";
import { SEMANTICS } from "../sem/index.ts";
import { type FastSemantic, SYSTEM_FAST } from "../sem/system-fast.ts";
import { XMM, XMM_DEFERS } from "../sem/xmm.ts";
import { HELPER_FAMILIES } from "./helpers.ts";
import type { Shape } from "./shape.ts";

/**
 * What the engine has for the semantic name of an opcode row: where its generated code is written; `helpers.ts` has its helper. `semantics.test.ts` holds
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

/** Semantic names that the engine has. */
export function implementedNames(): Set<string> {
  return new Set([SEMANTICS, SYSTEM_FAST, XMM, ...HELPER_FAMILIES].flatMap((family) => Object.keys(family)));
}
