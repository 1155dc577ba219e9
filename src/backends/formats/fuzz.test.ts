import { describe, expect, it } from "vitest";
import { VmmError } from "../../base/index.ts";
import { MemoryByteFile } from "./byte-file.ts";
import { createQcow2, createVhd, openImageFile } from "./index.ts";
import { FragileFile, memorySurroundings, seeded } from "./images.testing.ts";

const SIZE = 2 * 1024 * 1024;
const around = memorySurroundings({ base: new Uint8Array(SIZE / 2).fill(0xba) });

/** An image with something of everything in it. */
function seedImages(): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (const options of [
    { clusterBytes: 512 },
    { clusterBytes: 4096, refcountOrder: 0, backingFile: "base", backingFormat: "raw" as const },
    { clusterBytes: 65536, refcountOrder: 6 },
    { clusterBytes: 16384, extendedL2: true },
    { clusterBytes: 1024, version: 2 as const },
  ]) {
    const file = new MemoryByteFile("seed");
    createQcow2(file, { sizeBytes: SIZE, ...options });
    const disk = openImageFile(file, around);
    for (let i = 0; i < 20; i++) disk.write(((i * 37) % 64) * 32768, new Uint8Array(8192).fill(i + 1));
    disk.writeCompressed?.(SIZE / 2, new Uint8Array(options.clusterBytes).fill(9));
    disk.writeZeroes?.(65536, 131072);
    disk.flush();
    out.push(file.bytes.slice());
  }
  for (const kind of ["dynamic", "fixed"] as const) {
    const file = new MemoryByteFile("seed");
    createVhd(file, { sizeBytes: SIZE, kind, blockBytes: 65536, uuid: new Uint8Array(16).fill(1), timeMs: 1e12 });
    const disk = openImageFile(file, around);
    for (let i = 0; i < 8; i++) disk.write(i * 3 * 65536, new Uint8Array(8192).fill(i + 1));
    disk.flush();
    out.push(file.bytes.slice());
  }
  return out;
}

/** Values that break parsers: edges of words, powers of two, offsets near the end. */
function nasty(next: (below: number) => number, bytes: Uint8Array, at: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const room = bytes.length - at;
  switch (next(7)) {
    case 0:
      bytes[at] = next(256);
      break;
    case 1:
      if (room >= 4) view.setUint32(at, [0, 1, 0x7fffffff, 0x80000000, 0xffffffff][next(5)] ?? 0);
      break;
    case 2:
      if (room >= 8) view.setBigUint64(at, 1n << BigInt(next(64)));
      break;
    case 3:
      if (room >= 8) view.setBigUint64(at, (BigInt(next(bytes.length / 512)) * 512n) | (BigInt(next(4)) << 62n));
      break;
    case 4:
      if (room >= 8) view.setBigUint64(at, 0xffff_ffff_ffff_ffffn);
      break;
    case 5:
      bytes.fill(next(256), at, Math.min(bytes.length, at + next(600)));
      break;
    case 6:
      bytes.copyWithin(at, next(bytes.length), bytes.length - next(bytes.length));
      break;
  }
}

function fixVhd(bytes: Uint8Array): void {
  // Checksums made right again, or every damaged footer would be refused at the door.
  const fix = (at: number, length: number, sumAt: number): void => {
    if (at < 0 || at + length > bytes.length) return;
    let sum = 0;
    for (let i = 0; i < length; i++) if (i < sumAt || i >= sumAt + 4) sum += bytes[at + i] ?? 0;
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(at + sumAt, ~sum >>> 0);
  };
  fix(0, 512, 64);
  fix(512, 1024, 36);
  fix(bytes.length - 512, 512, 64);
}

describe("hostile images", () => {
  it("open with a one-line error or work within bounds, and never throw afterwards", () => {
    const seeds = seedImages();
    let opened = 0;
    for (let round = 0; round < 3000; round++) {
      const next = seeded(round + 1);
      const which = next(seeds.length);
      const bytes = (seeds[which] ?? new Uint8Array(0)).slice();
      for (let i = 1 + next(5); i > 0; i--) {
        // Mostly the header and the tables behind it.
        const at = next(3) === 0 ? next(bytes.length) : next(2) === 0 ? next(128) : next(Math.min(bytes.length, 8192));
        nasty(next, bytes, at);
      }
      if (which >= 5 && next(4) !== 0) fixVhd(bytes);
      const cut = next(8) === 0 ? bytes.slice(0, next(bytes.length)) : bytes;
      const file = new FragileFile(cut, { limitBytes: 64 * 1024 * 1024 });
      let disk: ReturnType<typeof openImageFile>;
      try {
        disk = openImageFile(file, around, next(5) === 0 ? { format: which >= 5 ? "vhd" : "qcow2" } : {});
      } catch (error) {
        expect(error).toBeInstanceOf(VmmError);
        expect(String(error)).not.toContain("\n");
        continue;
      }
      opened++;
      const sector = new Uint8Array(4096);
      for (let i = 0; i < 12; i++) {
        const offset = next(Math.min(disk.sizeBytes, 2 ** 32) / 512 + 2) * 512;
        switch (next(6)) {
          case 0:
            disk.write(offset, sector.fill(i));
            break;
          case 1:
            disk.writeZeroes?.(offset, 65536);
            break;
          case 2:
            disk.discard?.(offset, 65536);
            break;
          case 3:
            disk.flush();
            break;
          case 4:
            if (offset < disk.sizeBytes) disk.extent(offset, Math.min(65536, disk.sizeBytes - offset));
            break;
          default:
            disk.read(offset, sector);
        }
      }
      disk.facts();
      if (round % 8 === 0) disk.check();
      if (round % 32 === 0) disk.repair?.();
      disk.close();
    }
    expect(opened).toBeGreaterThan(500);
  });

  it("random bytes behind a magic are refused or harmless", () => {
    for (let round = 0; round < 2000; round++) {
      const next = seeded(50_000 + round);
      const bytes = new Uint8Array(512 + next(8192)).map(() => next(256));
      if (next(2) === 0) bytes.set([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 2 + next(2)]);
      else bytes.set(Array.from("conectix", (c) => c.charCodeAt(0)));
      try {
        const disk = openImageFile(new FragileFile(bytes), around);
        disk.read(0, new Uint8Array(512));
        disk.close();
      } catch (error) {
        expect(error).toBeInstanceOf(VmmError);
      }
    }
  });
});
