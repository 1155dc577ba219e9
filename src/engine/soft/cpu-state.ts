import { ACCESS, CR0, EFER, FLAG, FLAGS_ARITHMETIC, SEG, VECTOR } from "../../isa/index.ts";
import type { Field } from "../../base/index.ts";
import type { EngineVmOptions, GuestIo, LocalApicPort, VmExit } from "../api/index.ts";
import { STATE } from "./state-layout.ts";
import { readArithmeticFlags, writeArithmeticFlags } from "./flags-state.ts";
import { type CpuFeatures, defaultFeatures } from "./sys/features.ts";
import type { SoftIntercepts } from "./intercepts.ts";

/** Segment register numbers. */
export const { ES, CS, SS, DS, FS, GS } = SEG;
export const LDTR = 6,
  TR = 7;

/** What is thrown (preallocated, no stack trace) to leave a system helper on a guest fault; caught at the helper's border. */
export class GuestFault {
  vector = 0;
  errorCode: number | undefined = undefined;
  /** Of a page fault: its linear address. CR2 gets it at delivery, never when the fault exits to the monitor. */
  address = 0n;
}

/** Thrown to leave a system helper with a VM exit already stored in `cpu.exit`. */
export const VM_EXIT = { vmExit: true } as const;

/** Values of STATE.shadow: what an instruction holds off until the next one is done. */
export const SHADOW_STI = 1,
  SHADOW_SS = 2;

/** Bits of `pending` (STATE.pending). */
export const PENDING = { intr: 1, nmi: 2, stop: 4, init: 8 } as const;

/** The state of a vCPU as TypeScript sees it: named views of what lies in WebAssembly memory, and what only TypeScript looks at. */
export abstract class CpuState {
  /** Number in its VM; 0 is the bootstrap processor. */
  readonly index: number;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly u64: BigUint64Array;
  readonly i64: BigInt64Array;
  readonly view: DataView;
  readonly io: GuestIo;
  readonly options: EngineVmOptions;
  readonly intercepts: SoftIntercepts;
  readonly fault = new GuestFault();
  /** Set together with throwing VM_EXIT, or by the run loop. */
  exit: VmExit | undefined = undefined;
  /** The x86 activity state HLT; wait-for-SIPI and shutdown. */
  halted = false;
  waitForSipi = false;
  shutdown = false;
  gdtrBase = 0n;
  gdtrLimit = 0xffff;
  readonly dr: bigint[] = [0n, 0n, 0n, 0n, 0n, 0n, 0xffff0ff0n, 0x400n];
  readonly msrs = new Map<number, bigint>();
  readonly features: CpuFeatures = defaultFeatures();
  xcr0 = 1n;
  /** PDPTEs as loaded by MOV CR3 and friends in PAE mode. */
  readonly pdptes: bigint[] = [0n, 0n, 0n, 0n];
  /** The monitor has written registers since the last VM entry: its state is checked at the next one. */
  edited = false;
  /** State of the random-number generator that RDRAND and RDSEED use when the options bring none. */
  randomState = 0n;
  /** This CPU's local APIC, and the number of the physical page it answers on (-1: none). */
  localApic: LocalApicPort | undefined = undefined;
  apicPage = -1;
  /** The FERR# pin: an unmasked x87 exception with CR0.NE clear (IRQ 13 on a PC). Unset: the exception is ignored. */
  ferr: (() => void) | undefined = undefined;
  /** The IGNNE# pin: x87 instructions run on in spite of a pending exception (a write to port F0h asserts it). */
  ignne = false;
  /** #DB conditions that this instruction raised (DR6 bits), delivered after it. */
  pendingDebug = 0;
  /** The instruction in progress began with TF set: #DB comes behind it, unless it takes that back (what delivers an event clears TF). */
  singleStep = false;

  constructor(memory: ArrayBuffer, options: EngineVmOptions, intercepts: SoftIntercepts, index: number) {
    this.index = index;
    this.u8 = new Uint8Array(memory);
    this.u16 = new Uint16Array(memory);
    this.u32 = new Uint32Array(memory);
    this.i32 = new Int32Array(memory);
    this.u64 = new BigUint64Array(memory);
    this.i64 = new BigInt64Array(memory);
    this.view = new DataView(memory);
    this.io = options.io;
    this.options = options;
    this.intercepts = intercepts;
  }

  // ---- general registers
  r64(i: number): bigint {
    return this.u64[STATE.gpr.u64 + i];
  }
  setR64(i: number, v: bigint): void {
    this.u64[STATE.gpr.u64 + i] = v;
  }
  r32(i: number): number {
    return this.u32[STATE.gpr.u32 + i * 2];
  }
  /** As an instruction writes: clears the upper half. */
  setR32(i: number, v: number): void {
    this.u32[STATE.gpr.u32 + i * 2] = v;
    this.u32[STATE.gpr.u32 + i * 2 + 1] = 0;
  }
  r16(i: number): number {
    return this.u16[STATE.gpr.u16 + i * 4];
  }
  setR16(i: number, v: number): void {
    this.u16[STATE.gpr.u16 + i * 4] = v;
  }
  /** Byte register: 0..15 low bytes, `high`: 4..7 are AH CH DH BH. */
  r8(i: number, high = false): number {
    return this.u8[STATE.gpr.offset + (high ? (i - 4) * 8 + 1 : i * 8)];
  }
  setR8(i: number, v: number, high = false): void {
    this.u8[STATE.gpr.offset + (high ? (i - 4) * 8 + 1 : i * 8)] = v;
  }
  /** A register of 8..64 bits as a bigint. */
  reg(i: number, size: number): bigint {
    return BigInt.asUintN(size, this.r64(i));
  }
  setReg(i: number, size: number, v: bigint): void {
    if (size === 64) this.setR64(i, v);
    else if (size === 32) this.setR32(i, Number(BigInt.asUintN(32, v)));
    else if (size === 16) this.setR16(i, Number(BigInt.asUintN(16, v)));
    else this.setR8(i, Number(BigInt.asUintN(8, v)));
  }

  // ---- RIP and flags
  /** IP of the instruction being executed (helpers) or to be executed next (run loop). */
  get rip(): bigint {
    return this.u64[STATE.rip.u64];
  }
  set rip(v: bigint) {
    this.u64[STATE.rip.u64] = v;
  }
  /** RIP when it fits 32 bits (all modes but 64-bit code). */
  get eip(): number {
    return this.u32[STATE.rip.u32];
  }
  set eip(v: number) {
    this.u32[STATE.rip.u32] = v;
    this.u32[STATE.rip.u32 + 1] = 0;
  }
  /** The whole of EFLAGS, arithmetic flags included. */
  get eflags(): number {
    return this.u32[STATE.eflags.u32] | readArithmeticFlags(this);
  }
  set eflags(v: number) {
    this.u32[STATE.eflags.u32] = (v & ~FLAGS_ARITHMETIC) | FLAG.FIXED;
    writeArithmeticFlags(this, v);
  }
  /** Flags without CF PF AF ZF SF OF: cheap. */
  get systemFlags(): number {
    return this.u32[STATE.eflags.u32];
  }
  set systemFlags(v: number) {
    this.u32[STATE.eflags.u32] = v;
  }
  get iopl(): number {
    return (this.systemFlags >> 12) & 3;
  }
  get v86(): boolean {
    return (this.systemFlags & FLAG.VM) !== 0;
  }

  // ---- IDTR lies in the state: emitted real-mode INT reads it
  get idtrBase(): bigint {
    return this.u64[STATE.idtrBase.u64];
  }
  set idtrBase(v: bigint) {
    this.u64[STATE.idtrBase.u64] = v;
  }
  get idtrLimit(): number {
    return this.u32[STATE.idtrLimit.u32];
  }
  set idtrLimit(v: number) {
    this.u32[STATE.idtrLimit.u32] = v;
  }

  /** NMIs wait for IRET. In the state because emitted IRET looks at it. */
  get nmiBlocked(): boolean {
    return this.u32[STATE.nmiBlocked.u32] !== 0;
  }
  set nmiBlocked(v: boolean) {
    this.u32[STATE.nmiBlocked.u32] = v ? 1 : 0;
  }

  /** Bits of PENDING: what the run loop is to look at. */
  get pending(): number {
    return this.u32[STATE.pending.u32];
  }
  set pending(v: number) {
    this.u32[STATE.pending.u32] = v;
  }
  /** 0, SHADOW_STI or SHADOW_SS. */
  get shadow(): number {
    return this.u32[STATE.shadow.u32];
  }
  set shadow(v: number) {
    this.u32[STATE.shadow.u32] = v;
  }

  // ---- mode
  get cr0(): number {
    return this.u32[STATE.cr0.u32];
  }
  get cr4(): number {
    return this.u32[STATE.cr4.u32];
  }
  get efer(): number {
    return this.u32[STATE.efer.u32];
  }
  get cr3(): bigint {
    return this.u64[STATE.cr3.u64];
  }
  get cr2(): bigint {
    return this.u64[STATE.cr2.u64];
  }
  set cr2(v: bigint) {
    this.u64[STATE.cr2.u64] = v;
  }
  get cpl(): number {
    return this.u32[STATE.cpl.u32];
  }
  get protectedMode(): boolean {
    return (this.cr0 & CR0.PE) !== 0;
  }
  /** PE set and VM clear. */
  get realOrV86(): boolean {
    return (this.cr0 & CR0.PE) === 0 || this.v86;
  }
  /** EFER.LMA. */
  get longMode(): boolean {
    return (this.efer & EFER.LMA) !== 0;
  }
  /** 16, 32 or 64. */
  get codeSize(): number {
    return this.u32[STATE.codeSize.u32];
  }
  get code64(): boolean {
    return this.u32[STATE.codeSize.u32] === 64;
  }

  // ---- segments (selector, base, limit, access); derived fields are kept by `loadSegment`
  selector(s: number): number {
    return this.u16[STATE.segSelector.u16 + s];
  }
  setSelector(s: number, v: number): void {
    this.u16[STATE.segSelector.u16 + s] = v;
  }
  base(s: number): bigint {
    return this.u64[STATE.segBase.u64 + s];
  }
  /** Base as a number: unsigned 32-bit outside IA-32e mode, signed canonical in it. */
  baseNumber(s: number): number {
    const i = STATE.segBase.u32 + s * 2;
    return this.i32[i + 1] * 0x100000000 + this.u32[i];
  }
  limit(s: number): number {
    return this.u32[STATE.segLimit.u32 + s];
  }
  access(s: number): number {
    return this.u32[STATE.segAccess.u32 + s];
  }
  usable(s: number): boolean {
    return (this.access(s) & ACCESS.UNUSABLE) === 0;
  }
  /** Loads all parts of a segment register and recomputes what depends on them (fast limits, stack mask, code size, CPL when CS or SS). */
  loadSegment(s: number, selector: number, base: bigint, limit: number, access: number): void {
    this.setSelector(s, selector);
    this.u64[STATE.segBase.u64 + s] = BigInt.asUintN(64, base);
    this.u32[STATE.segLimit.u32 + s] = limit;
    this.u32[STATE.segAccess.u32 + s] = access;
    this.updateSegment(s);
  }
  /** Real-mode / V86 style load: base = selector * 16, hidden limit and access kept (real) as silicon does. */
  loadRealSegment(s: number, selector: number): void {
    this.setSelector(s, selector);
    const i = STATE.segBase.u32 + s * 2;
    const e = STATE.segEffBase.u32 + s * 2;
    this.u32[i] = this.u32[e] = selector << 4;
    this.u32[i + 1] = this.u32[e + 1] = 0;
  }
  /** Recomputes the fast limits of one segment; for CS also code size, for SS the stack mask. */
  updateSegment(s: number): void {
    if (s === CS || s === SS) this.updateMode();
    else if (s < 6) this.#refresh(s, this.codeSize === 64);
  }
  /** Effective base and fast limits of ES..GS. */
  #refresh(s: number, code64: boolean): void {
    const u32 = this.u32;
    const base = STATE.segBase.u32 + s * 2;
    const effective = STATE.segEffBase.u32 + s * 2;
    const read = STATE.segReadLimit.u32 + s * 2;
    const write = STATE.segWriteLimit.u32 + s * 2;
    if (code64) {
      const flat = s < FS;
      u32[effective] = flat ? 0 : u32[base];
      u32[effective + 1] = flat ? 0 : u32[base + 1];
      u32[read] = u32[write] = 0xffffffff;
      u32[read + 1] = u32[write + 1] = 0x7fffffff;
      return;
    }
    u32[effective] = u32[base];
    u32[effective + 1] = u32[base + 1];
    const access = this.access(s);
    const limit = this.limit(s);
    const real = !this.protectedMode;
    const up = (access & 0x1c) !== 0x14;
    const present = (access & (ACCESS.UNUSABLE | ACCESS.P)) === ACCESS.P;
    const code = (access & 8) !== 0;
    const readable = up && (real || (present && (!code || (access & 2) !== 0)));
    const writable = up && (real || (present && !code && (access & 2) !== 0));
    u32[read] = readable ? limit : 0xffffffff;
    u32[read + 1] = readable ? 0 : 0xffffffff;
    u32[write] = writable ? limit : 0xffffffff;
    u32[write + 1] = writable ? 0 : 0xffffffff;
  }
  #setMask(field: Field, lo: number, hi: number): void {
    this.u32[field.u32] = lo;
    this.u32[field.u32 + 1] = hi;
  }
  /** CR0, CR4, EFER, CPL, EFLAGS.VM or AC, or CS changed. */
  protected abstract modeChanged(): void;
  /** PE and code size that the fast limits were computed for. */
  #limitsFor = -1;
  /** Recomputes code size, masks, CPL-dependent tables. Call after CR0, CR4, EFER, EFLAGS.VM or CS/SS changed. */
  updateMode(): void {
    const csAccess = this.access(CS);
    const pe = this.protectedMode;
    const v86 = this.v86;
    const code64 = this.longMode && pe && !v86 && (csAccess & ACCESS.L) !== 0;
    // CS.D and SS.B are hidden state: they hold in real mode too until reloaded in protected mode (unreal mode).
    const codeSize = code64 ? 64 : v86 ? 16 : (csAccess & ACCESS.DB) !== 0 ? 32 : 16;
    this.u32[STATE.codeSize.u32] = codeSize;
    const ONES = 0xffffffff;
    const high = code64 ? ONES : 0;
    this.#setMask(STATE.ipLimit, code64 ? ONES : this.limit(CS), high);
    this.#setMask(STATE.ipMask, codeSize === 16 ? 0xffff : ONES, high);
    this.#setMask(STATE.linearMask, ONES, high);
    this.#setMask(STATE.stackMask, code64 || (!v86 && (this.access(SS) & ACCESS.DB) !== 0) ? ONES : 0xffff, high);
    this.u32[STATE.cpl.u32] = !pe ? 0 : v86 ? 3 : (this.access(SS) >> 5) & 3;
    const limitsFor = (pe ? 1 : 0) | (code64 ? 2 : 0);
    if (limitsFor !== this.#limitsFor) {
      this.#limitsFor = limitsFor;
      for (let s = 0; s < 6; s++) this.#refresh(s, code64);
    } else {
      this.#refresh(CS, code64);
      this.#refresh(SS, code64);
    }
    this.modeChanged();
  }

  // ---- faults and exits (never return)
  raise(vector: number, errorCode?: number): never {
    this.fault.vector = vector;
    this.fault.errorCode = errorCode;
    // oxlint-disable-next-line no-throw-literal, only-throw-error -- preallocated and without a stack trace: 10x cheaper, see docs/decisions
    throw this.fault;
  }
  gp(errorCode = 0): never {
    return this.raise(VECTOR.GP, errorCode);
  }
  ud(): never {
    return this.raise(VECTOR.UD);
  }
  leave(exit: VmExit): never {
    this.exit = exit;
    // oxlint-disable-next-line no-throw-literal, only-throw-error
    throw VM_EXIT;
  }
}
