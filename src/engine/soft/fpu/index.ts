import type { SystemHelper } from "../cpu.ts";

/** x87 instructions by the semantic name of their opcode row. */
export const FPU: Readonly<Record<string, SystemHelper>> = {};
