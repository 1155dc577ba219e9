import { describe, expect, it } from "vitest";
import { PioBus } from "../../bus/index.ts";
import { DebugPort } from "../debug-port/device.ts";
import { Lpt } from "../lpt/device.ts";
import { SystemPorts } from "./device.ts";

function setUp() {
  const events: string[] = [];
  const ports = new SystemPorts({
    a20: (on) => events.push(`a20 ${on}`),
    reset: (kind) => events.push(`reset ${kind}`),
    fpuPin: { set: (level) => events.push(`irq13 ${level}`) },
    clearFpuBusy: () => events.push("fpu"),
  });
  return { ports, events };
}

describe("system ports", () => {
  it("port 92h gates A20 and resets the CPU at the rise of bit 0", () => {
    const { ports, events } = setUp();
    expect(ports.portA.read(0, 1)).toBe(0x02);
    ports.portA.write(0, 1, 0x00);
    ports.portA.write(0, 1, 0x02);
    ports.portA.write(0, 1, 0x02);
    ports.portA.write(0, 1, 0x03);
    expect(events).toEqual(["a20 false", "a20 true", "reset cpu"]);
    ports.setA20(false);
    expect([ports.a20, ports.portA.read(0, 1)]).toEqual([false, 0x00]);
  });

  it("CF9h resets at the rise of bit 2, hard with bit 1, and leaves CF8h dwords to PCI", () => {
    const { ports, events } = setUp();
    const bus = new PioBus();
    const seen: number[] = [];
    bus.register(0xcf8, 4, { name: "pci", read: () => 0, write: (_o, _s, v) => seen.push(v) });
    bus.register(0xcf9, 1, ports.resetControl, { overlay: true, maxSize: 1 });
    bus.write(0xcf8, 4, 0x80000600);
    expect([events, seen]).toEqual([[], [0x80000600]]);
    bus.write(0xcf9, 1, 0x02);
    expect(bus.read(0xcf9, 1)).toBe(0x02);
    bus.write(0xcf9, 1, 0x06);
    bus.write(0xcf9, 1, 0x04);
    expect(events).toEqual(["reset hard", "reset cpu"]);
  });

  it("F0h and F1h lower IRQ13", () => {
    const { ports, events } = setUp();
    ports.fpuError();
    const copy = setUp();
    copy.ports.loadState(ports.saveState());
    expect(copy.events).toEqual(["irq13 true"]);
    ports.fpu.write(0, 1, 0);
    expect(events).toEqual(["irq13 true", "irq13 false", "fpu"]);
  });
});

describe("debug port", () => {
  it("is found by reading and passes bytes on", () => {
    const got: number[] = [];
    const port = new DebugPort({ sink: { writeByte: (v) => got.push(v) } });
    port.write(0, 1, 0x48);
    expect([port.read(0, 1), got]).toEqual([0xe9, [0x48]]);
  });
});

describe("LPT", () => {
  it("prints a byte at each strobe, is always ready, and acknowledges by IRQ when asked", () => {
    const printed: number[] = [];
    const levels: boolean[] = [];
    const lpt = new Lpt({ name: "lpt1", sink: { writeByte: (v) => printed.push(v) }, pin: { set: (l) => levels.push(l) } });
    expect([lpt.read(0, 1), lpt.read(1, 1), lpt.read(2, 1)]).toEqual([0, 0xdf, 0xcc]);
    lpt.write(0, 1, 0x41);
    lpt.write(2, 1, 0x0d);
    lpt.write(2, 1, 0x0d);
    lpt.write(2, 1, 0x0c);
    lpt.write(2, 1, 0x1d);
    expect(printed).toEqual([0x41, 0x41]);
    expect(levels.slice(-2)).toEqual([false, true]);
    lpt.write(2, 1, 0x2c);
    expect(lpt.read(0, 1)).toBe(0xff);
    const other = new Lpt({ name: "lpt1", sink: { writeByte() {} }, pin: { set() {} } });
    other.loadState(lpt.saveState());
    expect(other.saveState()).toEqual(lpt.saveState());
  });
});
