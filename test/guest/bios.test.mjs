// The BIOS as a guest meets it: through the ROM's own code.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { MemoryBlockBackend } from "../../dist/backends/api/index.js";
import { createSoftEngine } from "../../dist/engine/soft/index.js";
import { createMachine, machineConfig } from "../../dist/node/index.js";
import { floppyWith } from "../support/floppy.mjs";
import { assemble, needsNasm, whyve, workDirectory } from "./support.mjs";

async function run(code, trapStyle) {
  const drives = [
    { kind: "floppy", image: new MemoryBlockBackend("floppy", floppyWith(code)) },
    { kind: "hard-disk", image: new MemoryBlockBackend("disk", new Uint8Array(1 << 20)) },
  ];
  const serial = [{ onInput: undefined, writeByte() {} }];
  const config = machineConfig({ drives, boot: ["fd"], clock: "virtual", memoryBytes: 4 << 20, trapStyle, serial });
  const vm = createMachine(config, createSoftEngine(), {});
  vm.start();
  await vm.ended;
  const bytes = vm.memory.read(0x600, 0x180);
  await vm.dispose();
  return bytes;
}

for (const style of ["vmcall", "port"])
  test(`a hook on INT 13h sees every call, one on INT 40h those for floppies (${style})`, needsNasm, async (t) => {
    const bytes = await run(assemble(t, "bios-disk"), style);
    const calls = (count, at) => Array.from({ length: bytes[count] }, (_, i) => ((bytes[at + 2 * i] << 8) | bytes[at + 2 * i + 1]).toString(16));
    assert.deepEqual([...bytes.subarray(4, 13)], [1, 1, 1, 1, 1, 1, 1, 1, 0x5a]);
    assert.deepEqual(calls(0, 0x10), ["200", "200", "4180", "80", "4b00", "200"]);
    assert.deepEqual(calls(2, 0x80), ["200", "200", "200", "800"]);
  });

test("a copy of the ROM gives the same answers where its traps are plain OUTs, as for an interpreter (port)", needsNasm, async (t) => {
  const bytes = await run(assemble(t, "bios-interpreted"), "port");
  assert.deepEqual([...bytes.subarray(0, 12)], [...Array(11).fill(1), 0x5a]);
});

test("A20: INT 15h/24xx, port 92h and the 8042 close and open one gate, in any order; block moves go past it", needsNasm, async (t) => {
  const bytes = await run(assemble(t, "bios-a20"), "vmcall");
  assert.deepEqual([...bytes.subarray(0, 13)], [...Array(9).fill(3), 1, 1, 1, 0x5a]);
});

test("stubs under a monitor: V86 with remapped pages, protected mode, shadow RAM", { ...needsNasm, timeout: 60_000 }, async (t) => {
  const bytes = await run(assemble(t, "bios-v86"), "vmcall");
  assert.deepEqual([...bytes.subarray(0, 17)], [...Array(16).fill(1), 0x5a]);
});

const missing = ["syslinux", "mformat", "mcopy", "xorriso"].filter((tool) => spawnSync("which", [tool]).status !== 0);
const tools = missing.length === 0 ? {} : { skip: `not installed: ${missing.join(", ")}` };

/** A floppy that SYSLINUX boots, which swaps INT 1Eh's table and hooks INT 1Ch, with a message to show. */
function syslinuxFloppy(dir, kilobytes) {
  const file = path.join(dir, `${kilobytes}.img`);
  fs.writeFileSync(file, new Uint8Array(kilobytes * 1024));
  fs.writeFileSync(path.join(dir, "syslinux.cfg"), "PROMPT 1\nDISPLAY msg.txt\n");
  fs.writeFileSync(path.join(dir, "msg.txt"), `${"one line of many\r\n".repeat(200)}end of the message\r\n`);
  for (const [tool, ...args] of [
    ["mformat", "-i", file, "-f", String(kilobytes), "::"],
    ["mcopy", "-i", file, path.join(dir, "syslinux.cfg"), path.join(dir, "msg.txt"), "::"],
    ["syslinux", "--install", file],
  ]) {
    const made = spawnSync(tool, args, { encoding: "utf8" });
    assert.equal(made.status, 0, made.stderr);
  }
  return file;
}

const show = async (image) => {
  const { code, stderr } = await whyve([
    ...["run", image, "--snapshot-disk", "--display", "none", "--clock", "virtual"],
    ...["--until", "end of the message", "--timeout", "120"],
  ]);
  assert.equal(code, 0, stderr);
};

for (const kilobytes of [720, 2880])
  test(`SYSLINUX boots a floppy of ${kilobytes} KB`, tools, async (t) => show(syslinuxFloppy(workDirectory(t), kilobytes)));

test("SYSLINUX boots a floppy that El Torito emulates", tools, async (t) => {
  const dir = workDirectory(t);
  const root = path.join(dir, "root");
  const disc = path.join(dir, "disc.iso");
  fs.mkdirSync(root);
  fs.copyFileSync(syslinuxFloppy(dir, 1440), path.join(root, "boot.img"));
  const made = spawnSync("xorriso", ["-as", "mkisofs", "-quiet", "-b", "boot.img", "-o", disc, root], { encoding: "utf8" });
  assert.equal(made.status, 0, made.stderr);
  await show(disc);
});
