import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/index.ts";
import { buildDevices } from "./devices.ts";
import { machineConfig } from "../config.ts";
import { SerialLine } from "../automation/serial-line.ts";

function board() {
  const none = (): void => {};
  const cpu = { setInterruptLine: none, raiseNmi: none, raiseInit: none, raiseStartup: none, setApicPage: none };
  const clock = new ManualClock();
  return buildDevices(machineConfig({}), {
    clock,
    dma: { read: none, write: none },
    vram: new Uint8Array(16 << 20),
    cpus: [cpu],
    guestTsc: () => 0,
    a20: none,
    clearFpuBusy: none,
    reset: none,
    powerOff: none,
    debugExit: () => {},
    suspend: none,
    wake: none,
    frameBuffer: none,
    shadow: none,
    random: () => {},
    serial: [new SerialLine(clock, "com1", undefined)],
    arrived: none,
    consoles: [],
    drives: [],
  });
}

describe("the board", () => {
  it("splits a word to an 8-bit chip into two bytes, low byte first, as the ISA bridge does", () => {
    const { pio } = board();
    // OUT 70h, AX: index and data of a CMOS byte.
    pio.write(0x70, 2, 0x5a40);
    pio.write(0x70, 1, 0x40);
    expect(pio.read(0x71, 1)).toBe(0x5a);
    pio.write(0x3fe, 2, 0x7700);
    expect(pio.read(0x3ff, 1)).toBe(0x77);
    expect(pio.read(0x3fc, 2)).toBe(0x6000);
    pio.write(0x20, 2, 0x2011);
    pio.write(0x21, 1, 4);
    pio.write(0x21, 1, 1);
    pio.write(0x21, 1, 0xfb);
    expect(pio.read(0x20, 2)).toBe(0xfb00);
  });

  it("takes words at both data ports of the dispi interface", () => {
    const { pio } = board();
    pio.write(0x1ce, 2, 1);
    pio.write(0x1d0, 2, 1024);
    expect([pio.read(0x1cf, 2), pio.read(0x1d0, 2)]).toEqual([1024, 1024]);
  });

  it("has the display's registers in memory where BAR2 is", () => {
    const { chips, mmio } = board();
    const vga = chips.pci.functionAt(2, 0);
    vga?.writeConfig(0x18, 4, 0xf0000000);
    vga?.writeConfig(0x04, 2, 3);
    expect(mmio.read(0xf0000600, 4)).toBe(8);
    vga?.writeConfig(0x18, 4, 0xf1000000);
    expect([mmio.read(0xf0000600, 4), mmio.read(0xf1000600, 4)]).toEqual([0xffffffff, 8]);
  });

  it("gives back every device's record as it was saved, and refuses what is missing or out of range with its place", () => {
    const saved = board();
    // Something that differs from power-on in each corner.
    saved.pio.write(0x43, 1, 0x34);
    saved.pio.write(0x40, 1, 0x12);
    saved.pio.write(0x3fb, 1, 0x83);
    saved.pio.write(0x60, 1, 0xf4);
    saved.pio.write(0x3f5, 1, 0x03);
    saved.pio.write(0xcf8, 4, 0x80000800);
    saved.pio.write(0x8900, 1, 0x53);
    const records = saved.save();
    expect(Object.keys(records).length).toBeGreaterThan(20);
    const copy = board();
    copy.load(structuredClone(records), "chips");
    expect(copy.save()).toEqual(records);
    const { pit: _pit, ...less } = records;
    expect(() => board().load(less, "chips")).toThrow(
      expect.objectContaining({ code: "SNAPSHOT_MACHINE", message: expect.stringContaining("about pit") }),
    );
    expect(() => board().load({ ...records, shutdownPort: 9 }, "chips")).toThrow(/chips\.shutdownPort is 9 where a whole number from 0 to 8 belongs/);
    const bad = { ...records, pci: { ...Object(records["pci"]), functions: [[0, { v: 1, config: [1], interrupt: false }]] } };
    expect(() => board().load(bad, "chips")).toThrow(/chips\.pci\.functions\[0\]\.config is a list where a list of 256 belongs/);
  });
});
