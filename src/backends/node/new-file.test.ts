import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFile, writeWholeFile } from "./index.ts";

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-new-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});
const at = (name: string): string => path.join(dir, name);

describe("a file that is written whole or not at all", () => {
  it("takes the place of the old one, with its mode, through a symbolic link", async () => {
    fs.writeFileSync(at("old"), "old", { mode: 0o640 });
    fs.symlinkSync("old", at("link"));
    await writeWholeFile(at("link"), Buffer.from("new"));
    expect(fs.readFileSync(at("old"), "utf8")).toBe("new");
    expect(fs.lstatSync(at("link")).isSymbolicLink()).toBe(true);
    expect(fs.statSync(at("old")).mode & 0o777).toBe(0o640);
    expect(fs.readdirSync(dir).sort()).toEqual(["link", "old"]);
  });

  it("may have the longest name that there is", async () => {
    const name = "x".repeat(255);
    await writeWholeFile(at(name), Buffer.from("new"));
    const made = createFile(at("y".repeat(255)));
    made.file.write(0, Buffer.from("abc"));
    made.finish();
    expect(fs.readdirSync(dir)).toEqual([name, "y".repeat(255)]);
  });

  it("fails in one line where there is no directory, and leaves nothing behind", async () => {
    await expect(writeWholeFile(at("none/a"), new Uint8Array(1), { flag: "--screenshot " })).rejects.toThrow(
      `--screenshot ${at("none/a")}: cannot be written (no such directory)`,
    );
    expect(() => createFile(at("none/a"))).toThrow("cannot be created (no such directory)");
    expect(fs.readdirSync(dir)).toEqual([]);
  });

  it.skipIf(!fs.existsSync("/dev/full"))("goes to a device as it is, and says when that is full", async () => {
    await expect(writeWholeFile("/dev/full", new Uint8Array(10))).rejects.toThrow("/dev/full: cannot be written (no space left on the disk)");
    await writeWholeFile("/dev/null", new Uint8Array(10));
  });

  it("is removed when it is abandoned, or when it cannot be put in its place", () => {
    const made = createFile(at("a"));
    expect(fs.readdirSync(dir)).toHaveLength(1);
    made.abandon();
    fs.mkdirSync(at("b"));
    expect(() => createFile(at("b")).finish()).toThrow("cannot be replaced");
    expect(fs.readdirSync(dir)).toEqual(["b"]);
  });
});
