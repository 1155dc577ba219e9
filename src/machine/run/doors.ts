import type { Vcpu, VmEntry, VmExit, VmExitKind } from "../../vmm/index.ts";

/** Watches the processors between runs: a trace, a debugger. Several at a time, each told of every run. */
export interface ExitObserver {
  /** Largest budget a run may get while it watches: 1 makes every instruction visible. */
  readonly maxBudget: number;
  /** `entry`: what the CPU is entered with. The guest's registers may be looked at and changed. */
  beforeRun(vcpu: Vcpu, entry: VmEntry): void;
  /** Before the exit is answered. To hold the guest here, pause the machine: this exit is answered and nothing else runs. */
  afterRun(exit: VmExit, vcpu: Vcpu): void;
}

/**
 * Somebody who answers exits before the machine does: a personality whose system calls are VMCALLs, I/O or exceptions of its own (it sets the intercepts
 * that make them exit), a debugger that set breakpoints. Asked in the order of coming; the first that answers has the exit. The BIOS and the devices are
 * asked last.
 */
export interface ExitResponder {
  /** The exits it is asked about. VMCALLs are asked about inside the run, with everything as at the exit. */
  readonly kinds: readonly VmExitKind[];
  /** What the CPU goes on with; undefined: not for me, nothing was changed. Synchronous; must not throw for what a guest does. */
  respond(exit: VmExit, vcpu: Vcpu): VmEntry | undefined;
}

/** Who watches and who answers besides the machine. */
export class Doors {
  #observers: readonly ExitObserver[] = [];
  readonly #responders = new Map<VmExitKind, readonly ExitResponder[]>();
  /** Largest budget that the observers allow. */
  maxBudget = Number.MAX_SAFE_INTEGER;

  /** True while anybody watches: every exit is one then, also those that can be answered below it. */
  get watched(): boolean {
    return this.#observers.length > 0;
  }

  /** Returns how to take it away. */
  addObserver(observer: ExitObserver): () => void {
    this.#watchedBy([...this.#observers, observer]);
    return () => this.#watchedBy(this.#observers.filter((o) => o !== observer));
  }
  #watchedBy(observers: readonly ExitObserver[]): void {
    this.#observers = observers;
    this.maxBudget = Math.min(Number.MAX_SAFE_INTEGER, ...observers.map((o) => o.maxBudget));
  }

  /** Returns how to take it away. */
  addResponder(responder: ExitResponder): () => void {
    for (const kind of responder.kinds) this.#responders.set(kind, [...(this.#responders.get(kind) ?? []), responder]);
    return () => {
      for (const [kind, list] of this.#responders)
        this.#responders.set(
          kind,
          list.filter((r) => r !== responder),
        );
    };
  }

  beforeRun(vcpu: Vcpu, entry: VmEntry): void {
    for (const observer of this.#observers) observer.beforeRun(vcpu, entry);
  }
  afterRun(exit: VmExit, vcpu: Vcpu): void {
    for (const observer of this.#observers) observer.afterRun(exit, vcpu);
  }
  /** The first answer; undefined: nobody's. */
  respond(exit: VmExit, vcpu: Vcpu): VmEntry | undefined {
    if (this.#responders.size === 0) return undefined;
    for (const responder of this.#responders.get(exit.kind) ?? []) {
      const entry = responder.respond(exit, vcpu);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }
}
