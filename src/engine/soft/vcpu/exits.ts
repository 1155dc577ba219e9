import type { VmExit } from "../../api/index.ts";

/** Exits without a value of their own: one shared object each. */

export const EXIT_BUDGET: VmExit = { kind: "budget", reason: 52, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
export const EXIT_EARLY: VmExit = { ...EXIT_BUDGET, kind: "budget", early: true };
export const EXIT_HLT: VmExit = { kind: "hlt", reason: 12, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
export const EXIT_MTF: VmExit = { kind: "mtf", reason: 37, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
export const EXIT_INTERRUPT: VmExit = { kind: "external-interrupt", reason: 1, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
export const EXIT_WINDOW: VmExit = { kind: "interrupt-window", reason: 7, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
export const EXIT_NMI_WINDOW: VmExit = { kind: "nmi-window", reason: 8, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
export const EXIT_TIMER: VmExit = { kind: "preemption-timer", reason: 52, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
export const EXIT_INIT: VmExit = { kind: "init", reason: 3, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
export const EXIT_TRIPLE: VmExit = { kind: "triple-fault", reason: 2, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
