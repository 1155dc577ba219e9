import { describe, expect, it } from "vitest";
import { Bench, CALLER } from "./test-bench.ts";

describe("stubs", () => {
  it("returns by IRET with registers, and wakes nothing else", () => {
    const b = new Bench();
    expect(b.int(0x12)).toBe("iret");
    expect(b.regs.ax).toBe(639);
    expect(b.flags).toBe(0x0202);
    expect(b.ram.read16(b.regs.base("ss") + b.regs.sp)).toBe(CALLER.ip);
  });
  it("has the vectors FreeBSD compares", () => {
    const b = new Bench();
    expect(b.ram.read32(0x15 * 4)).toBe(0xf000f859);
    expect(b.ram.read32(0x16 * 4)).toBe(0xf000e82e);
    expect(b.bios.vectorOfTrap(0xff859)).toBe(0x15);
    expect(b.bios.vectorOfTrap(0xfffff859)).toBe(0x15);
    expect(b.bios.vectorOfTrap(0x0f859)).toBeUndefined();
  });
  it("checksums the ROM to zero", () => {
    const b = new Bench();
    expect(b.bios.rom.bytes.reduce((sum, byte) => sum + byte, 0) & 0xff).toBe(0);
  });
});
