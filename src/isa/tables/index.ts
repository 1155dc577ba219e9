import type { OpcodeRow } from "../insn.ts";
import { FLOW_ROWS } from "./flow.ts";
import { INTEGER_ROWS } from "./integer.ts";
import { SIMD_FLOAT_ROWS } from "./simd-float.ts";
import { SIMD_INTEGER_ROWS } from "./simd-integer.ts";
import { SYSTEM_ROWS } from "./system.ts";
import { X87_ROWS } from "./x87.ts";

/** Every row of every table. */
export const OPCODE_ROWS: readonly OpcodeRow[] = [
  ...INTEGER_ROWS,
  ...FLOW_ROWS,
  ...SYSTEM_ROWS,
  ...X87_ROWS,
  ...SIMD_INTEGER_ROWS,
  ...SIMD_FLOAT_ROWS,
];
