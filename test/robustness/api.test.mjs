// The API used wrongly or late: errors with a code, never a promise that nobody settles.
import assert from "node:assert/strict";
import { test } from "node:test";
import { boot } from "../../dist/node/index.js";
import { MemoryBlockBackend } from "../../dist/backends/api/index.js";
import { bootDisk } from "../support/floppy.mjs";

const PRINT_A_AND_IDLE = [0xb8, 0x41, 0x0e, 0xcd, 0x10, 0xfb, 0xf4, 0xeb, 0xfd];

function machine(options = {}) {
  const backend = new MemoryBlockBackend("a.img", bootDisk(PRINT_A_AND_IDLE));
  return boot({ disk: { kind: "floppy", backend }, memoryBytes: 4 << 20, ...options });
}

test("several saves at a time, and one while the machine is being paused, take turns", async () => {
  const vm = await machine();
  await vm.screen.waitFor("A");
  const files = await Promise.all([vm.save(), vm.save(), vm.save()]);
  assert.ok(files.every((f) => f.length > 1000));
  assert.equal(vm.state, "running");
  const pausing = vm.pause();
  assert.ok((await vm.save()).length > 1000);
  await pausing;
  assert.equal(vm.state, "paused");
  await vm.dispose();
});

test("after dispose everything that waits is told, and looking does no harm", async () => {
  const vm = await machine();
  await vm.screen.waitFor("A");
  const pending = [vm.screen.waitFor("never", { timeoutMs: 0 }), vm.type("x".repeat(1000)), vm.save()].map((p) =>
    p.then(
      () => "done",
      (e) => e.code,
    ),
  );
  await vm.dispose();
  await vm.dispose();
  assert.deepEqual((await Promise.all(pending)).slice(0, 2), ["MACHINE_ENDED", "done"]);
  await vm.type("x");
  await vm.keys("F1");
  for (const late of [() => vm.waitFor("x"), () => vm.save()]) await assert.rejects(late, { code: "MACHINE_ENDED" });
  vm.press([["Enter"]]);
  vm.serial.write("x");
  vm.reset();
  vm.powerButton();
  vm.mouse(Number.NaN, 1);
  assert.equal(typeof vm.screen.text(), "string");
  assert.equal(vm.state, "ended");
});

test("a serial backend of the caller's that throws ends the machine with that error", async () => {
  const vm = await machine({
    debugPort: {
      writeByte() {
        throw new Error("the caller's mistake");
      },
    },
    start: false,
  });
  vm.memory.write(0x7c00, Uint8Array.from([0xf4]));
  vm.start();
  await vm.screen.waitFor("A");
  // mov al,1; out E9h,al at the place of the idle loop
  await vm.pause();
  vm.memory.write(0x7c06, Uint8Array.from([0xf4, 0xe6, 0xe9, 0xeb, 0xfc]));
  vm.resume();
  await assert.rejects(vm.ended, /the caller's mistake/);
  await vm.dispose();
});

test("forty machines made and thrown away leave no memory behind", async () => {
  const rss = async (count) => {
    for (let i = 0; i < count; i++) {
      const vm = await machine({ memoryBytes: 64 << 20, clock: "virtual" });
      await vm.screen.waitFor("A");
      await vm.dispose();
    }
    return process.memoryUsage.rss();
  };
  const before = await rss(10);
  assert.ok((await rss(30)) - before < 400 * 2 ** 20);
});

test("boot() says in one line what is wrong with its options", async () => {
  for (const [options, code] of [
    [undefined, "CONFIG_OPTIONS"],
    ["a.img", "CONFIG_OPTIONS"],
    [{ disk: 5 }, "CONFIG_DRIVES"],
    [{ disk: {} }, "CONFIG_DRIVES"],
    [{ images: "a.img" }, "CONFIG_DRIVES"],
    [{ images: [null] }, "CONFIG_DRIVES"],
    [{ disk: "a.img", engine: "fast" }, "CONFIG_ENGINE"],
    [{ disk: "a.img", tripleFault: "crash" }, "CONFIG_TRIPLE_FAULT"],
  ]) {
    await assert.rejects(boot(options), (error) => error.code === code && !error.message.includes("\n"));
  }
});
