// The package as a user gets it: packed, installed into an empty folder, run, and imported from TypeScript.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const home = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-package-"));
const folder = path.join(home, "consumer");
/** Why the package could not be installed: without a registry its one dependency is not to be had. */
let missing;

before(async () => {
  fs.mkdirSync(folder);
  fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
  const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", home], { cwd: root, maxBuffer: 1e8 });
  const [{ filename }] = JSON.parse(stdout);
  try {
    await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", path.join(home, filename)], { cwd: folder });
  } catch (error) {
    missing = `npm install failed: ${String(error.stderr).trim().split("\n")[0]}`;
  }
});
after(() => fs.rmSync(home, { recursive: true, force: true }));

test("npx whyve demo runs from an empty folder", async (t) => {
  if (missing !== undefined) return t.skip(missing);
  const { stdout } = await run("npx", ["whyve", "demo", "--clock", "virtual", "--dump-screen"], { cwd: folder });
  assert.match(stdout, /long mode/i);
});

test("the package holds no tests, sources or source maps", (t) => {
  if (missing !== undefined) return t.skip(missing);
  const files = fs.readdirSync(path.join(folder, "node_modules/whyve"), { recursive: true, encoding: "utf8" });
  assert.deepEqual(
    files.filter((name) => /\.test\.|\.map$|tsbuildinfo|test-bench|^src/.test(name)),
    [],
  );
});

test("every door of the package can be imported", async (t) => {
  if (missing !== undefined) return t.skip(missing);
  const doors = Object.keys(JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")).exports).filter((door) => !door.endsWith(".json"));
  const script = doors.map((door) => `await import(${JSON.stringify(path.posix.join("whyve", door))});`).join("");
  await run(process.execPath, ["--input-type=module", "-e", script], { cwd: folder });
});

test("a TypeScript program compiles against the types and runs", async (t) => {
  if (missing !== undefined) return t.skip(missing);
  fs.writeFileSync(
    path.join(folder, "boot.ts"),
    `import { boot, type VirtualMachine } from "whyve";
import { MemoryBlockBackend } from "whyve/backends";
const sector = new Uint8Array(1474560);
sector.set([0xb8, 0x41, 0x0e, 0xcd, 0x10, 0xfa, 0xf4]); // print A, halt
sector.set([0x55, 0xaa], 510);
const vm: VirtualMachine = await boot({ disk: { kind: "floppy", backend: new MemoryBlockBackend("A", sector) }, clock: "virtual" });
await vm.screen.waitFor(/A/, { timeoutMs: 60_000 });
const end = await vm.ended;
const kind: "power-off" | "debug-exit" | "crash" | "halted" | "reset" | "stopped" = end.kind;
await vm.dispose();
if (kind !== "halted") throw new Error(kind);
`,
  );
  const compiler = path.join(root, "node_modules/typescript/bin/tsc");
  const options = ["--strict", "--target", "es2022", "--lib", "es2023,esnext.disposable", "--module", "nodenext", "--types", "", "boot.ts"];
  try {
    await run(process.execPath, [compiler, ...options], { cwd: folder });
  } catch (error) {
    assert.fail(error.stdout);
  }
  await run(process.execPath, ["boot.js"], { cwd: folder });
});

test("links of the README and the documentation lead somewhere inside the package", (t) => {
  if (missing !== undefined) return t.skip(missing);
  const inside = path.join(folder, "node_modules/whyve");
  const pages = fs.readdirSync(inside, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".md") && !name.startsWith("dist"));
  assert.ok(pages.length > 10);
  const broken = pages.flatMap((page) =>
    [...fs.readFileSync(path.join(inside, page), "utf8").matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
      .map(([, link]) => link)
      .filter((link) => !/^\w+:/.test(link) && !fs.existsSync(path.join(inside, path.dirname(page), link)))
      .map((link) => `${page}: ${link}`),
  );
  assert.deepEqual(broken, []);
});

test("the change log begins with the version of the package", () => {
  const { version } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
  const first = /^## \[([^\]]+)\]/m.exec(fs.readFileSync(path.join(root, "CHANGELOG.md"), "utf8"))?.[1];
  assert.equal(first, version);
});
