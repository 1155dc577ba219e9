import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/index.ts";
import type { ConsoleBackend } from "../../backends/api/index.ts";
import { Uart16550 } from "./device.ts";

const RBR = 0;
const IER = 1;
const IIR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;
const MSR = 6;

function setUp() {
  const clock = new ManualClock();
  const sent: number[] = [];
  const backend: ConsoleBackend = { onInput: undefined, writeByte: (v) => sent.push(v) };
  let irq = false;
  let edges = 0;
  const uart = new Uart16550({
    name: "com1",
    clock,
    console: backend,
    pin: {
      set(level) {
        if (level && !irq) edges++;
        irq = level;
      },
    },
  });
  const out = (reg: number, value: number): void => uart.write(reg, 1, value);
  const inb = (reg: number): number => uart.read(reg, 1);
  const type = (text: string): void => {
    for (const c of text) backend.onInput?.(c.charCodeAt(0));
  };
  out(LCR, 0x83);
  out(0, 1);
  out(1, 0);
  out(LCR, 0x03);
  out(MCR, 0x0b);
  const wait = (chars: number): void => clock.advanceBy(chars * 87_000);
  return { clock, uart, out, inb, type, wait, sent, irq: () => irq, edges: () => edges };
}

describe("16550A", () => {
  it("sends at once and is always ready for more", () => {
    const { out, inb, sent } = setUp();
    for (const c of "hello") out(0, c.charCodeAt(0));
    expect(String.fromCharCode(...sent)).toBe("hello");
    expect(inb(LSR)).toBe(0x60);
  });

  it("raises THRE when it is enabled, after each character, and when it is enabled anew; IIR clears it", () => {
    const { out, inb, irq, edges } = setUp();
    out(IER, 0x02);
    expect(irq()).toBe(true);
    expect(inb(IIR)).toBe(0x02);
    expect([irq(), inb(IIR)]).toEqual([false, 0x01]);
    out(0, 0x41);
    expect([irq(), edges()]).toEqual([true, 2]);
    out(0, 0x42);
    expect(edges()).toBe(3);
    inb(IIR);
    out(IER, 0x02);
    expect(irq()).toBe(false);
    out(IER, 0x00);
    out(IER, 0x02);
    expect(irq()).toBe(true);
  });

  it("receives one character per character time without a FIFO, an edge each, and loses none", () => {
    const { inb, type, wait, irq, edges, out, uart } = setUp();
    out(IER, 0x01);
    type("abc");
    let got = "";
    for (let i = 0; i < 3; i++) {
      wait(2);
      expect(irq()).toBe(true);
      expect(inb(IIR)).toBe(0x04);
      got += String.fromCharCode(inb(RBR));
      expect(irq()).toBe(false);
    }
    expect([got, edges(), uart.pendingInput]).toEqual(["abc", 3, 0]);
  });

  it("interrupts at the FIFO trigger level and, below it, after four idle character times", () => {
    const { inb, type, wait, out, irq } = setUp();
    out(2, 0x81);
    out(IER, 0x01);
    type("1234567");
    wait(7.5);
    expect(irq()).toBe(false);
    wait(4);
    expect(inb(IIR)).toBe(0xcc);
    expect(inb(RBR)).toBe(0x31);
    expect(irq()).toBe(false);
    type("ab");
    wait(3);
    expect(inb(IIR)).toBe(0xc4);
  });

  it("keeps characters in the host while the FIFO is full", () => {
    const { inb, type, wait, out } = setUp();
    out(2, 0xc1);
    type("x".repeat(40));
    wait(100);
    let got = 0;
    for (let i = 0; i < 100; i++) {
      if ((inb(LSR) & 1) !== 0) {
        inb(RBR);
        got++;
      } else wait(2);
    }
    expect(got).toBe(40);
    expect(inb(LSR) & 0x02).toBe(0);
  });

  it("serves interrupts in the data sheet's order", () => {
    const { uart, inb, type, wait, out } = setUp();
    out(IER, 0x0f);
    uart.setModemLines({ cts: false, dsr: true, ri: false, dcd: true });
    type("a");
    wait(2);
    uart.receiveDamaged(0x62, 0x04);
    expect(inb(IIR)).toBe(0x06);
    expect(inb(LSR)).toBe(0x67);
    expect(inb(IIR)).toBe(0x04);
    inb(RBR);
    expect(inb(IIR)).toBe(0x02);
    expect(inb(IIR)).toBe(0x00);
    expect(inb(MSR)).toBe(0xa1);
    expect(inb(IIR)).toBe(0x01);
  });

  it("attaches errors to their character and shows bit 7 while the FIFO holds one", () => {
    const { uart, inb, type, wait, out } = setUp();
    out(2, 0x01);
    type("a");
    wait(2);
    uart.receiveBreak();
    expect(inb(LSR)).toBe(0xe1);
    inb(RBR);
    expect(inb(LSR)).toBe(0xf9);
    expect(inb(LSR)).toBe(0x61);
    expect(inb(RBR)).toBe(0);
  });

  it("loops characters and modem lines back, and shuts the interrupt gate", () => {
    const { inb, out, sent, irq } = setUp();
    inb(MSR);
    out(MCR, 0x1a);
    expect(inb(MSR)).toBe(0x90 | 0x02);
    out(IER, 0x01);
    out(0, 0x5a);
    expect([inb(LSR) & 1, inb(IIR), irq(), sent.length]).toEqual([1, 0x04, false, 0]);
    expect(inb(RBR)).toBe(0x5a);
    out(0, 1);
    out(0, 2);
    expect(inb(LSR) & 0x02).toBe(0x02);
    expect(inb(RBR)).toBe(2);
    out(MCR, 0x16);
    out(MCR, 0x12);
    expect(inb(MSR) & 0x04).toBe(0x04);
  });

  it("overruns a full FIFO by dropping the new character", () => {
    const { inb, out } = setUp();
    out(2, 0x01);
    out(MCR, 0x10);
    for (let i = 0; i < 17; i++) out(0, i);
    expect(inb(LSR) & 0x03).toBe(0x03);
    expect(Array.from({ length: 16 }, () => inb(RBR))).toEqual(Array.from({ length: 16 }, (_, i) => i));
    expect(inb(LSR) & 1).toBe(0);
  });

  it("gates the pin with OUT2", () => {
    const { out, irq } = setUp();
    out(IER, 0x02);
    out(MCR, 0x03);
    expect(irq()).toBe(false);
    out(MCR, 0x0b);
    expect(irq()).toBe(true);
  });

  it("keeps divisor, scratch, line control and the FIFO's identification", () => {
    const { out, inb, uart } = setUp();
    out(LCR, 0x80);
    out(0, 0x0c);
    out(1, 0x01);
    expect([inb(0), inb(1), inb(LCR)]).toEqual([0x0c, 0x01, 0x80]);
    expect(Math.round(uart.baud)).toBe(430);
    out(LCR, 0x03);
    out(7, 0xa5);
    expect(inb(7)).toBe(0xa5);
    expect(inb(IIR)).toBe(0x01);
    out(2, 0x01);
    expect(inb(IIR)).toBe(0xc1);
    out(2, 0xc0);
    expect(inb(IIR)).toBe(0x01);
    out(LCR, 0x00);
    out(0, 0xff);
  });

  it("masks data to the word length and holds output during break", () => {
    const { out, sent } = setUp();
    out(LCR, 0x00);
    out(0, 0xff);
    out(LCR, 0x43);
    out(0, 0xff);
    expect(sent).toEqual([0x1f]);
  });

  it("drops host input only when 64 KiB wait", () => {
    const { uart } = setUp();
    let taken = 0;
    while (uart.receive(1) && taken < 100_000) taken++;
    expect(taken).toBe(65536);
  });

  it("gives the same state back after save and load, input included", () => {
    const a = setUp();
    a.out(2, 0x41);
    a.out(IER, 0x05);
    a.type("some input that waits");
    a.wait(8);
    const b = setUp();
    b.clock.advanceTo(a.clock.nowNs());
    b.uart.loadState(a.uart.saveState());
    expect(b.uart.saveState()).toEqual(a.uart.saveState());
    let got = "";
    for (let i = 0; i < 60; i++) {
      if ((b.inb(LSR) & 1) !== 0) got += String.fromCharCode(b.inb(RBR));
      else b.wait(2);
    }
    expect(got).toBe("some input that waits");
  });

  it("never throws and always answers a byte, whatever is written", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(7), fc.nat(255), fc.constantFrom("in", "out", "type", "wait", "break")), { maxLength: 100 }), (steps) => {
        const { uart, inb, out, wait } = setUp();
        for (const [reg, value, op] of steps) {
          if (op === "in") expect(inb(reg)).toBeLessThan(256);
          else if (op === "out") out(reg, value);
          else if (op === "type") uart.receive(value);
          else if (op === "break") uart.receiveBreak();
          else wait(value);
        }
      }),
      { seed: 16550, numRuns: 300 },
    );
  });
});
