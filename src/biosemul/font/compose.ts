/** Makes whole fonts from the drawn glyphs: accents, frames, blocks, inverted dots, and the 14-line cell. Original work, BSD-2-Clause. */

/** Rows of each drawn glyph by code. */
export type GlyphTable = ReadonlyMap<number, Uint8Array>;

export function parseGlyphs(text: string, height: number): Map<number, Uint8Array> {
  const table = new Map<number, Uint8Array>();
  for (const line of text.trim().split("\n")) {
    const [code = "", first = "", ...cells] = line.trim().split(" ");
    const rows = new Uint8Array(height);
    let y = Number(first);
    for (const cell of cells) {
      const [hex = "0", times = "1"] = cell.split("*");
      for (let n = Number(times); n > 0; n--) rows[y++] = Number.parseInt(hex, 16);
    }
    table.set(Number.parseInt(code, 16), rows);
  }
  return table;
}

type Mark = "acute" | "grave" | "hat" | "dots" | "ring" | "tilde";

/** Accented code, letter, mark. Capitals and i use the short forms. */
const ACCENTED: readonly (readonly [number, string, Mark])[] = [
  [0x81, "u", "dots"],
  [0x82, "e", "acute"],
  [0x83, "a", "hat"],
  [0x84, "a", "dots"],
  [0x85, "a", "grave"],
  [0x86, "a", "ring"],
  [0x88, "e", "hat"],
  [0x89, "e", "dots"],
  [0x8a, "e", "grave"],
  [0x8b, "i", "dots"],
  [0x8c, "i", "hat"],
  [0x8d, "i", "grave"],
  [0x8e, "A", "dots"],
  [0x8f, "A", "ring"],
  [0x90, "E", "acute"],
  [0x93, "o", "hat"],
  [0x94, "o", "dots"],
  [0x95, "o", "grave"],
  [0x96, "u", "hat"],
  [0x97, "u", "grave"],
  [0x98, "y", "dots"],
  [0x99, "O", "dots"],
  [0x9a, "U", "dots"],
  [0xa0, "a", "acute"],
  [0xa1, "i", "acute"],
  [0xa2, "o", "acute"],
  [0xa3, "u", "acute"],
  [0xa4, "n", "tilde"],
  [0xa5, "N", "tilde"],
];

/** Marks as rows from line 0, for tall and for 8-line cells. */
const MARKS_TALL: Readonly<Record<Mark, readonly number[]>> = {
  acute: [0x0c, 0x18, 0x30],
  grave: [0x60, 0x30, 0x18],
  hat: [0x10, 0x38, 0x6c],
  dots: [0, 0x6c, 0x6c],
  ring: [0x38, 0x6c, 0x38],
  tilde: [0, 0x76, 0xdc],
};
const MARKS_SMALL: Readonly<Record<Mark, readonly number[]>> = {
  acute: [0x0c, 0x18],
  grave: [0x60, 0x30],
  hat: [0x38, 0x6c],
  dots: [0x6c],
  ring: [0x38, 0x28],
  tilde: [0x76, 0xdc],
};

/** Frame arms from B3 on: up, down, left, right; 1 single, 2 double. */
const FRAMES =
  "1100 1110 1120 2210 0210 0120 2220 2200 0220 2020 2010 1020 0110 1001 1011 0111 1101 0011 1111 1102 2201 2002 0202 2022 0222 " +
  "2202 0022 2222 1022 2011 0122 0211 2001 1002 0102 0201 2211 1122 1010 0101";

/**
 * One frame glyph. Single lines are two pixels thick through the middle; double lines are one pixel at both sides of it.
 * A double line stops at the near line of a crossing double one when that goes its way, else at the far one.
 */
function frame(up: number, down: number, left: number, right: number, height: number): Uint8Array {
  const rows = new Uint8Array(height);
  const m = (height >> 1) - 1;
  const fill = (x0: number, x1: number, y0: number, y1: number): void => {
    for (let y = Math.max(0, y0); y <= Math.min(height - 1, y1); y++)
      for (let x = Math.max(0, x0); x <= Math.min(7, x1); x++) rows[y] = (rows[y] ?? 0) | (0x80 >> x);
  };
  const doubleH = left === 2 || right === 2;
  const doubleV = up === 2 || down === 2;
  // Ends of single arms, as lines past the middle.
  const upEnd = !doubleH ? m + 1 : left === 2 && right === 2 ? (down > 0 ? m + 2 : m - 1) : m + 2;
  const downEnd = !doubleH ? m : left === 2 && right === 2 ? (up > 0 ? m - 1 : m + 2) : m - 1;
  const leftEnd = !doubleV ? 4 : up === 2 && down === 2 ? (right > 0 ? 5 : 2) : 5;
  const rightEnd = !doubleV ? 3 : up === 2 && down === 2 ? (left > 0 ? 2 : 5) : 2;
  if (up === 1) fill(3, 4, 0, upEnd);
  if (down === 1) fill(3, 4, downEnd, height - 1);
  if (left === 1) fill(0, leftEnd, m, m + 1);
  if (right === 1) fill(rightEnd, 7, m, m + 1);
  const crossEnd = (near: boolean, far: boolean, nearEnd: number, farEnd: number, single: number): number => (near ? nearEnd : far ? farEnd : single);
  if (up === 2) {
    fill(2, 2, 0, crossEnd(left === 2, right === 2, m - 1, m + 2, m + 1));
    fill(5, 5, 0, crossEnd(right === 2, left === 2, m - 1, m + 2, m + 1));
  }
  if (down === 2) {
    fill(2, 2, crossEnd(left === 2, right === 2, m + 2, m - 1, m), height - 1);
    fill(5, 5, crossEnd(right === 2, left === 2, m + 2, m - 1, m), height - 1);
  }
  if (left === 2) {
    fill(0, crossEnd(up === 2, down === 2, 2, 5, 4), m - 1, m - 1);
    fill(0, crossEnd(down === 2, up === 2, 2, 5, 4), m + 2, m + 2);
  }
  if (right === 2) {
    fill(crossEnd(up === 2, down === 2, 5, 2, 3), 7, m - 1, m - 1);
    fill(crossEnd(down === 2, up === 2, 5, 2, 3), 7, m + 2, m + 2);
  }
  return rows;
}

function fromRows(height: number, row: (y: number) => number): Uint8Array {
  return Uint8Array.from({ length: height }, (_, y) => row(y));
}

/** Shades B0-B2, frames B3-DA, blocks DB-DF. */
function blocks(height: number): Map<number, Uint8Array> {
  const table = new Map<number, Uint8Array>();
  table.set(
    0xb0,
    fromRows(height, (y) => ((y & 1) !== 0 ? 0x22 : 0x88)),
  );
  table.set(
    0xb1,
    fromRows(height, (y) => ((y & 1) !== 0 ? 0x55 : 0xaa)),
  );
  table.set(
    0xb2,
    fromRows(height, (y) => ((y & 1) !== 0 ? 0xdd : 0x77)),
  );
  FRAMES.split(" ").forEach((arms, i) => {
    const [up = 0, down = 0, left = 0, right = 0] = [...arms].map(Number);
    table.set(0xb3 + i, frame(up, down, left, right, height));
  });
  const half = height >> 1;
  table.set(
    0xdb,
    fromRows(height, () => 0xff),
  );
  table.set(
    0xdc,
    fromRows(height, (y) => (y >= half ? 0xff : 0)),
  );
  table.set(
    0xdd,
    fromRows(height, () => 0xf0),
  );
  table.set(
    0xde,
    fromRows(height, () => 0x0f),
  );
  table.set(
    0xdf,
    fromRows(height, (y) => (y < half ? 0xff : 0)),
  );
  return table;
}

function overlay(base: Uint8Array, rows: readonly number[], from: number): Uint8Array {
  const out = base.slice();
  rows.forEach((bits, i) => {
    if (from + i < out.length) out[from + i] = (out[from + i] ?? 0) | bits;
  });
  return out;
}

/** All glyphs of a font whose drawn ones are `drawn`; `short` holds the letters that carry accents. */
export function composeFont(drawn: GlyphTable, short: GlyphTable, height: number): Map<number, Uint8Array> {
  const table = new Map(drawn);
  const tall = height > 8;
  const marks = tall ? MARKS_TALL : MARKS_SMALL;
  for (const [code, letter, mark] of ACCENTED) {
    const key = letter.charCodeAt(0);
    const base = short.get(key) ?? drawn.get(key);
    if (base !== undefined) table.set(code, overlay(base, marks[mark], 0));
  }
  for (const [code, letter] of [
    [0x80, 0x43],
    [0x87, 0x63],
  ] as const) {
    const base = drawn.get(letter);
    if (base !== undefined) table.set(code, overlay(base, tall ? [0x18, 0x0c, 0x38] : [0x18], tall ? 12 : 7));
  }
  for (const [code, dot] of [
    [0x08, 0x07],
    [0x0a, 0x09],
  ] as const) {
    const base = drawn.get(dot);
    if (base !== undefined)
      table.set(
        code,
        base.map((bits) => ~bits & 0xff),
      );
  }
  for (const [code, rows] of blocks(height)) table.set(code, rows);
  return table;
}

/** 16 lines to 14: the last one goes, and of the middle ones that which resembles its neighbour most. */
function squeeze(rows: Uint8Array): Uint8Array {
  let drop = 8;
  let best = 99;
  for (const y of [7, 8, 6, 9, 5, 10]) {
    const difference = bitCount((rows[y] ?? 0) ^ (rows[y - 1] ?? 0));
    if (difference < best) {
      best = difference;
      drop = y;
    }
  }
  const out = new Uint8Array(14);
  let to = 0;
  for (let y = 0; y < 15; y++) if (y !== drop) out[to++] = rows[y] ?? 0;
  return out;
}

function bitCount(v: number): number {
  let n = 0;
  for (let b = v & 0xff; b !== 0; b &= b - 1) n++;
  return n;
}

/** The 8x14 form of a composed 8x16 font. */
export function squeezeFont(font: GlyphTable): Map<number, Uint8Array> {
  const table = new Map<number, Uint8Array>();
  for (const [code, rows] of font) table.set(code, squeeze(rows));
  for (const [code, rows] of blocks(14)) table.set(code, rows);
  return table;
}

export function packFont(table: GlyphTable, height: number): Uint8Array {
  const font = new Uint8Array(256 * height);
  for (const [code, rows] of table) font.set(rows.subarray(0, height), code * height);
  return font;
}
