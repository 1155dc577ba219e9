import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MmioBus, PioBus, SharedIrqLine } from "./index.ts";
import type { AccessSize, BusDevice } from "./index.ts";

class Recorder implements BusDevice {
  readonly name: string;
  readonly log: string[] = [];
  readonly fill: number;
  constructor(name: string, fill = 0x11) {
    this.name = name;
    this.fill = fill;
  }
  read(offset: number, size: AccessSize): number {
    this.log.push(`r${size}@${offset}`);
    let v = 0;
    for (let i = 0; i < size; i++) v += (this.fill + offset + i) * 2 ** (8 * i);
    return v;
  }
  write(offset: number, size: AccessSize, value: number): void {
    this.log.push(`w${size}@${offset}=${value.toString(16)}`);
  }
}

describe("PioBus", () => {
  it("gives all ones for unclaimed ports, ignores writes there and counts both", () => {
    const bus = new PioBus();
    expect([bus.read(0x10, 1), bus.read(0x10, 2), bus.read(0x10, 4)]).toEqual([0xff, 0xffff, 0xffffffff]);
    bus.write(0x10, 4, 1);
    expect([bus.unclaimedReads, bus.unclaimedWrites, bus.lastUnclaimed]).toEqual([3, 1, 0x10]);
  });

  it("refuses overlapping and impossible ranges with a typed error", () => {
    const bus = new PioBus();
    bus.register(0x60, 5, new Recorder("a"));
    expect(() => bus.register(0x64, 1, new Recorder("b"))).toThrow(expect.objectContaining({ code: "VMM_BUS_OVERLAP" }));
    expect(() => bus.register(0xffff, 2, new Recorder("b"))).toThrow(expect.objectContaining({ code: "VMM_BUS_RANGE" }));
    expect(bus.tryRegister(0x64, 1, new Recorder("b"))).toBe(false);
    expect(bus.tryRegister(0x65, 1, new Recorder("b"))).toBe(true);
  });

  it("splits accesses that are too wide, low byte first", () => {
    const bus = new PioBus();
    const a = new Recorder("a");
    bus.register(0x70, 2, a, { maxSize: 1 });
    bus.write(0x70, 2, 0x3412);
    expect(bus.read(0x70, 2)).toBe(0x1211);
    expect(a.log).toEqual(["w1@0=12", "w1@1=34", "r1@0", "r1@1"]);
  });

  it("splits accesses that straddle two devices or run into nothing", () => {
    const bus = new PioBus();
    const a = new Recorder("a", 0xa0);
    const b = new Recorder("b", 0xb0);
    bus.register(0x100, 2, a);
    bus.register(0x102, 1, b);
    expect(bus.read(0x100, 4)).toBe(0xffb0a1a0);
    bus.write(0x101, 4, 0x44332211);
    expect(a.log).toEqual(["r2@0", "w1@1=11"]);
    expect(b.log).toEqual(["r1@0", "w1@0=22"]);
  });

  it("lets an overlay answer what starts on it, and the outer device what contains it", () => {
    const bus = new PioBus();
    const pci = new Recorder("pci", 0x10);
    const reset = new Recorder("reset", 0x90);
    bus.register(0xcf8, 4, pci);
    bus.register(0xcf9, 1, reset, { overlay: true, maxSize: 1 });
    expect(bus.read(0xcf8, 4)).toBe(0x13121110);
    expect(bus.read(0xcf9, 1)).toBe(0x90);
    bus.unregister(0xcf9, reset);
    expect(bus.read(0xcf9, 1)).toBe(0x11);
  });

  it("gives a range back on unregister", () => {
    const bus = new PioBus();
    const a = new Recorder("a");
    bus.register(0x100, 8, a);
    expect(bus.unregister(0x100, a)).toBe(true);
    expect(bus.unregister(0x100, a)).toBe(false);
    expect(bus.hasMapping(0x100)).toBe(false);
    bus.register(0x104, 8, new Recorder("b"));
  });

  it("shows every access to the hook", () => {
    const bus = new PioBus();
    const seen: string[] = [];
    bus.register(0x80, 1, new Recorder("post"));
    bus.hook = (write, port, size, value, device) => seen.push(`${write ? "out" : "in"} ${port} ${size} ${value} ${device?.name ?? "-"}`);
    bus.write(0x80, 1, 0x1aa);
    bus.read(0x81, 1);
    expect(seen).toEqual(["out 128 1 170 post", "in 129 1 255 -"]);
  });

  it("assembles any access as its bytes would be", () => {
    const bus = new PioBus();
    bus.register(0x100, 3, new Recorder("a", 1), { maxSize: 1 });
    bus.register(0x103, 8, new Recorder("b", 0x40), { maxSize: 2 });
    fc.assert(
      fc.property(fc.integer({ min: 0xf8, max: 0x110 }), fc.constantFrom<AccessSize>(1, 2, 4), (port, size) => {
        let bytes = 0;
        for (let i = 0; i < size; i++) bytes += bus.read(port + i, 1) * 2 ** (8 * i);
        expect(bus.read(port, size)).toBe(bytes);
      }),
      { seed: 1 },
    );
  });

  it("wraps at the top of the port space", () => {
    const bus = new PioBus();
    bus.register(0xffff, 1, new Recorder("top", 0x22));
    bus.register(0, 1, new Recorder("bottom", 0x33));
    expect(bus.read(0xffff, 2)).toBe(0x3322);
  });
});

describe("MmioBus", () => {
  it("finds ranges above 4 GiB and below it, and splits what leaves one", () => {
    const bus = new MmioBus();
    const low = new Recorder("low", 0x10);
    const high = new Recorder("high", 0x80);
    bus.register(0x1_0000_0000, 0x1000, high);
    bus.register(0xa0000, 0x20000, low, { maxSize: 2 });
    expect(bus.read(0x1_0000_0004, 4)).toBe(0x87868584);
    expect(bus.read(0xa0002, 4)).toBe(0x15141312);
    expect(bus.read(0xbfffe, 4) >>> 16).toBe(0xffff);
    expect(low.log).toEqual(["r2@2", "r2@4", "r2@131070"]);
    expect([bus.hasMapping(0x9ffff), bus.hasMapping(0xa0000), bus.hasMapping(0x1_0000_1000)]).toEqual([false, true, false]);
  });

  it("counts what nobody claims and refuses overlap", () => {
    const bus = new MmioBus();
    expect(bus.read(0x5000, 4)).toBe(0xffffffff);
    bus.write(0x5000, 1, 1);
    expect([bus.unclaimedReads, bus.unclaimedWrites]).toEqual([1, 1]);
    bus.register(0x1000, 0x1000, new Recorder("a"));
    expect(() => bus.register(0x1fff, 1, new Recorder("b"))).toThrow(expect.objectContaining({ code: "VMM_BUS_OVERLAP" }));
    expect(bus.tryRegister(0x2000, 1, new Recorder("b"))).toBe(true);
  });

  it("forgets a range on unregister, also the one it hit last", () => {
    const bus = new MmioBus();
    const a = new Recorder("a");
    bus.register(0x1000, 0x10, a);
    bus.read(0x1000, 1);
    expect(bus.unregister(0x1000, a)).toBe(true);
    expect(bus.read(0x1000, 1)).toBe(0xff);
  });
});

describe("SharedIrqLine", () => {
  it("is asserted while any device asserts it", () => {
    const levels: boolean[] = [];
    const line = new SharedIrqLine({ set: (level) => levels.push(level) });
    const a = line.connect();
    const b = line.connect();
    a.set(true);
    a.set(true);
    b.set(true);
    a.set(false);
    expect(line.asserted).toBe(true);
    b.set(false);
    expect(levels).toEqual([true, true, true, false]);
  });
});
