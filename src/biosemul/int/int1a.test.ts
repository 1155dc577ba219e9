import { describe, expect, it } from "vitest";
import { Bench } from "../bench.testing.ts";
import { TRAP } from "../rom/layout.ts";

function call(b: Bench, ax: number, set: Partial<Record<"bx" | "cx" | "dx" | "si" | "di" | "ecx", number>> = {}): void {
  b.regs.ax = ax;
  for (const [name, value] of Object.entries(set)) Reflect.set(b.regs, name, value);
  b.int(0x1a, 0x0203);
}

describe("INT 08h and 1Ah time", () => {
  it("defect 13: IRQ0 counts, rolls over at midnight, and AH=00 clears the midnight flag", () => {
    const b = new Bench();
    b.ram.write32(0x46c, 0x1800ae);
    b.trap(0x08);
    call(b, 0);
    expect([b.regs.cx, b.regs.dx, b.regs.al]).toEqual([0x18, 0x00af, 0]);
    b.trap(0x08);
    expect([b.ram.read32(0x46c), b.ram.read8(0x470)]).toEqual([0, 1]);
    call(b, 0);
    expect(b.regs.al).toBe(1);
    call(b, 0);
    expect(b.regs.al).toBe(0);
  });
  it("runs the diskette motor's time-out", () => {
    const b = new Bench();
    b.ram.write8(0x440, 2);
    b.ram.write8(0x43f, 0x01);
    b.trap(0x08);
    expect(b.ram.read8(0x43f)).toBe(1);
    b.trap(0x08);
    expect([b.ram.read8(0x43f), b.ports.values.get(0x3f2)]).toEqual([0, 0x0c]);
  });
  it("sets and reads ticks, time, date", () => {
    const b = new Bench();
    call(b, 0x0100, { cx: 0x12, dx: 0x3456 });
    call(b, 0x0000);
    expect([b.regs.cx, b.regs.dx]).toEqual([0x12, 0x3456]);
    call(b, 0x0300, { cx: 0x2359, dx: 0x5800 });
    call(b, 0x0500, { cx: 0x2026, dx: 0x1122 });
    call(b, 0x0200);
    expect([b.regs.cx, b.regs.dx, b.carry]).toEqual([0x2359, 0x5800, false]);
    call(b, 0x0400);
    expect([b.regs.cx, b.regs.dx, b.carry]).toEqual([0x2026, 0x1122, false]);
  });
  it("waits out an update, and answers CF=1 while the clock is stopped", () => {
    const b = new Bench();
    b.ports.cmos[0x0a] = 0xa6;
    b.onIdle = () => void (b.ports.cmos[0x0a] = 0x26);
    call(b, 0x0200);
    expect(b.carry).toBe(false);
    b.ports.cmos[0x0b] = 0x82;
    call(b, 0x0200);
    expect(b.carry).toBe(true);
  });
  it("sets one alarm at a time; IRQ8 asks for INT 4Ah", () => {
    const b = new Bench();
    call(b, 0x0600, { cx: 0x0630, dx: 0 });
    expect(b.carry).toBe(false);
    call(b, 0x0600, { cx: 0x0631, dx: 0 });
    expect(b.carry).toBe(true);
    b.ports.cmos[0x0c] = 0x20;
    b.trap(TRAP.RTC);
    expect(b.regs.al).toBe(0x20);
    call(b, 0x0700);
    b.trap(TRAP.RTC);
    expect(b.regs.al).toBe(0);
  });
  it("does not claim PXE, TCG or PCI that are not there: AX kept, CF=1", () => {
    const b = new Bench();
    for (const ax of [0x5650, 0xbb00, 0xb101, 0xff00]) {
      call(b, ax);
      expect([b.regs.ax, b.carry]).toEqual([ax, true]);
    }
  });
});

describe("PCI BIOS", () => {
  /** Configuration space of two functions on bus 0: 0:0.0 host bridge, 0:3.0 a network card with one I/O and one memory BAR. */
  function withPci(): { b: Bench; space: Map<number, Uint8Array> } {
    const space = new Map<number, Uint8Array>();
    const add = (devfn: number, id: number, cls: number): Uint8Array => {
      const bytes = new Uint8Array(256);
      const view = new DataView(bytes.buffer);
      view.setUint32(0, id, true);
      view.setUint32(8, cls << 8, true);
      space.set(devfn, bytes);
      return bytes;
    };
    add(0, 0x12378086, 0x060000);
    const bridge = add(1 << 3, 0x70008086, 0x060100);
    bridge[0x0e] = 0;
    const card = add(3 << 3, 0x10001af4, 0x020000);
    card[0x3d] = 1;
    const sizes = new Map<number, number>([
      [0x10, 0xffffffe1],
      [0x14, 0xfffff000],
    ]);
    let address = 0;
    const b = new Bench({ config: { pci: true } });
    b.ports.onWrite = (port, value) => {
      if (port === 0xcf8) address = value;
      else if (port >= 0xcfc && port <= 0xcff) {
        const devfn = (address >>> 8) & 0xff;
        const at = (address & 0xfc) + (port & 3);
        const bytes = space.get(devfn);
        if (bytes === undefined || ((address >>> 16) & 0xff) !== 0) return;
        const view = new DataView(bytes.buffer);
        if (at >= 0x10 && at < 0x28) {
          const mask = devfn === 3 << 3 ? (sizes.get(at) ?? 0) : 0;
          view.setUint32(at, ((value & mask) | (mask & 3)) >>> 0, true);
        } else bytes[at] = value & 0xff;
      }
    };
    b.ports.onRead = (port) => {
      if (port < 0xcfc || port > 0xcff) return undefined;
      const bytes = ((address >>> 16) & 0xff) === 0 ? space.get((address >>> 8) & 0xff) : undefined;
      if (bytes === undefined) return 0xffffffff;
      const at = (address & 0xfc) + (port & 3);
      return at % 4 === 0 ? new DataView(bytes.buffer).getUint32(at, true) : bytes[at];
    };
    b.bios.init();
    return { b, space };
  }
  it("gives cards their ranges and interrupt line at POST", () => {
    const { space } = withPci();
    const card = space.get(3 << 3) ?? new Uint8Array();
    const view = new DataView(card.buffer);
    expect([view.getUint32(0x10, true), view.getUint32(0x14, true) >>> 0, card[4], card[0x3c]]).toEqual([
      0xc001,
      0xe8000000,
      3,
      11 === card[0x3c] ? 11 : 10,
    ]);
    expect(Array.from(space.get(1 << 3) ?? []).slice(0x60, 0x64)).toEqual([10, 11, 10, 11]);
  });
  it("is there, with EDX whole", () => {
    const { b } = withPci();
    call(b, 0xb101);
    expect([b.carry, b.regs.ah, b.regs.edx, b.regs.bx, b.regs.cl]).toEqual([false, 0, 0x20494350, 0x0210, 0]);
  });
  it("finds devices and classes by index and says when there are no more", () => {
    const { b } = withPci();
    call(b, 0xb102, { cx: 0x1000, dx: 0x1af4, si: 0 });
    expect([b.carry, b.regs.bx]).toEqual([false, 3 << 3]);
    call(b, 0xb102, { cx: 0x1000, dx: 0x1af4, si: 1 });
    expect([b.carry, b.regs.ah]).toEqual([true, 0x86]);
    call(b, 0xb102, { cx: 0x1000, dx: 0xffff, si: 0 });
    expect([b.carry, b.regs.ah]).toEqual([true, 0x83]);
    call(b, 0xb103, { ecx: 0x060100, si: 0 });
    expect([b.carry, b.regs.bx]).toEqual([false, 1 << 3]);
  });
  it("reads and writes registers and refuses crooked ones", () => {
    const { b } = withPci();
    call(b, 0xb10a, { bx: 3 << 3, di: 0 });
    expect(b.regs.ecx).toBe(0x10001af4);
    call(b, 0xb10b, { bx: 3 << 3, di: 0x3c, cx: 5 });
    call(b, 0xb108, { bx: 3 << 3, di: 0x3c });
    expect(b.regs.cl).toBe(5);
    for (const [ax, di] of [
      [0xb109, 1],
      [0xb10a, 2],
      [0xb108, 0x100],
    ] as const) {
      call(b, ax, { di });
      expect([b.carry, b.regs.ah]).toEqual([true, 0x87]);
    }
    call(b, 0xb17f);
    expect([b.carry, b.regs.ah]).toEqual([true, 0x81]);
  });
  it("gives the routing table, or its size when the buffer is small", () => {
    const { b } = withPci();
    b.regs.setRealSegment("es", 0x1000);
    b.ram.write16(0x10000, 10);
    call(b, 0xb10e, { di: 0, bx: 0 });
    expect([b.carry, b.regs.ah, b.ram.read16(0x10000)]).toEqual([true, 0x89, 31 * 16]);
    b.ram.write32(0x10002, 0x20000100);
    call(b, 0xb10e, { di: 0, bx: 0 });
    expect([b.carry, b.regs.bx, b.ram.read8(0x20101)]).toEqual([false, 0x0c00, 8]);
    call(b, 0xb10f, { bx: 3 << 3, cx: 0x050a });
    expect(b.carry).toBe(false);
    call(b, 0xb10f, { bx: 3 << 3, cx: 0x010a });
    expect([b.carry, b.regs.ah]).toEqual([true, 0x88]);
  });
  it("has the 32-bit directory and entry", () => {
    const { b } = withPci();
    const at = [...Array(0x1000).keys()].map((i) => 0xf0000 + i * 16).find((a) => b.ram.read32(a) === 0x5f32335f) ?? 0;
    expect(b.ram.read32(at + 4)).toBe(0xf0000 + b.bios.rom.address("bios32"));
    b.regs.eax = 0x49435024;
    b.regs.ebx = 0;
    b.trap(TRAP.BIOS32);
    expect([b.regs.al, b.regs.ebx + b.regs.edx]).toEqual([0, 0xf0000 + b.bios.rom.address("pci32")]);
    b.regs.eax = 0x12345678;
    b.regs.ebx = 0;
    b.trap(TRAP.BIOS32);
    expect(b.regs.al).toBe(0x80);
    b.regs.ax = 0xb181;
    b.raw.setRflags(3);
    b.trap(TRAP.PCI32);
    expect([b.regs.edx, b.raw.getRflags() & 1]).toEqual([0x20494350, 0]);
  });
});
