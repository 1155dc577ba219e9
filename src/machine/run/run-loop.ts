import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import { VmmError, unreachable } from "../../base/index.ts";
import { ENTRY_RUN } from "../../vmm/index.ts";
import type { Vcpu, VmEntry, VmExit } from "../../vmm/index.ts";
import type { MachineClock } from "./clock.ts";
import type { Host } from "./host.ts";
import { Scheduler, SCHEDULER_STATE } from "./scheduler.ts";

/** Why a machine is at its end. `crash`: the guest's own doing, named. */
export type MachineEnd =
  | { readonly kind: "power-off"; readonly by: string }
  /** The guest is a test and gave its result (`isaDebugExit`): an exit code as QEMU makes it, odd, 1 to 255. */
  | { readonly kind: "debug-exit"; readonly exitCode: number }
  | { readonly kind: "reset"; readonly by: string }
  | { readonly kind: "crash"; readonly message: string }
  | { readonly kind: "halted"; readonly message: string }
  | { readonly kind: "stopped"; readonly by: string };

/** The wired PC as the run loop sees it. Everything here is synchronous. */
export interface Board {
  /** The bootstrap processor first. */
  readonly vcpus: readonly Vcpu[];
  readonly clock: MachineClock;
  /** A BIOS stub trapped (VMCALL, or OUT to the trap port): does the service. Undefined: no stub there, the instruction is the guest's own. */
  callBios(exit: VmExit, vcpu: Vcpu): VmEntry | undefined;
  /** A port or memory access that `GuestIo` left to us. */
  accessExit(exit: VmExit): VmEntry;
  /** What the guest or a person asked for since the last look: a reset, power off. */
  takeRequest(): BoardRequest | undefined;
  /** Told when a request was made, so that the running slice ends. */
  onRequest: (() => void) | undefined;
  /** Puts every chip and the CPUs into the state after RESET; the BIOS starts over. */
  reset(kind: "cold" | "warm"): void;
  /** From S3 (suspend to RAM) back to work. */
  wake(): void;
  /** True when the guest prepared a return from reset (CMOS shutdown code, warm-boot flag): a triple fault then is its way to ask for one. */
  resetWasPrepared(): boolean;
  /** One line about where a CPU is, for messages. */
  describeCpu(vcpu: Vcpu): string;
}

/** What chips, the BIOS or a person want of the run loop; done between two instructions. `by`: who, for messages. */
export type BoardRequest =
  | { readonly kind: "reset"; readonly warm: boolean; readonly by: string }
  | { readonly kind: "power-off"; readonly by: string }
  | { readonly kind: "suspend" }
  | { readonly kind: "wake" }
  | { readonly kind: "debug-exit"; readonly exitCode: number };

/** What the loop itself remembers, for snapshots. */
export const LOOP_STATE = shape.record({
  v: shape.oneOf(1),
  scheduler: SCHEDULER_STATE,
  /** PAUSEs that each CPU has left in its turn. */
  pauseLoops: shape.list(shape.nullable(shape.count), 256, 1),
  resets: shape.count,
  /** The guest is suspended to RAM. Missing in older snapshots. */
  asleep: shape.maybe(shape.flag),
});
export type LoopStateV1 = Shaped<typeof LOOP_STATE>;

/** Watches the machine, for tracing. Called after each `run`. */
export interface ExitObserver {
  /** Largest budget a run may get: 1 makes every instruction visible. */
  readonly maxBudget: number;
  beforeRun(vcpu: Vcpu): void;
  afterRun(exit: VmExit, vcpu: Vcpu): void;
}

export interface RunLoopOptions {
  readonly host: Host;
  /** A guest reset ends the run instead of starting over. */
  readonly stopOnReset: boolean;
  /** What a triple fault means when the guest did not prepare a reset. */
  readonly tripleFault: "stop" | "reset";
  /** Stay alive when the guest can never run again, as a real PC does (a person is watching). */
  readonly stayWhenHalted: boolean;
}

/** The event loop gets a turn at least this often. */
const YIELD_MS = 5;
/** Longest stretch without looking at the clock: about 5 ms of an interpreter's work. */
const MAX_SLICE = 500_000;
/** Exits between two looks at the host's clock inside a slice, less one. */
const EXITS_A_LOOK = 63;
/** Calls of the BIOS after which a slice under the virtual clock ends, less one: the dearest take milliseconds. */
const CALLS_A_SLICE = 127;
/** PAUSEs in a turn before a CPU is taken to wait for another one. */
const SPINS = 32;
const IF_FLAG = 0x200;

/** Runs a board slice by slice, sleeps when the guest does, ends when it ends. The only place that awaits. */
export class RunLoop {
  readonly #board: Board;
  readonly #options: RunLoopOptions;
  #state: "ready" | "running" | "pausing" | "paused" | "ended" = "ready";
  readonly #scheduler: Scheduler;
  readonly #entries: VmEntry[];
  /** The scheduler's turn that the PAUSE count is for. */
  #turn = -1;
  #end: MachineEnd | undefined;
  /** The CPU inside `run`. */
  #running: Vcpu | undefined;
  /** Another CPU was sent something: it has the next turn. */
  #signalled = false;
  #cut = false;
  /** In S3: no processor runs until a device says "wake". */
  #asleep = false;
  /** Of the slice: exits so far, and when it is to end. */
  #exits = 0;
  /** BIOS calls that were answered below the exit since the start. */
  #calls = 0;
  #untilMs = 0;
  #breathe = false;
  #wake: (() => void) | undefined;
  #onPaused: (() => void)[] = [];
  readonly #ended: Promise<MachineEnd>;
  #settle: (end: MachineEnd) => void = () => {};
  #fail: (error: unknown) => void = () => {};
  observer: ExitObserver | undefined;
  /** Resets since power-on. */
  resets = 0;

  constructor(board: Board, options: RunLoopOptions) {
    this.#board = board;
    this.#options = options;
    this.#ended = new Promise((resolve, reject) => {
      this.#settle = resolve;
      this.#fail = reject;
    });
    // Whoever awaits `ended` sees the failure; nobody awaiting is no reason to end the process.
    this.#ended.catch(() => {});
    this.#scheduler = new Scheduler(board.vcpus.length);
    this.#entries = board.vcpus.map(() => ENTRY_RUN);
    if (board.vcpus.length > 1) board.vcpus.forEach((vcpu, cpu) => (vcpu.onSignal = () => this.#signal(cpu, vcpu)));
    for (const vcpu of board.vcpus) vcpu.setHypercall((exit) => this.#hypercall(exit, vcpu));
    board.clock.onEarlierDeadline = () => this.cutSlice();
    board.onRequest = () => this.cutSlice();
  }

  get state(): "ready" | "running" | "pausing" | "paused" | "ended" {
    return this.#state;
  }
  /** Resolves when the machine has come to its end; rejects on an internal error. */
  get ended(): Promise<MachineEnd> {
    return this.#ended;
  }

  /** Ends the running slice soon: a timer came earlier, a chip asked for reset, somebody wants to look. */
  cutSlice(): void {
    this.#cut = true;
    this.#running?.requestStop();
  }
  #signal(cpu: number, vcpu: Vcpu): void {
    if (this.#running === vcpu) return;
    this.#scheduler.wake(cpu);
    if (this.#running === undefined) return;
    this.#signalled = true;
    this.#running.requestStop();
  }

  /**
   * Lets the event loop have a turn before the guest goes on, so that code which waited for something in the guest acts
   * at that very moment of guest time, on every run the same.
   */
  breathe(): void {
    this.#breathe = true;
    this.cutSlice();
  }

  /** Input from outside arrived: an idle machine looks again. */
  wake(): void {
    this.#board.clock.input();
    this.#wake?.();
  }

  start(): void {
    if (this.#state !== "ready") throw new VmmError("MACHINE_STATE", `cannot start a machine that is ${this.#state}`);
    this.#state = "running";
    void this.#main();
  }

  /** Resolves once the guest stands still. */
  pause(): Promise<void> {
    if (this.#state === "paused" || this.#state === "ended" || this.#state === "ready") return Promise.resolve();
    this.#state = "pausing";
    this.cutSlice();
    this.wake();
    return new Promise((resolve) => this.#onPaused.push(resolve));
  }

  resume(): void {
    if (this.#state !== "paused") throw new VmmError("MACHINE_STATE", `cannot resume a machine that is ${this.#state}`);
    this.#board.clock.resume();
    this.#state = "running";
    void this.#main();
  }

  /** Only while the guest stands still. Answers that the CPUs have not taken in are given to them first. */
  saveState(): LoopStateV1 {
    if (this.#state === "running" || this.#state === "pausing") throw new VmmError("MACHINE_STATE", "a running machine cannot be saved");
    const { vcpus } = this.#board;
    for (const [cpu, vcpu] of vcpus.entries()) {
      for (let tries = 0; tries < 4; tries++) {
        const entry = this.#entries[cpu] ?? ENTRY_RUN;
        if (entry === ENTRY_RUN) break;
        const exit = vcpu.run(entry, 0);
        this.#entries[cpu] = ENTRY_RUN;
        if (exit.kind !== "budget" && exit.kind !== "hlt") this.#handleExit(exit, vcpu, cpu);
      }
    }
    const pauseLoops = vcpus.map((vcpu) => vcpu.intercepts.pauseLoop ?? null);
    return { v: 1, scheduler: this.#scheduler.saveState(), pauseLoops, resets: this.resets, asleep: this.#asleep };
  }
  /** Before the start. */
  loadState(s: LoopStateV1): void {
    if (this.#state !== "ready") throw new VmmError("MACHINE_STATE", `a machine that is ${this.#state} takes no snapshot`);
    this.#scheduler.loadState(s.scheduler);
    // The turn in which the snapshot was taken goes on.
    this.#turn = this.#scheduler.turn;
    for (const [cpu, vcpu] of this.#board.vcpus.entries()) vcpu.intercepts.pauseLoop = s.pauseLoops[cpu] ?? undefined;
    this.resets = s.resets;
    this.#asleep = s.asleep ?? false;
  }

  /** Ends the machine as the host's decision. */
  stop(by: string): void {
    this.#finish({ kind: "stopped", by });
    this.wake();
    if (this.#state === "ready" || this.#state === "paused") this.#leave();
  }

  #finish(end: MachineEnd): void {
    this.#end ??= end;
    this.cutSlice();
  }

  #leave(): void {
    if (this.#end !== undefined && this.#state !== "ended") {
      this.#state = "ended";
      this.#settle(this.#end);
    } else if (this.#state === "pausing") this.#state = "paused";
    for (const resolve of this.#onPaused.splice(0)) resolve();
  }

  async #main(): Promise<void> {
    const { host } = this.#options;
    try {
      await host.yield();
      while (this.#state === "running" && this.#end === undefined) {
        const sleepMs = this.#runUntilYield(host.now() + YIELD_MS);
        if (sleepMs > 0 && this.#end === undefined && this.#state === "running") {
          const sleep = host.sleep(sleepMs);
          this.#wake = sleep.wake;
          await sleep.done;
          this.#wake = undefined;
        } else await host.yield();
      }
      this.#leave();
    } catch (error) {
      this.#state = "ended";
      this.#fail(error);
      for (const resolve of this.#onPaused.splice(0)) resolve();
    }
  }

  /** Runs slices until it is time to yield; returns how long to sleep, in ms (0: only yield). */
  #runUntilYield(untilMs: number): number {
    const { host } = this.#options;
    for (;;) {
      this.#board.clock.fireDue();
      this.#handleRequests();
      if (this.#end !== undefined || this.#breathe || this.#state !== "running") break;
      const sleepMs = this.#slice(untilMs);
      this.#handleRequests();
      if (sleepMs > 0) return sleepMs;
      if (this.#end !== undefined || this.#breathe || this.#state !== "running" || host.now() >= untilMs) break;
    }
    this.#breathe = false;
    return 0;
  }

  #handleRequests(): void {
    const request = this.#board.takeRequest();
    if (request === undefined) return;
    switch (request.kind) {
      case "power-off":
      case "debug-exit":
        this.#finish(request);
        return;
      case "reset":
        this.#reset(request.warm, request.by);
        return;
      case "suspend":
        this.#asleep = true;
        return;
      case "wake":
        this.#asleep = false;
        this.#entries.fill(ENTRY_RUN);
        this.#board.wake();
        this.#scheduler.reset();
        return;
      default:
        unreachable(request);
    }
  }

  #reset(warm: boolean, by: string): void {
    if (this.#options.stopOnReset) {
      this.#finish({ kind: "reset", by });
      return;
    }
    this.resets++;
    this.#asleep = false;
    this.#entries.fill(ENTRY_RUN);
    this.#board.reset(warm ? "warm" : "cold");
    this.#scheduler.reset();
  }

  /**
   * Runs the vCPUs in turns until the budget is used up or something needs the loop. Returns ms to sleep. A guest that mostly calls the BIOS
   * also ends its slice when the time is over, for its instructions alone do not tell how long the host worked.
   */
  #slice(untilMs: number): number {
    const { vcpus, clock } = this.#board;
    const { host } = this.#options;
    const scheduler = this.#scheduler;
    const timed = clock.kind === "host";
    this.#exits = 0;
    this.#untilMs = untilMs;
    const observer = this.observer;
    // Without timers, slices end at whole multiples of their length: where they end is counted, and must not depend on an early end before.
    const longest = timed ? MAX_SLICE : MAX_SLICE - (vcpus.reduce((sum, vcpu) => sum + vcpu.instructionCount(), 0) % MAX_SLICE);
    const limit = observer === undefined ? longest : Math.min(longest, observer.maxBudget);
    this.#cut = false;
    let budget = clock.budget(limit);
    if (this.#asleep) return this.#suspended();
    for (;;) {
      const cpu = scheduler.pick();
      const vcpu = vcpus[cpu];
      if (vcpu === undefined) return Math.max(0, this.#idle());
      if (scheduler.turn !== this.#turn) {
        this.#turn = scheduler.turn;
        if (vcpus.length > 1) vcpu.intercepts.pauseLoop = SPINS;
      }
      const before = vcpu.instructionCount();
      observer?.beforeRun(vcpu);
      this.#signalled = false;
      this.#running = vcpu;
      const exit = vcpu.run(this.#entries[cpu] ?? ENTRY_RUN, Math.min(budget, scheduler.left(cpu)));
      this.#running = undefined;
      this.#entries[cpu] = ENTRY_RUN;
      const ran = vcpu.instructionCount() - before;
      scheduler.ran(cpu, ran);
      observer?.afterRun(exit, vcpu);
      const sleepMs = this.#handleExit(exit, vcpu, cpu);
      if (sleepMs !== 0) return Math.max(0, sleepMs);
      budget -= ran;
      if (budget <= 0 || this.#cut) return 0;
      if ((++this.#exits & EXITS_A_LOOK) === 0 && host.now() >= untilMs) return 0;
    }
  }

  /** A BIOS call, without leaving the run: what `#slice` does after an exit, done here. An observer sees exits instead. */
  #hypercall(exit: VmExit, vcpu: Vcpu): boolean {
    if (this.observer !== undefined) return false;
    const entry = this.#board.callBios(exit, vcpu);
    if (entry !== ENTRY_RUN) return false;
    // This end is counted: under the virtual clock it comes after a number of calls, so that runs repeat.
    const due = this.#board.clock.kind === "host" ? (++this.#exits & EXITS_A_LOOK) === 0 : (++this.#calls & CALLS_A_SLICE) === 0;
    if (due && (this.#board.clock.kind === "virtual" || this.#options.host.now() >= this.#untilMs)) this.cutSlice();
    return true;
  }

  /** 0: go on within the slice; -1: end the slice; positive: sleep that many ms. */
  #handleExit(exit: VmExit, vcpu: Vcpu, cpu: number): number {
    switch (exit.kind) {
      case "budget":
        // The end of a turn, not of the slice?
        return this.#signalled || this.#scheduler.left(cpu) <= 0 ? 0 : -1;
      case "hlt":
        return this.#sleep(vcpu, cpu);
      case "vmcall":
        this.#entries[cpu] = this.#board.callBios(exit, vcpu) ?? INJECT_UD;
        return 0;
      case "io-in":
      case "io-out":
        this.#entries[cpu] = this.#board.callBios(exit, vcpu) ?? this.#board.accessExit(exit);
        return 0;
      case "mmio-read":
      case "mmio-write":
        this.#entries[cpu] = this.#board.accessExit(exit);
        return 0;
      case "triple-fault":
        if (this.#options.tripleFault === "reset" || this.#board.resetWasPrepared()) this.#reset(true, "triple fault");
        else this.#finish({ kind: "crash", message: `triple fault at ${this.#board.describeCpu(vcpu)}` });
        return -1;
      case "init":
        if (cpu > 0) {
          vcpu.init();
          return 0;
        }
        this.#reset(true, "INIT");
        return -1;
      case "sipi":
        vcpu.startup(exit.vector);
        return 0;
      // VMX root instructions in a guest that was never told it has VMX.
      case "vmx-instruction":
      case "getsec":
      case "rsm":
        this.#entries[cpu] = INJECT_UD;
        return 0;
      case "invd":
      case "wbinvd":
      case "monitor":
        this.#entries[cpu] = { kind: "skip" };
        return 0;
      case "pause":
        this.#entries[cpu] = { kind: "skip" };
        this.#scheduler.yield(cpu);
        return 0;
      case "mwait":
        this.#entries[cpu] = { kind: "skip" };
        return this.#sleep(vcpu, cpu);
      case "rdmsr":
      case "wrmsr":
      case "xsetbv":
        this.#entries[cpu] = INJECT_GP;
        return 0;
      case "external-interrupt":
      case "mtf":
      case "interrupt-window":
      case "nmi-window":
      case "preemption-timer":
        return 0;
      case "entry-failure":
        // What a firmware call was asked to load is the guest's doing.
        this.#finish({ kind: "crash", message: `VM entry refused: ${exit.message}, at ${this.#board.describeCpu(vcpu)}` });
        return -1;
      // Off in our intercepts: an exit of these kinds is our own mistake.
      case "exception":
      case "task-switch":
      case "cpuid":
      case "invlpg":
      case "invpcid":
      case "rdpmc":
      case "rdtsc":
      case "rdtscp":
      case "cr-access":
      case "dr-access":
      case "descriptor-table":
      case "rdrand":
      case "rdseed":
        throw new VmmError("MACHINE_EXIT", `unexpected VM exit "${exit.kind}" (${this.#board.describeCpu(vcpu)})`);
      default:
        return unreachable(exit);
    }
  }

  /** In S3: time passes, and devices that have power see it. Returns ms to sleep. */
  #suspended(): number {
    const sleepMs = this.#board.clock.idle();
    return sleepMs === "no-timer" ? 50 : sleepMs;
  }

  /** A CPU sleeps in HLT. */
  #sleep(vcpu: Vcpu, cpu: number): number {
    this.#scheduler.sleep(cpu, (vcpu.regs.rflags & IF_FLAG) === 0);
    return this.#board.vcpus.length > 1 ? 0 : this.#idle();
  }
  /** All CPUs sleep. */
  #idle(): number {
    const { vcpus, clock } = this.#board;
    const deaf = this.#scheduler.allDeaf;
    // A CPU on its own is asked every time whether it still sleeps.
    if (vcpus.length === 1) this.#scheduler.wake(0);
    if (deaf && !this.#options.stayWhenHalted) {
      const [boot] = vcpus;
      const where = boot === undefined ? "" : ` at ${this.#board.describeCpu(boot)}`;
      this.#finish({ kind: "halted", message: `the guest halted with interrupts disabled${where}` });
      return -1;
    }
    const sleepMs = clock.idle();
    // No timer can end this sleep: wait for a person, looking up now and then.
    if (sleepMs === "no-timer" || deaf) return 50;
    return sleepMs === 0 ? -1 : sleepMs;
  }
}

const INJECT_UD: VmEntry = { kind: "run", inject: { type: "hardware-exception", vector: 6 } };
const INJECT_GP: VmEntry = { kind: "run", inject: { type: "hardware-exception", vector: 13, errorCode: 0 } };
