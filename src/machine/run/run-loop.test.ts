import { describe, expect, it } from "vitest";
import { nodeHost } from "../../backends/node/host.ts";
import type { EngineVcpu, ExitCommon, VmEntry, VmExit } from "../../engine/api/index.ts";
import { Vcpu } from "../../vmm/index.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { RunLoop } from "./run-loop.ts";
import type { Board, BoardRequest, RunLoopOptions } from "./run-loop.ts";

const COMMON: ExitCommon = { reason: 0, qualification: 0n, instructionLength: 0, instructionInfo: 0 };

/** A vCPU that follows a script of exits; each step costs so many instructions. */
class ScriptedBoard implements Board {
  readonly vcpus: readonly Vcpu[];
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
});
