import { describe, expect, it } from "vitest";
import { nodeHost } from "../../backends/node/host.ts";
import type { EngineVcpu, ExitCommon, VmEntry, VmExit } from "../../engine/api/index.ts";
import { Vcpu } from "../../vmm/index.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { RunLoop } from "./run-loop.ts";
import type { Board, BoardRequest } from "./board.ts";
import type { RunLoopOptions } from "./run-loop.ts";

const COMMON: ExitCommon = { reason: 0, qualification: 0n, instructionLength: 0, instructionInfo: 0 };

/** A vCPU that follows a script of exits; each step costs so many instructions. */
class ScriptedBoard implements Board {
  readonly vcpus: readonly Vcpu[];
  exactBudgets = true;
  readonly clock: VirtualClock;
  readonly log: string[] = [];
  onRequest: (() => void) | undefined;
  prepared = false;
  count = 0;
  rflags = 0x202;
  #request: BoardRequest | undefined;

  constructor(script: (entry: VmEntry, budget: number, step: number) => { readonly cost: number; readonly exit: VmExit }) {
    let step = 0;
    const engine = {
      run: (entry: VmEntry, budget: number): VmExit => {
        const { cost, exit } = script(entry, budget, step++);
        this.count += cost;
        return exit;
      },
      instructionCount: () => this.count,
      requestStop: () => {},
      getRflags: () => this.rflags,
    };
    // oxlint-disable-next-line no-unsafe-type-assertion -- the loop uses only these four members
    this.vcpus = [new Vcpu(engine as unknown as EngineVcpu)];
    this.clock = new VirtualClock(
      () => this.count,
      10,
      () => 0,
    );
  }
  callBios(exit: VmExit): VmEntry | undefined {
    this.log.push(`bios ${exit.kind}`);
    return exit.kind === "vmcall" ? { kind: "run" } : undefined;
  }
  accessExit(): VmEntry {
    return { kind: "skip" };
  }
  request(request: BoardRequest): void {
    this.#request = request;
    this.onRequest?.();
  }
  takeRequest(): BoardRequest | undefined {
    const request = this.#request;
    this.#request = undefined;
    return request;
  }
  wake(): void {
    this.log.push("wake");
  }
  reset(kind: "cold" | "warm"): void {
    this.log.push(`reset ${kind}`);
  }
  resetWasPrepared(): boolean {
    return this.prepared;
  }
  describeCpu(): string {
    return "0000:7C00 (real mode)";
  }
}

const exit = (kind: "budget" | "hlt" | "vmcall" | "triple-fault"): VmExit => ({ ...COMMON, kind });
const options = (more: Partial<RunLoopOptions> = {}): RunLoopOptions => ({
  host: nodeHost,
  stopOnReset: false,
  tripleFault: "stop",
  stayWhenHalted: false,
  ...more,
});

describe("RunLoop", () => {
  it("gives the guest exactly the instructions that are left before the next timer", async () => {
    const budgets: number[] = [];
    const board = new ScriptedBoard((_entry, budget) => {
      budgets.push(budget);
      return { cost: budget, exit: exit("budget") };
    });
    let fired = 0;
    board.clock
      .createTimer("t", () => {
        fired = board.clock.nowNs();
        board.request({ kind: "power-off", by: "test" });
      })
      .arm(12_340);
    const loop = new RunLoop(board, options());
    loop.start();
    expect(await loop.ended).toEqual({ kind: "power-off", by: "test" });
    expect(budgets).toEqual([1234]);
    expect(fired).toBe(12_340);
  });

  it("jumps over idle time under the virtual clock", async () => {
    const board = new ScriptedBoard(() => ({ cost: 1, exit: exit("hlt") }));
    board.clock.createTimer("t", () => board.request({ kind: "power-off", by: "timer" })).arm(10_000_000_000);
    const started = performance.now();
    const loop = new RunLoop(board, options());
    loop.start();
    await loop.ended;
    expect(board.clock.nowNs()).toBe(10_000_000_000);
    expect(performance.now() - started).toBeLessThan(1000);
  });

  it("ends when the guest halts with interrupts disabled, and says where", async () => {
    const board = new ScriptedBoard(() => ({ cost: 1, exit: exit("hlt") }));
    board.rflags = 2;
    const loop = new RunLoop(board, options());
    loop.start();
    expect(await loop.ended).toEqual({ kind: "halted", message: "the guest halted with interrupts disabled at 0000:7C00 (real mode)" });
  });

  it("names a triple fault as a crash", async () => {
    const loop = new RunLoop(new ScriptedBoard(() => ({ cost: 1, exit: exit("triple-fault") })), options());
    loop.start();
    expect(await loop.ended).toEqual({ kind: "crash", message: "triple fault at 0000:7C00 (real mode)" });
  });

  it("takes a prepared triple fault as the reset that the guest wanted", async () => {
    const board = new ScriptedBoard((_entry, _budget, step) => ({ cost: 1, exit: exit(step === 0 ? "triple-fault" : "hlt") }));
    board.prepared = true;
    board.rflags = 2;
    const loop = new RunLoop(board, options());
    loop.start();
    expect((await loop.ended).kind).toBe("halted");
    expect(board.log).toEqual(["reset warm"]);
  });

  it("ends at a guest reset when told so", async () => {
    const board = new ScriptedBoard(() => ({ cost: 1, exit: exit("vmcall") }));
    const loop = new RunLoop(board, options({ stopOnReset: true }));
    loop.start();
    await nodeHost.yield();
    board.request({ kind: "reset", warm: true, by: "port 92h" });
    expect(await loop.ended).toEqual({ kind: "reset", by: "port 92h" });
  });

  it("injects #UD for a VMCALL that is no BIOS trap", async () => {
    const entries: VmEntry[] = [];
    const board = new ScriptedBoard((entry, _budget, step) => {
      entries.push(entry);
      return { cost: 1, exit: exit(step === 0 ? "vmcall" : "triple-fault") };
    });
    board.callBios = () => undefined;
    const loop = new RunLoop(board, options());
    loop.start();
    await loop.ended;
    expect(entries[1]).toEqual({ kind: "run", inject: { type: "hardware-exception", vector: 6 } });
  });

  it("pauses between slices and goes on where it was", async () => {
    const board = new ScriptedBoard((_entry, budget) => ({ cost: budget, exit: exit("budget") }));
    const loop = new RunLoop(board, options());
    loop.start();
    await nodeHost.yield();
    await loop.pause();
    expect(loop.state).toBe("paused");
    const count = board.count;
    await nodeHost.yield();
    expect(board.count).toBe(count);
    loop.resume();
    await nodeHost.yield();
    await nodeHost.yield();
    expect(board.count).toBeGreaterThan(count);
    loop.stop("test");
    expect(await loop.ended).toEqual({ kind: "stopped", by: "test" });
    expect(() => loop.resume()).toThrow("cannot resume a machine that is ended");
  });

  it("tells every observer of every run, in the order of coming, until it is taken away", async () => {
    const seen: string[] = [];
    const board = new ScriptedBoard((_entry, _budget, step) => ({ cost: 10, exit: exit(step < 4 ? "vmcall" : "triple-fault") }));
    const loop = new RunLoop(board, options());
    const watch = (name: string, maxBudget: number) =>
      loop.doors.addObserver({
        maxBudget,
        beforeRun: (_vcpu, entry) => void seen.push(`${name} enters ${entry.kind}`),
        afterRun: ({ kind }) => {
          seen.push(`${name} sees ${kind}`);
          if (name === "debugger" && seen.length > 4) stop();
        },
      });
    watch("trace", 1000);
    const stop = watch("debugger", 1);
    expect(loop.doors.maxBudget).toBe(1);
    loop.start();
    await loop.ended;
    expect(seen.slice(0, 4)).toEqual(["trace enters run", "debugger enters run", "trace sees vmcall", "debugger sees vmcall"]);
    expect(seen.filter((line) => line.startsWith("debugger sees"))).toHaveLength(2);
    expect(seen.at(-1)).toBe("trace sees triple-fault");
    expect(loop.doors.maxBudget).toBe(1000);
  });

  it("lets responders answer before the BIOS and the devices, the first that knows the exit", async () => {
    const entries: VmEntry[] = [];
    const board = new ScriptedBoard((entry, _budget, step) => {
      entries.push(entry);
      return {
        cost: 10,
        exit:
          step < 3
            ? exit("vmcall")
            : step === 3
              ? { ...COMMON, kind: "exception", vector: 3, errorCode: undefined, event: "software-exception" }
              : exit("triple-fault"),
      };
    });
    const loop = new RunLoop(board, options());
    const asked: string[] = [];
    loop.doors.addResponder({
      kinds: ["vmcall", "exception"],
      respond: ({ kind }) => (asked.push(kind), kind === "exception" ? { kind: "skip" } : undefined),
    });
    const remove = loop.doors.addResponder({ kinds: ["vmcall"], respond: () => (asked.push("second"), remove(), { kind: "skip" }) });
    loop.start();
    await loop.ended;
    expect(asked).toEqual(["vmcall", "second", "vmcall", "vmcall", "exception"]);
    expect(board.log.filter((line) => line === "bios vmcall")).toHaveLength(2);
    expect(entries.map((e) => e.kind)).toEqual(["run", "skip", "run", "run", "skip"]);
  });

  it("holds the guest where an observer pauses it: that exit is answered and nothing else runs", async () => {
    const board = new ScriptedBoard((_entry, _budget, step) => ({ cost: 10, exit: exit(step < 9 ? "vmcall" : "triple-fault") }));
    const loop = new RunLoop(board, options());
    let runs = 0;
    const stop = loop.doors.addObserver({ maxBudget: 5, beforeRun() {}, afterRun: () => void (++runs === 3 && loop.pause()) });
    loop.start();
    while (loop.state !== "paused") await nodeHost.yield();
    expect([runs, board.count, board.log.length]).toEqual([3, 30, 3]);
    stop();
    loop.resume();
    expect((await loop.ended).kind).toBe("crash");
  });

  it("takes an engine without exact budgets at its word: a budget exit is a budget used up", async () => {
    const budgets: number[] = [];
    const board = new ScriptedBoard((_entry, budget, step) => {
      budgets.push(budget);
      // It ran on for longer than asked, or was left long before.
      return { cost: step % 2 === 0 ? budget + 777 : 0, exit: exit(step < 6 ? "budget" : "triple-fault") };
    });
    board.exactBudgets = false;
    const loop = new RunLoop(board, options());
    loop.start();
    expect((await loop.ended).kind).toBe("crash");
    expect(budgets.every((budget) => budget > 0)).toBe(true);
  });
});
