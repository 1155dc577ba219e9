/** AH=0B (CGA colours) and AH=10 (attribute palette and DAC). */
import { BDA, PORT } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";
import { findMode } from "./modes.ts";
import { greySum } from "./palettes.ts";
import { ATTRIBUTE, FLAGS, getAttr, setAttr, setDac } from "./state.ts";

/** AH=0B: BH=0 border and background in BL, BH=1 one of the two 4-colour palettes. */
export function setCgaColor(ctx: BiosContext): void {
  const r = ctx.regs;
  const mode = findMode(ctx.mem.read8(BDA.VIDEO_MODE));
  const graphics = mode !== undefined && mode.kind !== "text";
  const cga = ctx.mem.read8(BDA.CGA_PALETTE);
  if (r.bh === 0) {
    const color = (r.bl & 7) | ((r.bl & 8) << 1);
    setAttr(ctx, ATTRIBUTE.BORDER, color);
    if (graphics) {
      setAttr(ctx, 0, color);
      if (mode.kind === "cga4") for (let i = 1; i <= 3; i++) setAttr(ctx, i, (getAttr(ctx, i) & ~0x10) | (r.bl & 0x10));
    }
    ctx.mem.write8(BDA.CGA_PALETTE, (cga & ~0x1f) | (r.bl & 0x1f));
  } else if (r.bh === 1) {
    if (mode?.kind === "cga4") for (let i = 1; i <= 3; i++) setAttr(ctx, i, (getAttr(ctx, i) & ~1) | (r.bl & 1));
    ctx.mem.write8(BDA.CGA_PALETTE, (cga & ~0x20) | ((r.bl & 1) << 5));
  }
}

function readDac(ctx: BiosContext, index: number): readonly [number, number, number] {
  ctx.ports.out8(PORT.DAC_READ, index & 0xff);
  return [ctx.ports.in8(PORT.DAC_DATA), ctx.ports.in8(PORT.DAC_DATA), ctx.ports.in8(PORT.DAC_DATA)];
}

/** Writes a colour, summed to grey when AH=12 BL=33 asked for it. */
function writeDac(ctx: BiosContext, index: number, r: number, g: number, b: number): void {
  if ((ctx.mem.read8(BDA.VGA_FLAGS) & FLAGS.GREY_SUM) !== 0) {
    const y = greySum(r & 0x3f, g & 0x3f, b & 0x3f);
    setDac(ctx, index, y, y, y);
  } else setDac(ctx, index, r, g, b);
}

export function sumToGrey(ctx: BiosContext, first: number, count: number): void {
  for (let i = 0; i < Math.min(count, 256); i++) {
    const [r, g, b] = readDac(ctx, first + i);
    const y = greySum(r, g, b);
    setDac(ctx, first + i, y, y, y);
  }
}

/** AH=10h. */
export function paletteService(ctx: BiosContext): void {
  if (ctx.regs.al < 0x10) attributeService(ctx);
  else dacService(ctx);
}

/** AL=00-09: the attribute controller's palette, the border and blinking. */
function attributeService(ctx: BiosContext): void {
  const r = ctx.regs;
  const mem = ctx.mem;
  switch (r.al) {
    case 0x00:
      if (r.bl <= ATTRIBUTE.PAGE) setAttr(ctx, r.bl, r.bh);
      return;
    case 0x01:
      setAttr(ctx, ATTRIBUTE.BORDER, r.bh);
      return;
    case 0x02: {
      const from = ctx.linear(r.selector("es"), r.dx);
      for (let i = 0; i < 16; i++) setAttr(ctx, i, mem.read8(from + i));
      setAttr(ctx, ATTRIBUTE.BORDER, mem.read8(from + 16));
      return;
    }
    case 0x03: {
      const on = (r.bl & 1) !== 0;
      setAttr(ctx, ATTRIBUTE.MODE, (getAttr(ctx, ATTRIBUTE.MODE) & ~8) | (on ? 8 : 0));
      mem.write8(BDA.CGA_MODE, (mem.read8(BDA.CGA_MODE) & ~0x20) | (on ? 0x20 : 0));
      return;
    }
    case 0x07:
      if (r.bl <= ATTRIBUTE.PAGE) r.bh = getAttr(ctx, r.bl);
      return;
    case 0x08:
      r.bh = getAttr(ctx, ATTRIBUTE.BORDER);
      return;
    case 0x09: {
      const to = ctx.linear(r.selector("es"), r.dx);
      for (let i = 0; i < 16; i++) mem.write8(to + i, getAttr(ctx, i));
      mem.write8(to + 16, getAttr(ctx, ATTRIBUTE.BORDER));
      return;
    }
    default:
  }
}

/** AL=10-1B: the DAC's colours and the pages the palette takes them from. */
function dacService(ctx: BiosContext): void {
  const r = ctx.regs;
  const mem = ctx.mem;
  switch (r.al) {
    case 0x10:
      writeDac(ctx, r.bx, r.dh, r.ch, r.cl);
      return;
    case 0x12: {
      const from = ctx.linear(r.selector("es"), r.dx);
      const count = Math.min(r.cx, 256);
      for (let i = 0; i < count; i++) writeDac(ctx, r.bx + i, mem.read8(from + i * 3), mem.read8(from + i * 3 + 1), mem.read8(from + i * 3 + 2));
      return;
    }
    case 0x13:
      if (r.bl === 0) setAttr(ctx, ATTRIBUTE.MODE, (getAttr(ctx, ATTRIBUTE.MODE) & 0x7f) | ((r.bh & 1) << 7));
      else if (r.bl === 1) setAttr(ctx, ATTRIBUTE.PAGE, (getAttr(ctx, ATTRIBUTE.MODE) & 0x80) !== 0 ? r.bh & 15 : (r.bh & 3) << 2);
      return;
    case 0x15: {
      const [red, green, blue] = readDac(ctx, r.bx);
      r.dh = red;
      r.ch = green;
      r.cl = blue;
      return;
    }
    case 0x17: {
      const to = ctx.linear(r.selector("es"), r.dx);
      const count = Math.min(r.cx, 256);
      for (let i = 0; i < count; i++) readDac(ctx, r.bx + i).forEach((v, c) => mem.write8(to + i * 3 + c, v));
      return;
    }
    case 0x18:
      ctx.ports.out8(PORT.PEL_MASK, r.bl);
      return;
    case 0x19:
      r.bl = ctx.ports.in8(PORT.PEL_MASK);
      return;
    case 0x1a: {
      const paged16 = (getAttr(ctx, ATTRIBUTE.MODE) & 0x80) !== 0;
      const page = getAttr(ctx, ATTRIBUTE.PAGE);
      r.bl = paged16 ? 1 : 0;
      r.bh = paged16 ? page & 15 : (page >> 2) & 3;
      return;
    }
    case 0x1b:
      sumToGrey(ctx, r.bx, r.cx);
      return;
    default:
  }
}
