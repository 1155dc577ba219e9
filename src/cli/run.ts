import * as fs from "node:fs";
import * as path from "node:path";
import { hostReason, writeWholeFile } from "../backends/node/index.ts";
import { boot, saveEvidence } from "../node/index.ts";
import type { BootOptions, VirtualMachine } from "../node/index.ts";
import { EXIT, UsageError } from "./errors.ts";
import { Losses } from "./losses.ts";
import { decideDisplay, isWatched, SILENT, showsLastPage, showsNothing, WATCHED_IDLE_MS } from "./display.ts";
import { report, say } from "./outcome.ts";
import type { Outcome } from "./outcome.ts";
import { watchSignals } from "./signals.ts";
import type { Signals } from "./signals.ts";
import { parseRun } from "./options/run-options.ts";
import type { RunRequest } from "./options/run-options.ts";
import { plug } from "./plugs.ts";
import type { Plugs } from "./plugs.ts";
import { hasEnded, runScript } from "./script.ts";
import type { Script } from "./script.ts";

/** `whyve run` and `whyve demo`. Returns the exit code. */
export async function runCommand(command: "run" | "demo", argv: readonly string[]): Promise<number> {
  const parsed = parseRun(argv, { needMedia: command === "run" });
  if (parsed === "help") {
    const { runHelp } = await import("./options/run-help.ts");
    process.stdout.write(runHelp(command));
    return EXIT.OK;
  }
  const onTerminal = decideDisplay(parsed);
  const request = command === "demo" && !onTerminal ? showsLastPage(parsed) : parsed;
  if (request.screenshot !== undefined) checkWritable("--screenshot", request.screenshot);
  const signals = watchSignals();
  const losses = new Losses();
  let plugs: Plugs | undefined;
  let vm: VirtualMachine;
  try {
    plugs = await plug(request, losses);
    vm = await boot({
      ...bootOptions(request, plugs),
      ...(command === "demo" ? await demoOptions(request, onTerminal) : {}),
      start: false,
      stayWhenHalted: onTerminal,
      ...(isWatched(request, onTerminal) ? { idleSkipMs: WATCHED_IDLE_MS } : {}),
    });
  } catch (error) {
    await plugs?.close();
    signals.release();
    throw error;
  }
  if (command === "run" && !onTerminal && showsNothing(request))
    say(`${process.stdout.isTTY ? "this terminal cannot draw (TERM=dumb)" : "no terminal here"}, ${SILENT}`);
  try {
    const code = await superviseRun({ vm, request, plugs, onTerminal, signals, losses });
    return code === EXIT.OK && losses.any ? EXIT.USAGE : code;
  } finally {
    signals.release();
  }
}

function checkWritable(flag: string, file: string): void {
  const directory = path.dirname(path.resolve(file));
  if (!fs.existsSync(directory)) throw new UsageError(`${flag} ${file}: there is no directory ${directory}`);
  if (fs.existsSync(file) && fs.statSync(file).isDirectory()) throw new UsageError(`${flag} ${file}: is a directory`);
  // Known before the guest has worked for an hour.
  try {
    fs.accessSync(fs.existsSync(file) ? file : directory, fs.constants.W_OK);
  } catch (error) {
    throw new UsageError(`${flag} ${file}: cannot be written (${hostReason(error)})`);
  }
}

/** The demonstration waits for keys only when somebody can press them; alone it runs through, without waiting for the wall clock. */
async function demoOptions(request: RunRequest, onTerminal: boolean): Promise<Partial<BootOptions>> {
  const { demoDisk } = await import("./demo/disk.ts");
  const interactive = onTerminal || request.type.length > 0;
  return { images: [{ kind: "hard-disk", backend: demoDisk(interactive) }], ...(interactive ? {} : { clock: "virtual" as const }) };
}

/** In the files about a run that failed. */
const BIOS_CALLS_KEPT = 100;

function bootOptions(request: RunRequest, plugs: Plugs): BootOptions {
  return {
    images: request.media.map((m) =>
      m.kind === undefined && m.format === undefined
        ? m.path
        : {
            ...(m.kind === undefined ? {} : { kind: m.kind }),
            path: m.path,
            ...(m.bus === undefined ? {} : { bus: m.bus }),
            ...(m.format === undefined ? {} : { format: m.format }),
          },
    ),
    snapshot: request.snapshotDisk,
    readOnly: request.readOnly,
    engine: request.engine.jit ? "soft,jit=on" : "soft",
    ...(request.restore === undefined || request.clockStated ? { clock: request.clock } : {}),
    ...(request.restore === undefined ? {} : { restore: request.restore }),
    trapStyle: request.trapStyle,
    ...(request.artefacts === undefined ? {} : { keepBiosCalls: BIOS_CALLS_KEPT }),
    stopOnReset: request.noReboot,
    serial: plugs.serial,
    consoles: plugs.consoles,
    rng: request.rng,
    pcTestdev: request.pcTestdev,
    ...(request.isaDebugExit === undefined ? {} : { isaDebugExit: request.isaDebugExit }),
    shares: request.shares,
    debugPort: plugs.debugPort,
    printer: plugs.printer,
    warn: (message) => process.stderr.write(`whyve: ${message}\n`),
    ...(request.net === undefined ? {} : { net: request.net }),
    ...(request.kernel === undefined ? {} : { kernel: request.kernel }),
    ...(request.boot === undefined ? {} : { boot: request.boot }),
    ...(request.memoryBytes === undefined ? {} : { memoryBytes: request.memoryBytes }),
    ...(request.cpus === undefined ? {} : { cpus: request.cpus }),
    ...(request.nsPerInstruction === undefined ? {} : { nsPerInstruction: request.nsPerInstruction }),
    ...(request.rtcMs === undefined ? {} : { rtcMs: request.rtcMs }),
    ...(request.name === undefined ? {} : { name: request.name }),
  };
}

interface Run {
  readonly vm: VirtualMachine;
  readonly request: RunRequest;
  readonly plugs: Plugs;
  readonly onTerminal: boolean;
  readonly signals: Signals;
  readonly losses: Losses;
}

async function superviseRun(run: Run): Promise<number> {
  const { vm, request, plugs } = run;
  const cleanups: (() => void)[] = [];
  try {
    if (request.name !== undefined) {
      const { serveControl } = await import("./ctl/server.ts");
      cleanups.push(await serveControl(vm, request.name));
    }
    if (request.trace.length > 0) {
      const { attachTraces } = await import("./trace/trace.ts");
      cleanups.push(attachTraces(vm, request.trace, () => run.losses.note()));
    }
    plugs.attach(vm);
    const script: Script = { waitingFor: undefined };
    const outcome = await new Promise<Outcome>((resolve, reject) => {
      void run.signals.first.then((signal) => resolve({ kind: "signal", signal }));
      // Before the script: what must not show goes before what should.
      for (const pattern of request.failOn) {
        vm.waitFor(pattern, { timeoutMs: 0, consume: false }).then(
          (found) => resolve({ kind: "failed", pattern: pattern.source, found }),
          // A machine that ends has an outcome of its own.
          (error: unknown) => (hasEnded(error) ? undefined : reject(error)),
        );
      }
      const played = runScript(vm, request, script);
      vm.ended.then((end) => {
        // The last words on the screen count: the script gets its look at them first.
        played.then((done) => resolve(done && request.until !== undefined ? { kind: "matched" } : { kind: "ended", end, finished: done }), reject);
      }, reject);
      played.then((done) => {
        if (done && request.until !== undefined) resolve({ kind: "matched" });
      }, reject);
      if (request.timeoutMs !== undefined) {
        const timer = setTimeout(() => resolve({ kind: "timeout" }), request.timeoutMs);
        cleanups.push(() => clearTimeout(timer));
      }
      attachTerminal(vm, request, plugs, run.onTerminal, () => resolve({ kind: "quit" })).then((close) => cleanups.push(close), reject);
      vm.start();
    });
    if (vm.state === "running") await vm.pause();
    while (cleanups.length > 0) cleanups.pop()?.();
    plugs.stdio?.finish();
    await saveResults(vm, request);
    const code = report(vm, request, outcome, script);
    if (request.artefacts !== undefined && (code === EXIT.GUEST || code === EXIT.TIMEOUT)) {
      const files = await saveEvidence(vm, request.artefacts, request.name ?? "whyve");
      say(`what it looked like: ${files.join(", ")}`);
    }
    return code;
  } finally {
    while (cleanups.length > 0) cleanups.pop()?.();
    await vm.dispose();
    await plugs.close();
  }
}

/** Connects this terminal to screen and keyboard, or standard input to the serial line. */
async function attachTerminal(vm: VirtualMachine, request: RunRequest, plugs: Plugs, onTerminal: boolean, onQuit: () => void): Promise<() => void> {
  if (onTerminal) {
    const { TerminalDisplay } = await import("./terminal/terminal.ts");
    const { HostTerminal } = await import("./terminal/host-terminal.ts");
    const display = new TerminalDisplay(vm, new HostTerminal(process.stdin, process.stdout), {
      onQuit,
      quitWord: "quit",
      saveScreenshot: () => saveScreenshot(vm, request.screenshot ?? `whyve-${new Date().toISOString().replace(/[:.]/g, "-")}.png`),
    });
    return () => display.close();
  }
  const { stdio } = plugs;
  if (stdio === undefined) return () => {};
  const { attachSerialInput } = await import("./terminal/serial-input.ts");
  return attachSerialInput(stdio, vm, onQuit);
}

async function saveScreenshot(vm: VirtualMachine, file: string): Promise<string> {
  await writeWholeFile(file, await vm.screenshot(), { flag: "--screenshot " });
  return file;
}

async function saveResults(vm: VirtualMachine, request: RunRequest): Promise<void> {
  if (request.screenshot !== undefined) await saveScreenshot(vm, request.screenshot);
  if (request.dumpScreen) process.stdout.write(`${vm.screen.text()}\n`);
}
