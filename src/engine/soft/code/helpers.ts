import type { Insn } from "../../../isa/index.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { FALLBACK } from "../fallback.ts";
import { FPU } from "../fpu/index.ts";
import { SIMD } from "../simd/index.ts";
import { waitForErrors } from "../fpu/stack.ts";
import { isAvailable } from "../sys/available.ts";
import { SYSTEM } from "../sys/index.ts";

const undefinedOpcode: SystemHelper = (cpu) => cpu.ud();
/** An MMX instruction whose generated code deferred: CR0.EM, CR0.TS, or a pending x87 exception. */
const mmxUnavailable: SystemHelper = (cpu) => {
  if ((cpu.cr0 & 4) !== 0) cpu.ud();
  if ((cpu.cr0 & 8) !== 0) cpu.raise(7);
  return waitForErrors(cpu) ? cpu.raise(16) : "repeat";
};
const HELPERS = new Map<string, SystemHelper>();
/** The helper of an instruction, found once by name. */
export function helperFor(cpu: Cpu, insn: Insn): SystemHelper {
  if (!isAvailable(cpu.features, insn.row.mnemonic, insn.row.facts.feature)) return undefinedOpcode;
  if (insn.operands.some((o) => o.kind === "reg" && o.cls === "mm") && FPU[insn.row.sem] === undefined && SIMD[insn.row.sem] === undefined)
    return mmxUnavailable;
  const name = insn.rep !== 0 && insn.row.facts.rep ? `rep_${insn.row.sem}` : insn.row.sem;
  const known = HELPERS.get(name);
  if (known !== undefined) return known;
  const helper: SystemHelper = SYSTEM[name] ?? FPU[name] ?? SIMD[name] ?? FALLBACK[name] ?? ((cpu) => cpu.ud());
  HELPERS.set(name, helper);
  return helper;
}
