import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/index.ts";
import { Ps2Mouse } from "./device.ts";

const MS = 1_000_000;

function setUp() {
  const clock = new ManualClock();
  const mouse = new Ps2Mouse({ clock });
  const take = (): number[] => {
    const bytes: number[] = [];
    while (mouse.hasOutput()) bytes.push(mouse.takeOutput());
    return bytes;
  };
  const send = (...bytes: number[]): number[] => {
    const all: number[] = [];
    for (const b of bytes) {
      mouse.receive(b);
      all.push(...take());
    }
    return all;
  };
  const rate = (...rates: number[]): void => {
    for (const r of rates) send(0xf3, r);
  };
  return { clock, mouse, take, send, rate };
}

describe("PS/2 mouse", () => {
  it("resets to a standard mouse with reporting off", () => {
    const { mouse, send, take } = setUp();
    expect(send(0xff)).toEqual([0xfa, 0xaa, 0x00]);
    expect(send(0xf2)).toEqual([0xfa, 0x00]);
    mouse.move(5, 5);
    expect(take()).toEqual([]);
    expect(send(0xe9)).toEqual([0xfa, 0x00, 2, 100]);
  });

  it("reports movement with Y upwards, and buttons", () => {
    const { mouse, send, take, clock } = setUp();
    send(0xf4);
    mouse.move(3, 4);
    expect(take()).toEqual([0x28, 3, 0xfc]);
    clock.advanceBy(20 * MS);
    mouse.buttons(0b101);
    expect(take()).toEqual([0x0d, 0, 0]);
    clock.advanceBy(20 * MS);
    mouse.move(-1, -2);
    expect(take()).toEqual([0x1d, 0xff, 2]);
  });

  it("collects movement between samples and splits what a packet cannot hold", () => {
    const { mouse, send, take, clock } = setUp();
    send(0xf4);
    mouse.move(1, 0);
    mouse.move(300, 0);
    mouse.move(10, 0);
    expect(take()).toEqual([0x08, 1, 0]);
    clock.advanceBy(11 * MS);
    expect(take()).toEqual([0x08, 255, 0]);
    clock.advanceBy(11 * MS);
    expect(take()).toEqual([0x08, 55, 0]);
    clock.advanceBy(11 * MS);
    expect(take()).toEqual([]);
  });

  it("becomes an IntelliMouse and then an Explorer by the magic sample rates", () => {
    const { mouse, send, take, rate, clock } = setUp();
    rate(200, 100, 80);
    expect(send(0xf2)).toEqual([0xfa, 3]);
    send(0xf4);
    mouse.move(0, 0, -1);
    expect(take()).toEqual([0x08, 0, 0, 0xff]);
    rate(200, 200, 80);
    expect(send(0xf2)).toEqual([0xfa, 4]);
    clock.advanceBy(20 * MS);
    mouse.buttons(0x18);
    expect(take()).toEqual([0x08, 0, 0, 0x30]);
    clock.advanceBy(20 * MS);
    mouse.move(0, 0, 9);
    expect(take()).toEqual([0x08, 0, 0, 0x37]);
    clock.advanceBy(20 * MS);
    expect(take()).toEqual([0x08, 0, 0, 0x32]);
  });

  it("answers reads in remote mode and sends nothing by itself", () => {
    const { mouse, send, take } = setUp();
    send(0xf4);
    send(0xf0);
    mouse.move(7, -7);
    expect(take()).toEqual([]);
    expect(send(0xeb)).toEqual([0xfa, 0x08, 7, 7]);
    expect(send(0xeb)).toEqual([0xfa, 0x08, 0, 0]);
    expect(send(0xe9)).toEqual([0xfa, 0x60, 2, 100]);
  });

  it("echoes in wrap mode until EC or FF", () => {
    const { send } = setUp();
    expect(send(0xee)).toEqual([0xfa]);
    expect(send(0x12, 0xf2)).toEqual([0x12, 0xf2]);
    expect(send(0xec)).toEqual([0xfa]);
    expect(send(0xf2)).toEqual([0xfa, 0]);
  });

  it("scales 2:1 in stream mode only", () => {
    const { mouse, send, take, clock } = setUp();
    send(0xe7, 0xf4);
    mouse.move(5, 0);
    expect(take()).toEqual([0x08, 9, 0]);
    clock.advanceBy(20 * MS);
    mouse.move(10, 0);
    expect(take()).toEqual([0x08, 20, 0]);
    send(0xf0);
    mouse.move(5, 0);
    expect(send(0xeb)).toEqual([0xfa, 0x08, 5, 0]);
    expect(send(0xe9)[1]).toBe(0x70);
  });

  it("refuses bad arguments and commands, and resends", () => {
    const { send } = setUp();
    // A bad argument may be sent once more; a second bad one ends the command.
    expect(send(0xe8, 4, 3)).toEqual([0xfa, 0xfe, 0xfa]);
    expect(send(0xe8, 4, 5)).toEqual([0xfa, 0xfe, 0xfc]);
    expect(send(0x55, 0x55, 0x55)).toEqual([0xfe, 0xfc, 0xfe]);
    send(0xe9);
    expect(send(0xfe)).toEqual([0xfa, 0x00, 3, 100]);
  });

  it("gives the same state back after save and load", () => {
    const a = setUp();
    a.rate(200, 100, 80);
    a.send(0xf4);
    a.mouse.move(1, 2, 3);
    a.mouse.move(4, 5, 6);
    const b = setUp();
    b.mouse.loadState(a.mouse.saveState());
    expect(b.mouse.saveState()).toEqual(a.mouse.saveState());
    expect(b.take().slice(0, 4)).toEqual(a.take().slice(0, 4));
  });

  it("never throws and never queues without bound", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom("send", "move", "buttons", "take", "wait"), fc.nat(255), fc.integer()), { maxLength: 120 }),
        (steps) => {
          const { mouse, clock } = setUp();
          mouse.receive(0xf4);
          for (const [op, v, far] of steps) {
            if (op === "send") mouse.receive(v);
            else if (op === "move") mouse.move(far, v - 128, far);
            else if (op === "buttons") mouse.buttons(v);
            else if (op === "wait") clock.advanceBy(v * MS);
            else if (mouse.hasOutput()) {
              const b = mouse.takeOutput();
              expect(b >= 0 && b <= 255).toBe(true);
            }
          }
          let n = 0;
          while (mouse.hasOutput() && n < 100) {
            mouse.takeOutput();
            n++;
          }
          expect(n).toBeLessThan(100);
        },
      ),
      { seed: 3, numRuns: 300 },
    );
  });
});
