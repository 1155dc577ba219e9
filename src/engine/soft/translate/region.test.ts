import { describe, expect, it } from "vitest";
import { decode } from "../../../isa/index.ts";
import { flowOf } from "./flow.ts";
import { type RegionInsn, translateRegion } from "./region.ts";

const REC = 0x500000;

/** Bytes of the module for straight-line code, given in hex. */
function size(mode: 16 | 32 | 64, hex: string, flat = false): number {
  const bytes = Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (h) => Number.parseInt(h, 16));
  const insns: RegionInsn[] = [];
  for (let at = 0; at < bytes.length; ) {
    const insn = decode(bytes, at, bytes.length - at, mode);
    if ("failure" in insn) throw new Error(`does not decode: ${hex}`);
    insns.push({ insn, rec: REC + insns.length * 32, ipOff: at, count: insns.length, target: 0 });
    at += insn.length;
  }
  const next = { kind: "fall" as const, rec: REC + insns.length * 32, target: 0 };
  const module = translateRegion([{ rec: REC, off: 0, count: insns.length, from: 0, insns, next }], [], flat);
  expect(WebAssembly.validate(module.bytes)).toBe(true);
  return module.bytes.length;
}
/** What an instruction adds after others that use the same registers. */
const cost = (mode: 16 | 32 | 64, before: string, hex: string, flat = false): number => size(mode, before + hex, flat) - size(mode, before, flat);

describe("the size of translated code", () => {
  it("an addition whose flags are overwritten takes a few bytes", () => {
    expect(cost(32, "01c8", "01c8")).toBeLessThan(22);
    expect(cost(64, "4801c8", "4801c8")).toBeLessThan(22);
  });
  it("a move between registers takes a few bytes", () => {
    expect(cost(32, "89c8 89c1", "89c8")).toBeLessThan(12);
  });
  it("a load takes one TLB look-up and one slow arm", () => {
    expect(cost(32, "8b4304", "8b4308")).toBeLessThan(120);
    expect(cost(64, "488b4304", "488b4308")).toBeLessThan(105);
  });
  it("flat 32-bit code checks its segments once, not at each access", () => {
    expect(cost(32, "8b4304", "8b4308", true)).toBeLessThan(105);
    expect(cost(32, "8b4304", "8b4308", true)).toBeLessThan(cost(32, "8b4304", "8b4308") - 8);
    expect(cost(32, "50", "51", true)).toBeLessThan(cost(32, "50", "51") - 20);
  });
  it("64-bit code has no segment limits to check", () => {
    expect(cost(64, "8b4304", "8b4308")).toBeLessThan(cost(32, "8b4304", "8b4308"));
  });
});

describe("control flow", () => {
  it("two-way branches that meet again merge under their dominator", () => {
    const f = flowOf([[1, 2], [3], [3], []]);
    expect(f.merge).toEqual([false, false, false, true]);
    expect(f.mergeChildren[0]).toEqual([3]);
  });
  it("a loop's header is the target of its backward transfer", () => {
    const f = flowOf([[1], [1, 2], [0]]);
    expect(f.loopHeader).toEqual([true, true, false]);
  });
  it("a transfer into the middle of a loop leaves the region", () => {
    // 0 enters the loop 1-2 at both blocks.
    const f = flowOf([[1, 2], [2], [1]]);
    const kept = Number(f.has(1, 2)) + Number(f.has(2, 1));
    expect(kept).toBe(1);
  });
});
