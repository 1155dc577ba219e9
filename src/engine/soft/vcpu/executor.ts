import { DR6, FLAG } from "../../../isa/index.ts";
import type { VmExit } from "../../api/index.ts";
import { MAX_BLOCK } from "../code/block.ts";
import { RUN_OUT_OF_BUDGET } from "../code/codes.ts";
import type { CodeFinder } from "../code/finder.ts";
import type { Cpu } from "../cpu.ts";
import { CS, SHADOW_SS } from "../cpu-state.ts";
import { EXIT_BUDGET, EXIT_MTF, EXIT_TRIPLE } from "../exits.ts";
import { STATE, REC } from "../state-layout.ts";
import { raiseDebug, raiseFault, stepsOnBranches } from "../sys/index.ts";
import type { Translator } from "../translate/index.ts";
import { Callouts } from "./callouts.ts";
import type { GuestRun } from "./guest-run.ts";
import { SlowArms } from "./slow-arms.ts";

/** Longest run of generated code in one call: V8 replaces baseline by optimised code only at calls. */
const SLICE = 100_000;
/**
 * Instructions that the first tier runs. V8 takes some 60 ms of a core to optimise the main function: a guest that mostly calls the BIOS, sleeps,
 * or ends soon does without.
 */
const FIRST_TIER = 4_000_000;
/** With the translator: the ends are the samples that find hot code. */
const SAMPLING_SLICE = 24_000;
/** Work of a fault, see `GuestRun.work`. */
const FAULT_WORK = 4;

/** What the core module imports from its CPU. */
export type CoreImports = SlowArms["imports"] & Callouts["imports"];

/** Runs generated code for exact numbers of instructions, one instruction with what comes behind it, and delivers the faults it leaves with. */
export class Executor {
  readonly #cpu: Cpu;
  readonly #run: GuestRun;
  readonly #finder: CodeFinder;
  readonly #arms: SlowArms;
  readonly #out: Callouts;
  readonly imports: CoreImports;
  #generated: (rec: number) => number = () => 0;
  #main = this.#generated;
  #firstTier = 0;
  #translator: Translator | undefined;
  /** Instructions of a slice at most. */
  sliceLength = SLICE;
  #faulted = false;
  #calls = 0;
  #faults = 0;

  constructor(cpu: Cpu, run: GuestRun, finder: CodeFinder) {
    this.#cpu = cpu;
    this.#run = run;
    this.#finder = finder;
    this.#arms = new SlowArms(cpu, run);
    this.#out = new Callouts(cpu, run, finder);
    this.imports = { ...this.#arms.imports, ...this.#out.imports };
  }
  get onVmcall(): ((exit: VmExit) => boolean) | undefined {
    return this.#out.onVmcall;
  }
  set onVmcall(handler: ((exit: VmExit) => boolean) | undefined) {
    this.#out.onVmcall = handler;
  }
  /** `first` runs the CPU until it has retired `firstTier` instructions, `main` from then on: the same, faster, and dear to compile. */
  setGenerated(first: (rec: number) => number, main: (rec: number) => number, firstTier = FIRST_TIER): void {
    this.#generated = first;
    this.#main = main;
    this.#firstTier = firstTier;
  }
  setTranslator(translator: Translator): void {
    this.#translator = this.#out.translator = translator;
    this.sliceLength = SAMPLING_SLICE;
  }

  /** Runs generated code for at most `budget` instructions. */
  slice(budget: number): VmExit | undefined {
    const cpu = this.#cpu;
    const finder = this.#finder;
    const flags = cpu.systemFlags;
    const shadow = cpu.shadow;
    const { armed } = cpu.mmu.breakpoints;
    const { mtf } = cpu.intercepts;
    const step = (flags & (FLAG.TF | FLAG.RF)) !== 0 || shadow !== 0 || armed || mtf;
    // The instruction behind a load of SS runs as if RF were set.
    if (armed && (flags & FLAG.RF) === 0 && shadow !== SHADOW_SS && this.#breakpointAt()) return undefined;
    const limit = step ? 1 : budget >= MAX_BLOCK ? MAX_BLOCK : budget;
    let skipped = 0;
    let rec: number;
    if (limit === MAX_BLOCK && finder.stoppedInside) {
      rec = finder.resume(cpu.u32[STATE.rip.u32], cpu.u32[STATE.rip.u32 + 1]);
      skipped = finder.skipped;
    } else rec = this.#out.find(limit);
    if (rec === 0) return this.#takeOrFault();
    // In the middle of a block: its records charge for what came before, too.
    if (skipped > 0) return this.#execute(rec, budget, false, skipped);
    if (limit === MAX_BLOCK && this.#translator?.eager === true) this.#translator.touch(rec, 1);
    if (cpu.u16[(rec + REC.blockCount) >> 1] > budget) {
      // A kept block longer than what is left: find() makes a short one when asked for fewer.
      const short = this.#out.find(Math.min(budget, MAX_BLOCK - 1));
      if (short === 0) return this.#takeOrFault();
      return this.#execute(short, Math.min(budget, cpu.u16[(short + REC.blockCount) >> 1]), false);
    }
    if (step) return this.#step(rec) ?? (mtf ? EXIT_MTF : undefined);
    return this.#execute(rec, limit < MAX_BLOCK ? Math.min(budget, cpu.u16[(rec + REC.blockCount) >> 1]) : budget, false);
  }
  /**
   * One instruction and what comes behind it (SDM vol. 3A 6.8.3, vol. 3B 18.3.1). RF is cleared as it begins, so that what loads RFLAGS or stops
   * between two iterations decides on it. The single-step trap is lost behind an instruction that holds debug exceptions off.
   */
  #step(rec: number): VmExit | undefined {
    const cpu = this.#cpu;
    const at = STATE.shadow.u32;
    const shadow = cpu.u32[at];
    cpu.singleStep = (cpu.systemFlags & FLAG.TF) !== 0;
    const behind = cpu.singleStep && stepsOnBranches(cpu) ? this.#behind(rec) : undefined;
    const exit = this.#execute(rec, 1, true);
    if (exit !== undefined) return exit;
    // (What goes on behind it, or stops between two iterations, with RF set, has not branched.)
    if (behind !== undefined && (cpu.rip === behind || (cpu.systemFlags & FLAG.RF) !== 0)) cpu.singleStep = false;
    // A shadow covers one instruction. The next one may open another, not renew it.
    if (cpu.u32[at] === shadow) cpu.u32[at] = 0;
    if (cpu.singleStep && !this.#faulted && cpu.u32[at] !== SHADOW_SS) cpu.pendingDebug |= DR6.BS;
    return undefined;
  }
  /** RIP behind an instruction. */
  #behind(rec: number): bigint {
    const cpu = this.#cpu;
    const next = cpu.rip + BigInt(cpu.u8[rec + REC.length]);
    return cpu.codeSize === 64 ? BigInt.asUintN(64, next) : BigInt.asUintN(cpu.codeSize, next);
  }
  /** Instruction breakpoints in DR0-DR3 at the current address: #DB before the instruction. */
  #breakpointAt(): boolean {
    const cpu = this.#cpu;
    const la = cpu.code64 ? cpu.rip : BigInt((cpu.baseNumber(CS) + cpu.eip) >>> 0);
    const hit = cpu.mmu.breakpoints.onInstruction(la);
    if (hit === 0) return false;
    // Counted, as a fault is: the handler may have the next breakpoint on its first instruction.
    this.#run.retired++;
    raiseDebug(cpu, hit);
    if (cpu.shutdown && cpu.exit === undefined) cpu.exit = EXIT_TRIPLE;
    return true;
  }

  /** `skipped`: instructions of its block before `rec`. */
  #execute(rec: number, budget: number, stepping: boolean, skipped = 0): VmExit | undefined {
    const run = this.#run;
    run.begin(budget, skipped, stepping);
    this.#faulted = false;
    this.#calls++;
    if (run.retired >= this.#firstTier) this.#generated = this.#main;
    const ranOut = this.#generated(rec) === RUN_OUT_OF_BUDGET;
    if (ranOut && this.#translator !== undefined) {
      // Samples at even distances would meet the same block of a loop again and again.
      this.#translator.sample(this.#cpu.u32[STATE.curRec.u32], run.ran);
      this.sliceLength = SAMPLING_SLICE + (run.retired & 0xfff);
    }
    if (run.end(ranOut) === "stop") return undefined;
    if (this.#arms.again) return this.#again();
    this.#faulted = true;
    return this.#takeOrFault();
  }
  /** Does one instruction that a region has left undone; devices are not asked a second time. */
  #again(): VmExit | undefined {
    const { mmu } = this.#cpu;
    this.#arms.again = false;
    mmu.access.repeating = true;
    const rec = this.#out.find(1);
    const exit = rec === 0 ? this.#takeOrFault() : this.#execute(rec, 1, true);
    mmu.access.repeating = false;
    return exit;
  }

  // ---- exits and faults
  #takeOrFault(): VmExit | undefined {
    if (this.#cpu.exit !== undefined) return this.take();
    this.fault();
    return undefined;
  }
  take(): VmExit {
    const exit = this.#cpu.exit ?? EXIT_BUDGET;
    this.#cpu.exit = undefined;
    return exit;
  }
  /** Delivers cpu.fault; a VM exit may come out of it (cpu.exit). */
  fault(): void {
    const cpu = this.#cpu;
    this.#faults++;
    // Counted as an instruction: a guest whose handler faults at once would otherwise stop time and never come back.
    this.#run.retired++;
    this.#run.work += FAULT_WORK;
    raiseFault(cpu, cpu.fault.vector, cpu.fault.errorCode);
    if (cpu.shutdown && cpu.exit === undefined) cpu.exit = EXIT_TRIPLE;
  }

  stats(): Readonly<Record<string, number>> & Record<"calls" | "faults", number> {
    const { blocks, insns } = this.#finder.code;
    return {
      calls: this.#calls,
      faults: this.#faults,
      helperCalls: this.#out.helperCalls,
      slowReads: this.#arms.reads,
      slowWrites: this.#arms.writes,
      decodedBlocks: blocks.decoded,
      keptInstructions: insns.kept,
      codeInvalidations: blocks.invalidations,
      codeFlushes: blocks.flushes,
      ...this.#translator?.stats(),
    };
  }
}
