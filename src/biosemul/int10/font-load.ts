/** Character generator: moving fonts into plane 2 and fitting the screen geometry to the character height (AH=11h). */
import { BDA, PORT } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";
import { FONT_8X14, FONT_8X16, FONT_8X8 } from "../font/index.ts";
import { cellHeightOf, columnsOf, crtcPort, FLAGS, getIndexed, IVT, rowsOf, setIndexed, setVector } from "./state.ts";
import { setCursorShapeRaw } from "./cursor.ts";
import { findMode } from "./modes.ts";
import { ROM_FONT, VIDEO_ROM_SEGMENT } from "./rom-layout.ts";

export type GlyphSource = (index: number) => number;

export function romFont(height: number): Uint8Array {
  return height === 8 ? FONT_8X8 : height === 14 ? FONT_8X14 : FONT_8X16;
}

/** Runs `body` with plane 2 open at A0000 for writing, then gives the registers back as they were. */
export function withFontPlane(ctx: BiosContext, body: () => void): void {
  const seq2 = getIndexed(ctx, PORT.SEQ, 2);
  const seq4 = getIndexed(ctx, PORT.SEQ, 4);
  const saved = [0, 1, 3, 4, 5, 6, 8].map((i) => [i, getIndexed(ctx, PORT.GC, i)] as const);
  setIndexed(ctx, PORT.SEQ, 2, 4);
  setIndexed(ctx, PORT.SEQ, 4, 7);
  setIndexed(ctx, PORT.GC, 0, 0);
  setIndexed(ctx, PORT.GC, 1, 0);
  setIndexed(ctx, PORT.GC, 3, 0);
  setIndexed(ctx, PORT.GC, 4, 2);
  setIndexed(ctx, PORT.GC, 5, 0);
  setIndexed(ctx, PORT.GC, 6, 4);
  setIndexed(ctx, PORT.GC, 8, 0xff);
  body();
  setIndexed(ctx, PORT.SEQ, 2, seq2);
  setIndexed(ctx, PORT.SEQ, 4, seq4);
  for (const [i, v] of saved) setIndexed(ctx, PORT.GC, i, v);
}

export function blockAddress(block: number): number {
  return ((block & 3) << 14) | ((block & 4) << 11);
}

/** Loads `count` glyphs of `height` bytes into font block `block`, from character `first`. */
export function loadFont(ctx: BiosContext, source: GlyphSource, height: number, block: number, first: number, count: number): void {
  const h = Math.min(height, 32);
  withFontPlane(ctx, () => {
    for (let i = 0; i < count; i++) {
      const at = 0xa0000 + blockAddress(block) + (((first + i) & 0xff) << 5);
      for (let y = 0; y < h; y++) ctx.video.write8(at + y, source(i * height + y));
      for (let y = h; y < 32; y++) ctx.video.write8(at + y, 0);
    }
  });
}

export function loadRomFont(ctx: BiosContext, height: number, block: number): void {
  const font = romFont(height);
  loadFont(ctx, (i) => font[i] ?? 0, height, block, 0, 256);
}

/** Scan lines of text modes as AH=12 BL=30 chose them. */
export function textLines(ctx: BiosContext): 200 | 350 | 400 {
  const flags = ctx.mem.read8(BDA.VGA_FLAGS);
  if ((flags & FLAGS.LINES_200) !== 0) return 200;
  return (flags & FLAGS.LINES_400) !== 0 ? 400 : 350;
}

/** The 1xh forms of AH=11: character height, rows, page size and CRTC follow the new font. */
export function fitTextScreen(ctx: BiosContext, height: number): void {
  const h = Math.min(Math.max(height, 1), 32);
  const port = crtcPort(ctx);
  const lines = textLines(ctx);
  const double = (getIndexed(ctx, port, 9) & 0x80) !== 0;
  const rows = Math.max(1, Math.floor(lines / h));
  ctx.mem.write16(BDA.CELL_HEIGHT, h);
  ctx.mem.write8(BDA.ROWS, rows - 1);
  const bytes = columnsOf(ctx) * rows * 2;
  ctx.mem.write16(BDA.PAGE_SIZE, (bytes + 0x7ff) & ~0x7ff);
  setIndexed(ctx, port, 9, (getIndexed(ctx, port, 9) & 0xe0) | (h - 1));
  const display = rows * h * (double ? 2 : 1) - 1;
  const protect = getIndexed(ctx, port, 0x11);
  setIndexed(ctx, port, 0x11, protect & 0x7f);
  const overflow = getIndexed(ctx, port, 7) & ~0x42;
  setIndexed(ctx, port, 7, overflow | ((display >> 7) & 2) | ((display >> 3) & 0x40));
  setIndexed(ctx, port, 0x12, display & 0xff);
  setIndexed(ctx, port, 0x11, protect);
  if ((ctx.mem.read8(BDA.VIDEO_MODE) & 0x7f) === 7) setIndexed(ctx, port, 0x14, h - 1);
  if (h >= 14) setCursorShapeRaw(ctx, h - 3, h - 2);
  else if (h >= 3) setCursorShapeRaw(ctx, h - 2, h - 1);
  ctx.mem.write16(BDA.CURSOR_SHAPE, h >= 14 ? ((h - 3) << 8) | (h - 2) : (Math.max(h - 2, 0) << 8) | (h - 1));
}

const ROWS_BY_CODE = [0, 14, 25, 43];

/** AH=11h. */
export function characterGenerator(ctx: BiosContext): void {
  const r = ctx.regs;
  const sub = r.al;
  const mem = ctx.mem;
  switch (sub) {
    case 0x00:
    case 0x10: {
      const from = ctx.linear(r.selector("es"), r.bp);
      const height = r.bh;
      if (height === 0 || height > 32) return;
      loadFont(ctx, (i) => mem.read8(from + i), height, r.bl, r.dx & 0xff, Math.min(r.cx, 256));
      if (sub === 0x10) fitTextScreen(ctx, height);
      return;
    }
    case 0x01:
    case 0x02:
    case 0x04:
    case 0x11:
    case 0x12:
    case 0x14: {
      const height = (sub & 7) === 1 ? 14 : (sub & 7) === 2 ? 8 : 16;
      loadRomFont(ctx, height, r.bl);
      if (sub >= 0x10) fitTextScreen(ctx, height);
      return;
    }
    case 0x03:
    case 0x13:
      setIndexed(ctx, PORT.SEQ, 3, r.bl);
      return;
    case 0x20:
      setVector(ctx, IVT.FONT_HIGH, r.selector("es"), r.bp);
      return;
    case 0x21:
    case 0x22:
    case 0x23:
    case 0x24: {
      const height = sub === 0x21 ? r.cx : sub === 0x22 ? 14 : sub === 0x23 ? 8 : 16;
      if (sub === 0x21) setVector(ctx, IVT.FONT, r.selector("es"), r.bp);
      else setVector(ctx, IVT.FONT, VIDEO_ROM_SEGMENT, height === 14 ? ROM_FONT.F14 : height === 8 ? ROM_FONT.F8 : ROM_FONT.F16);
      mem.write16(BDA.CELL_HEIGHT, height);
      const rows = r.bl === 0 ? r.dl : (ROWS_BY_CODE[r.bl & 3] ?? 25);
      mem.write8(BDA.ROWS, rows - 1);
      return;
    }
    case 0x30:
      fontInformation(ctx);
      return;
    default:
  }
}

function fontInformation(ctx: BiosContext): void {
  const r = ctx.regs;
  let segment = VIDEO_ROM_SEGMENT;
  let offset: number;
  switch (r.bh) {
    case 0:
    case 1: {
      const vector = r.bh === 0 ? IVT.FONT_HIGH : IVT.FONT;
      offset = ctx.mem.read16(vector);
      segment = ctx.mem.read16(vector + 2);
      break;
    }
    case 2:
      offset = ROM_FONT.F14;
      break;
    case 3:
      offset = ROM_FONT.F8;
      break;
    case 4:
      offset = ROM_FONT.F8 + 0x400;
      break;
    case 5:
      offset = ROM_FONT.ALTERNATE;
      break;
    case 6:
      offset = ROM_FONT.F16;
      break;
    case 7:
      offset = ROM_FONT.ALTERNATE;
      break;
    default:
      return;
  }
  r.setRealSegment("es", segment);
  r.bp = offset;
  r.cx = ctx.mem.read16(BDA.CELL_HEIGHT);
  r.dl = rowsOf(ctx) - 1;
}

/** Height to use for a graphics glyph and where its rows are; CGA modes take characters 80h-FFh through IVT 1Fh. */
export function glyphAddress(ctx: BiosContext, ch: number): number {
  const mode = findMode(ctx.mem.read8(BDA.VIDEO_MODE));
  const high = ch >= 0x80 && (mode?.kind === "cga2" || mode?.kind === "cga4");
  const vector = high ? IVT.FONT_HIGH : IVT.FONT;
  const base = ctx.linear(ctx.mem.read16(vector + 2), ctx.mem.read16(vector));
  return base + (high ? ch - 0x80 : ch) * cellHeightOf(ctx);
}
