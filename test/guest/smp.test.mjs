// Several processors in one PC: a guest that starts them all, has them share memory and sends them interrupts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBlockBackend } from "../../dist/backends/api/index.js";
import { createSoftEngine } from "../../dist/engine/soft/index.js";
import { createMachine, machineConfig } from "../../dist/node/index.js";
import { floppyWith } from "../support/floppy.mjs";
import { assemble, needsNasm } from "./support.mjs";

const ENGINES = { interpreter: createSoftEngine(), translator: createSoftEngine({ jit: true }) };
const hex = (n) => n.toString(16).toUpperCase().padStart(8, "0");

const image = (t) => floppyWith(assemble(t, "smp"));

async function run(floppy, cpus, clock, engine) {
  const drives = [{ kind: "floppy", image: new MemoryBlockBackend("smp", floppy.slice()) }];
  const serial = [{ onInput: undefined, writeByte() {} }];
  const vm = createMachine(machineConfig({ drives, cpus, clock, memoryBytes: 16 << 20, serial }), engine, {});
  vm.start();
  const end = await vm.ended;
  const result = {
    end,
    text: vm.serial.text(),
    timeNs: vm.timeNs,
    registers: Array.from({ length: cpus }, (_, i) => vm.registers(i)),
    stats: vm.stats(),
  };
  await vm.dispose();
  return result;
}

for (const [name, engine] of Object.entries(ENGINES)) {
  for (const cpus of [1, 2, 3, 4, 16]) {
    test(`${cpus} processors count together and answer interrupts [${name}]`, needsNasm, async (t) => {
      const floppy = image(t);
      const got = await run(floppy, cpus, "virtual", engine);
      const expected = `cpus=${hex(cpus)} sum=${hex(500 * cpus)} locked=${hex(500 * cpus)} ipis=${hex(20 * (cpus - 1))}`;
      assert.deepEqual([got.text, got.end], [expected, { kind: "power-off", by: "port 8900h" }]);
      if (cpus > 1) assert.equal(got.stats["cpu1.exit.sipi"], 1);
      if (cpus > 4) return;
      const again = await run(floppy, cpus, "virtual", engine);
      for (const counts of [got, again]) for (const key of Object.keys(counts.stats)) if (/regionCompileMs/.test(key)) delete counts.stats[key];
      assert.deepEqual(again, got, "a second run is the same run");
    });
  }
}
test("four processors on the host's clock", needsNasm, async (t) => {
  const got = await run(image(t), 4, "host", ENGINES.interpreter);
  assert.equal(got.text, `cpus=${hex(4)} sum=${hex(2000)} locked=${hex(2000)} ipis=${hex(60)}`);
});
