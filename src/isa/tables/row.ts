import type { OpcodeRow, OperandAccess, OperandSpec, RowFacts } from "../insn.ts";
import { K_MEM, K_RM, OPERAND_CODES, SIZE_V, SIZE_Z } from "./codes.ts";
import type { OperandCode } from "./codes.ts";

/** The words that opcode rows are written in: `op("ADD", "01 /r", [rw("Ev"), r("Gv")], { lock: true })`. */

export interface Spec extends OperandSpec {
  readonly code: OperandCode;
}

function spec(code: OperandCode, access: OperandAccess): Spec {
  return { code, access };
}
/** Read. */
export const r = (code: OperandCode): Spec => spec(code, "r");
/** Written without being read. */
export const w = (code: OperandCode): Spec => spec(code, "w");
/** Read and written. */
export const rw = (code: OperandCode): Spec => spec(code, "rw");
/** Neither: address only, or a hint. */
export const n = (code: OperandCode): Spec => spec(code, "n");

/** What is not the default in a row. */
export interface RowOptions {
  readonly sem?: string;
  /** By default a row ends its block when it does not go on behind itself. */
  readonly ends?: boolean;
  readonly flow?: RowFacts["flow"];
  readonly shadow?: RowFacts["shadow"];
  readonly trapFlag?: RowFacts["trapFlag"];
  readonly lock?: boolean;
  readonly rep?: boolean;
  readonly mode?: RowFacts["mode"];
  readonly size64?: RowFacts["size64"];
  readonly protectedOnly?: boolean;
  readonly cpl0?: boolean;
  readonly cc?: number;
  readonly feature?: string;
  readonly exits?: string;
  readonly bits?: number;
  /** A 128-bit memory operand may lie anywhere. */
  readonly unaligned?: boolean;
}

/** 8 for a row of byte operands only. */
function fixedBits(operands: readonly Spec[]): number {
  let bits = 0;
  for (const { code } of operands) {
    const { reg } = OPERAND_CODES[code];
    if (reg === SIZE_V || reg === SIZE_Z) return 0;
    if (code === "Eb" || code === "Gb" || code === "Zb" || code === "AL" || code === "Ob") bits = 8;
  }
  return bits;
}

function needsAlignment(operands: readonly Spec[]): boolean {
  for (const { code } of operands) {
    const { kind, mem } = OPERAND_CODES[code];
    if (mem === 128 && (kind === K_RM || kind === K_MEM)) return true;
  }
  return false;
}

/** One manual row. */
export function op(mnemonic: string, encoding: string, operands: readonly Spec[] = [], options: RowOptions = {}): OpcodeRow {
  return {
    mnemonic,
    encoding,
    operands,
    sem: options.sem ?? mnemonic.toLowerCase(),
    facts: {
      endsBlock: options.ends ?? (options.flow ?? "next") !== "next",
      flow: options.flow ?? "next",
      shadow: options.shadow ?? "none",
      trapFlag: options.trapFlag ?? "before",
      lock: options.lock ?? false,
      rep: options.rep ?? false,
      mode: options.mode ?? "any",
      size64: options.size64 ?? "v",
      bits: options.bits ?? fixedBits(operands),
      aligned: options.unaligned === true ? false : needsAlignment(operands),
      protectedOnly: options.protectedOnly ?? false,
      cpl0: options.cpl0 ?? false,
      cc: options.cc ?? 0,
      feature: options.feature ?? "base",
      exits: options.exits ?? "",
    },
  };
}

/** Condition codes in the order of their number (SDM vol. 1 appendix B). */
export const CONDITIONS = ["O", "NO", "B", "NB", "Z", "NZ", "BE", "NBE", "S", "NS", "P", "NP", "L", "NL", "LE", "NLE"] as const;

/** Two upper-case hexadecimal digits. */
export function hex2(value: number): string {
  return value.toString(16).toUpperCase().padStart(2, "0");
}
