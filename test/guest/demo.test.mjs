// The built-in demonstration disk.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as path from "node:path";
import { test } from "node:test";
import { needsNasm, ROOT, whyve } from "./support.mjs";

test("whyve demo runs through by itself: long mode, then power off, exit code 0", async () => {
  const { code, stdout, stderr } = await whyve(["demo", "--dump-screen", "--timeout", "100"]);
  assert.match(stdout, /Hello from 64-bit long mode: 64-bit sums are right/);
  assert.match(stdout, /Back in real mode/);
  assert.deepEqual([code, stderr], [0, ""]);
});

test("into a pipe the demonstration leaves its last page, unless --display none says otherwise", async () => {
  assert.match((await whyve(["demo"])).stdout, /64-bit sums are right/);
  assert.equal((await whyve(["demo", "--display", "none"])).stdout, "");
});

test("both trap styles show the same demonstration", async () => {
  const { code, stdout } = await whyve(["demo", "--dump-screen", "--trap-style", "port", "--timeout", "100"]);
  assert.match(stdout, /64-bit sums are right/);
  assert.equal(code, 0);
});

test("the committed image is what the source assembles to", needsNasm, () => {
  const { status, stderr } = spawnSync(process.execPath, [path.join(ROOT, "demo/build.mjs"), "--check"], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
});
