/** The 256-byte ModeInfoBlock of AX=4F01h. */
import type { VideoEnv } from "./env.ts";
import { findMode } from "./modes.ts";
import { ROM_TABLE, VIDEO_ROM_SEGMENT } from "./rom-layout.ts";
import { bytesPerLine, findVbeMode } from "./vbe-modes.ts";

/** Red, green, blue and reserved: size and position. */
function colorFields(bpp: number): readonly (readonly [number, number])[] {
  switch (bpp) {
    case 15:
      return [
        [5, 10],
        [5, 5],
        [5, 0],
        [1, 15],
      ];
    case 16:
      return [
        [5, 11],
        [6, 5],
        [5, 0],
        [0, 0],
      ];
    case 24:
      return [
        [8, 16],
        [8, 8],
        [8, 0],
        [0, 0],
      ];
    case 32:
      return [
        [8, 16],
        [8, 8],
        [8, 0],
        [8, 24],
      ];
    default:
      return [
        [0, 0],
        [0, 0],
        [0, 0],
        [0, 0],
      ];
  }
}

const SUPPORTED = 1;
const EXTENDED = 2;
const BIOS_OUTPUT = 4;
const COLOR = 8;
const GRAPHICS = 0x10;
/** The VGA's own registers do not work in this mode: the dispi interface shows the picture, whatever they say. */
const NOT_VGA = 0x20;
const LFB = 0x80;

/** Undefined: no such mode. Modes below 100h are described too, without a linear frame buffer. */
export function modeInfo(env: VideoEnv, number: number): Uint8Array | undefined {
  const mode = number & 0x3fff;
  if (mode < 0x100) return standardInfo(mode);
  const m = findVbeMode(mode, env.vramBytes);
  if (m === undefined || mode > 0x1ff) return undefined;
  const b = new Uint8Array(256);
  const v = new DataView(b.buffer);
  const isText = m.bpp === 0;
  const linear = m.bpp >= 8;
  const line = bytesPerLine(m.bpp, m.width);
  const imageBytes = line * m.height;
  const memory = m.bpp === 4 ? env.vramBytes / 4 : isText ? 0x8000 : env.vramBytes;
  const images = Math.max(1, Math.min(256, Math.floor(memory / imageBytes))) - 1;
  v.setUint16(0, SUPPORTED | EXTENDED | BIOS_OUTPUT | COLOR | (isText ? 0 : GRAPHICS | NOT_VGA) | (linear ? LFB : 0), true);
  b[2] = 7;
  v.setUint16(4, isText ? 32 : 64, true);
  v.setUint16(6, isText ? 32 : 64, true);
  v.setUint16(8, isText ? 0xb800 : 0xa000, true);
  if (!isText) {
    v.setUint16(0x0c, ROM_TABLE.WINDOW_CALL, true);
    v.setUint16(0x0e, VIDEO_ROM_SEGMENT, true);
  }
  v.setUint16(0x10, line, true);
  v.setUint16(0x12, m.width, true);
  v.setUint16(0x14, m.height, true);
  b[0x16] = 8;
  b[0x17] = isText ? (m.height <= 25 ? 16 : 8) : cellHeight(m.height);
  b[0x18] = linear ? 1 : 4;
  b[0x19] = isText ? 4 : m.bpp;
  b[0x1a] = 1;
  b[0x1b] = isText ? 0 : m.bpp === 4 ? 3 : m.bpp === 8 ? 4 : 6;
  b[0x1d] = images;
  b[0x1e] = 1;
  const fields = colorFields(m.bpp);
  fields.forEach(([size, position], i) => {
    b[0x1f + i * 2] = size;
    b[0x20 + i * 2] = position;
    b[0x36 + i * 2] = size;
    b[0x37 + i * 2] = position;
  });
  b[0x27] = m.bpp === 32 || m.bpp === 15 ? 2 : 0;
  if (linear) v.setUint32(0x28, env.lfbBase() >>> 0, true);
  v.setUint16(0x32, line, true);
  b[0x34] = images;
  b[0x35] = images;
  if (!isText) v.setUint32(0x3e, 230_000_000, true);
  return b;
}

export function cellHeight(lines: number): number {
  return lines < 350 ? 8 : lines < 400 ? 14 : 16;
}

function standardInfo(number: number): Uint8Array | undefined {
  const m = number < 0x80 ? findMode(number) : undefined;
  if (m === undefined) return undefined;
  const b = new Uint8Array(256);
  const v = new DataView(b.buffer);
  const isText = m.kind === "text";
  const bpp = m.kind === "linear8" ? 8 : m.kind === "cga4" ? 2 : m.kind === "cga2" ? 1 : 4;
  const line = isText ? m.columns * 2 : m.kind === "planar" ? m.columns : (m.width * bpp) >> 3;
  v.setUint16(0, SUPPORTED | EXTENDED | BIOS_OUTPUT | (m.colors > 0 ? COLOR : 0) | (isText ? 0 : GRAPHICS), true);
  b[2] = 7;
  v.setUint16(4, m.segment === 0xa000 ? 64 : 32, true);
  v.setUint16(6, m.segment === 0xa000 ? 64 : 32, true);
  v.setUint16(8, m.segment, true);
  v.setUint16(0x10, line, true);
  v.setUint16(0x12, isText ? m.columns : m.width, true);
  v.setUint16(0x14, isText ? m.rows : m.height, true);
  b[0x16] = 8;
  b[0x17] = m.cellHeight;
  b[0x18] = isText || m.kind === "planar" ? 4 : 1;
  b[0x19] = bpp;
  b[0x1a] = m.kind === "cga4" || m.kind === "cga2" ? 2 : 1;
  b[0x1b] = isText ? 0 : m.kind === "planar" ? 3 : m.kind === "linear8" ? 4 : 1;
  b[0x1c] = b[0x1a] === 2 ? 8 : 0;
  b[0x1d] = m.pages - 1;
  b[0x1e] = 1;
  v.setUint16(0x32, line, true);
  return b;
}
