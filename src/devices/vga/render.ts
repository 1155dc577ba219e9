import { addressMapper, cursorAddress, fontBases, isTextMode, paletteToDac, startAddress, type ScanoutSource } from "./scanout.ts";
import { cellHeight, textSize } from "./text-screen.ts";
import { displayLines } from "./timing.ts";

export type { ScanoutSource } from "./scanout.ts";

/** A picture of the screen. */
export interface Frame {
  readonly width: number;
  readonly height: number;
  /** width * height * 4 bytes, R G B A; A is 255. */
  readonly rgba: Uint8Array;
}

/** What the display shows; `bpp`: bits a pixel, 1 to 32; 4 in text modes. */
export interface VideoMode {
  readonly kind: "text" | "graphics";
  /** Characters in text modes, pixels in graphics modes. */
  readonly width: number;
  readonly height: number;
  readonly bpp: number;
}

/** How to draw. */
export interface RenderOptions {
  /** Draw cursor and blinking characters as lit (true) or dark (false) instead of by the frame count. */
  readonly blinkPhase?: boolean;
}

const BLACK = 0xff000000;

export function videoMode(v: ScanoutSource): VideoMode {
  if (v.dispi.enabled) return { kind: "graphics", width: v.dispi.width, height: v.dispi.height, bpp: v.dispi.bpp };
  if (isTextMode(v)) {
    const { columns, rows } = textSize(v);
    return { kind: "text", width: columns, height: rows, bpp: 4 };
  }
  const g = graphicsGeometry(v);
  return { kind: "graphics", width: g.width, height: g.height, bpp: g.shift256 ? 8 : g.interleaved ? 2 : graphicsBpp(v) };
}

/** Planar depth: planes that are displayed. */
function graphicsBpp(v: ScanoutSource): number {
  const planes = (v.attr[0x12] ?? 0) & 15;
  return planes === 1 ? 1 : planes === 3 || planes === 5 ? 2 : 4;
}

interface GraphicsGeometry {
  readonly width: number;
  readonly height: number;
  /** CRTC lines for one line of the picture. */
  readonly lineStep: number;
  readonly shift256: boolean;
  readonly interleaved: boolean;
}

function graphicsGeometry(v: ScanoutSource): GraphicsGeometry {
  const shift256 = ((v.gc[5] ?? 0) & 0x40) !== 0;
  const interleaved = !shift256 && ((v.gc[5] ?? 0) & 0x20) !== 0;
  const crtc = v.crtc;
  const chars = (crtc[1] ?? 0) + 1;
  const double = ((crtc[9] ?? 0) & 0x80) !== 0 ? 2 : 1;
  // Row-scan substitution (CRTC 17h bits 0, 1) makes the lines of a character row differ; otherwise they repeat.
  const repeat = ((crtc[0x17] ?? 0) & 3) === 3 ? cellHeight(crtc) : 1;
  const lineStep = double * repeat;
  return {
    width: chars * (shift256 && ((v.attr[0x10] ?? 0) & 0x40) !== 0 ? 4 : 8),
    height: Math.max(1, Math.floor(displayLines(crtc) / lineStep)),
    lineStep,
    shift256,
    interleaved,
  };
}

export function renderFrame(v: ScanoutSource, options?: RenderOptions): Frame {
  if (v.dispi.enabled) return v.dispi.bpp === 4 ? renderVbePlanar(v) : renderVbe(v);
  return isTextMode(v) ? renderText(v, options?.blinkPhase) : renderGraphics(v);
}

function frame(width: number, height: number): { rgba: Uint8Array; pixels: Uint32Array } {
  const rgba = new Uint8Array(width * height * 4);
  const pixels = new Uint32Array(rgba.buffer);
  pixels.fill(BLACK);
  return { rgba, pixels };
}

/** RGBA of the 16 attribute colours. */
function colors16(v: ScanoutSource): Uint32Array {
  return Uint32Array.from({ length: 16 }, (_, i) => v.dac.color(paletteToDac(v.attr, i) & v.dac.mask));
}

/** RGBA of the 256 values of an 8-bit pixel; each half passes the internal palette, which 256-colour modes load one to one. */
function colors256(v: ScanoutSource): Uint32Array {
  const attr = v.attr;
  return Uint32Array.from({ length: 256 }, (_, i) => v.dac.color(((((attr[i >> 4] ?? 0) & 15) << 4) | ((attr[i & 15] ?? 0) & 15)) & v.dac.mask));
}

// ---- text --------------------------------------------------------------------------------------------------------------------

function renderText(v: ScanoutSource, blinkPhase: boolean | undefined): Frame {
  const { columns } = textSize(v);
  const { crtc, attr, seq } = v;
  const dots = ((seq[1] ?? 0) & 1) !== 0 ? 8 : 9;
  const double = ((crtc[9] ?? 0) & 0x80) !== 0 ? 2 : 1;
  const lines = Math.max(1, Math.floor(displayLines(crtc) / double));
  const width = columns * dots;
  const { rgba, pixels } = frame(width, lines);
  if (!v.screenOn) return { width, height: lines, rgba };
  const palette = colors16(v);
  const map = addressMapper(crtc);
  const words = v.memory.words;
  const bytes = v.memory.bytes;
  const [fontB, fontA] = fontBases(seq);
  const mode = attr[0x10] ?? 0;
  const blinking = (mode & 8) !== 0;
  const lineGraphics = (mode & 4) !== 0;
  const textLit = blinkPhase ?? (v.frameCount & 32) === 0;
  const cursorLit = blinkPhase ?? (v.frameCount & 16) === 0;
  const height = cellHeight(crtc);
  const pitch = (crtc[0x13] ?? 0) << 1;
  const lineCompare = lineCompareOf(crtc);
  const cursorAt = cursorAddress(crtc);
  const cursorFirst = (crtc[0x0a] ?? 0) & 0x1f;
  const cursorLast = (crtc[0x0b] ?? 0) & 0x1f;
  const cursorOn = ((crtc[0x0a] ?? 0) & 0x20) === 0 && cursorLit;
  const underline = (crtc[0x14] ?? 0) & 0x1f;
  const panMax = dots === 9 ? 8 : 7;
  const panReg = (attr[0x13] ?? 0) & 15;
  let pan = dots === 9 ? (panReg >= 8 ? 0 : panReg + 1) : panReg & 7;
  if (pan > panMax) pan = 0;
  let row = (startAddress(crtc) + (((crtc[8] ?? 0) >> 5) & 3)) & 0xffff;
  let scan = (crtc[8] ?? 0) & 0x1f;
  const strip = new Uint32Array((columns + 1) * dots);
  for (let y = 0; y < lines; y++) {
    for (let x = 0; x < columns + 1; x++) {
      const ma = (row + x) & 0xffff;
      const cell = words[map(ma)] ?? 0;
      const ch = cell & 0xff;
      const at = (cell >> 8) & 0xff;
      let bits = bytes[((((at & 8) !== 0 ? fontA : fontB) + (ch << 5) + scan) << 2) + 2] ?? 0;
      bits <<= 1;
      if (lineGraphics && (ch & 0xe0) === 0xc0) bits |= (bits >> 1) & 1;
      if (scan === underline && (at & 0x77) === 0x01) bits = 0x1ff;
      if (blinking && (at & 0x80) !== 0 && !textLit) bits = 0;
      if (cursorOn && ma === cursorAt && scan >= cursorFirst && scan <= cursorLast) bits = 0x1ff;
      const fg = palette[at & 15] ?? BLACK;
      const bg = palette[blinking ? (at >> 4) & 7 : at >> 4] ?? BLACK;
      const to = x * dots;
      for (let d = 0; d < dots; d++) strip[to + d] = (bits & (0x100 >> d)) !== 0 ? fg : bg;
    }
    pixels.set(strip.subarray(pan, pan + width), y * width);
    if (scan === height - 1) {
      scan = 0;
      row = (row + pitch) & 0xffff;
    } else scan = (scan + 1) & 0x1f;
    if ((y + 1) * double > lineCompare && y * double <= lineCompare) {
      row = 0;
      scan = 0;
      if ((mode & 0x20) !== 0) pan = 0;
    }
  }
  return { width, height: lines, rgba };
}

function lineCompareOf(crtc: Uint8Array): number {
  return (crtc[0x18] ?? 0) | (((crtc[7] ?? 0) & 0x10) << 4) | (((crtc[9] ?? 0) & 0x40) << 3);
}

// ---- VGA graphics --------------------------------------------------------------------------------------------------------------

function renderGraphics(v: ScanoutSource): Frame {
  const g = graphicsGeometry(v);
  const { crtc, attr } = v;
  const { width, height } = g;
  const { rgba, pixels } = frame(width, height);
  if (!v.screenOn) return { width, height, rgba };
  const words = v.memory.words;
  const map = addressMapper(crtc);
  const packed = g.shift256 && width === ((crtc[1] ?? 0) + 1) * 4;
  const palette = g.shift256 ? colors256(v) : colors16(v);
  const perChar = packed ? 4 : 8;
  const chars = width / perChar;
  const control = crtc[0x17] ?? 0;
  const countShift = ((crtc[0x14] ?? 0) & 0x20) !== 0 ? 2 : (control & 8) !== 0 ? 1 : 0;
  const substitute13 = (control & 1) === 0;
  const substitute14 = (control & 2) === 0;
  const pitch = (crtc[0x13] ?? 0) << 1;
  const rowLines = cellHeight(crtc);
  const double = ((crtc[9] ?? 0) & 0x80) !== 0 ? 2 : 1;
  const lineCompare = lineCompareOf(crtc);
  const panReg = (attr[0x13] ?? 0) & 15;
  let pan = packed ? (panReg >> 1) & 3 : panReg & 7;
  let row = (startAddress(crtc) + (((crtc[8] ?? 0) >> 5) & 3)) & 0xffff;
  let scan = (crtc[8] ?? 0) & 0x1f;
  let half = 0;
  const strip = new Uint32Array((chars + 1) * perChar);
  const total = displayLines(crtc);
  for (let line = 0; line < total; line++) {
    if (line % g.lineStep === 0 && line / g.lineStep < height) {
      for (let x = 0; x <= chars; x++) {
        let a = map((row + (x >> countShift)) & 0xffff);
        if (substitute13) a = (a & ~0x2000) | ((scan & 1) << 13);
        if (substitute14) a = (a & ~0x4000) | ((scan & 2) << 13);
        const word = words[a] ?? 0;
        if (packed) decodePacked(word, strip, x * 4, palette);
        else if (g.shift256) decodeNibbles(word, strip, x * 8, palette);
        else if (g.interleaved) decodeInterleaved(word, strip, x * 8, palette);
        else decodePlanar(word, strip, x * 8, palette);
      }
      pixels.set(strip.subarray(pan, pan + width), (line / g.lineStep) * width);
    }
    half++;
    if (half >= double) {
      half = 0;
      if (scan === rowLines - 1) {
        scan = 0;
        row = (row + pitch) & 0xffff;
      } else scan = (scan + 1) & 0x1f;
    }
    if (line === lineCompare) {
      row = 0;
      scan = 0;
      half = 0;
      if (((attr[0x10] ?? 0) & 0x20) !== 0) pan = 0;
    }
  }
  return { width, height, rgba };
}

function decodePacked(word: number, out: Uint32Array, to: number, palette: Uint32Array): void {
  out[to] = palette[word & 0xff] ?? BLACK;
  out[to + 1] = palette[(word >> 8) & 0xff] ?? BLACK;
  out[to + 2] = palette[(word >> 16) & 0xff] ?? BLACK;
  out[to + 3] = palette[word >>> 24] ?? BLACK;
}

/** 256-colour shift without the 8-bit attribute mode: each nibble is a pixel. */
function decodeNibbles(word: number, out: Uint32Array, to: number, palette: Uint32Array): void {
  for (let i = 0; i < 4; i++) {
    const b = (word >> (i * 8)) & 0xff;
    out[to + i * 2] = palette[b >> 4] ?? BLACK;
    out[to + i * 2 + 1] = palette[b & 15] ?? BLACK;
  }
}

/** CGA shift: pairs of bits of plane 0 then plane 1; planes 2 and 3 give the upper two bits. */
function decodeInterleaved(word: number, out: Uint32Array, to: number, palette: Uint32Array): void {
  for (let i = 0; i < 8; i++) {
    const pair = word >> (i < 4 ? 0 : 8);
    const shift = 6 - (i & 3) * 2;
    out[to + i] = palette[((pair >> shift) & 3) | (((pair >> (16 + shift)) & 3) << 2)] ?? BLACK;
  }
}

function decodePlanar(word: number, out: Uint32Array, to: number, palette: Uint32Array): void {
  for (let i = 0; i < 8; i++) {
    const s = 7 - i;
    out[to + i] = palette[((word >> s) & 1) | ((word >> (s + 7)) & 2) | ((word >> (s + 14)) & 4) | ((word >> (s + 21)) & 8)] ?? BLACK;
  }
}

// ---- VBE --------------------------------------------------------------------------------------------------------------------

function renderVbe(v: ScanoutSource): Frame {
  const d = v.dispi;
  const { width, height, bpp } = d;
  const { rgba, pixels } = frame(width, height);
  if (!v.screenOn) return { width, height, rgba };
  const bytes = v.memory.bytes;
  const stride = d.strideBytes;
  const step = (bpp + 7) >>> 3;
  const palette = bpp === 8 ? Uint32Array.from({ length: 256 }, (_, i) => v.dac.color(i & v.dac.mask)) : undefined;
  const limit = bytes.length;
  for (let y = 0; y < height; y++) {
    let a = (d.yOffset + y) * stride + d.xOffset * step;
    let to = y * width;
    const end = Math.min(to + width, to + Math.max(0, Math.floor((limit - a) / step)));
    if (palette !== undefined) {
      while (to < end) pixels[to++] = palette[bytes[a++] ?? 0] ?? BLACK;
    } else if (step === 2) {
      for (; to < end; to++, a += 2) {
        const p = (bytes[a] ?? 0) | ((bytes[a + 1] ?? 0) << 8);
        const b = p & 31;
        const g = bpp === 16 ? (p >> 5) & 63 : (((p >> 5) & 31) << 1) | ((p >> 9) & 1);
        const r = bpp === 16 ? p >> 11 : (p >> 10) & 31;
        pixels[to] = BLACK | (((b << 3) | (b >> 2)) << 16) | (((g << 2) | (g >> 4)) << 8) | (r << 3) | (r >> 2);
      }
    } else {
      for (; to < end; to++, a += step) pixels[to] = BLACK | ((bytes[a] ?? 0) << 16) | ((bytes[a + 1] ?? 0) << 8) | (bytes[a + 2] ?? 0);
    }
  }
  return { width, height, rgba };
}

function renderVbePlanar(v: ScanoutSource): Frame {
  const d = v.dispi;
  const { width, height } = d;
  const { rgba, pixels } = frame(width, height);
  if (!v.screenOn) return { width, height, rgba };
  const words = v.memory.words;
  const palette = colors16(v);
  const chars = width >>> 3;
  const strip = new Uint32Array((chars + 1) * 8);
  const pan = d.xOffset & 7;
  for (let y = 0; y < height; y++) {
    const row = (d.yOffset + y) * d.strideBytes + (d.xOffset >>> 3);
    for (let x = 0; x <= chars; x++) decodePlanar(words[row + x] ?? 0, strip, x * 8, palette);
    pixels.set(strip.subarray(pan, pan + width), y * width);
  }
  return { width, height, rgba };
}
