import type * as net from "node:net";
import * as path from "node:path";
import { writeWholeFile } from "../../backends/node/index.ts";
import { EXIT, UsageError } from "../errors.ts";
import { suggestion } from "../options/options.ts";
import { connectTo, removeStale, socketNames, socketPath } from "./places.ts";

const HELP = `whyve ctl                      lists the machines that run under a name (whyve run --name NAME)
whyve ctl NAME COMMAND         controls one of them

Commands:
  status [--json]              what it is and does
  pause, resume                stop the guest between two instructions; let it go on
  reset                        the reset button
  poweroff                     the power button: the guest shuts down (ACPI), or the machine is off
  destroy                      pull the plug
  screen                       the text on the screen
  screenshot FILE.png          the picture on the screen
  keys KEY ...                 press keys or combinations: ctrl-alt-del, F1, Enter
  type TEXT                    type text; {Enter} and other key names in braces
  regs                         the boot CPU's registers
  stats [--json]               counters
  save FILE [--stop]           the whole machine in a file, for whyve run --restore FILE; --stop: and end it

Examples:
  whyve run disk.img --name web --display none &
  whyve ctl web type 'root{Enter}'
  whyve ctl web save web.snap --stop
  whyve run --restore web.snap

Exit codes: 0 done, 1 no such machine, or it refused.
`;

const COMMANDS = ["status", "pause", "resume", "reset", "poweroff", "destroy", "screen", "screenshot", "keys", "type", "regs", "stats", "save"];
/** Commands that take no time. The others depend on the guest, or on the size of its memory. */
const QUICK = new Set(["status", "pause", "resume", "reset", "poweroff", "destroy", "screen", "screenshot", "regs", "stats"]);
const QUICK_MS = 20_000;
/** A list does not wait so long for one of many. */
const LIST_MS = 3000;

/** `whyve ctl ...`. Returns the exit code. */
export async function ctlCommand(argv: readonly string[]): Promise<number> {
  const [name, command, ...args] = argv;
  if (name === "--help" || name === "-h") {
    process.stdout.write(HELP);
    return EXIT.OK;
  }
  if (name === undefined) return list();
  if (name.startsWith("-")) throw new UsageError(`unknown option ${name} (see whyve ctl --help)`);
  if (!/^[\w.-]{1,64}$/.test(name)) throw new UsageError(`"${name}" is no machine's name; whyve ctl lists the machines`);
  if (command === undefined || command === "--help") {
    process.stderr.write(HELP);
    return command === undefined ? EXIT.USAGE : EXIT.OK;
  }
  if (!COMMANDS.includes(command)) throw new UsageError(`unknown command "${command}"${suggestion(command, COMMANDS, `whyve ctl ${name} `)}`);
  const socket = await connectTo(socketPath(name));
  if (socket === undefined) {
    removeStale(socketPath(name));
    const running = socketNames();
    const hint = running.length === 0 ? "no machine runs under a name (whyve run --name NAME)" : `running: ${running.join(", ")}`;
    throw new UsageError(`there is no machine "${name}"; ${hint}`);
  }
  try {
    return await run(socket, name, command, args);
  } finally {
    socket.destroy();
  }
}

async function run(socket: net.Socket, name: string, command: string, args: readonly string[]): Promise<number> {
  const json = args.includes("--json");
  const words = args.filter((a) => a !== "--json" && a !== "--stop");
  const option = words.find((w) => /^--\w/.test(w) && command !== "type");
  if (option !== undefined) throw new UsageError(`unknown option ${option} (see whyve ctl --help)`);
  const [first] = words;
  const takes = { screenshot: "FILE.png", save: "FILE", keys: "KEY", type: "TEXT" }[command];
  if (takes !== undefined && (first === undefined || first === ""))
    throw new UsageError(`${command} needs a value: whyve ctl ${name} ${command} ${takes}`);
  if (takes === undefined && first !== undefined) throw new UsageError(`${command} takes no value ("${first}")`);
  const sent = command === "save" ? [path.resolve(first ?? ""), ...(args.includes("--stop") ? ["stop"] : [])] : command === "screenshot" ? [] : words;
  const result = await ask(socket, command, sent);
  switch (command) {
    case "screenshot":
      return await writePicture(first ?? "", result);
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
    let text = "";
    const timer = QUICK.has(command) ? setTimeout(() => reject(new UsageError("the machine does not answer")), quickMs) : undefined;
    const done = (act: () => void): void => {
      clearTimeout(timer);
      act();
    };
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => {
      text += String(chunk);
      const end = text.indexOf("\n");
      if (end < 0) return;
      done(() => {
        const answer: unknown = JSON.parse(text.slice(0, end));
        const get = (key: string): unknown => entries(answer).find(([k]) => k === key)?.[1];
        if (get("ok") === true) resolve(get("result"));
        else reject(new UsageError(asText(get("error"), "the machine refused")));
      });
    });
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

/** Undefined: nobody listens there. */
async function row(name: string): Promise<string | undefined> {
  const socket = await connectTo(socketPath(name));
  if (socket === undefined) {
    removeStale(socketPath(name));
    return undefined;
  }
  const s = Object.fromEntries(entries(await ask(socket, "status", [], LIST_MS).catch(() => ({ state: "no answer" }))));
  socket.destroy();
  const memory = s["memoryBytes"] === undefined ? "" : `${Number(s["memoryBytes"]) / 2 ** 20}M`;
  return `${name.padEnd(20)} ${String(s["state"]).padEnd(10)} ${asText(s["pid"], "").padEnd(8)} ${memory}`.trimEnd() + "\n";
}

/** One line for each machine that answers; sockets that nobody listens on are removed. */
async function list(): Promise<number> {
  const rows = (await Promise.all(socketNames().map(row))).filter((line) => line !== undefined);
  if (rows.length === 0) process.stderr.write("whyve: no machine runs under a name (whyve run --name NAME)\n");
  else process.stdout.write(`${"NAME".padEnd(20)} ${"STATE".padEnd(10)} ${"PROCESS".padEnd(8)} MEMORY\n${rows.join("")}`);
  return EXIT.OK;
}
