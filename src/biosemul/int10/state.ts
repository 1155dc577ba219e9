/** Video fields of the BIOS data area and VGA register access through ports. */
import { BDA, PORT } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";

/** Our own use of the data area's reserved cells. */
export const OWN_DATA = {
  /** The VBE mode set last with its flag bits, 0 when none. */
  VBE_MODE: 0x4ba,
  /** The DPMS state set last (AX=4F10h). */
  DPMS: 0x4bc,
} as const;

/** BDA 449h while a VBE mode without a VGA number is on. */
export const MODE_VBE = 0x7f;

/** BDA 489h bits. */
export const FLAGS = { VGA: 0x01, GREY_SUM: 0x02, MONO: 0x04, NO_PALETTE: 0x08, LINES_400: 0x10, LINES_200: 0x80 } as const;

export const IVT = { FONT_HIGH: 0x1f * 4, FONT: 0x43 * 4 } as const;

/** Writes an index/data register pair with one 16-bit OUT. */
export function setIndexed(ctx: BiosContext, port: number, index: number, value: number): void {
  ctx.ports.out16(port, ((value & 0xff) << 8) | index);
}

export function getIndexed(ctx: BiosContext, port: number, index: number): number {
  ctx.ports.out8(port, index);
  return ctx.ports.in8(port + 1);
}

export function crtcPort(ctx: BiosContext): number {
  return saneCrtcPort(ctx.mem.read16(BDA.CRTC_PORT));
}
/** A guest can write anything to the data area; only the two real addresses are used. */
export function saneCrtcPort(port: number): number {
  return port === PORT.CRTC_MONO ? PORT.CRTC_MONO : PORT.CRTC_COLOR;
}

/** Input status 1 read: the attribute controller expects an index next. Both ports, since one of them is silent. */
export function resetFlipFlop(ctx: BiosContext): void {
  ctx.ports.in8(PORT.INPUT_STATUS_MONO);
  ctx.ports.in8(PORT.INPUT_STATUS_COLOR);
}

/** Registers of the attribute controller after the 16 of the palette. */
export const ATTRIBUTE = { MODE: 0x10, BORDER: 0x11, PAGE: 0x14 } as const;

/** Reads attribute register `index`; the screen stays on. */
export function getAttr(ctx: BiosContext, index: number): number {
  resetFlipFlop(ctx);
  ctx.ports.out8(PORT.ATTR, index);
  const v = ctx.ports.in8(PORT.ATTR_READ);
  resetFlipFlop(ctx);
  ctx.ports.out8(PORT.ATTR, 0x20);
  return v;
}

export function setAttr(ctx: BiosContext, index: number, value: number): void {
  resetFlipFlop(ctx);
  ctx.ports.out8(PORT.ATTR, index & 0x1f);
  ctx.ports.out8(PORT.ATTR, value & 0xff);
  ctx.ports.out8(PORT.ATTR, 0x20);
}

export function setDac(ctx: BiosContext, index: number, r: number, g: number, b: number): void {
  const p = ctx.ports;
  p.out8(PORT.DAC_WRITE, index & 0xff);
  p.out8(PORT.DAC_DATA, r);
  p.out8(PORT.DAC_DATA, g);
  p.out8(PORT.DAC_DATA, b);
}

export function getDispi(ctx: BiosContext, index: number): number {
  ctx.ports.out16(PORT.VBE_INDEX, index);
  return ctx.ports.in16(PORT.VBE_DATA);
}

export function setDispi(ctx: BiosContext, index: number, value: number): void {
  ctx.ports.out16(PORT.VBE_INDEX, index);
  ctx.ports.out16(PORT.VBE_DATA, value & 0xffff);
}

/** Columns of the screen, kept sane against a data area that a guest scribbled over. */
export function columnsOf(ctx: BiosContext): number {
  return saneColumns(ctx.mem.read16(BDA.COLUMNS));
}
export function saneColumns(columns: number): number {
  return columns === 0 || columns > 512 ? 80 : columns;
}

/** Text rows of the screen. */
export function rowsOf(ctx: BiosContext): number {
  return ctx.mem.read8(BDA.ROWS) + 1;
}

export function cellHeightOf(ctx: BiosContext): number {
  const h = ctx.mem.read8(BDA.CELL_HEIGHT);
  return h === 0 || h > 32 ? 16 : h;
}

export function setVector(ctx: BiosContext, address: number, segment: number, offset: number): void {
  ctx.mem.write16(address, offset);
  ctx.mem.write16(address + 2, segment);
}
