// Shell completion: what a shell would offer behind a few words.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { whyve, workDirectory } from "./support.mjs";
import * as fs from "node:fs";
import * as path from "node:path";

const has = (shell) => (spawnSync(shell, ["-c", "true"]).status === 0 ? {} : { skip: `${shell} is not installed` });

async function script(t, shell) {
  const { code, stdout, stderr } = await whyve(["completion", shell]);
  assert.deepEqual([code, stderr], [0, ""]);
  const file = path.join(workDirectory(t), `whyve.${shell}`);
  fs.writeFileSync(file, stdout);
  return file;
}

test("bash completes commands, options and values", has("bash"), async (t) => {
  const file = await script(t, "bash");
  for (const [words, wanted] of [
    [["whyve", "r"], "run"],
    [["whyve", "run", "--snap"], "--snapshot-disk"],
    [["whyve", "run", "--clock", ""], "host virtual"],
    [["whyve", "image", "c"], "create convert check"],
    [["whyve", "image", "convert", "--comp"], "--compress"],
    [["whyve", "ctl", "vm", "sc"], "screen screenshot"],
    [["whyve", "ctl", "vm", "save", "--"], "--stop --force"],
    [["whyve", "completion", ""], "bash zsh fish"],
  ]) {
    const line = words.map((word) => `'${word}'`).join(" ");
    const { stdout, stderr } = spawnSync(
      "bash",
      ["-c", `source '${file}'; COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _whyve; echo "\${COMPREPLY[*]}"`],
      { encoding: "utf8" },
    );
    assert.deepEqual([words, stdout.trim(), stderr], [words, wanted, ""]);
  }
});

for (const shell of ["zsh", "fish"]) {
  test(`${shell} takes its script`, has(shell), async (t) => {
    const { status, stderr } = spawnSync(shell, ["-n", await script(t, shell)], { encoding: "utf8" });
    assert.deepEqual([status, stderr], [0, ""]);
  });
}

test("another shell is refused by name", async () => {
  const { code, stderr } = await whyve(["completion", "tcsh"]);
  assert.equal(code, 1);
  assert.match(stderr, /tcsh: use whyve completion bash, zsh or fish/);
});
