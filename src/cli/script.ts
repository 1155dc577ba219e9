import type { VirtualMachine } from "../node/index.ts";
import type { RunRequest } from "./options/run-options.ts";

/** How far `--type` and `--until` have come. */
export interface Script {
  /** What is not done yet, as a message says it; undefined when all is. */
  waitingFor: string | undefined;
}

/**
 * Serves `--type` in order, then waits for `--until`. True when all of it happened; false when the machine ended first, be it in the middle of a
 * text. A key that is down counts: the Enter of a "poweroff" is never let go.
 */
export async function runScript(vm: VirtualMachine, request: RunRequest, script: Script): Promise<boolean> {
  const forever = { timeoutMs: 0 };
  try {
    for (const [i, step] of request.type.entries()) {
      const name = `--type ${i + 1} of ${request.type.length}`;
      if (step.when !== undefined) {
        script.waitingFor = `${name}: ${step.when.source} has not matched`;
        await vm.waitFor(step.when, forever);
      }
      script.waitingFor = `${name}: its text ${JSON.stringify(step.text)} is not typed to the end`;
      await vm.type(step.text);
      if (vm.unsentKeys > 0) return false;
    }
    if (request.until !== undefined) {
      script.waitingFor = `--until ${request.until.source} has not matched`;
      await vm.waitFor(request.until, forever);
    }
    script.waitingFor = undefined;
    return true;
  } catch (error) {
    if (hasEnded(error)) return false;
    throw error;
  }
}

/** The machine was no more when it was waited for. */
export function hasEnded(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "MACHINE_ENDED";
}
