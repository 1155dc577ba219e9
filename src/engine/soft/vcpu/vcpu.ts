import { DR6, FLAG, VECTOR } from "../../../isa/index.ts";
import type { EngineStats, EngineVcpu, EventType, VcpuStateV1, VmEntry, VmExit } from "../../api/index.ts";
import type { CodeFinder } from "../code/finder.ts";
import type { Cpu } from "../cpu.ts";
import { PENDING, SHADOW_SS, VM_EXIT } from "../cpu-state.ts";
import {
  EXIT_BUDGET,
  EXIT_EARLY,
  EXIT_HLT,
  EXIT_INIT,
  EXIT_INTERRUPT,
  EXIT_NMI_WINDOW,
  EXIT_TIMER,
  EXIT_TRIPLE,
  EXIT_WINDOW,
  plain,
} from "../exits.ts";
import { STATE } from "../state-layout.ts";
import { entryFailure, completeIo, deliverAll, initCpu, raiseDebug, resetCpu, startup } from "../sys/index.ts";
import type { Translator } from "../translate/index.ts";
import { type CoreImports, Executor } from "./executor.ts";
import { GuestRun } from "./guest-run.ts";
import type { SoftIntercepts } from "../intercepts.ts";
import { VcpuRegisters } from "./registers.ts";
import { loadCpu, saveCpu } from "./state.ts";

/** Work of decoding a block, see `GuestRun.work`. */
const DECODE_WORK = 8;

/** The engine's run loop around generated code: events, exact budgets, single steps, faults. */
export class SoftVcpu extends VcpuRegisters implements EngineVcpu {
  readonly intercepts: SoftIntercepts;
  readonly finder: CodeFinder;
  readonly #run: GuestRun;
  readonly #executor: Executor;
  #lastExit: VmExit | undefined;
  #interrupts = 0;
  #stopAt = Number.POSITIVE_INFINITY;

  constructor(cpu: Cpu, finder: CodeFinder) {
    super(cpu);
    this.finder = finder;
    this.intercepts = cpu.intercepts;
    this.#run = new GuestRun(cpu, finder.code);
    this.#executor = new Executor(cpu, this.#run, finder);
    cpu.intercepts.onChange(() => {
      if (this.#run.active) this.#interceptsChanged();
    });
  }
  get onVmcall(): ((exit: VmExit) => boolean) | undefined {
    return this.#executor.onVmcall;
  }
  set onVmcall(handler: ((exit: VmExit) => boolean) | undefined) {
    this.#executor.onVmcall = handler;
  }
  get imports(): CoreImports {
    return this.#executor.imports;
  }
  /** See Executor. */
  setGenerated(...generated: Parameters<Executor["setGenerated"]>): void {
    this.#executor.setGenerated(...generated);
  }
  setTranslator(translator: Translator): void {
    this.#executor.setTranslator(translator);
  }

  run(entry: VmEntry, budget: number): VmExit {
    const cpu = this.cpu;
    cpu.u32[STATE.portsSlow.u32] = this.intercepts.unconditionalIo ? 1 : 0;
    const inject = entry.kind === "run" || entry.kind === "skip" ? entry.inject : undefined;
    if (cpu.edited || inject !== undefined) {
      const message = entryFailure(cpu, inject);
      if (message !== undefined) return { kind: "entry-failure", message, ...plain("entry-failure") };
      cpu.edited = false;
    }
    this.#enter(entry);
    this.#stopAt = this.#run.retired + Math.max(0, Math.floor(budget));
    cpu.exit = undefined;
    // A stop asked for in a run that ended otherwise is over.
    cpu.pending &= ~PENDING.stop;
    this.#run.work = 0;
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
          if (last.kind === "mmio-write") cpu.mmu.access.written = last.gpa;
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
          this.#run.retired++;
          this.#deliver(e.type, e.vector, e.errorCode, e.instructionLength ?? 0);
        }
        break;
      case "io-in":
        if (last !== undefined) this.#completeIo(entry, last);
        break;
      case "mmio-read":
        if (last !== undefined && last.kind === "mmio-read") cpu.mmu.access.answer = { gpa: last.gpa, value: entry.value };
        break;
    }
  }
  #completeIo(entry: VmEntry, last: VmExit): void {
    try {
      const done = completeIo(this.cpu, entry, last);
      if (done !== undefined) this.#completed(done);
    } catch (e) {
      if (e === this.cpu.fault) this.#executor.fault();
      else if (e !== VM_EXIT) throw e;
    }
  }
  /** The monitor has done an instruction, or (`whole` false) an iteration of a repeated one: what would have come behind it comes. */
  #completed(whole: boolean): void {
    const { cpu } = this;
    cpu.shadow = 0;
    const flags = cpu.systemFlags;
    cpu.systemFlags = whole ? flags & ~FLAG.RF : flags | FLAG.RF;
    if ((flags & FLAG.TF) !== 0) cpu.pendingDebug |= DR6.BS;
  }
  #deliver(type: EventType, vector: number, errorCode: number | undefined, length: number): void {
    const cpu = this.cpu;
    deliverAll(cpu, type, vector, errorCode, length);
    if (cpu.shutdown && cpu.exit === undefined) cpu.exit = EXIT_TRIPLE;
  }
  #loop(): VmExit {
    const cpu = this.cpu;
    for (;;) {
      if (cpu.exit !== undefined) return this.#executor.take();
      if (cpu.shutdown) return EXIT_TRIPLE;
      const event = this.#events();
      if (event !== undefined) return event;
      if (cpu.exit !== undefined) return this.#executor.take();
      if (cpu.pendingDebug !== 0 && cpu.shadow !== SHADOW_SS) {
        // Delivery has met a breakpoint: #DB comes before the handler's first instruction. Counted, since a handler of #DB may meet it for ever.
        if (++this.#run.retired >= this.#stopAt) return EXIT_BUDGET;
        continue;
      }
      if (cpu.halted) return EXIT_HLT;
      let remaining = this.#stopAt - this.#run.retired;
      const timer = this.intercepts.preemptionTimer;
      if (timer !== undefined) {
        if (timer <= 0) {
          this.intercepts.preemptionTimer = undefined;
          return EXIT_TIMER;
        }
        remaining = Math.min(remaining, timer);
      }
      if (remaining <= 0 || (cpu.pending & PENDING.stop) !== 0) {
        cpu.pending &= ~PENDING.stop;
        return EXIT_BUDGET;
      }
      if (this.#run.overworked) return EXIT_EARLY;
      this.finder.code.insns.reclaim();
      const before = this.#run.retired;
      const { decoded } = this.finder.code.blocks;
      const { timerWrites } = this.intercepts;
      const exit = this.#executor.slice(Math.min(remaining, this.#executor.sliceLength));
      this.#run.work += (this.finder.code.blocks.decoded - decoded) * DECODE_WORK;
      // Set from inside the slice, it counts from there, which is its end.
      if (timer !== undefined && this.intercepts.timerWrites === timerWrites) this.intercepts.preemptionTimer = timer - (this.#run.retired - before);
      if (exit !== undefined) return exit;
    }
  }
  /** NMI, INTR, windows, at an instruction boundary. */
  #events(): VmExit | undefined {
    const cpu = this.cpu;
    const pending = cpu.pending;
    if ((pending & PENDING.init) !== 0) {
      cpu.pending &= ~PENDING.init;
      return EXIT_INIT;
    }
    if (cpu.waitForSipi) {
      // Everything else stays pending.
      const vector = this.#startupVector;
      if (vector < 0) return EXIT_HLT;
      this.#startupVector = -1;
      return { kind: "sipi", vector, ...plain("sipi", BigInt(vector)) };
    }
    const shadow = cpu.shadow;
    if (cpu.pendingDebug !== 0 && shadow !== SHADOW_SS) {
      const conditions = cpu.pendingDebug;
      cpu.pendingDebug = 0;
      cpu.halted = false;
      raiseDebug(cpu, conditions);
      if (cpu.shutdown && cpu.exit === undefined) cpu.exit = EXIT_TRIPLE;
      return undefined;
    }
    if ((pending & PENDING.nmi) !== 0 && !cpu.nmiBlocked && shadow === 0) {
      cpu.pending &= ~PENDING.nmi;
      cpu.halted = false;
      if (this.intercepts.nmi) return { kind: "exception", vector: VECTOR.NMI, errorCode: undefined, event: "nmi", ...plain("exception") };
      cpu.nmiBlocked = true;
      this.#deliver("nmi", VECTOR.NMI, undefined, 0);
      return undefined;
    }
    if (this.intercepts.nmiWindow && !cpu.nmiBlocked && shadow === 0) return EXIT_NMI_WINDOW;
    const open = (cpu.systemFlags & FLAG.IF) !== 0 && shadow === 0;
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

  instructionCount(): number {
    return this.#run.count;
  }
  #interceptsChanged(): void {
    this.cpu.u32[STATE.portsSlow.u32] = this.intercepts.unconditionalIo ? 1 : 0;
    this.#run.kick();
  }
  /** From inside a `GuestIo` call: the run ends behind the instruction, and the next one begins with the checks of a VM entry. */
  protected override touched(): void {
    super.touched();
    if (this.#run.active && !this.#run.calling) this.requestStop();
  }
  requestStop(): void {
    if (!this.#run.active) return;
    this.cpu.pending |= PENDING.stop;
    this.#run.kick();
  }
  setApicPage(gpa: number | undefined): void {
    this.cpu.apicPage = gpa === undefined ? -1 : Math.floor(gpa / 4096);
    this.cpu.mmu.flushAll(true);
  }
  /** Where the pending-work bits lie, as an index of 32-bit words. */
  protected pendingIndex(): number {
    return STATE.pending.u32;
  }
  setInterruptLine(level: boolean): void {
    const at = this.pendingIndex();
    if (!level) {
      this.cpu.u32[at] &= ~PENDING.intr;
      return;
    }
    this.cpu.u32[at] |= PENDING.intr;
    if ((this.cpu.systemFlags & FLAG.IF) !== 0 || this.intercepts.externalInterrupt) this.#run.kick();
  }
  raiseNmi(): void {
    this.cpu.u32[this.pendingIndex()] |= PENDING.nmi;
    this.#run.kick();
  }
  /** The SIPI that came while the CPU waited for one, or -1. */
  #startupVector = -1;
  raiseInit(): void {
    this.#startupVector = -1;
    if (this.cpu.waitForSipi) return;
    this.cpu.u32[this.pendingIndex()] |= PENDING.init;
    this.#run.kick();
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
    this.cpu.pending &= PENDING.intr;
    this.cpu.shadow = 0;
    this.#lastExit = undefined;
    this.cpu.mmu.flushAll(true);
  }
  saveState(): VcpuStateV1 {
    this.cpu.mmu.flushAll(true);
    return saveCpu(this.cpu, { instructions: this.#run.retired, startup: this.#startupVector });
  }
  loadState(state: VcpuStateV1): void {
    const { instructions, startup: vector } = loadCpu(this.cpu, state);
    this.#run.retired = instructions;
    this.#startupVector = vector;
    this.#lastExit = undefined;
  }
  /** Inside a `GuestIo` call: of the instruction that asks. Generated code keeps no RIP, so that the way there costs nothing. */
  override getRip(): bigint {
    return this.#run.active && this.#run.accessing ? this.#run.accessingIp : this.cpu.rip;
  }
  override getRip32(): number {
    return this.#run.active && this.#run.accessing ? Number(BigInt.asUintN(32, this.#run.accessingIp)) : this.cpu.u32[STATE.rip.u32];
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
    const { calls, faults, ...others } = this.#executor.stats();
    return { calls, faults, interrupts: this.#interrupts, ...others };
  }
}
