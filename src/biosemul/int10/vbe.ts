/** AX=4Fxx: VESA BIOS extensions 3.0 on the Bochs dispi registers. Source: VBE core functions standard 3.0. */
import { BDA, DISPI, DISPI_ENABLE, PORT } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";
import { buildEdid } from "./edid.ts";
import type { VideoEnv } from "./env.ts";
import { setVbeMode, vbeDepth, vbeOn } from "./vbe-set-mode.ts";
import { ROM_TABLE, VIDEO_ROM_SEGMENT } from "./rom-layout.ts";
import { moveState, stateBytes } from "./save-restore.ts";
import { getDispi, getIndexed, setDispi, setIndexed, OWN_DATA } from "./state.ts";
import { modeInfo } from "./vbe-info.ts";
import { PROTECTED_MODE_BYTES } from "./video-rom.ts";

const OK = 0x004f;
const FAILED = 0x014f;
const NOT_IN_HARDWARE = 0x024f;
const NOT_IN_MODE = 0x034f;
const DISPI_COUNT = 10;

const EDID = buildEdid();

/** AH=4Fh; leaves the status in AX. */
export function vbeService(ctx: BiosContext, env: VideoEnv): void {
  const r = ctx.regs;
  switch (r.al) {
    case 0x00:
      r.ax = controllerInfo(ctx, env);
      return;
    case 0x01: {
      const info = modeInfo(env, r.cx);
      if (info === undefined) r.ax = FAILED;
      else {
        ctx.mem.write(ctx.linear(r.selector("es"), r.di), info);
        r.ax = OK;
      }
      return;
    }
    case 0x02:
      r.ax = setVbeMode(ctx, env, r.bx) ? OK : FAILED;
      return;
    case 0x03: {
      const vbe = ctx.mem.read16(OWN_DATA.VBE_MODE);
      r.bx = vbe !== 0 ? vbe : (ctx.mem.read8(BDA.VIDEO_MODE) & 0x7f) | ((ctx.mem.read8(BDA.EGA_INFO) & 0x80) << 8);
      r.ax = OK;
      return;
    }
    case 0x04:
      r.ax = saveRestore(ctx);
      return;
    case 0x05:
      r.ax = window(ctx);
      return;
    case 0x06:
      r.ax = lineLength(ctx);
      return;
    case 0x07:
      r.ax = displayStart(ctx);
      return;
    case 0x08:
      r.ax = dacFormat(ctx);
      return;
    case 0x09:
      r.ax = palette(ctx);
      return;
    case 0x0a:
      if (r.bl !== 0) r.ax = FAILED;
      else {
        r.setRealSegment("es", VIDEO_ROM_SEGMENT);
        r.di = ROM_TABLE.PROTECTED;
        r.cx = PROTECTED_MODE_BYTES;
        r.ax = OK;
      }
      return;
    case 0x0b:
      // Any pixel clock can be had: the one asked for (ECX, Hz) is given back.
      r.ax = r.bl === 0 ? OK : FAILED;
      return;
    case 0x10:
      r.ax = powerManagement(ctx);
      return;
    case 0x15:
      r.ax = displayData(ctx);
      return;
    default:
      // 0Ch-0Fh, 11h (flat panel) and the rest: function not there.
      r.ax = FAILED;
  }
}

function controllerInfo(ctx: BiosContext, env: VideoEnv): number {
  const { mem } = ctx;
  const at = ctx.linear(ctx.regs.selector("es"), ctx.regs.di);
  const vbe2 = mem.read32(at) === 0x32454256;
  const b = new Uint8Array(vbe2 ? 512 : 256);
  const view = new DataView(b.buffer);
  const far = (offset: number, target: number): void => {
    view.setUint16(offset, target, true);
    view.setUint16(offset + 2, VIDEO_ROM_SEGMENT, true);
  };
  view.setUint32(0, 0x41534556, true);
  view.setUint16(4, 0x0300, true);
  far(6, ROM_TABLE.OEM_STRING);
  view.setUint32(0x0a, 1, true);
  far(0x0e, ROM_TABLE.VBE_MODES);
  view.setUint16(0x12, env.vramBytes >>> 16, true);
  if (vbe2) {
    view.setUint16(0x14, 0x0100, true);
    far(0x16, ROM_TABLE.OEM_VENDOR);
    far(0x1a, ROM_TABLE.OEM_PRODUCT);
    far(0x1e, ROM_TABLE.OEM_REVISION);
  }
  mem.write(at, b);
  return OK;
}

/** AX=4F04h: bits 0-2 as AH=1C, bit 3 the dispi registers. */
function saveRestore(ctx: BiosContext): number {
  const r = ctx.regs;
  const mask = r.cx & 15;
  if (r.dl === 0) {
    r.bx = (stateBytes(mask) + ((mask & 8) !== 0 ? DISPI_COUNT * 2 : 0) + 63) >> 6;
    return OK;
  }
  if (r.dl > 2) return FAILED;
  const at = ctx.linear(r.selector("es"), r.bx);
  const restore = r.dl === 2;
  // The dispi registers come back first: enabling a mode resets offsets and memory layout.
  const dispiAt = at + stateBytes(mask);
  if ((mask & 8) !== 0) {
    const order = restore
      ? [DISPI.ENABLE, DISPI.XRES, DISPI.YRES, DISPI.BPP, DISPI.ENABLE, DISPI.VIRT_WIDTH, DISPI.X_OFFSET, DISPI.Y_OFFSET, DISPI.BANK]
      : [];
    order.forEach((index, i) => {
      const v = ctx.mem.read16(dispiAt + index * 2);
      setDispi(ctx, index, i === 0 ? 0 : index === DISPI.ENABLE ? v | DISPI_ENABLE.NOCLEAR : v);
    });
    if (!restore) for (let i = 1; i < DISPI_COUNT; i++) ctx.mem.write16(dispiAt + i * 2, getDispi(ctx, i));
  }
  moveState(ctx, mask & 7, at, restore);
  return OK;
}

function window(ctx: BiosContext): number {
  const r = ctx.regs;
  if (!vbeOn(ctx)) return NOT_IN_MODE;
  if (r.bl !== 0 || r.bh > 1) return FAILED;
  if (r.bh === 1) {
    r.dx = getDispi(ctx, DISPI.BANK);
    return OK;
  }
  setDispi(ctx, DISPI.BANK, r.dx);
  return getDispi(ctx, DISPI.BANK) === r.dx ? OK : FAILED;
}

function lineLength(ctx: BiosContext): number {
  const r = ctx.regs;
  if (!vbeOn(ctx)) return NOT_IN_MODE;
  const depth = vbeDepth(ctx);
  const bytesOf = (pixels: number): number => (depth === 4 ? pixels >> 3 : pixels * ((depth + 7) >> 3));
  const memory = getDispi(ctx, DISPI.VIDEO_MEMORY_64K) * 0x10000;
  const planeMemory = depth === 4 ? memory / 4 : memory;
  if (r.bl === 0 || r.bl === 2) {
    const pixels = r.bl === 0 ? r.cx : depth === 4 ? r.cx * 8 : Math.floor(r.cx / ((depth + 7) >> 3));
    const width = Math.max((pixels + 7) & ~7, getDispi(ctx, DISPI.XRES));
    if (width > 0xffff || bytesOf(width) * getDispi(ctx, DISPI.YRES) > planeMemory) return NOT_IN_HARDWARE;
    setDispi(ctx, DISPI.VIRT_WIDTH, width);
  } else if (r.bl === 3) {
    const stride = Math.floor(planeMemory / getDispi(ctx, DISPI.YRES));
    const pixels = Math.min(0xfff8, (depth === 4 ? stride * 8 : Math.floor(stride / ((depth + 7) >> 3))) & ~7);
    r.bx = Math.min(0xffff, bytesOf(pixels));
    r.cx = pixels;
    r.dx = Math.min(0xffff, Math.floor(planeMemory / Math.max(1, bytesOf(pixels))));
    return OK;
  } else if (r.bl !== 1) return FAILED;
  const width = getDispi(ctx, DISPI.VIRT_WIDTH);
  r.bx = bytesOf(width);
  r.cx = width;
  r.dx = Math.min(0xffff, Math.floor(planeMemory / Math.max(1, bytesOf(width))));
  return OK;
}

function displayStart(ctx: BiosContext): number {
  const r = ctx.regs;
  if (!vbeOn(ctx)) return NOT_IN_MODE;
  const sub = r.bl & 0x7f;
  if (sub === 1) {
    r.bh = 0;
    r.cx = getDispi(ctx, DISPI.X_OFFSET);
    r.dx = getDispi(ctx, DISPI.Y_OFFSET);
    return OK;
  }
  if (sub === 4) {
    // A scheduled flip has always happened by now.
    r.cx = 1;
    return OK;
  }
  if (sub !== 0 && sub !== 2) return FAILED;
  let x = r.cx;
  let y = r.dx;
  if (sub === 2) {
    const depth = vbeDepth(ctx);
    const step = depth === 4 ? 1 : (depth + 7) >> 3;
    const stride = Math.max(1, depth === 4 ? getDispi(ctx, DISPI.VIRT_WIDTH) >> 3 : getDispi(ctx, DISPI.VIRT_WIDTH) * step);
    y = Math.floor(r.ecx / stride);
    x = Math.floor((r.ecx % stride) / step) * (depth === 4 ? 8 : 1);
  }
  if (y + getDispi(ctx, DISPI.YRES) > getDispi(ctx, DISPI.VIRT_HEIGHT) || x >= getDispi(ctx, DISPI.VIRT_WIDTH)) return NOT_IN_HARDWARE;
  setDispi(ctx, DISPI.X_OFFSET, x);
  setDispi(ctx, DISPI.Y_OFFSET, y);
  return OK;
}

function dacFormat(ctx: BiosContext): number {
  const r = ctx.regs;
  if (vbeOn(ctx) && vbeDepth(ctx) > 8) return NOT_IN_MODE;
  const enable = getDispi(ctx, DISPI.ENABLE);
  if (r.bl === 0) {
    const wide = r.bh >= 8;
    setDispi(ctx, DISPI.ENABLE, wide ? enable | DISPI_ENABLE.DAC_8BIT : enable & ~DISPI_ENABLE.DAC_8BIT);
    r.bh = wide ? 8 : 6;
  } else if (r.bl === 1) r.bh = (enable & 0x20) !== 0 ? 8 : 6;
  else return FAILED;
  return OK;
}

function palette(ctx: BiosContext): number {
  const r = ctx.regs;
  const { mem, ports } = ctx;
  const sub = r.bl & 0x7f;
  const at = ctx.linear(r.selector("es"), r.di);
  if (sub === 2 || sub === 3) return NOT_IN_HARDWARE;
  if (sub > 1 || r.dx > 255 || r.dx + r.cx > 256) return FAILED;
  ports.out8(sub === 0 ? PORT.DAC_WRITE : PORT.DAC_READ, r.dx);
  for (let i = 0; i < r.cx; i++) {
    // Memory order is blue, green, red, unused; the DAC wants red first.
    for (const c of [2, 1, 0]) {
      if (sub === 0) ports.out8(PORT.DAC_DATA, mem.read8(at + i * 4 + c));
      else mem.write8(at + i * 4 + c, ports.in8(PORT.DAC_DATA));
    }
    if (sub === 1) mem.write8(at + i * 4 + 3, 0);
  }
  return OK;
}

/** AX=4F10h: standby, suspend and off all blank the screen. */
function powerManagement(ctx: BiosContext): number {
  const r = ctx.regs;
  switch (r.bl) {
    case 0:
      r.bl = 0x10;
      r.bh = 0x07;
      return OK;
    case 1: {
      if (r.bh !== 0 && r.bh !== 1 && r.bh !== 2 && r.bh !== 4) return FAILED;
      const clocking = getIndexed(ctx, PORT.SEQ, 1);
      setIndexed(ctx, PORT.SEQ, 1, r.bh === 0 ? clocking & ~0x20 : clocking | 0x20);
      ctx.mem.write8(OWN_DATA.DPMS, r.bh);
      return OK;
    }
    case 2:
      r.bh = ctx.mem.read8(OWN_DATA.DPMS);
      return OK;
    default:
      return FAILED;
  }
}

/** AX=4F15h: display identification. */
function displayData(ctx: BiosContext): number {
  const r = ctx.regs;
  if (r.cx !== 0 && r.bl <= 1) return FAILED;
  if (r.bl === 0) {
    r.bh = 1;
    r.bl = 2;
    return OK;
  }
  if (r.bl !== 1 || r.dx !== 0) return FAILED;
  ctx.mem.write(ctx.linear(r.selector("es"), r.di), EDID);
  return OK;
}
