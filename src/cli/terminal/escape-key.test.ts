import { describe, expect, it } from "vitest";
import { EscapeKey } from "./escape-key.ts";

/** What comes through of pieces of input. */
function feed(...pieces: readonly string[]): { readonly text: string; readonly asks: boolean; readonly quit: boolean } {
  const key = new EscapeKey();
  let text = "";
  let last = { asks: false, quit: false };
  for (const piece of pieces) {
    const { pass, asks, quit } = key.feed(Buffer.from(piece, "latin1"));
    text += pass.toString("latin1");
    last = { asks, quit };
  }
  return { text, ...last };
}

describe("Ctrl-] on a raw line", () => {
  it.each([
    ["passes everything else, whatever its bytes", ["a\x1b[A\xff\0"], { text: "a\x1b[A\xff\0", asks: false, quit: false }],
    ["asks", ["ab\x1d"], { text: "ab", asks: true, quit: false }],
    ["twice sends it, in one piece or two", ["\x1d\x1d", "\x1d", "\x1db"], { text: "\x1d\x1db", asks: false, quit: false }],
    ["with q ends, and what follows is nobody's", ["x\x1d", "qrm -r\r"], { text: "x", asks: false, quit: true }],
    ["with another key is taken back with that key", ["\x1d", "zy"], { text: "y", asks: false, quit: false }],
  ])("%s", (_, pieces, wanted) => {
    expect(feed(...pieces)).toEqual(wanted);
  });
});
