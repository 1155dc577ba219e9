import { cp437Char } from "../../node/index.ts";
import type { TextScreen, VirtualMachine } from "../../node/index.ts";
import { Painter, pictureOfFrame, pictureOfText } from "./draw.ts";
import type { Picture, TerminalSize } from "./draw.ts";
import type { ScreenTerminal } from "./host-terminal.ts";
import { decodeKeys, MENU_KEY } from "./keyboard.ts";

/** A redraw at most this often. */
const FRAME_MS = 33;
/** A lone ESC byte is the Escape key when nothing follows it for this long. */
const ESCAPE_MS = 30;
/** A slow terminal gets fewer frames instead of a growing queue. */
const MAX_BACKLOG_BYTES = 65536;

export interface TerminalOptions {
  /** The user chose to leave. */
  readonly onQuit: () => void;
  /** What leaving is called: "quit" ends the machine, "detach" does not. */
  readonly quitWord: "quit" | "detach";
  /** Saves the screen and returns where. */
  readonly saveScreenshot: () => Promise<string>;
}

interface Removable {
  /** The menu's key. */
  readonly key: string;
  readonly what: string;
  readonly kind: "floppy" | "cdrom";
  readonly unit: number;
}

const REMOVABLE: readonly Removable[] = [
  { key: "d", what: "CD", kind: "cdrom", unit: 0 },
  { key: "e", what: "second CD", kind: "cdrom", unit: 1 },
  { key: "a", what: "floppy A", kind: "floppy", unit: 0 },
  { key: "b", what: "floppy B", kind: "floppy", unit: 1 },
];

/** A line of text that the user is asked for. */
interface Question {
  readonly label: string;
  text: string;
  readonly answer: (text: string) => void;
}

/** The machine's screen and keyboard on a terminal, while it is open. */
export class TerminalDisplay {
  readonly #vm: VirtualMachine;
  readonly #terminal: ScreenTerminal;
  readonly #options: TerminalOptions;
  readonly #painter: Painter;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #decoder = new TextDecoder();
  #pending = "";
  #escapeTimer: ReturnType<typeof setTimeout> | undefined;
  #menu = false;
  #question: Question | undefined;
  #note: string | undefined;
  /** The sizes that the user was told do not fit. */
  #toldSizes = "";
  #open = true;

  /** Owns `terminal`. */
  constructor(vm: VirtualMachine, terminal: ScreenTerminal, options: TerminalOptions) {
    this.#vm = vm;
    this.#terminal = terminal;
    this.#options = options;
    this.#painter = new Painter(terminal.colours);
    terminal.onInput = (bytes) => this.#receive(bytes);
    terminal.onChange = () => this.#painter.invalidate();
    this.#timer = setInterval(() => this.#draw(), FRAME_MS);
    this.#timer.unref();
  }

  /** Gives the terminal back as it was. Safe to call twice. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#timer);
    clearTimeout(this.#escapeTimer);
    this.#terminal.onInput = undefined;
    this.#terminal.close();
  }

  #draw(): void {
    const { columns, rows, backlog } = this.#terminal;
    if (backlog > MAX_BACKLOG_BYTES) return;
    const size = { columns, rows };
    const text = this.#vm.screen.snapshot();
    this.#tellSize(text, size);
    let picture = text === undefined ? pictureOfFrame(this.#vm.screen.frame(), size) : pictureOfText(text, size, cp437Char);
    const words = this.#status();
    if (words !== undefined) picture = withStatus(picture, words);
    const bytes = this.#painter.paint(picture);
    if (bytes !== "") this.#terminal.write(bytes);
  }

  /** What stands over the last rows now. */
  #status(): readonly string[] | undefined {
    if (this.#question !== undefined) return [`${this.#question.label} ${this.#question.text}_`];
    if (this.#menu) return this.#menuWords();
    if (this.#note !== undefined) return [this.#note];
    return this.#paused ? ["paused; Ctrl-] opens the menu, any other key goes on"] : undefined;
  }

  #menuWords(): readonly string[] {
    return [
      "[c] Ctrl-Alt-Del",
      "[s] screenshot",
      "[r] reset",
      this.#paused ? "[p] go on" : "[p] pause",
      "[Ctrl-]] send Ctrl-]",
      ...this.#removable.map(({ key, what }) => `[${key}] ${what}`),
      `[q] ${this.#options.quitWord}`,
      "[Esc] back",
    ];
  }

  get #removable(): readonly Removable[] {
    return REMOVABLE.filter(({ kind, unit }) => this.#vm.pc.drives.some((d) => d.kind === kind && d.unit === unit));
  }

  get #paused(): boolean {
    return this.#vm.state === "paused";
  }

  #tellSize(text: TextScreen | undefined, size: TerminalSize): void {
    const sizes =
      text === undefined || (text.columns <= size.columns && text.rows <= size.rows)
        ? ""
        : `${text.columns}x${text.rows}, this terminal ${size.columns}x${size.rows}`;
    if (sizes === this.#toldSizes) return;
    this.#toldSizes = sizes;
    this.#note = sizes === "" ? undefined : `the screen is ${sizes}: the part around the cursor shows`;
  }

  #receive(data: Uint8Array): void {
    clearTimeout(this.#escapeTimer);
    this.#pending += this.#decoder.decode(data, { stream: true });
    this.#decode(false);
    if (this.#pending !== "") this.#escapeTimer = setTimeout(() => this.#decode(true), ESCAPE_MS);
  }

  #decode(final: boolean): void {
    this.#note = undefined;
    while (this.#pending !== "") {
      if (this.#question !== undefined || this.#menu || (this.#paused && !this.#pending.startsWith(MENU_KEY))) {
        const key = this.#pending.charAt(0);
        this.#pending = this.#pending.slice(1);
        if (this.#question !== undefined) this.#edit(this.#question, key);
        else if (this.#menu) this.#choose(key);
        else {
          // The key that ends the pause is not the guest's, whatever bytes it has.
          this.#pending = "";
          this.#vm.resume();
        }
        continue;
      }
      const decoded = decodeKeys(this.#pending, final);
      this.#pending = decoded.rest;
      if (decoded.chords.length > 0) this.#vm.press(decoded.chords);
      if (!decoded.menu) return;
      this.#menu = true;
    }
  }

  #edit(question: Question, key: string): void {
    if (key === "\r" || key === "\n") {
      this.#question = undefined;
      question.answer(question.text.trim());
    } else if (key === "\x1b" || key === MENU_KEY) this.#question = undefined;
    else if (key === "\x7f" || key === "\b") question.text = question.text.slice(0, -1);
    else if (key >= " ") question.text += key;
  }

  #choose(key: string): void {
    this.#menu = false;
    switch (key.toLowerCase()) {
      case "c":
        this.#goOn();
        void this.#vm.keys("ctrl-alt-del");
        return;
      case "s":
        this.#tell(this.#options.saveScreenshot().then((path) => `saved ${path}`));
        return;
      case "r":
        this.#goOn();
        this.#vm.reset();
        return;
      case "p":
        if (this.#paused) this.#goOn();
        else void this.#vm.pause();
        return;
      case "]":
      case MENU_KEY:
        this.#goOn();
        void this.#vm.keys("ctrl-BracketRight");
        return;
      case "q":
        this.#options.onQuit();
        return;
      default: {
        const drive = this.#removable.find((d) => d.key === key.toLowerCase());
        if (drive !== undefined) this.#askForMedium(drive);
      }
    }
  }

  #askForMedium({ kind, unit, what }: Removable): void {
    this.#question = {
      label: `${what}: file (empty: take out)`,
      text: "",
      answer: (file) =>
        this.#tell(this.#vm.changeMedium(kind, unit, file === "" ? undefined : file).then(() => `${what}: ${file === "" ? "empty" : file}`)),
    };
  }

  #goOn(): void {
    if (this.#paused) this.#vm.resume();
  }

  /** Shows how something went. */
  #tell(work: Promise<string>): void {
    work.then(
      (words) => (this.#note = words),
      (error: unknown) => (this.#note = error instanceof Error ? error.message : String(error)),
    );
  }
}

/** The picture with some words over its last row, or over as many rows as they take. What a menu offers is kept together. */
function withStatus(picture: Picture, words: readonly string[]): Picture {
  const [parts, gap] = words.length > 1 ? [words, "  "] : [(words[0] ?? "").split(" "), " "];
  const lines: string[] = [];
  let line = " whyve:";
  for (const part of parts) {
    const longer = `${line}${line.endsWith(":") ? " " : gap}${part}`;
    if (longer.length > picture.columns && line !== " whyve:") {
      lines.push(line);
      line = ` ${part}`;
    } else line = longer;
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
