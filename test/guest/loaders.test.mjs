// What else people start from a disk: memdisk, SYSLINUX's modules, GRUB's rescue disks, LOADLIN from DOS, GNU Mach. Each was compared with QEMU.
import assert from "node:assert/strict";
import { test } from "node:test";
import { boot } from "../support/machine.mjs";
import { guest, idle, loaderGuest, needsLoader } from "./support.mjs";

const LONG = { timeoutMs: 180_000 };

async function start(t, name, options = {}) {
  const [disk] = loaderGuest(name);
  const vm = await boot({ disk, snapshot: true, clock: "virtual", memoryBytes: 64 * 2 ** 20, ...options });
  t.after(() => vm.dispose());
  return vm;
}

// The floppy is an ISO 9660 image as well, and taken for a CD unless its drive is named.
for (const [name, kind, device] of [
  ["rescue-floppy.img", "floppy", /\(fd0\)/],
  ["rescue-floppy.img", undefined, /\(cd\)/],
  ["rescue-cd.iso", undefined, /\(cd\)/],
]) {
  test(
    `GRUB's rescue disk (${name}${kind === undefined ? "" : ` as a ${kind}`}): menu, then ls on its command line`,
    needsLoader(name),
    async (t) => {
      const [path] = loaderGuest(name);
      const vm = await start(t, name, { disk: kind === undefined ? path : { kind, path } });
      await vm.screen.waitFor(/GNU GRUB {2}version 2\.06[\s\S]*\*GNU\/Linux[\s\S]*Memtest86\+/, LONG);
      await vm.keys("c");
      await vm.screen.waitFor(/grub> *$/, LONG);
      await vm.type("ls\n");
      await vm.screen.waitFor(device, LONG);
    },
  );
}

for (const [label, what] of [
  ["dos", "calling into protected mode"],
  ["dosraw", "in real mode"],
]) {
  test(`memdisk boots FreeDOS from memory, ${what}; both it and the real disk answer`, needsLoader("com32-hdd.img"), async (t) => {
    const vm = await start(t, "com32-hdd.img");
    await vm.screen.waitFor(/boot: *$/, LONG);
    await vm.type(`${label}\n`);
    await vm.screen.waitFor(/A:\\>$/, LONG);
    await vm.type("copy autoexec.bat b.txt\n");
    await vm.screen.waitFor(/autoexec\.bat => b\.txt[\s\S]*A:\\>$/, LONG);
    await vm.type("cls\ndir b.*\n");
    await vm.screen.waitFor(/B +TXT[\s\S]*1 file\(s\)[\s\S]*A:\\>$/, LONG);
    await vm.type("cls\ndir c:*.cfg\n");
    await vm.screen.waitFor(/SYSLINUX CFG[\s\S]*VESA +CFG[\s\S]*A:\\>$/, LONG);
  });
}

test("SYSLINUX's modules: processor, memory, chaining to itself, power off", needsLoader("com32-hdd.img"), async (t) => {
  const vm = await start(t, "com32-hdd.img");
  await vm.screen.waitFor(/boot: *$/, LONG);
  await vm.type("cpuidtest.c32\n");
  await vm.screen.waitFor(/Model += whyve software VT-x processor[\s\S]*boot: *$/, LONG);
  await vm.type("meminfo.c32\n");
  await vm.screen.waitFor(/INT 15 88: 0xfbc0 \(64448K\) {2}INT 15 E801: 0x3c00 \(15360K\) 0x02ff \(49088K\)[\s\S]*boot: *$/, LONG);
  await vm.type("chain.c32 hd0 1\n");
  await vm.screen.waitFor(/Booting\.\.\.[\s\S]*GUEST: com32\nboot: *$/, LONG);
  await vm.type("poweroff.c32\n");
  assert.deepEqual(await vm.ended, { kind: "power-off", by: "APM" });
});

test("vesamenu draws its menu in 800x600", needsLoader("com32-hdd.img"), async (t) => {
  const vm = await start(t, "com32-hdd.img");
  await vm.screen.waitFor(/boot: *$/, LONG);
  await vm.type("vesa\n");
  await idle(vm, 10);
  const frame = vm.screen.frame();
  assert.deepEqual([vm.screen.mode().kind, frame.width, frame.height], ["graphics", 800, 600]);
  // The selected line is reddish, the rest of the background grey.
  const reddish = (row) => {
    let n = 0;
    for (let x = 300; x < 700; x++) if (frame.rgba[(row * 800 + x) * 4] > frame.rgba[(row * 800 + x) * 4 + 2] + 10) n++;
    return n;
  };
  assert.deepEqual([reddish(64) > 350, reddish(200)], [true, 0]);
  vm.resume();
  await vm.keys("Enter");
  await vm.screen.waitFor(/A:\\>$/, LONG);
});

test("GNU Mach finds its disk and clock, and misses its servers", needsLoader("mach-hdd.img"), async (t) => {
  const vm = await start(t, "mach-hdd.img");
  await vm.serial.waitFor("GNU Mach 1.8", LONG);
  await vm.serial.waitFor(/hd0: WHYVE HARDDISK, 8MB[\s\S]*hd0: hd0s1[\s\S]*RTC time is 2026-01-01 00:00:\d\d/, LONG);
  await vm.serial.waitFor("bootstrap_create: No bootstrap code loaded with the kernel!", LONG);
});

test("LOADLIN starts a 32-bit Linux from FreeDOS", needsLoader("loadlin-hdd.img"), async (t) => {
  const [disk] = loaderGuest("loadlin-hdd.img");
  const images = [guest("freedos/freedos-720k.img"), { kind: "hard-disk", path: disk }];
  const vm = await boot({ images, snapshot: true, clock: "virtual", memoryBytes: 128 * 2 ** 20, engine: "soft,jit=on" });
  t.after(() => vm.dispose());
  await vm.screen.waitFor(/A:\\>$/, LONG);
  await vm.type("c:\n");
  await vm.screen.waitFor(/C:\\>$/, LONG);
  await vm.type("loadlin vmlinuz initrd=initrd.gz console=ttyS0,115200\n");
  await vm.serial.waitFor(/GUEST-LOADLIN: Linux i686 console=ttyS0,115200 BOOT_IMAGE=vmlinuz/, LONG);
  assert.deepEqual(await vm.ended, { kind: "power-off", by: "ACPI S5" });
});
