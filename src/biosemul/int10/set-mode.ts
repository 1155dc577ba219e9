/** AH=00: programs a standard mode from its parameter table and fills in the data area. */
import { BDA, PORT } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";
import { loadRomFont, textLines } from "./font-load.ts";
import { findMode, PARAMETER_TABLES, tableIndex, type VideoModeDef } from "./modes.ts";
import { dacColors, greySum } from "./palettes.ts";
import { ROM_FONT, ROM_TABLE, VIDEO_ROM_SEGMENT } from "./rom-layout.ts";
import { FLAGS, IVT, resetFlipFlop, setDispi, setIndexed, setVector, OWN_DATA } from "./state.ts";

/** Loads registers from a 64-byte table; the screen stays dark until the attribute index with bit 5 is written. */
export function programRegisters(ctx: BiosContext, t: Uint8Array): void {
  const p = ctx.ports;
  const misc = t[9] ?? 0x63;
  const crtc = (misc & 1) !== 0 ? 0x3d4 : 0x3b4;
  resetFlipFlop(ctx);
  p.out8(PORT.ATTR, 0);
  setIndexed(ctx, PORT.SEQ, 0, 1);
  for (let i = 1; i <= 4; i++) setIndexed(ctx, PORT.SEQ, i, t[4 + i] ?? 0);
  p.out8(PORT.MISC_WRITE, misc);
  setIndexed(ctx, PORT.SEQ, 0, 3);
  setIndexed(ctx, crtc, 0x11, 0);
  for (let i = 0; i <= 0x18; i++) if (i !== 0x11) setIndexed(ctx, crtc, i, t[10 + i] ?? 0);
  setIndexed(ctx, crtc, 0x11, t[10 + 0x11] ?? 0);
  resetFlipFlop(ctx);
  for (let i = 0; i <= 0x13; i++) {
    p.out8(PORT.ATTR, i);
    p.out8(PORT.ATTR, t[35 + i] ?? 0);
  }
  p.out8(PORT.ATTR, 0x14);
  p.out8(PORT.ATTR, 0);
  for (let i = 0; i <= 8; i++) setIndexed(ctx, PORT.GC, i, t[55 + i] ?? 0);
}

export function screenOn(ctx: BiosContext): void {
  resetFlipFlop(ctx);
  ctx.ports.out8(PORT.ATTR, 0x20);
}

export function loadDac(ctx: BiosContext, colors: Uint8Array, grey: boolean): void {
  const p = ctx.ports;
  p.out8(PORT.PEL_MASK, 0xff);
  p.out8(PORT.DAC_WRITE, 0);
  for (let i = 0; i < 256; i++) {
    const r = colors[i * 3] ?? 0;
    const g = colors[i * 3 + 1] ?? 0;
    const b = colors[i * 3 + 2] ?? 0;
    const y = grey ? greySum(r, g, b) : 0;
    p.out8(PORT.DAC_DATA, grey ? y : r);
    p.out8(PORT.DAC_DATA, grey ? y : g);
    p.out8(PORT.DAC_DATA, grey ? y : b);
  }
}

/** Clears the whole of a mode's memory through the display window. */
function clearMemory(ctx: BiosContext, m: VideoModeDef): void {
  if (m.kind === "text") ctx.video.fill16(m.segment << 4, 0x4000, 0x0720);
  else if (m.kind === "cga4" || m.kind === "cga2") ctx.video.fill16(0xb8000, 0x4000, 0);
  else ctx.video.fill16(0xa0000, 0x8000, 0);
}

/** Sets mode `request` (bit 7: keep memory). Returns the mode found, undefined when there is none of that number. */
export function setMode(ctx: BiosContext, request: number): VideoModeDef | undefined {
  const m = findMode(request);
  if (m === undefined) return undefined;
  const mem = ctx.mem;
  const flags = mem.read8(BDA.VGA_FLAGS);
  const lines = textLines(ctx);
  const table = PARAMETER_TABLES[tableIndex(m, m.mode === 7 && lines === 200 ? 400 : lines)] ?? PARAMETER_TABLES[0x18];
  if (table === undefined) return undefined;
  setDispi(ctx, 4, 0);
  programRegisters(ctx, table);
  if ((flags & FLAGS.NO_PALETTE) === 0) loadDac(ctx, dacColors(m.dac), (flags & FLAGS.GREY_SUM) !== 0);
  const keep = (request & 0x80) !== 0;
  if (!keep) clearMemory(ctx, m);
  const cell = table[2] ?? 16;
  fillDataArea(ctx, m, table, keep);
  if (m.kind === "text") {
    loadRomFont(ctx, cell, 0);
    setIndexed(ctx, PORT.SEQ, 3, 0);
  }
  setFontVectors(ctx, m, cell);
  screenOn(ctx);
  return m;
}

function setFontVectors(ctx: BiosContext, m: VideoModeDef, cell: number): void {
  setVector(ctx, IVT.FONT_HIGH, VIDEO_ROM_SEGMENT, ROM_FONT.F8 + 0x400);
  const font = m.kind === "text" || cell === 16 ? ROM_FONT.F16 : cell === 14 ? ROM_FONT.F14 : ROM_FONT.F8;
  setVector(ctx, IVT.FONT, VIDEO_ROM_SEGMENT, font);
}

function fillDataArea(ctx: BiosContext, m: VideoModeDef, table: Uint8Array, keep: boolean): void {
  const mem = ctx.mem;
  const cell = table[2] ?? 16;
  mem.write8(BDA.VIDEO_MODE, m.mode);
  mem.write16(BDA.COLUMNS, m.columns);
  mem.write16(BDA.PAGE_SIZE, m.pageBytes);
  mem.write16(BDA.PAGE_START, 0);
  for (let page = 0; page < 8; page++) mem.write16(BDA.CURSOR_POSITION + page * 2, 0);
  mem.write16(BDA.CURSOR_SHAPE, m.kind === "text" ? (m.mode === 7 ? 0x0b0c : 0x0607) : 0);
  mem.write8(BDA.ACTIVE_PAGE, 0);
  mem.write16(BDA.CRTC_PORT, ((table[9] ?? 1) & 1) !== 0 ? 0x3d4 : 0x3b4);
  mem.write8(BDA.CGA_MODE, m.cgaMode);
  mem.write8(BDA.CGA_PALETTE, m.mode === 6 ? 0x3f : 0x30);
  mem.write8(BDA.ROWS, m.rows - 1);
  mem.write16(BDA.CELL_HEIGHT, cell);
  const info = mem.read8(BDA.EGA_INFO);
  mem.write8(BDA.EGA_INFO, (info & 0x7f) | (keep ? 0x80 : 0));
  mem.write16(BDA.VIDEO_SAVE_POINTER, ROM_TABLE.SAVE_POINTERS);
  mem.write16(BDA.VIDEO_SAVE_POINTER + 2, VIDEO_ROM_SEGMENT);
  mem.write16(OWN_DATA.VBE_MODE, 0);
}
