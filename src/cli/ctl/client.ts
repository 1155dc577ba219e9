import type * as net from "node:net";
import * as path from "node:path";
import { writeWholeFile } from "../../backends/node/index.ts";
import { EXIT, UsageError } from "../errors.ts";
import { commandSuggestion, parseOptions } from "../options/options.ts";
import type { OptionTable, ParsedOptions } from "../options/options.ts";
import { pictureFile } from "../options/picture-file.ts";
import { typedText } from "../options/typed-text.ts";
import { canDraw } from "../terminal/can-draw.ts";
import { lineName, viewLine, viewScreen } from "./attach-client.ts";
import { connectTo, removeStale, socketNames, socketPath } from "./places.ts";

export const CTL_HELP = `whyve ctl                      lists the machines that run under a name (whyve run --name NAME)
whyve ctl list [--json]        the same; as JSON
whyve ctl NAME COMMAND         controls one of them

Commands:
  status [--json]              what it is and does
  pause, resume                stop the guest between two instructions; let it go on
  reset                        the reset button
  poweroff                     the power button: the guest shuts down (ACPI), or the machine is off
  destroy                      pull the plug
  screen [--text]              on a terminal: the screen and keyboard, live (Ctrl-] opens a menu);
                               else, or with --text: the text on the screen
  console [LINE]               a serial line, live, both ways (com1 unless LINE says com2, hvc0, ...);
                               Ctrl-] and q detach
  screenshot FILE.png          the picture on the screen
  keys KEY ...                 press keys or combinations: ctrl-alt-del, F1, Enter
  type TEXT [--literal]        type text as --type of whyve run does: {Enter}, {F1}, \\n; --literal: as it stands
  insert DRIVE FILE            another CD or floppy: DRIVE is cd, cd1, fd or fd1
  eject DRIVE                  take it out
  regs                         the boot CPU's registers
  stats [--json]               counters
  save FILE [--stop] [--force] the whole machine in a file, for whyve run --restore FILE; --stop: and end it;
                               --force: replace a file that exists

Examples:
  whyve run disk.img --name web --display none &
  whyve ctl web type 'root{Enter}'
  whyve ctl web save web.snap --stop
  whyve run --restore web.snap

Exit codes: 0 done, 1 no such machine, or it refused.
`;

/** What a command takes, beside the name of the machine. */
interface Command {
  /** The name of its argument in messages. */
  readonly takes?: string;
  /** The argument may be given more than once; may be left out. */
  readonly many?: true;
  readonly mayMiss?: true;
  readonly options?: OptionTable;
}

const option = (help: string) => ({ group: "Options", help }) as const;
const JSON_OPTION = { json: option("print JSON") };

export const CTL_COMMANDS: Readonly<Record<string, Command>> = {
  status: { options: JSON_OPTION },
  pause: {},
  resume: {},
  reset: {},
  poweroff: {},
  destroy: {},
  screen: { options: { text: option("print the text on the screen") } },
  console: { takes: "LINE", mayMiss: true },
  screenshot: { takes: "FILE.png" },
  keys: { takes: "KEY", many: true },
  type: { takes: "TEXT", many: true, options: { literal: option("type the text as it stands") } },
  insert: { takes: "DRIVE FILE" },
  eject: { takes: "DRIVE" },
  regs: {},
  stats: { options: JSON_OPTION },
  save: { takes: "FILE", options: { stop: option("end the machine when it is saved"), force: option("replace a file that exists") } },
};
/** Commands that take no time. The others depend on the guest, or on the size of its memory. */
const QUICK = new Set(["status", "pause", "resume", "reset", "poweroff", "destroy", "screen", "screenshot", "regs", "stats"]);
const QUICK_MS = 20_000;
/** A list does not wait so long for one of many. */
const LIST_MS = 3000;

/** `whyve ctl ...`. Returns the exit code. */
export async function ctlCommand(argv: readonly string[]): Promise<number> {
  const [name, command, ...args] = argv;
  if (name === "--help" || name === "-h") {
    process.stdout.write(CTL_HELP);
    return EXIT.OK;
  }
  if (name === undefined) return list(false);
  if (name === "list") {
    const given = parseOptions(JSON_OPTION, argv.slice(1));
    if (given.positionals.length > 0) throw new UsageError(`list takes no value ("${given.positionals[0]}")`);
    return list(given.has("json"));
  }
  if (name.startsWith("-")) throw new UsageError(`unknown option ${name} (see whyve ctl --help)`);
  if (!/^[\w.-]{1,64}$/.test(name)) throw new UsageError(`"${name}" is no machine's name; whyve ctl lists the machines`);
  if (command === undefined || command === "--help") {
    process.stderr.write(CTL_HELP);
    return command === undefined ? EXIT.USAGE : EXIT.OK;
  }
  const request = checkCommand(name, command, args);
  const socket = await connectTo(socketPath(name));
  if (socket === undefined) {
    removeStale(socketPath(name));
    const running = socketNames();
    const hint = running.length === 0 ? "no machine runs under a name (whyve run --name NAME)" : `running: ${running.join(", ")}`;
    throw new UsageError(`there is no machine "${name}"; ${hint}`);
  }
  try {
    return await run(socket, command, request);
  } finally {
    socket.destroy();
  }
}

/** A command line, checked before the machine is asked. */
interface Checked {
  readonly given: ParsedOptions;
  /** What goes to the machine. */
  readonly sent: readonly string[];
}

function checkCommand(name: string, command: string, args: readonly string[]): Checked {
  const spec = Object.hasOwn(CTL_COMMANDS, command) ? CTL_COMMANDS[command] : undefined;
  if (spec === undefined)
    throw new UsageError(`unknown command "${command}"${commandSuggestion(command, Object.keys(CTL_COMMANDS), `whyve ctl ${name} `)}`);
  const given = parseOptions(spec.options ?? {}, args);
  const words = given.positionals;
  const wanted = spec.takes?.split(" ").length ?? 0;
  const extra = spec.many === true ? undefined : words[wanted];
  if (extra !== undefined)
    throw new UsageError(`${command} takes ${wanted === 0 ? "no value" : wanted === 1 ? "one value" : `${wanted} values`} ("${extra}")`);
  const tooFew = words.length < wanted && !(spec.mayMiss === true && words.length === 0);
  if (spec.takes !== undefined && (tooFew || words.includes("")))
    throw new UsageError(`${command} needs ${wanted === 1 ? "a value" : "values"}: whyve ctl ${name} ${command} ${spec.takes}`);
  return { given, sent: wordsFor(command, given) };
}

/** The arguments in the machine's words: paths whole, text without what only a command line needs. */
function wordsFor(command: string, given: ParsedOptions): readonly string[] {
  const [first = "", second = ""] = given.positionals;
  switch (command) {
    case "insert":
      return [first, path.resolve(second)];
    case "console":
      return [lineName(given.positionals[0])];
    case "save":
      return [path.resolve(first), ...["stop", "force"].filter((flag) => given.has(flag))];
    case "screenshot":
      pictureFile("screenshot", first);
      return [];
    case "type": {
      const text = given.positionals.join(" ");
      return [given.has("literal") ? text.replaceAll("{", "{{") : typedText("type", text)];
    }
    default:
      return given.positionals;
  }
}

async function run(socket: net.Socket, command: string, { given, sent }: Checked): Promise<number> {
  const json = given.has("json");
  const attach = (words: readonly string[]): Promise<unknown> => ask(socket, "attach", words);
  if (command === "console") return await viewLine(socket, sent[0] ?? "", attach);
  if (command === "screen" && !given.has("text") && process.stdin.isTTY && process.stdout.isTTY && canDraw(process.env))
    return await viewScreen(socket, attach);
  const result = await ask(socket, command, sent);
  switch (command) {
    case "screenshot":
      return await writePicture(given.positionals[0] ?? "", result);
    case "status":
      process.stdout.write(json ? `${JSON.stringify(result, undefined, 2)}\n` : describeStatus(result));
      return EXIT.OK;
    case "stats":
      process.stdout.write(json ? `${JSON.stringify(result, undefined, 2)}\n` : table(entries(result)));
      return EXIT.OK;
    case "screen":
    case "regs":
      process.stdout.write(`${String(result)}\n`);
      return EXIT.OK;
    default:
      return EXIT.OK;
  }
}

/** Sends a request and waits for its answer; a refusal is a `UsageError`. */
export function ask(socket: net.Socket, command: string, args: readonly string[], quickMs = QUICK_MS): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const timer = QUICK.has(command) ? setTimeout(() => reject(new UsageError("the machine does not answer")), quickMs) : undefined;
    const done = (act: () => void): void => {
      clearTimeout(timer);
      act();
    };
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf("\n");
      if (end < 0) return;
      // What follows the answer is whoever's the connection is now.
      socket.off("data", onData);
      socket.pause();
      if (end + 1 < received.length) socket.unshift(received.subarray(end + 1));
      done(() => {
        const answer: unknown = JSON.parse(received.toString("utf8", 0, end));
        const get = (key: string): unknown => entries(answer).find(([k]) => k === key)?.[1];
        if (get("ok") === true) resolve(get("result"));
        else reject(new UsageError(asText(get("error"), "the machine refused")));
      });
    };
    socket.on("data", onData);
    // A machine that ends closes its socket, perhaps before it has answered.
    socket.on("close", () =>
      done(() =>
        command === "destroy" || command === "poweroff" ? resolve(undefined) : reject(new UsageError("the machine ended before it answered")),
      ),
    );
    socket.on("error", () => done(() => reject(new UsageError("the connection to the machine broke"))));
    socket.write(`${JSON.stringify({ command, args })}\n`);
  });
}

/** A string or number of an answer as text. */
function asText(value: unknown, otherwise: string): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : otherwise;
}

function entries(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}

function table(rows: readonly (readonly [string, unknown])[]): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length)) + 2;
  return rows.map(([name, value]) => `${name.padEnd(width)}${typeof value === "string" ? value : JSON.stringify(value)}\n`).join("");
}

function describeStatus(result: unknown): string {
  const s = Object.fromEntries(entries(result));
  const disks = Array.isArray(s["disks"]) ? s["disks"].map((d: unknown) => entries(d)) : [];
  const rows: [string, unknown][] = [
    ["name", s["name"]],
    ["state", s["state"]],
    ["process", s["pid"]],
    ["memory", `${Number(s["memoryBytes"]) / 2 ** 20} MiB`],
    ["cpus", s["cpus"]],
    ["guest time", `${Number(s["guestSeconds"]).toFixed(3)} s (${String(s["clock"])} clock)`],
    ["instructions", s["instructions"]],
  ];
  for (const disk of disks) rows.push([String(disk[0]?.[1]), asText(disk[1]?.[1], "empty")]);
  return table(rows);
}

async function writePicture(file: string, result: unknown): Promise<number> {
  await writeWholeFile(file, Buffer.from(String(result), "base64"));
  return EXIT.OK;
}

/** A running machine as a list shows it. */
interface Listed {
  readonly name: string;
  readonly state: string;
  readonly pid: number | undefined;
  readonly memoryBytes: number | undefined;
}

/** Undefined: nobody listens there. */
async function look(name: string): Promise<Listed | undefined> {
  const socket = await connectTo(socketPath(name));
  if (socket === undefined) {
    removeStale(socketPath(name));
    return undefined;
  }
  const s = Object.fromEntries(entries(await ask(socket, "status", [], LIST_MS).catch(() => ({ state: "no answer" }))));
  socket.destroy();
  const number = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
  return { name, state: asText(s["state"], "unknown"), pid: number(s["pid"]), memoryBytes: number(s["memoryBytes"]) };
}

function row({ name, state, pid, memoryBytes }: Listed): string {
  const memory = memoryBytes === undefined ? "" : `${memoryBytes / 2 ** 20}M`;
  return `${name.padEnd(20)} ${state.padEnd(10)} ${String(pid ?? "").padEnd(8)} ${memory}`.trimEnd() + "\n";
}

/** One line for each machine that answers; sockets that nobody listens on are removed. */
async function list(json: boolean): Promise<number> {
  const machines = (await Promise.all(socketNames().map(look))).filter((found) => found !== undefined);
  if (json) process.stdout.write(`${JSON.stringify(machines, undefined, 2)}\n`);
  else if (machines.length === 0) process.stderr.write("whyve: no machine runs under a name (whyve run --name NAME)\n");
  else process.stdout.write(`${"NAME".padEnd(20)} ${"STATE".padEnd(10)} ${"PROCESS".padEnd(8)} MEMORY\n${machines.map(row).join("")}`);
  return EXIT.OK;
}
