import type { SimdSemantic } from "../ir/simd-emit.ts";
import { XMM_ARITHMETIC } from "./xmm-arith.ts";
import { XMM_FLOAT } from "./xmm-float.ts";
import { XMM_MOVES } from "./xmm-move.ts";
import { XMM_SHUFFLES } from "./xmm-shuffle.ts";

/** Instructions with an XMM operand that generated code does, by the semantic name of their rows. The rest are helpers (`../simd`). */
export const XMM: Readonly<Record<string, SimdSemantic>> = { ...XMM_MOVES, ...XMM_SHUFFLES, ...XMM_ARITHMETIC, ...XMM_FLOAT };

/** Those of them that may hand an instruction over to its helper. */
export const XMM_DEFERS: ReadonlySet<string> = new Set(Object.keys(XMM_FLOAT));
