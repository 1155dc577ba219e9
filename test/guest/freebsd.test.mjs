// FreeBSD 10.1's boot chain: MBR, boot0, boot1, boot2, gptboot, cdboot, BTX, loader, and a kernel of our own.
import { spawnSync } from "node:child_process";
import * as path from "node:path";
import { test } from "node:test";
import assert from "node:assert/strict";
import { boot } from "../support/machine.mjs";
import { guest, needs, workDirectory } from "./support.mjs";

const SCRIPT = "freebsd-10.1/make-freebsd-disk.py";
const LONG = { timeoutMs: 180_000 };

/** Makes the disk with the guest set's script and boots it. */
async function start(t, kind, ...flags) {
  const disk = path.join(workDirectory(t), kind === "cd" ? "d.iso" : "d.img");
  const made = spawnSync("python3", [guest(SCRIPT), kind, disk, ...flags], { encoding: "utf8" });
  if (made.status !== 0) {
    t.skip(`cannot make the disk: ${made.error?.message ?? made.stderr.trim().split("\n").at(-1)}`);
    return undefined;
  }
  const vm = await boot({ disk, snapshot: true, clock: "virtual", memoryBytes: 128 * 2 ** 20 });
  t.after(() => vm.dispose());
  return vm;
}

for (const [kind, flags, shown] of [
  ["mbr-ufs", [], /disk0s1a: FreeBSD UFS/],
  ["mbr-ufs", ["--ufs", "1"], /disk0s1a: FreeBSD UFS/],
  ["dedicated", [], /disk0a: FreeBSD UFS/],
  ["gpt-ufs", [], /disk0p2: FreeBSD UFS/],
  ["cd", [], /BIOS CD is cd0/],
]) {
  test(`FreeBSD ${[kind, ...flags].join(" ")} reaches the loader's prompt`, needs(SCRIPT), async (t) => {
    const vm = await start(t, kind, ...flags);
    if (vm === undefined) return;
    await vm.screen.waitFor(/^OK/m, LONG);
    assert.match(vm.screen.text(), shown);
    await vm.type("smap\n");
    await vm.screen.waitFor("SMAP type=01 base=0000000000000000 len=000000000009fc00", LONG);
  });
}

test("the loader's commands tell what the machine has", needs(SCRIPT), async (t) => {
  const vm = await start(t, "mbr-ufs");
  if (vm === undefined) return;
  await vm.screen.waitFor(/^OK/m, LONG);
  assert.match(vm.screen.text(), /BIOS 639kB\/129984kB available memory/);
  await vm.type("lsdev -v\n");
  await vm.screen.waitFor(/disk0s1: FreeBSD +8032KB\n +disk0s1a: FreeBSD UFS +8025KB[\s\S]*^OK *$/m, LONG);
  await vm.type("smap\n");
  await vm.screen.waitFor(/SMAP type=01 base=0000000000100000 len=0000000007ef0000[\s\S]*^OK *$/m, LONG);
  await vm.type("show\n");
  await vm.screen.waitFor(/currdev=disk0s1a:[\s\S]*hint\.acpi\.0\.rsdp=0x000f8010[\s\S]*smbios\.memory\.enabled=131072[\s\S]*--more--/m, LONG);
  await vm.type("q");
  await vm.screen.waitFor(/^OK *$/m, LONG);
});

test("boot0 takes F1", needs(SCRIPT), async (t) => {
  const vm = await start(t, "mbr-ufs", "--boot0");
  if (vm === undefined) return;
  await vm.screen.waitFor(/F1 {2}FreeBSD[\s\S]*Boot: {2}F1/, LONG);
  await vm.keys("F1");
  await vm.screen.waitFor(/^OK/m, LONG);
});

test("boot0 goes on by itself after its time-out", needs(SCRIPT), async (t) => {
  const vm = await start(t, "mbr-ufs", "--boot0");
  await vm?.screen.waitFor(/^OK/m, LONG);
});

for (const bits of ["32", "64"]) {
  test(`the loader starts a ${bits}-bit kernel`, needs(SCRIPT), async (t) => {
    const vm = await start(t, "mbr-ufs", "--kernel", bits);
    await vm?.screen.waitFor(bits === "64" ? "MINIKERNEL64: long mode entered" : "MINIKERNEL32: protected mode entered", LONG);
  });
}

test("boot0sio and the loader speak on COM1", needs(SCRIPT), async (t) => {
  const vm = await start(t, "mbr-ufs", "--boot0sio", "--console", "ser", "--kernel", "64");
  if (vm === undefined) return;
  await vm.serial.waitFor(/1 {2}FreeBSD[\s\S]*Boot: {2}1/, LONG);
  await vm.serial.waitFor("Consoles: serial port", LONG);
  await vm.serial.waitFor("MINIKERNEL64: long mode entered", LONG);
});

test("a dual console shows the same on both", needs(SCRIPT), async (t) => {
  const vm = await start(t, "mbr-ufs", "--console", "dual");
  if (vm === undefined) return;
  await vm.screen.waitFor(/^OK/m, LONG);
  assert.match(vm.serial.text(), /Consoles: internal video\/keyboard {2}serial port/);
});
