// Snapshots: a machine that is restored goes on as the one that was saved, bit for bit under the virtual clock; and `whyve ctl`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { MemoryBlockBackend } from "../../dist/backends/api/index.js";
import { boot } from "../support/machine.mjs";
import { floppyWith } from "../support/floppy.mjs";
import { assemble, CLI, guest, needs, needsNasm, workDirectory } from "./support.mjs";

const FREEDOS = "freedos/freedos-360k.img";
const MIB = 1 << 20;

/** Lets a machine run to an instant of guest time. */
function runTo(vm, ns) {
  return new Promise((resolve) => {
    vm.pc.clock.createTimer("test", () => resolve(vm.pause())).arm(ns);
    if (vm.state === "ready") vm.start();
    else vm.resume();
  });
}

/** Everything that tells two machines apart: memory, registers, counts, time. */
function fingerprint(vm) {
  const hash = createHash("sha1");
  for (const region of ["ram", "vram", "rom", "video-rom"]) hash.update(vm.pc.vm.region(region).bytes);
  const cpus = vm.pc.vcpus.map((cpu) => {
    const { instructions, rip, gpr, rflags, halted } = cpu.saveState();
    return { instructions, rip, gpr, rflags, halted };
  });
  return { memory: hash.digest("hex"), cpus, now: vm.timeNs, screen: vm.screen.text(), serial: vm.serial.text() };
}

test("a restored FreeDOS goes on exactly as the saved one, and as one that was never saved", needs(FREEDOS), async () => {
  const options = { disk: guest(FREEDOS), snapshot: true, clock: "virtual", memoryBytes: 16 * MIB, start: false };
  const saved = await boot(options);
  const straight = await boot(options);
  // POST, the boot sector, the kernel, the prompt.
  for (const ns of [1e6, 2e8, 6e8, 5e9]) {
    await runTo(saved, ns);
    await runTo(straight, ns);
    const copy = await boot({ restore: await saved.save(), start: false });
    assert.deepEqual({ ...fingerprint(copy), serial: "" }, { ...fingerprint(saved), serial: "" });
    await runTo(saved, ns + 1e8);
    await runTo(straight, ns + 1e8);
    await runTo(copy, ns + 1e8);
    assert.deepEqual({ ...fingerprint(copy), serial: "" }, { ...fingerprint(saved), serial: "" }, `after ${ns} ns`);
    assert.deepEqual(fingerprint(straight), fingerprint(saved), `never saved, after ${ns} ns`);
    await copy.dispose();
  }
  await saved.dispose();
  await straight.dispose();
});

test("keys that are not typed yet and writes to an overlay are in the snapshot", needs(FREEDOS), async () => {
  const vm = await boot({ disk: guest(FREEDOS), snapshot: true, clock: "virtual", memoryBytes: 16 * MIB });
  await vm.screen.waitFor("A:\\>");
  await vm.type("echo saved words> note.txt\n");
  await vm.screen.waitFor(/note\.txt\n+A:\\>/);
  void vm.type("type note.txt\n");
  const bytes = await vm.save();
  await vm.dispose();
  const copy = await boot({ restore: bytes });
  await copy.screen.waitFor(/^saved words/m);
  await copy.dispose();
});

test("a restored PC with four processors goes on exactly as the saved one", needsNasm, async (t) => {
  const floppy = floppyWith(assemble(t, "smp"));
  const image = () => ({ kind: "floppy", backend: new MemoryBlockBackend("smp", floppy.slice()) });
  const vm = await boot({ disk: image(), clock: "virtual", cpus: 4, memoryBytes: 16 * MIB, start: false });
  let compared = 0;
  for (let ns = 1e5; vm.state !== "ended"; ns += 7e4) {
    await Promise.race([runTo(vm, ns), vm.ended]);
    if (vm.state === "ended") break;
    const copy = await boot({ restore: await vm.save(), disk: image(), start: false });
    const until = ns + 5e4;
    await Promise.race([runTo(vm, until), vm.ended]);
    await Promise.race([runTo(copy, until), copy.ended]);
    assert.deepEqual({ ...fingerprint(copy), serial: "" }, { ...fingerprint(vm), serial: "" }, `after ${ns} ns`);
    compared++;
    await copy.dispose();
  }
  assert.ok(compared > 5, `${compared} comparisons`);
  await vm.dispose();
});

test("a snapshot is refused with a clear line: changed disk, other size, damage, other version", needs(FREEDOS), async (t) => {
  const directory = workDirectory(t);
  const disk = path.join(directory, "disk.img");
  fs.copyFileSync(guest(FREEDOS), disk);
  fs.chmodSync(disk, 0o644);
  const vm = await boot({ disk, clock: "virtual", memoryBytes: 16 * MIB, start: false });
  await runTo(vm, 1e8);
  const bytes = await vm.save();
  await assert.rejects(boot({ restore: bytes }), { code: "IMAGE_LOCKED" });
  await vm.dispose();
  await (await boot({ restore: bytes, start: false })).dispose();

  const rejects = (what, code, pattern) =>
    assert.rejects(boot({ start: false, ...what }), (error) => {
      assert.equal(error.code, code);
      assert.match(error.message, pattern);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  const flipped = bytes.slice();
  flipped[Math.floor(bytes.length / 2)] ^= 0x40;
  await rejects({ restore: flipped }, "SNAPSHOT_FORMAT", /damaged or cut off/);
  await rejects({ restore: bytes.slice(0, bytes.length - 100) }, "SNAPSHOT_FORMAT", /damaged or cut off/);
  await rejects({ restore: bytes.slice(0, 20) }, "SNAPSHOT_FORMAT", /is not a snapshot/);
  const later = bytes.slice();
  later[16] = 9;
  await rejects({ restore: later }, "SNAPSHOT_VERSION", /format 9, this one reads 2/);
  await rejects({ restore: path.join(directory, "none.snap") }, "SNAPSHOT_FILE", /no such file/);
  await rejects({ restore: bytes, images: [guest(FREEDOS), guest(FREEDOS)] }, "SNAPSHOT_DISK", /has changed since/);
  const fd = fs.openSync(disk, "r+");
  fs.writeSync(fd, Buffer.from([1]), 0, 1, 300_000);
  fs.closeSync(fd);
  await rejects({ restore: bytes }, "SNAPSHOT_DISK", /disk\.img: has changed since the snapshot was saved/);
  fs.truncateSync(disk, 163_840);
  await rejects({ restore: bytes }, "SNAPSHOT_DISK", /has 163840 bytes, but/);
  assert.deepEqual(fs.readdirSync(directory), ["disk.img"]);
});

/** Runs `whyve` in a home of its own. */
function inHome(home, args) {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { ...process.env, HOME: home, XDG_RUNTIME_DIR: "" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (d) => (text += d));
  const ended = new Promise((resolve) => child.on("close", (code) => resolve({ code, text })));
  return { child, ended };
}

test("whyve ctl lists, controls and saves a machine; whyve run --restore goes on with it", needs(FREEDOS), async (t) => {
  const home = workDirectory(t);
  const disk = path.join(home, "disk.img");
  fs.copyFileSync(guest(FREEDOS), disk);
  fs.chmodSync(disk, 0o644);
  const machine = inHome(home, ["run", disk, "--display", "none", "--name", "dos", "--timeout", "100"]);
  t.after(() => machine.child.kill("SIGKILL"));
  const ctl = (...args) => inHome(home, ["ctl", ...args]).ended;
  const until = async (args, pattern) => {
    for (let i = 0; i < 200; i++) {
      const { text } = await ctl(...args);
      if (pattern.test(text)) return;
    }
    assert.fail(`${args.join(" ")} never said ${pattern}`);
  };
  await until(["dos", "screen"], /A:\\>/);
  assert.match((await ctl()).text, /^dos +running/m);
  assert.equal((await ctl("dos", "pause")).code, 0);
  assert.match((await ctl("dos", "status")).text, /state +paused/);
  assert.equal((await ctl("dos", "resume")).code, 0);
  assert.equal((await ctl("dos", "type", "echo kept{Enter}")).code, 0);
  await until(["dos", "screen"], /^kept/m);
  assert.match(
    (await inHome(home, ["run", disk, "--read-only", "--display", "none", "--name", "dos"]).ended).text,
    /of that name is running already/,
  );
  assert.match((await ctl("dos", "save", path.join(home, "no/such/place"))).text, /cannot be written \(no such directory\)/);
  const snapshot = path.join(home, "dos.snap");
  assert.deepEqual(await ctl("dos", "save", snapshot, "--stop"), { code: 0, text: "" });
  assert.equal((await machine.ended).code, 0);
  assert.match((await ctl("dos", "status")).text, /there is no machine "dos"/);
  const again = await inHome(home, [
    "run",
    "--restore",
    snapshot,
    "--display",
    "none",
    "--type",
    "=>echo and on\\n",
    "--until",
    "^and on",
    "--timeout",
    "60",
    "--dump-screen",
  ]).ended;
  assert.equal(again.code, 0, again.text);
  assert.match(again.text, /^kept[\s\S]*^and on/m);
  assert.match((await inHome(home, ["run", "--restore", snapshot, "--mem", "64M"]).ended).text, /--mem cannot be changed by --restore/);
});
