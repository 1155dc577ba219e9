import { UsageError } from "./errors.ts";
import type { RunRequest } from "./options/run-options.ts";
import { canDraw } from "./terminal/can-draw.ts";

/** Idle time under the virtual clock that a person does not wait for: enough for boot menus, less than what blanks a screen. */
export const WATCHED_IDLE_MS = 60_000;

/** A person at the keyboard, and no script, is what the guest waits for. */
export function isWatched(request: RunRequest, onTerminal: boolean): boolean {
  return (onTerminal || (usesStdio(request) && process.stdin.isTTY === true)) && request.type.length === 0 && request.until === undefined;
}

function usesStdio(request: RunRequest): boolean {
  return [...request.serial, ...request.consoles].some((s) => s.kind === "stdio") || request.debugPort?.kind === "stdio";
}

export const SILENT =
  "so nothing is drawn; the guest runs until it ends or Ctrl-C. To see it: --serial stdio, --until REGEX, --dump-screen, --screenshot FILE.png, --trace bios, or --name NAME and whyve ctl (--display none: without this line)";

/** The guest may run for ever, and nobody would know that it does. */
export function showsNothing(r: RunRequest): boolean {
  const sinks = [...r.serial, ...r.consoles, ...(r.debugPort === undefined ? [] : [r.debugPort]), ...(r.printer === undefined ? [] : [r.printer])];
  const asked =
    sinks.some((s) => s.kind !== "null") ||
    r.trace.length > 0 ||
    r.type.length > 0 ||
    r.failOn.length > 0 ||
    r.dumpScreen ||
    r.artefacts !== undefined;
  return r.display === undefined && !asked && [r.until, r.screenshot, r.timeoutMs, r.name].every((o) => o === undefined);
}

/** A demonstration into a pipe or a log would show nothing at all: it leaves its last page there. */
export function showsLastPage(request: RunRequest): RunRequest {
  return request.display === undefined && !usesStdio(request) ? { ...request, dumpScreen: true } : request;
}

export function decideDisplay(request: RunRequest): boolean {
  const drawable = canDraw(process.env);
  if (request.display === undefined) return process.stdout.isTTY === true && drawable && !usesStdio(request);
  if (request.display === "none") return false;
  if (process.stdout.isTTY !== true) throw new UsageError("--display terminal: standard output is not a terminal");
  if (!drawable) throw new UsageError("--display terminal: this terminal cannot draw (TERM=dumb)");
  if (usesStdio(request)) throw new UsageError("--display terminal and a line on stdio both want this terminal; choose one");
  return true;
}
