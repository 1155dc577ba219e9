import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { listenReason, refuseExisting, writeWholeFile } from "../../backends/node/index.ts";
import type { VirtualMachine } from "../../node/index.ts";
import { parseBootDevice } from "../../node/index.ts";
import { UsageError } from "../errors.ts";
import type { Colours } from "../terminal/host-terminal.ts";
import { attachLine, attachScreen, sizeFrom } from "./attach.ts";
import { connectTo, makeSocketDirectory, removeStale, socketPath } from "./places.ts";

/** A request line: JSON. */
export interface ControlRequest {
  readonly command: string;
  readonly args?: readonly string[];
}
/** An answer line: JSON. */
export type ControlAnswer = { readonly ok: true; readonly result?: unknown } | { readonly ok: false; readonly error: string };

/** A longer request line ends the connection. */
const MAX_LINE_BYTES = 1024 * 1024;

/** What is wrong with a request, in one line. */
class RequestError extends Error {}

/**
 * Lets `whyve ctl NAME` reach a machine: JSON lines on a Unix socket of this user's. Requests of all connections are
 * served one after the other, but for those that wait for the guest.
 * Returns what takes the socket away again.
 */
export async function serveControl(vm: VirtualMachine, name: string): Promise<() => void> {
  const file = socketPath(name);
  makeSocketDirectory();
  if (fs.existsSync(file)) {
    const other = await connectTo(file);
    other?.destroy();
    if (other !== undefined) throw new UsageError(`--name ${name}: a machine of that name is running already (whyve ctl ${name} status)`);
    removeStale(file);
  }
  let last: Promise<unknown> = Promise.resolve();
  const inTurn: InTurn = (work) => {
    const done = last.then(work);
    last = done.catch(() => {});
    return done;
  };
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    // Whoever went away does not hear the answer; the machine goes on.
    socket.on("error", () => socket.destroy());
    socket.setEncoding("utf8");
    let text = "";
    let answered: Promise<void> = Promise.resolve();
    const onData = (chunk: unknown): void => {
      text += String(chunk);
      if (text.length > MAX_LINE_BYTES) {
        socket.destroy();
        return;
      }
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        if (line.trim() === "") continue;
        // Answers of a connection keep the order of its requests. Whoever does not read them keeps nobody else waiting.
        answered = answered.then(async () => {
          const { answer, after, takeOver } = await serveLine(vm, name, line, inTurn);
          // The end of the machine is the end of this process: the answer goes out first.
          if (socket.writable) await new Promise((sent) => socket.write(`${JSON.stringify(answer)}\n`, sent));
          after?.();
          if (takeOver === undefined || socket.destroyed) return;
          // From here on the connection is a terminal's.
          socket.off("data", onData);
          await takeOver(socket);
        });
      }
    };
    socket.on("data", onData);
  });
  // It also keeps the process alive while the machine is paused and nothing else happens.
  await listen(server, file, name);
  const remove = (): void => removeStale(file);
  process.on("exit", remove);
  return () => {
    process.off("exit", remove);
    server.close();
    for (const socket of open) socket.end();
    remove();
  };
}

function listen(server: net.Server, file: string, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(new UsageError(`--name ${name}: ${file} cannot be made (${listenReason(error, file)})`)));
    server.listen(file, () => {
      fs.chmodSync(file, 0o600);
      resolve();
    });
  });
}

interface Served {
  readonly answer: ControlAnswer;
  /** To be done when the answer is sent. */
  readonly after?: () => void;
  /** What the connection is for from then on. */
  readonly takeOver?: (socket: net.Socket) => void | Promise<void>;
}

/** Runs work when the work before it is done. */
type InTurn = (work: () => Promise<unknown>) => Promise<unknown>;

/** These wait for the guest, perhaps for ever: pausing, resuming and pulling the plug do not wait for them. */
const WAITS_FOR_GUEST: readonly string[] = ["keys", "type"];

async function serveLine(vm: VirtualMachine, name: string, line: string, inTurn: InTurn): Promise<Served> {
  try {
    const request = parseRequest(line);
    const args = request.args ?? [];
    if (request.command === "attach") return { answer: { ok: true }, takeOver: attachment(vm, name, args) };
    const work = (): Promise<unknown> => execute(vm, name, request.command, args);
    const result = WAITS_FOR_GUEST.includes(request.command) ? await work() : await inTurn(work);
    const answer: ControlAnswer = result === undefined ? { ok: true } : { ok: true, result };
    const ends = request.command === "destroy" || (request.command === "save" && args.includes("stop", 1));
    return ends ? { answer, after: () => void vm.powerOff("whyve ctl") } : { answer };
  } catch (error) {
    return { answer: { ok: false, error: (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "" } };
  }
}

function parseRequest(line: string): ControlRequest {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new RequestError("a request is a line of JSON");
  }
  if (typeof value !== "object" || value === null || !("command" in value) || typeof value.command !== "string")
    throw new RequestError('a request is {"command": "...", "args": [...]}');
  const args = "args" in value ? value.args : [];
  if (!Array.isArray(args) || !args.every((a) => typeof a === "string")) throw new RequestError("args is a list of strings");
  return { command: value.command, args };
}

async function execute(vm: VirtualMachine, name: string, command: string, args: readonly string[]): Promise<unknown> {
  if (WAITS_FOR_GUEST.includes(command) && vm.state === "paused") throw new RequestError(`the machine is paused; whyve ctl ${name} resume`);
  switch (command) {
    case "status":
      return status(vm, name);
    case "pause":
      await vm.pause();
      return undefined;
    case "resume":
      if (vm.state === "paused") vm.resume();
      return undefined;
    case "reset":
      vm.reset();
      return undefined;
    case "poweroff":
      vm.powerButton();
      return undefined;
    case "destroy":
      return undefined;
    case "screen":
      return vm.screen.text();
    case "screenshot":
      return Buffer.from(await vm.screenshot()).toString("base64");
    case "keys":
      if (args.length === 0) throw new RequestError("keys: which? for example ctrl-alt-del");
      await vm.keys(...args);
      return undefined;
    case "type":
      await vm.type(args.join(" "));
      return undefined;
    case "regs":
      return vm.describeRegisters();
    case "stats":
      return vm.stats();
    case "save":
      return save(vm, args);
    case "insert":
    case "eject":
      return changeMedium(vm, args, command === "insert");
    default:
      throw new RequestError(`unknown command "${command}"`);
  }
}

function status(vm: VirtualMachine, name: string): unknown {
  const { config } = vm.pc;
  const mode = vm.screen.mode();
  return {
    name,
    state: vm.state,
    pid: process.pid,
    memoryBytes: config.memoryBytes,
    cpus: config.cpus,
    clock: config.clock,
    guestSeconds: vm.timeNs / 1e9,
    instructions: vm.stats()["instructions"] ?? 0,
    screen: mode,
    disks: vm.pc.drives.map((d) => ({ kind: d.kind, image: d.backend?.name ?? null })),
  };
}

/** `insert DRIVE FILE`, `eject DRIVE`; drives are cd, cd1, fd, fd1. */
async function changeMedium(vm: VirtualMachine, [word = "", file]: readonly string[], insert: boolean): Promise<undefined> {
  const drive = parseBootDevice(word);
  if (drive === undefined || drive.kind === "hard-disk") throw new RequestError(`drive "${word}": use cd, cd1, fd or fd1`);
  if (insert && (file === undefined || !path.isAbsolute(file))) throw new RequestError("insert: an absolute path is missing");
  await vm.changeMedium(drive.kind, drive.unit ?? 0, insert ? file : undefined);
  return undefined;
}

/** `attach screen COLUMNS ROWS COLOURS`, `attach console LINE`. */
function attachment(vm: VirtualMachine, name: string, [what, ...args]: readonly string[]): (socket: net.Socket) => void | Promise<void> {
  if (vm.state === "ended") throw new RequestError("the machine has ended");
  if (what === "screen") {
    const size = sizeFrom(args.slice(0, 2).map(Number));
    const colours = COLOURS.find((c) => c === args[2]);
    if (size === undefined || colours === undefined) throw new RequestError("attach screen: columns, rows and colours are missing");
    const saveScreenshot = async (): Promise<string> => {
      const file = path.resolve(`whyve-${name}-${new Date().toISOString().replace(/[:.]/g, "-")}.png`);
      await writeWholeFile(file, await vm.screenshot());
      return file;
    };
    return (socket) => attachScreen(vm, socket, size, colours, saveScreenshot);
  }
  const ports = [...vm.serialPorts, ...vm.consolePorts];
  const port = what === "console" ? ports.find((p) => p.name === args[0]) : undefined;
  if (port === undefined) throw new RequestError(`there is no line "${args[0] ?? ""}"; there are ${ports.map((p) => p.name).join(", ")}`);
  return (socket) => attachLine(vm, socket, port);
}

const COLOURS = ["true", "16", "none"] as const satisfies readonly Colours[];

/** Writes a snapshot; whole or not at all. "stop": the machine ends when it is saved; "force": a file that is there is replaced. */
async function save(vm: VirtualMachine, args: readonly string[]): Promise<unknown> {
  const [file, ...flags] = args;
  if (file === undefined || !path.isAbsolute(file)) throw new RequestError("save: an absolute path is missing");
  const stop = flags.includes("stop");
  if (!flags.includes("force")) refuseExisting(file);
  if (stop) await vm.pause();
  try {
    const bytes = await vm.save();
    await writeWholeFile(file, bytes, { mode: 0o600 });
    return { file, bytes: bytes.length };
  } catch (error) {
    if (stop && vm.state === "paused") vm.resume();
    throw error;
  }
}
