/** Text-mode characters, scrolling and teletype (AH=06-0A, 0E, 13). Hot: a printing guest calls AH=0E for every character. */
import { BDA } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";
import { placeCursor, setCursorPosition, showCursor } from "./cursor.ts";
import type { VideoEnv } from "./env.ts";
import { drawCharacter, readCharacter, scrollGraphics } from "./graphics-text.ts";
import { columnsOf, rowsOf, saneColumns, saneCrtcPort } from "./state.ts";

const BELL = 7;
const BACKSPACE = 8;
const LINE_FEED = 10;
const RETURN = 13;

/** Linear address of text page 0, or 0 in graphics modes. */
function textBase(ctx: BiosContext): number {
  return textBaseOf(ctx.mem.read8(BDA.VIDEO_MODE) & 0x7f);
}
function textBaseOf(mode: number): number {
  return mode <= 3 ? 0xb8000 : mode === 7 ? 0xb0000 : 0;
}

/** The page a service works on; numbers past the last page mean the shown one. */
function pageOf(ctx: BiosContext, page: number): number {
  return page < 8 ? page : ctx.mem.read8(BDA.ACTIVE_PAGE) & 7;
}

/**
 * AH=0E: writes `ch` at the cursor of the shown page, moves the cursor, scrolls at the end of the screen. BH is documented as the page,
 * but VGA BIOSes write to the active one, and programs rely on it (MikeOS leaves BH at whatever it was).
 */
export function teletype(ctx: BiosContext, ch: number, env: VideoEnv): void {
  const { mem } = ctx;
  // The data area in double words: one call a character reads all of it.
  const modeAndColumns = mem.read32(BDA.VIDEO_MODE - 1);
  const sizeAndStart = mem.read32(BDA.PAGE_SIZE);
  const pageAndPort = mem.read32(BDA.ACTIVE_PAGE);
  const active = pageAndPort & 0xff;
  const page = active & 7;
  const at = mem.read16(BDA.CURSOR_POSITION + page * 2);
  let column = at & 0xff;
  let row = at >> 8;
  const columns = saneColumns(modeAndColumns >>> 16);
  const mode = (modeAndColumns >>> 8) & 0x7f;
  const base = mode <= 3 ? 0xb8000 : textBaseOf(mode);
  switch (ch) {
    case BELL:
      env.onBell?.();
      return;
    case BACKSPACE:
      if (column > 0) column--;
      break;
    case LINE_FEED:
      row++;
      break;
    case RETURN:
      column = 0;
      break;
    default:
      if (base !== 0) ctx.video.write8(base + ((page * (sizeAndStart & 0xffff) + (row * columns + column) * 2) & 0x7fff), ch);
      else drawCharacter(ctx, env, { page, row, column }, ch, ctx.regs.bl);
      column++;
      if (column >= columns) {
        column = 0;
        row++;
      }
  }
  const lastRow = mem.read8(BDA.ROWS);
  if (row > lastRow) {
    row = lastRow;
    scrollForTeletype(ctx, env, page, base, row, columns);
  }
  mem.write16(BDA.CURSOR_POSITION + page * 2, (row << 8) | column);
  if (page === active) placeCursor(ctx, saneCrtcPort((pageAndPort >>> 8) & 0xffff), (sizeAndStart >>> 17) + row * columns + column);
}

function scrollForTeletype(ctx: BiosContext, env: VideoEnv, page: number, base: number, lastRow: number, columns: number): void {
  if (base === 0) {
    scrollGraphics(ctx, env, page, 1, 0, 0, 0, lastRow, columns - 1, false);
    return;
  }
  const start = base + ((page * ctx.mem.read16(BDA.PAGE_SIZE)) & 0x7fff);
  const rowBytes = columns * 2;
  // The new line takes the attribute that is at the cursor's line.
  const attribute = ctx.video.read8(start + lastRow * rowBytes + 1);
  ctx.video.move(start, start + rowBytes, lastRow * rowBytes);
  ctx.video.fill16(start + lastRow * rowBytes, columns, (attribute << 8) | 0x20);
}

/** AH=06 (up) and AH=07 (down): window corners in CX, DX; AL lines, 0 clears; BH the attribute of new lines. */
export function scrollWindow(ctx: BiosContext, env: VideoEnv, down: boolean): void {
  const r = ctx.regs;
  const page = ctx.mem.read8(BDA.ACTIVE_PAGE) & 7;
  const columns = columnsOf(ctx);
  const rows = rowsOf(ctx);
  const top = r.ch;
  const left = r.cl;
  const bottom = Math.min(r.dh, rows - 1);
  const right = Math.min(r.dl, columns - 1);
  if (top > bottom || left > right) return;
  const height = bottom - top + 1;
  const count = r.al === 0 || r.al > height ? height : r.al;
  const attribute = r.bh;
  const base = textBase(ctx);
  if (base === 0) {
    scrollGraphics(ctx, env, page, count, attribute, top, left, bottom, right, down);
    return;
  }
  const video = ctx.video;
  const start = base + ((page * ctx.mem.read16(BDA.PAGE_SIZE)) & 0x7fff);
  const rowBytes = columns * 2;
  const width = right - left + 1;
  const cell = (attribute << 8) | 0x20;
  const first = start + top * rowBytes + left * 2;
  const kept = height - count;
  if (width === columns) {
    const shift = count * rowBytes;
    if (kept > 0) video.move(down ? first + shift : first, down ? first : first + shift, kept * rowBytes);
    video.fill16(down ? first : first + kept * rowBytes, count * columns, cell);
    return;
  }
  for (let i = 0; i < kept; i++) {
    const to = down ? height - 1 - i : i;
    video.move(first + to * rowBytes, first + (down ? to - count : to + count) * rowBytes, width * 2);
  }
  for (let i = 0; i < count; i++) video.fill16(first + (down ? i : kept + i) * rowBytes, width, cell);
}

/** AH=08. */
export function readCell(ctx: BiosContext, env: VideoEnv): void {
  const r = ctx.regs;
  const page = pageOf(ctx, r.bh);
  const at = ctx.mem.read16(BDA.CURSOR_POSITION + page * 2);
  const base = textBase(ctx);
  if (base === 0) {
    r.ax = readCharacter(ctx, env, { page, row: at >> 8, column: at & 0xff });
    return;
  }
  const cell = base + ((page * ctx.mem.read16(BDA.PAGE_SIZE) + ((at >> 8) * columnsOf(ctx) + (at & 0xff)) * 2) & 0x7fff);
  r.ax = ctx.video.read8(cell) | (ctx.video.read8(cell + 1) << 8);
}

/** AH=09 (character and attribute) and AH=0A (character alone; in graphics modes BL is the colour of both). */
export function writeCells(ctx: BiosContext, env: VideoEnv, withAttribute: boolean): void {
  const r = ctx.regs;
  const page = pageOf(ctx, r.bh);
  const at = ctx.mem.read16(BDA.CURSOR_POSITION + page * 2);
  const ch = r.al;
  const columns = columnsOf(ctx);
  const base = textBase(ctx);
  if (base === 0) {
    const row = at >> 8;
    // Real ROMs stay in the cursor's row in graphics modes.
    const count = Math.min(r.cx, columns - (at & 0xff));
    for (let i = 0; i < count; i++) drawCharacter(ctx, env, { page, row, column: (at & 0xff) + i }, ch, r.bl);
    return;
  }
  const offset = (page * ctx.mem.read16(BDA.PAGE_SIZE) + ((at >> 8) * columns + (at & 0xff)) * 2) & 0x7fff;
  const count = Math.min(r.cx, (0x8000 - offset) >> 1);
  const cell = base + offset;
  if (withAttribute) ctx.video.fill16(cell, count, (r.bl << 8) | ch);
  else for (let i = 0; i < count; i++) ctx.video.write8(cell + i * 2, ch);
}

/** AH=13: a string at DH, DL; AL bit 0 leaves the cursor behind it, bit 1: attributes are in the string. */
export function writeString(ctx: BiosContext, env: VideoEnv): void {
  const r = ctx.regs;
  const page = pageOf(ctx, r.bh);
  const flags = r.al;
  const base = textBase(ctx);
  const columns = columnsOf(ctx);
  const rows = rowsOf(ctx);
  const segment = r.selector("es");
  let from = r.bp;
  let attribute = r.bl;
  const saved = ctx.mem.read16(BDA.CURSOR_POSITION + page * 2);
  let column = r.dl;
  let row = r.dh === 0xff ? saved >> 8 : r.dh;
  if (r.dh === 0xff) column = saved & 0xff;
  // In graphics modes scrolling is dear and a string may scroll 65,535 times: what will have left the screen at the end is not drawn at all.
  let unseen = base === 0 ? scrollsOf(ctx, flags, row, column) - rows : 0;
  for (let left = r.cx; left > 0; left--) {
    const ch = ctx.mem.read8(ctx.linear(segment, from));
    from = (from + 1) & 0xffff;
    if ((flags & 2) !== 0) {
      attribute = ctx.mem.read8(ctx.linear(segment, from));
      from = (from + 1) & 0xffff;
    }
    switch (ch) {
      case BELL:
        env.onBell?.();
        continue;
      case BACKSPACE:
        if (column > 0) column--;
        continue;
      case RETURN:
        column = 0;
        continue;
      case LINE_FEED:
        row++;
        break;
      default:
        if (base !== 0) {
          const cell = base + ((page * ctx.mem.read16(BDA.PAGE_SIZE) + (row * columns + column) * 2) & 0x7fff);
          ctx.video.write8(cell, ch);
          ctx.video.write8(cell + 1, attribute);
        } else if (unseen <= 0) drawCharacter(ctx, env, { page, row, column }, ch, attribute);
        column++;
        if (column >= columns) {
          column = 0;
          row++;
        }
    }
    if (row >= rows) {
      row = rows - 1;
      if (unseen-- > 0) continue;
      scrollForTeletype(ctx, env, page, base, row, columns);
    }
  }
  if ((flags & 1) !== 0) setCursorPosition(ctx, page, row, column);
  else if (page === ctx.mem.read8(BDA.ACTIVE_PAGE)) showCursor(ctx, saved >> 8, saved & 0xff);
}

/** How often AH=13 will scroll. */
function scrollsOf(ctx: BiosContext, flags: number, row: number, column: number): number {
  const r = ctx.regs;
  const columns = columnsOf(ctx);
  const rows = rowsOf(ctx);
  const step = (flags & 2) !== 0 ? 2 : 1;
  let scrolls = 0;
  for (let i = 0; i < r.cx; i++) {
    const ch = ctx.mem.read8(ctx.linear(r.selector("es"), (r.bp + i * step) & 0xffff));
    if (ch === BELL) continue;
    if (ch === RETURN) column = 0;
    else if (ch === BACKSPACE) column = Math.max(0, column - 1);
    else if (ch === LINE_FEED) row++;
    else if (++column >= columns) {
      column = 0;
      row++;
    }
    if (row < rows) continue;
    row = rows - 1;
    scrolls++;
  }
  return scrolls;
}
