// The API used wrongly or late: errors with a code, never a promise that nobody settles.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { boot, saveEvidence } from "../../dist/node/index.js";
import { MemoryBlockBackend } from "../../dist/backends/api/index.js";
import { bootDisk } from "../support/floppy.mjs";

const PRINT_A_AND_IDLE = [0xb8, 0x41, 0x0e, 0xcd, 0x10, 0xfb, 0xf4, 0xeb, 0xfd];

function machine(options = {}) {
  const backend = new MemoryBlockBackend("a.img", bootDisk(PRINT_A_AND_IDLE));
  return boot({ disk: { kind: "floppy", backend }, memoryBytes: 4 << 20, waitTimeoutMs: 60_000, ...options });
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
  for (const late of [
    () => vm.waitFor("x"),
    () => vm.save(),
    () => vm.type("x"),
    () => vm.keys("F1"),
    () => vm.pause(),
    () => vm.screenshot(),
    () => vm.evidence(),
    () => vm.changeMedium("floppy", 0, undefined),
  ])
    await assert.rejects(late(), { code: "MACHINE_ENDED" });
  for (const late of [
    () => vm.press([["Enter"]]),
    () => vm.key("Enter", true),
    () => vm.serial.write("x"),
    () => vm.start(),
    () => vm.resume(),
    () => vm.reset(),
    () => vm.powerButton(),
    () => vm.mouse(1, 1),
    () => vm.registers(),
    () => vm.memory.read(0, 4),
    () => vm.memory.write(0, new Uint8Array(4)),
  ])
    assert.throws(late, { code: "MACHINE_ENDED", message: /the machine was disposed of/ });
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

test("arguments that the types would not allow are refused in words", async () => {
  const vm = await machine({ start: false });
  for (const [call, message] of [
    [() => vm.memory.read(-1, 4), /^memory\.read\(\): gpa is -1; use a physical address/],
    [() => vm.memory.read(0, -4), /length is -4/],
    [() => vm.memory.write(2 ** 40, new Uint8Array(4)), /^memory\.write\(\): gpa is 1099511627776; use/],
    [() => vm.memory.write(0, [1, 2]), /bytes is an array; use a Uint8Array/],
    [() => vm.mouse("a"), /^mouse\(\): dx is "a"; use a number/],
    [() => vm.mouse(Number.NaN, 1), /dx is NaN/],
    [() => vm.mouse(1, 1, 8), /buttons is 8/],
    [() => vm.key("Any", true), /name is "Any"/],
    [() => vm.serial.write(5), /data is 5; use a string or a Uint8Array/],
    [() => vm.registers(99), /cpu is 99/],
    [() => vm.registers(3), /there is no CPU 3/],
    [() => vm.translate(5), /linear is 5; use a bigint/],
    [() => new MemoryBlockBackend("a", new Uint8Array(512), { readonly: true }), /no option "readonly" \(did you mean readOnly\?\)/],
    [() => new MemoryBlockBackend("a", [1]), /^MemoryBlockBackend\(\): bytes is an array/],
  ])
    assert.throws(call, (error) => typeof error.code === "string" && message.test(error.message) && !error.message.includes("\n"), String(call));
  for (const [call, message] of [
    [() => vm.type(5), /^type\(\): text is 5; use a string/],
    [() => vm.type("{nope}"), /no key is called "nope"/],
    [() => vm.type("x", { litral: true }), /no option "litral" \(did you mean literal\?\)/],
    [() => vm.keys(5), /name 1 is 5/],
    [() => vm.waitFor(5), /pattern is 5; use a string or a RegExp/],
    [() => vm.screen.waitFor("x", { timeout: 5 }), /no option "timeout" \(did you mean timeoutMs\?\)/],
    [() => vm.serial.waitFor("x", { timeoutMs: -1 }), /timeoutMs is -1; use milliseconds/],
    [() => vm.waitFor("x", 5), /takes an object such as \{ timeoutMs: 60000 \}, not 5/],
    [() => vm.changeMedium("floppy", 7, undefined), /unit is 7/],
    [() => vm.changeMedium("floppy", 1, undefined), /^changeMedium\(\): there is no floppy drive 1; there is floppy 0/],
    [() => vm.changeMedium("cdrom", 0, "a.iso"), /there is no cdrom drive 0/],
    [() => vm.changeMedium("tape", 0, undefined), /kind is "tape"; use "floppy" or "cdrom"/],
    [() => vm.changeMedium("floppy", 0, "/no/such.img"), /such\.img: no such file/],
  ])
    await assert.rejects(call(), (error) => typeof error.code === "string" && message.test(error.message), String(call));
  await vm.dispose();
});

test("a floppy is changed by its file's name, and what a machine looks like is written in one call", async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-api-"));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  // Waits for a key; then prints the first byte of sector 2 with int 13h, int 10h.
  const READER = [
    0xb4, 0x00, 0xcd, 0x16, 0xb8, 0x01, 0x02, 0xb9, 0x02, 0x00, 0x31, 0xd2, 0xbb, 0x00, 0x7e, 0xcd, 0x13, 0x72, 0xf1, 0xa0, 0x00, 0x7e, 0xb4, 0x0e,
    0xcd, 0x10, 0xeb, 0xe4,
  ];
  const floppy = (name, letter) => {
    const disk = bootDisk(READER);
    disk[512] = letter.charCodeAt(0);
    fs.writeFileSync(path.join(dir, name), disk);
    return path.join(dir, name);
  };
  const vm = await boot({ disk: floppy("p.img", "P"), clock: "virtual", memoryBytes: 4 << 20, keepBiosCalls: 5, waitTimeoutMs: 60_000 });
  t.after(() => vm.dispose());
  await vm.type("x");
  await vm.screen.waitFor("P");
  await vm.changeMedium("floppy", 0, floppy("q.img", "Q"));
  assert.ok(!fs.existsSync(path.join(dir, "p.img.lock")) && fs.existsSync(path.join(dir, "q.img.lock")));
  await vm.type("x");
  await vm.screen.waitFor("Q");
  await assert.rejects(vm.screen.waitFor("never", { timeoutMs: 20 }), (error) => {
    assert.match(error.message, /--- screen ---\n[^]*PQ/);
    assert.match(error.stack, /api\.test\.mjs/);
    return error.code === "WAIT_TIMEOUT";
  });
  const files = await saveEvidence(vm, path.join(dir, "artefacts"), "reads: a floppy");
  assert.deepEqual(
    files.map((f) => path.basename(f)),
    ["reads-a-floppy.png", "reads-a-floppy.txt"],
  );
  const text = fs.readFileSync(files[1], "utf8");
  assert.match(text, /PQ/);
  assert.match(text, /--- last BIOS calls ---\n(?:.*\n){5}$/);
  assert.match(text, /10h\/0Eh teletype char='Q'/);
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
    [{ dsk: "a.img" }, "CONFIG_OPTIONS"],
    [{ disk: "a.img", net: "user" }, "CONFIG_NET"],
    [{ disk: "a.img", shares: "x" }, "CONFIG_SHARES"],
    [{ kernel: "vmlinuz" }, "CONFIG_OPTIONS"],
  ]) {
    await assert.rejects(boot(options), (error) => error.code === code && !error.message.includes("\n"));
  }
});
