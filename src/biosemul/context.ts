import type { GuestRegisters, PhysicalMemory } from "../vmm/index.ts";
import type { BiosContext, BiosDrive, PortIo, VideoWindow } from "./api.ts";

const CF = 1;
const ZF = 0x40;
const IF_HIGH = 2;
const SS = 2;
const SS_BIG = 0x4000;
const UNKNOWN = -1;
const LIVE = -2;

/** What a `BiosEmul` is built on. */
export interface ContextParts {
  readonly regs: GuestRegisters;
  readonly mem: PhysicalMemory;
  readonly ports: PortIo;
  readonly video: VideoWindow;
  readonly drives: readonly BiosDrive[];
  /** Memory and display window by linear address, for calls under paging or with a closed A20 gate. */
  readonly linear: { readonly mem: PhysicalMemory; readonly video: VideoWindow };
}

/** The one reusable `BiosContext`: FLAGS edits go to the image that INT pushed, found once a call and only when needed. */
export class Context implements BiosContext {
  readonly regs: GuestRegisters;
  readonly ports: PortIo;
  video: VideoWindow;
  readonly drives: readonly BiosDrive[];
  readonly physical: PhysicalMemory;
  readonly #parts: ContextParts;
  mem: PhysicalMemory;
  /** As `mem`, past a closed A20 gate: what the few services reach that open it for their work. */
  beyondA20: PhysicalMemory;
  resumed = false;
  #flagsLow = UNKNOWN;

  constructor(parts: ContextParts) {
    this.#parts = parts;
    this.regs = parts.regs;
    this.physical = parts.mem;
    this.mem = parts.mem;
    this.beyondA20 = parts.mem;
    this.ports = parts.ports;
    this.video = parts.video;
    this.drives = parts.drives;
  }

  /** A new call. `liveFlags`: the entry was a far CALL, so CF is returned in the CPU's own FLAGS. */
  begin(mem: PhysicalMemory, resumed: boolean, liveFlags: boolean, beyondA20 = mem): void {
    const { linear, video } = this.#parts;
    this.mem = mem;
    this.video = mem === linear.mem ? linear.video : video;
    this.beyondA20 = beyondA20;
    this.resumed = resumed;
    this.#flagsLow = liveFlags ? LIVE : UNKNOWN;
  }

  /** Linear address of byte `index` of the frame on the stack; respects the stack's width and its wrap. */
  stackByte(index: number): number {
    const { raw } = this.regs;
    const offset = (raw.getSegmentAccess(SS) & SS_BIG) !== 0 ? (this.regs.esp + index) >>> 0 : (this.regs.sp + index) & 0xffff;
    return (raw.getSegmentBase32(SS) + offset) >>> 0;
  }
  stackWord(index: number): number {
    return this.mem.read8(this.stackByte(index)) | (this.mem.read8(this.stackByte(index + 1)) << 8);
  }
  /** Drops `bytes` from the stack. */
  dropStack(bytes: number): void {
    const big = (this.regs.raw.getSegmentAccess(SS) & SS_BIG) !== 0;
    if (big) this.regs.esp = (this.regs.esp + bytes) >>> 0;
    else this.regs.sp = this.regs.sp + bytes;
  }

  #find(): void {
    this.#flagsLow = this.stackByte(4);
  }
  #change(mask: number, on: boolean): void {
    if (this.#flagsLow === UNKNOWN) this.#find();
    if (this.#flagsLow === LIVE) {
      const flags = this.regs.rflags;
      this.regs.rflags = on ? flags | mask : flags & ~mask;
      return;
    }
    const old = this.mem.read8(this.#flagsLow);
    this.mem.write8(this.#flagsLow, on ? old | mask : old & ~mask & 0xff);
  }
  setCarry(on: boolean): void {
    this.#change(CF, on);
  }
  getCarry(): boolean {
    if (this.#flagsLow === UNKNOWN) this.#find();
    if (this.#flagsLow === LIVE) return (this.regs.rflags & CF) !== 0;
    return (this.mem.read8(this.#flagsLow) & CF) !== 0;
  }
  setZero(on: boolean): void {
    this.#change(ZF, on);
  }
  setInterruptFlag(on: boolean): void {
    if (this.#flagsLow === UNKNOWN) this.#find();
    if (this.#flagsLow === LIVE) return;
    const high = this.stackByte(5);
    const old = this.mem.read8(high);
    this.mem.write8(high, on ? old | IF_HIGH : old & ~IF_HIGH & 0xff);
  }
  linear(segment: number, offset: number): number {
    return ((segment & 0xffff) << 4) + (offset & 0xffff);
  }
}

/** Display window access through plain memory reads and writes: what a machine without a faster way gets. */
export class MemoryVideoWindow implements VideoWindow {
  readonly #mem: PhysicalMemory;
  constructor(mem: PhysicalMemory) {
    this.#mem = mem;
  }
  read8(gpa: number): number {
    return this.#mem.read8(gpa);
  }
  write8(gpa: number, value: number): void {
    this.#mem.write8(gpa, value);
  }
  fill16(gpa: number, count: number, value: number): void {
    for (let i = 0; i < count; i++) this.#mem.write16(gpa + i * 2, value);
  }
  move(to: number, from: number, bytes: number): void {
    if (to < from) for (let i = 0; i < bytes; i++) this.#mem.write8(to + i, this.#mem.read8(from + i));
    else for (let i = bytes - 1; i >= 0; i--) this.#mem.write8(to + i, this.#mem.read8(from + i));
  }
}
