/** AX=4F02h: mode set through the dispi registers; 132-column and 60-line text modes through the VGA's own. */
import { BDA, DISPI, DISPI_ENABLE, PORT } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";
import type { VideoEnv } from "./env.ts";
import { loadRomFont } from "./font-load.ts";
import { PARAMETER_TABLES } from "./modes.ts";
import { dacColors } from "./palettes.ts";
import { ROM_FONT, VIDEO_ROM_SEGMENT } from "./rom-layout.ts";
import { loadDac, programRegisters, screenOn, setMode } from "./set-mode.ts";
import { getDispi, IVT, MODE_VBE, setDispi, setIndexed, setVector, OWN_DATA } from "./state.ts";
import { cellHeight } from "./vbe-info.ts";
import { findVbeMode, type VbeModeDef } from "./vbe-modes.ts";

export function vbeOn(ctx: BiosContext): boolean {
  return (getDispi(ctx, DISPI.ENABLE) & DISPI_ENABLE.ENABLED) !== 0;
}

export function vbeDepth(ctx: BiosContext): number {
  return getDispi(ctx, DISPI.BPP);
}

/** `request` as in BX: bits 0-8 mode, 14 linear frame buffer, 15 keep memory, 11 own CRTC timing (there is no monitor to mind). */
export function setVbeMode(ctx: BiosContext, env: VideoEnv, request: number): boolean {
  const number = request & 0x37ff;
  const keep = (request & 0x8000) !== 0;
  if (number < 0x100) return number < 0x80 && setMode(ctx, number | (keep ? 0x80 : 0)) !== undefined;
  const m = number > 0x1ff ? undefined : findVbeMode(number, env.vramBytes);
  if (m === undefined) return false;
  if (m.bpp === 0) setTextMode(ctx, m, keep);
  else if (m.bpp === 4 && (request & 0x4000) !== 0) return false;
  else setGraphicsMode(ctx, m, request);
  ctx.mem.write16(OWN_DATA.VBE_MODE, request & 0xc1ff);
  const info = ctx.mem.read8(BDA.EGA_INFO);
  ctx.mem.write8(BDA.EGA_INFO, (info & 0x7f) | (keep ? 0x80 : 0));
  return true;
}

function setGraphicsMode(ctx: BiosContext, m: VbeModeDef, request: number): void {
  const planar = m.bpp === 4;
  setDispi(ctx, DISPI.ENABLE, 0);
  const table = PARAMETER_TABLES[planar ? 0x1b : 0x1c];
  if (table !== undefined) programRegisters(ctx, table);
  loadDac(ctx, dacColors(planar ? "ega64" : "vga256"), false);
  setDispi(ctx, DISPI.XRES, m.width);
  setDispi(ctx, DISPI.YRES, m.height);
  setDispi(ctx, DISPI.BPP, m.bpp);
  setDispi(ctx, DISPI.BANK, 0);
  setDispi(
    ctx,
    DISPI.ENABLE,
    DISPI_ENABLE.ENABLED | ((request & 0x4000) !== 0 ? DISPI_ENABLE.LFB : 0) | ((request & 0x8000) !== 0 ? DISPI_ENABLE.NOCLEAR : 0),
  );
  const { mem } = ctx;
  const cell = cellHeight(m.height);
  fillDataArea(ctx, MODE_VBE, m.width >> 3, Math.floor(m.height / cell), cell, 0);
  mem.write16(BDA.CURSOR_SHAPE, 0);
  setVector(ctx, IVT.FONT, VIDEO_ROM_SEGMENT, cell === 16 ? ROM_FONT.F16 : cell === 14 ? ROM_FONT.F14 : ROM_FONT.F8);
  screenOn(ctx);
}

function fillDataArea(ctx: BiosContext, mode: number, columns: number, rows: number, cell: number, pageBytes: number): void {
  const { mem } = ctx;
  mem.write8(BDA.VIDEO_MODE, mode);
  mem.write16(BDA.COLUMNS, columns);
  mem.write16(BDA.PAGE_SIZE, pageBytes);
  mem.write16(BDA.PAGE_START, 0);
  for (let page = 0; page < 8; page++) mem.write16(BDA.CURSOR_POSITION + page * 2, 0);
  mem.write8(BDA.ACTIVE_PAGE, 0);
  mem.write16(BDA.CRTC_PORT, PORT.CRTC_COLOR);
  mem.write8(BDA.ROWS, rows - 1);
  mem.write16(BDA.CELL_HEIGHT, cell);
}

/** Mode 3 with other timings: 132 columns of 8 dots, 25 rows of 16 lines or 43, 50 and 60 of 8. */
function setTextMode(ctx: BiosContext, m: VbeModeDef, keep: boolean): void {
  const cell = m.height <= 25 ? 16 : 8;
  const lines = m.height * cell;
  setDispi(ctx, DISPI.ENABLE, 0);
  const base = PARAMETER_TABLES[lines > 400 ? 0x1b : 0x18];
  const text = PARAMETER_TABLES[0x18];
  if (base === undefined || text === undefined) return;
  const t = text.slice();
  // Vertical timing and sync polarity of the base mode, cells of our own.
  for (const i of [6, 7, 0x10, 0x11, 0x12, 0x15, 0x16]) t[10 + i] = base[10 + i] ?? 0;
  t[9] = ((text[9] ?? 0) & 0x3f) | ((base[9] ?? 0) & 0xc0);
  t[10 + 9] = 0x40 | (cell - 1);
  t[10 + 0x0a] = cell === 16 ? 0x0d : 6;
  t[10 + 0x0b] = cell === 16 ? 0x0e : 7;
  if (lines < 400) {
    t[10 + 7] = ((t[10 + 7] ?? 0) & ~0x42) | (((lines - 1) >> 7) & 2) | (((lines - 1) >> 3) & 0x40);
    t[10 + 0x12] = (lines - 1) & 0xff;
  }
  if (m.width === 132) {
    t.set([0xa0, 0x83, 0x84, 0x83, 0x8a, 0x9e], 10);
    t[10 + 0x13] = 66;
    t[5] = 1;
    t[35 + 0x13] = 0;
  }
  programRegisters(ctx, t);
  loadDac(ctx, dacColors("ega64"), false);
  const bytes = m.width * m.height * 2;
  fillDataArea(ctx, 3, m.width, m.height, cell, (bytes + 0x7ff) & ~0x7ff);
  ctx.mem.write16(BDA.CURSOR_SHAPE, 0x0607);
  if (!keep) ctx.video.fill16(0xb8000, 0x4000, 0x0720);
  loadRomFont(ctx, cell, 0);
  setIndexed(ctx, PORT.SEQ, 3, 0);
  setVector(ctx, IVT.FONT, VIDEO_ROM_SEGMENT, cell === 16 ? ROM_FONT.F16 : ROM_FONT.F8);
  screenOn(ctx);
}
