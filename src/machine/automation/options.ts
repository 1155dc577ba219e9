import type { RunLoopOptions } from "../run/run-loop.ts";
import type { Pattern } from "./watch.ts";

/** How to wait. */
export interface WaitOptions {
  /** Host time in milliseconds before the wait fails with `WAIT_TIMEOUT`; 0 waits for ever. Default: the machine's `waitTimeoutMs`. */
  readonly timeoutMs?: number;
  /** Fails with `WAIT_REJECTED` as soon as this shows where the pattern is looked for: "panic", /assertion failed/i. */
  readonly rejectOn?: Pattern;
  /** False: what matched on a serial line is left for other waits. Default true: the next wait looks behind it. */
  readonly consume?: boolean;
}

/** How text is typed. */
export interface TypeOptions {
  /** Braces are braces: for text that is not written for this, such as a program's source. Default false. */
  readonly literal?: boolean;
}

/** How a machine runs, apart from what it is: resets, triple faults, waiting. */
export interface VirtualMachineOptions extends Partial<Omit<RunLoopOptions, "host">> {
  /** What a `waitFor` waits that says nothing else, host time in milliseconds; 0 waits for ever. Default 4000: below the 5 s of vitest. */
  readonly waitTimeoutMs?: number;
  /** So many of the last BIOS calls are kept for `vm.evidence()`, each a line as `--trace bios` has it. Default 0. */
  readonly keepBiosCalls?: number;
}
