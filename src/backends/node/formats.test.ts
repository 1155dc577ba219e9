import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createQcow2, createVhd } from "../formats/index.ts";
import type { DiskImage } from "../formats/index.ts";
import { createFile, openDiskImage, openImage } from "./index.ts";

const haveQemu = spawnSync("qemu-img", ["--version"]).status === 0;
const haveQemuIo = spawnSync("qemu-io", ["--version"]).status === 0;
const MIB = 1024 * 1024;

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-formats-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

const at = (name: string): string => path.join(dir, name);
function qemuImg(...args: readonly string[]): string {
  return execFileSync("qemu-img", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}
function qemuIo(file: string, ...commands: readonly string[]): void {
  execFileSync("qemu-io", [...commands.flatMap((c) => ["-c", c]), file], { stdio: ["ignore", "pipe", "pipe"] });
}
/** Errors, leaks as qemu-img sees them. */
function qemuCheck(file: string, format = "qcow2"): string {
  const result = spawnSync("qemu-img", ["check", "-f", format, file], { encoding: "utf8" });
  return result.status === 0 ? "clean" : `${result.status}: ${result.stdout}${result.stderr}`;
}

/** A small generator with a fixed seed (xorshift). */
function random(seed: number): (below: number) => number {
  let x = seed | 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

/** Writes, zeroes and discards at random, keeping a copy of what the disk must hold; reads are compared on the way. */
function workload(disk: DiskImage, expected: Uint8Array, seed: number, steps: number): void {
  const next = random(seed);
  const sectors = expected.length / 512;
  for (let step = 0; step < steps; step++) {
    const sector = next(sectors);
    const count = Math.min(sectors - sector, 1 + next(next(4) === 0 ? 600 : 20));
    const offset = sector * 512;
    const length = count * 512;
    switch (next(10)) {
      case 0:
        if (disk.writeZeroes === undefined) break;
        expect(disk.writeZeroes(offset, length)).toBe(true);
        expected.fill(0, offset, offset + length);
        break;
      case 1: {
        if (disk.discard === undefined) break;
        expect(disk.discard(offset, length)).toBe(true);
        const now = new Uint8Array(length);
        expect(disk.read(offset, now)).toBe(true);
        expected.set(now, offset); // undefined by contract: take what is there
        break;
      }
      case 2:
        expect(disk.flush()).toBe(true);
        break;
      case 3:
      case 4: {
        const now = new Uint8Array(length);
        expect(disk.read(offset, now)).toBe(true);
        expect(Buffer.compare(now, expected.subarray(offset, offset + length))).toBe(0);
        break;
      }
      default: {
        const data = new Uint8Array(length).map((_, i) => (step * 31 + i + (i >> 9)) & 255);
        expect(disk.write(offset, data)).toBe(true);
        expected.set(data, offset);
      }
    }
  }
  const all = new Uint8Array(expected.length);
  expect(disk.read(0, all)).toBe(true);
  expect(Buffer.compare(all, expected)).toBe(0);
}

/** The workload, then our check, qemu-img's check, and a comparison of the content by qemu-img. */
function exercise(file: string, expected: Uint8Array, seed: number, steps = 250): void {
  const disk = openDiskImage(file);
  const format = disk.format === "vhd" ? "vpc" : "qcow2";
  workload(disk, expected, seed, steps);
  disk.close();
  const again = openDiskImage(file, { readOnly: true });
  expect(again.check()).toMatchObject({ errors: [], leakedClusters: 0 });
  const all = new Uint8Array(expected.length);
  expect(again.read(0, all)).toBe(true);
  expect(Buffer.compare(all, expected)).toBe(0);
  again.close();
  fs.writeFileSync(at("expected.raw"), expected);
  if (format === "qcow2") expect(qemuCheck(file)).toBe("clean");
  expect(qemuImg("compare", "-f", format, "-F", "raw", file, at("expected.raw"))).toContain("identical");
}

function content(file: string, bytes: number): Uint8Array {
  const disk = openDiskImage(file, { readOnly: true });
  const all = new Uint8Array(bytes);
  expect(disk.read(0, all)).toBe(true);
  disk.close();
  return all;
}

describe.skipIf(!haveQemu || !haveQemuIo)("against qemu-img (skipped when qemu-utils is not installed)", () => {
  const variants: readonly (readonly [name: string, options: string])[] = [
    ["v3, 64 KB clusters", "compat=1.1"],
    ["v2", "compat=0.10"],
    ["512-byte clusters", "cluster_size=512"],
    ["4 KB clusters, 1-bit counts", "cluster_size=4096,refcount_bits=1"],
    ["2-bit counts", "cluster_size=1024,refcount_bits=2"],
    ["4-bit counts", "cluster_size=1024,refcount_bits=4"],
    ["8-bit counts", "cluster_size=2048,refcount_bits=8"],
    ["32-bit counts", "cluster_size=512,refcount_bits=32"],
    ["64-bit counts", "cluster_size=512,refcount_bits=64"],
    ["2 MB clusters", "cluster_size=2M"],
    ["extended L2 entries", "extended_l2=on,cluster_size=16k"],
    ["extended L2 entries, 128 KB", "extended_l2=on,cluster_size=128k"],
    ["lazy refcounts", "lazy_refcounts=on"],
    ["metadata preallocated", "preallocation=metadata"],
  ];
  for (const [i, [name, options]] of variants.entries()) {
    it(`a random workload leaves a clean and equal qcow2: ${name}`, () => {
      qemuImg("create", "-f", "qcow2", "-o", options, at("a.qcow2"), "8M");
      exercise(at("a.qcow2"), new Uint8Array(8 * MIB), 1000 + i);
    });
    it(`the same over a backing file that is shorter: ${name}`, () => {
      if (options.includes("preallocation")) return;
      const base = new Uint8Array(5 * MIB + 512).map((_, k) => (k >> 9) & 255);
      fs.writeFileSync(at("base.raw"), base);
      qemuImg("create", "-f", "qcow2", "-o", options, "-b", "base.raw", "-F", "raw", at("a.qcow2"), "8M");
      const expected = new Uint8Array(8 * MIB);
      expected.set(base);
      exercise(at("a.qcow2"), expected, 2000 + i);
      expect(Buffer.compare(fs.readFileSync(at("base.raw")), base)).toBe(0);
    });
  }

  it("a large sparse disk with small clusters makes the refcount table grow and move", () => {
    qemuImg("create", "-f", "qcow2", "-o", "cluster_size=512,refcount_bits=64", at("a.qcow2"), "1G");
    const disk = openDiskImage(at("a.qcow2"));
    const data = new Uint8Array(MIB).map((_, k) => (k >> 3) & 255);
    for (let i = 0; i < 24; i++) {
      expect(disk.write(i * 40 * MIB, data)).toBe(true);
      if (i % 5 === 0) expect(disk.flush()).toBe(true);
    }
    disk.close();
    expect(qemuCheck(at("a.qcow2"))).toBe("clean");
    const again = openDiskImage(at("a.qcow2"));
    const back = new Uint8Array(MIB);
    for (let i = 0; i < 24; i++) {
      expect(again.read(i * 40 * MIB, back)).toBe(true);
      expect(Buffer.compare(back, data)).toBe(0);
    }
    again.close();
  });

  for (const type of ["zlib", "zstd"]) {
    it(`reads ${type}-compressed clusters and writes over them`, () => {
      const base = new Uint8Array(4 * MIB).map((_, k) => ((k >> 5) * 7 + (k % 3)) & 255);
      fs.writeFileSync(at("base.raw"), base);
      const made = spawnSync("qemu-img", ["convert", "-c", "-O", "qcow2", "-o", `compression_type=${type}`, at("base.raw"), at("a.qcow2")]);
      if (made.status !== 0) return; // this qemu-img was built without it
      expect(Buffer.compare(content(at("a.qcow2"), base.length), base)).toBe(0);
      exercise(at("a.qcow2"), base, 77);
    });
  }

  it("writes compressed clusters that qemu-img reads", () => {
    const base = new Uint8Array(3 * MIB + 4096).map((_, k) => ((k >> 6) * 13 + (k % 5)) & 255);
    for (const clusterBytes of [4096, 65536]) {
      const made = createFile(at("c.qcow2"));
      createQcow2(made.file, { sizeBytes: base.length, clusterBytes });
      made.finish();
      const disk = openDiskImage(at("c.qcow2"));
      for (let o = 0; o < base.length; o += clusterBytes) expect(disk.writeCompressed?.(o, base.subarray(o, o + clusterBytes))).toBe(true);
      disk.close();
      expect(qemuCheck(at("c.qcow2"))).toBe("clean");
      expect(fs.statSync(at("c.qcow2")).size).toBeLessThan(base.length / 2);
      exercise(at("c.qcow2"), base.slice(), 5, 60);
    }
  });

  it("keeps internal snapshots as they were", () => {
    qemuImg("create", "-f", "qcow2", at("a.qcow2"), "8M");
    qemuIo(at("a.qcow2"), "write -P 0x11 0 4M");
    qemuImg("snapshot", "-c", "one", at("a.qcow2"));
    qemuIo(at("a.qcow2"), "write -P 0x22 1M 1M");
    qemuImg("snapshot", "-c", "two", at("a.qcow2"));
    const expected = content(at("a.qcow2"), 8 * MIB);
    exercise(at("a.qcow2"), expected, 99);
    const disk = openDiskImage(at("a.qcow2"), { readOnly: true });
    expect(disk.facts().snapshots?.map((s) => s.name)).toEqual(["one", "two"]);
    disk.close();
    qemuImg("convert", "-l", "snapshot.name=one", "-O", "raw", at("a.qcow2"), at("one.raw"));
    const one = fs.readFileSync(at("one.raw"));
    expect(one.subarray(0, 4 * MIB).every((b) => b === 0x11)).toBe(true);
    expect(one.subarray(4 * MIB).every((b) => b === 0)).toBe(true);
    qemuImg("convert", "-l", "snapshot.name=two", "-O", "raw", at("a.qcow2"), at("two.raw"));
    expect(
      fs
        .readFileSync(at("two.raw"))
        .subarray(MIB, 2 * MIB)
        .every((b) => b === 0x22),
    ).toBe(true);
    qemuImg("snapshot", "-d", "one", at("a.qcow2"));
    qemuImg("snapshot", "-d", "two", at("a.qcow2"));
    expect(qemuCheck(at("a.qcow2"))).toBe("clean");
  });

  it("drops dirty bitmaps before it writes, and keeps them when it does not", () => {
    qemuImg("create", "-f", "qcow2", at("a.qcow2"), "8M");
    qemuImg("bitmap", "--add", at("a.qcow2"), "b0");
    openDiskImage(at("a.qcow2")).close();
    expect(qemuImg("info", at("a.qcow2"))).toContain("b0");
    exercise(at("a.qcow2"), new Uint8Array(8 * MIB), 7);
    expect(qemuImg("info", at("a.qcow2"))).not.toContain("b0");
  });

  it("rebuilds the counts of an image that was not closed (lazy refcounts)", () => {
    qemuImg("create", "-f", "qcow2", "-o", "lazy_refcounts=on", at("a.qcow2"), "8M");
    spawnSync("qemu-io", ["-c", "write -P 5 0 2M", "-c", "flush", "-c", "abort", at("a.qcow2")]);
    expect(qemuImg("info", "-U", at("a.qcow2"))).toContain("cleanly shut down: no");
    const warnings: string[] = [];
    const disk = openDiskImage(at("a.qcow2"), { warn: (m) => warnings.push(m) });
    expect(warnings).toEqual([expect.stringContaining("was not closed properly")]);
    disk.close();
    expect(qemuCheck(at("a.qcow2"))).toBe("clean");
    const expected = new Uint8Array(8 * MIB).fill(5, 0, 2 * MIB);
    exercise(at("a.qcow2"), expected, 8);
  });

  it("grows with a longer L1 table, shrinks, and stays clean", () => {
    for (const snapshot of [false, true]) {
      fs.rmSync(at("a.qcow2"), { force: true });
      qemuImg("create", "-f", "qcow2", "-o", "cluster_size=512", at("a.qcow2"), "1M");
      qemuIo(at("a.qcow2"), "write -P 9 0 1M");
      if (snapshot) qemuImg("snapshot", "-c", "s", at("a.qcow2"));
      const disk = openDiskImage(at("a.qcow2"));
      disk.resize(64 * MIB);
      expect(disk.write(63 * MIB, new Uint8Array(512).fill(3))).toBe(true);
      if (!snapshot) disk.resize(512 * 1024);
      else expect(() => disk.resize(MIB)).toThrow(/snapshots/);
      disk.close();
      expect(qemuCheck(at("a.qcow2"))).toBe("clean");
      expect(JSON.parse(qemuImg("info", "--output=json", at("a.qcow2")))).toMatchObject({ "virtual-size": snapshot ? 64 * MIB : 512 * 1024 });
    }
  });

  it("does not bring a longer backing file to light when it grows", () => {
    fs.writeFileSync(at("base.raw"), new Uint8Array(4 * MIB).fill(0x77));
    qemuImg("create", "-f", "qcow2", "-b", "base.raw", "-F", "raw", at("a.qcow2"), "1M");
    const disk = openDiskImage(at("a.qcow2"));
    disk.resize(6 * MIB);
    const all = new Uint8Array(6 * MIB);
    expect(disk.read(0, all)).toBe(true);
    disk.close();
    expect(all.subarray(0, MIB).every((b) => b === 0x77)).toBe(true);
    expect(all.subarray(MIB).every((b) => b === 0)).toBe(true);
    expect(qemuCheck(at("a.qcow2"))).toBe("clean");
  });

  it("images of ours are clean for qemu-img: every cluster size and count width", () => {
    for (let bits = 9; bits <= 21; bits++) {
      const made = createFile(at("n.qcow2"));
      createQcow2(made.file, { sizeBytes: 100 * MIB, clusterBytes: 2 ** bits, refcountOrder: bits % 7, extendedL2: bits >= 14 && bits % 2 === 0 });
      made.finish();
      expect(qemuCheck(at("n.qcow2"))).toBe("clean");
    }
  });

  it("follows a chain of backing files by relative names", () => {
    fs.mkdirSync(at("sub"));
    qemuImg("create", "-f", "qcow2", at("base.qcow2"), "4M");
    qemuIo(at("base.qcow2"), "write -P 1 0 4M");
    qemuImg("create", "-f", "qcow2", "-b", "../base.qcow2", "-F", "qcow2", at("sub/mid.qcow2"));
    qemuIo(at("sub/mid.qcow2"), "write -P 2 1M 1M");
    qemuImg("create", "-f", "qcow2", "-b", "sub/mid.qcow2", "-F", "qcow2", at("top.qcow2"));
    const expected = new Uint8Array(4 * MIB).fill(1).fill(2, MIB, 2 * MIB);
    exercise(at("top.qcow2"), expected, 3);
  });

  for (const [i, subformat] of ["dynamic", "fixed"].entries()) {
    it(`a random workload leaves an equal VHD: ${subformat}`, () => {
      qemuImg("create", "-f", "vpc", "-o", `subformat=${subformat},force_size=on`, at("a.vhd"), "16M");
      exercise(at("a.vhd"), new Uint8Array(16 * MIB), 300 + i);
    });
    it(`a VHD of ours is read by qemu-img: ${subformat}`, () => {
      const made = createFile(at("a.vhd"));
      createVhd(made.file, {
        sizeBytes: 16 * MIB + 512,
        kind: subformat === "fixed" ? "fixed" : "dynamic",
        uuid: new Uint8Array(16).fill(7),
        timeMs: Date.now(),
      });
      made.finish();
      exercise(at("a.vhd"), new Uint8Array(16 * MIB + 512), 400 + i);
    });
  }

  it("a VHD grows, also beyond its table", () => {
    for (const subformat of ["dynamic", "fixed"]) {
      fs.rmSync(at("a.vhd"), { force: true });
      qemuImg("create", "-f", "vpc", "-o", `subformat=${subformat},force_size=on`, at("a.vhd"), "4M");
      const expected = new Uint8Array(4 * MIB);
      exercise(at("a.vhd"), expected, 12, 40);
      const disk = openDiskImage(at("a.vhd"));
      disk.resize(512 * MIB);
      disk.close();
      const larger = new Uint8Array(512 * MIB);
      larger.set(expected);
      exercise(at("a.vhd"), larger, 13, 40);
    }
  });
});

describe("openImage by format", () => {
  it("finds a differencing VHD's parent, reads through it, and leaves it alone", () => {
    const uuid = new Uint8Array(16).fill(9);
    const parent = createFile(at("parent.vhd"));
    createVhd(parent.file, { sizeBytes: 8 * MIB, uuid, timeMs: Date.now() });
    parent.finish();
    const base = openDiskImage(at("parent.vhd"));
    const expected = new Uint8Array(8 * MIB).map((_, k) => (k >> 10) & 255);
    expect(base.write(0, expected)).toBe(true);
    base.close();
    const before = fs.readFileSync(at("parent.vhd"));
    const child = createFile(at("child.vhd"));
    createVhd(child.file, {
      sizeBytes: 8 * MIB,
      uuid: new Uint8Array(16).fill(10),
      timeMs: Date.now(),
      parent: {
        footer: { type: 3, headerOffset: 512, sizeBytes: 8 * MIB, uuid, creator: "win ", timestamp: 1 },
        relative: "parent.vhd",
        absolute: at("parent.vhd"),
      },
    });
    child.finish();
    const disk = openDiskImage(at("child.vhd"));
    expect(disk.facts()).toMatchObject({ variant: "differencing", backingFile: "parent.vhd" });
    workload(disk, expected, 55, 200);
    disk.close();
    expect(Buffer.compare(content(at("child.vhd"), 8 * MIB), expected)).toBe(0);
    expect(Buffer.compare(fs.readFileSync(at("parent.vhd")), before)).toBe(0);
    fs.rmSync(at("parent.vhd"));
    const other = createFile(at("parent.vhd"));
    createVhd(other.file, { sizeBytes: 8 * MIB, uuid: new Uint8Array(16).fill(11), timeMs: Date.now() });
    other.finish();
    expect(() => openImage(at("child.vhd"))).toThrow(/identity differs/);
    fs.rmSync(at("parent.vhd"));
    expect(() => openImage(at("child.vhd"))).toThrow(/parent "parent.vhd" is not found/);
    expect(fs.readdirSync(dir).filter((n) => n.includes("lock"))).toEqual([]);
  });

  function overlay(name: string, backingFile: string, backingFormat?: "raw" | "qcow2"): void {
    const made = createFile(at(name));
    createQcow2(made.file, { sizeBytes: MIB, backingFile, ...(backingFormat === undefined ? {} : { backingFormat }) });
    made.finish();
  }

  it("refuses loops, missing and non-file backing files with one line", () => {
    overlay("a.qcow2", "b.qcow2", "qcow2");
    overlay("b.qcow2", "a.qcow2", "qcow2");
    overlay("self.qcow2", "self.qcow2", "qcow2");
    overlay("lost.qcow2", "nowhere.img", "raw");
    overlay("net.qcow2", "nbd://localhost/x", "raw");
    overlay("json.qcow2", 'json:{"driver":"raw"}', "raw");
    expect(() => openImage(at("a.qcow2"), { readOnly: true })).toThrow(/leads back to .*a\.qcow2/);
    expect(() => openImage(at("self.qcow2"), { readOnly: true })).toThrow(/leads back/);
    for (const [name, pattern] of [
      ["a.qcow2", /leads back to|is being written/],
      ["self.qcow2", /leads back|is being written/],
      ["lost.qcow2", /lost\.qcow2: backing file .*nowhere\.img: no such file$/],
      ["net.qcow2", /nbd:, which is not supported/],
      ["json.qcow2", /json:, which is not supported/],
    ] as const) {
      expect(() => openImage(at(name))).toThrow(pattern);
      expect(() => openImage(at(name), { readOnly: true })).toThrow(pattern);
    }
    expect(fs.readdirSync(dir).filter((n) => n.includes("lock"))).toEqual([]);
  });

  it("does not let a backing file of unstated format lead to further files", () => {
    fs.writeFileSync(at("secret"), new Uint8Array(MIB).fill(0x5e));
    overlay("planted.img", "secret", "raw"); // a raw disk into which its guest wrote a qcow2 header
    overlay("top.qcow2", "planted.img");
    expect(() => openImage(at("top.qcow2"), { readOnly: true })).toThrow(/does not state its format/);
    overlay("top2.qcow2", "planted.img", "raw");
    const disk = openImage(at("top2.qcow2"), { readOnly: true });
    const sector = new Uint8Array(512);
    expect(disk.read(0, sector)).toBe(true);
    expect(sector[0]).toBe(0x51); // its bytes, not the secret's
    disk.close();
  });

  it("does not let a guest turn a raw disk into another format, unless raw was stated", () => {
    fs.writeFileSync(at("disk.img"), new Uint8Array(MIB));
    const header = new Uint8Array(512);
    header.set([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3]);
    const guessed = openImage(at("disk.img"));
    expect(guessed.write(0, header)).toBe(false);
    expect(guessed.write(512, header)).toBe(true);
    expect(guessed.write(0, new Uint8Array(512).fill(1))).toBe(true);
    guessed.close();
    const stated = openImage(at("disk.img"), { format: "raw" });
    expect(stated.write(0, header)).toBe(true);
    stated.close();
  });

  it("commits tables by itself when the guest never flushes", async () => {
    const made = createFile(at("a.qcow2"));
    createQcow2(made.file, { sizeBytes: MIB });
    made.finish();
    const disk = openImage(at("a.qcow2"));
    expect(disk.write(0, new Uint8Array(512).fill(5))).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    // As another process finds it after a kill.
    expect(content(at("a.qcow2"), 512).every((b) => b === 5)).toBe(true);
    disk.close();
  });

  it("locks the active image against all, and its backing file against writers", () => {
    fs.writeFileSync(at("base.img"), new Uint8Array(MIB));
    overlay("one.qcow2", "base.img", "raw");
    overlay("two.qcow2", "base.img", "raw");
    const one = openImage(at("one.qcow2"));
    const two = openImage(at("two.qcow2"));
    expect(() => openImage(at("one.qcow2"))).toThrow(/in use by this program/);
    expect(() => openImage(at("base.img"))).toThrow(/is the backing file of an image/);
    openImage(at("base.img"), { readOnly: true }).close();
    one.close();
    expect(() => openImage(at("base.img"))).toThrow(/is the backing file of an image/);
    two.close();
    const base = openImage(at("base.img"));
    expect(() => openImage(at("one.qcow2"))).toThrow(/is being written by process/);
    openImage(at("one.qcow2"), { readOnly: true }).close();
    base.close();
    expect(fs.readdirSync(dir).filter((n) => n.includes("lock"))).toEqual([]);
  });

  it("opens formats that are only read for reading only, and takes any file for raw when that is said", () => {
    fs.writeFileSync(at("a.vmdk"), `KDMV${"\0".repeat(2044)}`);
    fs.writeFileSync(at("a.vhdx"), `vhdxfile${"\0".repeat(2044)}`);
    expect(() => openImage(at("a.vmdk"))).toThrow(/a\.vmdk: VMDK images are read here, not written/);
    expect(() => openImage(at("a.vhdx"))).toThrow(/a\.vhdx: VHDX images are read here, not written/);
    expect(() => openImage(at("a.vmdk"), { readOnly: true })).toThrow(/a\.vmdk: VMDK version 0 is not supported/);
    openImage(at("a.vmdk"), { format: "raw" }).close();
    expect(fs.readdirSync(dir).filter((n) => n.includes("lock"))).toEqual([]);
  });

  it.skipIf(!haveQemu).each([
    ["vmdk", "subformat=monolithicSparse"],
    ["vmdk", "subformat=monolithicFlat"],
    ["vmdk", "subformat=twoGbMaxExtentSparse"],
    ["vmdk", "subformat=twoGbMaxExtentFlat"],
    ["vmdk", "subformat=streamOptimized"],
    ["vdi", "static=off"],
    ["vdi", "static=on"],
    ["vhdx", "subformat=dynamic,block_size=1M"],
    ["vhdx", "subformat=fixed"],
  ] as const)("reads %s of qemu-img (%s) to the byte", (format, options) => {
    const next = random(options.length);
    const disk = new Uint8Array(9 * MIB + 512);
    for (let i = 0; i < 40; i++) {
      const from = next(disk.length);
      disk.subarray(from, from + next(100_000)).forEach((_, k, part) => (part[k] = next(3) === 0 ? next(256) : i));
    }
    fs.writeFileSync(at("a.img"), disk);
    qemuImg("convert", "-f", "raw", "-O", format, "-o", options, at("a.img"), at("b"));
    const opened = openDiskImage(at("b"), { readOnly: true });
    const whole = new Uint8Array(opened.sizeBytes);
    expect(opened.read(0, whole)).toBe(true);
    expect(Buffer.compare(whole.subarray(0, disk.length), disk)).toBe(0);
    expect(whole.subarray(disk.length).every((b) => b === 0)).toBe(true);
    expect(opened.check()).toMatchObject({ errorCount: 0 });
    opened.close();
  });
});
