import { describe, expect, it } from "vitest";
import { programMemoryTypes } from "./memory-types.ts";

function program(from: number): Map<number, bigint> {
  const msrs = new Map<number, bigint>();
  programMemoryTypes({ setMsr: (n, v) => msrs.set(n, v) !== undefined }, from);
  return msrs;
}

describe("memory types that POST leaves", () => {
  it("one range covers the last gigabyte below 4 GiB, everything else is write-back", () => {
    const m = program(0xc0000000);
    expect(m.get(0x2ff)).toBe(0xc06n);
    expect(m.get(0x200)).toBe(0xc0000000n);
    expect(m.get(0x201)).toBe(0xff_c000_0800n);
    expect(m.has(0x202)).toBe(false);
    expect(m.get(0x250)).toBe(0x0606060606060606n);
    expect(m.get(0x259)).toBe(0n);
    expect(m.get(0x26f)).toBe(0x0505050505050505n);
  });
  it("a window that is no power of two takes several ranges without a gap", () => {
    const m = program(0xd8000000);
    let end = 0x100000000;
    for (let n = 0x200; m.has(n); n += 2) {
      const size = Number(0x100_0000_0000n - ((m.get(n + 1) ?? 0n) & ~0xfffn));
      expect(Number(m.get(n))).toBe(end - size);
      expect((end - size) % size).toBe(0);
      end -= size;
    }
    expect(end).toBe(0xd8000000);
  });
});
