import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VmmError } from "../../base/index.ts";
import { openImage } from "./index.ts";

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-file-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

function image(name: string, bytes: Uint8Array | number): string {
  const file = path.join(dir, name);
  fs.writeFileSync(file, typeof bytes === "number" ? new Uint8Array(bytes) : bytes);
  return file;
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(VmmError);
    if (error instanceof VmmError) {
      expect(error.message).not.toContain("\n");
      return error.code;
    }
  }
  return "no error";
}

describe("openImage", () => {
  it("reads back what was written, through the file", () => {
    const file = image("a.img", 2048);
    const disk = openImage(file);
    expect(disk.write(512, new Uint8Array(512).fill(0xab))).toBe(true);
    expect(disk.flush()).toBe(true);
    const sector = new Uint8Array(512);
    expect(disk.read(512, sector)).toBe(true);
    expect(sector.every((b) => b === 0xab)).toBe(true);
    disk.close();
    expect(fs.readFileSync(file)[512]).toBe(0xab);
    expect(fs.statSync(file).size).toBe(2048);
  });

  it("refuses accesses outside the image", () => {
    const disk = openImage(image("a.img", 1024));
    expect(disk.read(1024, new Uint8Array(512))).toBe(false);
    expect(disk.read(-512, new Uint8Array(512))).toBe(false);
    expect(disk.write(512, new Uint8Array(1024))).toBe(false);
    disk.close();
  });

  it("pads a partial last sector with zeros, says so, and grows the file when that sector is written", () => {
    const file = image("short.img", new Uint8Array(700).fill(1));
    const warnings: string[] = [];
    const disk = openImage(file, { warn: (m) => warnings.push(m) });
    expect(disk.sizeBytes).toBe(1024);
    const sector = new Uint8Array(512).fill(9);
    expect(disk.read(512, sector)).toBe(true);
    expect([sector[187], sector[188], sector[511]]).toEqual([1, 0, 0]);
    expect(warnings).toEqual([expect.stringContaining("size 700 is not a multiple of 512")]);
    expect(disk.write(512, new Uint8Array(512).fill(2))).toBe(true);
    disk.close();
    expect(fs.statSync(file).size).toBe(1024);
  });

  it("names each kind of bad file with its own code", () => {
    expect(codeOf(() => openImage(path.join(dir, "missing.img")))).toBe("IMAGE_NOT_FOUND");
    expect(codeOf(() => openImage(image("empty.img", 0)))).toBe("IMAGE_EMPTY");
    expect(codeOf(() => openImage(dir))).toBe("IMAGE_IS_DIRECTORY");
    expect(codeOf(() => openImage("/dev/null"))).toBe("IMAGE_NOT_A_FILE");
    expect(codeOf(() => openImage(`${dir}/${"x".repeat(300)}`))).toBe("IMAGE_NOT_FOUND");
    expect(codeOf(() => openImage(`${dir}/nul\0byte`))).toBe("IMAGE_NOT_FOUND");
  });

  it("refuses an image that is larger than 48-bit addressing reaches", () => {
    const file = image("huge.img", 0);
    let made = true;
    try {
      fs.truncateSync(file, 2 ** 48 + 512);
    } catch {
      made = false; // this file system has a smaller limit of its own
    }
    expect(codeOf(() => openImage(file))).toBe(made ? "IMAGE_TOO_LARGE" : "IMAGE_EMPTY");
  });

  it("refuses a second writer and lets readers in", () => {
    const file = image("a.img", 1024);
    const first = openImage(file);
    expect(codeOf(() => openImage(file))).toBe("IMAGE_LOCKED");
    openImage(file, { readOnly: true }).close();
    first.close();
    openImage(file).close();
    expect(fs.readdirSync(dir)).toEqual(["a.img"]);
  });

  it("sees through a symbolic link when it locks", () => {
    const file = image("a.img", 1024);
    fs.symlinkSync(file, path.join(dir, "b.img"));
    const first = openImage(file);
    expect(codeOf(() => openImage(path.join(dir, "b.img")))).toBe("IMAGE_LOCKED");
    first.close();
  });

  it("takes over the lock of a process that is gone", () => {
    const file = image("a.img", 1024);
    const dead = spawnSync(process.execPath, ["-e", ""]).pid;
    fs.writeFileSync(`${file}.lock`, `${dead}\n1\n${os.hostname()}\n`);
    const disk = openImage(file);
    disk.close();
    expect(fs.existsSync(`${file}.lock`)).toBe(false);
  });

  it("takes over a lock whose process id now belongs to another process", () => {
    const file = image("a.img", 1024);
    fs.writeFileSync(`${file}.lock`, `${process.pid}\n12345\n${os.hostname()}\n`);
    openImage(file).close();
  });

  it("gives a medium error when the file shrinks underneath", () => {
    const file = image("a.img", 4096);
    const disk = openImage(file);
    fs.truncateSync(file, 512);
    expect(disk.read(2048, new Uint8Array(512))).toBe(false);
    disk.close();
  });
});

describe("the lock of an image", () => {
  it.skipIf(process.platform !== "linux")("is taken over from a process that is dead but not buried", () => {
    const file = image("z.img", 2048);
    // The shell's child ends; what the shell became does not ask for it.
    const parent = spawn("sh", ["-c", "true & echo $!; exec sleep 20"], { stdio: ["ignore", "pipe", "ignore"] });
    return new Promise<void>((resolve, reject) => {
      parent.stdout.once("data", (data: Buffer) => {
        setTimeout(() => {
          try {
            fs.writeFileSync(`${file}.lock`, `${String(data).trim()}\n\n${os.hostname()}\n`);
            openImage(file).close();
            resolve();
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          } finally {
            parent.kill();
          }
        }, 300);
      });
    });
  });

  it("says so when this program has the image already", () => {
    const file = image("twice.img", 2048);
    const disk = openImage(file);
    expect(() => openImage(file)).toThrow(/in use by this program already/);
    disk.close();
  });
});
