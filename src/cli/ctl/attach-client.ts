import type * as net from "node:net";
import { EXIT, UsageError } from "../errors.ts";
import { EscapeKey, escapeHelp } from "../terminal/escape-key.ts";
import { HostTerminal } from "../terminal/host-terminal.ts";
import type { AttachInput } from "./attach.ts";

/** The terminal of this program belongs to the machine at the other end of `socket` until either ends it. `ask` sends the request. */
type Ask = (args: readonly string[]) => Promise<unknown>;

function send(socket: net.Socket, message: AttachInput): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}

function receive(socket: net.Socket, onBytes: (bytes: Uint8Array) => void): void {
  socket.on("data", (bytes) => {
    if (bytes instanceof Uint8Array) onBytes(bytes);
  });
  socket.resume();
}

function closed(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    socket.on("close", () => resolve());
    socket.on("end", () => socket.end());
  });
}

/** `whyve ctl NAME screen` on a terminal. */
export async function viewScreen(socket: net.Socket, ask: Ask): Promise<number> {
  const terminal = new HostTerminal(process.stdin, process.stdout);
  try {
    await ask(["screen", String(terminal.columns), String(terminal.rows), terminal.colours]);
    const over = closed(socket);
    terminal.onInput = (bytes) => send(socket, { input: Buffer.from(bytes).toString("base64") });
    terminal.onChange = () => {
      send(socket, { size: [terminal.columns, terminal.rows] });
    };
    receive(socket, (bytes) => terminal.write(bytes));
    await over;
  } finally {
    terminal.close();
  }
  return EXIT.OK;
}

/** `whyve ctl NAME console [LINE]`: both ways on a terminal; into a pipe what comes, and standard input to its end. */
export async function viewLine(socket: net.Socket, line: string, ask: Ask): Promise<number> {
  const { stdin, stdout, stderr } = process;
  const raw = stdin.isTTY === true && stdout.isTTY === true;
  await ask(["console", line]);
  const over = closed(socket);
  const escape = new EscapeKey();
  receive(socket, (bytes) => void stdout.write(bytes));
  const onData = (data: Buffer): void => {
    const { pass, asks, quit } = raw ? escape.feed(data) : { pass: data, asks: false, quit: false };
    if (pass.length > 0) send(socket, { input: pass.toString("base64") });
    if (asks) stderr.write(`\r\n[whyve: ${escapeHelp("detach")}]\r\n`);
    if (quit) socket.end();
  };
  if (raw) {
    stderr.write("[whyve: Ctrl-] and q detach]\r\n");
    stdin.setRawMode(true);
  }
  const onExit = (): void => void (raw && stdin.setRawMode(false));
  process.on("exit", onExit);
  stdin.on("data", onData);
  stdin.on("error", () => {});
  try {
    await over;
  } finally {
    stdin.off("data", onData);
    stdin.pause();
    onExit();
    if (raw) stderr.write("\n");
    process.off("exit", onExit);
  }
  return EXIT.OK;
}

/** What a line may be called: com1 (the default) to com4, hvc0 and on. */
export function lineName(word: string | undefined): string {
  const name = (word ?? "com1").toLowerCase();
  if (!/^(?:com[1-4]|hvc\d{1,2})$/.test(name)) throw new UsageError(`console "${word ?? ""}": use com1 to com4, or hvc0, hvc1, ...`);
  return name;
}
