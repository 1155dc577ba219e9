import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8Bytes, utf8Text, Utf8Stream } from "./utf8.ts";

describe("UTF-8", () => {
  it("text comes back, however it was cut", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.nat(), (text, seed) => {
        const bytes = utf8Bytes(text);
        const cut = seed % (bytes.length + 1);
        const stream = new Utf8Stream();
        expect(utf8Text(bytes)).toBe(text);
        expect(stream.push(bytes.subarray(0, cut)) + stream.end(bytes.subarray(cut))).toBe(text);
      }),
    );
  });

  it("keeps a byte order mark, and marks what is no UTF-8", () => {
    expect(utf8Text(Uint8Array.of(0xef, 0xbb, 0xbf, 0x41))).toBe("\ufeffA");
    expect(utf8Text(Uint8Array.of(0x41, 0xff, 0xc0, 0x80, 0x42))).toMatch(/^A\ufffd+B$/);
    expect(utf8Bytes("\ud800")).toEqual(Uint8Array.of(0xef, 0xbf, 0xbd));
  });
});
