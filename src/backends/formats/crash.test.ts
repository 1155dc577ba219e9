import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { MemoryByteFile } from "./byte-file.ts";
import type { DiskImage } from "./disk-image.ts";
import { createQcow2, createVhd, openImageFile } from "./index.ts";
import { FragileFile, memorySurroundings, seeded } from "./images.testing.ts";

const haveQemu = spawnSync("qemu-img", ["--version"]).status === 0;
const SECTORS = 2048;

/** A sector whose every word is `stamp`. */
function stamped(stamp: number, sectors: number): Uint8Array {
  return new Uint8Array(new Uint32Array(sectors * 128).fill(stamp).buffer);
}
function stampOf(disk: DiskImage, sector: number): number | "torn" | "unreadable" {
  const bytes = new Uint8Array(512);
  if (!disk.read(sector * 512, bytes)) return "unreadable";
  const words = new Uint32Array(bytes.buffer);
  return words.every((w) => w === words[0]) ? (words[0] ?? 0) : "torn";
}

interface Variant {
  readonly name: string;
  readonly format: "qcow2" | "vpc";
  readonly backing: Uint8Array | undefined;
  make(): Uint8Array;
}

function variant(
  name: string,
  options: { clusterBytes: number; refcountOrder?: number; extendedL2?: boolean; version?: 2 | 3 },
  backing?: Uint8Array,
): Variant {
  return {
    name,
    format: "qcow2",
    backing,
    make() {
      const file = new MemoryByteFile("new");
      createQcow2(file, {
        sizeBytes: SECTORS * 512,
        ...options,
        ...(backing === undefined ? {} : { backingFile: "base", backingFormat: "raw" as const }),
      });
      return file.bytes.slice();
    },
  };
}
const base = new Uint8Array(SECTORS * 512 - 65536);
for (let s = 0; s < base.length / 512; s++) base.set(stamped(1_000_000 + s, 1), s * 512);

const VARIANTS: readonly Variant[] = [
  variant("qcow2, 512-byte clusters, 64-bit counts", { clusterBytes: 512, refcountOrder: 6 }),
  variant("qcow2, 4 KB clusters over a backing file", { clusterBytes: 4096 }, base),
  variant("qcow2 v2, 1 KB clusters over a backing file", { clusterBytes: 1024, version: 2 }, base),
  variant("qcow2, extended L2 entries over a backing file", { clusterBytes: 16384, extendedL2: true }, base),
  variant("qcow2, 64 KB clusters", { clusterBytes: 65536 }),
  {
    name: "dynamic VHD",
    format: "vpc",
    backing: undefined,
    make() {
      const file = new MemoryByteFile("new");
      createVhd(file, { sizeBytes: SECTORS * 512, blockBytes: 32768, uuid: new Uint8Array(16).fill(1), timeMs: 1e12 });
      return file.bytes.slice();
    },
  },
];

/** For every sector the values that it may have after a crash: the one at the last flush, and every one written since. */
class Expectation {
  readonly #allowed: Set<number>[];
  #current: number[];
  constructor(initial: readonly number[]) {
    this.#current = [...initial];
    this.#allowed = initial.map((v) => new Set([v]));
  }
  wrote(sector: number, count: number, stamp: number): void {
    for (let s = sector; s < sector + count; s++) {
      this.#allowed[s]?.add(stamp);
      this.#current[s] = stamp;
    }
  }
  flushed(): void {
    for (const [s, value] of this.#current.entries()) {
      this.#allowed[s]?.clear();
      this.#allowed[s]?.add(value);
    }
  }
  compare(disk: DiskImage): string[] {
    const wrong: string[] = [];
    for (const [s, allowed] of this.#allowed.entries()) {
      const found = stampOf(disk, s);
      // A sector in flight may be torn in a real disk; here sectors are whole.
      if (typeof found === "string" || !allowed.has(found)) wrong.push(`sector ${s}: ${found}, allowed ${[...allowed].join(" ")}`);
    }
    return wrong.slice(0, 3);
  }
}

/** Random work until the file dies; operations that fail are not expected to have happened, nor to have not happened. */
function work(disk: DiskImage, expectation: Expectation, next: (below: number) => number, file: FragileFile): void {
  for (let step = 1; step <= 60 && !file.dead; step++) {
    const sector = next(SECTORS);
    const count = Math.min(SECTORS - sector, 1 + next(next(3) === 0 ? 300 : 12));
    switch (next(8)) {
      case 0:
        if (disk.writeZeroes === undefined) break;
        expectation.wrote(sector, count, 0);
        disk.writeZeroes(sector * 512, count * 512);
        break;
      case 1:
      case 2:
        if (disk.flush()) expectation.flushed();
        break;
      default:
        expectation.wrote(sector, count, step);
        disk.write(sector * 512, stamped(step, count));
    }
  }
}

describe("an image after a crash", () => {
  for (const v of VARIANTS) {
    it(`is consistent and holds what was flushed: ${v.name}`, () => {
      const empty = v.make();
      const around = memorySurroundings(v.backing === undefined ? {} : { base: v.backing });
      const initial = Array.from({ length: SECTORS }, (_, s) => (v.backing !== undefined && s * 512 < v.backing.length ? 1_000_000 + s : 0));
      const dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-crash-"));
      try {
        if (v.backing !== undefined) fs.writeFileSync(path.join(dir, "base"), v.backing);
        for (let round = 0; round < 40; round++) {
          const next = seeded(round + 1);
          const expectation = new Expectation(initial);
          let content = empty;
          // Two lives: the second one starts from what the first crash left.
          for (let life = 0; life < 2; life++) {
            const file = new FragileFile(content, { failAfter: 1 + next(400) });
            const disk = openImageFile(file, around);
            work(disk, expectation, next, file);
            content = next(3) === 0 ? file.afterKill() : file.afterPowerLoss(next);
            const after = openImageFile(new FragileFile(content), around);
            expect({ round, life, errors: after.check().errors }).toEqual({ round, life, errors: [] });
            expect({ round, life, wrong: expectation.compare(after) }).toEqual({ round, life, wrong: [] });
            if (life === 0) {
              // From here on, what is there counts.
              for (let s = 0; s < SECTORS; s++) {
                const found = stampOf(after, s);
                if (typeof found === "number") expectation.wrote(s, 1, found);
              }
              expectation.flushed();
            }
          }
          if (haveQemu && v.format === "qcow2" && round % 12 === 0) {
            const name = path.join(dir, "crashed");
            fs.writeFileSync(name, content);
            // 0: clean, 3: leaks only.
            const { status, stdout } = spawnSync("qemu-img", ["check", "-f", "qcow2", name], { encoding: "utf8" });
            expect([0, 3], stdout).toContain(status);
          }
        }
      } finally {
        fs.rmSync(dir, { recursive: true, force: true });
      }
    });
  }

  it("is consistent wherever the power fails between two writes", () => {
    for (const v of VARIANTS.slice(0, 2)) {
      const around = memorySurroundings({ base });
      for (let round = 0; round < 5; round++) {
        const next = seeded(5000 + round);
        const fate = seeded(6000 + round);
        const file = new FragileFile(v.make(), { failAfter: 250 });
        const disk = openImageFile(file, around);
        file.onOperation = () => {
          const after = openImageFile(new FragileFile(file.afterPowerLoss(fate)), around);
          expect({ v: v.name, round, at: file.operations, errors: after.check().errors }).toMatchObject({ errors: [] });
        };
        work(disk, new Expectation([]), next, file);
      }
    }
  });

  it("a repair wins the leaked clusters back and changes no data", () => {
    const v = VARIANTS[0];
    if (v === undefined) return;
    let leaked = 0;
    for (let round = 0; round < 40; round++) {
      const next = seeded(900 + round);
      const file = new FragileFile(v.make(), { failAfter: 30 + next(300) });
      const disk = openImageFile(file, memorySurroundings());
      work(disk, new Expectation(Array.from({ length: SECTORS }, () => 0)), next, file);
      const after = openImageFile(new FragileFile(file.afterPowerLoss(next)), memorySurroundings());
      const before = new Uint8Array(SECTORS * 512);
      expect(after.read(0, before)).toBe(true);
      leaked += after.check().leakedClusters;
      expect(after.repair?.()).toBe(true);
      expect(after.check()).toMatchObject({ errors: [], leakedClusters: 0 });
      const now = new Uint8Array(SECTORS * 512);
      expect(after.read(0, now)).toBe(true);
      expect(Buffer.compare(before, now)).toBe(0);
    }
    expect(leaked).toBeGreaterThan(0);
  });
});
