import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Dma8237 } from "./device.ts";

function setUp() {
  const ram = new Uint8Array(1 << 20);
  const dma = new Dma8237({
    memory: {
      read: (gpa, into) => into.forEach((_, i) => (into[i] = ram[gpa + i] ?? 0xff)),
      write: (gpa, from) => from.forEach((v, i) => gpa + i < ram.length && (ram[gpa + i] = v)),
    },
  });
  const out = (port: number, value: number): void => {
    if (port < 0x10) dma.controller1.write(port, 1, value);
    else if (port < 0x90) dma.pages.write(port - 0x80, 1, value);
    else dma.controller2.write(port - 0xc0, 1, value);
  };
  const inb = (port: number): number =>
    port < 0x10 ? dma.controller1.read(port, 1) : port < 0x90 ? dma.pages.read(port - 0x80, 1) : dma.controller2.read(port - 0xc0, 1);
  /** Programs channel 2 as a floppy driver does. */
  const floppy = (mode: number, gpa: number, bytes: number): void => {
    out(0x0a, 0x06);
    out(0x0c, 0);
    out(0x0b, mode | 2);
    out(0x04, gpa & 0xff);
    out(0x04, (gpa >> 8) & 0xff);
    out(0x81, gpa >> 16);
    out(0x05, (bytes - 1) & 0xff);
    out(0x05, (bytes - 1) >> 8);
    out(0x0a, 0x02);
  };
  return { ram, dma, out, inb, floppy };
}

const bytes = (n: number, first = 1): Uint8Array => Uint8Array.from({ length: n }, (_, i) => first + i);

describe("8237A pair", () => {
  it("moves a device's bytes to memory, stops at terminal count and masks the channel", () => {
    const { ram, dma, floppy, inb } = setUp();
    floppy(0x44, 0x12340, 8);
    const ch = dma.channel(2);
    expect(ch.remaining).toBe(8);
    expect(ch.transferToMemory(bytes(5))).toBe(5);
    expect(ch.terminalCount).toBe(false);
    expect(ch.transferToMemory(bytes(5, 6))).toBe(3);
    expect(ch.terminalCount).toBe(true);
    expect([...ram.subarray(0x12340, 0x12349)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 0]);
    expect(ch.transferToMemory(bytes(1))).toBe(0);
    expect(inb(0x08)).toBe(0x04);
    expect(inb(0x08)).toBe(0x00);
  });

  it("fills a device's buffer from memory, and refuses the wrong direction", () => {
    const { ram, dma, floppy } = setUp();
    ram.set(bytes(16), 0x8000);
    floppy(0x48, 0x8000, 16);
    const into = new Uint8Array(16);
    expect(dma.channel(2).transferToMemory(into)).toBe(0);
    expect(dma.channel(2).transferFromMemory(into)).toBe(16);
    expect([...into]).toEqual([...bytes(16)]);
  });

  it("wraps inside the 64 KiB page", () => {
    const { ram, dma, floppy } = setUp();
    floppy(0x44, 0x2fffe, 4);
    expect(dma.channel(2).transferToMemory(bytes(4))).toBe(4);
    expect([ram[0x2fffe], ram[0x2ffff], ram[0x20000], ram[0x20001], ram[0x30000]]).toEqual([1, 2, 3, 4, 0]);
  });

  it("counts addresses down when told to, across the page's start", () => {
    const { ram, dma, floppy } = setUp();
    floppy(0x64, 0x20001, 4);
    dma.channel(2).transferToMemory(bytes(4));
    expect([ram[0x20001], ram[0x20000], ram[0x2ffff], ram[0x2fffe]]).toEqual([1, 2, 3, 4]);
    ram.set([9, 8, 7], 0x30000);
    floppy(0x68, 0x30002, 3);
    const into = new Uint8Array(3);
    dma.channel(2).transferFromMemory(into);
    expect([...into]).toEqual([7, 8, 9]);
  });

  it("reloads address and count at terminal count in auto-init mode", () => {
    const { ram, dma, floppy, inb } = setUp();
    floppy(0x54, 0x1000, 4);
    expect(dma.channel(2).transferToMemory(bytes(6))).toBe(4);
    expect(dma.channel(2).terminalCount).toBe(true);
    expect(dma.channel(2).transferToMemory(bytes(2, 0x50))).toBe(2);
    expect([...ram.subarray(0x1000, 0x1004)]).toEqual([0x50, 0x51, 3, 4]);
    expect([inb(0x04), inb(0x04)]).toEqual([0x02, 0x10]);
    expect([inb(0x05), inb(0x05)]).toEqual([0x01, 0x00]);
  });

  it("counts without storing in verify mode, and ends at FFFFh", () => {
    const { ram, dma, floppy, inb } = setUp();
    floppy(0x40, 0x1000, 3);
    expect(dma.channel(2).transferToMemory(bytes(8))).toBe(3);
    expect(ram[0x1000]).toBe(0);
    expect([inb(0x05), inb(0x05)]).toEqual([0xff, 0xff]);
  });

  it("moves words on channel 5, in a 128 KiB page", () => {
    const { ram, dma, out } = setUp();
    out(0xd4, 0x05);
    out(0xd8, 0);
    out(0xd6, 0x45);
    out(0xc4, 0xff);
    out(0xc4, 0xff);
    out(0x8b, 0x05);
    out(0xc6, 1);
    out(0xc6, 0);
    out(0xd4, 0x01);
    expect(dma.channel(5).remaining).toBe(4);
    expect(dma.channel(5).transferToMemory(bytes(5))).toBe(4);
    expect([ram[0x5fffe], ram[0x5ffff], ram[0x40000], ram[0x40001]]).toEqual([1, 2, 3, 4]);
  });

  it("stops channels 0..3 while the cascade channel is masked or either chip is disabled", () => {
    const { dma, floppy, out } = setUp();
    floppy(0x44, 0x1000, 8);
    for (const [off, on] of [
      [
        [0xd4, 4],
        [0xd4, 0],
      ],
      [
        [0x08, 4],
        [0x08, 0],
      ],
      [
        [0xd0, 4],
        [0xd0, 0],
      ],
    ] as const) {
      out(off[0], off[1]);
      expect(dma.channel(2).ready).toBe(false);
      out(on[0], on[1]);
      expect(dma.channel(2).ready).toBe(true);
    }
  });

  it("handles master clear, clear mask, write all masks and the request bits of the status register", () => {
    const { dma, out, inb } = setUp();
    out(0x0d, 0);
    expect(inb(0x0f)).toBe(0xff);
    out(0x0e, 0);
    expect(inb(0x0f)).toBe(0xf0);
    out(0x0f, 0x05);
    expect(inb(0x0f)).toBe(0xf5);
    dma.channel(3).setRequest(true);
    expect(inb(0x08)).toBe(0x80);
    dma.channel(3).setRequest(false);
    expect(inb(0x08)).toBe(0x00);
  });

  it("copies memory to memory by software request", () => {
    const { ram, out, inb } = setUp();
    ram.set(bytes(4), 0x100);
    out(0x0c, 0);
    for (const [port, value] of [
      [0x00, 0x0100],
      [0x02, 0x0200],
      [0x03, 3],
    ] as const) {
      out(port, value & 0xff);
      out(port, value >> 8);
    }
    out(0x0b, 0x88);
    out(0x0b, 0x85);
    out(0x08, 0x01);
    out(0x09, 0x04);
    expect([...ram.subarray(0x200, 0x205)]).toEqual([1, 2, 3, 4, 0]);
    expect(inb(0x0d)).toBe(4);
    // Channel 0 rolled over too, which is nobody's terminal count.
    expect(inb(0x08) & 0x03).toBe(0x02);
  });

  it("keeps every page register, POST code included", () => {
    const { out, inb } = setUp();
    for (let i = 0; i < 16; i++) out(0x80 + i, i * 3);
    expect(Array.from({ length: 16 }, (_, i) => inb(0x80 + i))).toEqual(Array.from({ length: 16 }, (_, i) => i * 3));
    out(0x80, 0xa5);
    expect(inb(0x80)).toBe(0xa5);
  });

  it("gives the same state back after save and load", () => {
    const a = setUp();
    a.floppy(0x54, 0x4567, 100);
    a.dma.channel(2).transferToMemory(bytes(10));
    const b = setUp();
    b.dma.loadState(a.dma.saveState());
    expect(b.dma.saveState()).toEqual(a.dma.saveState());
    expect(b.dma.channel(2).remaining).toBe(90);
  });

  it("never throws, and moves no more than it was offered", () => {
    const step = fc.record({
      op: fc.constantFrom("out", "out", "out", "in", "to", "from"),
      port: fc.oneof(fc.nat(0x0f), fc.integer({ min: 0x80, max: 0x8f }), fc.integer({ min: 0xc0, max: 0xdf })),
      value: fc.nat(255),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { dma, out, inb } = setUp();
        for (const s of steps) {
          if (s.op === "out") out(s.port, s.value);
          else if (s.op === "in") expect(inb(s.port)).toBeLessThan(256);
          else {
            const buffer = new Uint8Array(s.value);
            const ch = dma.channel(s.port & 7);
            const moved = s.op === "to" ? ch.transferToMemory(buffer) : ch.transferFromMemory(buffer);
            expect(moved).toBeLessThanOrEqual(buffer.length);
          }
        }
      }),
      { seed: 8237, numRuns: 150 },
    );
  });
});
