import type { Frame, TextScreen } from "../../node/index.ts";
import type { Colours } from "./host-terminal.ts";

/** A character cell of the terminal: one character and its colours as RRGGBB. */
interface Cell {
  readonly char: string;
  readonly fg: number;
  readonly bg: number;
}

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** One still picture of the machine, cut to the terminal's size. */
export interface Picture {
  readonly columns: number;
  readonly rows: number;
  readonly cells: readonly Cell[];
  readonly cursor: { readonly x: number; readonly y: number; readonly block: boolean } | undefined;
}

const BLANK: Cell = { char: " ", fg: 0xaaaaaa, bg: 0 };

/** A text screen as terminal cells. When the terminal is smaller, the part around the cursor shows. */
export function pictureOfText(screen: TextScreen, size: TerminalSize, charOf: (code: number) => string): Picture {
  const columns = Math.min(screen.columns, size.columns);
  const rows = Math.min(screen.rows, size.rows);
  const scroll = (length: number, shown: number, cursor: number): number =>
    length <= shown ? 0 : Math.min(length - shown, Math.max(0, cursor - shown + 1));
  const left = scroll(screen.columns, columns, screen.cursor.x);
  const top = scroll(screen.rows, rows, screen.cursor.y);
  const cells: Cell[] = [];
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const at = (y + top) * screen.columns + x + left;
      const attribute = screen.attributes[at] ?? 7;
      const bgIndex = screen.blink ? (attribute >> 4) & 7 : attribute >> 4;
      cells.push({ char: charOf(screen.chars[at] ?? 32), fg: screen.palette[attribute & 15] ?? 0xaaaaaa, bg: screen.palette[bgIndex] ?? 0 });
    }
  }
  const { x, y, visible, start, end } = screen.cursor;
  const inside = visible && x >= left && x < left + columns && y >= top && y < top + rows;
  return { columns, rows, cells, cursor: inside ? { x: x - left, y: y - top, block: end - start >= 6 } : undefined };
}

/** A graphics screen as half-block characters: two pixels a cell, each the average of the area under it. */
export function pictureOfFrame(frame: Frame, size: TerminalSize): Picture {
  const scale = Math.max(frame.width / size.columns, frame.height / (size.rows * 2), 0.01);
  const columns = Math.max(1, Math.min(size.columns, Math.floor(frame.width / scale)));
  const rows = Math.max(1, Math.min(size.rows, Math.floor(frame.height / scale / 2)));
  const cells: Cell[] = [];
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      cells.push({ char: "▀", fg: averageColour(frame, x, y * 2, columns, rows * 2), bg: averageColour(frame, x, y * 2 + 1, columns, rows * 2) });
    }
  }
  return { columns, rows, cells, cursor: undefined };
}

function averageColour(frame: Frame, x: number, y: number, columns: number, rows: number): number {
  const x0 = Math.floor((x * frame.width) / columns);
  const x1 = Math.max(x0 + 1, Math.floor(((x + 1) * frame.width) / columns));
  const y0 = Math.floor((y * frame.height) / rows);
  const y1 = Math.max(y0 + 1, Math.floor(((y + 1) * frame.height) / rows));
  let r = 0;
  let g = 0;
  let b = 0;
  for (let py = y0; py < y1; py++) {
    for (let px = x0; px < x1; px++) {
      const at = (py * frame.width + px) * 4;
      r += frame.rgba[at] ?? 0;
      g += frame.rgba[at + 1] ?? 0;
      b += frame.rgba[at + 2] ?? 0;
    }
  }
  const n = (x1 - x0) * (y1 - y0);
  return (Math.round(r / n) << 16) | (Math.round(g / n) << 8) | Math.round(b / n);
}

/** Writes only what changed since the last picture. Colours are 24-bit, the nearest of 16, or none: then light behind dark is reverse video. */
export class Painter {
  readonly #colours: Colours;
  #shown: Picture | undefined;

  constructor(colours: Colours) {
    this.#colours = colours;
  }

  /** Forgets what is on the terminal: the next picture is drawn whole. */
  invalidate(): void {
    this.#shown = undefined;
  }

  /** The bytes that turn the last picture into this one. */
  paint(wanted: Picture): string {
    const picture = this.#colours === "none" ? { ...wanted, cells: wanted.cells.map(withoutColours) } : wanted;
    const old = this.#shown;
    const same = old !== undefined && old.columns === picture.columns && old.rows === picture.rows;
    let out = same ? "" : "\x1b[0m\x1b[2J";
    let colours = "";
    let at = -1;
    for (let i = 0; i < picture.cells.length; i++) {
      const cell = picture.cells[i] ?? BLANK;
      const before = same ? old.cells[i] : undefined;
      if (before !== undefined && before.char === cell.char && before.fg === cell.fg && before.bg === cell.bg) continue;
      if (at !== i || i % picture.columns === 0) out += `\x1b[${Math.floor(i / picture.columns) + 1};${(i % picture.columns) + 1}H`;
      const sgr = this.#sgr(cell);
      if (sgr !== colours) out += sgr;
      colours = sgr;
      out += cell.char;
      at = i + 1;
    }
    if (out !== "") out += "\x1b[0m";
    const { cursor } = picture;
    const moved = !same || out !== "" || cursor?.x !== old.cursor?.x || cursor?.y !== old.cursor?.y || cursor?.block !== old.cursor?.block;
    if (moved) out += cursor === undefined ? "\x1b[?25l" : `\x1b[${cursor.y + 1};${cursor.x + 1}H\x1b[${cursor.block ? 1 : 3} q\x1b[?25h`;
    this.#shown = picture;
    return out;
  }

  #sgr(cell: Cell): string {
    if (this.#colours === "none") return cell.bg === WHITE ? "\x1b[0;7m" : "\x1b[0m";
    if (this.#colours === "16") return `\x1b[0;${nearest16(cell.fg, 30)};${nearest16(cell.bg, 40)}m`;
    return `\x1b[38;2;${rgb(cell.fg)};48;2;${rgb(cell.bg)}m`;
  }
}

const WHITE = 0xffffff;

/** Half blocks of a picture become what is light of them; text that is dark on light stays so. */
function withoutColours(cell: Cell): Cell {
  const fg = luminance(cell.fg);
  const bg = luminance(cell.bg);
  if (cell.char === "▀") {
    const char = fg >= LIGHT ? (bg >= LIGHT ? "█" : "▀") : bg >= LIGHT ? "▄" : " ";
    return { char, fg: WHITE, bg: 0 };
  }
  return bg > fg && bg >= LIGHT ? { char: cell.char, fg: 0, bg: WHITE } : { char: cell.char, fg: WHITE, bg: 0 };
}

const LIGHT = 0x60;

/** Rec. 601 luma, 0..255. */
function luminance(colour: number): number {
  return (((colour >> 16) & 255) * 299 + ((colour >> 8) & 255) * 587 + (colour & 255) * 114) / 1000;
}

const rgb = (c: number): string => `${(c >> 16) & 255};${(c >> 8) & 255};${c & 255}`;

/** SGR number of the nearest ANSI colour: `base` is 30 for the foreground, 40 for the background. */
function nearest16(colour: number, base: number): number {
  const r = (colour >> 16) & 255;
  const g = (colour >> 8) & 255;
  const b = colour & 255;
  const bright = Math.max(r, g, b) > 0xc0 || (Math.min(r, g, b) > 0x40 && Math.max(r, g, b) < 0x70);
  const threshold = bright && Math.min(r, g, b) > 0x40 && Math.max(r, g, b) < 0x70 ? 256 : 0x6a - (bright ? 0 : 0x2a);
  const bits = (r >= threshold ? 1 : 0) | (g >= threshold ? 2 : 0) | (b >= threshold ? 4 : 0);
  return base + bits + (bright ? 60 : 0);
}
