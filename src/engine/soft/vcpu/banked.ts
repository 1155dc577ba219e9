import type { ControlRegister, FpuState, SegmentName, SegmentState, VcpuStateV1, VmEntry, VmExit } from "../../api/index.ts";
import type { CodeFinder } from "../code/finder.ts";
import type { Cpu } from "../cpu.ts";
import { STATE, STATE_START } from "../state-layout.ts";
import type { CoreImports } from "./executor.ts";
import { SoftVcpu } from "./vcpu.ts";

/**
 * Generated code has the CPU's state at fixed addresses. In a VM of several CPUs one of them lies there; the others are put aside in memory of
 * their own and copied in (some 2 KB) when they run or are looked at. Tables that must survive a switch (TLB, jump cache) are each CPU's own.
 */
export class CpuBank {
  /** Whose state lies at the fixed addresses. */
  current: BankedVcpu;
  /** Who is inside `run`. */
  running: BankedVcpu | undefined;
  #imports: CoreImports;

  constructor(first: BankedVcpu) {
    this.current = first;
    this.#imports = first.imports;
    first.finder.lookups.use(true);
  }
  select(vcpu: BankedVcpu): void {
    const out = this.current;
    if (out === vcpu) return;
    const { cpu } = vcpu;
    const runs = cpu.u32[STATE.regionRuns.u32];
    cpu.u8.copyWithin(out.parked, STATE_START, STATE.end);
    cpu.u8.copyWithin(STATE_START, vcpu.parked, vcpu.parked + STATE.end - STATE_START);
    // The one field that is the VM's.
    cpu.u32[STATE.regionRuns.u32] = runs;
    this.current = vcpu;
    this.#imports = vcpu.imports;
    out.finder.lookups.use(false);
    vcpu.finder.lookups.use(true);
  }
  /** The imports of generated code, which serves all CPUs: they go to the one that runs. */
  readonly imports: CoreImports = {
    slowRead: (lo, hi, sizeSegment) => this.#imports.slowRead(lo, hi, sizeSegment),
    slowWrite: (lo, hi, sizeSegment) => this.#imports.slowWrite(lo, hi, sizeSegment),
    slowProbe: (lo, hi, sizeSegment) => this.#imports.slowProbe(lo, hi, sizeSegment),
    segmentSlow: (lo, hi, flags) => this.#imports.segmentSlow(lo, hi, flags),
    raise: (vector, errorCode) => this.#imports.raise(vector, errorCode),
    portIn: (port, bytes) => this.#imports.portIn(port, bytes),
    portOut: (port, bytes, value) => this.#imports.portOut(port, bytes, value),
    helper: (rec) => this.#imports.helper(rec),
    findLink: (rec) => this.#imports.findLink(rec),
    findIp: (rec) => this.#imports.findIp(rec),
    breakAt: (rec) => this.#imports.breakAt(rec),
  };
}

/** A CPU of a VM that has several. */
export class BankedVcpu extends SoftVcpu {
  /** Where the state is while another CPU's is in use. */
  readonly parked: number;
  #bank: CpuBank | undefined;

  constructor(cpu: Cpu, finder: CodeFinder, parked: number) {
    super(cpu, finder);
    this.parked = parked;
  }
  join(bank: CpuBank): void {
    this.#bank = bank;
  }
  /** Does something with this CPU's state in use. While another CPU runs (a device or a trace looks at us), that one's state comes back after. */
  #visit<T>(what: () => T): T {
    const bank = this.#bank;
    if (bank === undefined || bank.current === this) return what();
    const back = bank.running;
    bank.select(this);
    try {
      return what();
    } finally {
      if (back !== undefined) bank.select(back);
    }
  }
  protected override pendingIndex(): number {
    const parked = this.#bank !== undefined && this.#bank.current !== this;
    return (parked ? this.parked - STATE_START + STATE.pending.offset : STATE.pending.offset) >> 2;
  }

  override run(entry: VmEntry, budget: number): VmExit {
    const bank = this.#bank;
    if (bank === undefined) return super.run(entry, budget);
    bank.select(this);
    bank.running = this;
    try {
      return super.run(entry, budget);
    } finally {
      bank.running = undefined;
    }
  }
  override init(): void {
    this.#visit(() => super.init());
  }
  override startup(vector: number): void {
    this.#visit(() => super.startup(vector));
  }
  override reset(): void {
    this.#visit(() => super.reset());
    // All but the bootstrap processor begin by waiting.
    if (this.cpu.index > 0) this.init();
  }
  override saveState(): VcpuStateV1 {
    return this.#visit(() => super.saveState());
  }
  override loadState(state: VcpuStateV1): void {
    this.#visit(() => super.loadState(state));
  }

  override getGpr(index: number): bigint {
    return this.#visit(() => super.getGpr(index));
  }
  override setGpr(index: number, value: bigint): void {
    this.#visit(() => super.setGpr(index, value));
  }
  override getGpr32(index: number): number {
    return this.#visit(() => super.getGpr32(index));
  }
  override setGpr32(index: number, value: number): void {
    this.#visit(() => super.setGpr32(index, value));
  }
  override getRip(): bigint {
    return this.#visit(() => super.getRip());
  }
  override setRip(value: bigint): void {
    this.#visit(() => super.setRip(value));
  }
  override getRip32(): number {
    return this.#visit(() => super.getRip32());
  }
  override advanceRip(bytes: number): void {
    this.#visit(() => super.advanceRip(bytes));
  }
  override getRflags(): number {
    return this.#visit(() => super.getRflags());
  }
  override setRflags(value: number): void {
    this.#visit(() => super.setRflags(value));
  }
  override getSegment(name: SegmentName): SegmentState {
    return this.#visit(() => super.getSegment(name));
  }
  override getSegmentSelector(segment: number): number {
    return this.#visit(() => super.getSegmentSelector(segment));
  }
  override getSegmentBase32(segment: number): number {
    return this.#visit(() => super.getSegmentBase32(segment));
  }
  override getSegmentAccess(segment: number): number {
    return this.#visit(() => super.getSegmentAccess(segment));
  }
  override getCr0(): number {
    return this.#visit(() => super.getCr0());
  }
  override setSegment(name: SegmentName, state: SegmentState): void {
    this.#visit(() => super.setSegment(name, state));
  }
  override getControl(name: ControlRegister): bigint {
    return this.#visit(() => super.getControl(name));
  }
  override setControl(name: ControlRegister, value: bigint): void {
    this.#visit(() => super.setControl(name, value));
  }
  override getDescriptorTable(name: "gdtr" | "idtr"): { readonly base: bigint; readonly limit: number } {
    return this.#visit(() => super.getDescriptorTable(name));
  }
  override setDescriptorTable(name: "gdtr" | "idtr", base: bigint, limit: number): void {
    this.#visit(() => super.setDescriptorTable(name, base, limit));
  }
  override getMsr(index: number): bigint | undefined {
    return this.#visit(() => super.getMsr(index));
  }
  override setMsr(index: number, value: bigint): boolean {
    return this.#visit(() => super.setMsr(index, value));
  }
  override getFpu(): FpuState {
    return this.#visit(() => super.getFpu());
  }
  override setFpu(state: FpuState): void {
    this.#visit(() => super.setFpu(state));
  }
  override getXmm(index: number): Uint8Array {
    return this.#visit(() => super.getXmm(index));
  }
  override setXmm(index: number, bytes: Uint8Array): void {
    this.#visit(() => super.setXmm(index, bytes));
  }
}
