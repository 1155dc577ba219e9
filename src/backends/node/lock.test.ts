import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lockShared, openImage } from "./index.ts";

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-lock-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});
const at = (name: string): string => path.join(dir, name);
function image(name: string): string {
  fs.writeFileSync(at(name), new Uint8Array(4096));
  return at(name);
}
/** The lock files of an image in the directory that all processes share. */
function commonLocks(file: string): readonly string[] {
  const stat = fs.statSync(file, { bigint: true });
  return fs.readdirSync("/tmp").filter((name) => name.startsWith(`whyve-${stat.dev}-${stat.ino}.lock`));
}

/** For processes of their own: what the build has made. */
const MODULE = new URL("./lock.ts", import.meta.url).pathname.replace("/src/", "/dist/").replace(/\.ts$/, ".js");

describe.skipIf(process.platform === "win32")("the lock of a file that has several names", () => {
  it("is seen under a hard link, and leaves nothing behind", () => {
    const file = image("a.img");
    fs.mkdirSync(at("sub"));
    fs.linkSync(file, at("sub/b.img"));
    const first = openImage(file);
    expect(() => openImage(at("sub/b.img"))).toThrow(/b\.img: in use by this program already/);
    expect(fs.readdirSync(at("sub"))).toEqual(["b.img"]);
    openImage(at("sub/b.img"), { readOnly: true }).close();
    first.close();
    openImage(at("sub/b.img")).close();
    expect(fs.readdirSync(dir)).toEqual(["a.img", "sub"]);
    expect(commonLocks(file)).toEqual([]);
  });

  it("of a backing file keeps writers under another name away", () => {
    const file = image("base.img");
    fs.linkSync(file, at("other.img"));
    const reader = lockShared(file);
    expect(() => openImage(at("other.img"))).toThrow(/other\.img: is the backing file of an image that process \d+ uses/);
    reader.release();
    const writer = openImage(at("other.img"));
    expect(() => lockShared(file)).toThrow(/is being written by process/);
    writer.close();
    expect(commonLocks(file)).toEqual([]);
  });

  it("is taken over from a process that is gone", () => {
    const file = image("a.img");
    const stat = fs.statSync(file, { bigint: true });
    const dead = spawnSync(process.execPath, ["-e", ""]).pid;
    const place = `/tmp/whyve-${stat.dev}-${stat.ino}.lock`;
    fs.writeFileSync(place, `${dead}\n1\n${os.hostname()}\n`);
    openImage(file).close();
    expect(commonLocks(file)).toEqual([]);
  });

  it.skipIf(!fs.existsSync(MODULE))(
    "is had by one of many that begin at once on a lock whose owner is gone, under two names",
    async () => {
      const file = image("a.img");
      fs.linkSync(file, at("b.img"));
      const stat = fs.statSync(file, { bigint: true });
      const dead = spawnSync(process.execPath, ["-e", ""]).pid;
      for (const place of [`${file}.lock`, `${at("b.img")}.lock`, `/tmp/whyve-${stat.dev}-${stat.ino}.lock`])
        fs.writeFileSync(place, `${dead}\n1\n${os.hostname()}\n`);
      const when = Date.now() + 1500;
      const program = `
      import { lockImage } from ${JSON.stringify(MODULE)};
      while (Date.now() < ${when});
      try { lockImage(process.argv[1]); console.log("mine"); setTimeout(() => {}, 3000); } catch (e) { console.log(e.code); }`;
      const said = await Promise.all(
        Array.from(
          { length: 8 },
          (_, i) =>
            new Promise<string>((resolve) => {
              const child = spawn(process.execPath, ["--input-type=module", "-e", program, i % 2 === 0 ? file : at("b.img")], {
                stdio: ["ignore", "pipe", "ignore"],
              });
              let text = "";
              child.stdout.on("data", (d) => (text += String(d)));
              child.on("close", () => resolve(text.trim()));
            }),
        ),
      );
      expect(said.sort()).toEqual([...Array.from({ length: 7 }, () => "IMAGE_LOCKED"), "mine"]);
      expect(fs.readdirSync(dir)).toEqual(["a.img", "b.img"]);
      expect(commonLocks(file)).toEqual([]);
    },
    30_000,
  );

  it.skipIf(!fs.existsSync(MODULE))(
    "goes with a process that a signal ends, and the process still ends by the signal",
    async () => {
      const file = image("a.img");
      const program = `import { lockImage } from ${JSON.stringify(MODULE)}; lockImage(process.argv[1]); console.log("locked"); setTimeout(() => {}, 20000);`;
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) {
        const child = spawn(process.execPath, ["--input-type=module", "-e", program, file], { stdio: ["ignore", "pipe", "ignore"] });
        await new Promise((resolve) => child.stdout.once("data", resolve));
        expect(fs.existsSync(`${file}.lock`)).toBe(true);
        const ended = new Promise((resolve) => child.on("exit", (_, by) => resolve(by)));
        child.kill(signal);
        expect(await ended).toBe(signal);
        expect(fs.readdirSync(dir)).toEqual(["a.img"]);
        expect(commonLocks(file)).toEqual([]);
      }
    },
    30_000,
  );
});
