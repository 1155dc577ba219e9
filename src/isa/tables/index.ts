import type { OpcodeRow } from "../insn.ts";
import { FLOW_ROWS } from "./flow.ts";
import { INTEGER_ROWS } from "./integer.ts";
import { SYSTEM_ROWS } from "./system.ts";

/** Every row of every table. */
export const OPCODE_ROWS: readonly OpcodeRow[] = [...INTEGER_ROWS, ...FLOW_ROWS, ...SYSTEM_ROWS];
