import { ENTRY } from "./layout.ts";
import type { Assembler } from "./assembler.ts";

/** 1.44 MB diskette parameters (INT 1Eh): step/unload, load, motor ticks, 512 bytes, 18 sectors, gap, DTL, format gap, fill, settle, start. */
const DISKETTE_144 = [0xdf, 0x02, 0x25, 0x02, 0x12, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08] as const;

/** 6845 registers for 40x25, 80x25, graphics and mono text, then buffer lengths, columns and mode bytes (INT 1Dh). */
const CRTC = [
  [0x38, 0x28, 0x2d, 0x0a, 0x1f, 0x06, 0x19, 0x1c, 0x02, 0x07, 0x06, 0x07, 0, 0, 0, 0],
  [0x71, 0x50, 0x5a, 0x0a, 0x1f, 0x06, 0x19, 0x1c, 0x02, 0x07, 0x06, 0x07, 0, 0, 0, 0],
  [0x38, 0x28, 0x2d, 0x0a, 0x7f, 0x06, 0x64, 0x70, 0x02, 0x01, 0x06, 0x07, 0, 0, 0, 0],
  [0x61, 0x50, 0x52, 0x0f, 0x19, 0x06, 0x19, 0x19, 0x02, 0x0d, 0x0b, 0x0c, 0, 0, 0, 0],
] as const;

/** The AT's fixed-disk types 1..14 (cylinders, heads, write precompensation, landing zone); all have 17 sectors. 15 and up are unused. */
const DISK_TYPES = [
  [306, 4, 128, 305],
  [615, 4, 300, 615],
  [615, 6, 300, 615],
  [940, 8, 512, 940],
  [940, 6, 512, 940],
  [615, 4, 0xffff, 615],
  [462, 8, 256, 511],
  [733, 5, 0xffff, 733],
  [900, 15, 0xffff, 901],
  [820, 3, 0xffff, 820],
  [855, 5, 0xffff, 855],
  [855, 7, 0xffff, 855],
  [306, 8, 128, 319],
  [733, 7, 0xffff, 733],
] as const;
const DISK_TYPE_COUNT = 47;

/** Divisors of 1.8432 MHz / 16 for 110, 150, 300, 600, 1200, 2400, 4800, 9600 baud. */
export const BAUD_DIVISORS = [1047, 768, 384, 192, 96, 48, 24, 12] as const;

/** What INT 15h/C0h points to: AT model FCh 01h; second 8259, RTC, INT 15h/4Fh, EBDA; INT 16h/09h. */
const CONFIG_TABLE = [0x08, 0x00, 0xfc, 0x01, 0x00, 0x74, 0x40, 0x00, 0x00, 0x00] as const;

/** Data at the addresses that programs know. `date` is mm/dd/yy. */
export function emitFixedData(a: Assembler, font8x8: Uint8Array | undefined, date: string): void {
  a.org(0xe000).text("whyve BIOS services, BSD-2-Clause").db(0);
  a.org(ENTRY.DISK_TYPES);
  for (let i = 0; i < DISK_TYPE_COUNT; i++) {
    const [cylinders, heads, precomp, landing] = DISK_TYPES[i] ?? [0, 0, 0, 0];
    a.dw(cylinders)
      .db(heads)
      .dw(0, precomp)
      .db(0, heads > 8 ? 8 : 0, 0, 0, 0)
      .dw(landing)
      .db(cylinders === 0 ? 0 : 17, 0);
  }
  a.org(ENTRY.CONFIG_TABLE).db(...CONFIG_TABLE);
  a.org(ENTRY.BAUD_TABLE).dw(...BAUD_DIVISORS);
  a.org(ENTRY.DISKETTE_TABLE).db(...DISKETTE_144);
  a.org(ENTRY.CRTC_TABLE);
  for (const row of CRTC) a.db(...row);
  a.dw(2048, 4096, 16384, 16384).db(40, 40, 80, 80, 40, 40, 80, 80).db(0x2c, 0x28, 0x2d, 0x29, 0x2a, 0x2e, 0x1e, 0x29);
  if (font8x8 !== undefined) a.org(ENTRY.FONT_8X8).data(font8x8.subarray(0, 1024));
  a.org(ENTRY.DATE).text(date);
  a.org(ENTRY.MODEL).db(0xfc);
}
