import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/index.ts";
import type { AccessSize } from "../../bus/index.ts";
import { DISPI } from "../../isa/index.ts";
import { registersBar } from "./registers-bar.ts";
import { Vga } from "./vga.ts";

function setUp() {
  const vga = new Vga({ vram: new Uint8Array(1 << 20), clock: new ManualClock() });
  return { vga, bar: registersBar(vga) };
}

describe("the display's registers in memory", () => {
  it("begin with an EDID block whose header and checksum are good and whose preferred mode is 1024x768", () => {
    const { bar } = setUp();
    const edid = Array.from({ length: 128 }, (_, i) => bar.read(i, 1));
    expect(edid.slice(0, 8)).toEqual([0, 255, 255, 255, 255, 255, 255, 0]);
    expect(edid.reduce((a, b) => a + b, 0) & 0xff).toBe(0);
    expect([(edid[56] ?? 0) | (((edid[58] ?? 0) >> 4) << 8), (edid[59] ?? 0) | (((edid[61] ?? 0) >> 4) << 8)]).toEqual([1024, 768]);
  });

  it("reach the VGA ports from 3C0 on", () => {
    const { vga, bar } = setUp();
    bar.write(0x402, 1, 0xe3);
    expect(vga.ports.read(0x1c, 1)).toBe(0xe3);
    bar.write(0x404, 2, 0x0f02);
    expect([bar.read(0x40c, 1), vga.seq[2]]).toEqual([0xe3, 0x0f]);
  });

  it("set a dispi mode by words", () => {
    const { vga, bar } = setUp();
    const write = (index: number, value: number): void => bar.write(0x500 + 2 * index, 2, value);
    write(DISPI.XRES, 640);
    write(DISPI.YRES, 400);
    write(DISPI.BPP, 8);
    write(DISPI.ENABLE, 0x41);
    expect(bar.read(0x500, 2)).toBe(0xb0c5);
    expect(bar.read(0x500 + 2 * DISPI.VIDEO_MEMORY_64K, 2)).toBe(16);
    expect(vga.mode()).toEqual({ kind: "graphics", width: 640, height: 400, bpp: 8 });
    expect(bar.read(0x502, 4)).toBe((400 << 16) | 640);
  });

  it("say how many extended registers there are, and that the frame buffer is little-endian", () => {
    const { bar } = setUp();
    bar.write(0x604, 4, 0xbebebebe);
    expect([bar.read(0x600, 4), bar.read(0x604, 4), bar.read(0x608, 4)]).toEqual([8, 0x1e1e1e1e, 0]);
  });

  it("never throw and give values of their size", () => {
    const { bar } = setUp();
    const access = fc.record({
      write: fc.boolean(),
      offset: fc.oneof(fc.integer({ min: 0, max: 0xfff }), fc.integer({ min: 0x3f8, max: 0x610 })),
      size: fc.constantFrom<AccessSize>(1, 2, 4),
      value: fc.integer({ min: 0, max: 0xffffffff }),
    });
    fc.assert(
      fc.property(fc.array(access, { maxLength: 50 }), (accesses) => {
        for (const a of accesses) {
          if (a.write) bar.write(a.offset, a.size, a.value);
          const value = bar.read(a.offset, a.size);
          expect(value >= 0 && value < 2 ** (8 * a.size)).toBe(true);
        }
      }),
      { seed: 7, numRuns: 200 },
    );
  });
});
