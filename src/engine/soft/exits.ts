import { EXIT_REASON, type Insn } from "../../isa/index.ts";
import type { ExitCommon, VmExit } from "../api/index.ts";

/** Name of an exit that has a basic reason of its own. */
type ExitName = keyof typeof EXIT_REASON;

/** What all VM exits have, of an instruction that exits; the reason by name or number. */
export function common(reason: ExitName | number, insn: Insn, qualification = 0n, instructionInfo = 0): ExitCommon {
  return { reason: typeof reason === "number" ? reason : EXIT_REASON[reason], qualification, instructionLength: insn.length, instructionInfo };
}
/** The same of an exit that no instruction makes. */
export function plain(name: ExitName, qualification = 0n): ExitCommon {
  return { reason: EXIT_REASON[name], qualification, instructionLength: 0, instructionInfo: 0 };
}

// Exits without a value of their own: one shared object each.
/** The budget is like a preemption timer. */
export const EXIT_BUDGET: VmExit = { kind: "budget", ...plain("preemption-timer") };
export const EXIT_EARLY: VmExit = { ...EXIT_BUDGET, kind: "budget", early: true };
export const EXIT_HLT: VmExit = { kind: "hlt", ...plain("hlt") };
export const EXIT_MTF: VmExit = { kind: "mtf", ...plain("mtf") };
export const EXIT_INTERRUPT: VmExit = { kind: "external-interrupt", ...plain("external-interrupt") };
export const EXIT_WINDOW: VmExit = { kind: "interrupt-window", ...plain("interrupt-window") };
export const EXIT_NMI_WINDOW: VmExit = { kind: "nmi-window", ...plain("nmi-window") };
export const EXIT_TIMER: VmExit = { kind: "preemption-timer", ...plain("preemption-timer") };
export const EXIT_INIT: VmExit = { kind: "init", ...plain("init") };
export const EXIT_TRIPLE: VmExit = { kind: "triple-fault", ...plain("triple-fault") };
/** The hypercall of every BIOS service, in the encoding without prefixes. */
export const EXIT_VMCALL: VmExit = { kind: "vmcall", ...plain("vmcall"), instructionLength: 3 };
