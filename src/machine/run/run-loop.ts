import { shape, unreachable, VmmError } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import { FLAG } from "../../isa/index.ts";
import { ENTRY_RUN, ENTRY_SKIP } from "../../vmm/index.ts";
import type { Vcpu, VmEntry, VmExit } from "../../vmm/index.ts";
import type { Board, MachineEnd } from "./board.ts";
import { Doors } from "./doors.ts";
import { answerExit, INJECT_UD } from "./exits.ts";
import type { Host } from "./host.ts";
import { Scheduler, SCHEDULER_STATE } from "./scheduler.ts";

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

/** What becomes of the slice after an exit. */
type Outcome = "go-on" | "end-slice" | "asleep";

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
  /** To the VMCALL that is about to become an exit. */
  #answer: VmEntry | undefined;
  #breathe = false;
  #wake: (() => void) | undefined;
  #onPaused: (() => void)[] = [];
  readonly #ended: Promise<MachineEnd>;
  #settle: (end: MachineEnd) => void = () => {};
  #fail: (error: unknown) => void = () => {};
  /** Who watches and who answers besides the machine. */
  readonly doors = new Doors();
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
    const { vcpus, clock, exactBudgets } = this.#board;
    const { host } = this.#options;
    const { doors } = this;
    const scheduler = this.#scheduler;
    const timed = clock.kind === "host";
    this.#exits = 0;
    this.#untilMs = untilMs;
    // Without timers, slices end at whole multiples of their length: where they end is counted, and must not depend on an early end before.
    const longest = timed ? MAX_SLICE : MAX_SLICE - (vcpus.reduce((sum, vcpu) => sum + vcpu.instructionCount(), 0) % MAX_SLICE);
    this.#cut = false;
    let budget = clock.budget(Math.min(longest, doors.maxBudget));
    if (this.#asleep) return this.#suspended();
    for (;;) {
      const cpu = scheduler.pick();
      const vcpu = vcpus[cpu];
      if (vcpu === undefined) return this.#idle();
      if (scheduler.turn !== this.#turn) {
        this.#turn = scheduler.turn;
        if (vcpus.length > 1) vcpu.intercepts.pauseLoop = SPINS;
      }
      const before = vcpu.instructionCount();
      const entry = this.#entries[cpu] ?? ENTRY_RUN;
      const allowed = Math.min(budget, scheduler.left(cpu));
      doors.beforeRun(vcpu, entry);
      this.#signalled = false;
      this.#running = vcpu;
      const exit = vcpu.run(entry, allowed);
      this.#running = undefined;
      this.#entries[cpu] = ENTRY_RUN;
      const ran = exactBudgets ? vcpu.instructionCount() - before : exit.kind === "budget" ? allowed : 0;
      scheduler.ran(cpu, ran);
      doors.afterRun(exit, vcpu);
      const outcome = this.#handleExit(exit, vcpu, cpu);
      if (outcome === "end-slice") return 0;
      if (outcome === "asleep" && vcpus.length === 1) return this.#idle();
      budget -= ran;
      if (budget <= 0 || this.#cut) return 0;
      if ((++this.#exits & EXITS_A_LOOK) === 0 && host.now() >= untilMs) return 0;
    }
  }

  /** A BIOS call, without leaving the run: what `#slice` does after an exit, done here. An observer sees exits instead. */
  #hypercall(exit: VmExit, vcpu: Vcpu): boolean {
    if (this.doors.watched) return false;
    const entry = this.doors.respond(exit, vcpu) ?? this.#board.callBios(exit, vcpu);
    if (entry?.kind === "skip") vcpu.regs.raw.advanceRip(exit.instructionLength);
    else if (entry !== ENTRY_RUN) {
      // Nobody is asked twice about one exit.
      this.#answer = entry ?? INJECT_UD;
      return false;
    }
    // This end is counted: under the virtual clock it comes after a number of calls, so that runs repeat.
    const due = this.#board.clock.kind === "host" ? (++this.#exits & EXITS_A_LOOK) === 0 : (++this.#calls & CALLS_A_SLICE) === 0;
    if (due && (this.#board.clock.kind === "virtual" || this.#options.host.now() >= this.#untilMs)) this.cutSlice();
    return true;
  }

  /** Answers an exit, and says what becomes of the slice. */
  #handleExit(exit: VmExit, vcpu: Vcpu, cpu: number): Outcome {
    const answer = this.#answer ?? this.doors.respond(exit, vcpu) ?? answerExit(exit, vcpu, this.#board);
    this.#answer = undefined;
    if (typeof answer !== "string") {
      this.#entries[cpu] = answer;
      return "go-on";
    }
    switch (answer) {
      case "nothing":
        return "go-on";
      case "budget":
        // The end of a turn, not of the slice?
        return this.#signalled || this.#scheduler.left(cpu) <= 0 ? "go-on" : "end-slice";
      case "spins":
        this.#entries[cpu] = ENTRY_SKIP;
        this.#scheduler.yield(cpu);
        return "go-on";
      case "waits":
        this.#entries[cpu] = ENTRY_SKIP;
        return this.#sleep(vcpu, cpu);
      case "halts":
        return this.#sleep(vcpu, cpu);
      case "init":
        if (cpu > 0) {
          vcpu.init();
          return "go-on";
        }
        this.#reset(true, "INIT");
        return "end-slice";
      case "shutdown":
        if (this.#options.tripleFault === "reset" || this.#board.resetWasPrepared()) this.#reset(true, "triple fault");
        else this.#finish({ kind: "crash", message: `triple fault at ${this.#board.describeCpu(vcpu)}` });
        return "end-slice";
      case "entry-refused":
        this.#finish({
          kind: "crash",
          message: `VM entry refused: ${exit.kind === "entry-failure" ? exit.message : ""}, at ${this.#board.describeCpu(vcpu)}`,
        });
        return "end-slice";
      default:
        return unreachable(answer);
    }
  }

  /** In S3: time passes, and devices that have power see it. Returns ms to sleep. */
  #suspended(): number {
    const sleepMs = this.#board.clock.idle();
    return sleepMs === "no-timer" ? 50 : sleepMs;
  }

  #sleep(vcpu: Vcpu, cpu: number): "asleep" {
    this.#scheduler.sleep(cpu, (vcpu.regs.rflags & FLAG.IF) === 0);
    return "asleep";
  }
  /** All CPUs sleep. Returns how long the host may, in ms: 0: not at all, time has moved on. */
  #idle(): number {
    const { vcpus, clock } = this.#board;
    const deaf = this.#scheduler.allDeaf;
    // A CPU on its own is asked every time whether it still sleeps.
    if (vcpus.length === 1) this.#scheduler.wake(0);
    if (deaf && !this.#options.stayWhenHalted) {
      const [boot] = vcpus;
      const where = boot === undefined ? "" : ` at ${this.#board.describeCpu(boot)}`;
      this.#finish({ kind: "halted", message: `the guest halted with interrupts disabled${where}` });
      return 0;
    }
    const sleepMs = clock.idle();
    // No timer can end this sleep: wait for a person, looking up now and then.
    if (sleepMs === "no-timer" || deaf) return 50;
    return sleepMs;
  }
}
