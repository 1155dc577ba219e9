/** Builds the video option ROM at C0000: fonts, tables and the few routines that guests call by address. */
import { FONT_8X14, FONT_8X16, FONT_8X8 } from "../font/index.ts";
import { DCC_TABLE, STATIC_TABLE } from "./configuration.ts";
import { PARAMETER_TABLES } from "./modes.ts";
import { ROM_FONT, ROM_TABLE, VIDEO_ROM_SEGMENT } from "./rom-layout.ts";
import { bytesPerLine, VBE_MODES } from "./vbe-modes.ts";

export interface VideoRomOptions {
  readonly vramBytes: number;
  /** PCI identity of the display adapter, for the PCIR structure. */
  readonly pciVendor?: number;
  readonly pciDevice?: number;
}

/** Size of the video option ROM. */
export const VIDEO_ROM_BYTES = 0x4000;

/*
 * ModeInfoBlock window function (real mode, far call): BH 0 set, 1 get; BL window 0; DX bank. Answers as AX=4F05h.
 *   test bl,bl / jnz fail / cmp bh,1 / je get / ja fail
 *   push dx / mov ax,dx / mov dx,1CEh / push ax / mov ax,5 / out dx,ax / inc dx / pop ax / out dx,ax / in ax,dx / pop dx
 *   cmp ax,dx / jne fail / ok: mov ax,004Fh / retf
 *   get: mov dx,1CEh / mov ax,5 / out dx,ax / inc dx / in ax,dx / mov dx,ax / jmp ok / fail: mov ax,014Fh / retf
 */
const WINDOW_CALL = "84db752c80ff01741a77255289d0bace0150b80500ef4258efed5a39d07511b84f00cbbace01b80500ef42ed89c2ebefb84f01cb";

/*
 * VBE 2 protected-mode interface: a table of four word offsets (set window 30h, set display start 64h, set palette C8h, port
 * list 8), then position-independent 32-bit code. Set display start takes DX:CX in units of 4 bytes and turns it into the
 * dispi x and y offsets; set palette loads CX entries (B, G, R, 0 at ES:EDI) from DAC register DX.
 */
const PROTECTED_MODE =
  "30006400c8000800ce01cf01c803c903ffffffff5266bace0166ef4231c066ed5ac35266bace0166ef4289c866ef5ac3" +
  "84db752a80ff0174177723510fb7cab805000000e8d9ffffff59b84f000000c3b805000000e8baffffff89c2ebecb84f010000c3" +
  "f6c37f75f55351525657c1e2106689cac1e20289d6b803000000e891ffffff83c007c1e80389c7b806000000e87ffffffff7e7" +
  "89c1e32689f031d2f7f189c189d3b809000000e873ffffff89d831d2f7f789c1b808000000e861ffffff5f5e5a595beb82" +
  "f6c37f75915152570fb7c988d066bac803ee42e313268a4702ee268a4701ee268a07ee83c704e2ed5f5a59e952ffffff";

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length >> 1 }, (_, i) => Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16));
}

export const PROTECTED_MODE_BYTES = PROTECTED_MODE.length >> 1;

const PCIR = 0x30;
const ENTRY = 0x50;

export function buildVideoRom(options: VideoRomOptions): Uint8Array {
  const rom = new Uint8Array(VIDEO_ROM_BYTES);
  const view = new DataView(rom.buffer);
  const text = (at: number, s: string): void =>
    rom.set(
      [...s].map((c) => c.charCodeAt(0)),
      at,
    );
  const far = (at: number, offset: number): void => {
    view.setUint16(at, offset, true);
    view.setUint16(at + 2, offset === 0 ? 0 : VIDEO_ROM_SEGMENT, true);
  };
  rom.set([0x55, 0xaa, VIDEO_ROM_BYTES / 512], 0);
  // Byte 3: the entry point, a near jump to RETF: the BIOS itself sets the first mode.
  rom.set([0xe9, (ENTRY - 6) & 0xff, (ENTRY - 6) >> 8], 3);
  rom[ENTRY] = 0xcb;
  view.setUint16(0x18, PCIR, true);
  text(0x1e, "IBM VGA Compatible");
  text(PCIR, "PCIR");
  view.setUint16(PCIR + 4, options.pciVendor ?? 0x1234, true);
  view.setUint16(PCIR + 6, options.pciDevice ?? 0x1111, true);
  view.setUint16(PCIR + 0x0a, 0x18, true);
  rom[PCIR + 0x0f] = 0x03;
  view.setUint16(PCIR + 0x10, VIDEO_ROM_BYTES / 512, true);
  rom[PCIR + 0x15] = 0x80;
  text(0x60, "whyve VGA BIOS, BSD-2-Clause");
  PARAMETER_TABLES.forEach((table, i) => rom.set(table, ROM_TABLE.PARAMETERS + i * 64));
  far(ROM_TABLE.SAVE_POINTERS, ROM_TABLE.PARAMETERS);
  far(ROM_TABLE.SAVE_POINTERS + 16, ROM_TABLE.SECONDARY);
  view.setUint16(ROM_TABLE.SECONDARY, 26, true);
  far(ROM_TABLE.SECONDARY + 2, ROM_TABLE.DCC);
  rom.set([DCC_TABLE.length, 1, 8, 0, ...DCC_TABLE.flat()], ROM_TABLE.DCC);
  rom.set(STATIC_TABLE, ROM_TABLE.STATIC);
  let at: number = ROM_TABLE.VBE_MODES;
  for (const m of VBE_MODES) {
    if (bytesPerLine(m.bpp, m.width) * m.height * (m.bpp === 4 ? 4 : 1) > options.vramBytes) continue;
    view.setUint16(at, m.mode, true);
    at += 2;
  }
  view.setUint16(at, 0xffff, true);
  text(ROM_TABLE.OEM_STRING, "whyve VBE 3.0");
  text(ROM_TABLE.OEM_VENDOR, "whyve");
  text(ROM_TABLE.OEM_PRODUCT, "whyve display");
  text(ROM_TABLE.OEM_REVISION, "1.0");
  rom.set(fromHex(WINDOW_CALL), ROM_TABLE.WINDOW_CALL);
  rom.set(fromHex(PROTECTED_MODE), ROM_TABLE.PROTECTED);
  rom.set(FONT_8X16, ROM_FONT.F16);
  rom.set(FONT_8X14, ROM_FONT.F14);
  rom.set(FONT_8X8, ROM_FONT.F8);
  rom[rom.length - 1] = -rom.reduce((sum, b) => sum + b, 0) & 0xff;
  return rom;
}
