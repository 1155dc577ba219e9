import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Pic8259 } from "./device.ts";

function setUp(options: { readonly icw4?: number; readonly slaveIcw4?: number; readonly mask?: number } = {}) {
  let intr = false;
  const acknowledged: number[] = [];
  const pic = new Pic8259({ intr: (level) => (intr = level), onAcknowledge: (irq) => acknowledged.push(irq) });
  const out = (port: number, value: number): void => {
    const device = port >= 0x4d0 ? pic.elcr : port >= 0xa0 ? pic.slave : pic.master;
    device.write(port & 1, 1, value);
  };
  const inb = (port: number): number => (port >= 0x4d0 ? pic.elcr : port >= 0xa0 ? pic.slave : pic.master).read(port & 1, 1);
  out(0x20, 0x11);
  out(0x21, 0x08);
  out(0x21, 0x04);
  out(0x21, options.icw4 ?? 0x01);
  out(0xa0, 0x11);
  out(0xa1, 0x70);
  out(0xa1, 0x02);
  out(0xa1, options.slaveIcw4 ?? 0x01);
  out(0x21, options.mask ?? 0);
  out(0xa1, 0);
  const raise = (irq: number): void => pic.pin(irq).set(true);
  const lower = (irq: number): void => pic.pin(irq).set(false);
  const pulse = (irq: number): void => {
    lower(irq);
    raise(irq);
  };
  return { pic, out, inb, raise, lower, pulse, intr: () => intr, acknowledged };
}

describe("8259A pair", () => {
  it("delivers an edge once, with the programmed vector, until it rises again", () => {
    const { pic, raise, lower, out, intr } = setUp();
    raise(1);
    expect(intr()).toBe(true);
    expect(pic.acknowledge()).toBe(0x09);
    expect(intr()).toBe(false);
    out(0x20, 0x20);
    expect(intr()).toBe(false);
    lower(1);
    raise(1);
    expect(intr()).toBe(true);
  });

  it("lets a higher input interrupt a lower one in service, not the other way round", () => {
    const { pic, raise, out, intr } = setUp();
    raise(5);
    pic.acknowledge();
    raise(6);
    expect(intr()).toBe(false);
    raise(0);
    expect(pic.acknowledge()).toBe(0x08);
    out(0x20, 0x20);
    expect(intr()).toBe(false);
    out(0x20, 0x20);
    expect(pic.acknowledge()).toBe(0x0e);
  });

  it("holds back masked inputs and keeps their requests", () => {
    const { pic, raise, out, inb, intr } = setUp({ mask: 0xff });
    raise(3);
    expect(intr()).toBe(false);
    expect([inb(0x20), inb(0x21)]).toEqual([0x08, 0xff]);
    out(0x21, 0xf7);
    expect(pic.acknowledge()).toBe(0x0b);
  });

  it("cascades the slave, and needs both EOIs", () => {
    const { pic, raise, out, inb, intr, acknowledged } = setUp();
    raise(12);
    expect(pic.acknowledge()).toBe(0x74);
    out(0x20, 0x0b);
    out(0xa0, 0x0b);
    expect([inb(0x20), inb(0xa0)]).toEqual([0x04, 0x10]);
    raise(14);
    expect(intr()).toBe(false);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    expect(intr()).toBe(true);
    expect(pic.acknowledge()).toBe(0x76);
    expect(acknowledged).toEqual([12, 14]);
  });

  it("lets a higher slave input through in special fully nested mode only", () => {
    for (const [icw4, through] of [
      [0x01, false],
      [0x11, true],
    ] as const) {
      const { pic, raise, intr } = setUp({ icw4 });
      raise(12);
      pic.acknowledge();
      raise(8);
      expect(intr()).toBe(through);
      if (through) expect(pic.acknowledge()).toBe(0x70);
    }
  });

  it("answers with IRQ7 or IRQ15 and sets no ISR bit when the request has gone", () => {
    const { pic, raise, lower, out, inb, intr } = setUp();
    raise(4);
    lower(4);
    expect(intr()).toBe(false);
    expect(pic.acknowledge()).toBe(0x0f);
    out(0x20, 0x0b);
    expect(inb(0x20)).toBe(0);
  });

  it("keeps a level-triggered input asking until its line falls", () => {
    const { pic, raise, lower, out, intr, inb } = setUp();
    out(0x4d0, 0xff);
    out(0x4d1, 0xff);
    expect([inb(0x4d0), inb(0x4d1)]).toEqual([0xf8, 0xde]);
    raise(11);
    expect(pic.acknowledge()).toBe(0x73);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    expect(intr()).toBe(true);
    lower(11);
    expect(intr()).toBe(false);
  });

  it("ends service at the acknowledge in AEOI mode, and rotates when told to", () => {
    const { pic, pulse, out, intr } = setUp({ icw4: 0x03 });
    pulse(3);
    expect(pic.acknowledge()).toBe(0x0b);
    pulse(4);
    expect(intr()).toBe(true);
    expect(pic.acknowledge()).toBe(0x0c);
    out(0x20, 0x80);
    pulse(3);
    pic.acknowledge();
    pulse(3);
    pulse(4);
    expect(pic.acknowledge()).toBe(0x0c);
  });

  it("rotates priorities by command: set priority, rotate on EOI, rotate on specific EOI", () => {
    const { pic, pulse, out, intr } = setUp();
    out(0x20, 0xc4);
    pulse(5);
    pulse(1);
    expect(pic.acknowledge()).toBe(0x0d);
    out(0x20, 0xa0);
    expect(pic.acknowledge()).toBe(0x09);
    out(0x20, 0xe1);
    pulse(1);
    pulse(0);
    expect(pic.acknowledge()).toBe(0x08);
    expect(intr()).toBe(false);
  });

  it("lets lower inputs through in special mask mode and keeps the masked ISR bit from the plain EOI", () => {
    const { pic, pulse, out, inb, intr } = setUp();
    pulse(1);
    pic.acknowledge();
    pulse(4);
    expect(intr()).toBe(false);
    out(0x21, 0x02);
    out(0x20, 0x68);
    expect(intr()).toBe(true);
    expect(pic.acknowledge()).toBe(0x0c);
    out(0x20, 0x20);
    out(0x20, 0x20);
    out(0x20, 0x0b);
    expect(inb(0x20)).toBe(0x02);
    out(0x20, 0x61);
    out(0x20, 0x48);
    expect(inb(0x20)).toBe(0x00);
  });

  it("acknowledges by the read that follows a poll command", () => {
    const { raise, out, inb, intr } = setUp();
    raise(6);
    out(0x20, 0x0c);
    expect(inb(0x20)).toBe(0x86);
    expect(intr()).toBe(false);
    out(0x20, 0x0c);
    expect(inb(0x20)).toBe(0x00);
    out(0x20, 0x0b);
    expect(inb(0x20)).toBe(0x40);
  });

  it("resets edges, mask and priorities at ICW1 and asks nothing until initialised", () => {
    const { pic, raise, lower, out, inb, intr } = setUp({ mask: 0xff });
    raise(1);
    out(0x20, 0x11);
    expect([inb(0x20), inb(0x21)]).toEqual([0, 0]);
    lower(1);
    raise(1);
    expect(intr()).toBe(false);
    out(0x21, 0x50);
    out(0x21, 0x04);
    out(0x21, 0x01);
    expect(pic.acknowledge()).toBe(0x51);
  });

  it("takes single mode and a missing ICW4 into account", () => {
    const { pic, out, inb, raise } = setUp();
    out(0x20, 0x12);
    out(0x21, 0x40);
    out(0x21, 0xfe);
    expect(inb(0x21)).toBe(0xfe);
    raise(0);
    // MCS-80 mode, interval 8: A7 A6 from ICW1, then the input.
    expect(pic.acknowledge()).toBe(0x00);
  });

  it("gives the same state back after save and load", () => {
    const a = setUp();
    a.raise(12);
    a.raise(4);
    a.pic.acknowledge();
    const b = setUp();
    b.pic.loadState(a.pic.saveState());
    expect(b.pic.saveState()).toEqual(a.pic.saveState());
    expect(b.intr()).toBe(a.intr());
    b.out(0x20, 0x20);
    expect(b.pic.acknowledge()).toBe(a.pic.saveState().master.isr === 0x04 ? 0x0c : 0x74);
  });

  it("never throws and never asserts INT without a request, whatever is written", () => {
    const step = fc.oneof(
      fc.record({ op: fc.constant("out"), a: fc.constantFrom(0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1), b: fc.nat(255) }),
      fc.record({ op: fc.constantFrom("raise", "lower"), a: fc.nat(15), b: fc.constant(0) }),
      fc.record({ op: fc.constantFrom("ack", "in"), a: fc.constantFrom(0x20, 0x21, 0xa0, 0xa1), b: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { pic, out, inb, raise, lower, intr } = setUp();
        for (const s of steps) {
          if (s.op === "out") out(s.a, s.b);
          else if (s.op === "in") expect(inb(s.a)).toBeLessThan(256);
          else if (s.op === "raise") raise(s.a);
          else if (s.op === "lower") lower(s.a);
          else expect(pic.acknowledge()).toBeLessThan(256);
          const { irr, imr } = pic.inspect();
          if (intr()) expect(irr & ~imr & 0xff).not.toBe(0);
        }
      }),
      { seed: 8259, numRuns: 400 },
    );
  });
});
