// Suspend to RAM (ACPI S3): memory stays, processors and most devices start anew at the vector that the guest left in the FACS.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBlockBackend } from "../../dist/backends/api/index.js";
import { boot } from "../support/machine.mjs";
import { assemble, needsNasm } from "./support.mjs";

async function start(t, options) {
  let text = "";
  const waiting = [];
  const debugPort = {
    writeByte(byte) {
      text += String.fromCharCode(byte);
      for (const wake of waiting.splice(0)) wake();
    },
  };
  const backend = new MemoryBlockBackend("suspend", assemble(t, "suspend"));
  const vm = await boot({ images: [{ kind: "floppy", backend }], debugPort, isaDebugExit: 0xf4, ...options });
  t.after(() => vm.dispose());
  /** Resolves once the guest has printed this much. */
  const printed = async (wanted) => {
    while (!text.startsWith(wanted)) await new Promise((resolve) => waiting.push(resolve));
  };
  return { vm, printed, text: () => text };
}

for (const options of [{ clock: "virtual" }, { clock: "host" }, { clock: "virtual", cpus: 2 }, { clock: "virtual", engine: "soft,jit=on" }]) {
  test(`S3 ends by the alarm, the power button and a key (${JSON.stringify(options)})`, needsNasm, async (t) => {
    const { vm, printed, text } = await start(t, options);
    await printed("sas");
    vm.powerButton();
    await printed("sasbs");
    await vm.keys("a");
    assert.deepEqual(await vm.ended, { kind: "debug-exit", exitCode: 1 });
    assert.equal(text(), "sasbsk");
  });
}

test("a sleeping machine is saved and woken elsewhere", needsNasm, async (t) => {
  const { vm, printed } = await start(t, { clock: "virtual" });
  await printed("sas");
  const snapshot = await vm.save();
  const there = await start(t, { restore: snapshot });
  there.vm.powerButton();
  await there.printed("bs");
  assert.equal(there.text(), "bs");
});
