import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/index.ts";
import { PioBus } from "../../bus/index.ts";
import { I8042, Pic8259, Pit8254, Ps2Keyboard, Ps2Mouse, Rtc146818 } from "../index.ts";

/** The legacy chips on one port bus, as a PC wires them; `service` is a CPU that acknowledges and reads what the handler would. */
function pc() {
  const clock = new ManualClock();
  const bus = new PioBus();
  let intr = false;
  const pic = new Pic8259({ intr: (level) => (intr = level), onAcknowledge: (irq) => irq === 0 && pit.irq0Acknowledged() });
  const pit = new Pit8254({ clock, pin: pic.pin(0) });
  const rtc = new Rtc146818({ clock, pin: pic.pin(8), startSeconds: 0 });
  const keyboard = new Ps2Keyboard({ clock });
  const mouse = new Ps2Mouse({ clock });
  const kbc = new I8042({ clock, keyboard, aux: mouse, keyboardPin: pic.pin(1), auxPin: pic.pin(12), a20() {}, reset() {} });
  for (const [base, count, device] of [
    [0x20, 2, pic.master],
    [0xa0, 2, pic.slave],
    [0x40, 4, pit],
    [0x61, 1, pit.portB],
    [0x60, 1, kbc.data],
    [0x64, 1, kbc.command],
    [0x70, 2, rtc],
  ] as const) {
    bus.register(base, count, device, { maxSize: 1 });
  }
  const out = (port: number, ...values: number[]): void => {
    for (const v of values) bus.write(port, 1, v);
  };
  out(0x20, 0x11);
  out(0x21, 0x08, 0x04, 0x01, 0x00);
  out(0xa0, 0x11);
  out(0xa1, 0x70, 0x02, 0x01, 0x00);
  const service = (): number[] => {
    const vectors: number[] = [];
    while (intr && vectors.length < 100) {
      const vector = pic.acknowledge();
      vectors.push(vector);
      if (vector === 0x09 || vector === 0x74) bytes.push(bus.read(0x60, 1));
      if (vector === 0x70) {
        out(0x70, 0x0c);
        bus.read(0x71, 1);
      }
      if (vector >= 0x70) out(0xa0, 0x20);
      out(0x20, 0x20);
    }
    return vectors;
  };
  const bytes: number[] = [];
  return { clock, bus, out, keyboard, mouse, service, bytes };
}

describe("the legacy chips together", () => {
  it("a key press and release reach the CPU as one IRQ1 a byte", () => {
    const { clock, keyboard, service, bytes } = pc();
    keyboard.key("ArrowUp", true);
    keyboard.key("ArrowUp", false);
    const vectors: number[] = [];
    for (let i = 0; i < 100; i++) {
      clock.advanceBy(100_000);
      vectors.push(...service());
    }
    expect(vectors).toEqual([9, 9, 9, 9]);
    expect(bytes).toEqual([0xe0, 0x48, 0xe0, 0xc8]);
  });

  it("the timer and the clock tick side by side at their rates", () => {
    const { clock, out, service } = pc();
    out(0x43, 0x36);
    out(0x40, 0x9c, 0x2e);
    out(0x70, 0x0b);
    out(0x71, 0x42);
    const seen = new Map<number, number>();
    for (let i = 0; i < 10_000; i++) {
      clock.advanceBy(100_000);
      for (const v of service()) seen.set(v, (seen.get(v) ?? 0) + 1);
    }
    // The first IRQ0 is OUT0's rise at the control word.
    expect(seen.get(0x08)).toBeGreaterThanOrEqual(100);
    expect(seen.get(0x08)).toBeLessThanOrEqual(101);
    expect(seen.get(0x70)).toBe(1024);
  });

  it("a mouse set up through the controller reports by IRQ12", () => {
    const { clock, out, bus, mouse, service, bytes } = pc();
    out(0x64, 0xa8, 0x60);
    out(0x60, 0x47);
    out(0x64, 0xd4);
    out(0x60, 0xf4);
    for (let i = 0; i < 10; i++) {
      clock.advanceBy(500_000);
      service();
    }
    expect(bytes).toEqual([0xfa]);
    mouse.buttons(1);
    for (let i = 0; i < 10; i++) {
      clock.advanceBy(500_000);
      service();
    }
    expect(bytes).toEqual([0xfa, 0x09, 0, 0]);
    expect(bus.read(0x64, 1) & 1).toBe(0);
  });
});
