import { BDA } from "../../isa/index.ts";
import { OWN_DATA } from "./state.ts";
import type { BiosContext, BiosHandler } from "../api.ts";
import { alternateSelect, displayCombinationService, functionalityState } from "./configuration.ts";
import { readCursor, selectPage, setCursorPosition, setCursorShape } from "./cursor.ts";
import type { VideoEnv } from "./env.ts";
import { characterGenerator } from "./font-load.ts";
import { readPixel, writePixel } from "./graphics-text.ts";
import { paletteService, setCgaColor } from "./palette.ts";
import { ENTRY } from "../rom/layout.ts";
import { ROM_FONT, VIDEO_ROM_SEGMENT } from "./rom-layout.ts";
import { saveRestoreService } from "./save-restore.ts";
import { setMode } from "./set-mode.ts";
import { readCell, scrollWindow, teletype, writeCells, writeString } from "./text.ts";
import { vbeService } from "./vbe.ts";

/** What the video BIOS must know of the display. */
export interface Int10Options {
  /** Guest-physical address of the linear frame buffer, asked at each use because a guest may move the BAR. */
  readonly lfbBase: () => number;
  readonly vramBytes: number;
  /** A BEL character was written. */
  readonly onBell?: () => void;
}

/** The video BIOS. */
export interface Int10 {
  readonly handler: BiosHandler;
  /** The end of POST: vectors that point at data, data area defaults and mode 3. */
  init(ctx: BiosContext): void;
}

/** Vectors that point into the option ROM or the system ROM. */
const DATA_VECTORS = [
  { vector: 0x1d, segment: 0xf000, offset: ENTRY.CRTC_TABLE },
  { vector: 0x1f, segment: VIDEO_ROM_SEGMENT, offset: ROM_FONT.F8 + 0x400 },
  { vector: 0x42, segment: 0xf000, offset: ENTRY.INT10 },
  { vector: 0x43, segment: VIDEO_ROM_SEGMENT, offset: ROM_FONT.F16 },
] as const;

/** The video services of one PC. */
export function createInt10(options: Int10Options): Int10 {
  const env: VideoEnv = { lfbBase: options.lfbBase, vramBytes: options.vramBytes, onBell: options.onBell };
  return {
    handler: (ctx) => {
      const { ax } = ctx.regs;
      // What most calls are: a guest prints.
      if (ax >> 8 === 0x0e) teletype(ctx, ax & 0xff, env);
      else SERVICES.get(ax >> 8)?.(ctx, ax & 0xff, env);
      return "done";
    },
    init: (ctx) => {
      const { mem } = ctx;
      for (const { vector, segment, offset } of DATA_VECTORS) mem.write32(vector * 4, ((segment << 16) | offset) >>> 0);
      mem.write8(BDA.EGA_INFO, 0x60);
      mem.write8(BDA.EGA_SWITCHES, 0xf9);
      mem.write8(BDA.VGA_FLAGS, 0x51);
      mem.write8(BDA.DCC_INDEX, 8);
      mem.write8(OWN_DATA.DPMS, 0);
      setMode(ctx, 3);
      // Scrolls the empty screen once: what V8 compiles of the printing path before a guest's first scroll it would compile again after it.
      ctx.mem.write16(BDA.CURSOR_POSITION, ctx.mem.read8(BDA.ROWS) << 8);
      teletype(ctx, 0x0a, env);
      setCursorPosition(ctx, 0, 0, 0);
    },
  };
}

type VideoService = (ctx: BiosContext, al: number, env: VideoEnv) => void;

/** By AH. Everything else leaves the registers alone: callers probe with FEh, EFh and 6Fh. */
const SERVICES: ReadonlyMap<number, VideoService> = new Map<number, VideoService>([
  [0x00, modeService],
  [0x01, (ctx) => setCursorShape(ctx, ctx.regs.ch, ctx.regs.cl)],
  [0x02, (ctx) => setCursorPosition(ctx, ctx.regs.bh, ctx.regs.dh, ctx.regs.dl)],
  [0x03, readCursor],
  // No light pen.
  [0x04, (ctx) => void (ctx.regs.ah = 0)],
  [0x05, selectPage],
  [0x06, (ctx, _al, env) => scrollWindow(ctx, env, false)],
  [0x07, (ctx, _al, env) => scrollWindow(ctx, env, true)],
  [0x08, (ctx, _al, env) => readCell(ctx, env)],
  [0x09, (ctx, _al, env) => writeCells(ctx, env, true)],
  [0x0a, (ctx, _al, env) => writeCells(ctx, env, false)],
  [0x0b, setCgaColor],
  [0x0c, (ctx, _al, env) => writePixel(ctx, env)],
  [0x0d, (ctx, _al, env) => readPixel(ctx, env)],
  [0x0f, currentMode],
  [0x10, paletteService],
  [0x11, characterGenerator],
  [0x12, alternateSelect],
  [0x13, (ctx, _al, env) => writeString(ctx, env)],
  [0x1a, displayCombinationService],
  [0x1b, functionalityState],
  [0x1c, saveRestoreService],
  [0x4f, (ctx, _al, env) => vbeService(ctx, env)],
]);

function modeService(ctx: BiosContext, al: number): void {
  const mode = setMode(ctx, al);
  if (mode !== undefined) ctx.regs.al = mode.mode === 6 ? 0x3f : mode.mode > 7 ? 0x20 : 0x30;
}

function currentMode({ regs, mem }: BiosContext): void {
  regs.ax = (mem.read8(BDA.COLUMNS) << 8) | (mem.read8(BDA.VIDEO_MODE) & 0x7f) | (mem.read8(BDA.EGA_INFO) & 0x80);
  regs.bh = mem.read8(BDA.ACTIVE_PAGE);
}
