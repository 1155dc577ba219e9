import type { SystemHelper } from "./cpu.ts";

/** Instructions whose operands do not fit a record: 64-bit immediates and 64-bit absolute addresses. */
const mov: SystemHelper = (cpu, insn) => {
  cpu.writeOperand(insn, 0, cpu.readOperand(insn, 1));
  return "next";
};

export const FALLBACK: Readonly<Record<string, SystemHelper>> = { mov };
