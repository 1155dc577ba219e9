import type {
  CpuEngine,
  EngineStats,
  EngineVcpu,
  EngineVm,
  EngineVmOptions,
  GuestMemory,
  InjectedEvent,
  Intercepts,
  MemoryRegion,
  MemorySlot,
  VcpuStateV1,
  VmEntry,
  VmExit,
  VmExitKind,
} from "../engine/api/index.ts";
import { PhysicalMemory } from "./physical.ts";
import { GuestRegisters } from "./registers.ts";

/** A virtual machine: memory map and vCPUs (libvmmapi's `vmctx`). */
export class Vm {
  readonly #engine: EngineVm;
  readonly memory: GuestMemory;
  readonly physical: PhysicalMemory;
  /** The bootstrap processor, `vcpus[0]`. */
  readonly vcpu: Vcpu;
  readonly vcpus: readonly Vcpu[];

  constructor(engine: CpuEngine, options: EngineVmOptions) {
    this.#engine = engine.createVm(options);
    this.memory = this.#engine.memory;
    this.physical = new PhysicalMemory(this.memory, options.io);
    this.vcpu = new Vcpu(this.#engine.vcpu);
    this.vcpus = [this.vcpu, ...this.#engine.vcpus.slice(1).map((vcpu) => new Vcpu(vcpu))];
  }
  region(name: string): MemoryRegion | undefined {
    return this.#engine.regions.get(name);
  }
  /** Page-aligned. A later slot replaces what it covers. */
  mapSlot(slot: MemorySlot): void {
    this.#engine.mapSlot(slot);
    this.physical.remapped();
  }
  unmapSlot(gpa: number, sizeBytes: number): void {
    this.#engine.unmapSlot(gpa, sizeBytes);
    this.physical.remapped();
  }
  /** Starts a dirty log of a region: which pages the guest and `memory` write. */
  noteWrites(region: MemoryRegion): void {
    this.#engine.noteWrites(region);
  }
  /** One byte a page, 1: written since the log began or was last taken. */
  takeWrites(region: MemoryRegion): Uint8Array {
    return this.#engine.takeWrites(region);
  }
  ignoreWrites(region: MemoryRegion): void {
    this.#engine.ignoreWrites(region);
  }
  setIgnne(asserted: boolean): void {
    this.#engine.setIgnne(asserted);
  }
  setA20(enabled: boolean): void {
    this.#engine.setA20(enabled);
  }
  dispose(): void {
    this.#engine.dispose();
  }
}

/** One virtual CPU: run it, look at it, inject events, count its exits. */
export class Vcpu {
  readonly #engine: EngineVcpu;
  readonly #exits = new Map<VmExitKind, number>();
  #kind: VmExitKind = "budget";
  #ofKind = 0;
  readonly regs: GuestRegisters;
  /** Told when something comes for this CPU: INTR rises, an NMI, INIT or SIPI, or it is taken out of HLT. */
  onSignal: (() => void) | undefined;
  #intr = false;

  constructor(engine: EngineVcpu) {
    this.#engine = engine;
    this.regs = new GuestRegisters(engine);
  }
  run(entry: VmEntry, budget: number): VmExit {
    const exit = this.#engine.run(entry, budget);
    if (exit.kind === "budget" && exit.early === true) return exit;
    if (exit.kind !== this.#kind) this.#countExits(exit.kind);
    this.#ofKind++;
    return exit;
  }
  /** Exits come in rows of one kind: a row is entered into the table when it is over. */
  #countExits(next: VmExitKind): void {
    if (this.#ofKind > 0) this.#exits.set(this.#kind, (this.#exits.get(this.#kind) ?? 0) + this.#ofKind);
    this.#kind = next;
    this.#ofKind = 0;
  }
  /**
   * Lets `handler` answer VMCALLs without a way out of the run and back (see EngineVcpu.onVmcall). They count as exits, and `run` reports those
   * that it does not take. Undefined: every VMCALL exits.
   */
  setHypercall(handler: ((exit: VmExit) => boolean) | undefined): void {
    if (handler === undefined) {
      this.#engine.onVmcall = undefined;
      return;
    }
    this.#engine.onVmcall = (exit) => {
      if (!handler(exit)) return false;
      if (this.#kind !== "vmcall") this.#countExits("vmcall");
      this.#ofKind++;
      return true;
    };
  }
  /** Runs with an event delivered on entry. */
  inject(event: InjectedEvent, budget: number): VmExit {
    return this.run({ kind: "run", inject: event }, budget);
  }
  get intercepts(): Intercepts {
    return this.#engine.intercepts;
  }
  instructionCount(): number {
    return this.#engine.instructionCount();
  }
  requestStop(): void {
    this.#engine.requestStop();
  }
  /** Where the CPU's APIC page lies; undefined: nowhere. */
  setApicPage(gpa: number | undefined): void {
    this.#engine.setApicPage(gpa);
  }
  setInterruptLine(level: boolean): void {
    this.#engine.setInterruptLine(level);
    if (level && !this.#intr) this.onSignal?.();
    this.#intr = level;
  }
  raiseNmi(): void {
    this.#engine.raiseNmi();
    this.onSignal?.();
  }
  raiseInit(): void {
    this.#engine.raiseInit();
    this.onSignal?.();
  }
  raiseStartup(vector: number): void {
    this.#engine.raiseStartup(vector);
    this.onSignal?.();
  }
  /** The monitor's answer to an `init` exit. */
  init(): void {
    this.#engine.init();
  }
  /** The monitor's answer to a `sipi` exit. */
  startup(vector: number): void {
    this.#engine.startup(vector);
  }
  get halted(): boolean {
    return this.#engine.halted;
  }
  setHalted(halted: boolean): void {
    this.#engine.setHalted(halted);
    if (!halted) this.onSignal?.();
  }
  reset(): void {
    this.#engine.reset();
  }
  saveState(): VcpuStateV1 {
    return this.#engine.saveState();
  }
  loadState(state: VcpuStateV1): void {
    this.#engine.loadState(state);
    this.#intr = state.intr;
  }
  /** Exits by kind since power-on. */
  exitCounts(): ReadonlyMap<VmExitKind, number> {
    this.#countExits(this.#kind);
    return this.#exits;
  }
  stats(): EngineStats {
    return this.#engine.stats();
  }
}
