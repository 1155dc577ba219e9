// Boot loaders as Debian 12 packages them, on disks made by the guest set's own script.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { boot } from "../../dist/machine/index.js";
import { debianGuest, needsDebian } from "./support.mjs";

const LONG = { timeoutMs: 180_000 };

async function start(t, name) {
  const [disk] = debianGuest(name);
  const vm = await boot({ disk, snapshot: true, clock: "virtual", memoryBytes: 128 * 2 ** 20 });
  t.after(() => vm.dispose());
  return vm;
}

/** A loader's screen: the disk, then what is awaited (a pattern), typed (a string) or pressed (an array of keys), in order. */
const LOADERS = [
  ["the mbr package's menu", "debmbr-hdd.img", [/^MBR/m, "a", /MBR 1234F:/]],
  [
    "GRUB legacy's command line",
    "grublegacy-floppy.img",
    [
      /GNU GRUB {2}version 0\.97 {2}\(639K lower \/ 129984K upper memory\)/,
      /grub> *$/,
      "geometry (fd0)\n",
      /C\/H\/S = 80\/2\/18, The number of sectors = 2880[\s\S]*grub> *$/,
    ],
  ],
  ["SYSLINUX's prompt", "syslinux-hdd.img", [/SYSLINUX 6\.04 EDD/, /GUEST: syslinux\.cfg read/, /boot: *$/, ["Tab"], /boot:\s+linux\s+boot: *$/]],
  ["ISOLINUX's menu", "isolinux-cd.iso", [/GUEST isolinux menu/, /Automatic boot in/, ["ArrowDown"], ["Tab"], /> hdt\.c32/]],
  ["iPXE without a network", "ipxe-floppy.img", [/iPXE 1\.0\.0\+git/, /No more network devices/]],
  [
    "iPXE's shell",
    "ipxe-floppy.img",
    [
      /Press Ctrl-B for the iPXE command line/,
      ["ctrl-b"],
      /iPXE> *$/,
      "help\n",
      /Available commands:[\s\S]*iPXE> *$/,
      "show version\n",
      /builtin\/version:string = 1\.0\.0\+git/,
    ],
  ],
  ["memtest86+ 64", "memtest-floppy.img", [/boot: *$/, "mt64\n", /Memtest86\+ v6\.10[\s\S]*Status: Testing/]],
  ["memtest86+ 32", "memtest-floppy.img", [/boot: *$/, "mt32\n", /Memtest86\+ v6\.10[\s\S]*Status: Testing/]],
];

for (const [what, name, steps] of LOADERS) {
  test(what, needsDebian(name), async (t) => {
    const vm = await start(t, name);
    for (const step of steps) {
      if (Array.isArray(step)) await vm.keys(...step);
      else if (step instanceof RegExp) await vm.screen.waitFor(step, LONG);
      else await vm.type(step);
    }
  });
}

/** What the guest's ramdisk sums: the first MiB of Debian's static busybox; undefined when the script's package is not beside the disk. */
function busyboxSum(disk) {
  const directory = path.dirname(disk);
  const found = [".cache", ".make/.cache"].map((d) => path.join(directory, d, "busybox-static/bin/busybox")).find((f) => fs.existsSync(f));
  if (found === undefined) return undefined;
  return createHash("sha256")
    .update(fs.readFileSync(found).subarray(0, 1 << 20))
    .digest("hex")
    .slice(0, 16);
}

test(
  "64-bit Linux through GRUB 2: user space, the right sum, no complaints about the firmware, power off",
  needsDebian("grub2-hdd.img"),
  async (t) => {
    const [disk] = debianGuest("grub2-hdd.img");
    const vm = await boot({ disk, snapshot: true, clock: "virtual", engine: "soft,jit=on" });
    t.after(() => vm.dispose());
    await vm.serial.waitFor("GUEST-LINUX: ready", { timeoutMs: 600_000 });
    const log = vm.serial.text();
    const sum = /GUEST-LINUX: sum ([0-9a-f]{16})/.exec(log)?.[1];
    assert.equal(sum, busyboxSum(disk) ?? sum);
    assert.match(log, /clocksource: Switched to clocksource tsc$/m);
    const complaints = /firmware bug|bios (?:error|bug)|acpi (?:error|warning|exception)|tsc.*unstable|apic.*(?:error|weird)|do_IRQ|spurious/i;
    assert.deepEqual(
      log.split("\n").filter((line) => complaints.test(line)),
      [],
    );
    vm.serial.write("poweroff -f\n");
    assert.deepEqual(await vm.ended, { kind: "power-off", by: "ACPI S5" });
  },
);
