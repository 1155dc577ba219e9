/** Cursor shape, position and display page (AH=01, 02, 03, 05). */
import { BDA } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";
import { findMode } from "./modes.ts";
import { cellHeightOf, columnsOf, crtcPort, setIndexed } from "./state.ts";

/** Programs the CRTC cursor lines as they are. */
export function setCursorShapeRaw(ctx: BiosContext, start: number, end: number): void {
  const port = crtcPort(ctx);
  setIndexed(ctx, port, 0x0a, start & 0x3f);
  setIndexed(ctx, port, 0x0b, end & 0x1f);
}

/** AH=01: shape from CH, CL; lines for 8-line cells are scaled to the real height while cursor emulation is on (AH=12 BL=34). */
export function setCursorShape(ctx: BiosContext, ch: number, cl: number): void {
  ctx.mem.write16(BDA.CURSOR_SHAPE, (ch << 8) | cl);
  let start = ch & 0x3f;
  let end = cl & 0x1f;
  const height = cellHeightOf(ctx);
  const emulate = (ctx.mem.read8(BDA.EGA_INFO) & 1) === 0;
  if (emulate && height > 8 && end < 8 && start < 0x20) {
    if (end === start + 1 || end === start) {
      // An underline stays an underline: the last lines but one of the taller cell.
      const thick = end - start;
      end = (((end + 1) * height) >> 3) - 2;
      if (end < 0) end = 0;
      start = Math.max(0, end - thick);
    } else {
      end = (((end + 1) * height) >> 3) - 1;
      start = start === 0 ? 0 : (((start + 1) * height) >> 3) - 1;
    }
  }
  setCursorShapeRaw(ctx, start, end);
}

/** Puts the CRTC cursor of the shown page where the data area says. */
export function showCursor(ctx: BiosContext, row: number, column: number): void {
  const at = (ctx.mem.read16(BDA.PAGE_START) >> 1) + row * columnsOf(ctx) + column;
  placeCursor(ctx, crtcPort(ctx), at);
}

/** Puts the CRTC cursor at a cell, counted from the start of video memory. */
export function placeCursor(ctx: BiosContext, port: number, at: number): void {
  if (ctx.video.setCursor !== undefined) {
    ctx.video.setCursor(port, at & 0xffff);
    return;
  }
  ctx.ports.out16(port, (at & 0xff00) | 0x0e);
  ctx.ports.out16(port, ((at & 0xff) << 8) | 0x0f);
}

/** AH=02. */
export function setCursorPosition(ctx: BiosContext, page: number, row: number, column: number): void {
  if (page > 7) return;
  ctx.mem.write16(BDA.CURSOR_POSITION + page * 2, (row << 8) | column);
  if (page === ctx.mem.read8(BDA.ACTIVE_PAGE)) showCursor(ctx, row, column);
}

/** AH=03. */
export function readCursor(ctx: BiosContext): void {
  const r = ctx.regs;
  const page = r.bh;
  r.ax = 0;
  r.cx = ctx.mem.read16(BDA.CURSOR_SHAPE);
  r.dx = page > 7 ? 0 : ctx.mem.read16(BDA.CURSOR_POSITION + page * 2);
}

/** AH=05. */
export function selectPage(ctx: BiosContext, page: number): void {
  const mode = findMode(ctx.mem.read8(BDA.VIDEO_MODE));
  if (mode === undefined || page > 7 || (page !== 0 && page >= mode.pages)) return;
  const start = (page * ctx.mem.read16(BDA.PAGE_SIZE)) & 0xffff;
  ctx.mem.write8(BDA.ACTIVE_PAGE, page);
  ctx.mem.write16(BDA.PAGE_START, start);
  // Text counts character cells; planar modes count plane bytes.
  const at = mode.kind === "text" ? start >> 1 : start;
  const port = crtcPort(ctx);
  setIndexed(ctx, port, 0x0c, at >> 8);
  setIndexed(ctx, port, 0x0d, at & 0xff);
  const position = ctx.mem.read16(BDA.CURSOR_POSITION + page * 2);
  if (mode.kind === "text") showCursor(ctx, position >> 8, position & 0xff);
}
