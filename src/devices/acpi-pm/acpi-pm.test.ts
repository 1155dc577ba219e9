import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/index.ts";
import { AcpiPm } from "./index.ts";

function setUp() {
  const clock = new ManualClock();
  const sci = { level: false };
  const off: string[] = [];
  const sleep: string[] = [];
  const chip = new AcpiPm({
    clock,
    sci: { set: (level) => (sci.level = level) },
    s3SleepType: 1,
    s5SleepType: 5,
    powerOff: (by) => void off.push(by),
    suspend: () => void sleep.push("asleep"),
    wake: () => void sleep.push("awake"),
    acpiEnable: 0xa0,
    acpiDisable: 0xa1,
  });
  const r = (at: number, size: 1 | 2 | 4 = 2): number => chip.block.read(at, size);
  const w = (at: number, v: number, size: 1 | 2 | 4 = 2): void => chip.block.write(at, size, v);
  const acpi = (): void => chip.command.write(0, 1, 0xa0);
  return { clock, chip, sci, off, sleep, r, w, acpi };
}

describe("ACPI power management block", () => {
  it("enters and leaves ACPI mode by the SMI command port", () => {
    const { chip, r, acpi, w } = setUp();
    expect(r(4)).toBe(0);
    acpi();
    expect([r(4), chip.acpiMode, chip.command.read(0, 1)]).toEqual([1, true, 0xa0]);
    w(4, 0);
    expect(r(4)).toBe(1);
    chip.command.write(0, 1, 0xa1);
    expect(r(4)).toBe(0);
    chip.command.write(1, 1, 0x5a);
    expect(chip.command.read(1, 1)).toBe(0x5a);
  });

  it("suspends to RAM, and is woken by the button, an enabled alarm or a key, with the cause in the status", () => {
    const { chip, r, w, acpi, sleep, off } = setUp();
    acpi();
    const suspend = (): void => {
      w(0, 0xffff);
      w(4, 0x2000 | (1 << 10));
    };
    suspend();
    expect(sleep.splice(0)).toEqual(["asleep"]);
    chip.rtcAlarm();
    expect([sleep.length, r(0) & 0x8000]).toEqual([0, 0]);
    const copy = setUp();
    copy.chip.loadState(chip.saveState());
    copy.chip.powerButton();
    expect(copy.sleep).toEqual(["awake"]);
    chip.powerButton();
    expect([sleep.splice(0), r(0) & 0x8100]).toEqual([["awake"], 0x8100]);
    w(2, 0x0400);
    suspend();
    chip.rtcAlarm();
    expect([sleep.splice(0), r(0)]).toEqual([["asleep", "awake"], 0x8400]);
    suspend();
    chip.inputEvent();
    expect([sleep.splice(0), r(0)]).toEqual([["asleep", "awake"], 0x8000]);
    // What came before the last moment.
    w(2, 0x0100);
    w(0, 0xffff);
    chip.powerButton();
    w(4, 0x2000 | (1 << 10));
    expect([sleep, off]).toEqual([["awake"], []]);
  });

  it("tells an ACPI system of the power button by SCI, until the status is cleared", () => {
    const { chip, sci, r, w, acpi, off } = setUp();
    acpi();
    w(2, 0x100);
    chip.powerButton();
    expect([r(0), sci.level, off]).toEqual([0x100, true, []]);
    w(0, 0x100);
    expect([r(0), sci.level]).toEqual([0, false]);
    chip.sleepButton();
    expect([r(0), sci.level]).toEqual([0x200, false]);
  });

  it("switches off at the button when no ACPI system runs", () => {
    const { chip, off } = setUp();
    chip.powerButton();
    expect(off).toEqual(["power button"]);
  });

  it("switches off for S5 only", () => {
    const { w, r, off } = setUp();
    w(4, 0x2000 | (1 << 10));
    w(4, 5 << 10);
    expect([off, r(4)]).toEqual([[], 5 << 10]);
    w(4, 0x2000 | (5 << 10));
    expect(off).toEqual(["ACPI S5"]);
  });

  it("counts at 3.579545 MHz and raises its carry every 2^31 ticks", () => {
    const { clock, r, w, sci, acpi } = setUp();
    clock.advanceTo(1e9);
    expect([r(8, 4), r(8, 1), r(10, 2)]).toEqual([3_579_545, 3_579_545 & 0xff, 3_579_545 >>> 16]);
    acpi();
    w(2, 1);
    clock.advanceTo(599.9e9);
    expect(sci.level).toBe(false);
    clock.advanceTo(600e9);
    expect([sci.level, r(0) & 1]).toEqual([true, 1]);
    w(0, 1);
    expect(sci.level).toBe(false);
    clock.advanceTo(1200e9);
    expect(sci.level).toBe(true);
  });

  it("raises the RTC's alarm", () => {
    const { chip, sci, r, w, acpi } = setUp();
    acpi();
    w(2, 0x400);
    chip.rtcAlarm();
    expect([r(0), sci.level]).toEqual([0x400, true]);
  });

  it("gives the same state back, and lets nothing a guest does throw", () => {
    const step = fc.record({
      write: fc.boolean(),
      at: fc.nat(15),
      value: fc.integer(),
      size: fc.constantFrom(1 as const, 2 as const, 4 as const),
      ns: fc.nat(1e9),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const a = setUp();
        for (const s of steps) {
          if (s.write) a.chip.block.write(s.at, s.size, s.value >>> 0);
          else expect(a.chip.block.read(s.at, s.size)).toBeGreaterThanOrEqual(0);
          if ((s.value & 15) === 0) a.acpi();
          a.clock.advanceBy(s.ns * 100);
        }
        const b = setUp();
        b.clock.advanceTo(a.clock.nowNs());
        b.chip.loadState(a.chip.saveState());
        expect(b.chip.saveState()).toEqual(a.chip.saveState());
        expect(b.sci.level).toBe(a.sci.level);
      }),
      { seed: 35, numRuns: 200 },
    );
  });
});
