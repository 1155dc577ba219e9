import { type Insn, VECTOR } from "../../../isa/index.ts";
import type { VmExit } from "../../api/index.ts";
import { MAX_BLOCK } from "../code/block.ts";
import type { Blocks } from "../code/blocks.ts";
import { H_BREAK } from "../code/codes.ts";
import type { CodeFinder } from "../code/finder.ts";
import type { InsnPool } from "../code/insn-pool.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { CS, PENDING, VM_EXIT } from "../cpu-state.ts";
import { EXIT_VMCALL } from "../exits.ts";
import { STATE, REC } from "../state-layout.ts";
import { vmcall } from "../sys/index.ts";
import type { Translator } from "../translate/index.ts";
import type { GuestRun } from "./guest-run.ts";

/** Work of a chunk of a repeated string, see `GuestRun.work`. */
const CHUNK_WORK = 20;
/** An import's answer: on to the next record. 0 leaves generated code; all else is the record to go on with. */
const NEXT_RECORD = 1;
const PAGE_BYTES = 4096;

/** What generated code calls out for: system helpers, the next block. One object a CPU. */
export class Callouts {
  readonly #cpu: Cpu;
  readonly #run: GuestRun;
  readonly #finder: CodeFinder;
  readonly #blocks: Blocks;
  readonly #insns: InsnPool;
  translator: Translator | undefined;
  /** See EngineVcpu. */
  onVmcall: ((exit: VmExit) => boolean) | undefined;
  helperCalls = 0;

  constructor(cpu: Cpu, run: GuestRun, finder: CodeFinder) {
    this.#cpu = cpu;
    this.#run = run;
    this.#finder = finder;
    this.#blocks = finder.code.blocks;
    this.#insns = finder.code.insns;
  }
  readonly imports = {
    helper: (rec: number): number => {
      const { i32, u8, u32 } = this.#cpu;
      this.helperCalls++;
      this.#run.work++;
      u32[STATE.curRec.u32] = rec;
      const index = i32[(rec + REC.link) >> 2];
      const helper = this.#insns.helpers[index];
      const insn = this.#insns.insns[index];
      if (insn === undefined || helper === undefined) return 0;
      if (helper === vmcall && u8[rec + REC.length] === 3 && this.onVmcall !== undefined && !this.#run.stepping) return this.#hypercall(rec);
      return this.#helper(rec, helper, insn);
    },
    findLink: (rec: number): number => this.#findLink(rec),
    findIp: (_rec: number): number => this.#goOn(),
    breakAt: (rec: number): number => this.#breakAt(rec),
  };
  /** First record of the block at STATE.rip; see CodeFinder. */
  find(limit: number): number {
    const { u32 } = this.#cpu;
    return this.#finder.find(u32[STATE.rip.u32], u32[STATE.rip.u32 + 1], limit);
  }
  /** On with the block at STATE.rip, unless something must be looked at first. */
  #goOn(): number {
    const run = this.#run;
    run.noteCode();
    if (this.#cpu.i32[STATE.budget.u32] <= 0) return run.leave("stop");
    run.fetching = true;
    const rec = this.find(MAX_BLOCK);
    run.fetching = false;
    run.noteCode();
    // The branch itself is over: a fetch that faults belongs to the next instruction, after budget and events.
    if (rec === 0) return run.leave("stop");
    if (this.translator?.eager === true) this.translator.touch(rec, 1);
    return rec;
  }
  #stopOrGoOn(): number {
    return this.#run.mustStop() ? this.#run.leave("stop") : this.#goOn();
  }

  // ---- helpers
  #helper(rec: number, helper: SystemHelper, insn: Insn): number {
    const run = this.#run;
    const cpu = this.#cpu;
    const count = cpu.u16[(rec + REC.count) >> 1];
    const ipOff = cpu.u16[(rec + REC.ipOff) >> 1];
    run.setRip(ipOff);
    try {
      switch (helper(cpu, insn)) {
        case "exit":
          run.charge(count);
          run.setRip(ipOff);
          run.restore();
          return run.leave("exit");
        case "next":
          if (!run.mustStop() && !run.codeMoved && cpu.u16[(rec + REC.handler) >> 1] !== H_BREAK) return NEXT_RECORD;
          run.charge(count + 1);
          run.setRip(ipOff + insn.length);
          return this.#stopOrGoOn();
        case "jump":
          run.charge(count + 1);
          return cpu.exit !== undefined || cpu.shutdown ? run.leave("exit") : this.#stopOrGoOn();
        case "repeat":
          // Each chunk counts as one instruction, so that time passes.
          run.charge(count + 1);
          run.setRip(ipOff);
          run.work += CHUNK_WORK;
          return run.overworked ? run.leave("stop") : this.#stopOrGoOn();
      }
    } catch (e) {
      if (e !== cpu.fault && e !== VM_EXIT) throw e;
      run.fetching = false;
      run.restore();
      run.charge(count);
      run.setRip(ipOff);
      return run.leave(e === VM_EXIT ? "exit" : "fault");
    }
  }
  /** VMCALL, which the monitor may take care of without an exit. A path of its own, and short: BIOS calls run it before V8 has compiled anything. */
  #hypercall(rec: number): number {
    const run = this.#run;
    const cpu = this.#cpu;
    const { i32, u16, u32 } = cpu;
    const count = u16[(rec + REC.count) >> 1];
    run.setRip(u16[(rec + REC.ipOff) >> 1]);
    const behind = u32[STATE.rip.u32] + 3;
    run.calling = true;
    const taken = this.onVmcall?.(EXIT_VMCALL) === true;
    run.calling = false;
    if (!taken) {
      cpu.exit = EXIT_VMCALL;
      run.charge(count);
      return run.leave("exit");
    }
    // The edited state is for the checks of the next VM entry.
    if (cpu.edited) u32[STATE.pending.u32] |= PENDING.stop;
    const stop = run.mustStop();
    // Behind the call, as nearly always: on with the block. What the monitor did instead of the CPU is not an instruction.
    if (!stop && u32[STATE.rip.u32] === behind && !run.codeMoved) {
      i32[STATE.budget.u32]++;
      return NEXT_RECORD;
    }
    run.charge(count);
    return stop ? run.leave("stop") : this.#goOn();
  }

  // ---- transfers
  /** A relative branch without a link: charges it, finds the target. */
  #findLink(rec: number): number {
    const run = this.#run;
    const cpu = this.#cpu;
    const { u8, u16, u32, i32 } = cpu;
    const target = u16[(rec + REC.ipOff) >> 1] + u8[rec + REC.length] + i32[(rec + REC.imm) >> 2];
    const at = STATE.ipBase.u32;
    const base = u32[at];
    const baseHi = u32[at + 1];
    this.#setRipMasked(target, u8[rec + REC.scale]);
    if (!cpu.code64 && u32[STATE.rip.u32] > cpu.limit(CS)) {
      // The branch itself faults. Or there is none, and the block before this address is over.
      run.unwindTo(rec);
      run.restore();
      if (u8[rec + REC.length] === 0) run.charge(1);
      cpu.fault.vector = VECTOR.GP;
      cpu.fault.errorCode = 0;
      return run.leave("fault");
    }
    run.charge(u16[(rec + REC.count) >> 1] + 1);
    const { flushes } = this.#blocks;
    const found = this.#goOn();
    if (found !== 0 && target >= 0 && target < PAGE_BYTES && u32[at] === base && u32[at + 1] === baseHi) this.#blocks.link(rec, found, flushes);
    return found;
  }
  #setRipMasked(offset: number, maskIndex: number): void {
    this.#run.setRip(offset);
    const rip = STATE.rip.u32;
    const { u32, code64 } = this.#cpu;
    if (maskIndex === 0) u32[rip] &= 0xffff;
    if (maskIndex < 2) u32[rip + 1] = 0;
    // A 32-bit branch in 16-bit code may go beyond 64 KB: the sum is not cut to the code size.
    if (maskIndex === 1 && !code64) u32[rip] = (u32[STATE.ipBase.u32] + offset) >>> 0;
  }
  /**
   * The block was invalidated under our feet: go on at the same address with fresh code. Or somebody asked for a stop here, or it begins with a
   * region that does not fit.
   */
  #breakAt(rec: number): number {
    const run = this.#run;
    if (this.#finder.stopsAt(rec)) {
      run.unwindTo(rec);
      return run.leave("stop");
    }
    if (this.translator?.misfit(rec) === true) return rec;
    run.unwindTo(rec);
    // The record behind a block's last instruction says one less, for transfers.
    if (this.#cpu.u8[rec + REC.length] === 0) run.charge(1);
    return this.#stopOrGoOn();
  }
}
