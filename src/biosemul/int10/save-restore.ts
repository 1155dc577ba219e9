/** Video state in a caller's buffer: AH=1C (VGA) and the parts that AX=4F04 shares. */
import { BDA, PORT } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";
import { ATTRIBUTE, getAttr, resetFlipFlop, setIndexed, OWN_DATA } from "./state.ts";

export const SAVE = { HARDWARE: 1, DATA_AREA: 2, DAC: 4 } as const;
const HARDWARE_BYTES = 0x60;
const DATA_BYTES = 0x60;
const DAC_BYTES = 0x308;

/** Bytes for the parts in `mask`. */
export function stateBytes(mask: number): number {
  return ((mask & 1) !== 0 ? HARDWARE_BYTES : 0) + ((mask & 2) !== 0 ? DATA_BYTES : 0) + ((mask & 4) !== 0 ? DAC_BYTES : 0);
}

/** Hardware part: indexes of SEQ, CRTC, GC, ATTR; feature; misc; SEQ 0-4; CRTC 0-18; ATTR 0-14; GC 0-8; CRTC port. */
function saveHardware(ctx: BiosContext, at: number): void {
  const { mem, ports } = ctx;
  const misc = ports.in8(PORT.MISC_READ);
  const crtc = (misc & 1) !== 0 ? 0x3d4 : 0x3b4;
  const seqIndex = ports.in8(PORT.SEQ);
  const crtcIndex = ports.in8(crtc);
  const gcIndex = ports.in8(PORT.GC);
  let p = at;
  for (const v of [seqIndex, crtcIndex, gcIndex, 0x20, ports.in8(PORT.FEATURE_READ), misc]) mem.write8(p++, v);
  for (let i = 0; i <= 4; i++) mem.write8(p++, indexed(ctx, PORT.SEQ, i));
  for (let i = 0; i <= 0x18; i++) mem.write8(p++, indexed(ctx, crtc, i));
  for (let i = 0; i <= 0x14; i++) mem.write8(p++, getAttr(ctx, i));
  for (let i = 0; i <= 8; i++) mem.write8(p++, indexed(ctx, PORT.GC, i));
  mem.write16(p, crtc);
  ports.out8(PORT.SEQ, seqIndex);
  ports.out8(crtc, crtcIndex);
  ports.out8(PORT.GC, gcIndex);
}

function indexed(ctx: BiosContext, port: number, index: number): number {
  ctx.ports.out8(port, index);
  return ctx.ports.in8(port + 1);
}

function restoreHardware(ctx: BiosContext, at: number): void {
  const { mem, ports } = ctx;
  const misc = mem.read8(at + 5);
  const crtc = (misc & 1) !== 0 ? 0x3d4 : 0x3b4;
  let p = at + 6;
  ports.out8(PORT.MISC_WRITE, misc);
  ports.out8(crtc + 6, mem.read8(at + 4));
  for (let i = 0; i <= 4; i++) setIndexed(ctx, PORT.SEQ, i, mem.read8(p++));
  setIndexed(ctx, crtc, 0x11, 0);
  for (let i = 0; i <= 0x18; i++) if (i !== 0x11) setIndexed(ctx, crtc, i, mem.read8(p + i));
  setIndexed(ctx, crtc, 0x11, mem.read8(p + 0x11));
  p += 0x19;
  resetFlipFlop(ctx);
  for (let i = 0; i <= 0x14; i++) {
    ports.out8(PORT.ATTR, i);
    ports.out8(PORT.ATTR, mem.read8(p++));
  }
  ports.out8(PORT.ATTR, mem.read8(at + 3) & 0x3f);
  resetFlipFlop(ctx);
  for (let i = 0; i <= 8; i++) setIndexed(ctx, PORT.GC, i, mem.read8(p++));
  ports.out8(PORT.SEQ, mem.read8(at));
  ports.out8(crtc, mem.read8(at + 1));
  ports.out8(PORT.GC, mem.read8(at + 2));
}

/** Data area part: 449-466, 484-48A, 4A8-4AB, our VBE word, vectors 1Fh and 43h. */
const DATA_PIECES: readonly (readonly [number, number])[] = [
  [BDA.VIDEO_MODE, 0x1e],
  [BDA.ROWS, 7],
  [BDA.VIDEO_SAVE_POINTER, 4],
  [OWN_DATA.VBE_MODE, 2],
  [0x7c, 4],
  [0x10c, 4],
  [BDA.EQUIPMENT, 1],
];

function moveDataArea(ctx: BiosContext, at: number, restore: boolean): void {
  let p = at;
  for (const [address, bytes] of DATA_PIECES) {
    for (let i = 0; i < bytes; i++, p++) {
      if (!restore) ctx.mem.write8(p, ctx.mem.read8(address + i));
      else if (address !== BDA.EQUIPMENT) ctx.mem.write8(address + i, ctx.mem.read8(p));
      else ctx.mem.write8(BDA.EQUIPMENT, (ctx.mem.read8(BDA.EQUIPMENT) & ~0x30) | (ctx.mem.read8(p) & 0x30));
    }
  }
}

function saveDac(ctx: BiosContext, at: number): void {
  const { mem, ports } = ctx;
  mem.write8(at, ports.in8(PORT.DAC_READ));
  mem.write8(at + 1, ports.in8(PORT.DAC_WRITE));
  mem.write8(at + 2, ports.in8(PORT.PEL_MASK));
  ports.out8(PORT.DAC_READ, 0);
  for (let i = 0; i < 768; i++) mem.write8(at + 3 + i, ports.in8(PORT.DAC_DATA));
  mem.write8(at + 3 + 768, getAttr(ctx, ATTRIBUTE.PAGE));
}

function restoreDac(ctx: BiosContext, at: number): void {
  const { mem, ports } = ctx;
  ports.out8(PORT.PEL_MASK, mem.read8(at + 2));
  ports.out8(PORT.DAC_WRITE, 0);
  for (let i = 0; i < 768; i++) ports.out8(PORT.DAC_DATA, mem.read8(at + 3 + i));
  if (mem.read8(at) === 3) ports.out8(PORT.DAC_READ, mem.read8(at + 1));
  else ports.out8(PORT.DAC_WRITE, mem.read8(at + 1));
}

/** Saves or restores the parts in `mask` at `at`; returns the address behind them. */
export function moveState(ctx: BiosContext, mask: number, at: number, restore: boolean): number {
  let p = at;
  if ((mask & SAVE.HARDWARE) !== 0) {
    if (restore) restoreHardware(ctx, p);
    else saveHardware(ctx, p);
    p += HARDWARE_BYTES;
  }
  if ((mask & SAVE.DATA_AREA) !== 0) {
    moveDataArea(ctx, p, restore);
    p += DATA_BYTES;
  }
  if ((mask & SAVE.DAC) !== 0) {
    if (restore) restoreDac(ctx, p);
    else saveDac(ctx, p);
    p += DAC_BYTES;
  }
  return p;
}

/** AH=1Ch. */
export function saveRestoreService(ctx: BiosContext): void {
  const r = ctx.regs;
  const mask = r.cx & 7;
  if (r.al > 2) return;
  if (r.al === 0) r.bx = (stateBytes(mask) + 63) >> 6;
  else moveState(ctx, mask, ctx.linear(r.selector("es"), r.bx), r.al === 2);
  r.al = 0x1c;
}
