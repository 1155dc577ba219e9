/** Where a machine's screen is drawn, and whose bytes are its keyboard. */
export interface ScreenTerminal {
  readonly columns: number;
  readonly rows: number;
  readonly colours: Colours;
  /** Bytes that the other end has not taken yet. */
  readonly backlog: number;
  write(bytes: string | Uint8Array): void;
  /** Receives the terminal's input. */
  onInput: ((bytes: Uint8Array) => void) | undefined;
  /** Told when what is on the terminal cannot be relied on any more: another size, or somebody else has drawn. */
  onChange: (() => void) | undefined;
  /** Gives the terminal back. Safe to call twice. */
  close(): void;
}

/** What a terminal can show: 24-bit colours, 16 of them, or none (NO_COLOR). */
export type Colours = "true" | "16" | "none";

/** What a terminal is taken for that does not know its size. */
const UNKNOWN_SIZE = { columns: 80, rows: 24 };

/** A terminal of 0 columns (a serial console, an editor's shell) has not been told its size. */
export function sizeOf(stream: { readonly columns?: number; readonly rows?: number }): { readonly columns: number; readonly rows: number } {
  const { columns = 0, rows = 0 } = stream;
  return { columns: columns > 0 ? columns : UNKNOWN_SIZE.columns, rows: rows > 0 ? rows : UNKNOWN_SIZE.rows };
}

/** The colours that environment and terminal ask for (https://no-color.org). */
export function coloursOf(output: NodeJS.WriteStream, environment: NodeJS.ProcessEnv): Colours {
  if ((environment["NO_COLOR"] ?? "") !== "") return "none";
  return /truecolor|24bit/.test(environment["COLORTERM"] ?? "") || output.getColorDepth() >= 24 ? "true" : "16";
}

/** The terminal that this program was started on: its other screen, every key as it comes. */
export class HostTerminal implements ScreenTerminal {
  readonly colours: Colours;
  onInput: ((bytes: Uint8Array) => void) | undefined;
  onChange: (() => void) | undefined;
  readonly #input: NodeJS.ReadStream;
  readonly #output: NodeJS.WriteStream;
  readonly #onData = (data: Buffer): void => this.onInput?.(data);
  readonly #onResize = (): void => this.onChange?.();
  /** The shell gets its terminal back while this process is stopped. */
  readonly #onStop = (): void => {
    this.#leave();
    process.kill(process.pid, "SIGSTOP");
  };
  readonly #onContinue = (): void => {
    this.#enter();
    this.onChange?.();
  };
  readonly #onExit = (): void => this.close();
  #open = true;

  constructor(input: NodeJS.ReadStream, output: NodeJS.WriteStream) {
    this.#input = input;
    this.#output = output;
    this.colours = coloursOf(output, process.env);
    this.#enter();
    input.on("data", this.#onData);
    output.on("resize", this.#onResize);
    process.on("SIGTSTP", this.#onStop);
    process.on("SIGCONT", this.#onContinue);
    // However this process ends, the terminal is given back.
    process.on("exit", this.#onExit);
    input.resume();
  }

  get columns(): number {
    return sizeOf(this.#output).columns;
  }
  get rows(): number {
    return sizeOf(this.#output).rows;
  }
  get backlog(): number {
    return this.#output.writableLength;
  }
  write(bytes: string | Uint8Array): void {
    this.#output.write(bytes);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#input.off("data", this.#onData);
    this.#output.off("resize", this.#onResize);
    process.off("SIGTSTP", this.#onStop);
    process.off("SIGCONT", this.#onContinue);
    process.off("exit", this.#onExit);
    this.#leave();
    this.#input.pause();
  }

  #enter(): void {
    this.#output.write("\x1b[?1049h\x1b[2J\x1b[?25l");
    if (!this.#input.isTTY) return;
    // Off first: after a stop the terminal is in the shell's mode, and Node believes it is still in ours.
    this.#input.setRawMode(false);
    this.#input.setRawMode(true);
  }
  #leave(): void {
    if (this.#input.isTTY) this.#input.setRawMode(false);
    this.#output.write("\x1b[0m\x1b[0 q\x1b[?25h\x1b[?1049l");
  }
}
