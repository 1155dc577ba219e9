import { describe, expect, it } from "vitest";
import { DebugExit, PcTestdev } from "./index.ts";

describe("isa-debug-exit", () => {
  it("makes (v << 1) | 1 of what is written, as a process's exit code", () => {
    const codes: number[] = [];
    const device = new DebugExit((code) => codes.push(code));
    device.write(0, 4, 0);
    device.write(0, 4, 0x10);
    device.write(0, 1, 0x55);
    device.write(0, 2, 0xffff);
    expect(codes).toEqual([1, 0x21, 0xab, 0xff]);
    expect(device.read(0, 4)).toBe(0);
  });
});

describe("pc-testdev", () => {
  it("keeps bytes behind both ranges of ports, and memory", () => {
    const device = new PcTestdev({ setIrq: () => {} });
    device.io.write(0, 4, 0x12345678);
    device.io.write(1, 1, 0xaa);
    expect([device.io.read(0, 4), device.io.read(2, 2), device.ioByte.read(1, 1)]).toEqual([0x1234aa78, 0x1234, 0xaa]);
    device.memory.write(0xfffc, 4, 0xdeadbeef);
    expect(device.memory.read(0xfffd, 1)).toBe(0xbe);
  });
  it("sets lines, lets go of them at reset, and gives the same state back", () => {
    const seen: string[] = [];
    const device = new PcTestdev({ setIrq: (line, level) => seen.push(`${line}${level ? "+" : "-"}`) });
    device.irq.write(5, 4, 1);
    device.irq.write(20, 1, 1);
    const saved = device.saveState();
    device.reset();
    expect(seen).toEqual(["5+", "20+", "5-", "20-"]);
    device.loadState(saved);
    expect(device.saveState()).toEqual(saved);
    expect(seen.filter((s) => s.endsWith("+"))).toHaveLength(4);
  });
});
