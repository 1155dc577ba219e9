import { FLAG } from "../../../isa/index.ts";
import { MAX_BLOCK } from "../code/block.ts";
import { STALE_LEAVE } from "../code/codes.ts";
import type { GuestCode } from "../code/guest-code.ts";
import type { Cpu } from "../cpu.ts";
import { PENDING } from "../cpu-state.ts";
import { STATE, REC, REC_BYTES } from "../state-layout.ts";

/** Taken from the budget to make generated code stop at its next control transfer. */
const DEBT = 0x40000000;
/**
 * Work beyond plain instructions that one run may do, in rough microseconds: faults and repeated strings over devices cost many times what
 * an instruction does, and the host's event loop waits for the run. Counted, not measured, so that runs repeat exactly.
 */
const WORK_LIMIT = 20_000;

/** Why generated code was left: something must be looked at before the next instruction, or there is an exit or a fault. */
export type Departure = "stop" | "exit" | "fault";

/** One call of generated code after the other: their budgets, what makes them stop, how they were left. The run loop and the callouts share it. */
export class GuestRun {
  readonly #cpu: Cpu;
  readonly #code: GuestCode;
  /** Generated code is running. */
  active = false;
  /** Instructions retired up to the load of the current budget. */
  retired = 0;
  /** Budget as loaded into STATE.budget. */
  #loaded = 0;
  /** The budget carries a debt. */
  #kicked = false;
  /** Instructions of this step may end with #DB, MTF … : one at a time. */
  stepping = false;
  /** Undefined: from inside a handler, by a fault or exit. */
  #departure: Departure | undefined;
  /** Between two blocks: the record that ran last is charged already. */
  fetching = false;
  /** A device is asked on behalf of the instruction in STATE.curRec, and STATE.rip is not kept: see `accessingIp`. */
  accessing = false;
  /** Inside `onVmcall`. */
  calling = false;
  /** Since the last VM entry, see WORK_LIMIT. */
  work = 0;
  /** Flushes of decoded code when the block in progress was found. */
  #flushes = 0;
  // What an instruction that does not happen must find again.
  #shadow = 0;
  #conditions = 0;
  #resume = 0;

  constructor(cpu: Cpu, code: GuestCode) {
    this.#cpu = cpu;
    this.#code = code;
  }

  // ---- beginning and end
  /** Generated code is about to run for `budget` instructions; `skipped` ones of its first block come before. */
  begin(budget: number, skipped: number, stepping: boolean): void {
    this.#cpu.i32[STATE.budget.u32] = this.#loaded = budget + skipped;
    this.retired -= skipped;
    this.#kicked = false;
    this.active = true;
    this.stepping = stepping;
    this.accessing = false;
    this.#departure = undefined;
    this.noteCode();
    this.#remember();
  }
  /** Instructions that have run since `begin`. */
  get ran(): number {
    return this.#loaded - this.#cpu.i32[STATE.budget.u32] - (this.#kicked ? DEBT : 0);
  }
  /** Generated code has returned; `ranOut`: before the block in STATE.curRec, which does not fit into the budget. RIP and counts are exact again. */
  end(ranOut: boolean): Departure {
    const { i32, u16, u32 } = this.#cpu;
    this.active = false;
    if (this.#kicked) this.#code.stops.mend();
    this.stepping = false;
    const rec = u32[STATE.curRec.u32];
    if (ranOut) this.setRip(u16[(rec + REC.ipOff) >> 1]);
    else if (this.#departure === undefined) {
      // The instruction in curRec did not happen.
      this.unwindTo(rec);
      this.restore();
    }
    this.retired += this.ran;
    this.#kicked = false;
    this.#loaded = 0;
    i32[STATE.budget.u32] = 0;
    return ranOut ? "stop" : (this.#departure ?? "fault");
  }
  /** What an import answers that wants generated code to be left. */
  leave(departure: Departure): 0 {
    this.#departure = departure;
    return 0;
  }
  /** Retired instructions, exact at any time. */
  get count(): number {
    if (!this.active) return this.retired;
    const { u16, u32 } = this.#cpu;
    const charged = this.retired + this.ran;
    return this.fetching ? charged : charged + u16[(u32[STATE.curRec.u32] + REC.count) >> 1];
  }

  // ---- stops
  /** The run loop is wanted: the instruction that runs is the last one of this call, wherever its block or its region ends. */
  kick(): void {
    if (!this.active || this.#kicked) return;
    const { i32, u32 } = this.#cpu;
    this.#kicked = true;
    i32[STATE.budget.u32] -= DEBT;
    u32[STATE.regionStale.u32] = STALE_LEAVE;
    this.#code.stops.breakBefore(u32[STATE.curRec.u32] + REC_BYTES);
  }
  /** Whether something waits that the run loop must see before the next instruction. */
  mustStop(): boolean {
    const cpu = this.#cpu;
    const { i32, u32 } = cpu;
    if (this.#kicked || this.stepping || cpu.halted || cpu.pendingDebug !== 0) return true;
    const flags = u32[STATE.eflags.u32];
    if ((flags & FLAG.TF) !== 0 || cpu.mmu.breakpoints.armed) return true;
    const pending = u32[STATE.pending.u32];
    if (u32[STATE.shadow.u32] !== 0 || (flags & FLAG.RF) !== 0) {
      // With nothing waiting, and at least one more instruction sure to run before anything can, a shadow and RF are over unseen.
      if (pending !== 0 || i32[STATE.budget.u32] <= MAX_BLOCK || cpu.intercepts.interruptWindow || cpu.intercepts.nmiWindow) return true;
      u32[STATE.shadow.u32] = 0;
      u32[STATE.eflags.u32] = flags & ~FLAG.RF;
    }
    return pending !== 0 && ((pending & ~PENDING.intr) !== 0 || (flags & FLAG.IF) !== 0 || cpu.intercepts.externalInterrupt);
  }
  /** After a port access: whether a chip's answer wants the run loop (interrupt, stop) or moved the code under our feet. */
  get disturbed(): boolean {
    return this.#kicked || this.stepping || this.codeMoved;
  }
  get overworked(): boolean {
    return this.work > WORK_LIMIT;
  }
  /** Blocks known so far are good. */
  noteCode(): void {
    this.#flushes = this.#code.blocks.flushes;
  }
  /** Decoded code was flushed, or memory mapped anew, since then. */
  get codeMoved(): boolean {
    return this.#code.blocks.flushes !== this.#flushes;
  }

  // ---- charges and RIP
  charge(instructions: number): void {
    this.#cpu.i32[STATE.budget.u32] -= instructions;
  }
  /** The record's instruction did not happen: charge those before it, RIP points at it. */
  unwindTo(rec: number): void {
    this.charge(this.#cpu.u16[(rec + REC.count) >> 1]);
    this.setRip(this.#cpu.u16[(rec + REC.ipOff) >> 1]);
  }
  /** Sets STATE.rip to ipBase + offset, masked. */
  setRip(offset: number): void {
    const u32 = this.#cpu.u32;
    const base = STATE.ipBase.u32;
    const rip = STATE.rip.u32;
    const lo = u32[base] + offset;
    if (this.#cpu.code64) {
      u32[rip] = lo >>> 0;
      u32[rip + 1] = u32[base + 1] + (lo > 0xffffffff ? 1 : lo < 0 ? -1 : 0);
    } else {
      u32[rip] = (lo & u32[STATE.ipMask.u32]) >>> 0;
      u32[rip + 1] = 0;
    }
  }
  /** RIP of the instruction in STATE.curRec, which accesses a device. Not stored: the instruction may have its target in STATE.rip. */
  get accessingIp(): bigint {
    const { u16, u32, code64 } = this.#cpu;
    const base = STATE.ipBase.u32;
    const lo = u32[base] + u16[(u32[STATE.curRec.u32] + REC.ipOff) >> 1];
    if (!code64) return BigInt((lo & u32[STATE.ipMask.u32]) >>> 0);
    return BigInt.asUintN(64, (BigInt(u32[base + 1]) << 32n) + BigInt(lo));
  }

  // ---- what an instruction that does not happen must find again
  /** (Instructions before it leave none of this set, or end the run.) RF counts as cleared while generated code runs. */
  #remember(): void {
    const cpu = this.#cpu;
    this.#shadow = cpu.shadow;
    this.#conditions = cpu.pendingDebug;
    this.#resume = cpu.systemFlags & FLAG.RF;
    cpu.systemFlags &= ~FLAG.RF;
  }
  restore(): void {
    const cpu = this.#cpu;
    cpu.shadow = this.#shadow;
    cpu.pendingDebug = this.#conditions;
    cpu.systemFlags |= this.#resume;
  }
}
