/** AH=12 (alternate select), 1A (display combination) and 1B (functionality and state). */
import { BDA, PORT } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";
import { findMode } from "./modes.ts";
import { ROM_TABLE, VIDEO_ROM_SEGMENT } from "./rom-layout.ts";
import { ATTRIBUTE, FLAGS, getAttr, getIndexed, setIndexed } from "./state.ts";
import { textLines } from "./font-load.ts";

/** Display combination codes (active, alternate) by DCC index; in the ROM's DCC table too. */
export const DCC_TABLE: readonly (readonly [number, number])[] = [
  [0, 0],
  [1, 0],
  [2, 0],
  [2, 1],
  [4, 0],
  [4, 1],
  [5, 0],
  [5, 2],
  [8, 0],
  [6, 0],
  [6, 1],
  [6, 5],
  [8, 1],
  [7, 0],
  [7, 2],
  [7, 6],
];

/** AH=12h. */
export function alternateSelect(ctx: BiosContext): void {
  const r = ctx.regs;
  const mem = ctx.mem;
  const flag = (address: number, mask: number, on: boolean): void => {
    mem.write8(address, on ? mem.read8(address) | mask : mem.read8(address) & ~mask & 0xff);
    r.al = 0x12;
  };
  switch (r.bl) {
    case 0x10:
      r.bh = (mem.read16(BDA.CRTC_PORT) & 0xff) === 0xb4 ? 1 : 0;
      r.bl = 3;
      r.ch = mem.read8(BDA.EGA_SWITCHES) >> 4;
      r.cl = mem.read8(BDA.EGA_SWITCHES) & 15;
      return;
    case 0x20:
      // Alternate print screen: INT 05h's default prints any number of rows already.
      return;
    case 0x30: {
      if (r.al > 2) return;
      const old = mem.read8(BDA.VGA_FLAGS) & ~(FLAGS.LINES_200 | FLAGS.LINES_400);
      mem.write8(BDA.VGA_FLAGS, old | (r.al === 0 ? FLAGS.LINES_200 : r.al === 2 ? FLAGS.LINES_400 : 0));
      mem.write8(BDA.EGA_SWITCHES, (mem.read8(BDA.EGA_SWITCHES) & 0xf0) | (r.al === 0 ? 8 : 9));
      r.al = 0x12;
      return;
    }
    case 0x31:
      flag(BDA.VGA_FLAGS, FLAGS.NO_PALETTE, (r.al & 1) !== 0);
      return;
    case 0x32: {
      const misc = ctx.ports.in8(PORT.MISC_READ);
      ctx.ports.out8(PORT.MISC_WRITE, (r.al & 1) === 0 ? misc | 2 : misc & ~2);
      r.al = 0x12;
      return;
    }
    case 0x33:
      flag(BDA.VGA_FLAGS, FLAGS.GREY_SUM, (r.al & 1) === 0);
      return;
    case 0x34:
      flag(BDA.EGA_INFO, 1, (r.al & 1) !== 0);
      return;
    case 0x35:
      r.al = 0x12;
      return;
    case 0x36: {
      const clocking = getIndexed(ctx, PORT.SEQ, 1);
      setIndexed(ctx, PORT.SEQ, 1, (r.al & 1) === 0 ? clocking & ~0x20 : clocking | 0x20);
      r.al = 0x12;
      return;
    }
    default:
  }
}

function displayCombination(ctx: BiosContext): readonly [number, number] {
  return DCC_TABLE[ctx.mem.read8(BDA.DCC_INDEX)] ?? [0xff, 0xff];
}

/** AH=1Ah. */
export function displayCombinationService(ctx: BiosContext): void {
  const r = ctx.regs;
  if (r.al === 0) {
    const [active, alternate] = displayCombination(ctx);
    r.al = 0x1a;
    r.bl = active;
    r.bh = alternate;
  } else if (r.al === 1) {
    const index = DCC_TABLE.findIndex(([a, b]) => (a === r.bl && b === r.bh) || (a === r.bh && b === r.bl));
    ctx.mem.write8(BDA.DCC_INDEX, index < 0 ? 0xff : index);
    r.al = 0x1a;
  }
}

/** Static functionality table: modes 0-7 and D-13, 200/350/400 lines, 8 font blocks of which 2 show, all services. */
export const STATIC_TABLE: readonly number[] = [0xff, 0xe0, 0x0f, 0, 0, 0, 0, 7, 2, 8, 0xff, 0x0e, 0, 0, 0x3f, 0];

/** AH=1Bh: 64 bytes at ES:DI. */
export function functionalityState(ctx: BiosContext): void {
  const r = ctx.regs;
  if (r.bx !== 0) return;
  const mem = ctx.mem;
  const at = ctx.linear(r.selector("es"), r.di);
  const mode = findMode(mem.read8(BDA.VIDEO_MODE));
  for (let i = 0; i < 64; i++) mem.write8(at + i, 0);
  mem.write16(at, ROM_TABLE.STATIC);
  mem.write16(at + 2, VIDEO_ROM_SEGMENT);
  for (let i = 0; i < 30; i++) mem.write8(at + 4 + i, mem.read8(BDA.VIDEO_MODE + i));
  mem.write8(at + 0x22, mem.read8(BDA.ROWS) + 1);
  mem.write16(at + 0x23, mem.read16(BDA.CELL_HEIGHT));
  const [active, alternate] = displayCombination(ctx);
  mem.write8(at + 0x25, active);
  mem.write8(at + 0x26, alternate);
  mem.write16(at + 0x27, mode?.colors ?? 0);
  mem.write8(at + 0x29, mode?.pages ?? 1);
  const lines = mode === undefined ? 3 : mode.kind === "text" ? [200, 350, 400].indexOf(textLines(ctx)) : [200, 350, 400, 480].indexOf(mode.height);
  mem.write8(at + 0x2a, lines < 0 ? 3 : lines);
  const map = getIndexed(ctx, PORT.SEQ, 3);
  mem.write8(at + 0x2b, (map & 3) | ((map >> 2) & 4));
  mem.write8(at + 0x2c, ((map >> 2) & 3) | ((map >> 3) & 4));
  const flags = mem.read8(BDA.VGA_FLAGS);
  const blink = (getAttr(ctx, ATTRIBUTE.MODE) & 8) !== 0 ? 0x20 : 0;
  const emulation = (mem.read8(BDA.EGA_INFO) & 1) === 0 ? 0x10 : 0;
  mem.write8(at + 0x2d, 1 | (flags & 0x0e) | emulation | blink);
  mem.write8(at + 0x31, 3);
  mem.write8(at + 0x32, 0x20);
  r.al = 0x1b;
}
