import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { IoApic } from "./index.ts";

function setUp() {
  const sent: string[] = [];
  const edges: number[] = [];
  const accept = { value: true };
  const chip = new IoApic({
    id: 0,
    deliver: (destination, logical, mode, vector, level) => {
      sent.push(`${vector.toString(16)}/${mode}->${logical ? "l" : "p"}${destination}${level ? " level" : ""}`);
      return accept.value;
    },
    onEdge: (pin) => void edges.push(pin),
  });
  const set = (index: number, value: number): void => {
    chip.write(0, 4, index);
    chip.write(0x10, 4, value >>> 0);
  };
  const get = (index: number): number => {
    chip.write(0, 4, index);
    return chip.read(0x10, 4);
  };
  const entry = (pin: number, low: number, high = 0): void => {
    set(0x11 + 2 * pin, high);
    set(0x10 + 2 * pin, low);
  };
  const take = (): string[] => sent.splice(0);
  return { chip, sent, edges, accept, set, get, entry, take };
}

describe("I/O APIC", () => {
  it("has 24 masked entries, version 20h and a writable id", () => {
    const { get, set } = setUp();
    expect([get(1), get(0), get(0x10), get(0x3e), get(0x40)]).toEqual([0x170020, 0, 0x10000, 0x10000, 0]);
    set(0, 0x0500_0000);
    expect([get(0), get(2)]).toEqual([0x0500_0000, 0x0500_0000]);
    set(0x10, 0xffffffff);
    set(0x11, 0xffffffff);
    expect([get(0x10), get(0x11)]).toEqual([0x1afff, 0xff000000]);
  });

  it("sends an edge once, and loses it while masked", () => {
    const { chip, entry, take, edges } = setUp();
    chip.setPin(2, true);
    entry(2, 0x30);
    expect(take()).toEqual([]);
    chip.setPin(2, false);
    chip.setPin(2, true);
    chip.setPin(2, true);
    expect([take(), edges]).toEqual([["30/0->p0"], [2]]);
    entry(2, 0x930, 0x0f000000);
    chip.setPin(2, false);
    chip.setPin(2, true);
    expect(take()).toEqual(["30/1->l15"]);
  });

  it("repeats a level after its EOI while the line stays asserted, not before", () => {
    const { chip, entry, take, get } = setUp();
    entry(16, 0xa051, 0x01000000);
    chip.setPin(16, true);
    expect([take(), get(0x30)]).toEqual([["51/0->p1 level"], 0xe051]);
    chip.setPin(16, false);
    chip.setPin(16, true);
    chip.endOfInterrupt(0x52);
    expect(take()).toEqual([]);
    chip.endOfInterrupt(0x51);
    expect(take()).toEqual(["51/0->p1 level"]);
    chip.setPin(16, false);
    chip.write(0x40, 4, 0x51);
    expect([take(), get(0x30)]).toEqual([[], 0xa051]);
  });

  it("serves an asserted level when it is unmasked, and forgets remote IRR when made edge-triggered", () => {
    const { chip, entry, take, get } = setUp();
    chip.setPin(17, true);
    entry(17, 0x18041);
    expect(take()).toEqual([]);
    entry(17, 0x8041);
    expect(take()).toEqual(["41/0->p0 level"]);
    entry(17, 0x10041);
    expect(get(0x32)).toBe(0x10041);
    entry(17, 0x8041);
    expect(take()).toEqual(["41/0->p0 level"]);
  });

  it("keeps asking by later pin changes when nobody accepted a level", () => {
    const { chip, entry, take, get, accept } = setUp();
    accept.value = false;
    entry(18, 0x8041);
    chip.setPin(18, true);
    expect([take(), get(0x34)]).toEqual([["41/0->p0 level"], 0x8041]);
    accept.value = true;
    chip.setPin(18, false);
    chip.setPin(18, true);
    expect(get(0x34)).toBe(0xc041);
  });

  it("sends NMI, ExtINT and INIT as edges", () => {
    const { chip, entry, take } = setUp();
    for (const mode of [4, 5, 7]) {
      entry(0, mode << 8);
      chip.setPin(0, false);
      chip.setPin(0, true);
    }
    expect(take()).toEqual(["0/4->p0", "0/5->p0", "0/7->p0"]);
  });

  it("gives the same state back, and lets nothing a guest does throw", () => {
    const step = fc.record({ op: fc.constantFrom("write", "read", "pin", "eoi"), a: fc.nat(0xfff), b: fc.integer(), size: fc.constantFrom(1, 2, 4) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const { chip, set } = setUp();
        for (const s of steps) {
          if (s.op === "write" && s.size === 4) set(s.a & 0x3f, s.b);
          else if (s.op === "write") chip.write(s.a, s.size as 1 | 2, s.b & 0xff);
          else if (s.op === "read") expect(chip.read(s.a, 4)).toBeGreaterThanOrEqual(0);
          else if (s.op === "pin") chip.setPin(s.a & 31, s.b > 0);
          else chip.endOfInterrupt(s.a & 0xff);
        }
        const other = setUp().chip;
        other.loadState(chip.saveState());
        expect(other.saveState()).toEqual(chip.saveState());
      }),
      { seed: 24, numRuns: 200 },
    );
  });
});
