import { CR0, FLAG, VECTOR } from "../../../isa/index.ts";
import { IN_REGION } from "../code/codes.ts";
import type { Cpu } from "../cpu.ts";
import { SS } from "../cpu-state.ts";
import { segmentAllows } from "../mmu/segmentation.ts";
import { STATE } from "../state-layout.ts";
import type { GuestRun } from "./guest-run.ts";

/** What generated code calls when it cannot make an access itself: memory behind the TLB, ports. */
export class SlowArms {
  readonly #cpu: Cpu;
  readonly #run: GuestRun;
  reads = 0;
  writes = 0;
  /** An instruction of a region did not happen, because what it read made a stop necessary: the run loop does it alone, with the same answers. */
  again = false;
  #readBy = 0;
  #readAt = 0;
  #la = 0;

  constructor(cpu: Cpu, run: GuestRun) {
    this.#cpu = cpu;
    this.#run = run;
  }
  /** `lo`, `hi`: the linear address; `sizeSegment`: bytes, the segment above, and IN_REGION. */
  readonly imports = {
    slowRead: (lo: number, hi: number, sizeSegment: number): number => {
      this.reads++;
      this.#run.accessing = true;
      const complete = sizeSegment >= IN_REGION ? this.#readInRegion(lo, hi, sizeSegment & ~IN_REGION) : this.#read(lo, hi, sizeSegment);
      this.#run.accessing = false;
      return complete ? 0 : 1;
    },
    slowWrite: (lo: number, hi: number, sizeSegment: number): number => {
      this.writes++;
      this.#run.accessing = true;
      const done = this.#linear(lo, hi, sizeSegment & ~IN_REGION) && this.#cpu.mmu.slowWrite(this.#la, sizeSegment & 0xff, this.#cpu.cpl === 3);
      this.#run.accessing = false;
      return done ? 0 : 1;
    },
    slowProbe: (lo: number, hi: number, sizeSegment: number): number => {
      this.#run.accessing = true;
      const known = this.#linear(lo, hi, sizeSegment & ~IN_REGION);
      const place = known ? this.#cpu.mmu.slowProbe(this.#la, sizeSegment & 0xff, this.#cpu.cpl === 3) : 0;
      this.#run.accessing = false;
      return place;
    },
    segmentSlow: (lo: number, hi: number, flags: number): number =>
      segmentAllows(this.#cpu, flags & 0x7f, (hi >>> 0) * 0x100000000 + (lo >>> 0), flags >>> 8, (flags & 0x80) !== 0) ? 0 : 1,
    raise: (vector: number, errorCode: number): number => {
      this.#cpu.fault.vector = vector;
      this.#cpu.fault.errorCode = errorCode < 0 ? undefined : errorCode;
      return 0;
    },
    portIn: (port: number, bytes: number): number => {
      this.#run.accessing = true;
      const value = this.#cpu.io.portRead(port, bytes === 1 ? 1 : 2);
      this.#run.accessing = false;
      if (value < 0) return -1;
      this.#cpu.pendingDebug |= this.#cpu.mmu.breakpoints.onPort(port, bytes);
      return this.#run.disturbed ? value | 0x10000 : value;
    },
    portOut: (port: number, bytes: number, value: number): number => {
      this.#run.accessing = true;
      const done = this.#cpu.io.portWrite(port, bytes === 1 ? 1 : 2, bytes === 1 ? value & 0xff : value & 0xffff);
      this.#run.accessing = false;
      if (!done) return 2;
      this.#cpu.pendingDebug |= this.#cpu.mmu.breakpoints.onPort(port, bytes);
      return this.#run.disturbed ? 1 : 0;
    },
  };
  #read(lo: number, hi: number, sizeSegment: number): boolean {
    return this.#linear(lo, hi, sizeSegment) && this.#cpu.mmu.slowRead(this.#la, sizeSegment & 0xff, this.#cpu.cpl === 3);
  }
  /**
   * A read of a translated region. Reads are frequent and stops are not, so no code behind each of them looks for one: when a device asks for a stop,
   * or changes the region's code, the region is left as for a fault.
   */
  #readInRegion(lo: number, hi: number, sizeSegment: number): boolean {
    const { i32, mmu, u32 } = this.#cpu;
    const rec = u32[STATE.curRec.u32];
    const budget = i32[STATE.budget.u32];
    // What the devices answer to one instruction.
    if (rec !== this.#readBy || budget !== this.#readAt) mmu.access.answers.length = 0;
    this.#readBy = rec;
    this.#readAt = budget;
    mmu.access.noting = true;
    const complete = this.#read(lo, hi, sizeSegment);
    mmu.access.noting = false;
    if (!complete || u32[STATE.regionStale.u32] === 0) return complete;
    this.again = true;
    return false;
  }
  #fault(vector: number): boolean {
    this.#cpu.fault.vector = vector;
    this.#cpu.fault.errorCode = 0;
    return false;
  }
  /** Linear address from halves into #la; a non-canonical one records #GP(0)/#SS(0). #AC is looked at here too. */
  #linear(lo: number, hi: number, sizeSegment: number): boolean {
    const cpu = this.#cpu;
    if (!cpu.code64) this.#la = lo >>> 0;
    else {
      if ((hi << 16) >> 16 !== hi) return this.#fault(sizeSegment >>> 8 === SS ? VECTOR.SS : VECTOR.GP);
      this.#la = hi * 0x100000000 + (lo >>> 0);
    }
    // Sixteen bytes are never checked: they are aligned or may lie anywhere (observed).
    const unit = (sizeSegment & 0xff) === 16 ? 0 : (sizeSegment & 0xff) - 1;
    if (cpu.cpl === 3 && (lo & unit) !== 0 && (cpu.systemFlags & FLAG.AC) !== 0 && (cpu.cr0 & CR0.AM) !== 0) return this.#fault(VECTOR.AC);
    return true;
  }
}
