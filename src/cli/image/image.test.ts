import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openDiskImage } from "../../backends/node/index.ts";
import { convertImage } from "./convert.ts";
import { imageCommand } from "./image.ts";
import { parseSize, shortSize } from "./size.ts";

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-image-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
  vi.restoreAllMocks();
});
const at = (name: string): string => path.join(dir, name);

/** Exit code and standard output of a command. */
async function image(...argv: readonly string[]): Promise<{ readonly code: number; readonly out: string }> {
  let out = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const code = await imageCommand(argv);
  vi.restoreAllMocks();
  return { code, out };
}

describe("whyve image", () => {
  it("creates, describes, converts and checks", async () => {
    fs.writeFileSync(at("a.img"), new Uint8Array(3 * 2 ** 20).fill(0x41, 2 ** 20, 2 ** 20 + 5000));
    for (const name of ["b.qcow2", "c.vhd", "d.img"]) {
      expect((await image("convert", at("a.img"), at(name))).code).toBe(0);
      expect((await image("check", at(name))).code).toBe(0);
    }
    expect((await image("convert", "--compress", "-O", "qcow2", at("c.vhd"), at("e.bin"))).code).toBe(0);
    expect((await image("convert", at("e.bin"), at("f.img"))).code).toBe(0);
    expect(Buffer.compare(fs.readFileSync(at("a.img")), fs.readFileSync(at("f.img")))).toBe(0);
    expect(fs.statSync(at("f.img")).blocks).toBeLessThan(400);
    expect(JSON.parse((await image("info", at("b.qcow2"), "--json")).out)).toMatchObject({ format: "qcow2", virtualBytes: 3 * 2 ** 20 });
    expect((await image("info", at("c.vhd"))).out).toMatch(/^format: +vhd, dynamic$/m);
  });

  it("describes an image whose backing file is missing or cannot be used, though nobody can open it", async () => {
    fs.writeFileSync(at("base.img"), new Uint8Array(2 ** 20).fill(7));
    expect((await image("create", "-f", "qcow2", "-b", at("base.img"), at("o.qcow2"))).code).toBe(0);
    fs.rmSync(at("base.img"));
    const missing = await image("info", at("o.qcow2"));
    expect(missing.code).toBe(0);
    expect(missing.out).toMatch(/^virtual size: +1 MiB/m);
    expect(missing.out).toMatch(/^backing file: +.*base\.img \(raw\)$/m);
    expect(missing.out).toMatch(/^backing state: missing$/m);
    expect(JSON.parse((await image("info", at("o.qcow2"), "--json")).out)).toMatchObject({
      virtualBytes: 2 ** 20,
      backingProblem: expect.stringContaining("base.img: no such file"),
    });
    expect(() => openDiskImage(at("o.qcow2"))).toThrow(/backing file .*base\.img: no such file/);
    fs.mkdirSync(at("base.img"));
    expect((await image("info", at("o.qcow2"))).out).toMatch(/^backing state: cannot be used: .*is a directory/m);
  });

  it("reads zeros from a raw backing file of no bytes, as qemu-img does", async () => {
    fs.writeFileSync(at("base.img"), new Uint8Array(512));
    expect((await image("create", "-f", "qcow2", "-b", at("base.img"), "-F", "raw", at("o.qcow2"), "1M")).code).toBe(0);
    fs.truncateSync(at("base.img"), 0);
    const disk = openDiskImage(at("o.qcow2"));
    const sector = new Uint8Array(512).fill(1);
    expect(disk.read(0, sector)).toBe(true);
    expect(sector.every((b) => b === 0)).toBe(true);
    disk.close();
  });

  it("names a backing file from the place of the new image, with its format", async () => {
    fs.mkdirSync(at("sub"));
    fs.writeFileSync(at("base.img"), new Uint8Array(2 ** 20).fill(7));
    const before = process.cwd();
    process.chdir(dir);
    try {
      expect((await image("create", "-f", "qcow2", "-b", "base.img", "sub/o.qcow2")).code).toBe(0);
    } finally {
      process.chdir(before);
    }
    expect(JSON.parse((await image("info", at("sub/o.qcow2"), "--json")).out)).toMatchObject({
      backingFile: "../base.img",
      backingFormat: "raw",
      virtualBytes: 2 ** 20,
    });
    const disk = openDiskImage(at("sub/o.qcow2"));
    const sector = new Uint8Array(512);
    expect(disk.read(4096, sector)).toBe(true);
    expect(sector.every((b) => b === 7)).toBe(true);
    disk.close();
  });

  it("resizes by amount and by sign, and loses nothing unless told to", async () => {
    await image("create", at("a.qcow2"), "1G");
    await image("resize", at("a.qcow2"), "+1G");
    await expect(image("resize", at("a.qcow2"), "-1.5G")).rejects.toThrow(/--shrink allows that/);
    await image("resize", at("a.qcow2"), "-1.5G", "--shrink");
    expect(JSON.parse((await image("info", at("a.qcow2"), "--json")).out)).toMatchObject({ virtualBytes: 2 ** 29 });
  });

  it("does not overwrite, and does not touch what is in use", async () => {
    await image("create", at("a.qcow2"), "1M");
    await expect(image("create", at("a.qcow2"), "1M")).rejects.toThrow(/exists already; use --force/);
    const user = openDiskImage(at("a.qcow2"));
    await expect(image("create", "--force", at("a.qcow2"), "1M")).rejects.toThrow(/in use by this program/);
    await expect(image("convert", at("a.qcow2"), at("b.img"))).rejects.toThrow(/is being written/);
    await expect(image("resize", at("a.qcow2"), "2M")).rejects.toThrow(/in use by this program/);
    user.close();
    expect((await image("create", "--force", at("a.qcow2"), "1M")).code).toBe(0);
    expect(fs.readdirSync(dir)).toEqual(["a.qcow2"]);
  });

  it("leaves no half image when the source fails in the middle", async () => {
    fs.writeFileSync(at("a.img"), new Uint8Array(16 * 2 ** 20).fill(1));
    const source = openDiskImage(at("a.img"), { readOnly: true });
    vi.spyOn(source, "read").mockImplementation((offset, into) => (into.fill(1), offset < 8 * 2 ** 20));
    await expect(convertImage(source, at("b.qcow2"), { format: "qcow2", sizeBytes: source.sizeBytes }, false)).rejects.toThrow(
      /cannot be read at 8388608/,
    );
    source.close();
    expect(fs.readdirSync(dir)).toEqual(["a.img"]);
  });

  it("tells damage from waste by the exit code, and repairs waste", async () => {
    await image("create", at("a.qcow2"), "1M");
    // A cluster that is counted but not used, in the first refcount block (third cluster).
    const fd = fs.openSync(at("a.qcow2"), "r+");
    fs.ftruncateSync(fd, 6 * 65536);
    fs.writeSync(fd, new Uint8Array([0, 1]), 0, 2, 2 * 65536 + 2 * 5);
    fs.closeSync(fd);
    expect(await image("check", at("a.qcow2"))).toMatchObject({ code: 3, out: expect.stringContaining("1 leaked clusters") });
    vi.spyOn(process.stderr, "write").mockReturnValue(true);
    expect((await image("check", "--repair", at("a.qcow2"))).code).toBe(0);
    expect((await image("check", at("a.qcow2"))).code).toBe(0);
    const again = fs.openSync(at("a.qcow2"), "r+");
    fs.writeSync(again, new Uint8Array([0, 0]), 0, 2, 2 * 65536 + 2 * 3);
    fs.closeSync(again);
    expect(await image("check", at("a.qcow2"))).toMatchObject({ code: 2, out: expect.stringContaining("is used 1 times but counted 0") });
  });

  it("mistakes are one line that says what to do", async () => {
    await expect(image("frobnicate")).rejects.toThrow(/unknown command "image frobnicate"/);
    await expect(image("conver", "a", "b")).rejects.toThrow(/did you mean whyve image convert/);
    await expect(image("create", at("x.img"))).rejects.toThrow(/SIZE is missing/);
    await expect(image("create", "-f", "vmdk", at("x"), "1M")).rejects.toThrow(/use raw, qcow2 or vhd/);
    await expect(image("create", at("x"), "lots")).rejects.toThrow(/use a size such as/);
    await expect(image("convert", at("no.img"), at("y"))).rejects.toThrow(/no such file/);
    expect(fs.readdirSync(dir)).toEqual([]);
  });

  it("sizes are read and written with binary units", () => {
    expect(["512", "1k", "1.5M", "2GiB", "3TB"].map((t) => parseSize("SIZE", t))).toEqual([512, 1024, 1572864, 2 ** 31, 3 * 2 ** 40]);
    expect([0, 1023, 1536, 2 ** 31].map(shortSize)).toEqual(["0 bytes", "1023 bytes", "1.5 KiB", "2 GiB"]);
  });
});
