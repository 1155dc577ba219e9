// Real disks, tested through what a person sees. Virtual clock: the same on every host, and no waiting.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { boot } from "../support/machine.mjs";
import { until } from "../support/until.mjs";
import { guest, needs, workDirectory } from "./support.mjs";

const start = (disk, options = {}) => boot({ disk, snapshot: true, clock: "virtual", ...options });
const LONG = { timeoutMs: 120_000 };

test("bootOS: prompt, dir", needs("bootsectors/bootos.img"), async () => {
  const vm = await start(guest("bootsectors/bootos.img"));
  await vm.screen.waitFor(/bootOS[\s\S]*\$/, LONG);
  await vm.type("dir\n");
  await vm.screen.waitFor(/\$dir[\s\S]*\$/, LONG);
  await vm.dispose();
});

test("bootBASIC: 6*7 is 42", needs("bootsectors/bootbasic.img"), async () => {
  const vm = await start(guest("bootsectors/bootbasic.img"));
  await vm.screen.waitFor(">", LONG);
  await vm.type("print 6*7\n");
  await vm.screen.waitFor(/^42$/m, LONG);
  await vm.dispose();
});

test("SectorLISP quotes an atom", needs("bootsectors/sectorlisp.bin"), async () => {
  const vm = await start(guest("bootsectors/sectorlisp.bin"));
  await vm.type("(QUOTE A)\n");
  await vm.screen.waitFor(/^A$/m, LONG);
  await vm.dispose();
});

test("bootRogue draws its dungeon", needs("bootsectors/bootrogue.img"), async () => {
  const vm = await start(guest("bootsectors/bootrogue.img"));
  await vm.screen.waitFor(/╔═+╗[\s\S]*1 16$/, LONG);
  await vm.dispose();
});

test("TetrOS draws a well of grey cells in 40 columns", needs("bootsectors/tetros.img"), async () => {
  const vm = await start(guest("bootsectors/tetros.img"));
  await until(() => vm.screen.mode().width === 40 && vm.screen.snapshot().attributes.includes(0x88), "40 columns with grey cells", 60_000);
  assert.equal(vm.screen.snapshot().columns, 40);
  await vm.dispose();
});

test("bootRogue's dungeons differ: their seed is the running PIT", needs("bootsectors/bootrogue.img"), async () => {
  const seen = new Set();
  for (let run = 0; run < 6 && seen.size < 2; run++) {
    const vm = await start(guest("bootsectors/bootrogue.img"), { clock: "host" });
    seen.add((await vm.screen.waitFor(/╔═+╗[\s\S]*1 16$/, LONG)).match[0]);
    await vm.dispose();
  }
  assert.equal(seen.size, 2);
});

for (const [name, free, freeWithCopy] of [
  ["160k", "39,936", "38,912"],
  ["360k", "242,688", "241,664"],
  ["720k", "610,304", "609,280"],
]) {
  test(`FreeDOS ${name}: ver /r, dir, and a copied file is there after a reboot`, needs(`freedos/freedos-${name}.img`), async (t) => {
    const disk = path.join(workDirectory(t), "dos.img");
    fs.copyFileSync(guest(`freedos/freedos-${name}.img`), disk);
    const vm = await boot({ disk, clock: "virtual" });
    await vm.screen.waitFor("A:\\>", LONG);
    await vm.type("ver /r\n");
    await vm.screen.waitFor("FreeDOS kernel version 0.0.40", LONG);
    await vm.type("dir\n");
    await vm.screen.waitFor(`         5 file(s)        112,371 bytes\n         0 dir(s)  ${free.padStart(14)} bytes free`, LONG);
    await vm.type("copy autoexec.bat b.txt\n");
    await vm.screen.waitFor(/autoexec\.bat => b\.txt[\s\S]*A:\\>$/, LONG);
    await vm.dispose();

    const again = await boot({ disk, clock: "virtual" });
    await again.screen.waitFor("A:\\>", LONG);
    await again.type("cls\ntype b.txt\n");
    await again.screen.waitFor(/REM NOTE: If you remove this file from your boot disks[\s\S]*A:\\>$/, LONG);
    await again.type("dir\n");
    await again.screen.waitFor(`         6 file(s)        112,779 bytes\n         0 dir(s)  ${freeWithCopy.padStart(14)} bytes free`, LONG);
    await again.dispose();
  });
}

const MIKEOS = "mikeos/mikeos-4.6.1.flp";
/** How far a file is below the top of MikeOS's list (a saved file moves). */
const row = (vm, file) => {
  const lines = vm.screen.lines().map((line) => line.trim());
  return lines.indexOf(file) - lines.findIndex((line) => /^[A-Z0-9]+\.[A-Z]{3}$/.test(line));
};
const downs = (count) => Array.from({ length: count }, () => "ArrowDown");

test("MikeOS: its command line", needs(MIKEOS), async () => {
  const vm = await start(guest(MIKEOS));
  await vm.screen.waitFor(/Version 4\.6\.1/, LONG);
  await vm.screen.waitFor(/Thanks for trying out MikeOS/, LONG);
  await vm.keys("ArrowRight", "Enter");
  await vm.screen.waitFor(/^> ?$/m, LONG);
  await vm.type("VER\n");
  await vm.screen.waitFor(/MikeOS 4\.6\.1/, LONG);
  await vm.type("SIZE KERNEL.BIN\n");
  await vm.screen.waitFor("Size (in bytes) is: 20249", LONG);
  await vm.dispose();
});

test("MikeOS: the file list, and a text edited, saved and shown after a reboot", needs(MIKEOS), async (t) => {
  const disk = path.join(workDirectory(t), "mike.flp");
  fs.copyFileSync(guest(MIKEOS), disk);
  const vm = await boot({ disk, clock: "virtual" });
  await vm.screen.waitFor(/Thanks for trying out MikeOS/, LONG);
  await vm.keys("Enter");
  await vm.screen.waitFor("EDIT.BIN", LONG);
  await vm.keys("ArrowDown", "Enter");
  await vm.screen.waitFor(/MikeOS Text Editor[\s\S]*ADVNTURE\.BAS/, LONG);
  await vm.keys(...downs(row(vm, "ADVNTURE.BAS")), "Enter");
  await vm.screen.waitFor(/MikeOS Text Editor(?![\s\S]*KERNEL\.BIN)/, LONG);
  await vm.type("rem whyve was here\n");
  await vm.screen.waitFor("rem whyve was here", LONG);
  await vm.keys("F2");
  await vm.screen.waitFor(/saved/i, LONG);
  await vm.dispose();

  const again = await boot({ disk, clock: "virtual" });
  await again.screen.waitFor(/Thanks for trying out MikeOS/, LONG);
  await again.keys("Enter");
  await again.screen.waitFor("EDIT.BIN", LONG);
  await again.keys("ArrowDown", "Enter");
  await again.screen.waitFor(/MikeOS Text Editor[\s\S]*ADVNTURE\.BAS/, LONG);
  await again.keys(...downs(row(again, "ADVNTURE.BAS")), "Enter");
  await again.screen.waitFor("rem whyve was here", LONG);
  await again.dispose();
});

const FLOPPINUX = "floppinux/floppinux-0.2.0.img";
test("Floppinux: a 32-bit Linux, its magazine, and its shell", needs(FLOPPINUX), async (t) => {
  const vm = await start(guest(FLOPPINUX), { memoryBytes: 64 * 2 ** 20 });
  t.after(() => vm.dispose());
  await vm.screen.waitFor(/SYSLINUX 6\.04 CHS/, LONG);
  await vm.screen.waitFor("BOOTING___FLOPPINUX", LONG);
  await vm.screen.waitFor("Linux version 5.13.0-rc2", LONG);
  await vm.screen.waitFor(/READY\n_+PRESS_ENTER/, LONG);
  await vm.keys("Enter");
  await vm.screen.waitFor(/NOMAD_DISKMAG[\s\S]*PRESS_ENTER/, LONG);
  await vm.keys("Enter");
  await vm.screen.waitFor("_______TABLE_OF_CONTENT", LONG);
  await vm.type("0\n");
  await vm.screen.waitFor(/GOOD_BYE![\s\S]*Please press Enter to activate this console\./, LONG);
  await vm.keys("Enter");
  await vm.screen.waitFor(/BusyBox v1\.33\.1[\s\S]*^# ?/m, LONG);
  await vm.type("clear; uname -a; ls /; echo answer $?\n");
  await vm.screen.waitFor(/^Linux .*5\.13\.0-rc2[\s\S]*\bdev\b[\s\S]*\nanswer 0$/m, LONG);
});

test("the same disk and keys give the same run, bit for bit", needs("freedos/freedos-360k.img"), async () => {
  const run = async () => {
    const vm = await start(guest("freedos/freedos-360k.img"), { memoryBytes: 16 * 2 ** 20 });
    await vm.screen.waitFor("A:\\>", LONG);
    await vm.type("dir\n");
    await vm.screen.waitFor(/bytes free[\s\S]*A:\\>/, LONG);
    await vm.pause();
    const { createHash } = await import("node:crypto");
    const memory = createHash("sha256").update(vm.memory.read(0, vm.memory.sizeBytes)).digest("hex");
    const stats = Object.fromEntries(Object.entries(vm.stats()).filter(([name]) => !name.startsWith("engine.")));
    await vm.dispose();
    return { memory, stats };
  };
  assert.deepEqual(await run(), await run());
});

test("two machines in one process do not disturb each other", needs("freedos/freedos-360k.img", "bootsectors/bootbasic.img"), async () => {
  const [dos, basic] = await Promise.all([start(guest("freedos/freedos-360k.img")), start(guest("bootsectors/bootbasic.img"))]);
  await Promise.all([dos.screen.waitFor("A:\\>", LONG), basic.screen.waitFor(">", LONG)]);
  await Promise.all([dos.type("echo one\n"), basic.type("print 2\n")]);
  await Promise.all([dos.screen.waitFor(/^one$/m, LONG), basic.screen.waitFor(/^2$/m, LONG)]);
  await Promise.all([dos.dispose(), basic.dispose()]);
});
