import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/index.ts";
import { nsOfTick, ticksAt } from "../common/ticks.ts";
import { PitCounter } from "./counter.ts";
import { Pit8254 } from "./device.ts";

const HZ = 1193182;

function setUp() {
  const clock = new ManualClock();
  const rises: number[] = [];
  let level = false;
  const tones: [number, boolean][] = [];
  const pit = new Pit8254({
    clock,
    pin: {
      set(next) {
        if (next && !level) rises.push(ticksAt(clock.nowNs(), HZ));
        level = next;
      },
    },
    speaker: (hz, on) => tones.push([Math.round(hz), on]),
  });
  const toTick = (tick: number): void => clock.advanceTo(nsOfTick(tick, HZ));
  const out = (port: number, value: number): void => pit.write(port - 0x40, 1, value);
  const inb = (port: number): number => pit.read(port - 0x40, 1);
  const count = (counter: number): number => {
    out(0x43, counter << 6);
    return inb(0x40 + counter) | (inb(0x40 + counter) << 8);
  };
  const load = (counter: number, mode: number, value: number): void => {
    out(0x43, (counter << 6) | 0x30 | (mode << 1));
    out(0x40 + counter, value & 0xff);
    out(0x40 + counter, value >> 8);
  };
  return { clock, pit, rises, tones, toTick, out, inb, count, load, level: () => level };
}

describe("tick conversion", () => {
  it("is exact: the first nanosecond of a tick is its own, the one before is not", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8_900_000 }), fc.nat(10 ** 9), fc.constantFrom(HZ, 32768, 3579545), (seconds, part, hz) => {
        const tick = seconds * hz + (part % hz);
        const ns = nsOfTick(tick, hz);
        expect(ticksAt(ns, hz)).toBe(tick);
        expect(ticksAt(ns - 1, hz)).toBe(tick - 1);
      }),
      { seed: 8254 },
    );
  });
});

/** A plain, clocked model of the data sheet for modes 2 and 3: one step per CLK pulse. */
function clockedOut(mode: 2 | 3, n: number, pulses: number): { out: boolean; count: number }[] {
  const result: { out: boolean; count: number }[] = [];
  let out = true;
  let ce = mode === 3 ? n & ~1 : n;
  let extra = mode === 3 && (n & 1) !== 0;
  for (let i = 0; i < pulses; i++) {
    result.push({ out, count: ce & 0xffff });
    if (mode === 2) {
      ce--;
      if (ce === 0) ce = n;
      out = ce !== 1;
    } else if (ce === 2 && !(out && extra)) {
      out = !out;
      ce = n & ~1;
    } else if (ce === 0) {
      out = false;
      ce = n & ~1;
    } else {
      ce -= 2;
    }
    extra = mode === 3 && (n & 1) !== 0;
  }
  return result;
}

describe("8254 counter against a clocked model", () => {
  for (const mode of [2, 3] as const) {
    for (const n of [2, 3, 4, 5, 10, 11]) {
      it(`mode ${mode} with count ${n} gives OUT and CE of every pulse`, () => {
        const c = new PitCounter(true);
        c.control(0x30 | (mode << 1), 0);
        c.write(n, 0);
        c.write(0, 0);
        const seen: { out: boolean; count: number }[] = [];
        for (let t = 1; t <= 40; t++) {
          const low = c.read(t);
          seen.push({ out: c.out(t), count: low | (c.read(t) << 8) });
        }
        expect(seen).toEqual(clockedOut(mode, n, 40));
      });
    }
  }

  it("modes 0 and 4 load at the pulse behind a count, and count the pulses at which the gate is high", () => {
    const step = fc.record({
      gate: fc.option(fc.boolean(), { nil: undefined }),
      count: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.constantFrom(0, 4), fc.boolean(), fc.array(step, { maxLength: 80 }), (mode, gateAtFirst, steps) => {
        const counter = new PitCounter(gateAtFirst);
        counter.control(0x10 | (mode << 1), 0);
        let gate = gateAtFirst;
        let pending: number | undefined;
        let loaded = false;
        let ce = counter.read(0);
        for (const [t, { gate: level, count }] of steps.entries()) {
          if (pending !== undefined) {
            ce = pending;
            loaded = true;
            pending = undefined;
          } else if (loaded && gate && t > 0) ce = (ce - 1) & 0xff;
          expect(counter.read(t)).toBe(ce);
          if (level !== undefined) {
            counter.setGate(level, t);
            gate = level;
          }
          if (count !== undefined) {
            counter.write(count, t);
            pending = count;
          }
          expect(counter.read(t)).toBe(ce);
        }
      }),
      { seed: 8254, numRuns: 400 },
    );
  });

  it("predicts the rises that OUT then shows, in every mode", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 2, max: 20 }), fc.integer({ min: 2, max: 20 }), fc.nat(30), (mode, n, m, at) => {
        const c = new PitCounter(true);
        c.control(0x10 | (mode << 1), 0);
        c.write(n, 0);
        if (mode === 1 || mode === 5) {
          c.setGate(false, 0);
          c.setGate(true, 0);
        }
        let expected = c.nextRise(0);
        let before = c.out(0);
        for (let t = 1; t < 80; t++) {
          c.sync(t);
          const now = c.out(t);
          if (now && !before) expect(t).toBe(expected);
          if (t === expected) expect(now).toBe(true);
          before = now;
          if (t === at && (mode === 2 || mode === 3)) c.write(m, t);
          expected = c.nextRise(t);
        }
      }),
      { seed: 8254, numRuns: 500 },
    );
  });
});

describe("8254 on a PC", () => {
  it("mode 2 raises IRQ0 every count, without drift over an hour", () => {
    const { load, rises, clock } = setUp();
    load(0, 2, 11932);
    clock.advanceTo(3600e9);
    expect(rises.length).toBe(1 + Math.floor((3600 * HZ - 1) / 11932));
    expect(rises.slice(-1)[0]).toBe(1 + (rises.length - 1) * 11932);
  });

  it("mode 0 raises IRQ0 once, N+1 pulses after the count, and stays high", () => {
    const { load, rises, toTick, level } = setUp();
    load(0, 0, 1000);
    expect(level()).toBe(false);
    toTick(1000);
    expect(rises).toEqual([]);
    toTick(70000);
    expect(rises).toEqual([1001]);
    expect(level()).toBe(true);
  });

  it("mode 0 with a new count goes low at its first byte and starts again", () => {
    const { load, out, rises, toTick, level } = setUp();
    load(0, 0, 100);
    toTick(200);
    out(0x40, 50);
    expect(level()).toBe(false);
    toTick(1000);
    out(0x40, 0);
    toTick(2000);
    expect(rises).toEqual([101, 1051]);
  });

  it("reads back low and high byte, latched counts do not move, a second latch is ignored", () => {
    const { load, out, inb, toTick, count } = setUp();
    load(0, 2, 0x1234);
    toTick(1 + 0x34);
    expect(count(0)).toBe(0x1200);
    out(0x43, 0x00);
    toTick(2 + 0x34);
    out(0x43, 0x00);
    expect([inb(0x40), inb(0x40)]).toEqual([0x00, 0x12]);
    expect([inb(0x40), inb(0x40)]).toEqual([0xff, 0x11]);
  });

  it("read-back latches status before count, for several counters", () => {
    const { load, out, inb, toTick } = setUp();
    load(0, 3, 1000);
    load(2, 0, 500);
    out(0x43, 0xc0 | 0x02 | 0x08);
    // Null count: both were written in this very pulse.
    expect(inb(0x40)).toBe(0x80 | 0x40 | 0x36);
    expect([inb(0x40), inb(0x40)]).toEqual([0, 0]);
    toTick(5);
    expect(inb(0x42)).toBe(0x40 | 0x30);
    out(0x43, 0xe0 | 0x02);
    expect(inb(0x40)).toBe(0x80 | 0x36);
  });

  it("status shows modes 6 and 7 as they were written", () => {
    const { load, out, inb, toTick } = setUp();
    load(0, 6, 1000);
    load(1, 7, 1000);
    toTick(5);
    out(0x43, 0xe0 | 0x02 | 0x04);
    expect([inb(0x40), inb(0x41)]).toEqual([0x80 | 0x3c, 0x80 | 0x3e]);
  });

  it("counts in BCD", () => {
    const { out, toTick, count } = setUp();
    out(0x43, 0x31 | (2 << 1));
    out(0x40, 0x00);
    out(0x40, 0x10);
    toTick(2);
    expect(count(0)).toBe(0x0999);
    toTick(1 + 1000);
    expect(count(0)).toBe(0x1000);
  });

  it("low-byte and high-byte access reads and writes one byte", () => {
    const { out, inb, toTick } = setUp();
    out(0x43, 0x14);
    out(0x40, 100);
    toTick(11);
    expect([inb(0x40), inb(0x40)]).toEqual([90, 90]);
    out(0x43, 0x24);
    out(0x40, 0x10);
    toTick(12 + 0x100);
    expect(inb(0x40)).toBe(0x0f);
  });

  it("port 61h: gate 2 starts the counter, OUT2 and refresh can be read, bits 0..3 are kept", () => {
    const { pit, load, toTick } = setUp();
    const port61 = (): number => pit.portB.read(0, 1);
    load(2, 0, 1000);
    toTick(5000);
    expect(port61() & 0x20).toBe(0);
    pit.portB.write(0, 1, 0xfd);
    expect(port61() & 0x8f).toBe(0x0d);
    toTick(5999);
    expect(port61() & 0x20).toBe(0);
    toTick(6001);
    expect(port61() & 0x20).toBe(0x20);
    const toggles = [0, 18, 36, 54].map((d) => {
      toTick(18 * 400 + d);
      return port61() & 0x10;
    });
    expect(toggles).toEqual([0, 0x10, 0, 0x10]);
  });

  it("tells the speaker's tone, and its end", () => {
    const { pit, load, tones } = setUp();
    load(2, 3, 1193);
    pit.portB.write(0, 1, 3);
    load(2, 3, 2386);
    pit.portB.write(0, 1, 0);
    expect(tones).toEqual([
      [1000, true],
      [0, false],
      [500, true],
      [0, false],
    ]);
  });

  it("delivers missed ticks one by one after acknowledges when the host was late, and no more than it missed", () => {
    let now = 0;
    const timers: { deadlineNs: number | undefined; arm(ns: number): void; cancel(): void; fire(): void }[] = [];
    const clock = {
      nowNs: () => now,
      createTimer: (_name: string, callback: () => void) => {
        const timer = {
          deadlineNs: undefined as number | undefined,
          arm(ns: number) {
            timer.deadlineNs = ns;
          },
          cancel() {
            timer.deadlineNs = undefined;
          },
          fire() {
            timer.deadlineNs = undefined;
            callback();
          },
        };
        timers.push(timer);
        return timer;
      },
    };
    const run = (): void => {
      for (const t of timers) if (t.deadlineNs !== undefined && t.deadlineNs <= now) t.fire();
    };
    let edges = 0;
    const pit = new Pit8254({ clock, pin: { set: (level) => (edges += level ? 1 : 0) } });
    pit.write(3, 1, 0x34);
    pit.write(0, 1, 0xa9);
    pit.write(0, 1, 0x04);
    edges = 0;
    now = 10_500_000;
    run();
    expect(edges).toBe(1);
    for (let i = 0; i < 100 && edges < 100; i++) {
      pit.irq0Acknowledged();
      now += 500_000;
      run();
    }
    // 100 half periods pass: 50 ticks of their own and the 9 that were missed, plus the first.
    expect(edges).toBeGreaterThanOrEqual(59);
    expect(edges).toBeLessThanOrEqual(61);
  });

  it("keeps a tick that is due when the guest touches the chip before the timer ran", () => {
    let now = 0;
    const clock = { nowNs: () => now, createTimer: () => ({ deadlineNs: undefined, arm() {}, cancel() {} }) };
    let edges = 0;
    const pit = new Pit8254({ clock, pin: { set: (level) => (edges += level ? 1 : 0) } });
    for (const [port, value] of [
      [3, 0x34],
      [0, 0x00],
      [0, 0x10],
    ] as const) {
      pit.write(port, 1, value);
    }
    edges = 0;
    now = nsOfTick(4200, HZ);
    pit.write(3, 1, 0);
    expect(edges).toBe(1);
  });

  it("does not flood the host with a tiny count", () => {
    const { load, rises, clock } = setUp();
    load(0, 2, 2);
    clock.advanceTo(1_000_000);
    expect(rises.length).toBeLessThan(210);
    expect(rises.length).toBeGreaterThan(150);
  });

  it("goes on in step after save and load", () => {
    const a = setUp();
    a.load(0, 3, 4000);
    a.load(2, 3, 777);
    a.pit.portB.write(0, 1, 3);
    a.toTick(9000);
    const b = setUp();
    b.toTick(9000);
    b.pit.loadState(a.pit.saveState());
    expect(b.pit.saveState()).toEqual(a.pit.saveState());
    expect(JSON.parse(JSON.stringify(a.pit.saveState()))).toEqual(a.pit.saveState());
    a.rises.length = 0;
    b.rises.length = 0;
    a.toTick(50000);
    b.toTick(50000);
    expect(b.rises).toEqual(a.rises);
    expect(b.count(2)).toBe(a.count(2));
  });

  it("never throws and always answers a byte, whatever is written", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.nat(255), fc.nat(3_000_000), fc.boolean()), { maxLength: 60 }), (steps) => {
        const { pit, clock } = setUp();
        for (const [port, value, wait, read] of steps) {
          const device = port === 4 ? pit.portB : pit;
          if (read) {
            const v = device.read(port & 3, 1);
            expect(Number.isInteger(v) && v >= 0 && v <= 255).toBe(true);
          } else device.write(port & 3, 1, value);
          clock.advanceBy(wait);
        }
      }),
      { seed: 61, numRuns: 300 },
    );
  });
});
