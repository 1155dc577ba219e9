// The workflow of docs/examples does what it says: its own steps, with a whyve of this checkout instead of the registry's.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const workflow = fs.readFileSync(path.join(root, "docs/examples/github-actions.yml"), "utf8");

/** The shell script of a step, without the indentation of the YAML around it. */
function step(name) {
  const [, indent, block] = new RegExp(`- name: ${name}\\n( +)run: \\|\\n((?:\\1  .*\\n|\\n)+)`).exec(workflow) ?? [];
  assert.ok(block !== undefined, name);
  return block.replaceAll(new RegExp(`^${indent}  `, "gm"), "");
}

const missing = spawnSync("nasm", ["-v"]).status === 0 ? {} : { skip: "nasm is not installed" };

for (const [what, change, status] of [
  ["passes", (script) => script, 0],
  ["fails when the guest says so", (script) => script.replace("mov al, 10h", "mov al, 11h"), 1],
]) {
  test(`the workflow for GitHub Actions ${what}`, missing, (t) => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-example-"));
    t.after(() => fs.rmSync(directory, { recursive: true }));
    fs.mkdirSync(path.join(directory, "bin"));
    fs.writeFileSync(path.join(directory, "bin/npx"), `#!/bin/sh\nshift\nexec "${process.execPath}" "${root}dist/bin/whyve.cjs" "$@"\n`, {
      mode: 0o755,
    });
    const env = { ...process.env, PATH: `${directory}/bin:${process.env["PATH"] ?? ""}` };
    const run = (script) => spawnSync("bash", ["-e", "-o", "pipefail", "-c", script], { cwd: directory, env, encoding: "utf8" });
    assert.equal(run(change(step("Build"))).status, 0);
    const { status: ended, stdout, stderr } = run(step("Boot"));
    assert.equal(ended, status, stderr);
    assert.match(stdout, /all tests passed/);
  });
}
