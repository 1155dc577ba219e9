import { addressMapper, cursorAddress, isTextMode, paletteToDac, startAddress, type ScanoutSource } from "./scanout.ts";
import { displayLines } from "./timing.ts";

/** A text screen as a person sees it. */
export interface TextScreen {
  readonly columns: number;
  readonly rows: number;
  /** Code page 437, row by row. */
  readonly chars: Uint8Array;
  readonly attributes: Uint8Array;
  /** `start` and `end` in scan lines of the cell; x and y are -1 when the cursor is outside the screen. */
  readonly cursor: { readonly x: number; readonly y: number; readonly visible: boolean; readonly start: number; readonly end: number };
  /** Attribute bit 7 blinks (else it is the intensity of the background). */
  readonly blink: boolean;
  /** RRGGBB of the 16 attribute colours. */
  readonly palette: readonly number[];
}

/** Scan lines of a text row, counted in CRTC lines. */
export function cellHeight(crtc: Uint8Array): number {
  return ((crtc[9] ?? 0) & 0x1f) + 1;
}

export function textSize(v: ScanoutSource): { readonly columns: number; readonly rows: number } {
  const double = ((v.crtc[9] ?? 0) & 0x80) !== 0 ? 2 : 1;
  const rows = Math.max(1, Math.floor(displayLines(v.crtc) / (cellHeight(v.crtc) * double)));
  return { columns: (v.crtc[1] ?? 0) + 1, rows };
}

export function snapshotText(v: ScanoutSource): TextScreen | undefined {
  if (!isTextMode(v)) return undefined;
  const { columns, rows } = textSize(v);
  const chars = new Uint8Array(columns * rows);
  const attributes = new Uint8Array(columns * rows);
  const map = addressMapper(v.crtc);
  const words = v.memory.words;
  const start = startAddress(v.crtc);
  const pitch = (v.crtc[0x13] ?? 0) << 1;
  let i = 0;
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const cell = words[map((start + y * pitch + x) & 0xffff)] ?? 0;
      chars[i] = cell;
      attributes[i] = cell >> 8;
      i++;
    }
  }
  const palette: number[] = [];
  for (let c = 0; c < 16; c++) {
    const rgb = v.dac.color(paletteToDac(v.attr, c) & v.dac.mask);
    palette.push(((rgb & 0xff) << 16) | (rgb & 0xff00) | ((rgb >> 16) & 0xff));
  }
  const at = (cursorAddress(v.crtc) - start) & 0xffff;
  const y = pitch === 0 ? 0 : Math.floor(at / pitch);
  const x = pitch === 0 ? at : at % pitch;
  const inside = x < columns && y < rows;
  const first = (v.crtc[0x0a] ?? 0) & 0x1f;
  const last = (v.crtc[0x0b] ?? 0) & 0x1f;
  const visible = inside && ((v.crtc[0x0a] ?? 0) & 0x20) === 0 && first <= last && first < cellHeight(v.crtc);
  return {
    columns,
    rows,
    chars,
    attributes,
    cursor: { x: inside ? x : -1, y: inside ? y : -1, visible, start: first, end: last },
    blink: ((v.attr[0x10] ?? 0) & 8) !== 0,
    palette,
  };
}
