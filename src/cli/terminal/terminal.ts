import { cp437Char } from "../../node/index.ts";
import type { VirtualMachine } from "../../node/index.ts";
import { Painter, pictureOfFrame, pictureOfText } from "./draw.ts";
import type { Picture } from "./draw.ts";
import { decodeKeys } from "./keyboard.ts";

/** A redraw at most this often. */
const FRAME_MS = 33;
/** A lone ESC byte is the Escape key when nothing follows it for this long. */
const ESCAPE_MS = 30;

const MENU = ["[c] Ctrl-Alt-Del", "[s] screenshot", "[r] reset", "[p] pause", "[]] send Ctrl-]", "[q] quit", "[Esc] back"];

export interface TerminalOptions {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  /** The user chose to leave. */
  readonly onQuit: () => void;
  /** Saves the screen and returns where. */
  readonly saveScreenshot: () => Promise<string>;
}

/** The machine's screen and keyboard on this terminal, while it is open. */
export class TerminalDisplay {
  readonly #vm: VirtualMachine;
  readonly #options: TerminalOptions;
  readonly #painter: Painter;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #onData = (data: Buffer): void => this.#receive(data);
  readonly #onResize = (): void => this.#painter.invalidate();
  /** The shell gets its terminal back while this process is stopped. */
  readonly #onStop = (): void => {
    this.#leave();
    process.kill(process.pid, "SIGSTOP");
  };
  readonly #onContinue = (): void => {
    this.#enter();
    this.#painter.invalidate();
  };
  readonly #onExit = (): void => this.close();
  readonly #decoder = new TextDecoder();
  #pending = "";
  #escapeTimer: ReturnType<typeof setTimeout> | undefined;
  #menu = false;
  #paused = false;
  #note: string | undefined;
  #open = true;

  constructor(vm: VirtualMachine, options: TerminalOptions) {
    this.#vm = vm;
    this.#options = options;
    this.#painter = new Painter(/truecolor|24bit/.test(process.env["COLORTERM"] ?? "") || options.output.getColorDepth() >= 24);
    this.#enter();
    options.input.on("data", this.#onData);
    options.output.on("resize", this.#onResize);
    process.on("SIGTSTP", this.#onStop);
    process.on("SIGCONT", this.#onContinue);
    // However this process ends, the terminal is given back.
    process.on("exit", this.#onExit);
    options.input.resume();
    this.#timer = setInterval(() => this.#draw(), FRAME_MS);
    this.#timer.unref();
  }

  /** Gives the terminal back as it was. Safe to call twice. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#timer);
    clearTimeout(this.#escapeTimer);
    const { input, output } = this.#options;
    input.off("data", this.#onData);
    output.off("resize", this.#onResize);
    process.off("SIGTSTP", this.#onStop);
    process.off("SIGCONT", this.#onContinue);
    process.off("exit", this.#onExit);
    this.#leave();
    input.pause();
  }

  #enter(): void {
    const { input, output } = this.#options;
    output.write("\x1b[?1049h\x1b[2J\x1b[?25l");
    if (!input.isTTY) return;
    // Off first: after a stop the terminal is in the shell's mode, and Node believes it is still in ours.
    input.setRawMode(false);
    input.setRawMode(true);
  }
  #leave(): void {
    const { input, output } = this.#options;
    if (input.isTTY) input.setRawMode(false);
    output.write("\x1b[0m\x1b[0 q\x1b[?25h\x1b[?1049l");
  }

  #draw(): void {
    const { output } = this.#options;
    // A slow terminal gets fewer frames instead of a growing queue.
    if (output.writableLength > 65536) return;
    const size = { columns: Math.max(1, output.columns), rows: Math.max(1, output.rows) };
    const text = this.#vm.screen.snapshot();
    let picture = text === undefined ? pictureOfFrame(this.#vm.screen.frame(), size) : pictureOfText(text, size, cp437Char);
    if (this.#menu || this.#note !== undefined) picture = withStatus(picture, this.#menu ? MENU : [this.#note ?? ""]);
    const bytes = this.#painter.paint(picture);
    if (bytes !== "") output.write(bytes);
  }

  #receive(data: Buffer): void {
    clearTimeout(this.#escapeTimer);
    this.#pending += this.#decoder.decode(data, { stream: true });
    this.#decode(false);
    if (this.#pending !== "") this.#escapeTimer = setTimeout(() => this.#decode(true), ESCAPE_MS);
  }

  #decode(final: boolean): void {
    this.#note = undefined;
    if (this.#paused) {
      // The key that ends the pause is not the guest's.
      this.#paused = false;
      this.#pending = "";
      if (this.#vm.state === "paused") this.#vm.resume();
      return;
    }
    while (this.#pending !== "") {
      if (this.#menu) {
        const key = this.#pending.charAt(0);
        this.#pending = this.#pending.slice(1);
        this.#choose(key);
        continue;
      }
      const decoded = decodeKeys(this.#pending, final);
      this.#pending = decoded.rest;
      if (decoded.chords.length > 0) this.#vm.press(decoded.chords);
      if (!decoded.menu) return;
      this.#menu = true;
    }
  }

  #choose(key: string): void {
    this.#menu = false;
    switch (key.toLowerCase()) {
      case "c":
        void this.#vm.keys("ctrl-alt-del");
        return;
      case "s":
        this.#options.saveScreenshot().then(
          (path) => this.#show(`saved ${path}`),
          (error: unknown) => this.#show(`screenshot failed: ${String(error)}`),
        );
        return;
      case "r":
        this.#vm.reset();
        return;
      case "p":
        void this.#vm.pause().then(() => {
          this.#paused = true;
          this.#show("paused; press any key to go on");
        });
        return;
      case "]":
      case "\x1d":
        void this.#vm.keys("ctrl-BracketRight");
        return;
      case "q":
        this.#options.onQuit();
        return;
      default:
    }
  }

  #show(note: string): void {
    this.#note = note;
  }
}

/** The picture with some words over its last row, or over as many rows as they take. */
function withStatus(picture: Picture, words: readonly string[]): Picture {
  const lines: string[] = [];
  let line = " whyve:";
  for (const word of words) {
    if (line.length + word.length + 2 > picture.columns && line !== "") {
      lines.push(line);
      line = "";
    }
    line += ` ${line === "" ? "" : " "}${word}`;
  }
  lines.push(line);
  const cells = [...picture.cells];
  const shown = lines.slice(0, picture.rows);
  shown.forEach((text, i) => {
    const start = (picture.rows - shown.length + i) * picture.columns;
    Array.from(text.slice(0, picture.columns).padEnd(picture.columns)).forEach((char, x) => {
      cells[start + x] = { char, fg: 0x000000, bg: 0xffff55 };
    });
  });
  return { ...picture, cells, cursor: undefined };
}
