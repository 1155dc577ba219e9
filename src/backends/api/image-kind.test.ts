import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { detectImage, lbaAssistGeometry, MemoryBlockBackend, OverlayBlockBackend, PaddedBackend } from "./index.ts";

const blank = (sizeBytes: number): MemoryBlockBackend => new MemoryBlockBackend("image", new Uint8Array(sizeBytes));

function put(b: MemoryBlockBackend, at: number, bytes: readonly number[] | string): MemoryBlockBackend {
  b.bytes.set(typeof bytes === "string" ? Array.from(bytes, (c) => c.charCodeAt(0)) : bytes, at);
  return b;
}
const le32 = (v: number): number[] => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, v >>> 24];
const le16 = (v: number): number[] => [v & 255, v >>> 8];

function withBpb(b: MemoryBlockBackend, at: number, o: { total: number; media: number; sectors: number; heads: number }): MemoryBlockBackend {
  put(b, at, [0xeb, 0x3c, 0x90, ...Array<number>(8).fill(0x20), 0, 2, 1, 1, 0, 2, 0xe0, 0]);
  put(b, at + 19, [...le16(o.total > 65535 ? 0 : o.total), o.media, 9, 0, ...le16(o.sectors), ...le16(o.heads), ...le32(0), ...le32(o.total)]);
  return b;
}

function withPartition(
  b: MemoryBlockBackend,
  start: readonly number[],
  type: number,
  end: readonly number[],
  lba: number,
  count: number,
): MemoryBlockBackend {
  return put(put(b, 446, [0x80, ...start, type, ...end, ...le32(lba), ...le32(count)]), 510, [0x55, 0xaa]);
}

describe("floppies", () => {
  test.each([
    [163840, 40, 1, 8, 1],
    [184320, 40, 1, 9, 1],
    [327680, 40, 2, 8, 1],
    [368640, 40, 2, 9, 1],
    [737280, 80, 2, 9, 3],
    [1228800, 80, 2, 15, 2],
    [1474560, 80, 2, 18, 4],
    [2949120, 80, 2, 36, 5],
    [1720320, 80, 2, 21, 4],
    [1884160, 80, 2, 23, 4],
  ])("%i bytes is %i/%i/%i, drive type %i", (size, cylinders, heads, sectors, floppyType) => {
    expect(detectImage(blank(size))).toMatchObject({ kind: "floppy", geometry: { cylinders, heads, sectors }, floppyType, mediumBytes: size });
  });

  test("an empty image is a floppy only when it has a floppy's size", () => {
    expect(detectImage(blank(1024 * 1024))).toMatchObject({ kind: "hard-disk", layout: "raw" });
    expect(detectImage(put(blank(1024 * 1024), 0, [0xfa, 0xf4]))).toMatchObject({ kind: "floppy" });
  });

  test("a lone boot sector becomes a 1.44M medium", () => {
    const info = detectImage(put(blank(512), 510, [0x55, 0xaa]));
    expect(info).toMatchObject({ kind: "floppy", mediumBytes: 1474560, floppyType: 4 });
  });

  test("an odd size follows its BPB", () => {
    const image = withBpb(blank(83 * 2 * 21 * 512 - 3 * 512), 0, { total: 83 * 2 * 21, media: 0xf0, sectors: 21, heads: 2 });
    expect(detectImage(image)).toMatchObject({
      kind: "floppy",
      geometry: { cylinders: 83, heads: 2, sectors: 21 },
      geometrySource: "bpb",
      mediumBytes: 1784832,
    });
  });
});

describe("hard disks", () => {
  test("the partition table's CHS gives the geometry when it agrees with its LBA", () => {
    const image = withPartition(blank(10 * 16 * 63 * 512), [1, 1, 0], 6, [15, 63, 9], 63, 10 * 16 * 63 - 63);
    expect(detectImage(image)).toMatchObject({
      layout: "mbr",
      geometry: { cylinders: 10, heads: 16, sectors: 63 },
      geometrySource: "partition-table",
    });
  });

  test("a table whose CHS is nonsense leaves it to the BPB, then to LBA-assist", () => {
    const bpb = withPartition(blank(20 * 1024 * 1024), [0xfe, 0xff, 0xff], 6, [0xfe, 0xff, 0xff], 63, 30000);
    withBpb(bpb, 63 * 512, { total: 30000, media: 0xf8, sectors: 32, heads: 64 });
    expect(detectImage(bpb)).toMatchObject({ geometry: { heads: 64, sectors: 32, cylinders: 20 }, geometrySource: "bpb" });
    const none = withPartition(blank(20 * 1024 * 1024), [0, 2, 0], 0xa5, [0, 2, 0], 64, 30000);
    expect(detectImage(none)).toMatchObject({ geometry: { heads: 16, sectors: 63, cylinders: 40 }, geometrySource: "lba-assist" });
  });

  test("GPT, superfloppy and raw are told apart", () => {
    const gpt = put(withPartition(blank(8 << 20), [0, 2, 0], 0xee, [0xff, 0xff, 0xff], 1, 16383), 512, "EFI PART");
    expect(detectImage(gpt)).toMatchObject({ kind: "hard-disk", layout: "gpt" });
    expect(detectImage(withBpb(blank(8 << 20), 0, { total: 16384, media: 0xf8, sectors: 63, heads: 16 }))).toMatchObject({ layout: "superfloppy" });
    expect(detectImage(blank(8 << 20))).toMatchObject({ kind: "hard-disk", layout: "raw" });
  });

  test("LBA-assist picks heads by size", () => {
    expect(lbaAssistGeometry(1000)).toEqual({ cylinders: 1, heads: 16, sectors: 63 });
    expect(lbaAssistGeometry(1024 * 16 * 63)).toEqual({ cylinders: 1024, heads: 16, sectors: 63 });
    expect(lbaAssistGeometry(1024 * 16 * 63 + 1).heads).toBe(32);
    expect(lbaAssistGeometry(1e9)).toEqual({ cylinders: 1024, heads: 255, sectors: 63 });
  });
});

describe("discs", () => {
  test("ISO 9660 and hybrid images are discs unless asked otherwise", () => {
    const iso = put(blank(1 << 20), 16 * 2048, "\x01CD001");
    expect(detectImage(iso)).toMatchObject({ kind: "cdrom", layout: "iso9660", sectorBytes: 2048 });
    withPartition(iso, [0, 1, 0], 0x17, [63, 32, 0], 0, 2048);
    expect(detectImage(iso)).toMatchObject({ kind: "cdrom", layout: "hybrid-iso" });
    expect(detectImage(iso, "hard-disk")).toMatchObject({ kind: "hard-disk", layout: "mbr" });
  });
});

describe("backends", () => {
  test("a padded image reads zero past its end, keeps writes there and never grows", () => {
    const file = put(blank(700), 0, Array<number>(700).fill(7));
    const padded = new PaddedBackend(file, 4096);
    const sector = new Uint8Array(512);
    expect(padded.read(512, sector)).toBe(true);
    expect([sector[187], sector[188]]).toEqual([7, 0]);
    expect(padded.write(512, new Uint8Array(1024).fill(9))).toBe(true);
    expect(padded.read(1024, sector)).toBe(true);
    expect(sector.every((b) => b === 9)).toBe(true);
    expect([file.bytes.length, file.bytes[699]]).toEqual([700, 9]);
    expect(padded.read(4000, sector)).toBe(false);
    expect(padded.write(4000, sector)).toBe(false);
  });

  test("an overlay equals a plain disk under random reads and writes, and leaves its base alone", () => {
    const sizeSectors = 400;
    const op = fc.record({ write: fc.boolean(), sector: fc.nat(sizeSectors - 1), count: fc.integer({ min: 1, max: 150 }), value: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(op, { maxLength: 30 }), fc.constantFrom<4096 | 65536>(4096, 65536), (ops, chunkBytes) => {
        const base = blank(sizeSectors * 512);
        base.bytes.fill(0x11);
        const overlay = new OverlayBlockBackend(base, { chunkBytes });
        const model = base.bytes.slice();
        for (const o of ops) {
          const n = Math.min(o.count, sizeSectors - o.sector) * 512;
          const at = o.sector * 512;
          if (o.write) {
            expect(overlay.write(at, new Uint8Array(n).fill(o.value))).toBe(true);
            model.fill(o.value, at, at + n);
          } else {
            const got = new Uint8Array(n);
            expect(overlay.read(at, got)).toBe(true);
            expect(Buffer.compare(got, model.subarray(at, at + n))).toBe(0);
          }
        }
        expect(base.bytes.every((b) => b === 0x11)).toBe(true);
        const copy = new OverlayBlockBackend(base, { chunkBytes });
        copy.loadState(overlay.saveState(), "overlay");
        const whole = new Uint8Array(model.length);
        copy.read(0, whole);
        expect(Buffer.compare(whole, model)).toBe(0);
        expect(overlay.commit()).toBe(true);
        expect(Buffer.compare(base.bytes, model)).toBe(0);
      }),
      { seed: 4, numRuns: 60 },
    );
  });

  test("no image bytes make detection throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 1024 }), fc.constantFrom(0, 512, 1000, 1474560, 5000000), (bytes, size) => {
        const image = blank(size);
        image.bytes.set(bytes.subarray(0, size));
        if (size >= 512) put(image, 510, [0x55, 0xaa]);
        const info = detectImage(image);
        expect(info.geometry.sectors).toBeLessThanOrEqual(63);
        expect(info.geometry.heads).toBeLessThanOrEqual(255);
      }),
      { seed: 5, numRuns: 300 },
    );
  });
});
