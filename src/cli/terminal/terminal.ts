import { cp437Char } from "../../machine/index.ts";
import type { VirtualMachine } from "../../machine/index.ts";
import { Painter, pictureOfFrame, pictureOfText } from "./draw.ts";
import type { Picture } from "./draw.ts";
import { decodeKeys } from "./keyboard.ts";

/** A redraw at most this often. */
const FRAME_MS = 33;
/** A lone ESC byte is the Escape key when nothing follows it for this long. */
const ESCAPE_MS = 30;

const MENU = " whyve: [c] Ctrl-Alt-Del  [s] screenshot  [r] reset  [p] pause  []] send Ctrl-]  [q] quit  [Esc] back ";

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
  readonly #decoder = new TextDecoder();
  #pending = "";
  #escapeTimer: ReturnType<typeof setTimeout> | undefined;
  #menu = false;
  #note: string | undefined;
  #open = true;

  constructor(vm: VirtualMachine, options: TerminalOptions) {
    this.#vm = vm;
    this.#options = options;
    this.#painter = new Painter(/truecolor|24bit/.test(process.env["COLORTERM"] ?? "") || options.output.getColorDepth() >= 24);
    options.output.write("\x1b[?1049h\x1b[2J\x1b[?25l");
    if (options.input.isTTY) options.input.setRawMode(true);
    options.input.on("data", this.#onData);
    options.output.on("resize", this.#onResize);
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
    if (input.isTTY) input.setRawMode(false);
    input.pause();
    output.write("\x1b[0m\x1b[0 q\x1b[?25h\x1b[?1049l");
  }

  #draw(): void {
    const { output } = this.#options;
    // A slow terminal gets fewer frames instead of a growing queue.
    if (output.writableLength > 65536) return;
    const size = { columns: Math.max(1, output.columns), rows: Math.max(1, output.rows) };
    const text = this.#vm.screen.snapshot();
    let picture = text === undefined ? pictureOfFrame(this.#vm.screen.frame(), size) : pictureOfText(text, size, cp437Char);
    if (this.#menu || this.#note !== undefined) picture = withStatus(picture, this.#note ?? MENU);
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
        void this.#vm.pause().then(() => this.#show("paused; press any key to go on"));
        this.#resumeOnNextKey();
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

  #resumeOnNextKey(): void {
    this.#options.input.once("data", () => {
      if (this.#vm.state === "paused") this.#vm.resume();
    });
  }

  #show(note: string): void {
    this.#note = ` whyve: ${note} `;
  }
}

/** The picture with a line of text over its last row. */
function withStatus(picture: Picture, text: string): Picture {
  const cells = [...picture.cells];
  const start = (picture.rows - 1) * picture.columns;
  Array.from(text.slice(0, picture.columns)).forEach((char, i) => {
    cells[start + i] = { char, fg: 0x000000, bg: 0xffff55 };
  });
  return { ...picture, cells, cursor: undefined };
}
