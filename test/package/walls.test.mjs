// Only these rooms know the platform; everything else runs wherever JavaScript does. The compiler holds it as long as the projects say so.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { builtinModules } from "node:module";
import * as path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const PLATFORM_ROOMS = ["backends/node", "cli"];

const files = (dir, wanted) =>
  fs
    .readdirSync(path.join(root, dir), { recursive: true })
    .map(String)
    .filter((file) => wanted(file));
const rooms = files("src", (file) => path.basename(file) === "tsconfig.json").map((file) => path.dirname(file));
const core = rooms.filter((room) => !PLATFORM_ROOMS.includes(room));

test("rooms without a platform compile with neither Node's nor a browser's types", () => {
  assert.ok(core.length > 10 && rooms.length === core.length + PLATFORM_ROOMS.length);
  for (const room of core) {
    const { types = [], lib = [] } = JSON.parse(fs.readFileSync(path.join(root, "src", room, "tsconfig.json"), "utf8")).compilerOptions;
    assert.deepEqual(types, [], `src/${room}`);
    assert.ok(!lib.some((name) => name.startsWith("dom")), `src/${room}`);
  }
});

test("no module of theirs imports one of Node's", () => {
  const inside = (file) => core.some((room) => file.startsWith(`${room}${path.sep}`)) && !PLATFORM_ROOMS.some((room) => file.startsWith(room));
  const modules = files("dist", (file) => file.endsWith(".js") && inside(file));
  assert.ok(modules.length > 300);
  for (const file of modules) {
    const imports = [...fs.readFileSync(path.join(root, "dist", file), "utf8").matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((m) => m[1]);
    assert.deepEqual(
      imports.filter((name) => name.startsWith("node:") || builtinModules.includes(name)),
      [],
      `dist/${file}`,
    );
  }
});
