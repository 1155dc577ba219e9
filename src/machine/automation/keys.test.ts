import { describe, expect, it } from "vitest";
import { parseChord, parseTyped } from "./keys.ts";

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
    expect(parseTyped("aB\n{F1}{{")).toEqual([["KeyA"], ["ShiftLeft", "KeyB"], ["Enter"], ["F1"], ["ShiftLeft", "BracketLeft"]]);
    expect(parseTyped("\x03")).toEqual([["ControlLeft", "KeyC"]]);
    expect(parseTyped("é")).toEqual([["AltLeft", "Numpad1", "Numpad3", "Numpad0"]]);
    expect(() => parseTyped("dir{Enter")).toThrow('"{Enter": a key is written {Enter}, and a brace {{');
    expect(() => parseTyped("漢")).toThrow(/neither on a US keyboard/);
  });
});
