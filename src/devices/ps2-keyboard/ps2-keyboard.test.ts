import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/index.ts";
import { Ps2Keyboard } from "./device.ts";
import { KEYS, isKeyName } from "./keys.ts";
import type { KeyName } from "./keys.ts";
import { charToKeys } from "./us-layout.ts";

const MS = 1_000_000;

function setUp() {
  const clock = new ManualClock();
  const leds: string[] = [];
  const keyboard = new Ps2Keyboard({ clock, leds: (l) => leds.push(`${l.scrollLock ? "S" : ""}${l.numLock ? "N" : ""}${l.capsLock ? "C" : ""}`) });
  const take = (): string => {
    const bytes: string[] = [];
    while (keyboard.hasOutput()) bytes.push(keyboard.takeOutput().toString(16).padStart(2, "0"));
    return bytes.join(" ");
  };
  const send = (...bytes: number[]): string => {
    for (const b of bytes) keyboard.receive(b);
    return take();
  };
  const press = (code: KeyName): string => {
    keyboard.key(code, true);
    const make = take();
    keyboard.key(code, false);
    return `${make} / ${take()}`;
  };
  return { clock, keyboard, take, send, press, leds };
}

describe("scan codes", () => {
  it("set 2: plain, extended, function and odd keys", () => {
    const { press } = setUp();
    expect(press("KeyA")).toBe("1c / f0 1c");
    expect(press("F7")).toBe("83 / f0 83");
    expect(press("ControlRight")).toBe("e0 14 / e0 f0 14");
    expect(press("ArrowUp")).toBe("e0 75 / e0 f0 75");
    expect(press("NumpadDivide")).toBe("e0 4a / e0 f0 4a");
    expect(press("PrintScreen")).toBe("e0 12 e0 7c / e0 f0 7c e0 f0 12");
    expect(press("Pause")).toBe("e1 14 77 e1 f0 14 f0 77 / ");
    expect(press("Power")).toBe("e0 37 / e0 f0 37");
    expect(press("Lang1")).toBe("f2 / ");
  });

  it("set 1 is the translated form", () => {
    const { press, send } = setUp();
    send(0xf0, 1);
    expect(press("KeyA")).toBe("1e / 9e");
    expect(press("Escape")).toBe("01 / 81");
    expect(press("F11")).toBe("57 / d7");
    expect(press("ArrowUp")).toBe("e0 48 / e0 c8");
    expect(press("PrintScreen")).toBe("e0 2a e0 37 / e0 b7 e0 aa");
    expect(press("Pause")).toBe("e1 1d 45 e1 9d c5 / ");
    expect(press("NumpadEnter")).toBe("e0 1c / e0 9c");
  });

  it("set 3 has one code a key, and breaks only where the type says so", () => {
    const { press, send } = setUp();
    send(0xf0, 3);
    expect(press("KeyA")).toBe("1c / ");
    expect(press("ShiftLeft")).toBe("12 / f0 12");
    expect(press("Pause")).toBe("62 / ");
    expect(send(0xfc, 0x1c)).toBe("fa fa");
    expect(press("KeyA")).toBe("1c / f0 1c");
    expect(send(0xf8)).toBe("fa");
    expect(press("ArrowUp")).toBe("63 / f0 63");
    expect(send(0xf9)).toBe("fa");
    expect(press("ShiftLeft")).toBe("12 / ");
  });

  it("every key has a code in set 2, and no two keys share one", () => {
    const seen = new Set<string>();
    for (const name of Object.keys(KEYS)) {
      if (!isKeyName(name) || name === "Pause") continue;
      const { set2, extended } = KEYS[name];
      const id = `${extended}${set2}`;
      expect(seen.has(id), name).toBe(false);
      seen.add(id);
    }
    expect(seen.size).toBeGreaterThan(104);
  });

  it("wraps grey keys in fake shifts under Shift and under Num Lock", () => {
    const { keyboard, press, send, take } = setUp();
    keyboard.key("ShiftLeft", true);
    take();
    expect(press("Delete")).toBe("e0 f0 12 e0 71 / e0 f0 71 e0 12");
    expect(press("NumpadDivide")).toBe("e0 f0 12 e0 4a / e0 f0 4a e0 12");
    keyboard.key("ShiftLeft", false);
    take();
    send(0xed, 2);
    expect(press("Delete")).toBe("e0 12 e0 71 / e0 f0 71 e0 f0 12");
    expect(press("NumpadDivide")).toBe("e0 4a / e0 f0 4a");
  });

  it("Alt+PrintScreen is SysRq, Control+Pause is Break", () => {
    const { keyboard, press, take } = setUp();
    keyboard.key("AltLeft", true);
    take();
    expect(press("PrintScreen")).toBe("84 / f0 84");
    keyboard.key("AltLeft", false);
    keyboard.key("ControlLeft", true);
    take();
    expect(press("Pause")).toBe("e0 7e e0 f0 7e / ");
    expect(press("PrintScreen")).toBe("e0 7c / e0 f0 7c");
  });

  it("rejects unknown names and ignores a second press", () => {
    const { keyboard, take } = setUp();
    expect(keyboard.key("Hyper", true)).toBe(false);
    keyboard.key("KeyB", true);
    keyboard.key("KeyB", true);
    expect(take()).toBe("32");
    keyboard.releaseAll();
    expect(take()).toBe("f0 32");
  });
});

describe("keyboard commands", () => {
  it("answers identify, echo, sets, LEDs, unknown commands", () => {
    const { send, leds } = setUp();
    expect(send(0xf2)).toBe("fa ab 83");
    expect(send(0xee)).toBe("ee");
    expect(send(0xf0, 0)).toBe("fa fa 02");
    expect(send(0xf0, 3)).toBe("fa fa");
    expect(send(0xf0, 0)).toBe("fa fa 03");
    expect(send(0xf0, 9)).toBe("fa fe");
    expect(send(0xf3)).toBe("fa");
    expect(send(0xed, 0x07)).toBe("fa fa");
    expect(send(0xed, 0x02)).toBe("fa fa");
    expect(leds).toEqual(["SNC", "N"]);
    expect(send(0xef)).toBe("fe");
    expect(send(0xf1)).toBe("fe");
  });

  it("takes a command in place of an argument", () => {
    const { send } = setUp();
    expect(send(0xed, 0xf4)).toBe("fa fa");
    expect(send(0x00)).toBe("fe");
  });

  it("resets with ACK first and the self-test's AAh later, back to set 2 with scanning on", () => {
    const { send, clock, take, press } = setUp();
    send(0xf0, 1);
    send(0xf5);
    expect(send(0xff)).toBe("fa");
    clock.advanceBy(20 * MS);
    expect(take()).toBe("aa");
    expect(press("KeyA")).toBe("1c / f0 1c");
  });

  it("sends nothing while scanning is off", () => {
    const { send, press, keyboard } = setUp();
    expect(send(0xf5)).toBe("fa");
    expect(press("KeyA")).toBe(" / ");
    expect(keyboard.scanning).toBe(false);
    expect(send(0xf4)).toBe("fa");
    expect(press("KeyA")).toBe("1c / f0 1c");
  });

  it("repeats its last byte on FEh", () => {
    const { send, keyboard, take } = setUp();
    keyboard.key("KeyA", true);
    take();
    expect(send(0xfe)).toBe("1c");
  });

  it("answers a command before the keys that wait", () => {
    const { keyboard, send } = setUp();
    keyboard.key("KeyA", true);
    expect(send(0xee)).toBe("ee 1c");
  });

  it("puts one overrun code when sixteen bytes wait", () => {
    const { keyboard, take } = setUp();
    for (const k of ["KeyA", "KeyB", "KeyC", "KeyD", "KeyE", "KeyF", "KeyG"] as const) {
      keyboard.key(k, true);
      keyboard.key(k, false);
    }
    expect(keyboard.pendingBytes).toBe(17);
    expect(take()).toBe("1c f0 1c 32 f0 32 21 f0 21 23 f0 23 24 f0 24 2b 00");
    keyboard.key("KeyH", true);
    expect(take()).toBe("33");
  });
});

describe("typematic", () => {
  it("repeats the last key after the delay, at the rate set by F3h, until it goes up", () => {
    const { keyboard, clock, take, send } = setUp();
    keyboard.key("KeyA", true);
    expect(take()).toBe("1c");
    clock.advanceBy(499 * MS);
    expect(take()).toBe("");
    clock.advanceBy(2 * MS);
    expect(take()).toBe("1c");
    let n = 0;
    for (let i = 0; i < 1000; i++) {
      clock.advanceBy(MS);
      if (take() === "1c") n++;
    }
    expect(n).toBe(10);
    send(0xf3, 0x00);
    keyboard.key("KeyB", true);
    take();
    clock.advanceBy(251 * MS);
    expect(take()).toBe("32");
    keyboard.key("KeyB", false);
    take();
    clock.advanceBy(1000 * MS);
    expect(take()).toBe("");
  });

  it("queues no repeats for a guest that does not read, and none for Pause", () => {
    const { keyboard, clock } = setUp();
    keyboard.key("KeyA", true);
    clock.advanceBy(5000 * MS);
    expect(keyboard.pendingBytes).toBe(1);
    const other = setUp();
    other.keyboard.key("Pause", true);
    other.take();
    other.clock.advanceBy(5000 * MS);
    expect(other.take()).toBe("");
  });
});

describe("US layout", () => {
  it("has a key for every printable ASCII character and the usual controls", () => {
    for (let c = 0x20; c < 0x7f; c++) expect(charToKeys(String.fromCharCode(c)), String.fromCharCode(c)).toBeDefined();
    expect(charToKeys("A")).toEqual({ code: "KeyA", shift: true });
    expect(charToKeys("\n")).toEqual({ code: "Enter", shift: false });
    expect(charToKeys("\x03")).toEqual({ code: "KeyC", shift: false, control: true });
    expect(charToKeys("\t")).toEqual({ code: "Tab", shift: false });
    expect(charToKeys("|")).toEqual({ code: "Backslash", shift: true });
    expect(charToKeys("é")).toBeUndefined();
  });
});

describe("whatever the guest sends", () => {
  it("the keyboard never throws, never queues without bound, and survives save and load", () => {
    const step = fc.oneof(
      fc.record({ op: fc.constant("send"), v: fc.nat(255) }),
      fc.record({ op: fc.constantFrom("down", "up"), v: fc.nat(Object.keys(KEYS).length - 1) }),
      fc.record({ op: fc.constantFrom("take", "wait", "clone"), v: fc.nat(255) }),
    );
    const names = Object.keys(KEYS);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        let { keyboard, clock } = setUp();
        for (const s of steps) {
          if (s.op === "send") keyboard.receive(s.v);
          else if (s.op === "down" || s.op === "up") keyboard.key(names[s.v] ?? "", s.op === "down");
          else if (s.op === "wait") clock.advanceBy(s.v * 10 * MS);
          else if (s.op === "take") {
            if (keyboard.hasOutput()) expect(keyboard.takeOutput()).toBeLessThan(256);
          } else {
            const other = setUp();
            other.clock.advanceTo(clock.nowNs());
            other.keyboard.loadState(keyboard.saveState());
            expect(other.keyboard.saveState()).toEqual(keyboard.saveState());
            ({ keyboard, clock } = other);
          }
          expect(keyboard.pendingBytes).toBeLessThanOrEqual(17);
        }
        let left = 0;
        while (keyboard.hasOutput() && left < 100) {
          keyboard.takeOutput();
          left++;
        }
        expect(left).toBeLessThanOrEqual(33);
      }),
      { seed: 2, numRuns: 300 },
    );
  });
});
