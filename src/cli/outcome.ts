import { describeEnd } from "../node/index.ts";
import type { MachineEnd, VirtualMachine, WatchMatch } from "../node/index.ts";
import { EXIT } from "./errors.ts";
import type { RunRequest } from "./options/run-options.ts";
import type { Script } from "./script.ts";
import type { Signal } from "./signals.ts";

/** Why `whyve run` is over. */
export type Outcome =
  | { readonly kind: "ended"; readonly end: MachineEnd; readonly finished: boolean }
  | { readonly kind: "matched" }
  | { readonly kind: "failed"; readonly pattern: string; readonly found: WatchMatch }
  | { readonly kind: "timeout" }
  | { readonly kind: "quit" }
  | { readonly kind: "signal"; readonly signal: Signal };

/** A line for whoever started this program. */
export function say(message: string): void {
  process.stderr.write(`whyve: ${message}\n`);
}

/** Says how a run ended, and gives the exit code for it. */
export function report(vm: VirtualMachine, request: RunRequest, outcome: Outcome, script: Script): number {
  const waiting = script.waitingFor === undefined ? "" : `: ${script.waitingFor}`;
  switch (outcome.kind) {
    case "matched":
    case "quit":
      return EXIT.OK;
    case "signal":
      say(`ended by ${outcome.signal.name}`);
      return outcome.signal.exitCode;
    case "failed":
      say(
        `--fail-on ${outcome.pattern} matched ${JSON.stringify(outcome.found.match[0] ?? "")} on ${outcome.found.source}${waiting}\n--- screen ---\n${vm.screen.text()}`,
      );
      return EXIT.GUEST;
    case "timeout":
      say(`time is up after ${(request.timeoutMs ?? 0) / 1000} s${waiting}\n--- screen ---\n${vm.screen.text()}`);
      return EXIT.TIMEOUT;
    case "ended":
      return reportEnd(vm, outcome.end, outcome.finished ? undefined : waiting);
  }
}

/** `unfinished`: what the script still waited for. */
function reportEnd(vm: VirtualMachine, end: MachineEnd, unfinished: string | undefined): number {
  if (end.kind === "debug-exit") return end.exitCode;
  if (end.kind === "crash") {
    say(`${describeEnd(end)}\n${vm.describeRegisters()}`);
    return EXIT.GUEST;
  }
  if (unfinished !== undefined) {
    say(`${describeEnd(end)} before --until and --type were served${unfinished}\n--- screen ---\n${vm.screen.text()}`);
    return EXIT.GUEST;
  }
  if (end.kind === "halted") say(describeEnd(end));
  return EXIT.OK;
}
