/** Pixel access of graphics modes, one class for each memory organisation. Coordinates are clipped by the callers. */
import { BDA, PORT } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";
import type { VideoEnv } from "./env.ts";
import { findMode } from "./modes.ts";
import { TEXT_RGB } from "./palettes.ts";
import { getDispi, MODE_VBE, setDispi, setIndexed } from "./state.ts";

export interface Surface {
  readonly width: number;
  readonly height: number;
  put(x: number, y: number, color: number, xor: boolean): void;
  /** The pixel's value in its own depth. */
  get(x: number, y: number): number;
  /** An 8-pixel wide glyph of `height` rows from `rows`; background is colour 0. */
  glyph(x: number, y: number, rows: (line: number) => number, height: number, color: number): void;
  /** Copies lines of `width` pixels; x and width are multiples of 8. */
  moveLine(toY: number, fromY: number, x: number, width: number): void;
  fillLine(y: number, x: number, width: number, color: number): void;
  /** Registers back to the mode's defaults. */
  done(): void;
}

const WINDOW = 0xa0000;

/** 16-colour planes at A0000, banked for VBE modes above 64 KB a plane. */
class PlanarSurface implements Surface {
  readonly width: number;
  readonly height: number;
  readonly #ctx: BiosContext;
  readonly #base: number;
  readonly #pitch: number;
  readonly #banked: boolean;
  #bank = 0;
  readonly #savedBank: number;

  constructor(ctx: BiosContext, base: number, pitch: number, width: number, height: number, banked: boolean) {
    this.#ctx = ctx;
    this.#base = base;
    this.#pitch = pitch;
    this.width = width;
    this.height = height;
    this.#banked = banked;
    this.#savedBank = banked ? getDispi(ctx, 5) : 0;
    this.#bank = this.#savedBank;
    setIndexed(ctx, PORT.GC, 1, 0);
    setIndexed(ctx, PORT.GC, 3, 0);
    setIndexed(ctx, PORT.GC, 5, 0);
    setIndexed(ctx, PORT.GC, 8, 0xff);
    setIndexed(ctx, PORT.SEQ, 2, 15);
  }

  /** Window address of plane offset `at`; selects its bank. */
  #at(at: number): number {
    if (!this.#banked) return WINDOW + (at & 0xffff);
    const bank = at >>> 16;
    if (bank !== this.#bank) {
      this.#bank = bank;
      setDispi(this.#ctx, 5, bank);
    }
    return WINDOW + (at & 0xffff);
  }

  #offset(x: number, y: number): number {
    return this.#base + y * this.#pitch + (x >> 3);
  }

  put(x: number, y: number, color: number, xor: boolean): void {
    const { video } = this.#ctx;
    const at = this.#at(this.#offset(x, y));
    setIndexed(this.#ctx, PORT.GC, 5, 2);
    setIndexed(this.#ctx, PORT.GC, 8, 0x80 >> (x & 7));
    if (xor) setIndexed(this.#ctx, PORT.GC, 3, 0x18);
    video.read8(at);
    video.write8(at, color & 15);
    setIndexed(this.#ctx, PORT.GC, 5, 0);
    setIndexed(this.#ctx, PORT.GC, 8, 0xff);
    if (xor) setIndexed(this.#ctx, PORT.GC, 3, 0);
  }

  get(x: number, y: number): number {
    const at = this.#at(this.#offset(x, y));
    let color = 0;
    for (let plane = 0; plane < 4; plane++) {
      setIndexed(this.#ctx, PORT.GC, 4, plane);
      if ((this.#ctx.video.read8(at) & (0x80 >> (x & 7))) !== 0) color |= 1 << plane;
    }
    setIndexed(this.#ctx, PORT.GC, 4, 0);
    return color;
  }

  glyph(x: number, y: number, rows: (line: number) => number, height: number, color: number): void {
    const { video } = this.#ctx;
    const at = this.#offset(x, y);
    if ((color & 0x80) !== 0) {
      setIndexed(this.#ctx, PORT.SEQ, 2, color & 15);
      setIndexed(this.#ctx, PORT.GC, 3, 0x18);
      for (let i = 0; i < height; i++) {
        const a = this.#at(at + i * this.#pitch);
        video.read8(a);
        video.write8(a, rows(i));
      }
      setIndexed(this.#ctx, PORT.GC, 3, 0);
    } else {
      for (let i = 0; i < height; i++) video.write8(this.#at(at + i * this.#pitch), 0);
      setIndexed(this.#ctx, PORT.SEQ, 2, color & 15);
      for (let i = 0; i < height; i++) video.write8(this.#at(at + i * this.#pitch), rows(i));
    }
    setIndexed(this.#ctx, PORT.SEQ, 2, 15);
  }

  moveLine(toY: number, fromY: number, x: number, width: number): void {
    const to = this.#offset(x, toY);
    const from = this.#offset(x, fromY);
    const bytes = width >> 3;
    const { video } = this.#ctx;
    setIndexed(this.#ctx, PORT.GC, 5, 1);
    const oneBank = to >>> 16 === from >>> 16 && (to + bytes - 1) >>> 16 === to >>> 16 && (from + bytes - 1) >>> 16 === from >>> 16;
    if (!this.#banked || oneBank) video.move(this.#at(to), this.#at(from), bytes);
    else {
      // The latches survive the bank switch between read and write.
      for (let i = 0; i < bytes; i++) {
        video.read8(this.#at(from + i));
        video.write8(this.#at(to + i), 0);
      }
    }
    setIndexed(this.#ctx, PORT.GC, 5, 0);
  }

  fillLine(y: number, x: number, width: number, color: number): void {
    const at = this.#offset(x, y);
    setIndexed(this.#ctx, PORT.GC, 0, color & 15);
    setIndexed(this.#ctx, PORT.GC, 1, 15);
    for (let i = 0; i < width >> 3; i++) this.#ctx.video.write8(this.#at(at + i), 0);
    setIndexed(this.#ctx, PORT.GC, 1, 0);
    setIndexed(this.#ctx, PORT.GC, 0, 0);
  }

  done(): void {
    if (this.#banked && this.#bank !== this.#savedBank) setDispi(this.#ctx, 5, this.#savedBank);
  }
}

/** CGA: two interleaved banks of lines at B8000, 1 or 2 bits a pixel. */
class CgaSurface implements Surface {
  readonly width: number;
  readonly height = 200;
  readonly #ctx: BiosContext;
  readonly #bits: 1 | 2;

  constructor(ctx: BiosContext, bits: 1 | 2) {
    this.#ctx = ctx;
    this.#bits = bits;
    this.width = bits === 1 ? 640 : 320;
  }

  #line(y: number): number {
    return 0xb8000 + ((y & 1) << 13) + (y >> 1) * 80;
  }

  put(x: number, y: number, color: number, xor: boolean): void {
    const perByte = 8 / this.#bits;
    const at = this.#line(y) + Math.floor(x / perByte);
    const shift = 8 - this.#bits - (x % perByte) * this.#bits;
    const mask = ((1 << this.#bits) - 1) << shift;
    const value = (color << shift) & mask;
    const old = this.#ctx.video.read8(at);
    this.#ctx.video.write8(at, xor ? old ^ value : (old & ~mask) | value);
  }

  get(x: number, y: number): number {
    const perByte = 8 / this.#bits;
    const shift = 8 - this.#bits - (x % perByte) * this.#bits;
    return (this.#ctx.video.read8(this.#line(y) + Math.floor(x / perByte)) >> shift) & ((1 << this.#bits) - 1);
  }

  glyph(x: number, y: number, rows: (line: number) => number, height: number, color: number): void {
    const { video } = this.#ctx;
    const xor = (color & 0x80) !== 0;
    for (let i = 0; i < height; i++) {
      const bits = rows(i);
      const line = this.#line(y + i);
      if (this.#bits === 1) {
        const at = line + (x >> 3);
        const value = (color & 1) !== 0 ? bits : 0;
        video.write8(at, xor ? video.read8(at) ^ value : value);
        continue;
      }
      let wide = 0;
      for (let b = 0; b < 8; b++) if ((bits & (0x80 >> b)) !== 0) wide |= (color & 3) << (14 - b * 2);
      const at = line + (x >> 2);
      video.write8(at, (wide >> 8) ^ (xor ? video.read8(at) : 0));
      video.write8(at + 1, (wide & 0xff) ^ (xor ? video.read8(at + 1) : 0));
    }
  }

  moveLine(toY: number, fromY: number, x: number, width: number): void {
    const perByte = 8 / this.#bits;
    this.#ctx.video.move(this.#line(toY) + x / perByte, this.#line(fromY) + x / perByte, width / perByte);
  }

  fillLine(y: number, x: number, width: number, color: number): void {
    // The scroll services give the fill byte itself, as CGA BIOSes do.
    const perByte = 8 / this.#bits;
    const at = this.#line(y) + x / perByte;
    for (let i = 0; i < width / perByte; i++) this.#ctx.video.write8(at + i, color);
  }

  done(): void {}
}

/** Mode 13h: a byte a pixel at A0000. */
class Linear8Surface implements Surface {
  readonly width = 320;
  readonly height = 200;
  readonly #ctx: BiosContext;

  constructor(ctx: BiosContext) {
    this.#ctx = ctx;
  }
  put(x: number, y: number, color: number, xor: boolean): void {
    const at = WINDOW + y * 320 + x;
    this.#ctx.video.write8(at, xor ? this.#ctx.video.read8(at) ^ color : color);
  }
  get(x: number, y: number): number {
    return this.#ctx.video.read8(WINDOW + y * 320 + x);
  }
  glyph(x: number, y: number, rows: (line: number) => number, height: number, color: number): void {
    for (let i = 0; i < height; i++) {
      const bits = rows(i);
      const at = WINDOW + (y + i) * 320 + x;
      for (let b = 0; b < 8; b++) this.#ctx.video.write8(at + b, (bits & (0x80 >> b)) !== 0 ? color : 0);
    }
  }
  moveLine(toY: number, fromY: number, x: number, width: number): void {
    this.#ctx.video.move(WINDOW + toY * 320 + x, WINDOW + fromY * 320 + x, width);
  }
  fillLine(y: number, x: number, width: number, color: number): void {
    this.#ctx.video.fill16(WINDOW + y * 320 + x, width >> 1, color | (color << 8));
  }
  done(): void {}
}

/** VBE modes of 8 to 32 bits: through the mapped linear frame buffer, else through the 64 KB window. */
class VbeSurface implements Surface {
  readonly width: number;
  readonly height: number;
  readonly #ctx: BiosContext;
  readonly #stride: number;
  readonly #step: number;
  readonly #bpp: number;
  readonly #base: number;
  /** Guest-physical address of the frame; undefined where the linear frame buffer cannot be reached. */
  readonly #frame: number | undefined;
  readonly #savedBank: number;
  #bank: number;

  constructor(ctx: BiosContext, env: VideoEnv) {
    this.#ctx = ctx;
    this.width = getDispi(ctx, 1);
    this.height = getDispi(ctx, 2);
    this.#bpp = getDispi(ctx, 3);
    this.#step = (this.#bpp + 7) >> 3;
    this.#stride = getDispi(ctx, 6) * this.#step;
    const bytes = this.#stride * this.height;
    this.#base = getDispi(ctx, 9) * this.#stride + getDispi(ctx, 8) * this.#step;
    const frame = env.lfbBase() + this.#base;
    const { ram } = ctx.physical;
    const mapped =
      this.#base + bytes <= env.vramBytes && ram.viewForRead(frame, 1) !== undefined && ram.viewForRead(frame + bytes - 1, 1) !== undefined;
    this.#frame = mapped ? frame : undefined;
    this.#savedBank = getDispi(ctx, 5);
    this.#bank = this.#savedBank;
  }

  #window(at: number): number {
    const a = this.#base + at;
    const bank = Math.floor(a / 0x10000);
    if (bank !== this.#bank) {
      this.#bank = bank;
      setDispi(this.#ctx, 5, bank);
    }
    return WINDOW + (a & 0xffff);
  }
  /** Bytes of the frame to write to: as few as are touched, for each page of a view costs. */
  #span(at: number, bytes: number): Uint8Array | undefined {
    return this.#frame === undefined ? undefined : this.#ctx.physical.ram.viewForWrite(this.#frame + at, bytes);
  }
  #read(at: number): number {
    return this.#frame !== undefined ? this.#ctx.physical.ram.read8(this.#frame + at) : this.#ctx.video.read8(this.#window(at));
  }
  #write(at: number, value: number): void {
    if (this.#frame !== undefined) this.#ctx.physical.ram.write8(this.#frame + at, value);
    else this.#ctx.video.write8(this.#window(at), value & 0xff);
  }

  /** Text colour to a pixel value: an index in 8-bit modes, else the usual 16 colours. */
  #pixel(color: number): number {
    if (this.#bpp === 8) return color & 0xff;
    const rgb = TEXT_RGB[color & 15] ?? 0;
    if (this.#step > 2) return rgb;
    const b = (rgb >> 3) & 31;
    if (this.#bpp === 16) return ((rgb >> 8) & 0xf800) | ((rgb >> 5) & 0x7e0) | b;
    return ((rgb >> 9) & 0x7c00) | ((rgb >> 6) & 0x3e0) | b;
  }
  #store(x: number, y: number, pixel: number, xor: boolean): void {
    const at = y * this.#stride + x * this.#step;
    for (let i = 0; i < this.#step; i++) {
      const v = (pixel >> (i * 8)) & 0xff;
      this.#write(at + i, xor ? this.#read(at + i) ^ v : v);
    }
  }

  put(x: number, y: number, color: number, xor: boolean): void {
    this.#store(x, y, this.#pixel(color), xor);
  }
  get(x: number, y: number): number {
    const at = y * this.#stride + x * this.#step;
    let v = 0;
    for (let i = 0; i < this.#step; i++) v += this.#read(at + i) * 2 ** (i * 8);
    return v;
  }
  glyph(x: number, y: number, rows: (line: number) => number, height: number, color: number): void {
    const xor = this.#bpp !== 8 && (color & 0x80) !== 0;
    const fg = this.#pixel(color);
    const bg = xor || this.#bpp === 8 ? 0 : this.#pixel(0);
    for (let i = 0; i < height; i++) {
      const bits = rows(i);
      const span = this.#span((y + i) * this.#stride + x * this.#step, 8 * this.#step);
      for (let b = 0; b < 8; b++) {
        const pixel = (bits & (0x80 >> b)) !== 0 ? fg : bg;
        if (span === undefined) this.#store(x + b, y + i, pixel, xor);
        else
          for (let k = 0; k < this.#step; k++) {
            const v = (pixel >> (k * 8)) & 0xff;
            const j = b * this.#step + k;
            span[j] = xor ? (span[j] ?? 0) ^ v : v;
          }
      }
    }
  }
  moveLine(toY: number, fromY: number, x: number, width: number): void {
    const to = toY * this.#stride + x * this.#step;
    const from = fromY * this.#stride + x * this.#step;
    const bytes = width * this.#step;
    const target = this.#span(to, bytes);
    const source = this.#frame === undefined ? undefined : this.#ctx.physical.ram.viewForRead(this.#frame + from, bytes);
    if (target !== undefined && source !== undefined) target.set(source);
    else for (let i = 0; i < bytes; i++) this.#write(to + i, this.#read(from + i));
  }
  fillLine(y: number, x: number, width: number, color: number): void {
    const at = y * this.#stride + x * this.#step;
    const pixel = this.#pixel(color);
    const span = this.#step === 1 || pixel === 0 ? this.#span(at, width * this.#step) : undefined;
    if (span !== undefined) span.fill(pixel);
    else for (let i = 0; i < width; i++) this.#store(x + i, y, pixel, false);
  }
  done(): void {
    if (this.#bank !== this.#savedBank) setDispi(this.#ctx, 5, this.#savedBank);
  }
}

/** The surface of the mode that is on, or undefined in text modes. `page` counts in planar modes only. */
export function openSurface(ctx: BiosContext, env: VideoEnv, page: number): Surface | undefined {
  const number = ctx.mem.read8(BDA.VIDEO_MODE) & 0x7f;
  if (number === MODE_VBE) {
    if ((getDispi(ctx, 4) & 1) === 0) return undefined;
    if (getDispi(ctx, 3) !== 4) return new VbeSurface(ctx, env);
    const pitch = getDispi(ctx, 6) >> 3;
    return new PlanarSurface(ctx, getDispi(ctx, 9) * pitch + (getDispi(ctx, 8) >> 3), pitch, getDispi(ctx, 1), getDispi(ctx, 2), true);
  }
  const m = findMode(number);
  switch (m?.kind) {
    case "cga4":
      return new CgaSurface(ctx, 2);
    case "cga2":
      return new CgaSurface(ctx, 1);
    case "linear8":
      return new Linear8Surface(ctx);
    case "planar":
      return new PlanarSurface(ctx, page * ctx.mem.read16(BDA.PAGE_SIZE), m.columns, m.width, m.height, false);
    default:
      return undefined;
  }
}
