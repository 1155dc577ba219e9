import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock, type Timer } from "../../base/index.ts";
import { Hpet } from "./index.ts";

function setUp() {
  const clock = new ManualClock();
  const timers: Timer[] = [];
  const createTimer = clock.createTimer.bind(clock);
  clock.createTimer = (name, callback) => {
    const timer = createTimer(name, callback);
    timers.push(timer);
    return timer;
  };
  const log: string[] = [];
  const rises = { count: 0 };
  const chip = new Hpet({
    clock,
    setPin: (pin, on) => {
      if (on) rises.count++;
      log.push(`${pin}${on ? "+" : "-"}`);
    },
    setLegacy: (timer, on) => {
      if (on) rises.count++;
      log.push(`L${timer}${on ? "+" : "-"}`);
    },
    onLegacy: (on) => void log.push(`legacy ${on}`),
  });
  const r = (at: number): number => chip.read(at, 4);
  const w = (at: number, v: number): void => chip.write(at, 4, v >>> 0);
  const take = (): string[] => log.splice(0);
  return { clock, chip, r, w, take, rises, timers };
}

describe("HPET", () => {
  it("says what it is: three timers, 64 bits, 100 MHz, inputs 20 to 23", () => {
    const { r, chip } = setUp();
    expect([r(0), r(4), r(0x100), r(0x104), r(0x160)]).toEqual([0x8086a201, 10_000_000, 0x30, 0xf00000, 0]);
    expect([chip.read(2, 2), chip.read(5, 1)]).toEqual([0x8086, 0x96]);
  });

  it("counts only while enabled, from where software set it, over 32 bits", () => {
    const { clock, r, w } = setUp();
    w(0xf0, 0xfffffff0);
    w(0xf4, 7);
    clock.advanceBy(1000);
    expect([r(0xf0), r(0xf4)]).toEqual([0xfffffff0, 7]);
    w(0x10, 1);
    clock.advanceBy(150);
    expect([r(0xf0), r(0xf4)]).toEqual([0xffffffff, 7]);
    clock.advanceBy(10);
    expect([r(0xf0), r(0xf4)]).toEqual([0, 8]);
    w(0x10, 0);
    clock.advanceBy(1000);
    expect([r(0xf0), r(0xf4)]).toEqual([0, 8]);
  });

  it("gives the halves of one 64-bit read from the same moment", () => {
    const { clock, r, w } = setUp();
    w(0xf0, 0xffffffff);
    w(0x10, 1);
    expect(r(0xf0)).toBe(0xffffffff);
    clock.advanceBy(20);
    expect(r(0xf4)).toBe(0);
    expect(r(0xf4)).toBe(1);
  });

  it("fires one-shot timers by edge on their input", () => {
    const { clock, w, take } = setUp();
    w(0x10, 1);
    w(0x120, 0x2a04); // enabled, input 21
    w(0x128, 1000);
    w(0x12c, 0);
    take();
    clock.advanceTo(9_999);
    expect(take()).toEqual([]);
    clock.advanceTo(10_000);
    expect(take()).toEqual(["21-", "21+"]);
    clock.advanceBy(1e12);
    expect(take()).toEqual([]);
  });

  it("fires periodically with the comparator set and the period set as Linux does", () => {
    const { clock, w, r, take, rises } = setUp();
    w(0x10, 3);
    expect(take()).toContain("legacy true");
    w(0x10, 2);
    w(0x100, 0x14c); // enabled, periodic, set value, 32 bits
    w(0x108, r(0xf0) + 100_000);
    w(0x108, 100_000);
    w(0x10, 3);
    take();
    clock.advanceBy(999_999);
    expect(take()).toEqual([]);
    clock.advanceBy(1);
    expect(take()).toEqual(["L0-", "L0+"]);
    rises.count = 0;
    clock.advanceBy(100_000_000);
    expect(rises.count).toBe(100);
    expect(r(0x108)).toBe(102 * 100_000);
  });

  it("wakes nobody while the interrupt is off, and its comparator goes on all the same", () => {
    const { clock, w, r, rises, timers } = setUp();
    w(0x10, 1);
    w(0x100, 0x2b4c); // enabled, periodic, set value, 32 bits, input 21
    w(0x108, 100_000);
    w(0x108, 100_000);
    clock.advanceTo(2_500_000);
    expect([r(0x108), rises.count]).toEqual([300_000, 2]);
    w(0x100, 0x2b08);
    expect(timers.map((t) => t.deadlineNs)).toEqual([undefined, undefined, undefined]);
    clock.advanceTo(9_500_000);
    expect([r(0x108), rises.count]).toEqual([1_000_000, 2]);
    clock.advanceTo(19_500_000);
    w(0x100, 0x2b0c);
    clock.advanceTo(20_000_000);
    expect([r(0x108), rises.count]).toEqual([2_100_000, 3]);
  });

  it("holds a level until its status bit is cleared, shared inputs until all are", () => {
    const { clock, w, r, take } = setUp();
    w(0x10, 1);
    for (const at of [0x100, 0x120]) {
      w(at, 0x2806); // level, enabled, input 20
      w(at + 8, 100);
      w(at + 12, 0);
    }
    clock.advanceTo(1000);
    expect(r(0x20)).toBe(3);
    take();
    w(0x20, 1);
    expect([take().at(-1), r(0x20)]).toEqual(["20+", 2]);
    w(0x20, 2);
    expect(take().at(-1)).toBe("20-");
  });

  it("comes round again in 32-bit mode", () => {
    const { clock, w, rises } = setUp();
    w(0x10, 1);
    w(0x100, 0x2904);
    w(0x108, 1000);
    clock.advanceTo(10_000 + 2 * 42_949_672_960);
    expect(rises.count).toBe(3);
  });

  it("merges periods that are too short, and keeps the comparator ahead", () => {
    const { clock, w, r, rises } = setUp();
    w(0x10, 1);
    w(0x100, 0x294c);
    w(0x108, 1);
    w(0x108, 1);
    clock.advanceTo(1_000_000);
    expect(rises.count).toBeLessThanOrEqual(201);
    expect(rises.count).toBeGreaterThan(100);
    expect(r(0x108) - r(0xf0)).toBeLessThanOrEqual(1);
  });

  it("cannot be routed where it is not wired", () => {
    const { w, r } = setUp();
    w(0x100, 0x2a04);
    w(0x100, 0x0404);
    expect((r(0x100) >>> 9) & 31).toBe(21);
  });

  it("gives the same state back, and lets nothing a guest does throw or loop", () => {
    const step = fc.record({ write: fc.boolean(), at: fc.nat(0x3ff), value: fc.integer(), size: fc.constantFrom(1, 2, 4), ns: fc.nat(100_000) });
    const known = fc.record({
      write: fc.constant(true),
      at: fc.constantFrom(0x10, 0x20, 0xf0, 0xf4, 0x100, 0x108, 0x10c, 0x120, 0x128, 0x12c, 0x140, 0x148),
      value: fc.oneof(fc.integer(), fc.nat(0x3fff)),
      size: fc.constant(4),
      ns: fc.nat(100_000),
    });
    fc.assert(
      fc.property(fc.array(fc.oneof(step, known), { maxLength: 60 }), (steps) => {
        const a = setUp();
        for (const s of steps) {
          const size = s.size === 4 ? 4 : s.size === 2 ? 2 : 1;
          const at = s.at & ~(size - 1);
          if (s.write) a.chip.write(at, size, s.value >>> 0);
          else expect(a.chip.read(at, size)).toBeGreaterThanOrEqual(0);
          a.clock.advanceBy(s.ns);
        }
        const b = setUp();
        b.clock.advanceTo(a.clock.nowNs());
        b.chip.loadState(a.chip.saveState());
        expect(b.chip.saveState()).toEqual(a.chip.saveState());
        a.clock.advanceBy(1e6);
        b.clock.advanceBy(1e6);
        expect(b.chip.saveState()).toEqual(a.chip.saveState());
      }),
      { seed: 100, numRuns: 200 },
    );
  });
});
