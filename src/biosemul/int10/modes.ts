/**
 * The standard video modes and their register values, in the 64-byte format of the video parameter table:
 * 0 columns, 1 rows-1, 2 character height, 3 page bytes, 5 sequencer 1-4, 9 misc output, A CRTC 0-18h,
 * 23h attribute 0-13h, 37h graphics controller 0-8. Values follow from the VGA timings of IBM's technical reference.
 */
export type ModeKind = "text" | "cga4" | "cga2" | "planar" | "linear8";

/** Colours loaded into the DAC at mode set. */
export type DacSet = "ega64" | "cga" | "mono" | "vga256";

export interface VideoModeDef {
  readonly mode: number;
  readonly kind: ModeKind;
  readonly columns: number;
  readonly rows: number;
  readonly cellHeight: number;
  readonly pageBytes: number;
  /** Pages that fit; AH=05 and the state table use it. */
  readonly pages: number;
  readonly segment: number;
  readonly width: number;
  readonly height: number;
  readonly colors: number;
  readonly dac: DacSet;
  /** Index in the parameter table of the ROM. */
  readonly table: number;
  /** CGA mode control register value for BDA 465h. */
  readonly cgaMode: number;
}

/** Vertical timing: CRTC 06 07 | 10 11 12 | 15 16, and sync polarity bits of misc output. */
interface Vertical {
  readonly total: number;
  readonly overflow: number;
  readonly start: number;
  readonly end: number;
  readonly display: number;
  readonly blankStart: number;
  readonly blankEnd: number;
  readonly polarity: number;
}
const V350: Vertical = { total: 0xbf, overflow: 0x1f, start: 0x83, end: 0x85, display: 0x5d, blankStart: 0x63, blankEnd: 0xba, polarity: 0x80 };
const V400: Vertical = { total: 0xbf, overflow: 0x1f, start: 0x9c, end: 0x8e, display: 0x8f, blankStart: 0x96, blankEnd: 0xb9, polarity: 0x40 };
const V480: Vertical = { total: 0x0b, overflow: 0x3e, start: 0xea, end: 0x8c, display: 0xdf, blankStart: 0xe7, blankEnd: 0x04, polarity: 0xc0 };

/** Horizontal timing: CRTC 00-05. */
const H40_TEXT = [0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0];
const H80_TEXT = [0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81];
const H40 = [0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80];
const H80 = [0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80];

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);
const PAL_EGA = [0, 1, 2, 3, 4, 5, 0x14, 7, ...range(0x38, 8)];
const PAL_CGA16 = [...range(0, 8), ...range(0x10, 8)];
const PAL_CGA4 = [0x00, 0x13, 0x15, 0x17, 0x02, 0x04, 0x06, 0x07, ...range(0x10, 8)];
const PAL_CGA2 = [0x00, ...Array.from({ length: 15 }, () => 0x17)];
const PAL_MONO = [0x00, ...Array.from({ length: 7 }, () => 0x08), 0x10, ...Array.from({ length: 7 }, () => 0x18)];
const PAL_MODE_F = [0x00, 0x08, 0x00, 0x00, 0x18, 0x18, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x18, 0x00, 0x00];
const PAL_2 = [0x00, ...Array.from({ length: 15 }, () => 0x3f)];
const PAL_256 = range(0, 16);

interface TableSpec {
  readonly columns: number;
  readonly rows: number;
  readonly cell: number;
  readonly page: number;
  readonly seq: readonly number[];
  /** Misc output without polarity bits. */
  readonly misc: number;
  readonly h: readonly number[];
  readonly v: Vertical;
  readonly maxScan: number;
  readonly cursor?: readonly [number, number];
  readonly offset: number;
  readonly underline: number;
  readonly control: number;
  readonly palette: readonly number[];
  readonly attrMode: number;
  readonly planes: number;
  readonly pan: number;
  readonly gcMode: number;
  readonly gcMisc: number;
  readonly dontCare: number;
}

function table(s: TableSpec): Uint8Array {
  const t = new Uint8Array(64);
  const cursor = s.cursor ?? [0, 0];
  t.set([s.columns, s.rows - 1, s.cell, s.page & 0xff, s.page >> 8, ...s.seq, s.misc | s.v.polarity], 0);
  t.set([...s.h, s.v.total, s.v.overflow, 0, s.maxScan, cursor[0], cursor[1], 0, 0, 0, 0], 10);
  t.set([s.v.start, s.v.end, s.v.display, s.offset, s.underline, s.v.blankStart, s.v.blankEnd, s.control, 0xff], 10 + 16);
  t.set([...s.palette, s.attrMode, 0x00, s.planes, s.pan], 35);
  t.set([0, 0, 0, 0, 0, s.gcMode, s.gcMisc, s.dontCare, 0xff], 55);
  return t;
}

type TextLines = 200 | 350 | 400;

function textTable(columns: 40 | 80, lines: TextLines, mono: boolean): Uint8Array {
  const cell = lines === 400 ? 16 : lines === 350 ? 14 : 8;
  const nine = lines === 400 || mono;
  const clock28 = nine ? 4 : 0;
  return table({
    columns,
    rows: 25,
    cell,
    page: columns === 80 ? 0x1000 : 0x800,
    seq: [(columns === 40 ? 8 : 0) | (nine ? 0 : 1), 3, 0, 2],
    misc: (mono ? 0x22 : 0x23) | clock28,
    h: columns === 80 ? H80_TEXT : H40_TEXT,
    v: lines === 350 ? V350 : V400,
    maxScan: lines === 200 ? 0xc7 : 0x40 | (cell - 1),
    cursor: cell === 16 ? [0x0d, 0x0e] : cell === 14 ? [0x0b, 0x0c] : [6, 7],
    offset: columns >> 1,
    underline: mono ? cell - (cell === 16 ? 3 : 1) : 0x1f,
    control: 0xa3,
    palette: mono ? PAL_MONO : PAL_EGA,
    attrMode: (mono ? 0x0e : 0x0c) & (nine ? 0x0f : 0x0b),
    planes: 0x0f,
    pan: nine ? 8 : 0,
    gcMode: 0x10,
    gcMisc: mono ? 0x0a : 0x0e,
    dontCare: 0x00,
  });
}

const graphics = (s: Omit<TableSpec, "pan">): Uint8Array => table({ ...s, pan: 0 });
const CGA4 = graphics({
  columns: 40,
  rows: 25,
  cell: 8,
  page: 0x4000,
  seq: [9, 3, 0, 2],
  misc: 0x23,
  h: H40,
  v: V400,
  maxScan: 0xc1,
  offset: 0x14,
  underline: 0,
  control: 0xa2,
  palette: PAL_CGA4,
  attrMode: 1,
  planes: 3,
  gcMode: 0x30,
  gcMisc: 0x0f,
  dontCare: 0x0f,
});
const CGA2 = graphics({
  columns: 80,
  rows: 25,
  cell: 8,
  page: 0x4000,
  seq: [1, 1, 0, 6],
  misc: 0x23,
  h: H80,
  v: V400,
  maxScan: 0xc1,
  offset: 0x28,
  underline: 0,
  control: 0xc2,
  palette: PAL_CGA2,
  attrMode: 1,
  planes: 1,
  gcMode: 0,
  gcMisc: 0x0d,
  dontCare: 0x0f,
});
const EGA_D = graphics({
  columns: 40,
  rows: 25,
  cell: 8,
  page: 0x2000,
  seq: [9, 0x0f, 0, 6],
  misc: 0x23,
  h: H40,
  v: V400,
  maxScan: 0xc0,
  offset: 0x14,
  underline: 0,
  control: 0xe3,
  palette: PAL_CGA16,
  attrMode: 1,
  planes: 0x0f,
  gcMode: 0,
  gcMisc: 5,
  dontCare: 0x0f,
});
const EGA_E = graphics({
  columns: 80,
  rows: 25,
  cell: 8,
  page: 0x4000,
  seq: [1, 0x0f, 0, 6],
  misc: 0x23,
  h: H80,
  v: V400,
  maxScan: 0xc0,
  offset: 0x28,
  underline: 0,
  control: 0xe3,
  palette: PAL_CGA16,
  attrMode: 1,
  planes: 0x0f,
  gcMode: 0,
  gcMisc: 5,
  dontCare: 0x0f,
});
const EGA_F = graphics({
  columns: 80,
  rows: 25,
  cell: 14,
  page: 0x8000,
  seq: [1, 0x0f, 0, 6],
  misc: 0x22,
  h: H80,
  v: V350,
  maxScan: 0x40,
  offset: 0x28,
  underline: 0x0d,
  control: 0xe3,
  palette: PAL_MODE_F,
  attrMode: 0x0b,
  planes: 5,
  gcMode: 0,
  gcMisc: 5,
  dontCare: 5,
});
const EGA_10 = graphics({
  columns: 80,
  rows: 25,
  cell: 14,
  page: 0x8000,
  seq: [1, 0x0f, 0, 6],
  misc: 0x23,
  h: H80,
  v: V350,
  maxScan: 0x40,
  offset: 0x28,
  underline: 0x0f,
  control: 0xe3,
  palette: PAL_EGA,
  attrMode: 1,
  planes: 0x0f,
  gcMode: 0,
  gcMisc: 5,
  dontCare: 0x0f,
});
const VGA_11 = graphics({
  columns: 80,
  rows: 30,
  cell: 16,
  page: 0xa000,
  seq: [1, 0x0f, 0, 6],
  misc: 0x23,
  h: H80,
  v: V480,
  maxScan: 0x40,
  offset: 0x28,
  underline: 0,
  control: 0xc3,
  palette: PAL_2,
  attrMode: 1,
  planes: 0x0f,
  gcMode: 0,
  gcMisc: 5,
  dontCare: 1,
});
const VGA_12 = graphics({
  columns: 80,
  rows: 30,
  cell: 16,
  page: 0xa000,
  seq: [1, 0x0f, 0, 6],
  misc: 0x23,
  h: H80,
  v: V480,
  maxScan: 0x40,
  offset: 0x28,
  underline: 0,
  control: 0xe3,
  palette: PAL_EGA,
  attrMode: 1,
  planes: 0x0f,
  gcMode: 0,
  gcMisc: 5,
  dontCare: 0x0f,
});
const VGA_13 = graphics({
  columns: 40,
  rows: 25,
  cell: 8,
  page: 0x2000,
  seq: [1, 0x0f, 0, 0x0e],
  misc: 0x23,
  h: H80,
  v: V400,
  maxScan: 0x41,
  offset: 0x28,
  underline: 0x40,
  control: 0xa3,
  palette: PAL_256,
  attrMode: 0x41,
  planes: 0x0f,
  gcMode: 0x40,
  gcMisc: 5,
  dontCare: 0x0f,
});

const T40_200 = textTable(40, 200, false);
const T80_200 = textTable(80, 200, false);
const T40_350 = textTable(40, 350, false);
const T80_350 = textTable(80, 350, false);
const T40_400 = textTable(40, 400, false);
const T80_400 = textTable(80, 400, false);
const MONO_350 = textTable(80, 350, true);
const MONO_400 = textTable(80, 400, true);

/** The 29 entries in the order of IBM's table (EGA 64 KB forms repeat the full ones). */
export const PARAMETER_TABLES: readonly Uint8Array[] = [
  T40_200,
  T40_200,
  T80_200,
  T80_200,
  CGA4,
  CGA4,
  CGA2,
  MONO_350,
  EGA_D,
  EGA_D,
  EGA_D,
  EGA_D,
  EGA_D,
  EGA_D,
  EGA_E,
  EGA_F,
  EGA_10,
  EGA_F,
  EGA_10,
  T40_350,
  T40_350,
  T80_350,
  T80_350,
  T40_400,
  T80_400,
  MONO_400,
  VGA_11,
  VGA_12,
  VGA_13,
];

const text = (mode: number, columns: number, table: number, cgaMode: number): VideoModeDef => ({
  mode,
  kind: "text",
  columns,
  rows: 25,
  cellHeight: 16,
  pageBytes: columns === 80 ? 0x1000 : 0x800,
  pages: 8,
  segment: mode === 7 ? 0xb000 : 0xb800,
  width: columns * 9,
  height: 400,
  colors: mode === 7 ? 0 : 16,
  dac: mode === 7 ? "mono" : "ega64",
  table,
  cgaMode,
});
const gfx = (
  mode: number,
  kind: ModeKind,
  columns: number,
  rows: number,
  cellHeight: number,
  pageBytes: number,
  pages: number,
  width: number,
  height: number,
  colors: number,
  dac: DacSet,
  table: number,
  cgaMode: number,
): VideoModeDef => ({
  mode,
  kind,
  columns,
  rows,
  cellHeight,
  pageBytes,
  pages,
  segment: kind === "cga4" || kind === "cga2" ? 0xb800 : 0xa000,
  width,
  height,
  colors,
  dac,
  table,
  cgaMode,
});

const MODES: readonly VideoModeDef[] = [
  text(0, 40, 0x17, 0x2c),
  text(1, 40, 0x17, 0x28),
  text(2, 80, 0x18, 0x2d),
  text(3, 80, 0x18, 0x29),
  gfx(4, "cga4", 40, 25, 8, 0x4000, 1, 320, 200, 4, "cga", 0x04, 0x2a),
  gfx(5, "cga4", 40, 25, 8, 0x4000, 1, 320, 200, 4, "cga", 0x05, 0x2e),
  gfx(6, "cga2", 80, 25, 8, 0x4000, 1, 640, 200, 2, "cga", 0x06, 0x1e),
  text(7, 80, 0x19, 0x29),
  gfx(0x0d, "planar", 40, 25, 8, 0x2000, 8, 320, 200, 16, "cga", 0x0d, 0x29),
  gfx(0x0e, "planar", 80, 25, 8, 0x4000, 4, 640, 200, 16, "cga", 0x0e, 0x29),
  gfx(0x0f, "planar", 80, 25, 14, 0x8000, 2, 640, 350, 0, "mono", 0x11, 0x29),
  gfx(0x10, "planar", 80, 25, 14, 0x8000, 2, 640, 350, 16, "ega64", 0x12, 0x29),
  gfx(0x11, "planar", 80, 30, 16, 0xa000, 1, 640, 480, 2, "ega64", 0x1a, 0x29),
  gfx(0x12, "planar", 80, 30, 16, 0xa000, 1, 640, 480, 16, "ega64", 0x1b, 0x29),
  gfx(0x13, "linear8", 40, 25, 8, 0x2000, 1, 320, 200, 256, "vga256", 0x1c, 0x29),
];
const BY_NUMBER: readonly (VideoModeDef | undefined)[] = Array.from({ length: 0x80 }, (_, n) => MODES.find((m) => m.mode === n));

export function findMode(mode: number): VideoModeDef | undefined {
  return BY_NUMBER[mode & 0x7f];
}

/** The parameter table of a mode; text modes have one for each number of scan lines (AH=12 BL=30). */
export function tableIndex(m: VideoModeDef, lines: TextLines): number {
  if (m.kind !== "text") return m.table;
  if (m.mode === 7) return lines === 350 ? 0x07 : 0x19;
  if (lines === 400) return m.table;
  return (lines === 350 ? 0x13 : 0) + m.mode;
}
export type { TextLines };
