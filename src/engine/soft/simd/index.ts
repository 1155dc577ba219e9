import type { SystemHelper } from "../cpu.ts";
import { ARITHMETIC } from "./instructions.ts";
import { OTHER } from "./other.ts";

/** SSE to SSE4.2 floating point, MXCSR, AES, PCLMULQDQ, CRC32 and string comparisons, by the semantic name of their opcode row. */
export const SIMD: Readonly<Record<string, SystemHelper>> = { ...ARITHMETIC, ...OTHER };
