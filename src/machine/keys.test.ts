import { describe, expect, it } from "vitest";
import { CP437, toCp437 } from "./cp437.ts";
import { parseChord, parseTyped } from "./keys.ts";

describe("CP437", () => {
  it("has 256 single characters and finds every printable one again", () => {
    expect(CP437).toHaveLength(256);
    expect(CP437.every((c) => [...c].length === 1)).toBe(true);
    expect(CP437[0x41]).toBe("A");
    expect(CP437[0xc4]).toBe("─");
    expect(CP437[0x7f]).toBe("⌂");
    expect(toCp437("é")).toBe(0x82);
    expect(toCp437(" ")).toBe(32);
  });
});

describe("keys by name", () => {
  it("understands chords, aliases and single characters", () => {
    expect(parseChord("ctrl-alt-del")).toEqual(["ControlLeft", "AltLeft", "Delete"]);
    expect(parseChord("F1")).toEqual(["F1"]);
    expect(parseChord("arrowdown")).toEqual(["ArrowDown"]);
    expect(parseChord("ctrl-C")).toEqual(["ControlLeft", "KeyC"]);
    expect(parseChord("ctrl--")).toEqual(["ControlLeft", "Minus"]);
    expect(parseChord("-")).toEqual(["Minus"]);
    expect(parseChord("alt-F4")).toEqual(["AltLeft", "F4"]);
    expect(() => parseChord("ctrl-bogus")).toThrow(/no key is called "bogus"/);
  });

  it("types text with key names inside", () => {
    expect(parseTyped("aB\n{F1}{{", toCp437)).toEqual([["KeyA"], ["ShiftLeft", "KeyB"], ["Enter"], ["F1"], ["ShiftLeft", "BracketLeft"]]);
    expect(parseTyped("\x03", toCp437)).toEqual([["ControlLeft", "KeyC"]]);
    expect(parseTyped("é", toCp437)).toEqual([["AltLeft", "Numpad1", "Numpad3", "Numpad0"]]);
    expect(() => parseTyped("漢", toCp437)).toThrow(/neither on a US keyboard/);
  });
});
