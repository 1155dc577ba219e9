import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ManualClock } from "../../base/index.ts";
import type { AccessSize } from "../../bus/index.ts";
import { cp437Char, cp437Code, cp437ToString } from "./cp437.ts";
import { Vga } from "./vga.ts";

function makeVga(vramBytes = 0x100000, irq?: { set(level: boolean): void }) {
  const clock = new ManualClock();
  const vram = new Uint8Array(vramBytes);
  const vga = new Vga(irq === undefined ? { vram, clock } : { vram, clock, irq });
  const out = (port: number, v: number): void => vga.ports.write(port - 0x3b0, 1, v);
  const inb = (port: number): number => vga.ports.read(port - 0x3b0, 1);
  const set = (port: number, index: number, v: number): void => vga.ports.write(port - 0x3b0, 2, index | (v << 8));
  const get = (port: number, index: number): number => {
    out(port, index);
    return inb(port + 1);
  };
  const attr = (index: number, v: number): void => {
    inb(0x3da);
    out(0x3c0, index);
    out(0x3c0, v);
    out(0x3c0, 0x20);
  };
  const dispi = (index: number, v: number): void => {
    vga.dispiPorts.write(0, 2, index);
    vga.dispiPorts.write(1, 2, v);
  };
  const getDispi = (index: number): number => {
    vga.dispiPorts.write(0, 2, index);
    return vga.dispiPorts.read(1, 2);
  };
  return { clock, vram, vga, out, inb, set, get, attr, dispi, getDispi };
}

type Bench = ReturnType<typeof makeVga>;

/** 640x480 timings, 80 characters, 16-colour planes. */
function graphics(b: Bench): void {
  b.out(0x3c2, 0xe3);
  [1, 1, 15, 0, 6].forEach((v, i) => b.set(0x3c4, i, v));
  b.set(0x3d4, 0x11, 0);
  [0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x0c, 0xdf, 0x28, 0, 0xe7, 4, 0xe3, 0xff].forEach((v, i) =>
    b.set(0x3d4, i, v),
  );
  [0, 0, 0, 0, 0, 0, 5, 15, 0xff].forEach((v, i) => b.set(0x3ce, i, v));
  for (let i = 0; i < 16; i++) b.attr(i, i);
  b.attr(0x10, 1);
  b.attr(0x12, 15);
  b.out(0x3c8, 0);
  for (let i = 0; i < 16; i++) for (let c = 0; c < 3; c++) b.out(0x3c9, i * 4);
}

describe("registers", () => {
  test("CRTC registers 0-7 are protected by bit 7 of 11h, but for line compare bit 8", () => {
    const b = makeVga();
    b.out(0x3c2, 1);
    b.set(0x3d4, 0x11, 0x80);
    b.set(0x3d4, 0, 0x55);
    b.set(0x3d4, 7, 0xff);
    expect(b.get(0x3d4, 0)).toBe(0);
    expect(b.get(0x3d4, 7)).toBe(0x10);
    b.set(0x3d4, 0x11, 0);
    b.set(0x3d4, 0, 0x55);
    expect(b.get(0x3d4, 0)).toBe(0x55);
  });

  test("misc output bit 0 moves the CRTC between 3B4 and 3D4", () => {
    const b = makeVga();
    b.out(0x3c2, 0);
    b.set(0x3b4, 0x0c, 0x12);
    expect(b.inb(0x3d5)).toBe(0xff);
    expect(b.inb(0x3b5)).toBe(0x12);
    b.out(0x3c2, 1);
    expect(b.inb(0x3d5)).toBe(0x12);
    expect(b.inb(0x3b5)).toBe(0xff);
    expect(b.inb(0x3cc)).toBe(1);
  });

  test("the attribute flip-flop alternates index and data and status reads reset it", () => {
    const b = makeVga();
    b.out(0x3c2, 1);
    b.inb(0x3da);
    b.out(0x3c0, 5);
    // 3C0 reads the index in both states of the flip-flop.
    expect(b.inb(0x3c0)).toBe(5);
    b.out(0x3c0, 0x2a);
    expect(b.inb(0x3c0)).toBe(5);
    b.out(0x3c0, 6);
    b.inb(0x3da);
    b.out(0x3c0, 5);
    expect(b.inb(0x3c1)).toBe(0x2a);
  });

  test("the DAC reads and writes with auto increment and reports its state", () => {
    const b = makeVga();
    b.out(0x3c8, 255);
    [1, 2, 3, 0xff, 5, 6].forEach((v) => b.out(0x3c9, v));
    expect(b.inb(0x3c7)).toBe(0);
    b.out(0x3c7, 255);
    expect(b.inb(0x3c7)).toBe(3);
    expect([1, 2, 3, 4, 5, 6].map(() => b.inb(0x3c9))).toEqual([1, 2, 3, 0x3f, 5, 6]);
  });

  test("input status 1 follows the beam and moves on even when the clock stands still", () => {
    const b = makeVga();
    graphics(b);
    let retraceNs = 0;
    let visible = 0;
    for (let i = 0; i < 16_800; i++) {
      b.clock.advanceBy(1000);
      const s = b.inb(0x3da);
      if ((s & 8) !== 0) retraceNs += 1000;
      if ((s & 1) === 0) visible++;
    }
    // 2 lines of 525 at 31.8 us; 80/100 x 480/525 of the time is visible.
    expect(retraceNs).toBeGreaterThan(50_000);
    expect(retraceNs).toBeLessThan(80_000);
    expect(visible / 16_800).toBeCloseTo(0.73, 1);
    let reads = 0;
    while ((b.inb(0x3da) & 8) === 0 && reads < 100_000) reads++;
    expect(reads).toBeLessThan(50_000);
  });

  test("the retrace interrupt is raised once enabled and cleared by CRTC 11h bit 4", () => {
    const levels: boolean[] = [];
    const b = makeVga(0x40000, { set: (l) => levels.push(l) });
    graphics(b);
    levels.length = 0;
    b.set(0x3d4, 0x11, 0x1c);
    b.clock.advanceBy(17_000_000);
    expect(levels).toContain(true);
    expect(b.inb(0x3c2) & 0x80).toBe(0x80);
    b.set(0x3d4, 0x11, 0x0c);
    expect(levels.at(-1)).toBe(false);
    expect(b.inb(0x3c2) & 0x80).toBe(0);
  });
});

describe("picture", () => {
  test("start address, panning and line compare shape a planar screen", () => {
    const b = makeVga();
    graphics(b);
    b.vga.window.write(80, 1, 0x80);
    b.set(0x3d4, 0x0d, 80);
    const lit = (x: number, y: number): boolean => {
      const f = b.vga.renderFrame();
      return (f.rgba[(y * f.width + x) * 4] ?? 0) > 0;
    };
    expect(lit(0, 0)).toBe(true);
    b.set(0x3d4, 0x0d, 79);
    expect(lit(8, 0)).toBe(true);
    b.attr(0x13, 3);
    expect(lit(5, 0)).toBe(true);
    b.attr(0x13, 0);
    // Split: from line 101 the picture starts again at address 0, so address 80 is line 102.
    b.set(0x3d4, 0x18, 100);
    b.set(0x3d4, 7, 0x2e);
    b.set(0x3d4, 9, 0);
    b.set(0x3d4, 0x0d, 0);
    expect(lit(0, 1)).toBe(true);
    expect(lit(0, 102)).toBe(true);
  });

  test("unchained 256 colours put pixel x in plane x&3, chained ones at its byte", () => {
    const b = makeVga();
    graphics(b);
    b.set(0x3ce, 5, 0x40);
    b.set(0x3d4, 9, 0x41);
    b.attr(0x10, 0x41);
    for (const [plane, color] of [
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 4],
    ] as const) {
      b.set(0x3c4, 2, 1 << plane);
      b.vga.window.write(0, 1, color);
    }
    expect(b.vga.mode()).toEqual({ kind: "graphics", width: 320, height: 240, bpp: 8 });
    const f = b.vga.renderFrame();
    expect([0, 1, 2, 3].map((x) => f.rgba[x * 4])).toEqual([16, 32, 48, 65]);
    b.set(0x3c4, 2, 15);
    b.set(0x3c4, 4, 0x0e);
    b.set(0x3d4, 0x14, 0x40);
    b.vga.window.write(4, 4, 0x04030201);
    const g = b.vga.renderFrame();
    expect([4, 5, 6, 7].map((x) => g.rgba[x * 4])).toEqual([16, 32, 48, 65]);
  });

  test("the screen is dark while PAS, the clocking mode or the CRTC switch it off", () => {
    const b = makeVga();
    graphics(b);
    b.vga.window.write(0, 1, 0xff);
    expect(b.vga.renderFrame().rgba[0]).toBeGreaterThan(0);
    b.inb(0x3da);
    b.out(0x3c0, 0);
    expect(b.vga.renderFrame().rgba[0]).toBe(0);
    b.out(0x3c0, 0);
    b.out(0x3c0, 0x20);
    b.set(0x3c4, 1, 0x21);
    expect(b.vga.renderFrame().rgba[0]).toBe(0);
  });
});

describe("dispi", () => {
  test("a mode is set, its memory cleared, and the frame buffer shown", () => {
    const b = makeVga(0x1000000);
    graphics(b);
    b.vram.fill(0x55);
    expect(b.getDispi(0)).toBe(0xb0c5);
    expect(b.getDispi(10)).toBe(256);
    b.dispi(4, 2);
    expect([b.getDispi(1), b.getDispi(2), b.getDispi(3)]).toEqual([1920, 1200, 32]);
    b.dispi(4, 0);
    b.dispi(1, 1920);
    b.dispi(2, 1080);
    b.dispi(3, 32);
    b.dispi(4, 0x41);
    expect(b.vram[1920 * 1080 * 4 - 1]).toBe(0);
    expect(b.vram[1920 * 1080 * 4]).toBe(0x55);
    b.vram.set([0x30, 0x20, 0x10, 0], (5 * 1920 + 7) * 4);
    const f = b.vga.renderFrame();
    expect([...f.rgba.subarray((5 * 1920 + 7) * 4, (5 * 1920 + 7) * 4 + 4)]).toEqual([0x10, 0x20, 0x30, 0xff]);
    b.dispi(4, 0);
    expect(b.vga.mode().width).toBe(640);
  });

  test("setCursor does what two 16-bit OUTs to the CRTC do, and nothing at the port that is silent", () => {
    const [b, outs] = [makeVga(), makeVga()];
    for (const [port, address] of [
      [0x3d4, 0x7ff],
      [0x3b4, 0x123],
      [0x3d4, 0xfe01],
    ] as const) {
      b.vga.setCursor(port, address);
      outs.vga.ports.write(port - 0x3b0, 2, (address & 0xff00) | 0x0e);
      outs.vga.ports.write(port - 0x3b0, 2, ((address & 0xff) << 8) | 0x0f);
      expect(b.vga.saveState()).toEqual(outs.vga.saveState());
    }
  });
  test("the A0000 window shows the selected bank, and linearWindow says where", () => {
    const b = makeVga(0x1000000);
    b.dispi(1, 640);
    b.dispi(2, 480);
    b.dispi(3, 8);
    b.dispi(4, 1);
    b.dispi(5, 2);
    b.vga.window.write(0x10, 4, 0x44332211);
    expect([...b.vram.subarray(0x20010, 0x20014)]).toEqual([0x11, 0x22, 0x33, 0x44]);
    expect(b.vga.linearWindow).toBe(0x20000);
    expect(b.vga.window.read(0x18000, 1)).toBe(0xff);
    b.dispi(5, 0xffff);
    expect(b.getDispi(5)).toBe(2);
  });
});

test("state round trip gives the same picture and registers", () => {
  const b = makeVga();
  graphics(b);
  b.vga.window.write(3, 1, 0xa5);
  b.out(0x3c8, 3);
  b.out(0x3c9, 9);
  const c = makeVga();
  c.vram.set(b.vram);
  c.vga.loadState(structuredClone(b.vga.saveState()));
  expect(c.vga.saveState()).toEqual(b.vga.saveState());
  expect(Buffer.compare(c.vga.renderFrame().rgba, b.vga.renderFrame().rgba)).toBe(0);
});

test("code page 437 goes to Unicode and back", () => {
  expect(cp437ToString(Uint8Array.from([0x48, 0x69, 0xc9, 0xcd, 0xbb, 0xe1, 0]))).toBe("Hi╔═╗ß ");
  const codes = Array.from({ length: 256 }, (_, i) => i).filter((i) => i !== 0 && cp437Code(cp437Char(i)) !== i);
  expect(codes).toEqual([]);
});

test("random port and memory accesses never throw, nor does drawing what they leave", () => {
  const access = fc.tuple(
    fc.constantFrom("port", "port", "port", "dispi", "mem"),
    fc.boolean(),
    fc.nat(0x1ffff),
    fc.constantFrom(1, 2, 4),
    fc.integer({ min: 0, max: 0xffffffff }),
  );
  fc.assert(
    fc.property(fc.array(access, { maxLength: 120 }), (list) => {
      const b = makeVga(0x100000);
      graphics(b);
      for (const [where, write, offset, size, value] of list) {
        const device = where === "port" ? b.vga.ports : where === "dispi" ? b.vga.dispiPorts : b.vga.window;
        const at = where === "port" ? offset % 48 : where === "dispi" ? offset % 3 : offset;
        const n: AccessSize = size === 1 ? 1 : size === 2 ? 2 : 4;
        const v = n === 1 ? value & 0xff : n === 2 ? value & 0xffff : value;
        if (write) device.write(at, n, where === "dispi" ? v & 0x7ff : v);
        else {
          const r = device.read(at, n);
          expect(r >= 0 && r < 2 ** (8 * n)).toBe(true);
        }
        b.clock.advanceBy(1000);
      }
      b.vga.renderFrame();
      b.vga.snapshotText();
      b.vga.move(0xa0000 + 77, 0xb8000, 5000);
      b.vga.fill16(0xbfff0, 100, 1);
    }),
    { seed: 3, numRuns: 100 },
  );
});
