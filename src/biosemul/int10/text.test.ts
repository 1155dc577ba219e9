import { describe, expect, test, vi } from "vitest";
import { FONT_8X14, FONT_8X16, FONT_8X8 } from "../font/index.ts";
import { glyphPicture, videoPc } from "./video-pc.testing.ts";

test("after POST the screen is an empty 80x25 text mode with the cursor at home", () => {
  const pc = videoPc();
  expect(pc.vga.mode()).toEqual({ kind: "text", width: 80, height: 25, bpp: 4 });
  const s = pc.vga.snapshotText();
  expect(s?.chars.every((c) => c === 0x20)).toBe(true);
  expect(s?.attributes.every((a) => a === 7)).toBe(true);
  expect(s?.cursor).toEqual({ x: 0, y: 0, visible: true, start: 13, end: 14 });
  expect(s?.palette[7]).toBe(0xaaaaaa);
  expect(s?.palette[14]).toBe(0xffff55);
});

describe("teletype", () => {
  test("prints, obeys CR, LF, BS and BEL, and moves the CRTC cursor", () => {
    const pc = videoPc();
    pc.print("Hello\r\nworlx\bd\x07");
    expect(pc.line(0)).toBe("Hello");
    expect(pc.line(1)).toBe("world");
    expect(pc.vga.snapshotText()?.cursor).toMatchObject({ x: 5, y: 1 });
    expect(pc.mem.read16(0x450)).toBe(0x0105);
    expect(pc.bells()).toBe(1);
  });

  test("wraps at column 80 and scrolls at the last row", () => {
    const pc = videoPc();
    for (let i = 0; i < 30; i++) pc.print(`line ${i}\r\n`);
    expect(pc.line(0)).toBe("line 6");
    expect(pc.line(23)).toBe("line 29");
    pc.print("x".repeat(81));
    expect(pc.line(23)).toBe("x".repeat(80));
    expect(pc.line(24)).toBe("x");
  });

  test("keeps the attribute of the cell and of the last line when scrolling", () => {
    const pc = videoPc();
    pc.call({ ax: 0x0600, bx: 0x1f00, cx: 0, dx: 0x184f });
    pc.call({ ax: 0x0200, dx: 0x1800 });
    pc.print("blue\n");
    expect(pc.vga.snapshotText()?.attributes.every((a) => a === 0x1f)).toBe(true);
  });

  test("touches the CRTC only to move the cursor, scrolling included", () => {
    const pc = videoPc();
    const { ports } = pc.ctx;
    const touched = [vi.spyOn(ports, "out8"), vi.spyOn(ports, "out16"), vi.spyOn(ports, "in8")];
    const characters = 80 * 60;
    for (let i = 0; i < characters; i++) pc.call({ ax: 0x0e41, bx: 7 });
    expect(touched.reduce((sum, spy) => sum + spy.mock.calls.length, 0) / characters).toBeLessThanOrEqual(4);
  });
});

describe("cells", () => {
  test("AH=09 writes character and attribute without moving the cursor; AH=08 reads them back", () => {
    const pc = videoPc();
    pc.call({ ax: 0x0200, dx: 0x0305 });
    pc.call({ ax: 0x0941, bx: 0x1e, cx: 3 });
    expect(pc.line(3)).toBe("     AAA");
    expect(pc.call({ ax: 0x0800 }).ax).toBe(0x1e41);
    pc.call({ ax: 0x0a42, bx: 0x70, cx: 1 });
    expect(pc.call({ ax: 0x0800 }).ax).toBe(0x1e42);
    expect(pc.call({ ax: 0x0300 }).dx).toBe(0x0305);
  });

  test("a window scrolls up and down inside its corners", () => {
    const pc = videoPc();
    for (let row = 0; row < 25; row++) {
      pc.call({ ax: 0x0200, dx: row << 8 });
      pc.call({ ax: 0x0900 | (0x61 + row), bx: 7, cx: 80 });
    }
    pc.call({ ax: 0x0602, bx: 0x0700, cx: 0x0502, dx: 0x0904 });
    expect(pc.line(5).slice(0, 6)).toBe("ffhhhf");
    expect(pc.line(8).slice(0, 6)).toBe("ii   i");
    pc.call({ ax: 0x0701, bx: 0x0700, cx: 0x0500, dx: 0x094f });
    expect(pc.line(5)).toBe("");
    expect(pc.line(6).slice(0, 6)).toBe("ffhhhf");
  });

  test("AH=13 writes a string with attributes and leaves the cursor behind it", () => {
    const pc = videoPc();
    [0x48, 0x0c, 0x69, 0x0d].forEach((v, i) => pc.mem.write8(0x5000 + i, v));
    pc.call({ ax: 0x1303, cx: 2, dx: 0x0a14, es: 0x500, bp: 0 });
    expect(pc.line(10).trim()).toBe("Hi");
    expect(pc.call({ ax: 0x0800 }).ah).toBe(7);
    pc.call({ ax: 0x0200, dx: 0x0a15 });
    expect(pc.call({ ax: 0x0800 }).ax).toBe(0x0d69);
  });

  test("pages are apart and AH=05 shows them", () => {
    const pc = videoPc();
    pc.call({ ax: 0x0501 });
    pc.print("other", 0x0007); // teletype goes to the shown page, whatever BH says
    pc.call({ ax: 0x0500 });
    expect(pc.line(0)).toBe("");
    pc.call({ ax: 0x0501 });
    expect(pc.line(0)).toBe("other");
    expect(pc.call({ ax: 0x0f00 }).bx >> 8).toBe(1);
    expect(pc.vga.snapshotText()?.cursor).toMatchObject({ x: 5, y: 0 });
  });
});

describe("cursor shape", () => {
  test.each([
    [0x0607, 13, 14, true],
    [0x0007, 0, 15, true],
    [0x0d0e, 13, 14, true],
    [0x2000, 0, 0, false],
  ])("%i gives lines %i-%i", (cx, start, end, visible) => {
    const pc = videoPc();
    pc.call({ ax: 0x0100, cx });
    expect(pc.vga.snapshotText()?.cursor.visible).toBe(visible);
    if (visible) expect(pc.vga.snapshotText()?.cursor).toMatchObject({ start, end });
    expect(pc.call({ ax: 0x0300 }).cx).toBe(cx);
  });
});

describe("fonts", () => {
  test("text is drawn with the ROM font in plane 2", () => {
    const pc = videoPc();
    pc.call({ ax: 0x0200, dx: 0x0001 });
    pc.call({ ax: 0x0957, bx: 7, cx: 1 });
    expect(pc.picture(9, 0, 8, 16)).toEqual(glyphPicture(FONT_8X16, 0x57, 16));
  });

  test("AX=1112h makes 80x50", () => {
    const pc = videoPc();
    pc.call({ ax: 0x1112 });
    expect(pc.vga.mode()).toMatchObject({ width: 80, height: 50 });
    expect(pc.mem.read8(0x484)).toBe(49);
    for (let i = 0; i < 60; i++) pc.print(`${i}\r\n`);
    expect(pc.line(48)).toBe("59");
    const { bp, cx, dx } = pc.call({ ax: 0x1130, bx: 0x0300 });
    expect([cx, dx & 0xff]).toEqual([8, 49]);
    expect(pc.mem.read8(pc.ctx.linear(pc.regs.selector("es"), bp) + 0x41 * 8)).toBe(FONT_8X8[0x41 * 8]);
    expect(pc.picture(0, 8, 8, 8)).toEqual(glyphPicture(FONT_8X8, 0x31, 8));
  });

  test("a user font replaces one character", () => {
    const pc = videoPc();
    for (let i = 0; i < 16; i++) pc.mem.write8(0x5000 + i, 0xa5);
    pc.call({ ax: 0x1100, bx: 0x1000, cx: 1, dx: 0x41, es: 0x500 });
    pc.call({ ax: 0x0941, bx: 7, cx: 1 });
    expect(pc.picture(0, 0, 8, 12)).toEqual(Array.from({ length: 12 }, () => "#.#..#.#"));
  });
});

describe("configuration", () => {
  test("mode, adapter and state queries answer as a colour VGA", () => {
    const pc = videoPc();
    expect(pc.call({ ax: 0x0f00 }).ax).toBe(0x5003);
    expect(pc.call({ ax: 0x1a00 }).ax & 0xff).toBe(0x1a);
    expect(pc.regs.bx).toBe(0x0008);
    pc.call({ ax: 0x1200, bx: 0x10 });
    expect(pc.regs.bx).toBe(0x0003);
    expect(pc.regs.cx).toBe(0x0f09);
    expect(pc.call({ ax: 0x1b00, es: 0x600 }).al).toBe(0x1b);
    expect(pc.mem.read8(0x6004)).toBe(3);
    expect(pc.mem.read8(0x6022)).toBe(25);
    expect(pc.call({ ax: 0xfe00, es: 0xb800, di: 5 }).di).toBe(5);
  });

  test("AH=12 BL=30 chooses 200 lines for the next text mode", () => {
    const pc = videoPc();
    expect(pc.call({ ax: 0x1200, bx: 0x30 }).al).toBe(0x12);
    pc.call({ ax: 3 });
    expect(pc.vga.mode()).toMatchObject({ width: 80, height: 25 });
    expect(pc.mem.read16(0x485)).toBe(8);
  });

  test("palette services read back what they wrote", () => {
    const pc = videoPc();
    pc.call({ ax: 0x1010, bx: 63, cx: 0x1122, dx: 0x3300 });
    pc.call({ ax: 0x1015, bx: 63 });
    expect([pc.regs.dh, pc.regs.ch, pc.regs.cl]).toEqual([0x33, 0x11, 0x22]);
    pc.call({ ax: 0x1000, bx: 0x0301 });
    expect(pc.call({ ax: 0x1007, bx: 1 }).bh).toBe(3);
    pc.call({ ax: 0x1003, bx: 0 });
    expect(pc.vga.snapshotText()?.blink).toBe(false);
    expect(pc.vga.screenOn).toBe(true);
  });

  test("AH=1C brings back registers, data area and colours", () => {
    const pc = videoPc();
    pc.print("kept");
    const blocks = pc.call({ ax: 0x1c00, cx: 7 }).bx;
    expect(blocks).toBeGreaterThan(12);
    pc.call({ ax: 0x1c01, cx: 7, es: 0x2000 });
    pc.call({ ax: 0x93 });
    expect(pc.vga.mode().kind).toBe("graphics");
    pc.call({ ax: 0x1c02, cx: 7, es: 0x2000 });
    expect(pc.vga.mode()).toMatchObject({ kind: "text", width: 80, height: 25 });
    expect(pc.call({ ax: 0x0f00 }).al).toBe(3);
    expect(pc.vga.snapshotText()?.palette[7]).toBe(0xaaaaaa);
    expect(pc.vga.snapshotText()?.cursor).toMatchObject({ x: 4, y: 0 });
  });
});

describe.each([
  [0, 40, 0xb8000],
  [1, 40, 0xb8000],
  [2, 80, 0xb8000],
  [7, 80, 0xb0000],
])("text mode %i", (mode, columns, base) => {
  test.each([
    [0, 8],
    [1, 14],
    [2, 16],
  ])("with scan line choice %i shows its text", (lines, height) => {
    const pc = videoPc();
    pc.call({ ax: 0x1200 | lines, bx: 0x30 });
    pc.call({ ax: mode });
    pc.print("W");
    expect(pc.vga.mode()).toEqual({ kind: "text", width: columns, height: 25, bpp: 4 });
    expect(pc.mem.read16(base)).toBe(0x0757);
    const cell = mode === 7 && lines === 0 ? 16 : height;
    expect(pc.mem.read16(0x485)).toBe(cell);
    const font = cell === 8 ? FONT_8X8 : cell === 14 ? FONT_8X14 : FONT_8X16;
    expect(pc.picture(0, 0, 8, cell)).toEqual(glyphPicture(font, 0x57, cell));
    for (let i = 0; i < 26; i++) pc.print(`${i}\r\n`);
    expect(pc.line(0)).toBe("2");
  });
});
