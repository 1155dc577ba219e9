import { describe, expect, test } from "vitest";
import { detectImage, MemoryBlockBackend, sectorIndex, XDF_LAYOUT } from "./index.ts";

/** An image that says it is XDF: its parameter block, and a boot sector where a second FAT would be. */
function xdfImage(): MemoryBlockBackend {
  const bytes = new Uint8Array(1884160);
  bytes.set([0xeb, 0x3c, 0x90, 0x58, 0x44, 0x46, 0x20, 0x20, 0x20, 0x20, 0x20, 0, 2, 1, 1, 0, 2, 0xe0, 0, 0x60, 0x0e, 0xf0, 11, 0, 23, 0, 2, 0]);
  bytes.set([0xf0, 0xff, 0xff], 512);
  bytes.set([0xeb, 0x3c, 0x90], 12 * 512);
  return new MemoryBlockBackend("xdf", bytes);
}

describe("XDF", () => {
  test("a cylinder's image blocks are each in one sector; on cylinder 0 eight are in none", () => {
    for (const cylinder of [0, 1, 79]) {
      const blocks = [0, 1].flatMap((head) =>
        XDF_LAYOUT.track(cylinder, head).flatMap(({ n, offset }) => Array.from({ length: (128 << n) / 512 }, (_, i) => offset / 512 + i)),
      );
      const missing = Array.from({ length: 46 }, (_, i) => i).filter((block) => !blocks.includes(block));
      expect(new Set(blocks).size).toBe(blocks.length);
      expect(missing).toEqual(cylinder === 0 ? [20, 21, 22, 37, 38, 39, 40, 41] : []);
    }
  });

  test("IDs of the mixed tracks name their size: 82h 512, 83h 1K, 84h 2K, 86h 8K", () => {
    for (const head of [0, 1]) {
      const ids = XDF_LAYOUT.track(5, head).map(({ r, n }) => [r, 128 << n]);
      expect(ids.sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0))).toEqual([
        [0x82, 512],
        [0x83, 1024],
        [0x84, 2048],
        [0x86, 8192],
      ]);
    }
  });

  test("a driver's order of reading is the image's order", () => {
    const order = [
      [0, 0x83],
      [0, 0x84],
      [1, 0x86],
      [0, 0x82],
      [1, 0x82],
      [0, 0x86],
      [1, 0x84],
      [1, 0x83],
    ] as const;
    let at = 0;
    for (const [head, r] of order) {
      const track = XDF_LAYOUT.track(1, head);
      const sector = track[sectorIndex(track, r)];
      expect(sector?.offset).toBe(at);
      at += 128 << (sector?.n ?? 0);
    }
    expect(at).toBe(XDF_LAYOUT.cylinderBytes);
  });

  test("is told from a plain disk of 23 sectors by its hidden small disk", () => {
    expect(detectImage(xdfImage())).toMatchObject({ kind: "floppy", floppyType: 4, floppyLayout: { name: "XDF" }, geometry: { sectors: 23 } });
    const plain = xdfImage();
    plain.bytes.set([0xf0, 0xff, 0xff], 12 * 512);
    expect(detectImage(plain).floppyLayout).toBeUndefined();
    expect(detectImage(plain)).toMatchObject({ kind: "floppy", geometry: { cylinders: 80, heads: 2, sectors: 23 } });
    const short = xdfImage();
    expect(detectImage(new MemoryBlockBackend("short", short.bytes.subarray(0, 1474560))).floppyLayout).toBeUndefined();
  });
});
