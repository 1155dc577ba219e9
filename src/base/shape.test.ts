import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { shape } from "./index.ts";
import type { Shape } from "./index.ts";

const POINT = shape.record({ x: shape.byte, y: shape.maybe(shape.int(-1, 3)), name: shape.text(3), kind: shape.oneOf("a", "b") });
const DRIVE = shape.tagged("kind", { disk: shape.record({ kind: shape.oneOf("disk"), sectors: shape.count }), none: shape.record({}) });

/** What a shape says about a value. */
function verdict(read: Shape<unknown>, value: unknown): unknown {
  try {
    return read(value, "v");
  } catch (error) {
    return error instanceof Error ? error.message.replace("the snapshot is damaged: ", "") : error;
  }
}

describe("shapes", () => {
  it("read what fits, and only the members they know", () => {
    expect(POINT({ x: 255, name: "abc", kind: "b", more: 5 }, "v")).toEqual({ x: 255, y: undefined, name: "abc", kind: "b" });
    expect(DRIVE({ kind: "disk", sectors: 7 }, "v")).toEqual({ kind: "disk", sectors: 7 });
    expect(shape.pair(shape.flag, shape.nullable(shape.word))([true, null], "v")).toEqual([true, null]);
    expect(shape.dictionary(shape.flag, 2)({ a: true }, "v")).toEqual({ a: true });
  });

  it.each<[string, Shape<unknown>, unknown]>([
    ["v.x is 256 where a whole number from 0 to 255 belongs", POINT, { x: 256, name: "", kind: "a" }],
    ["v.x is missing where a whole number from 0 to 255 belongs", POINT, { name: "", kind: "a" }],
    ["v.y is 0.5 where a whole number from -1 to 3 belongs", POINT, { x: 0, y: 0.5, name: "", kind: "a" }],
    ["v.name is a string where other text belongs", POINT, { x: 0, name: "abcd", kind: "a" }],
    ["v.kind is a string where one of a, b belongs", POINT, { x: 0, name: "", kind: "c" }],
    ["v is a list where a record belongs", POINT, []],
    ["v[1] is NaN where a whole number from 0 to 65535 belongs", shape.list(shape.word, 2), [1, Number.NaN]],
    ["v is a list where a list of 2 belongs", shape.list(shape.word, 2), [1]],
    ["v is an object where 4 bytes belongs", shape.bytes(4), new Uint8Array(5)],
    ["v is a string where a 64-bit number belongs", shape.digits("hex"), "10000000000000000"],
    ["v.kind is a string where one of disk, none belongs", DRIVE, { kind: "tape" }],
  ])("say where: %s", (message, read, value) => {
    expect(verdict(read, value)).toBe(message);
  });

  it("never throw anything but a SNAPSHOT_FORMAT error, and give back what they read", () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        for (const read of [POINT, DRIVE, shape.list(POINT, 5, 0), shape.dictionary(DRIVE, 5), shape.digits("decimal"), shape.real]) {
          try {
            const once = read(value, "v");
            expect(read(once, "v")).toEqual(once);
          } catch (error) {
            expect(error).toMatchObject({ code: "SNAPSHOT_FORMAT" });
          }
        }
      }),
    );
  });
});
