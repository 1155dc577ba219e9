import type { SystemHelper } from "../cpu.ts";
import { CONTROL } from "./control.ts";
import { CPUID } from "./cpuid.ts";
import { FAR } from "./far.ts";
import { FLAGS } from "./flags.ts";
import { INTERRUPTS } from "./interrupts.ts";
import { IO } from "./io.ts";
import { MSRS } from "./msr.ts";
import { PROCESSOR } from "./processor.ts";
import { REP } from "./rep/index.ts";
import { SEGMENTS } from "./segments.ts";
import { SYSCALLS } from "./syscall.ts";
import { TABLES } from "./tables.ts";

/** System instructions by semantic name (`row.sem`), and "rep_" + sem for the repeated strings. */
export const SYSTEM: Readonly<Record<string, SystemHelper>> = {
  ...SEGMENTS,
  ...FAR,
  ...INTERRUPTS,
  ...SYSCALLS,
  ...FLAGS,
  ...CONTROL,
  ...TABLES,
  ...MSRS,
  ...CPUID,
  ...PROCESSOR,
  ...IO,
  ...REP,
};

export { deliverAll, deliverEvent, raiseDebug, raiseFault } from "./deliver.ts";
export { advance, completeIo } from "./io.ts";
export { commitCr0, commitCr4, cr4Defined, loadCr3, loadPdptes } from "./control.ts";
export { readMsr, stepsOnBranches, writeMsr } from "./msr.ts";
export { vmcall } from "./processor.ts";
export { cpuidLeaf } from "./cpuid.ts";
export { entryFailure } from "./entry.ts";
export { initCpu, resetCpu, startup } from "./reset.ts";
export { defaultFeatures, MAXPHYADDR } from "./features.ts";
export type { CpuFeatures } from "./features.ts";
