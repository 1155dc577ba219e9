import { describe, expect, it } from "vitest";
import { VmmError } from "../../base/index.ts";
import { snapshotPacker } from "../../backends/node/index.ts";
import { decodeSnapshot, encodeSnapshot } from "./container.ts";

const PAGE = 4096;
const RECORD = {
  v: 1,
  text: "äöü ☃",
  numbers: [0, -1, 2 ** 52, 0.5, Number.POSITIVE_INFINITY],
  absent: [undefined, 1, null],
  bytes: Uint8Array.from({ length: 300 }, (_, i) => i & 255),
  deep: { list: [{ bytes: new Uint8Array(0) }, { big: 1n << 70n }] },
};

function memory(pages: number, every: number): Uint8Array {
  const bytes = new Uint8Array(pages * PAGE);
  for (let p = 0; p < pages; p += every) bytes.fill(p + 1, p * PAGE + 17, p * PAGE + 900);
  return bytes;
}

describe("snapshot files", () => {
  it("bring records and memory back, whatever was in the memory before", async () => {
    const ram = memory(1500, 3);
    const vram = new Uint8Array(64 * PAGE);
    const file = await encodeSnapshot(
      RECORD,
      [
        { name: "ram", bytes: ram },
        { name: "vram", bytes: vram },
      ],
      snapshotPacker,
    );
    expect(file.length).toBeLessThan(ram.length / 10);
    const opened = await decodeSnapshot(file, "x.snap", snapshotPacker);
    expect(opened.record).toEqual(RECORD);
    const into = new Uint8Array(ram.length).fill(0xee);
    await opened.loadRegions([
      { name: "vram", bytes: new Uint8Array(64 * PAGE).fill(1) },
      { name: "ram", bytes: into },
    ]);
    expect(Buffer.compare(into, ram)).toBe(0);
  });

  it("refuse memory of another size", async () => {
    const file = await encodeSnapshot({}, [{ name: "ram", bytes: memory(8, 1) }], snapshotPacker);
    const opened = await decodeSnapshot(file, "x.snap", snapshotPacker);
    await expect(opened.loadRegions([{ name: "ram", bytes: new Uint8Array(9 * PAGE) }])).rejects.toMatchObject({ code: "SNAPSHOT_MACHINE" });
  });

  it("that are damaged or cut anywhere are refused with one line, or bring back what was saved", async () => {
    const ram = memory(600, 2);
    const file = await encodeSnapshot(RECORD, [{ name: "ram", bytes: ram }], snapshotPacker);
    let seed = 12345;
    const next = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    let refused = 0;
    for (let round = 0; round < 400; round++) {
      const bad = next(4) === 0 ? file.slice(0, next(file.length)) : file.slice();
      for (let i = 0; i <= next(3) && bad.length > 0; i++) bad[next(3) === 0 ? next(Math.min(64, bad.length)) : next(bad.length)] ^= 1 << next(8);
      const into = new Uint8Array(ram.length);
      try {
        const opened = await decodeSnapshot(bad, "x.snap", snapshotPacker);
        await opened.loadRegions([{ name: "ram", bytes: into }]);
        expect(opened.record).toEqual(RECORD);
        expect(Buffer.compare(into, ram)).toBe(0);
      } catch (error) {
        expect(error).toBeInstanceOf(VmmError);
        expect(String(error)).not.toContain("\n");
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(300);
  });
});
