import type { MachineEnd } from "../run/board.ts";

/** One line about how a machine ended. */
export function describeEnd(end: MachineEnd): string {
  switch (end.kind) {
    case "power-off":
      return `the guest powered off (${end.by})`;
    case "debug-exit":
      return `the guest's tests ended with ${end.exitCode} (isa-debug-exit)`;
    case "reset":
      return `the guest reset the machine (${end.by})`;
    case "crash":
      return `the guest crashed: ${end.message}`;
    case "halted":
      return end.message;
    case "stopped":
      return `the machine was stopped (${end.by})`;
  }
}
