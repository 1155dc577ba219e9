import type * as net from "node:net";
import type { SerialPort, VirtualMachine } from "../../node/index.ts";
import type { Colours, ScreenTerminal } from "../terminal/host-terminal.ts";

/**
 * What follows an `attach` request on its connection. Behind the answer line the machine's side sends the bytes of a terminal, the other side
 * lines of JSON: what was typed (base64), and the terminal's size when it changes.
 */
export interface AttachInput {
  readonly input?: string;
  readonly size?: readonly [columns: number, rows: number];
}

/** Longest line: a paste. */
const MAX_LINE_BYTES = 1024 * 1024;
/** What a client that does not read has waiting before its output is left out. */
const MAX_BACKLOG_BYTES = 4 * 1024 * 1024;
/** Of what a line has printed before, so much is shown first. */
const REPLAY_CHARACTERS = 4000;

/** Reads the client's lines; undefined from the parser is no line at all and ends the connection. */
function readInput(socket: net.Socket, onInput: (message: AttachInput) => void): void {
  let text = "";
  socket.on("data", (chunk) => {
    text += String(chunk);
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) {
      const message = line.trim() === "" ? undefined : parseInput(line);
      if (message === undefined) socket.destroy();
      else onInput(message);
    }
    if (text.length > MAX_LINE_BYTES) socket.destroy();
  });
}

function parseInput(line: string): AttachInput | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const input = "input" in value && typeof value.input === "string" ? { input: value.input } : {};
  const size = "size" in value && Array.isArray(value.size) ? sizeFrom(value.size.map(Number)) : undefined;
  return { ...input, ...(size === undefined ? {} : { size }) };
}

const MAX_SIDE = 1000;

/** Sizes from outside; undefined for what is no terminal's. */
export function sizeFrom([columns = 0, rows = 0]: readonly number[]): readonly [number, number] | undefined {
  const good = (side: number): boolean => Number.isInteger(side) && side > 0 && side <= MAX_SIDE;
  return good(columns) && good(rows) ? [columns, rows] : undefined;
}

/** A terminal at the other end of a control connection. */
class SocketTerminal implements ScreenTerminal {
  readonly colours: Colours;
  onInput: ((bytes: Uint8Array) => void) | undefined;
  onChange: (() => void) | undefined;
  #size: readonly [number, number];
  readonly #socket: net.Socket;

  constructor(socket: net.Socket, size: readonly [number, number], colours: Colours) {
    this.#socket = socket;
    this.#size = size;
    this.colours = colours;
    readInput(socket, ({ input, size: now }) => {
      if (now !== undefined) {
        this.#size = now;
        this.onChange?.();
      }
      if (input !== undefined) this.onInput?.(Buffer.from(input, "base64"));
    });
  }
  get columns(): number {
    return this.#size[0];
  }
  get rows(): number {
    return this.#size[1];
  }
  get backlog(): number {
    return this.#socket.writableLength;
  }
  write(bytes: string | Uint8Array): void {
    if (this.#socket.writable) this.#socket.write(bytes);
  }
  close(): void {
    this.#socket.end();
  }
}

/** The machine's screen and keyboard on a connection, until either side ends it. */
export async function attachScreen(
  vm: VirtualMachine,
  socket: net.Socket,
  size: readonly [number, number],
  colours: Colours,
  saveScreenshot: () => Promise<string>,
): Promise<void> {
  const { TerminalDisplay } = await import("../terminal/terminal.ts");
  const display = new TerminalDisplay(vm, new SocketTerminal(socket, size, colours), {
    onQuit: () => display.close(),
    quitWord: "detach",
    saveScreenshot,
  });
  socket.on("close", () => display.close());
  vm.ended.then(
    () => display.close(),
    () => display.close(),
  );
}

/** A serial line on a connection: first the end of what it has printed, then every byte as it comes, both ways. */
export function attachLine(vm: VirtualMachine, socket: net.Socket, port: SerialPort): void {
  const before = port.text();
  socket.write(before.slice(-REPLAY_CHARACTERS).replaceAll("\n", "\r\n"));
  let batch: number[] = [];
  const flush = (): void => {
    const bytes = Buffer.from(batch);
    batch = [];
    // A client that does not read loses output; the guest does not wait for it.
    if (socket.writable && socket.writableLength < MAX_BACKLOG_BYTES) socket.write(bytes);
  };
  const stop = port.listen((value) => {
    if (batch.push(value) === 1) setImmediate(flush);
  });
  readInput(socket, ({ input }) => {
    if (input !== undefined && vm.state !== "ended") port.write(Buffer.from(input, "base64"));
  });
  socket.on("close", stop);
  const end = (): void => void socket.end();
  vm.ended.then(end, end);
}
