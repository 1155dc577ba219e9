import type { BiosContext, BiosHandler } from "../api.ts";
import { FONT_8X8 } from "../font/index.ts";
import { alternateSelect, displayCombinationService, functionalityState } from "./configuration.ts";
import { readCursor, selectPage, setCursorPosition, setCursorShape } from "./cursor.ts";
import type { VideoEnv } from "./env.ts";
import { characterGenerator } from "./font-load.ts";
import { readPixel, writePixel } from "./graphics-text.ts";
import { paletteService, setCgaColor } from "./palette.ts";
import { ROM_FONT, VIDEO_ROM_BASE, VIDEO_ROM_SEGMENT } from "./rom-layout.ts";
import { saveRestoreService } from "./save-restore.ts";
import { setMode } from "./set-mode.ts";
import { VIDEO } from "./state.ts";
import { readCell, scrollWindow, teletype, writeCells, writeString } from "./text.ts";
import { vbeService } from "./vbe.ts";
import { buildVideoRom } from "./video-rom.ts";

/** What the video BIOS must know of the display. */
export interface Int10Options {
  /** Guest-physical address of the linear frame buffer, asked at each use because a guest may move the BAR. */
  readonly lfbBase: () => number;
  readonly vramBytes: number;
  /** PCI identity in the option ROM's PCIR structure; 1234:1111 by default. */
  readonly pciVendor?: number;
  readonly pciDevice?: number;
  /** A BEL character was written. */
  readonly onBell?: () => void;
}

/** An interrupt vector that points at data. */
export interface DataVector {
  readonly vector: number;
  readonly segment: number;
  readonly offset: number;
}

/** What the video BIOS puts into guest memory besides its handler. */
export interface VideoRomParts {
  /** The option ROM image for C0000. */
  readonly videoRom: Uint8Array;
  readonly videoRomBase: number;
  /** Data vectors that point into the option ROM or the system ROM: 1Dh, 1Fh, 43h. */
  readonly vectors: readonly DataVector[];
  /** 8x8 glyphs 00-7F for F000:FA6E. */
  readonly font8x8Low: Uint8Array;
  /** Video parameters in the PC's format (IVT 1Dh) for F000:F0A4: 4 x 16 CRTC bytes, page sizes, columns, mode bytes. */
  readonly crtcParameters: Uint8Array;
}

/** The video BIOS. */
export interface Int10 {
  readonly handler: BiosHandler;
  readonly romParts: VideoRomParts;
  /** POST: data area defaults and mode 3. Vectors 1Dh, 1Fh, 43h must be writable memory by then. */
  initVideo(ctx: BiosContext): void;
}

/** CRTC values of the CGA and MDA for the table at IVT 1Dh, which only old diagnostics look at. 6845 data of the PC's technical reference. */
function crtcParameters(): Uint8Array {
  return Uint8Array.from([
    0x38, 0x28, 0x2d, 0x0a, 0x1f, 6, 0x19, 0x1c, 2, 7, 6, 7, 0, 0, 0, 0, 0x71, 0x50, 0x5a, 0x0a, 0x1f, 6, 0x19, 0x1c, 2, 7, 6, 7, 0, 0, 0, 0, 0x38,
    0x28, 0x2d, 0x0a, 0x7f, 6, 0x64, 0x70, 2, 1, 6, 7, 0, 0, 0, 0, 0x61, 0x50, 0x52, 0x0f, 0x19, 6, 0x19, 0x19, 2, 0x0d, 0x0b, 0x0c, 0, 0, 0, 0, 0x00,
    0x08, 0x00, 0x10, 0x00, 0x40, 0x00, 0x40, 40, 40, 80, 80, 40, 40, 80, 80, 0x2c, 0x28, 0x2d, 0x29, 0x2a, 0x2e, 0x1e, 0x29,
  ]);
}

/** The video services of one PC, and what its ROM holds for them. */
export function createInt10(options: Int10Options): Int10 {
  const env: VideoEnv = { lfbBase: options.lfbBase, vramBytes: options.vramBytes, onBell: options.onBell };
  const romOptions = {
    vramBytes: options.vramBytes,
    ...(options.pciVendor === undefined ? {} : { pciVendor: options.pciVendor }),
    ...(options.pciDevice === undefined ? {} : { pciDevice: options.pciDevice }),
  };
  return {
    handler: (ctx) => {
      const { ax } = ctx.regs;
      // What most calls are: a guest prints.
      if (ax >> 8 === 0x0e) teletype(ctx, ax & 0xff, env);
      else dispatch(ctx, ax, env);
      return "done";
    },
    romParts: {
      videoRom: buildVideoRom(romOptions),
      videoRomBase: VIDEO_ROM_BASE,
      vectors: [
        { vector: 0x1d, segment: 0xf000, offset: 0xf0a4 },
        { vector: 0x1f, segment: VIDEO_ROM_SEGMENT, offset: ROM_FONT.F8 + 0x400 },
        { vector: 0x42, segment: 0xf000, offset: 0xf065 },
        { vector: 0x43, segment: VIDEO_ROM_SEGMENT, offset: ROM_FONT.F16 },
      ],
      font8x8Low: FONT_8X8.slice(0, 0x400),
      crtcParameters: crtcParameters(),
    },
    initVideo: (ctx) => {
      const { mem } = ctx;
      mem.write8(VIDEO.EGA_INFO, 0x60);
      mem.write8(VIDEO.SWITCHES, 0xf9);
      mem.write8(VIDEO.VGA_FLAGS, 0x51);
      mem.write8(VIDEO.DCC_INDEX, 8);
      mem.write8(VIDEO.DPMS, 0);
      setMode(ctx, 3);
      // Scrolls the empty screen once: what V8 compiles of the printing path before a guest's first scroll it would compile again after it.
      ctx.mem.write16(VIDEO.CURSOR_POSITION, ctx.mem.read8(VIDEO.ROWS) << 8);
      teletype(ctx, 0x0a, env);
      setCursorPosition(ctx, 0, 0, 0);
    },
  };
}

function dispatch(ctx: BiosContext, ax: number, env: VideoEnv): void {
  const r = ctx.regs;
  switch (ax >> 8) {
    case 0x00: {
      const mode = setMode(ctx, ax & 0xff);
      if (mode !== undefined) r.al = mode.mode === 6 ? 0x3f : mode.mode > 7 ? 0x20 : 0x30;
      return;
    }
    case 0x01:
      setCursorShape(ctx, r.ch, r.cl);
      return;
    case 0x02:
      setCursorPosition(ctx, r.bh, r.dh, r.dl);
      return;
    case 0x03:
      readCursor(ctx);
      return;
    case 0x04:
      r.ah = 0;
      return;
    case 0x05:
      selectPage(ctx, ax & 0xff);
      return;
    case 0x06:
      scrollWindow(ctx, env, false);
      return;
    case 0x07:
      scrollWindow(ctx, env, true);
      return;
    case 0x08:
      readCell(ctx, env);
      return;
    case 0x09:
      writeCells(ctx, env, true);
      return;
    case 0x0a:
      writeCells(ctx, env, false);
      return;
    case 0x0b:
      setCgaColor(ctx);
      return;
    case 0x0c:
      writePixel(ctx, env);
      return;
    case 0x0d:
      readPixel(ctx, env);
      return;
    case 0x0f:
      r.ax = (ctx.mem.read8(VIDEO.COLUMNS) << 8) | (ctx.mem.read8(VIDEO.MODE) & 0x7f) | (ctx.mem.read8(VIDEO.EGA_INFO) & 0x80);
      r.bh = ctx.mem.read8(VIDEO.ACTIVE_PAGE);
      return;
    case 0x10:
      paletteService(ctx);
      return;
    case 0x11:
      characterGenerator(ctx);
      return;
    case 0x12:
      alternateSelect(ctx);
      return;
    case 0x13:
      writeString(ctx, env);
      return;
    case 0x1a:
      displayCombinationService(ctx);
      return;
    case 0x1b:
      functionalityState(ctx);
      return;
    case 0x1c:
      saveRestoreService(ctx);
      return;
    case 0x4f:
      vbeService(ctx, env);
      return;
    default:
    // Everything else leaves the registers alone: callers probe with FEh, EFh and 6Fh.
  }
}
