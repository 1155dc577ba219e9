import type { EngineStats, EngineVcpu, VcpuStateV1, VmEntry, VmExit } from "../../api/index.ts";
import type { CodeFinder } from "../code/finder.ts";
import { type Cpu, CS, PENDING, SHADOW_SS, VM_EXIT } from "../cpu.ts";
import { MAX_BLOCK } from "../code/block.ts";
import { LEFT_BUDGET } from "../code/codes.ts";
import { CPU, REC } from "../state-layout.ts";
import { DR6, VECTOR } from "../../../isa/index.ts";
import { entryFailure, completeIo, deliverAll, initCpu, raiseDebug, raiseFault, resetCpu, startup } from "../sys/index.ts";
import type { Translator } from "../translate/index.ts";
import { Callouts, IF, LEFT_DEFAULT, LEFT_STOP, RF, TF, WORK_LIMIT } from "./callouts.ts";
import {
  EXIT_BUDGET,
  EXIT_EARLY,
  EXIT_HLT,
  EXIT_INIT,
  EXIT_INTERRUPT,
  EXIT_MTF,
  EXIT_NMI_WINDOW,
  EXIT_TIMER,
  EXIT_TRIPLE,
  EXIT_WINDOW,
  plain,
} from "../exits.ts";
import type { SoftIntercepts } from "./intercepts.ts";
import { VcpuRegisters } from "./registers.ts";
import { loadCpu, saveCpu } from "./state.ts";

/** Taken from the budget to make generated code stop at its next control transfer. */
const DEBT = 0x40000000;
/** Longest run of generated code in one call: V8 replaces baseline by optimised code only at calls. */
const SLICE = 100_000;
/**
 * Instructions that the first tier runs. V8 takes some 60 ms of a core to optimise the main function: a guest that mostly calls the BIOS, sleeps,
 * or ends soon does without.
 */
const FIRST_TIER = 4_000_000;
/** With the translator: the ends are the samples that find hot code. */
const SAMPLING_SLICE = 24_000;
/** Work of a fault, and of decoding a block; see WORK_LIMIT. */
const FAULT_WORK = 4,
  DECODE_WORK = 8;

/** The engine's run loop around generated code: events, exact budgets, single steps, faults. */
export class SoftVcpu extends VcpuRegisters implements EngineVcpu {
  readonly intercepts: SoftIntercepts;
  readonly finder: CodeFinder;
  readonly #out: Callouts;
  #run: (rec: number) => number = () => 0;
  #runMain = this.#run;
  #firstTier = 0;
  /** Instructions retired up to the load of the current budget. */
  #retired = 0;
  /** Budget as loaded into CPU.budget. */
  #loaded = 0;
  #inRun = false;
  #lastExit: VmExit | undefined;
  #calls = 0;
  #faults = 0;
  #interrupts = 0;
  #stopAt = Number.POSITIVE_INFINITY;
  #sliceLength = SLICE;

  constructor(cpu: Cpu, finder: CodeFinder) {
    super(cpu);
    this.finder = finder;
    this.intercepts = cpu.intercepts;
    this.#out = new Callouts(cpu, finder);
    cpu.intercepts.onChange(() => {
      if (this.#inRun) this.#interceptsChanged();
    });
  }
  get onVmcall(): ((exit: VmExit) => boolean) | undefined {
    return this.#out.onVmcall;
  }
  set onVmcall(handler: ((exit: VmExit) => boolean) | undefined) {
    this.#out.onVmcall = handler;
  }
  get imports(): Callouts["imports"] {
    return this.#out.imports;
  }
  /** `first` runs the CPU until it has retired `firstTier` instructions, `main` from then on: the same, faster, and dear to compile. */
  setRun(first: (rec: number) => number, main: (rec: number) => number, firstTier = FIRST_TIER): void {
    this.#run = first;
    this.#runMain = main;
    this.#firstTier = firstTier;
  }
  setTranslator(translator: Translator): void {
    this.#out.translator = translator;
    this.#sliceLength = SAMPLING_SLICE;
  }

  run(entry: VmEntry, budget: number): VmExit {
    const cpu = this.cpu;
    cpu.u32[CPU.portsSlow.offset >> 2] = this.intercepts.unconditionalIo ? 1 : 0;
    const inject = entry.kind === "run" || entry.kind === "skip" ? entry.inject : undefined;
    if (cpu.edited || inject !== undefined) {
      const message = entryFailure(cpu, inject);
      if (message !== undefined) return { kind: "entry-failure", message, ...plain("entry-failure") };
      cpu.edited = false;
    }
    this.#enter(entry);
    this.#stopAt = this.#retired + Math.max(0, Math.floor(budget));
    cpu.exit = undefined;
    // A stop asked for in a run that ended otherwise is over.
    cpu.u32[CPU.pending.offset >> 2] &= ~PENDING.stop;
    this.#out.work = 0;
    const exit = this.#loop();
    this.#lastExit = exit;
    return exit;
  }
  #enter(entry: VmEntry): void {
    const cpu = this.cpu;
    const last = this.#lastExit;
    this.#lastExit = undefined;
    // The monitor did not want the INIT, nor the SIPI that followed it.
    if (last === EXIT_INIT) this.#startupVector = -1;
    switch (entry.kind) {
      case "run":
      case "skip":
        if (entry.kind === "skip" && last !== undefined) {
          if (last.kind === "mmio-write") cpu.mmu.written = last.gpa;
          else if (last.kind === "io-out" || last.kind === "io-in") this.#completeIo(entry, last);
          else if (last.instructionLength > 0) {
            cpu.rip = BigInt.asUintN(cpu.code64 ? 64 : 32, cpu.rip + BigInt(last.instructionLength));
            this.#completed(true);
          }
        }
        if (entry.inject !== undefined) {
          const e = entry.inject;
          cpu.halted = false;
          // Counted, as a fault is: a monitor that answers the handler's first instruction with the same event would never see time pass.
          this.#retired++;
          this.#deliver(e.type, e.vector, e.errorCode, e.instructionLength ?? 0);
        }
        break;
      case "io-in":
        if (last !== undefined) this.#completeIo(entry, last);
        break;
      case "mmio-read":
        if (last !== undefined && last.kind === "mmio-read") cpu.mmu.answer = { gpa: last.gpa, value: entry.value };
        break;
    }
  }
  #completeIo(entry: VmEntry, last: VmExit): void {
    try {
      const done = completeIo(this.cpu, entry, last);
      if (done !== undefined) this.#completed(done);
    } catch (e) {
      if (e === this.cpu.fault) this.#fault();
      else if (e !== VM_EXIT) throw e;
    }
  }
  /** The monitor has done an instruction, or (`whole` false) an iteration of a repeated one: what would have come behind it comes. */
  #completed(whole: boolean): void {
    const { cpu } = this;
    cpu.u32[CPU.shadow.offset >> 2] = 0;
    const flags = cpu.systemFlags;
    cpu.systemFlags = whole ? flags & ~RF : flags | RF;
    if ((flags & TF) !== 0) cpu.pendingDebug |= DR6.BS;
  }
  #deliver(type: Parameters<typeof deliverAll>[1], vector: number, errorCode: number | undefined, length: number): void {
    const cpu = this.cpu;
    deliverAll(cpu, type, vector, errorCode, length);
    if (cpu.shutdown && cpu.exit === undefined) cpu.exit = EXIT_TRIPLE;
  }
  /** Delivers cpu.fault; a VM exit may come out of it (cpu.exit). */
  #fault(): void {
    const cpu = this.cpu;
    this.#faults++;
    // Counted as an instruction: a guest whose handler faults at once would otherwise stop time and never come back.
    this.#retired++;
    this.#out.work += FAULT_WORK;
    raiseFault(cpu, cpu.fault.vector, cpu.fault.errorCode);
    if (cpu.shutdown && cpu.exit === undefined) cpu.exit = EXIT_TRIPLE;
  }

  #loop(): VmExit {
    const cpu = this.cpu;
    for (;;) {
      if (cpu.exit !== undefined) return this.#take();
      if (cpu.shutdown) return EXIT_TRIPLE;
      const event = this.#events();
      if (event !== undefined) return event;
      if (cpu.exit !== undefined) return this.#take();
      if (cpu.pendingDebug !== 0 && cpu.u32[CPU.shadow.offset >> 2] !== SHADOW_SS) {
        // Delivery has met a breakpoint: #DB comes before the handler's first instruction. Counted, since a handler of #DB may meet it for ever.
        if (++this.#retired >= this.#stopAt) return EXIT_BUDGET;
        continue;
      }
      if (cpu.halted) return EXIT_HLT;
      let remaining = this.#stopAt - this.#retired;
      const timer = this.intercepts.preemptionTimer;
      if (timer !== undefined) {
        if (timer <= 0) {
          this.intercepts.preemptionTimer = undefined;
          return EXIT_TIMER;
        }
        remaining = Math.min(remaining, timer);
      }
      if (remaining <= 0 || (cpu.u32[CPU.pending.offset >> 2] & PENDING.stop) !== 0) {
        cpu.u32[CPU.pending.offset >> 2] &= ~PENDING.stop;
        return EXIT_BUDGET;
      }
      if (this.#out.work > WORK_LIMIT) return EXIT_EARLY;
      this.finder.code.insns.reclaim();
      const before = this.#retired;
      const { decoded } = this.finder.code.blocks;
      const { timerWrites } = this.intercepts;
      const exit = this.#slice(Math.min(remaining, this.#sliceLength));
      this.#out.work += (this.finder.code.blocks.decoded - decoded) * DECODE_WORK;
      // Set from inside the slice, it counts from there, which is its end.
      if (timer !== undefined && this.intercepts.timerWrites === timerWrites) this.intercepts.preemptionTimer = timer - (this.#retired - before);
      if (exit !== undefined) return exit;
    }
  }
  #take(): VmExit {
    const exit = this.cpu.exit ?? EXIT_BUDGET;
    this.cpu.exit = undefined;
    return exit;
  }

  /** NMI, INTR, windows, at an instruction boundary. */
  #events(): VmExit | undefined {
    const cpu = this.cpu;
    const pending = cpu.u32[CPU.pending.offset >> 2];
    if ((pending & PENDING.init) !== 0) {
      cpu.u32[CPU.pending.offset >> 2] &= ~PENDING.init;
      return EXIT_INIT;
    }
    if (cpu.waitForSipi) {
      // Everything else stays pending.
      const vector = this.#startupVector;
      if (vector < 0) return EXIT_HLT;
      this.#startupVector = -1;
      return { kind: "sipi", vector, ...plain("sipi", BigInt(vector)) };
    }
    const shadow = cpu.u32[CPU.shadow.offset >> 2];
    if (cpu.pendingDebug !== 0 && shadow !== SHADOW_SS) {
      const conditions = cpu.pendingDebug;
      cpu.pendingDebug = 0;
      cpu.halted = false;
      raiseDebug(cpu, conditions);
      if (cpu.shutdown && cpu.exit === undefined) cpu.exit = EXIT_TRIPLE;
      return undefined;
    }
    if ((pending & PENDING.nmi) !== 0 && !cpu.nmiBlocked && shadow === 0) {
      cpu.u32[CPU.pending.offset >> 2] &= ~PENDING.nmi;
      cpu.halted = false;
      if (this.intercepts.nmi) return { kind: "exception", vector: VECTOR.NMI, errorCode: undefined, event: "nmi", ...plain("exception") };
      cpu.nmiBlocked = true;
      this.#deliver("nmi", VECTOR.NMI, undefined, 0);
      return undefined;
    }
    if (this.intercepts.nmiWindow && !cpu.nmiBlocked && shadow === 0) return EXIT_NMI_WINDOW;
    const open = (cpu.systemFlags & IF) !== 0 && shadow === 0;
    if (open && this.intercepts.interruptWindow) return EXIT_WINDOW;
    if ((pending & PENDING.intr) !== 0) {
      if (this.intercepts.externalInterrupt) return EXIT_INTERRUPT;
      if (open) {
        cpu.halted = false;
        this.#interrupts++;
        this.#deliver("external", (cpu.localApic ?? cpu.io).interruptAcknowledge() & 0xff, undefined, 0);
      }
    }
    return undefined;
  }

  /** Runs generated code for at most `budget` instructions. */
  #slice(budget: number): VmExit | undefined {
    const cpu = this.cpu;
    const flags = cpu.systemFlags;
    const shadow = cpu.u32[CPU.shadow.offset >> 2];
    const { armed } = cpu.mmu.breakpoints;
    const { mtf } = this.intercepts;
    const step = (flags & (TF | RF)) !== 0 || shadow !== 0 || armed || mtf;
    // The instruction behind a load of SS runs as if RF were set.
    if (armed && (flags & RF) === 0 && shadow !== SHADOW_SS && this.#breakpointAt()) return undefined;
    const limit = step ? 1 : budget >= MAX_BLOCK ? MAX_BLOCK : budget;
    const { finder } = this;
    let skipped = 0;
    let rec: number;
    if (limit === MAX_BLOCK && finder.stoppedInside) {
      rec = finder.resume(cpu.u32[CPU.rip.offset >> 2], cpu.u32[(CPU.rip.offset >> 2) + 1]);
      skipped = finder.skipped;
    } else rec = this.#out.find(limit);
    if (rec === 0) return this.#afterFault();
    // In the middle of a block: its records charge for what came before, too.
    if (skipped > 0) return this.#execute(rec, budget, false, skipped);
    if (limit === MAX_BLOCK && this.#out.translator?.eager === true) this.#out.translator.touch(rec, 1);
    if (cpu.u16[(rec + REC.blockCount) >> 1] > budget) {
      // A kept block longer than what is left: find() makes a short one when asked for fewer.
      const short = this.#out.find(Math.min(budget, MAX_BLOCK - 1));
      if (short === 0) return this.#afterFault();
      return this.#execute(short, Math.min(budget, cpu.u16[(short + REC.blockCount) >> 1]), false);
    }
    if (step) return this.#step(rec) ?? (mtf ? EXIT_MTF : undefined);
    return this.#execute(rec, limit < MAX_BLOCK ? Math.min(budget, cpu.u16[(rec + REC.blockCount) >> 1]) : budget, false);
  }
  #faulted = false;
  /**
   * One instruction and what comes behind it (SDM vol. 3A 6.8.3, vol. 3B 18.3.1). RF is cleared as it begins, so that what loads RFLAGS or stops
   * between two iterations decides on it. The single-step trap is lost behind an instruction that holds debug exceptions off.
   */
  #step(rec: number): VmExit | undefined {
    const { cpu } = this;
    const at = CPU.shadow.offset >> 2;
    const shadow = cpu.u32[at];
    cpu.singleStep = (cpu.systemFlags & TF) !== 0;
    const exit = this.#execute(rec, 1, true);
    if (exit !== undefined) return exit;
    // A shadow covers one instruction. The next one may open another, not renew it.
    if (cpu.u32[at] === shadow) cpu.u32[at] = 0;
    if (cpu.singleStep && !this.#faulted && cpu.u32[at] !== SHADOW_SS) cpu.pendingDebug |= DR6.BS;
    return undefined;
  }
  /** Instruction breakpoints in DR0-DR3 at the current address: #DB before the instruction. */
  #breakpointAt(): boolean {
    const cpu = this.cpu;
    const la = cpu.code64 ? cpu.rip : BigInt((cpu.baseNumber(CS) + cpu.eip) >>> 0);
    const hit = cpu.mmu.breakpoints.onInstruction(la);
    if (hit === 0) return false;
    // Counted, as a fault is: the handler may have the next breakpoint on its first instruction.
    this.#retired++;
    raiseDebug(cpu, hit);
    if (cpu.shutdown && cpu.exit === undefined) cpu.exit = EXIT_TRIPLE;
    return true;
  }
  #afterFault(): VmExit | undefined {
    if (this.cpu.exit !== undefined) return this.#take();
    this.#fault();
    return undefined;
  }

  /** `skipped`: instructions of its block before `rec`. */
  #execute(rec: number, budget: number, stepping: boolean, skipped = 0): VmExit | undefined {
    const cpu = this.cpu;
    const at = CPU.budget.offset >> 2;
    cpu.i32[at] = this.#loaded = budget + skipped;
    this.#retired -= skipped;
    this.#out.kicked = false;
    this.#inRun = true;
    this.#out.stepping = stepping;
    this.#out.accessing = false;
    this.#out.left = LEFT_DEFAULT;
    this.#out.flushes = this.finder.code.blocks.flushes;
    this.#out.remember();
    this.#faulted = false;
    this.#calls++;
    if (this.#retired >= this.#firstTier) this.#run = this.#runMain;
    const why = this.#run(rec);
    this.#inRun = false;
    if (this.#out.kicked) this.finder.code.stops.mend();
    this.#out.stepping = false;
    const left = this.#out.left;
    if (why === LEFT_BUDGET) {
      if (this.#out.translator !== undefined) {
        // Samples at even distances would meet the same block of a loop again and again.
        this.#out.translator.sample(cpu.u32[CPU.curRec.offset >> 2], this.#loaded - cpu.i32[at] - (this.#out.kicked ? DEBT : 0));
        this.#sliceLength = SAMPLING_SLICE + (this.#retired & 0xfff);
      }
      // The block in curRec has not been entered.
      this.#out.setRip(cpu.u16[(cpu.u32[CPU.curRec.offset >> 2] + REC.ipOff) >> 1]);
    } else if (left === LEFT_DEFAULT) {
      // A fault or exit from inside a handler: the instruction in curRec did not happen.
      this.#out.unwindTo(cpu.u32[CPU.curRec.offset >> 2]);
      this.#out.restore();
    }
    if (this.#out.kicked) cpu.i32[at] += DEBT;
    this.#out.kicked = false;
    this.#retired += budget + skipped - cpu.i32[at];
    this.#loaded = 0;
    cpu.i32[at] = 0;
    if (why === LEFT_BUDGET || left === LEFT_STOP) return undefined;
    if (this.#out.again) return this.#again();
    this.#faulted = true;
    if (cpu.exit !== undefined) return this.#take();
    this.#fault();
    return undefined;
  }

  /** Does one instruction that a region has left undone; devices are not asked a second time. */
  #again(): VmExit | undefined {
    const { mmu } = this.cpu;
    this.#out.again = false;
    mmu.repeating = true;
    const rec = this.#out.find(1);
    const exit = rec === 0 ? this.#afterFault() : this.#execute(rec, 1, true);
    mmu.repeating = false;
    return exit;
  }

  instructionCount(): number {
    if (!this.#inRun) return this.#retired;
    const cpu = this.cpu;
    const left = cpu.i32[CPU.budget.offset >> 2] + (this.#out.kicked ? DEBT : 0);
    const charged = this.#retired + (this.#loaded - left);
    return this.#out.fetching ? charged : charged + cpu.u16[(cpu.u32[CPU.curRec.offset >> 2] + REC.count) >> 1];
  }
  #kick(): void {
    if (!this.#inRun || this.#out.kicked) return;
    this.#out.kicked = true;
    this.cpu.i32[CPU.budget.offset >> 2] -= DEBT;
    this.#out.stopBehind();
  }
  #interceptsChanged(): void {
    this.cpu.u32[CPU.portsSlow.offset >> 2] = this.intercepts.unconditionalIo ? 1 : 0;
    this.#kick();
  }
  /** From inside a `GuestIo` call: the run ends behind the instruction, and the next one begins with the checks of a VM entry. */
  protected override touched(): void {
    super.touched();
    if (this.#inRun && !this.#out.calling) this.requestStop();
  }
  requestStop(): void {
    if (!this.#inRun) return;
    this.cpu.u32[CPU.pending.offset >> 2] |= PENDING.stop;
    this.#kick();
  }
  setApicPage(gpa: number | undefined): void {
    this.cpu.apicPage = gpa === undefined ? -1 : Math.floor(gpa / 4096);
    this.cpu.mmu.flushAll(true);
  }
  /** Where the pending-work bits lie, as an index of 32-bit words. */
  protected pendingIndex(): number {
    return CPU.pending.offset >> 2;
  }
  setInterruptLine(level: boolean): void {
    const at = this.pendingIndex();
    if (!level) {
      this.cpu.u32[at] &= ~PENDING.intr;
      return;
    }
    this.cpu.u32[at] |= PENDING.intr;
    if ((this.cpu.systemFlags & IF) !== 0 || this.intercepts.externalInterrupt) this.#kick();
  }
  raiseNmi(): void {
    this.cpu.u32[this.pendingIndex()] |= PENDING.nmi;
    this.#kick();
  }
  /** The SIPI that came while the CPU waited for one, or -1. */
  #startupVector = -1;
  raiseInit(): void {
    this.#startupVector = -1;
    if (this.cpu.waitForSipi) return;
    this.cpu.u32[this.pendingIndex()] |= PENDING.init;
    this.#kick();
  }
  raiseStartup(vector: number): void {
    // One that follows an INIT closely is for the time after it.
    if (this.cpu.waitForSipi || this.#lastExit === EXIT_INIT || (this.cpu.u32[this.pendingIndex()] & PENDING.init) !== 0)
      this.#startupVector = vector & 0xff;
  }
  init(): void {
    initCpu(this.cpu);
    this.cpu.waitForSipi = true;
    if (this.#lastExit !== EXIT_INIT) this.#startupVector = -1;
    this.#lastExit = undefined;
  }
  startup(vector: number): void {
    startup(this.cpu, vector);
  }
  get halted(): boolean {
    return this.cpu.halted;
  }
  setHalted(halted: boolean): void {
    this.cpu.edited = true;
    this.cpu.halted = halted;
  }
  reset(): void {
    resetCpu(this.cpu);
    this.#startupVector = -1;
    this.cpu.u32[CPU.pending.offset >> 2] &= PENDING.intr;
    this.cpu.u32[CPU.shadow.offset >> 2] = 0;
    this.#lastExit = undefined;
    this.cpu.mmu.flushAll(true);
  }
  saveState(): VcpuStateV1 {
    this.cpu.mmu.flushAll(true);
    return saveCpu(this.cpu, { instructions: this.#retired, startup: this.#startupVector });
  }
  loadState(state: VcpuStateV1): void {
    const { instructions, startup: vector } = loadCpu(this.cpu, state);
    this.#retired = instructions;
    this.#startupVector = vector;
    this.#lastExit = undefined;
  }
  /** Inside a `GuestIo` call: of the instruction that asks. Generated code keeps no RIP, so that the way there costs nothing. */
  override getRip(): bigint {
    return this.#inRun && this.#out.accessing ? this.#out.accessingIp : this.cpu.rip;
  }
  override getRip32(): number {
    return this.#inRun && this.#out.accessing ? Number(BigInt.asUintN(32, this.#out.accessingIp)) : this.cpu.u32[CPU.rip.offset >> 2];
  }
  override setRip(value: bigint): void {
    super.setRip(value);
    this.#lastExit = undefined;
  }
  override advanceRip(bytes: number): void {
    super.advanceRip(bytes);
    this.#lastExit = undefined;
  }
  stats(): EngineStats {
    const { blocks, insns } = this.finder.code;
    return {
      calls: this.#calls,
      faults: this.#faults,
      interrupts: this.#interrupts,
      helperCalls: this.#out.helperCalls,
      slowReads: this.#out.slowReads,
      slowWrites: this.#out.slowWrites,
      decodedBlocks: blocks.decoded,
      keptInstructions: insns.kept,
      codeInvalidations: blocks.invalidations,
      codeFlushes: blocks.flushes,
      ...this.#out.translator?.stats(),
    };
  }
}
