import type { ControlRegister, EngineStats, EngineVcpu, FpuState, Intercepts, SegmentName, SegmentState, VmEntry, VmExit } from "../api/index.ts";
import { SEGMENT_NAMES } from "../api/index.ts";
import type { Insn } from "../../isa/index.ts";
import { type Cpu, CS, PENDING, type SystemHelper, VM_EXIT } from "./cpu.ts";
import { LEFT_BUDGET } from "./interp/build.ts";
import { CPU, REC } from "./state-layout.ts";
import { completeIo, deliverAll, initCpu, raiseDebug, raiseFault, readMsr, resetCpu, startup, SYSTEM, writeMsr } from "./sys/index.ts";
import { FALLBACK } from "./fallback.ts";
import { FPU } from "./fpu/index.ts";
import { waitForErrors } from "./fpu/stack.ts";
import { isAvailable } from "./sys/available.ts";
import { readFpuState, writeFpuState } from "./fpu/state.ts";
import type { Translator } from "./translate/index.ts";

/** Taken from the budget to make generated code stop at its next control transfer. */
const DEBT = 0x40000000;
/** Longest run of generated code in one call: V8 replaces baseline by optimised code only at calls. */
const SLICE = 100_000;
/** With the translator, while code is interpreted: its ends are the samples that find hot code. */
const SAMPLING_SLICE = 16_000;
/**
 * Work beyond plain instructions that one run may do, in rough microseconds: faults and repeated strings over devices cost many times what
 * an instruction does, and the host's event loop waits for the run. Counted, not measured, so that runs repeat exactly.
 */
const WORK_LIMIT = 20_000;
const FAULT_WORK = 4,
  CHUNK_WORK = 20,
  DECODE_WORK = 8;
const FULL_BLOCK = 64;
const TF = 0x100,
  IF = 0x200,
  RF = 0x10000;

const EXIT_BUDGET: VmExit = { kind: "budget", reason: 52, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
const EXIT_HLT: VmExit = { kind: "hlt", reason: 12, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
const EXIT_MTF: VmExit = { kind: "mtf", reason: 37, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
const EXIT_INTERRUPT: VmExit = { kind: "external-interrupt", reason: 1, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
const EXIT_WINDOW: VmExit = { kind: "interrupt-window", reason: 7, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
const EXIT_NMI_WINDOW: VmExit = { kind: "nmi-window", reason: 8, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
const EXIT_TIMER: VmExit = { kind: "preemption-timer", reason: 52, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
const EXIT_INIT: VmExit = { kind: "init", reason: 3, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
const EXIT_TRIPLE: VmExit = { kind: "triple-fault", reason: 2, qualification: 0n, instructionLength: 0, instructionInfo: 0 };

/** The engine's run loop around generated code: events, exact budgets, single steps, helpers, faults. */
export class SoftVcpu implements EngineVcpu {
  readonly cpu: Cpu;
  readonly intercepts: Intercepts;
  #run: (rec: number) => number = () => 0;
  /** Instructions retired up to the load of the current budget. */
  #retired = 0;
  /** Budget as loaded into CPU.budget. */
  #loaded = 0;
  #inRun = false;
  #kicked = false;
  #lastExit: VmExit | undefined;
  /** Instructions of this step may end with #DB, MTF … : one at a time. */
  #stepping = false;
  #calls = 0;
  #faults = 0;
  #interrupts = 0;
  #helperCalls = 0;
  #work = 0;
  #slowReads = 0;
  #slowWrites = 0;
  #stopAt = Number.POSITIVE_INFINITY;

  constructor(cpu: Cpu) {
    this.cpu = cpu;
    this.intercepts = cpu.intercepts;
  }
  setRun(run: (rec: number) => number): void {
    this.#run = run;
  }
  #translator: Translator | undefined;
  #sliceLength = SLICE;
  setTranslator(translator: Translator): void {
    this.#translator = translator;
    this.#sliceLength = SAMPLING_SLICE;
  }

  // ---- imports of generated code
  readonly imports = {
    slowRead: (lo: number, hi: number, sizeSegment: number): number => {
      this.#slowReads++;
      return this.#linear(lo, hi, sizeSegment) && this.cpu.mmu.slowRead(this.#la, sizeSegment & 0xff, this.cpu.cpl === 3) ? 0 : 1;
    },
    slowWrite: (lo: number, hi: number, sizeSegment: number): number => {
      this.#slowWrites++;
      return this.#linear(lo, hi, sizeSegment) && this.cpu.mmu.slowWrite(this.#la, sizeSegment & 0xff, this.cpu.cpl === 3) ? 0 : 1;
    },
    slowProbe: (lo: number, hi: number, sizeSegment: number): number =>
      this.#linear(lo, hi, sizeSegment) ? this.cpu.mmu.slowProbe(this.#la, sizeSegment & 0xff, this.cpu.cpl === 3) : 0,
    segmentSlow: (lo: number, hi: number, flags: number): number =>
      this.cpu.mmu.segmentAllows(flags & 0x7f, (hi >>> 0) * 0x100000000 + (lo >>> 0), flags >>> 8, (flags & 0x80) !== 0) ? 0 : 1,
    raise: (vector: number, errorCode: number): number => {
      this.cpu.fault.vector = vector;
      this.cpu.fault.errorCode = errorCode < 0 ? undefined : errorCode;
      return 0;
    },
    portIn: (port: number, bytes: number): number => {
      const value = this.cpu.io.portRead(port, bytes === 1 ? 1 : 2);
      return value < 0 ? -1 : this.#looked() ? value | 0x10000 : value;
    },
    portOut: (port: number, bytes: number, value: number): number =>
      this.cpu.io.portWrite(port, bytes === 1 ? 1 : 2, bytes === 1 ? value & 0xff : value & 0xffff) ? (this.#looked() ? 1 : 0) : 2,
    helper: (rec: number): number => this.#helper(rec),
    findLink: (rec: number): number => this.#findLink(rec),
    findIp: (rec: number): number => this.#findIp(rec),
    breakAt: (rec: number): number => this.#breakAt(rec),
  };
  #la = 0;
  /** Linear address from halves into #la; a non-canonical one records #GP(0)/#SS(0). #AC and data breakpoints are looked at here too. */
  #linear(lo: number, hi: number, sizeSegment: number): boolean {
    const cpu = this.cpu;
    if (!cpu.code64) {
      this.#la = lo >>> 0;
    } else {
      if ((hi << 16) >> 16 !== hi) {
        cpu.fault.vector = sizeSegment >>> 8 === 2 ? 12 : 13;
        cpu.fault.errorCode = 0;
        return false;
      }
      this.#la = hi * 0x100000000 + (lo >>> 0);
    }
    if (cpu.cpl === 3 && (cpu.systemFlags & 0x40000) !== 0 && (cpu.cr0 & 0x40000) !== 0 && (lo & ((sizeSegment & 0xff) - 1)) !== 0) {
      cpu.fault.vector = 17;
      cpu.fault.errorCode = 0;
      return false;
    }
    return true;
  }

  /** After a port access: whether a chip's answer wants the run loop (interrupt, stop) or moved the code under our feet. */
  #looked(): boolean {
    return this.#kicked || this.#stepping || this.cpu.mmu.code.flushes !== this.#flushes;
  }
  #flushes = 0;

  /** Sets CPU.rip to ipBase + offset, masked. */
  #setRip(offset: number): void {
    const u32 = this.cpu.u32;
    const base = CPU.ipBase.offset >> 2;
    const rip = CPU.rip.offset >> 2;
    const lo = u32[base] + offset;
    if (this.cpu.code64) {
      u32[rip] = lo >>> 0;
      u32[rip + 1] = u32[base + 1] + (lo > 0xffffffff ? 1 : lo < 0 ? -1 : 0);
    } else {
      u32[rip] = (lo & u32[CPU.ipMask.offset >> 2]) >>> 0;
      u32[rip + 1] = 0;
    }
  }
  #charge(instructions: number): void {
    this.cpu.i32[CPU.budget.offset >> 2] -= instructions;
  }
  /** The record's instruction did not happen: charge those before it, RIP points at it. */
  #unwindTo(rec: number): void {
    this.#charge(this.cpu.u16[(rec + REC.count) >> 1]);
    this.#setRip(this.cpu.u16[(rec + REC.ipOff) >> 1]);
  }
  /** Whether something waits that the run loop must see before the next instruction. */
  #mustStop(): boolean {
    if (this.#kicked || this.#stepping) return true;
    const cpu = this.cpu;
    if (cpu.halted || cpu.pendingDebug !== 0) return true;
    const flags = cpu.systemFlags;
    if ((flags & TF) !== 0) return true;
    const pending = cpu.u32[CPU.pending.offset >> 2];
    if (cpu.u32[CPU.shadow.offset >> 2] !== 0) {
      // With nothing waiting, and at least one more instruction sure to run before anything can, the shadow is over unseen.
      if (pending !== 0 || cpu.i32[CPU.budget.offset >> 2] <= FULL_BLOCK || this.intercepts.interruptWindow || this.intercepts.nmiWindow) return true;
      cpu.u32[CPU.shadow.offset >> 2] = 0;
    }
    return pending !== 0 && ((pending & ~PENDING.intr) !== 0 || (flags & IF) !== 0);
  }
  #find(limit: number): number {
    const u32 = this.cpu.u32;
    return this.cpu.mmu.code.find(u32[CPU.rip.offset >> 2], u32[(CPU.rip.offset >> 2) + 1], limit);
  }

  /** System helper: 1 = on to the next record, 0 = leave, else the block to go on with. */
  #helper(rec: number): number {
    const cpu = this.cpu;
    this.#helperCalls++;
    this.#work++;
    cpu.u32[CPU.curRec.offset >> 2] = rec;
    const count = cpu.u16[(rec + REC.count) >> 1];
    const index = cpu.i32[(rec + REC.link) >> 2];
    const insn = cpu.mmu.code.insns[index];
    if (insn === undefined) return 0;
    const ipOff = cpu.u16[(rec + REC.ipOff) >> 1];
    this.#setRip(ipOff);
    const shadowBefore = cpu.u32[CPU.shadow.offset >> 2];
    const code = cpu.mmu.code;
    try {
      switch (code.helpers[index]?.(cpu, insn) ?? "jump") {
        case "exit":
          this.#charge(count);
          this.#setRip(ipOff);
          this.#left = LEFT_EXIT;
          return 0;
        case "next":
          if (!this.#mustStop() && code.flushes === this.#flushes && cpu.u16[(rec + REC.handler) >> 1] !== 2) return 1;
          this.#charge(count + 1);
          this.#setRip(ipOff + insn.length);
          if (this.#mustStop()) {
            this.#left = LEFT_STOP;
            return 0;
          }
          return this.#findOrFault();
        case "jump":
          this.#charge(count + 1);
          if (cpu.exit !== undefined || cpu.shutdown) {
            this.#left = LEFT_EXIT;
            return 0;
          }
          break;
        case "repeat":
          this.#charge(count);
          this.#setRip(ipOff);
          // Each chunk counts as one instruction, so that time passes.
          this.#charge(1);
          this.#work += CHUNK_WORK;
          if (this.#work > WORK_LIMIT || this.#mustStop() || cpu.i32[CPU.budget.offset >> 2] <= 0) {
            this.#left = LEFT_STOP;
            return 0;
          }
          return this.#findOrFault();
      }
    } catch (e) {
      if (e !== cpu.fault && e !== VM_EXIT) throw e;
      cpu.u32[CPU.shadow.offset >> 2] = shadowBefore;
      this.#charge(count);
      this.#setRip(ipOff);
      this.#left = e === VM_EXIT ? LEFT_EXIT : LEFT_AT_FAULT;
      return 0;
    }
    if (this.#mustStop()) {
      this.#left = LEFT_STOP;
      return 0;
    }
    return this.#findOrFault();
  }
  /** Why generated code was left, when an import decided it. */
  #left = 0;
  #findOrFault(): number {
    this.#flushes = this.cpu.mmu.code.flushes;
    const rec = this.#find(FULL_BLOCK);
    this.#flushes = this.cpu.mmu.code.flushes;
    // The branch itself is over: a fetch that faults belongs to the next instruction, after budget and events.
    if (rec === 0) this.#left = LEFT_STOP;
    else if (this.#translator !== undefined) this.#translator.touch(rec, 1);
    return rec;
  }

  /** A relative branch without a link: charges it, finds the target. */
  #findLink(rec: number): number {
    const { u8, u16, i32 } = this.cpu;
    const next = u16[(rec + REC.ipOff) >> 1] + u8[rec + REC.length];
    const target = next + i32[(rec + REC.imm) >> 2];
    const base = this.cpu.u32[CPU.ipBase.offset >> 2];
    const baseHi = this.cpu.u32[(CPU.ipBase.offset >> 2) + 1];
    this.#setRipMasked(target, u8[rec + REC.scale]);
    if (!this.cpu.code64 && this.cpu.u32[CPU.rip.offset >> 2] > this.cpu.limit(CS)) {
      // The branch itself faults.
      this.#unwindTo(rec);
      this.cpu.fault.vector = 13;
      this.cpu.fault.errorCode = 0;
      this.#left = LEFT_AT_FAULT;
      return 0;
    }
    this.#charge(u16[(rec + REC.count) >> 1] + 1);
    const found = this.#findOrFault();
    if (
      found !== 0 &&
      target >= 0 &&
      target < 4096 &&
      this.cpu.u32[CPU.ipBase.offset >> 2] === base &&
      this.cpu.u32[(CPU.ipBase.offset >> 2) + 1] === baseHi
    ) {
      this.cpu.mmu.code.link(rec, found);
    }
    return found;
  }
  #setRipMasked(offset: number, maskIndex: number): void {
    this.#setRip(offset);
    const rip = CPU.rip.offset >> 2;
    const u32 = this.cpu.u32;
    if (maskIndex === 0) u32[rip] &= 0xffff;
    if (maskIndex < 2) u32[rip + 1] = 0;
    if (maskIndex === 1 && !this.cpu.code64) {
      // A 32-bit branch in 16-bit code may go beyond 64 KB: the sum is not cut to the code size.
      u32[rip] = (u32[CPU.ipBase.offset >> 2] + offset) >>> 0;
    }
  }
  #findIp(_rec: number): number {
    return this.#findOrFault();
  }
  /** The block was invalidated under our feet: go on at the same address with fresh code. */
  #breakAt(rec: number): number {
    this.#unwindTo(rec);
    if (this.#mustStop()) {
      this.#left = LEFT_STOP;
      return 0;
    }
    return this.#findOrFault();
  }

  // ---- run loop
  run(entry: VmEntry, budget: number): VmExit {
    const cpu = this.cpu;
    cpu.u32[CPU.portsSlow.offset >> 2] = this.intercepts.unconditionalIo ? 1 : 0;
    this.#enter(entry);
    this.#stopAt = this.#retired + Math.max(0, Math.floor(budget));
    cpu.exit = undefined;
    this.#work = 0;
    const exit = this.#loop();
    this.#lastExit = exit;
    return exit;
  }
  #enter(entry: VmEntry): void {
    const cpu = this.cpu;
    const last = this.#lastExit;
    this.#lastExit = undefined;
    switch (entry.kind) {
      case "run":
      case "skip":
        if (entry.kind === "skip" && last !== undefined) {
          if (last.kind === "mmio-write") cpu.mmu.written = last.gpa;
          else if (last.kind === "io-out" || last.kind === "io-in") this.#completeIo(entry, last);
          else cpu.rip = BigInt.asUintN(64, cpu.rip + BigInt(last.instructionLength));
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
      completeIo(this.cpu, entry, last);
    } catch (e) {
      if (e === this.cpu.fault) this.#fault();
      else if (e !== VM_EXIT) throw e;
    }
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
    this.#work += FAULT_WORK;
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
      if (remaining <= 0 || this.#work > WORK_LIMIT || (cpu.u32[CPU.pending.offset >> 2] & PENDING.stop) !== 0) {
        cpu.u32[CPU.pending.offset >> 2] &= ~PENDING.stop;
        return EXIT_BUDGET;
      }
      const before = this.#retired;
      const decoded = cpu.mmu.code.decodedBlocks;
      const exit = this.#slice(Math.min(remaining, this.#sliceLength));
      this.#work += (cpu.mmu.code.decodedBlocks - decoded) * DECODE_WORK;
      if (timer !== undefined) this.intercepts.preemptionTimer = timer - (this.#retired - before);
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
      return { kind: "sipi", vector, reason: 4, qualification: BigInt(vector), instructionLength: 0, instructionInfo: 0 };
    }
    const shadow = cpu.u32[CPU.shadow.offset >> 2];
    if (cpu.pendingDebug !== 0 && shadow !== 2) {
      const conditions = cpu.pendingDebug;
      cpu.pendingDebug = 0;
      raiseDebug(cpu, conditions);
      if (cpu.shutdown && cpu.exit === undefined) cpu.exit = EXIT_TRIPLE;
      return undefined;
    }
    if ((pending & PENDING.nmi) !== 0 && !cpu.nmiBlocked && shadow === 0) {
      cpu.u32[CPU.pending.offset >> 2] &= ~PENDING.nmi;
      cpu.halted = false;
      if (this.intercepts.nmi)
        return {
          kind: "exception",
          vector: 2,
          errorCode: undefined,
          event: "nmi",
          reason: 0,
          qualification: 0n,
          instructionLength: 0,
          instructionInfo: 0,
        };
      cpu.nmiBlocked = true;
      this.#deliver("nmi", 2, undefined, 0);
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
    const codeBreakpoints = cpu.mmu.breakpointsArmed;
    const mtf = this.intercepts.mtf;
    const step = (flags & TF) !== 0 || shadow !== 0 || codeBreakpoints || mtf;
    if (codeBreakpoints && (flags & RF) === 0 && this.#breakpointAt()) return undefined;
    const limit = step ? 1 : budget >= FULL_BLOCK ? FULL_BLOCK : budget;
    const rec = this.#find(limit);
    if (rec === 0) return this.#afterFault();
    if (this.#translator !== undefined && limit === FULL_BLOCK) this.#translator.touch(rec, 1);
    if (cpu.u16[(rec + REC.blockCount) >> 1] > budget) {
      // A kept block longer than what is left: find() decodes a short one when asked for fewer.
      const short = this.#find(Math.min(budget, FULL_BLOCK - 1));
      if (short === 0) return this.#afterFault();
      return this.#execute(short, Math.min(budget, cpu.u16[(short + REC.blockCount) >> 1]), false, 0, 0);
    }
    if (step) {
      const sem = this.#semAt(rec);
      const exit = this.#execute(rec, 1, true, flags, shadow);
      if (exit !== undefined) return exit;
      this.#afterStep(flags, shadow, sem, codeBreakpoints);
      return mtf ? EXIT_MTF : undefined;
    }
    return this.#execute(rec, limit < FULL_BLOCK ? Math.min(budget, cpu.u16[(rec + REC.blockCount) >> 1]) : budget, false, 0, 0);
  }
  #semAt(rec: number): string {
    if (this.cpu.u16[(rec + REC.handler) >> 1] !== 0) return "";
    return this.cpu.mmu.code.insns[this.cpu.i32[(rec + REC.link) >> 2]]?.row.sem ?? "";
  }
  #faulted = false;
  #afterStep(flags: number, shadow: number, sem: string, codeBreakpoints: boolean): void {
    const cpu = this.cpu;
    // The shadow covers one instruction: unless this one renewed it.
    if (shadow !== 0 && sem !== "sti" && sem !== "mov_to_sreg" && sem !== "pop_sreg") cpu.u32[CPU.shadow.offset >> 2] = 0;
    else if (shadow !== 0 && cpu.u32[CPU.shadow.offset >> 2] === shadow) cpu.u32[CPU.shadow.offset >> 2] = 0;
    if (this.#faulted) return;
    if (codeBreakpoints && (flags & RF) !== 0 && sem !== "iret") cpu.systemFlags &= ~RF;
    if ((flags & TF) !== 0 && sem !== "int" && sem !== "int3" && sem !== "into" && sem !== "int1" && cpu.exit === undefined)
      cpu.pendingDebug |= 0x4000;
  }
  /** Instruction breakpoints in DR0-DR3 at the current address: #DB before the instruction. */
  #breakpointAt(): boolean {
    const cpu = this.cpu;
    const dr7 = Number(cpu.dr[7]);
    const la = cpu.code64 ? cpu.rip : BigInt((cpu.baseNumber(CS) + cpu.eip) >>> 0);
    let hit = 0;
    for (let i = 0; i < 4; i++) {
      if (((dr7 >> (i * 2)) & 3) !== 0 && ((dr7 >> (16 + i * 4)) & 3) === 0 && cpu.dr[i] === la) hit |= 1 << i;
    }
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

  #execute(rec: number, budget: number, stepping: boolean, _flags: number, _shadow: number): VmExit | undefined {
    const cpu = this.cpu;
    const at = CPU.budget.offset >> 2;
    cpu.i32[at] = this.#loaded = budget;
    this.#kicked = false;
    this.#inRun = true;
    this.#stepping = stepping;
    this.#left = LEFT_DEFAULT;
    this.#flushes = cpu.mmu.code.flushes;
    this.#faulted = false;
    this.#calls++;
    const why = this.#run(rec);
    this.#inRun = false;
    this.#stepping = false;
    const left = this.#left;
    if (why === LEFT_BUDGET) {
      if (this.#translator !== undefined) {
        // Samples at even distances would meet the same block of a loop again and again.
        const translated = this.#translator.sample(cpu.u32[CPU.curRec.offset >> 2]);
        this.#sliceLength = translated ? SLICE : SAMPLING_SLICE + (this.#retired & 0xfff);
      }
      // The block in curRec has not been entered.
      this.#setRip(cpu.u16[(cpu.u32[CPU.curRec.offset >> 2] + REC.ipOff) >> 1]);
    } else if (left === LEFT_DEFAULT) {
      // A fault or exit from inside a handler: the instruction in curRec did not happen.
      this.#unwindTo(cpu.u32[CPU.curRec.offset >> 2]);
    }
    if (this.#kicked) cpu.i32[at] += DEBT;
    this.#kicked = false;
    this.#retired += budget - cpu.i32[at];
    this.#loaded = 0;
    cpu.i32[at] = 0;
    if (why === LEFT_BUDGET || left === LEFT_STOP) return undefined;
    this.#faulted = true;
    if (cpu.exit !== undefined) return this.#take();
    this.#fault();
    return undefined;
  }

  instructionCount(): number {
    if (!this.#inRun) return this.#retired;
    const cpu = this.cpu;
    const left = cpu.i32[CPU.budget.offset >> 2] + (this.#kicked ? DEBT : 0);
    return this.#retired + (this.#loaded - left) + cpu.u16[(cpu.u32[CPU.curRec.offset >> 2] + REC.count) >> 1];
  }
  #kick(): void {
    if (!this.#inRun || this.#kicked) return;
    this.#kicked = true;
    this.cpu.i32[CPU.budget.offset >> 2] -= DEBT;
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
  setInterruptLine(level: boolean): void {
    const at = CPU.pending.offset >> 2;
    if (!level) {
      this.cpu.u32[at] &= ~PENDING.intr;
      return;
    }
    this.cpu.u32[at] |= PENDING.intr;
    if ((this.cpu.systemFlags & IF) !== 0) this.#kick();
  }
  raiseNmi(): void {
    this.cpu.u32[CPU.pending.offset >> 2] |= PENDING.nmi;
    this.#kick();
  }
  /** The SIPI that came while the CPU waited for one, or -1. */
  #startupVector = -1;
  raiseInit(): void {
    if (this.cpu.waitForSipi) return;
    this.cpu.u32[CPU.pending.offset >> 2] |= PENDING.init;
    this.#kick();
  }
  raiseStartup(vector: number): void {
    if (this.cpu.waitForSipi) this.#startupVector = vector & 0xff;
  }
  init(): void {
    initCpu(this.cpu);
    this.cpu.waitForSipi = true;
    this.#startupVector = -1;
  }
  startup(vector: number): void {
    startup(this.cpu, vector);
  }
  get halted(): boolean {
    return this.cpu.halted;
  }
  setHalted(halted: boolean): void {
    this.cpu.halted = halted;
  }
  reset(): void {
    resetCpu(this.cpu);
    this.cpu.u32[CPU.pending.offset >> 2] &= PENDING.intr;
    this.cpu.u32[CPU.shadow.offset >> 2] = 0;
    this.#lastExit = undefined;
    this.cpu.mmu.flushAll(true);
  }
  stats(): EngineStats {
    const code = this.cpu.mmu.code;
    return {
      calls: this.#calls,
      faults: this.#faults,
      interrupts: this.#interrupts,
      helperCalls: this.#helperCalls,
      slowReads: this.#slowReads,
      slowWrites: this.#slowWrites,
      decodedBlocks: code.decodedBlocks,
      codeInvalidations: code.invalidations,
      codeFlushes: code.flushes,
      ...this.#translator?.stats(),
    };
  }

  // ---- registers
  getGpr(index: number): bigint {
    return this.cpu.r64(index);
  }
  setGpr(index: number, value: bigint): void {
    this.cpu.setR64(index, BigInt.asUintN(64, value));
  }
  getGpr32(index: number): number {
    return this.cpu.r32(index);
  }
  setGpr32(index: number, value: number): void {
    this.cpu.u32[(CPU.gpr.offset >> 2) + index * 2] = value;
  }
  getRip(): bigint {
    return this.cpu.rip;
  }
  setRip(value: bigint): void {
    this.cpu.rip = BigInt.asUintN(64, value);
    this.#lastExit = undefined;
  }
  getRflags(): number {
    return this.cpu.eflags;
  }
  setRflags(value: number): void {
    const vm = (this.cpu.systemFlags ^ value) & 0x60000;
    this.cpu.eflags = value;
    if (vm !== 0) this.cpu.updateMode();
  }
  getSegment(name: SegmentName): SegmentState {
    const s = SEGMENT_NAMES.indexOf(name);
    return { selector: this.cpu.selector(s), base: this.cpu.base(s), limit: this.cpu.limit(s), access: this.cpu.access(s) };
  }
  setSegment(name: SegmentName, state: SegmentState): void {
    this.cpu.loadSegment(SEGMENT_NAMES.indexOf(name), state.selector, state.base, state.limit, state.access);
  }
  getControl(name: ControlRegister): bigint {
    const cpu = this.cpu;
    switch (name) {
      case "cr0":
        return BigInt(cpu.cr0);
      case "cr2":
        return cpu.cr2;
      case "cr3":
        return cpu.cr3;
      case "cr4":
        return BigInt(cpu.cr4);
      case "cr8":
        return BigInt(cpu.u32[CPU.cr8.offset >> 2]);
      case "efer":
        return BigInt(cpu.efer);
      default:
        return cpu.dr[Number(name.slice(2))];
    }
  }
  setControl(name: ControlRegister, value: bigint): void {
    const cpu = this.cpu;
    switch (name) {
      case "cr0":
        cpu.u32[CPU.cr0.offset >> 2] = Number(BigInt.asUintN(32, value)) | 0x10;
        break;
      case "cr2":
        cpu.cr2 = BigInt.asUintN(64, value);
        break;
      case "cr3":
        cpu.u64[CPU.cr3.offset >> 3] = value;
        break;
      case "cr4":
        cpu.u32[CPU.cr4.offset >> 2] = Number(BigInt.asUintN(32, value));
        break;
      case "cr8":
        cpu.u32[CPU.cr8.offset >> 2] = Number(value & 15n);
        break;
      case "efer":
        cpu.u32[CPU.efer.offset >> 2] = Number(BigInt.asUintN(32, value));
        break;
      default:
        cpu.dr[Number(name.slice(2))] = value;
    }
    if ((cpu.cr4 & 0x20) !== 0 && (name === "cr3" || name === "cr0" || name === "cr4") && !cpu.longMode) {
      const table = Number(cpu.cr3 & 0xffffffe0n);
      for (let i = 0; i < 4; i++)
        cpu.pdptes[i] = BigInt(cpu.mmu.physical.read32(table + i * 8)) | (BigInt(cpu.mmu.physical.read32(table + i * 8 + 4)) << 32n);
    }
    for (let s = 0; s < 6; s++) cpu.updateSegment(s);
    cpu.updateMode();
    cpu.mmu.flushAll(true);
  }
  getDescriptorTable(name: "gdtr" | "idtr"): { readonly base: bigint; readonly limit: number } {
    return name === "gdtr" ? { base: this.cpu.gdtrBase, limit: this.cpu.gdtrLimit } : { base: this.cpu.idtrBase, limit: this.cpu.idtrLimit };
  }
  setDescriptorTable(name: "gdtr" | "idtr", base: bigint, limit: number): void {
    if (name === "gdtr") {
      this.cpu.gdtrBase = base;
      this.cpu.gdtrLimit = limit;
    } else {
      this.cpu.idtrBase = base;
      this.cpu.idtrLimit = limit;
    }
  }
  getMsr(index: number): bigint | undefined {
    return readMsr(this.cpu, index);
  }
  setMsr(index: number, value: bigint): boolean {
    return writeMsr(this.cpu, index, value);
  }
  getFpu(): FpuState {
    return readFpuState(this.cpu);
  }
  setFpu(state: FpuState): void {
    writeFpuState(this.cpu, state);
  }
  getXmm(index: number): Uint8Array {
    return this.cpu.u8.slice(CPU.xmm.offset + index * 16, CPU.xmm.offset + index * 16 + 16);
  }
  setXmm(index: number, bytes: Uint8Array): void {
    this.cpu.u8.set(bytes.subarray(0, 16), CPU.xmm.offset + index * 16);
  }
}

const LEFT_DEFAULT = 0,
  LEFT_STOP = 1,
  LEFT_EXIT = 2,
  LEFT_AT_FAULT = 3;

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
  if (insn.operands.some((o) => o.kind === "reg" && o.cls === "mm") && FPU[insn.row.sem] === undefined) return mmxUnavailable;
  const name = insn.rep !== 0 && insn.row.facts.rep ? `rep_${insn.row.sem}` : insn.row.sem;
  const known = HELPERS.get(name);
  if (known !== undefined) return known;
  const helper: SystemHelper = SYSTEM[name] ?? FPU[name] ?? FALLBACK[name] ?? ((cpu) => cpu.ud());
  HELPERS.set(name, helper);
  return helper;
}
