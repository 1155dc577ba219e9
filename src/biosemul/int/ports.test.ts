import { describe, expect, it } from "vitest";
import { Bench } from "../bench.testing.ts";

describe("INT 11h", () => {
  it("gives the equipment word, also with no floppies", () => {
    const b = new Bench({ config: { floppyTypes: [], comPorts: [0x3f8] } });
    b.int(0x11);
    expect(b.regs.ax).toBe(0x0226);
  });
});

describe("INT 14h", () => {
  it("programs divisor and line, and gives line and modem status", () => {
    const b = new Bench();
    const out: [number, number][] = [];
    b.ports.onWrite = (port, value) => void out.push([port, value]);
    b.ports.onRead = (port) => (port === 0x3fd ? 0x60 : port === 0x3fe ? 0xb0 : undefined);
    b.regs.ax = 0x00e3;
    b.regs.dx = 0;
    b.int(0x14);
    expect(out).toEqual([
      [0x3fb, 0x80],
      [0x3f8, 12],
      [0x3f9, 0],
      [0x3fb, 0x03],
      [0x3f9, 0],
    ]);
    expect(b.regs.ax).toBe(0x60b0);
    out.length = 0;
    b.regs.ax = 0x0400;
    b.regs.bx = 0x0200;
    b.regs.cx = 0x0308;
    b.int(0x14);
    expect(out.slice(0, 4)).toEqual([
      [0x3fb, 0x80],
      [0x3f8, 6],
      [0x3f9, 0],
      [0x3fb, 0x1b],
    ]);
  });
  it("sends, receives, and times out by the tick clock", () => {
    const b = new Bench();
    let line = 0x60;
    const out: number[] = [];
    b.ports.onWrite = (port, value) => void (port === 0x3f8 && out.push(value));
    b.ports.onRead = (port) => (port === 0x3fd ? line : port === 0x3f8 ? 0x41 : undefined);
    b.regs.ax = 0x0142;
    b.regs.dx = 0;
    b.int(0x14);
    expect([out, b.regs.ah]).toEqual([[0x42], 0x60]);
    line = 0x61;
    b.regs.ax = 0x0200;
    b.int(0x14);
    expect(b.regs.ax).toBe(0x0041);
    line = 0x60;
    b.onIdle = () => b.ram.write32(0x46c, b.ram.read32(0x46c) + 1);
    b.regs.ax = 0x0200;
    expect(b.int(0x14)).toBe("iret");
    expect(b.regs.ah & 0x80).toBe(0x80);
  });
  it("is no FOSSIL driver, and an absent port times out", () => {
    const b = new Bench();
    b.regs.ax = 0x0400;
    b.regs.dx = 0;
    b.regs.bx = 0;
    b.int(0x14);
    expect(b.regs.ax).not.toBe(0x1954);
    b.regs.ax = 0x0300;
    b.regs.dx = 2;
    b.int(0x14);
    expect(b.regs.ah).toBe(0x80);
    b.regs.ax = 0x1b00;
    b.int(0x14);
    expect(b.regs.ax).toBe(0x1b00);
  });
});

describe("INT 17h", () => {
  it("strobes a byte out and gives the status with acknowledge and error turned round", () => {
    const b = new Bench({ config: { lptPorts: [0x378] } });
    const out: [number, number][] = [];
    b.ports.onWrite = (port, value) => void out.push([port, value]);
    b.ports.onRead = (port) => (port === 0x379 ? 0xdf : undefined);
    b.regs.ax = 0x0041;
    b.regs.dx = 0;
    b.int(0x17);
    expect(out).toEqual([
      [0x378, 0x41],
      [0x37a, 0x0d],
      [0x37a, 0x0c],
    ]);
    expect(b.regs.ah).toBe(0x90);
    b.regs.ax = 0x0200;
    b.regs.dx = 1;
    b.int(0x17);
    expect(b.regs.ah).toBe(0x01);
  });
});
