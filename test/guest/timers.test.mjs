// Timers that become due between two slices of the machine.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBlockBackend } from "../../dist/backends/api/index.js";
import { createSoftEngine } from "../../dist/engine/soft/index.js";
import { createMachine, machineConfig } from "../../dist/node/index.js";
import { floppyWith } from "../support/floppy.mjs";
import { assemble, needsNasm } from "./support.mjs";

for (const clock of ["virtual", "host"])
  for (const jit of [false, true])
    test(`local APIC: expired counts stay, passed deadlines interrupt at once (${clock} clock, translator ${jit ? "on" : "off"})`, {
      ...needsNasm,
      timeout: 60_000,
    }, async (t) => {
      const drives = [{ kind: "floppy", image: new MemoryBlockBackend("floppy", floppyWith(assemble(t, "lapic-timer"))) }];
      const config = machineConfig({ drives, boot: ["fd"], clock, memoryBytes: 4 << 20, serial: [{ onInput: undefined, writeByte() {} }] });
      const vm = createMachine(config, createSoftEngine(jit ? { jit: true } : {}), {});
      t.after(() => vm.dispose());
      vm.start();
      await vm.ended;
      const [stays, atOnce, interrupted, mark] = vm.memory.read(0x600, 4);
      assert.deepEqual([stays, atOnce, mark], [1, 1, 0x5a]);
      // On the host clock a machine that lags gives the handler of one tick a stretch of instructions before the next.
      if (clock === "virtual") assert.equal(interrupted, 1);
    });
