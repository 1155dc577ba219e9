import type { VmExit } from "../../api/index.ts";
import { MAX_BLOCK } from "../code/block.ts";
import type { Blocks } from "../code/blocks.ts";
import type { CodeFinder } from "../code/finder.ts";
import type { InsnPool } from "../code/insn-pool.ts";
import type { Cpu } from "../cpu.ts";
import { CS, PENDING, VM_EXIT } from "../cpu.ts";
import { CPU, REC, REC_BYTES } from "../state-layout.ts";
import { IN_REGION } from "../code/codes.ts";
import { EXIT_VMCALL } from "../exits.ts";
import { vmcall } from "../sys/index.ts";
import type { Translator } from "../translate/index.ts";

/** Work of a chunk of a repeated string, see WORK_LIMIT. */
const CHUNK_WORK = 20;
/**
 * Work beyond plain instructions that one run may do, in rough microseconds: faults and repeated strings over devices cost many times what
 * an instruction does, and the host's event loop waits for the run. Counted, not measured, so that runs repeat exactly.
 */
export const WORK_LIMIT = 20_000;
export const TF = 0x100,
  IF = 0x200,
  RF = 0x10000;

/** Why generated code was left, when an import decided it. */
export const LEFT_DEFAULT = 0,
  LEFT_STOP = 1,
  LEFT_EXIT = 2,
  LEFT_AT_FAULT = 3;

/** What generated code calls out for: slow memory accesses, ports, system helpers, the next block. One object a CPU; the run loop shares its state. */
export class Callouts {
  readonly cpu: Cpu;
  readonly #finder: CodeFinder;
  readonly #blocks: Blocks;
  readonly #insns: InsnPool;
  translator: Translator | undefined;
  /** See EngineVcpu. */
  onVmcall: ((exit: VmExit) => boolean) | undefined;
  /** The budget carries a debt, so that generated code stops at its next control transfer. */
  kicked = false;
  /** Instructions of this step may end with #DB, MTF … : one at a time. */
  stepping = false;
  /** Why generated code was left: LEFT_*. */
  left = LEFT_DEFAULT;
  /** A device is asked on behalf of the instruction in CPU.curRec, and CPU.rip is not kept: see `accessingIp`. */
  accessing = false;
  /** Inside `onVmcall`. */
  calling = false;
  /** Of this run, see WORK_LIMIT. */
  work = 0;
  /** Flushes of decoded code when the block in progress was found. */
  flushes = 0;
  helperCalls = 0;
  slowReads = 0;
  slowWrites = 0;

  constructor(cpu: Cpu, finder: CodeFinder) {
    this.cpu = cpu;
    this.#finder = finder;
    this.#blocks = finder.code.blocks;
    this.#insns = finder.code.insns;
  }

  readonly imports = {
    slowRead: (lo: number, hi: number, sizeSegment: number): number => {
      this.slowReads++;
      this.accessing = true;
      const failed =
        sizeSegment >= IN_REGION
          ? this.#readInRegion(lo, hi, sizeSegment & ~IN_REGION)
          : this.#linear(lo, hi, sizeSegment) && this.cpu.mmu.slowRead(this.#la, sizeSegment & 0xff, this.cpu.cpl === 3)
            ? 0
            : 1;
      this.accessing = false;
      return failed;
    },
    slowWrite: (lo: number, hi: number, sizeSegment: number): number => {
      this.slowWrites++;
      sizeSegment &= ~IN_REGION;
      this.accessing = true;
      const done = this.#linear(lo, hi, sizeSegment) && this.cpu.mmu.slowWrite(this.#la, sizeSegment & 0xff, this.cpu.cpl === 3);
      this.accessing = false;
      return done ? 0 : 1;
    },
    slowProbe: (lo: number, hi: number, sizeSegment: number): number => {
      this.accessing = true;
      const place = this.#linear(lo, hi, sizeSegment & ~IN_REGION) ? this.cpu.mmu.slowProbe(this.#la, sizeSegment & 0xff, this.cpu.cpl === 3) : 0;
      this.accessing = false;
      return place;
    },
    segmentSlow: (lo: number, hi: number, flags: number): number =>
      this.cpu.mmu.segmentAllows(flags & 0x7f, (hi >>> 0) * 0x100000000 + (lo >>> 0), flags >>> 8, (flags & 0x80) !== 0) ? 0 : 1,
    raise: (vector: number, errorCode: number): number => {
      this.cpu.fault.vector = vector;
      this.cpu.fault.errorCode = errorCode < 0 ? undefined : errorCode;
      return 0;
    },
    portIn: (port: number, bytes: number): number => {
      this.accessing = true;
      const value = this.cpu.io.portRead(port, bytes === 1 ? 1 : 2);
      this.accessing = false;
      if (value < 0) return -1;
      this.cpu.pendingDebug |= this.cpu.mmu.breakpoints.onPort(port, bytes);
      return this.#looked() ? value | 0x10000 : value;
    },
    portOut: (port: number, bytes: number, value: number): number => {
      this.accessing = true;
      const done = this.cpu.io.portWrite(port, bytes === 1 ? 1 : 2, bytes === 1 ? value & 0xff : value & 0xffff);
      this.accessing = false;
      if (!done) return 2;
      this.cpu.pendingDebug |= this.cpu.mmu.breakpoints.onPort(port, bytes);
      return this.#looked() ? 1 : 0;
    },
    helper: (rec: number): number => {
      const { cpu } = this;
      const hypercall =
        this.#insns.helpers[cpu.i32[(rec + REC.link) >> 2]] === vmcall &&
        cpu.u8[rec + REC.length] === 3 &&
        this.onVmcall !== undefined &&
        !this.stepping;
      return hypercall ? this.#hypercall(rec) : this.#helper(rec);
    },
    findLink: (rec: number): number => this.#findLink(rec),
    findIp: (rec: number): number => this.#findIp(rec),
    breakAt: (rec: number): number => this.#breakAt(rec),
  };
  /** An instruction of a region did not happen, because what it read made a stop necessary: the run loop does it alone, with the same answers. */
  again = false;
  #readBy = 0;
  #readAt = 0;
  /**
   * A read of a translated region. Reads are frequent and stops are not, so no code behind each of them looks for one: when a device asks for a stop,
   * or changes the region's code, the region is left as for a fault.
   */
  #readInRegion(lo: number, hi: number, sizeSegment: number): number {
    const { cpu } = this;
    const { mmu, u32 } = cpu;
    const rec = u32[CPU.curRec.offset >> 2];
    const budget = cpu.i32[CPU.budget.offset >> 2];
    // What the devices answer to one instruction.
    if (rec !== this.#readBy || budget !== this.#readAt) mmu.answers.length = 0;
    this.#readBy = rec;
    this.#readAt = budget;
    mmu.noting = true;
    const complete = this.#linear(lo, hi, sizeSegment) && mmu.slowRead(this.#la, sizeSegment & 0xff, cpu.cpl === 3);
    mmu.noting = false;
    if (!complete) return 1;
    if (u32[CPU.regionStale.offset >> 2] === 0) return 0;
    this.again = true;
    return 1;
  }
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
    // Sixteen bytes are never checked: they are aligned or may lie anywhere (observed).
    const unit = (sizeSegment & 0xff) === 16 ? 0 : (sizeSegment & 0xff) - 1;
    if (cpu.cpl === 3 && (lo & unit) !== 0 && (cpu.systemFlags & 0x40000) !== 0 && (cpu.cr0 & 0x40000) !== 0) {
      cpu.fault.vector = 17;
      cpu.fault.errorCode = 0;
      return false;
    }
    return true;
  }

  /** After a port access: whether a chip's answer wants the run loop (interrupt, stop) or moved the code under our feet. */
  #looked(): boolean {
    return this.kicked || this.stepping || this.#blocks.flushes !== this.flushes;
  }

  /** Sets CPU.rip to ipBase + offset, masked. */
  setRip(offset: number): void {
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
  /** CPU.rip of the instruction in CPU.curRec, which accesses a device. Not stored: the instruction may have its target there. */
  get accessingIp(): bigint {
    const { u16, u32, code64 } = this.cpu;
    const base = CPU.ipBase.offset >> 2;
    const lo = u32[base] + u16[(u32[CPU.curRec.offset >> 2] + REC.ipOff) >> 1];
    if (!code64) return BigInt((lo & u32[CPU.ipMask.offset >> 2]) >>> 0);
    return BigInt.asUintN(64, (BigInt(u32[base + 1]) << 32n) + BigInt(lo));
  }
  #charge(instructions: number): void {
    this.cpu.i32[CPU.budget.offset >> 2] -= instructions;
  }
  /** The record's instruction did not happen: charge those before it, RIP points at it. */
  unwindTo(rec: number): void {
    this.#charge(this.cpu.u16[(rec + REC.count) >> 1]);
    this.setRip(this.cpu.u16[(rec + REC.ipOff) >> 1]);
  }
  #shadow = 0;
  #conditions = 0;
  #resume = 0;
  /**
   * Before generated code runs: what an instruction of it that does not happen must find again. (Those before it leave none of this set, or end
   * the run.) RF counts as cleared while it runs.
   */
  remember(): void {
    const { cpu } = this;
    this.#shadow = cpu.u32[CPU.shadow.offset >> 2];
    this.#conditions = cpu.pendingDebug;
    this.#resume = cpu.systemFlags & RF;
    cpu.systemFlags &= ~RF;
  }
  restore(): void {
    const { cpu } = this;
    cpu.u32[CPU.shadow.offset >> 2] = this.#shadow;
    cpu.pendingDebug = this.#conditions;
    cpu.systemFlags |= this.#resume;
  }
  /** Whether something waits that the run loop must see before the next instruction. */
  #mustStop(): boolean {
    const { cpu } = this;
    if (this.kicked || this.stepping || cpu.halted || cpu.pendingDebug !== 0) return true;
    const flags = cpu.u32[CPU.eflags.offset >> 2];
    if ((flags & TF) !== 0 || cpu.mmu.breakpoints.armed) return true;
    const pending = cpu.u32[CPU.pending.offset >> 2];
    if (cpu.u32[CPU.shadow.offset >> 2] !== 0 || (flags & RF) !== 0) {
      // With nothing waiting, and at least one more instruction sure to run before anything can, a shadow and RF are over unseen.
      if (pending !== 0 || cpu.i32[CPU.budget.offset >> 2] <= MAX_BLOCK || this.cpu.intercepts.interruptWindow || this.cpu.intercepts.nmiWindow)
        return true;
      cpu.u32[CPU.shadow.offset >> 2] = 0;
      cpu.u32[CPU.eflags.offset >> 2] = flags & ~RF;
    }
    return pending !== 0 && ((pending & ~PENDING.intr) !== 0 || (flags & IF) !== 0 || cpu.intercepts.externalInterrupt);
  }
  find(limit: number): number {
    const u32 = this.cpu.u32;
    return this.#finder.find(u32[CPU.rip.offset >> 2], u32[(CPU.rip.offset >> 2) + 1], limit);
  }

  /** System helper: 1 = on to the next record, 0 = leave, else the block to go on with. */
  #helper(rec: number): number {
    const cpu = this.cpu;
    this.helperCalls++;
    this.work++;
    cpu.u32[CPU.curRec.offset >> 2] = rec;
    const count = cpu.u16[(rec + REC.count) >> 1];
    const index = cpu.i32[(rec + REC.link) >> 2];
    const insn = this.#insns.insns[index];
    if (insn === undefined) return 0;
    const ipOff = cpu.u16[(rec + REC.ipOff) >> 1];
    this.setRip(ipOff);
    try {
      switch (this.#insns.helpers[index]?.(cpu, insn) ?? "jump") {
        case "exit":
          this.#charge(count);
          this.setRip(ipOff);
          this.restore();
          this.left = LEFT_EXIT;
          return 0;
        case "next":
          if (!this.#mustStop() && this.#blocks.flushes === this.flushes && cpu.u16[(rec + REC.handler) >> 1] !== 2) return 1;
          this.#charge(count + 1);
          this.setRip(ipOff + insn.length);
          if (this.#mustStop()) {
            this.left = LEFT_STOP;
            return 0;
          }
          return this.#findOrFault();
        case "jump":
          this.#charge(count + 1);
          if (cpu.exit !== undefined || cpu.shutdown) {
            this.left = LEFT_EXIT;
            return 0;
          }
          break;
        case "repeat":
          this.#charge(count);
          this.setRip(ipOff);
          // Each chunk counts as one instruction, so that time passes.
          this.#charge(1);
          this.work += CHUNK_WORK;
          if (this.work > WORK_LIMIT || this.#mustStop() || cpu.i32[CPU.budget.offset >> 2] <= 0) {
            this.left = LEFT_STOP;
            return 0;
          }
          return this.#findOrFault();
      }
    } catch (e) {
      if (e !== cpu.fault && e !== VM_EXIT) throw e;
      this.fetching = false;
      this.restore();
      this.#charge(count);
      this.setRip(ipOff);
      this.left = e === VM_EXIT ? LEFT_EXIT : LEFT_AT_FAULT;
      return 0;
    }
    if (this.#mustStop()) {
      this.left = LEFT_STOP;
      return 0;
    }
    return this.#findOrFault();
  }
  /** VMCALL, which the monitor may take care of without an exit. A path of its own, and short: BIOS calls run it before V8 has compiled anything. */
  #hypercall(rec: number): number {
    const { cpu } = this;
    const { u16, u32 } = cpu;
    this.helperCalls++;
    this.work++;
    u32[CPU.curRec.offset >> 2] = rec;
    const count = u16[(rec + REC.count) >> 1];
    this.setRip(u16[(rec + REC.ipOff) >> 1]);
    const behind = u32[CPU.rip.offset >> 2] + 3;
    this.calling = true;
    const taken = this.onVmcall?.(EXIT_VMCALL) === true;
    this.calling = false;
    if (!taken) {
      cpu.exit = EXIT_VMCALL;
      this.#charge(count);
      this.left = LEFT_EXIT;
      return 0;
    }
    // The edited state is for the checks of the next VM entry.
    if (cpu.edited) u32[CPU.pending.offset >> 2] |= PENDING.stop;
    // What the monitor did instead of the CPU is not an instruction.
    if (this.#mustStop()) {
      this.#charge(count);
      this.left = LEFT_STOP;
      return 0;
    }
    // Behind the call, as nearly always: on with the block.
    if (u32[CPU.rip.offset >> 2] === behind && this.#blocks.flushes === this.flushes) {
      cpu.i32[CPU.budget.offset >> 2]++;
      return 1;
    }
    this.#charge(count);
    return this.#findOrFault();
  }
  /** Between two blocks: the record that ran last is charged already. */
  fetching = false;
  #findOrFault(): number {
    this.flushes = this.#blocks.flushes;
    if (this.cpu.i32[CPU.budget.offset >> 2] <= 0) {
      this.left = LEFT_STOP;
      return 0;
    }
    this.fetching = true;
    const rec = this.find(MAX_BLOCK);
    this.fetching = false;
    this.flushes = this.#blocks.flushes;
    // The branch itself is over: a fetch that faults belongs to the next instruction, after budget and events.
    if (rec === 0) this.left = LEFT_STOP;
    else if (this.translator?.eager === true) this.translator.touch(rec, 1);
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
      // The branch itself faults. Or there is none, and the block before this address is over.
      this.unwindTo(rec);
      this.restore();
      if (u8[rec + REC.length] === 0) this.#charge(1);
      this.cpu.fault.vector = 13;
      this.cpu.fault.errorCode = 0;
      this.left = LEFT_AT_FAULT;
      return 0;
    }
    this.#charge(u16[(rec + REC.count) >> 1] + 1);
    const { flushes } = this.#blocks;
    const found = this.#findOrFault();
    if (
      found !== 0 &&
      target >= 0 &&
      target < 4096 &&
      this.cpu.u32[CPU.ipBase.offset >> 2] === base &&
      this.cpu.u32[(CPU.ipBase.offset >> 2) + 1] === baseHi
    ) {
      this.#blocks.link(rec, found, flushes);
    }
    return found;
  }
  #setRipMasked(offset: number, maskIndex: number): void {
    this.setRip(offset);
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
  /** A device wants the run loop: the instruction that asked it is the last one of this run, wherever its block or its region ends. */
  stopBehind(): void {
    const { cpu } = this;
    cpu.u32[CPU.regionStale.offset >> 2] = 1;
    this.#finder.code.stops.breakBefore(cpu.u32[CPU.curRec.offset >> 2] + REC_BYTES);
  }
  /**
   * The block was invalidated under our feet: go on at the same address with fresh code. Or somebody asked for a stop here, or it begins with a
   * region that does not fit.
   */
  #breakAt(rec: number): number {
    if (this.#finder.stopsAt(rec)) {
      this.unwindTo(rec);
      this.left = LEFT_STOP;
      return 0;
    }
    if (this.translator?.misfit(rec) === true) return rec;
    this.unwindTo(rec);
    // The record behind a block's last instruction says one less, for transfers.
    if (this.cpu.u8[rec + REC.length] === 0) this.#charge(1);
    if (this.#mustStop()) {
      this.left = LEFT_STOP;
      return 0;
    }
    return this.#findOrFault();
  }
}
