import { describe, expect, test } from "vitest";
import { FONT_8X14, FONT_8X16, FONT_8X8 } from "../font/index.ts";
import { glyphPicture, videoPc } from "./video-pc.testing.ts";

type Pc = ReturnType<typeof videoPc>;

function cellHeight(pc: Pc): number {
  return pc.mem.read16(0x485);
}

function fontOf(height: number): Uint8Array {
  return height === 8 ? FONT_8X8 : height === 14 ? FONT_8X14 : FONT_8X16;
}

const MODES = [
  [0x04, 320, 200, 2],
  [0x05, 320, 200, 2],
  [0x06, 640, 200, 1],
  [0x0d, 320, 200, 4],
  [0x0e, 640, 200, 4],
  [0x0f, 640, 350, 2],
  [0x10, 640, 350, 4],
  [0x11, 640, 480, 4],
  [0x12, 640, 480, 4],
  [0x13, 320, 200, 8],
] as const;

describe.each(MODES)("mode %i", (mode, width, height, bpp) => {
  test("has the right picture size and starts black", () => {
    const pc = videoPc();
    pc.print("old text");
    pc.call({ ax: mode });
    expect(pc.vga.mode()).toEqual({ kind: "graphics", width, height, bpp });
    expect(pc.call({ ax: 0x0f00 }).al).toBe(mode);
    const f = pc.vga.renderFrame();
    expect([f.width, f.height]).toEqual([width, height]);
    expect(new Set(new Uint32Array(f.rgba.buffer))).toEqual(new Set([0xff000000]));
  });

  test("draws characters, reads them back and scrolls them", () => {
    const pc = videoPc();
    pc.call({ ax: mode });
    const h = cellHeight(pc);
    const color = mode === 0x0f || mode === 6 || mode === 0x11 ? 1 : mode < 6 ? 3 : 15;
    pc.call({ ax: 0x0200, dx: 0x0203 });
    pc.call({ ax: 0x0957, bx: color, cx: 1 });
    expect(pc.picture(24, 2 * h, 8, h)).toEqual(glyphPicture(fontOf(h), 0x57, h));
    expect(pc.call({ ax: 0x0800 }).al).toBe(0x57);
    pc.call({ ax: 0x0601, cx: 0, dx: 0x1827 });
    expect(pc.picture(24, h, 8, h)).toEqual(glyphPicture(fontOf(h), 0x57, h));
    expect(pc.picture(24, 2 * h, 8, h).join("")).not.toContain("#");
    pc.call({ ax: 0x0702, cx: 0, dx: 0x1827 });
    expect(pc.picture(24, 3 * h, 8, h)).toEqual(glyphPicture(fontOf(h), 0x57, h));
  });

  test("writes, reads and XORs pixels", () => {
    const pc = videoPc();
    pc.call({ ax: mode });
    pc.call({ ax: 0x0c01, cx: width - 1, dx: height - 1 });
    expect(pc.picture(width - 2, height - 2, 2, 2)).toEqual(["..", ".#"]);
    expect(pc.call({ ax: 0x0d00, cx: width - 1, dx: height - 1 }).al).toBe(1);
    if (mode !== 0x13) {
      pc.call({ ax: 0x0c81, cx: width - 1, dx: height - 1 });
      expect(pc.call({ ax: 0x0d00, cx: width - 1, dx: height - 1 }).al).toBe(0);
    }
    pc.call({ ax: 0x0c01, cx: 0xffff, dx: 0xffff });
  });
});

test("teletype in mode 12h scrolls at row 30", () => {
  const pc = videoPc();
  pc.call({ ax: 0x12 });
  for (let i = 0; i < 30; i++) pc.print(`${i % 10}\r\n`, 15);
  expect(pc.picture(0, 0, 8, 16)).toEqual(glyphPicture(FONT_8X16, 0x31, 16));
  expect(pc.picture(0, 28 * 16, 8, 16)).toEqual(glyphPicture(FONT_8X16, 0x39, 16));
});

test("mode 13h shows its default colours", () => {
  const pc = videoPc();
  pc.call({ ax: 0x13 });
  for (let i = 0; i < 256; i++) pc.ctx.video.write8(0xa0000 + i, i);
  const f = pc.vga.renderFrame();
  const rgb = (x: number): number => ((f.rgba[x * 4] ?? 0) << 16) | ((f.rgba[x * 4 + 1] ?? 0) << 8) | (f.rgba[x * 4 + 2] ?? 0);
  expect(rgb(1)).toBe(0x0000aa);
  expect(rgb(6)).toBe(0xaa5500);
  expect(rgb(15)).toBe(0xffffff);
  expect(rgb(31)).toBe(0xffffff);
  expect(rgb(32)).toBe(0x0000ff);
  expect(rgb(40)).toBe(0xff0000);
  expect(rgb(48)).toBe(0x00ff00);
  expect(rgb(255)).toBe(0);
});

test("AH=0B picks the CGA palette and background", () => {
  const pc = videoPc();
  pc.call({ ax: 4 });
  pc.call({ ax: 0x0c01, cx: 0, dx: 0 });
  const color = (): number[] => [...pc.vga.renderFrame().rgba.subarray(0, 3)];
  expect(color()).toEqual([0x55, 0xff, 0xff]);
  pc.call({ ax: 0x0b00, bx: 0x0100 });
  expect(color()).toEqual([0x55, 0xff, 0x55]);
  pc.call({ ax: 0x0b00, bx: 0x0001 });
  expect(color()).toEqual([0, 0xaa, 0]);
  expect([...pc.vga.renderFrame().rgba.subarray(4, 7)]).toEqual([0, 0, 0xaa]);
});

describe.each([0x0d, 0x12, 0x13, 0x4101, 0x4111])("AH=13 in mode %i", (mode) => {
  const start = (): Pc => {
    const pc = videoPc();
    pc.call(mode < 0x100 ? { ax: mode } : { ax: 0x4f02, bx: mode });
    return pc;
  };
  const pixels = (pc: Pc): Buffer => Buffer.from(pc.vga.renderFrame().rgba);

  test.each([40, 700, 5000])("a string of %i characters leaves the screen that teletype leaves", (count) => {
    let seed = count;
    const text = Uint8Array.from({ length: count }, () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      const pick = (seed >>> 8) % 100;
      return pick < 4 ? 10 : pick < 7 ? 13 : pick < 9 ? 8 : 33 + ((seed >>> 16) % 90);
    });
    const [one, other] = [start(), start()];
    for (const pc of [one, other]) pc.call({ ax: 0x0200, dx: 0x0500 });
    for (const ch of text) one.call({ ax: 0x0e00 | ch, bx: 7 });
    text.forEach((ch, i) => other.mem.write8(0x20000 + i, ch));
    other.call({ ax: 0x1301, bx: 7, cx: count, dx: 0x0500, es: 0x2000, bp: 0 });
    expect(pixels(other).equals(pixels(one))).toBe(true);
    expect(other.call({ ax: 0x0300 }).dx).toBe(one.call({ ax: 0x0300 }).dx);
  });
});

test("a string of 65,535 line feeds in the largest mode is no work", () => {
  const pc = videoPc();
  pc.call({ ax: 0x4f02, bx: 0x411b });
  for (let i = 0; i < 0x10000; i++) pc.mem.write8(0x20000 + i, i % 2 === 0 ? 0x41 : 10);
  const before = performance.now();
  pc.call({ ax: 0x1301, bx: 7, cx: 0xffff, dx: 0, es: 0x2000, bp: 0 });
  expect(performance.now() - before).toBeLessThan(5000);
});
