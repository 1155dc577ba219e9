import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/index.ts";
import type { Ps2Device } from "../common/ps2.ts";
import { SET2_TO_SET1 } from "../common/scan-translation.ts";
import { I8042 } from "./device.ts";

const MS = 1_000_000;

/** A device that records what it gets and sends what the test puts in. */
class FakeDevice implements Ps2Device {
  readonly name = "fake";
  onOutput: (() => void) | undefined;
  readonly got: number[] = [];
  readonly queue: number[] = [];
  receive(value: number): void {
    this.got.push(value);
    this.put(0xfa);
  }
  put(...bytes: number[]): void {
    this.queue.push(...bytes);
    this.onOutput?.();
  }
  hasOutput(): boolean {
    return this.queue.length > 0;
  }
  takeOutput(): number {
    return this.queue.shift() ?? 0;
  }
}

function setUp() {
  const clock = new ManualClock();
  const keyboard = new FakeDevice();
  const aux = new FakeDevice();
  const lines = { irq1: false, irq12: false };
  const a20: boolean[] = [];
  let resets = 0;
  const kbc = new I8042({
    clock,
    keyboard,
    aux,
    keyboardPin: { set: (level) => (lines.irq1 = level) },
    auxPin: { set: (level) => (lines.irq12 = level) },
    a20: (on) => a20.push(on),
    reset: () => resets++,
  });
  const command = (...values: number[]): void => {
    kbc.command.write(0, 1, values[0] ?? 0);
    for (const v of values.slice(1)) kbc.data.write(0, 1, v);
  };
  const status = (): number => kbc.command.read(0, 1);
  /** Polls as a BIOS does: -1 when nothing comes within 5 ms. */
  const read = (): number => {
    for (let i = 0; i < 50; i++) {
      if ((status() & 1) !== 0) return kbc.data.read(0, 1);
      clock.advanceBy(0.1 * MS);
    }
    return -1;
  };
  return { clock, kbc, keyboard, aux, lines, a20, resets: () => resets, command, status, read };
}

describe("i8042", () => {
  it("passes self-test and interface tests, and tells that there is no password", () => {
    const { command, read } = setUp();
    for (const [cmd, answer] of [
      [0xaa, 0x55],
      [0xab, 0x00],
      [0xa9, 0x00],
      [0xa4, 0xf1],
      [0xc0, 0xa3],
      [0xe0, 0x01],
    ] as const) {
      command(cmd);
      expect(read()).toBe(answer);
    }
  });

  it("keeps the command byte and its RAM", () => {
    const { command, read } = setUp();
    command(0x20);
    expect(read()).toBe(0x65);
    command(0x60, 0x47);
    command(0x20);
    expect(read()).toBe(0x47);
    command(0x71, 0x99);
    command(0x31);
    expect(read()).toBe(0x99);
  });

  it("shows in the status whether the last write was a command, and what fills the buffer", () => {
    const { kbc, clock, aux, status, command } = setUp();
    command(0xa8);
    expect(status()).toBe(0x1c);
    kbc.data.write(0, 1, 0xf4);
    expect(status()).toBe(0x14);
    clock.advanceBy(MS);
    expect(status()).toBe(0x15);
    expect(kbc.data.read(0, 1)).toBe(0xfa);
    aux.put(0x08);
    clock.advanceBy(MS);
    expect(status()).toBe(0x35);
  });

  it("translates set 2 to set 1 and swallows F0h, only while told to", () => {
    const { keyboard, read, command } = setUp();
    keyboard.put(0x1c, 0xf0, 0x1c, 0xe0, 0xf0, 0x75, 0x83, 0xaa);
    expect([read(), read(), read(), read(), read(), read()]).toEqual([0x1e, 0x9e, 0xe0, 0xc8, 0x41, 0xaa]);
    command(0x60, 0x01);
    keyboard.put(0x1c, 0xf0, 0x1c);
    expect([read(), read(), read()]).toEqual([0x1c, 0xf0, 0x1c]);
  });

  it("has a translation for every code, each make below 80h", () => {
    for (let i = 1; i < 0x80; i++) expect(SET2_TO_SET1[i]).toBeLessThan(0x80);
    expect(new Set(SET2_TO_SET1.subarray(1, 0x80)).size).toBe(127);
  });

  it("raises IRQ1 with a byte and lowers it at the read; the byte can be read again", () => {
    const { kbc, keyboard, lines, clock } = setUp();
    keyboard.put(0x1c, 0x32);
    expect(lines.irq1).toBe(false);
    clock.advanceBy(MS);
    expect(lines.irq1).toBe(true);
    expect([kbc.data.read(0, 1), kbc.data.read(0, 1)]).toEqual([0x1e, 0x1e]);
    expect(lines.irq1).toBe(false);
    clock.advanceBy(MS);
    expect([lines.irq1, kbc.data.read(0, 1)]).toEqual([true, 0x30]);
  });

  it("sends mouse bytes to IRQ12 when the interface and its interrupt are on", () => {
    const { aux, lines, clock, command, status, read } = setUp();
    aux.put(0x08);
    clock.advanceBy(5 * MS);
    expect(status() & 1).toBe(0);
    command(0x60, 0x47);
    clock.advanceBy(MS);
    expect([lines.irq1, lines.irq12, status() & 0x21]).toEqual([false, true, 0x21]);
    expect(read()).toBe(0x08);
    expect(lines.irq12).toBe(false);
  });

  it("hands D4h bytes to the mouse and plain ones to the keyboard, turning the interfaces on", () => {
    const { kbc, keyboard, aux, command, read, status } = setUp();
    command(0xad);
    command(0xd4, 0xf2);
    expect(aux.got).toEqual([0xf2]);
    expect(kbc.commandByte & 0x30).toBe(0x10);
    expect(read()).toBe(0xfa);
    kbc.data.write(0, 1, 0xed);
    expect(keyboard.got).toEqual([0xed]);
    expect(kbc.commandByte & 0x10).toBe(0);
    expect(read()).toBe(0xfa);
    expect(status() & 1).toBe(0);
  });

  it("loops D2h and D3h bytes into the two buffers", () => {
    const { command, status, kbc, clock } = setUp();
    command(0xd2, 0x5a);
    clock.advanceBy(MS);
    expect([status() & 0x21, kbc.data.read(0, 1)]).toEqual([0x01, 0x5a]);
    command(0xd3, 0xa5);
    clock.advanceBy(MS);
    expect([status() & 0x21, kbc.data.read(0, 1)]).toEqual([0x21, 0xa5]);
  });

  it("gates A20 by D1h, DDh and DFh, and shows it in D0h", () => {
    const { command, read, a20, kbc } = setUp();
    command(0xd1, 0xdd);
    expect(kbc.a20).toBe(false);
    command(0xd0);
    expect(read() & 0x03).toBe(0x01);
    command(0xdf);
    command(0xdf);
    command(0xdd);
    command(0xd1, 0xdf);
    expect(a20).toEqual([false, true, false, true]);
  });

  it("resets the CPU by FEh and by clearing bit 0 of the output port, not by FFh", () => {
    const { command, resets } = setUp();
    command(0xff);
    expect(resets()).toBe(0);
    command(0xfe);
    command(0xd1, 0xde);
    expect(resets()).toBe(2);
  });

  it("holds keys back while the keyboard interface is off", () => {
    const { command, keyboard, read } = setUp();
    command(0xad);
    keyboard.put(0x1c);
    expect(read()).toBe(-1);
    command(0xae);
    expect(read()).toBe(0x1e);
  });

  it("reports a missing mouse and keyboard as time-outs", () => {
    const clock = new ManualClock();
    const none = { set() {} };
    const kbc = new I8042({ clock, keyboardPin: none, auxPin: none, a20() {}, reset() {} });
    kbc.command.write(0, 1, 0xd4);
    kbc.data.write(0, 1, 0xff);
    clock.advanceBy(MS);
    expect([kbc.command.read(0, 1) & 0x21, kbc.data.read(0, 1)]).toEqual([0x21, 0xfe]);
  });

  it("gives the same state back after save and load", () => {
    const a = setUp();
    a.command(0x60, 0x47);
    a.keyboard.put(0x1c);
    a.clock.advanceBy(MS);
    a.command(0xd0);
    a.command(0xd4);
    const b = setUp();
    b.kbc.loadState(a.kbc.saveState());
    expect(b.kbc.saveState()).toEqual(a.kbc.saveState());
    expect(b.lines).toEqual(a.lines);
    expect([b.read(), b.read() & 3]).toEqual([0x1e, 3]);
  });

  it("never throws and always answers a byte, whatever is written", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom("cmd", "data", "in", "status", "key", "mouse", "wait"), fc.nat(255)), { maxLength: 150 }),
        (steps) => {
          const { kbc, keyboard, aux, clock } = setUp();
          for (const [op, v] of steps) {
            if (op === "cmd") kbc.command.write(0, 1, v);
            else if (op === "data") kbc.data.write(0, 1, v);
            else if (op === "in") expect(kbc.data.read(0, 1)).toBeLessThan(256);
            else if (op === "status") expect(kbc.command.read(0, 1)).toBeLessThan(256);
            else if (op === "key") keyboard.put(v);
            else if (op === "mouse") aux.put(v);
            else clock.advanceBy(v * 10_000);
            expect(kbc.saveState().replies.length).toBeLessThanOrEqual(64);
          }
        },
      ),
      { seed: 8042, numRuns: 300 },
    );
  });
});
