/** Characters, scrolling and pixels in graphics modes. */
import { BDA } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";
import type { VideoEnv } from "./env.ts";
import { glyphAddress } from "./font-load.ts";
import { findMode } from "./modes.ts";
import { cellHeightOf } from "./state.ts";
import { openSurface, type Surface } from "./surface.ts";

/** A character's place in a graphics page. */
export interface Cell {
  readonly page: number;
  readonly row: number;
  readonly column: number;
}

export function drawCharacter(ctx: BiosContext, env: VideoEnv, cell: Cell, ch: number, color: number): void {
  const surface = openSurface(ctx, env, cell.page);
  if (surface === undefined) return;
  const height = cellHeightOf(ctx);
  const x = cell.column * 8;
  const y = cell.row * height;
  if (x + 8 <= surface.width && y + height <= surface.height) {
    const address = glyphAddress(ctx, ch);
    surface.glyph(x, y, (line) => ctx.mem.read8(address + line), height, color);
  }
  surface.done();
}

/** The character whose glyph is at a cell (AL), with attribute 0; 0 when none matches. */
export function readCharacter(ctx: BiosContext, env: VideoEnv, { page, row, column }: Cell): number {
  const surface = openSurface(ctx, env, page);
  if (surface === undefined) return 0;
  const height = cellHeightOf(ctx);
  let found = 0;
  if ((column + 1) * 8 <= surface.width && (row + 1) * height <= surface.height) {
    const shape = readShape(surface, column * 8, row * height, height);
    found = matchGlyph(ctx, shape);
  }
  surface.done();
  return found;
}

function readShape(surface: Surface, x: number, y: number, height: number): number[] {
  const shape: number[] = [];
  for (let i = 0; i < height; i++) {
    let bits = 0;
    for (let b = 0; b < 8; b++) if (surface.get(x + b, y + i) !== 0) bits |= 0x80 >> b;
    shape.push(bits);
  }
  return shape;
}

function matchGlyph(ctx: BiosContext, shape: readonly number[]): number {
  for (let ch = 0; ch < 256; ch++) {
    const address = glyphAddress(ctx, ch);
    if (shape.every((bits, i) => ctx.mem.read8(address + i) === bits)) return ch === 0 ? 0x20 : ch;
  }
  return 0;
}

/** Scrolls a window of character cells by `count` rows and fills the rest with `color`. */
export function scrollGraphics(
  ctx: BiosContext,
  env: VideoEnv,
  page: number,
  count: number,
  color: number,
  top: number,
  left: number,
  bottom: number,
  right: number,
  down: boolean,
): void {
  const surface = openSurface(ctx, env, page);
  if (surface === undefined) return;
  const cell = cellHeightOf(ctx);
  const first = top * cell;
  const lines = Math.min((bottom + 1) * cell, surface.height) - first;
  const x = left * 8;
  const width = Math.min((right + 1) * 8, surface.width & ~7) - x;
  const shift = Math.min(count * cell, lines);
  if (lines > 0 && width > 0) {
    const kept = lines - shift;
    for (let i = 0; i < kept; i++) {
      const to = down ? lines - 1 - i : i;
      surface.moveLine(first + to, first + (down ? to - shift : to + shift), x, width);
    }
    for (let i = 0; i < shift; i++) surface.fillLine(first + (down ? i : kept + i), x, width, color);
  }
  surface.done();
}

/** AH=0C: AL colour (bit 7: XOR, but in 256-colour modes), BH page, CX x, DX y. */
export function writePixel(ctx: BiosContext, env: VideoEnv): void {
  const r = ctx.regs;
  const surface = openSurface(ctx, env, r.bh & 7);
  if (surface === undefined) return;
  const xor = (r.al & 0x80) !== 0 && findMode(ctx.mem.read8(BDA.VIDEO_MODE))?.kind !== "linear8";
  if (r.cx < surface.width && r.dx < surface.height) surface.put(r.cx, r.dx, r.al, xor);
  surface.done();
}

/** AH=0D: the colour in AL. */
export function readPixel(ctx: BiosContext, env: VideoEnv): void {
  const r = ctx.regs;
  const surface = openSurface(ctx, env, r.bh & 7);
  if (surface === undefined) return;
  if (r.cx < surface.width && r.dx < surface.height) r.al = surface.get(r.cx, r.dx) & 0xff;
  surface.done();
}
