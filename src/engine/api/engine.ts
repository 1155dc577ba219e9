import type { Intercepts, VmEntry, VmExit } from "./exits.ts";
import type { VcpuStateV1 } from "./state.ts";
import type { GuestIo, GuestMemory, LocalApicPort, MemoryRegion, MemorySlot, RegisterAccess } from "./types.ts";

/** What a VM is made of, and what answers it. */
export interface EngineVmOptions {
  readonly ramBytes: number;
  /** Further regions to allocate (ROM, video memory), by name. */
  readonly regions: readonly { readonly name: string; readonly sizeBytes: number }[];
  readonly io: GuestIo;
  /** Time-stamp counter: called on RDTSC and by clocks; guest TSC ticks as a number below 2^53. */
  readonly readTsc: () => number;
  /** Uniform random 32-bit words (unsigned) for RDRAND and RDSEED; default: a fixed sequence, so that runs repeat. */
  readonly random?: () => number;
  /** How many CPUs, 1..16; default 1. They take turns in one thread: whoever calls `run` runs. */
  readonly cpus?: number;
  /** The local APIC of each CPU, by index; absent entries: none. */
  readonly localApics?: readonly (LocalApicPort | undefined)[];
  /** FERR#: an unmasked x87 exception waits and CR0.NE is clear (a PC wires it to IRQ 13). */
  readonly ferr?: () => void;
}

/** Where engines differ. */
export interface EngineTraits {
  /**
   * False (a host's own virtualisation): a run ends some time after its budget, and `instructionCount` does not count. Time is the host's then, and
   * nobody can watch single instructions.
   */
  readonly exactBudgets: boolean;
}

/** Creates VMs. One engine serves many VMs in one process; nothing is global. */
export interface CpuEngine {
  readonly name: string;
  /** What it cannot do; absent: it can do everything that this contract says. */
  readonly traits?: EngineTraits;
  createVm(options: EngineVmOptions): EngineVm;
}

export interface EngineVm {
  readonly memory: GuestMemory;
  /** "ram" is always there; the others as asked for in the options. */
  readonly regions: ReadonlyMap<string, MemoryRegion>;
  /** The bootstrap processor, `vcpus[0]`. */
  readonly vcpu: EngineVcpu;
  readonly vcpus: readonly EngineVcpu[];
  /** Maps a page-aligned slot, replacing what was mapped there. */
  mapSlot(slot: MemorySlot): void;
  /** Turns a page-aligned range back into MMIO. */
  unmapSlot(gpa: number, sizeBytes: number): void;
  /** Dirty log of a region (KVM_MEM_LOG_DIRTY_PAGES): from now on writes by the guest and through `GuestMemory` are noted, page by page. */
  noteWrites(region: MemoryRegion): void;
  /** One byte a page of 4 KiB, 1: written since the log began or was last taken. All ones when no log is kept. Between runs only. */
  takeWrites(region: MemoryRegion): Uint8Array;
  ignoreWrites(region: MemoryRegion): void;
  /** The A20 gate: when off, physical address bit 20 reads as zero. */
  setA20(enabled: boolean): void;
  /** IGNNE#: while asserted, x87 instructions run with an exception pending. */
  setIgnne(asserted: boolean): void;
  dispose(): void;
}

/** Counters by name; which there are is the engine's business. */
export interface EngineStats {
  readonly [name: string]: number;
}

export interface EngineVcpu extends RegisterAccess {
  readonly intercepts: Intercepts;
  /**
   * Asked at a VMCALL before it exits, with everything as at the exit (RIP at the instruction, `instructionCount` exact). True: the monitor has
   * done what the guest wanted, RIP included, and the guest goes on in the same run, as after an exit answered with "run". False: an exit.
   * Not asked while instructions are run one at a time. It may call `requestStop`, as a `GuestIo` call may.
   */
  onVmcall: ((exit: VmExit) => boolean) | undefined;
  /**
   * Runs at most `budget` guest instructions (exactly, unless something else exits earlier). Synchronous.
   * A halted CPU with no deliverable interrupt returns `hlt` at once without using budget.
   */
  run(entry: VmEntry, budget: number): VmExit;
  /** Guest instructions retired since power-on; exact even inside a `GuestIo` call. Below 2^53. */
  instructionCount(): number;
  /** From inside a `GuestIo` call: end the current run after this instruction (a `budget` exit). */
  requestStop(): void;
  /** Where this CPU's APIC page lies (page-aligned, below 2^40); it covers what else is mapped there. Undefined: nowhere (disabled, x2APIC). */
  setApicPage(gpa: number | undefined): void;
  /** Level of the INTR pin. */
  setInterruptLine(level: boolean): void;
  /** Edge on the NMI pin. */
  raiseNmi(): void;
  /** INIT signal: always an `init` exit; the monitor answers with `init()` when the guest is to be initialised. */
  raiseInit(): void;
  /** Start-up IPI with its vector: a `sipi` exit while the CPU waits for one, ignored otherwise. The monitor answers with `startup`. */
  raiseStartup(vector: number): void;
  /** INIT state, waiting for SIPI: `run` returns `hlt` until one comes. */
  init(): void;
  /** Leaves wait-for-SIPI: CS:IP = vector * 100h : 0. */
  startup(vector: number): void;
  /** The CPU is in the HLT activity state. */
  readonly halted: boolean;
  setHalted(halted: boolean): void;
  /** RESET: power-on values. */
  reset(): void;
  /**
   * Between runs only. Saving forgets translations (TLB), as loading does, so that whoever goes on here and whoever loads see the same.
   * Loading refuses (VMM_STATE) what is not of version 1.
   */
  saveState(): VcpuStateV1;
  loadState(state: VcpuStateV1): void;
  stats(): EngineStats;
}
