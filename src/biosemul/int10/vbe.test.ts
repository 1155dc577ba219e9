import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FONT_8X16 } from "../font/index.ts";
import { buildVideoRom } from "./index.ts";
import { glyphPicture, videoPc } from "./video-pc.testing.ts";
import { PARAMETER_TABLES } from "./modes.ts";
import { programRegisters } from "./set-mode.ts";
import { VBE_MODES } from "./vbe-modes.ts";

describe("controller and mode information", () => {
  test("AX=4F00h gives VBE 3.0, 16 MB and a mode list in ROM", () => {
    const pc = videoPc();
    pc.mem.write32(0x5000, 0x32454256);
    expect(pc.call({ ax: 0x4f00, es: 0x500 }).ax).toBe(0x004f);
    expect(pc.mem.read32(0x5000)).toBe(0x41534556);
    expect(pc.mem.read16(0x5004)).toBe(0x0300);
    expect(pc.mem.read16(0x5012)).toBe(256);
    let list = pc.ctx.linear(pc.mem.read16(0x5010), pc.mem.read16(0x500e));
    const modes: number[] = [];
    for (; pc.mem.read16(list) !== 0xffff; list += 2) modes.push(pc.mem.read16(list));
    expect(modes).toEqual(expect.arrayContaining([0x101, 0x118, 0x11b, 0x144, 0x190]));
  });

  test("every listed mode has information that Linux accepts and can be set", () => {
    const pc = videoPc();
    pc.call({ ax: 0x4f00, es: 0x500 });
    let list = pc.ctx.linear(pc.mem.read16(0x5010), pc.mem.read16(0x500e));
    for (; pc.mem.read16(list) !== 0xffff; list += 2) {
      const mode = pc.mem.read16(list);
      expect(pc.call({ ax: 0x4f01, cx: mode, es: 0x600 }).ax).toBe(0x004f);
      const attributes = pc.mem.read16(0x6000);
      const linear = (attributes & 0x99) === 0x99;
      expect(linear || (attributes & 0x99) === 0x19 || (attributes & 0x15) === 0x05).toBe(true);
      if (linear) expect(pc.mem.read32(0x6028)).toBe(0xe0000000);
      expect(pc.call({ ax: 0x4f02, bx: mode | (linear ? 0x4000 : 0) }).ax).toBe(0x004f);
      const shown = pc.vga.mode();
      expect([shown.width, shown.height]).toEqual([pc.mem.read16(0x6012), pc.mem.read16(0x6014)]);
      expect(pc.call({ ax: 0x4f03 }).bx & 0x1ff).toBe(mode);
      pc.print("ok", 15);
    }
  });

  test("modes whose attributes say VGA are left by VGA registers alone, the others are not", () => {
    const pc = videoPc();
    const text = PARAMETER_TABLES[0x18];
    if (text === undefined) throw new Error("no table for mode 3");
    for (const { mode } of VBE_MODES) {
      if (pc.call({ ax: 0x4f01, cx: mode, es: 0x600 }).ax !== 0x4f) continue;
      const isVga = (pc.mem.read16(0x6000) & 0x20) === 0;
      expect(pc.call({ ax: 0x4f02, bx: mode }).ax).toBe(0x4f);
      const before = pc.vga.mode();
      programRegisters(pc.ctx, text);
      const { width, height } = pc.vga.mode();
      expect([mode, width, height]).toEqual(isVga ? [mode, 80, 25] : [mode, before.width, before.height]);
    }
  });

  test("unknown modes and functions fail", () => {
    const pc = videoPc();
    expect(pc.call({ ax: 0x4f01, cx: 0x1ff }).ax).toBe(0x014f);
    expect(pc.call({ ax: 0x4f02, bx: 0x1ff }).ax).toBe(0x014f);
    expect(pc.call({ ax: 0x4f11 }).ax).toBe(0x014f);
    expect(pc.call({ ax: 0x4f05 }).ax).toBe(0x034f);
    const small = videoPc(0x40000);
    expect(small.call({ ax: 0x4f02, bx: 0x4118 }).ax).toBe(0x014f);
  });
});

describe.each([
  [0x101, 8],
  [0x102, 4],
  [0x104, 4],
  [0x110, 15],
  [0x111, 16],
  [0x112, 24],
  [0x142, 32],
])("mode %i", (mode, bpp) => {
  test("shows text and pixels and scrolls", () => {
    const pc = videoPc();
    pc.call({ ax: 0x4f02, bx: mode | (bpp > 4 ? 0x4000 : 0) });
    expect(pc.vga.mode().bpp).toBe(bpp);
    pc.call({ ax: 0x0200, dx: 0x0a05 });
    pc.call({ ax: 0x0957, bx: 15, cx: 1 });
    expect(pc.picture(40, 160, 8, 16)).toEqual(glyphPicture(FONT_8X16, 0x57, 16));
    expect(pc.call({ ax: 0x0800 }).al).toBe(0x57);
    pc.call({ ax: 0x0601, cx: 0, dx: 0xffff });
    expect(pc.picture(40, 144, 8, 16)).toEqual(glyphPicture(FONT_8X16, 0x57, 16));
    pc.call({ ax: 0x0c0f, cx: 639, dx: 479 });
    expect(pc.picture(638, 478, 2, 2)).toEqual(["..", ".#"]);
  });
});

test("the bank window, line length, display start and DAC width work together", () => {
  const pc = videoPc();
  pc.call({ ax: 0x4f02, bx: 0x105 });
  expect(pc.call({ ax: 0x4f05, dx: 3 }).ax).toBe(0x004f);
  pc.mem.write8(0xa0000, 0x0f);
  expect(pc.vram[0x30000]).toBe(0x0f);
  expect(pc.call({ ax: 0x4f05, bx: 0x0100 }).dx).toBe(3);
  expect(pc.call({ ax: 0x4f06, bx: 0, cx: 2048 }).ax).toBe(0x004f);
  expect([pc.regs.bx, pc.regs.cx, pc.regs.dx]).toEqual([2048, 2048, 8192]);
  expect(pc.call({ ax: 0x4f07, bx: 0, cx: 0, dx: 96 }).ax).toBe(0x004f);
  expect(pc.picture(0, 0, 1, 1)).toEqual(["#"]);
  expect(pc.call({ ax: 0x4f07, bx: 1 }).dx).toBe(96);
  expect(pc.call({ ax: 0x4f07, bx: 0, cx: 0, dx: 8000 }).ax).toBe(0x024f);
  expect(pc.call({ ax: 0x4f08, bx: 0x0800 }).bh).toBe(8);
  [0x11, 0x22, 0x33, 0].forEach((v, i) => pc.mem.write8(0x5000 + i, v));
  expect(pc.call({ ax: 0x4f09, bx: 0, cx: 1, dx: 15, es: 0x500 }).ax).toBe(0x004f);
  expect([...pc.vga.renderFrame().rgba.subarray(0, 3)]).toEqual([0x33, 0x22, 0x11]);
});

test("4F04 saves a VBE mode and brings it back with its picture", () => {
  const pc = videoPc();
  pc.call({ ax: 0x4f02, bx: 0x4111 });
  pc.call({ ax: 0x0c0f, cx: 5, dx: 5 });
  expect(pc.call({ ax: 0x4f04, cx: 15, dx: 0 }).bx).toBeGreaterThan(0);
  pc.call({ ax: 0x4f04, cx: 15, dx: 1, es: 0x2000 });
  pc.call({ ax: 0x83 });
  pc.call({ ax: 0x4f04, cx: 15, dx: 2, es: 0x2000 });
  expect(pc.vga.mode()).toEqual({ kind: "graphics", width: 640, height: 480, bpp: 16 });
  expect(pc.call({ ax: 0x4f03 }).bx).toBe(0x4111);
});

test("leaving a VBE mode by AH=00 gives a clean text screen with its font", () => {
  const pc = videoPc();
  pc.call({ ax: 0x4f02, bx: 0x4118 });
  pc.print("x".repeat(5000), 15);
  pc.call({ ax: 3 });
  pc.print("A");
  expect(pc.line(0)).toBe("A");
  expect(pc.picture(0, 0, 8, 12)).toEqual(glyphPicture(FONT_8X16, 0x41, 16).slice(0, 12));
});

test("DPMS off blanks the screen, on shows it again; the EDID is valid", () => {
  const pc = videoPc();
  pc.print("A");
  pc.call({ ax: 0x4f10, bx: 0x0401 });
  expect(pc.picture(0, 0, 9, 16).join("")).not.toContain("#");
  expect(pc.call({ ax: 0x4f10, bx: 2 }).bh).toBe(4);
  pc.call({ ax: 0x4f10, bx: 0x0001 });
  expect(pc.picture(0, 0, 9, 16).join("")).toContain("#");
  expect(pc.call({ ax: 0x4f15, bx: 0 }).bl).toBe(2);
  expect(pc.call({ ax: 0x4f15, bx: 1, es: 0x500 }).ax).toBe(0x004f);
  let sum = 0;
  for (let i = 0; i < 128; i++) sum += pc.mem.read8(0x5000 + i);
  expect(sum & 0xff).toBe(0);
  expect(pc.mem.read32(0x5000)).toBe(0xffffff00);
});

describe("option ROM", () => {
  test("has signature, jump, PCIR and checksum 0", () => {
    const videoRom = buildVideoRom({ vramBytes: 1 << 24 });
    expect([...videoRom.subarray(0, 4)]).toEqual([0x55, 0xaa, 32, 0xe9]);
    expect(videoRom[6 + (videoRom[4] ?? 0) + ((videoRom[5] ?? 0) << 8)]).toBe(0xcb);
    expect(videoRom.reduce((s, b) => s + b, 0) & 0xff).toBe(0);
    expect(String.fromCharCode(...videoRom.subarray(videoRom[0x18] ?? 0, (videoRom[0x18] ?? 0) + 4))).toBe("PCIR");
  });
});

test("no register values make a service throw", () => {
  const word = fc.integer({ min: 0, max: 0xffff });
  const ah = fc.constantFrom(0, 1, 2, 3, 5, 6, 7, 8, 9, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x1a, 0x1b, 0x1c, 0x4f);
  const al = fc.oneof(fc.integer({ min: 0, max: 0x30 }), fc.integer({ min: 0, max: 255 }));
  const calls = fc.array(fc.tuple(ah, al, word, fc.oneof(fc.integer({ min: 0, max: 200 }), word), word, word, word), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(calls, (list) => {
      const pc = videoPc(0x100000);
      for (const [h, l, bx, cx, dx, bp, es] of list) pc.call({ ax: (h << 8) | l, bx, cx, dx, bp, di: bp, es });
      pc.vga.renderFrame();
      pc.vga.snapshotText();
    }),
    { seed: 10, numRuns: 150 },
  );
});
