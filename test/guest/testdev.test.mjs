// Guests that are test suites: isa-debug-exit and pc-testdev, from the command line and the API.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { MemoryBlockBackend } from "../../dist/backends/api/index.js";
import { bootDisk } from "../support/floppy.mjs";
import { boot } from "../support/machine.mjs";
import { assemble, needsNasm, whyve, workDirectory } from "./support.mjs";

// mov al,10h; mov dx,501h; out dx,al; jmp $
const EXIT = [0xb0, 0x10, 0xba, 0x01, 0x05, 0xee, 0xeb, 0xfe];

function image(t, code) {
  const file = path.join(workDirectory(t), "disk.img");
  fs.writeFileSync(file, bootDisk(code));
  return file;
}

test("--isa-debug-exit ends the run with QEMU's exit code, whatever --until waited for", async (t) => {
  const { code, stderr } = await whyve(["run", image(t, EXIT), "--display", "none", "--isa-debug-exit", "0x501", "--until", "never"]);
  assert.deepEqual([code, stderr], [0x21, ""]);
});

test("without it the port is nobody's", async (t) => {
  const { code } = await whyve(["run", image(t, EXIT), "--display", "none", "--clock", "virtual", "--timeout", "1"]);
  assert.equal(code, 3);
});

for (const port of ["70000", "f4", "0xffff", ""]) {
  test(`--isa-debug-exit "${port}" is refused`, async (t) => {
    const { code, stderr } = await whyve(["run", image(t, EXIT), "--isa-debug-exit", port]);
    assert.match(stderr, /use a port such as 0xf4|needs a value/);
    assert.equal(code, 1);
  });
}

test("pc-testdev: latch, memory, interrupt lines", needsNasm, async (t) => {
  const backend = new MemoryBlockBackend("testdev", assemble(t, "testdev"));
  const vm = await boot({ images: [{ kind: "floppy", backend }], clock: "virtual", isaDebugExit: 0xf4, pcTestdev: true });
  t.after(() => vm.dispose());
  assert.deepEqual(await vm.ended, { kind: "debug-exit", exitCode: (3 << 1) | 1 });
});
