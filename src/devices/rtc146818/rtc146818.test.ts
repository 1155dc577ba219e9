import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/index.ts";
import { civilFromSeconds, dayOfWeek, secondsFromCivil } from "./calendar.ts";
import { Rtc146818 } from "./device.ts";

const MS = 1_000_000;
const START = Date.UTC(2024, 1, 28, 23, 59, 58) / 1000;

function setUp(startSeconds = START) {
  const clock = new ManualClock();
  let irq = false;
  let edges = 0;
  const nmi: boolean[] = [];
  const rtc = new Rtc146818({
    clock,
    startSeconds,
    pin: {
      set(level) {
        if (level && !irq) edges++;
        irq = level;
      },
    },
    nmiMask: (masked) => nmi.push(masked),
  });
  const get = (index: number): number => {
    rtc.write(0, 1, index);
    return rtc.read(1, 1);
  };
  const set = (index: number, value: number): void => {
    rtc.write(0, 1, index);
    rtc.write(1, 1, value);
  };
  const time = (): number[] => [0x32, 9, 8, 7, 4, 2, 0].map(get);
  return { clock, rtc, get, set, time, nmi, irq: () => irq, edges: () => edges };
}

describe("calendar", () => {
  it("agrees with Date for two thousand years", () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e10, max: 5e10 }), (seconds) => {
        const t = civilFromSeconds(seconds);
        const d = new Date(seconds * 1000);
        expect(t).toEqual({
          year: d.getUTCFullYear(),
          month: d.getUTCMonth() + 1,
          day: d.getUTCDate(),
          hour: d.getUTCHours(),
          minute: d.getUTCMinutes(),
          second: d.getUTCSeconds(),
        });
        expect(secondsFromCivil(t)).toBe(seconds);
        expect(dayOfWeek(seconds)).toBe(d.getUTCDay() + 1);
      }),
      { seed: 146818, numRuns: 2000 },
    );
  });
});

describe("MC146818", () => {
  it("shows the start time in BCD and 24-hour form, and rolls into 29 February", () => {
    const { clock, time, get } = setUp();
    expect(time()).toEqual([0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58]);
    expect(get(6)).toBe(4);
    clock.advanceBy(2000 * MS);
    expect(time()).toEqual([0x20, 0x24, 0x02, 0x29, 0x00, 0x00, 0x00]);
    expect(get(6)).toBe(5);
  });

  it("shows binary and 12-hour forms when register B says so and the bytes are written again", () => {
    const { clock, get, set } = setUp();
    set(0x0b, 0x84);
    set(4, 0x8b);
    set(2, 59);
    set(0, 58);
    set(9, 24);
    set(8, 2);
    set(7, 28);
    set(0x32, 20);
    set(6, 4);
    set(0x0b, 0x04);
    expect([get(4), get(2), get(0)]).toEqual([0x8b, 59, 58]);
    clock.advanceBy(2000 * MS);
    expect([get(4), get(2), get(0), get(7), get(6)]).toEqual([12, 0, 0, 29, 5]);
  });

  it("keeps what was written until the next update, even an impossible date", () => {
    const { clock, get, set } = setUp();
    set(8, 0x02);
    set(7, 0x31);
    expect(get(7)).toBe(0x31);
    set(8, 0x03);
    clock.advanceBy(1000 * MS);
    expect([get(8), get(7)]).toEqual([0x03, 0x31]);
  });

  it("stops while SET is on and goes on from the bytes written", () => {
    const { clock, get, set } = setUp();
    set(0x0b, 0x82);
    clock.advanceBy(5000 * MS);
    expect(get(0)).toBe(0x58);
    set(0, 0x10);
    set(0x0b, 0x02);
    clock.advanceBy(1000 * MS);
    expect(get(0)).toBe(0x11);
  });

  it("raises UIP for the 2228 µs before an update, and not under SET", () => {
    const { clock, get, set } = setUp();
    expect(get(0x0a)).toBe(0x26);
    clock.advanceTo(997.7 * MS);
    expect(get(0x0a) & 0x80).toBe(0);
    clock.advanceTo(997.8 * MS);
    expect(get(0x0a) & 0x80).toBe(0x80);
    set(0x0b, 0x82);
    expect(get(0x0a) & 0x80).toBe(0);
    set(0x0b, 0x02);
    clock.advanceTo(1000 * MS);
    expect(get(0x0a) & 0x80).toBe(0);
    expect(get(0)).toBe(0x59);
  });

  it("counts the first second half a second after the divider is let go", () => {
    const { clock, get, set } = setUp();
    clock.advanceTo(700 * MS);
    set(0x0a, 0x76);
    clock.advanceTo(5000 * MS);
    expect(get(0)).toBe(0x58);
    set(0x0a, 0x26);
    clock.advanceTo(5499 * MS);
    expect(get(0)).toBe(0x58);
    clock.advanceTo(5500 * MS);
    expect(get(0)).toBe(0x59);
  });

  it("holds IRQ8 from a periodic tick until register C is read; 1024 Hz gives 1024 in a second", () => {
    const { clock, get, set, irq, edges } = setUp();
    set(0x0b, 0x42);
    clock.advanceBy(10 * MS);
    expect([irq(), edges()]).toEqual([true, 1]);
    expect(get(0x0c) & 0xc0).toBe(0xc0);
    expect(irq()).toBe(false);
    clock.advanceTo(1000 * MS - 1);
    get(0x0c);
    const before = edges();
    for (let t = 10_000; t < 20_000; t++) {
      clock.advanceTo((t * MS) / 10);
      if (irq()) get(0x0c);
    }
    expect(edges() - before).toBe(1024);
  });

  it("sets the flags without interrupts, and raises the pin when one is enabled later", () => {
    const { clock, get, set, irq } = setUp();
    clock.advanceBy(1500 * MS);
    set(0x0b, 0x12);
    expect(irq()).toBe(true);
    expect(get(0x0c)).toBe(0xd0);
    expect(get(0x0c)).toBe(0x00);
    set(0x0b, 0x02);
    expect(irq()).toBe(false);
  });

  it("interrupts at each update, and SET takes that permission away", () => {
    const { clock, get, set, edges } = setUp();
    set(0x0b, 0x12);
    for (let i = 0; i < 3; i++) {
      clock.advanceBy(1000 * MS);
      get(0x0c);
    }
    expect(edges()).toBe(3);
    set(0x0b, 0x92);
    expect(get(0x0b)).toBe(0x82);
  });

  it("matches an alarm exactly, and with don't-care bytes every minute", () => {
    const exact = setUp();
    exact.set(1, 0x05);
    exact.set(3, 0x00);
    exact.set(5, 0x00);
    exact.set(0x0b, 0x22);
    exact.clock.advanceTo(6999 * MS);
    expect(exact.irq()).toBe(false);
    exact.clock.advanceTo(7000 * MS);
    expect(exact.irq()).toBe(true);
    expect(exact.get(0x0c) & 0xa0).toBe(0xa0);

    const wild = setUp();
    wild.set(1, 0x30);
    wild.set(3, 0xff);
    wild.set(5, 0xc0);
    wild.set(0x0b, 0x22);
    for (let s = 1; s <= 600; s++) {
      wild.clock.advanceTo(s * 1000 * MS);
      wild.get(0x0c);
    }
    expect(wild.edges()).toBe(10);
  });

  it("sees an alarm that passed while nobody looked for days", () => {
    const { clock, get, set } = setUp();
    set(1, 0x00);
    set(3, 0x30);
    set(5, 0x12);
    clock.advanceBy(3 * 86400 * 1000 * MS);
    expect(get(0x0c) & 0x20).toBe(0x20);
  });

  it("applies daylight saving on the last Sundays of April and October", () => {
    const spring = setUp(Date.UTC(1999, 3, 25, 1, 59, 59) / 1000);
    spring.set(0x0b, 0x03);
    spring.clock.advanceBy(1000 * MS);
    expect([spring.get(4), spring.get(2), spring.get(0)]).toEqual([0x03, 0x00, 0x00]);
    const autumn = setUp(Date.UTC(1999, 9, 31, 1, 59, 59) / 1000);
    autumn.set(0x0b, 0x03);
    autumn.clock.advanceBy(1000 * MS);
    expect(autumn.get(4)).toBe(0x01);
    autumn.clock.advanceBy(3600 * 1000 * MS);
    expect(autumn.get(4)).toBe(0x02);
  });

  it("keeps 114 bytes of RAM, and the NMI mask of port 70h", () => {
    const { rtc, get, set, nmi } = setUp();
    for (const [at, value] of [
      [0x15, 0x80],
      [0x16, 0x02],
      [0x2f, 0x82],
    ] as const)
      set(at, value);
    expect([get(0x15), get(0x16), get(0x2e), get(0x2f)]).toEqual([0x80, 0x02, 0x00, 0x82]);
    set(0x7f, 0x5a);
    expect(get(0xff)).toBe(0x5a);
    expect(nmi).toEqual([true]);
    expect(rtc.nmiMasked).toBe(true);
    set(0x0d, 0);
    expect([get(0x0d), rtc.read(0, 1)]).toEqual([0x80, 0xff]);
  });

  it("goes on in step after save and load", () => {
    const a = setUp();
    a.set(0x0b, 0x52);
    a.clock.advanceBy(1234567890);
    const b = setUp(0);
    b.clock.advanceBy(1234567890);
    b.rtc.loadState(a.rtc.saveState());
    expect(b.rtc.saveState()).toEqual(a.rtc.saveState());
    expect(b.irq()).toBe(a.irq());
    for (const s of [a, b]) {
      s.get(0x0c);
      s.clock.advanceBy(987654321);
    }
    expect(b.time()).toEqual(a.time());
    expect(b.irq()).toBe(a.irq());
  });

  it("never throws and always answers a byte, whatever is written", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(1), fc.nat(255), fc.nat(3e9), fc.boolean()), { maxLength: 80 }), (steps) => {
        const { rtc, clock } = setUp();
        for (const [offset, value, wait, read] of steps) {
          if (read) expect(rtc.read(offset, 1)).toBeLessThan(256);
          else rtc.write(offset, 1, value);
          clock.advanceBy(wait);
        }
      }),
      { seed: 70, numRuns: 300 },
    );
  });
});
