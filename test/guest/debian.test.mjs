// Boot loaders as Debian 12 packages them, on disks made by the guest set's own script.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { boot } from "../support/machine.mjs";
import { debianGuest, idle, long, needsDebian } from "./support.mjs";

const LONG = { timeoutMs: 180_000 };

async function start(t, name) {
  const [disk] = debianGuest(name);
  const vm = await boot({ disk, snapshot: true, clock: "virtual", memoryBytes: 128 * 2 ** 20 });
  t.after(() => vm.dispose());
  return vm;
}

const ups = (count) => Array.from({ length: count }, () => "ArrowUp");
const downs = (count) => Array.from({ length: count }, () => "ArrowDown");
/** Hardware Detection Tool with no submenu open. */
const HDT_MENU = /Main Menu ──────┐\n[\s\S]*ACPI +>│\n/;

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
  [
    "hdt from the menu: processor, memory, VESA, summary",
    "isolinux-cd.iso",
    [
      /GUEST isolinux menu/,
      ["ArrowDown", "Enter"],
      /Main Menu[\s\S]*Memory +>[\s\S]*Exit/,
      ["ArrowDown", "Enter"],
      /128 MB detected[\s\S]*Bank 0[\s\S]*e820[\s\S]*e801/,
      ["Escape"],
      HDT_MENU,
      ["ArrowDown", "Enter"],
      /Processors \(1 logical[\s\S]*Model +: whyve software VT-x processor[\s\S]*x86_64 +: Yes/,
      ["Escape"],
      HDT_MENU,
      [...downs(5), "Enter"],
      /─ VESA ─[\s\S]*VESA Bios[\s\S]*Modes \(\d+\)/,
      ["ArrowDown", "Enter"],
      /VESA Modes[\s\S]* 640 x {2}480 x {2}8bits vga=769[\s\S]* 1024 x {2}768 x 15bits vga=790/,
      ["Escape"],
      /Modes \(\d+\) +>│\n/,
      ["Escape"],
      HDT_MENU,
      ["End", ...ups(4), "Enter"],
      /Summary \(1 CPU\)[\s\S]*CPU Model +: whyve software VT-x processor[\s\S]*Memory Size +: 128 MiB/,
      ["Escape"],
      HDT_MENU,
      ["End", ...ups(3), "Enter"],
      /^hdt> *$/m,
      "show memory\n",
      /Memory Size +: 128 MB[\s\S]*^hdt> *$/m,
    ],
  ],
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
  [
    "GRUB 2's command line: ls and cat",
    "grub2-hdd.img",
    [
      /GNU GRUB {2}version 2\.06[\s\S]*\*Linux amd64, serial and VGA/,
      "c",
      /grub> *$/,
      "ls\n",
      /\(hd0\) \(hd0,msdos1\)[\s\S]*grub> *$/,
      "ls -l (hd0,msdos1)/boot/\n",
      /\d{6} +\d{14} initrd\.gz\n[\s\S]*\d{7} +\d{14} vmlinuz[\s\S]*grub> *$/,
      "cat (hd0,msdos1)/boot/grub/grub.cfg\n",
      /menuentry "Linux amd64, VGA only" \{ linux \/boot\/vmlinuz\n initrd \/boot\/initrd\.gz[\s\S]*grub> *$/,
      "lsmmap\n",
      /base_addr = 0x100000, length = 0x7ef0000[\s\S]*grub> *$/,
      ["Escape"],
      /\*Linux amd64, serial and VGA/,
    ],
  ],
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

// A reader of AML much older and simpler than ACPICA: it must be able to step over every object before \\_S5.
test("GRUB 2's halt finds sleep state S5 by its own walk over the AML", needsDebian("grub2-hdd.img"), async (t) => {
  const vm = await start(t, "grub2-hdd.img");
  await vm.screen.waitFor(/GNU GRUB/, LONG);
  await vm.type("c");
  await vm.screen.waitFor(/grub> *$/, LONG);
  await vm.type("halt\n");
  assert.equal((await vm.ended).kind, "power-off");
});

for (const [bits, name] of [
  ["64", "mt64"],
  ["32", "mt32"],
]) {
  const start = async (t) => {
    const [disk] = debianGuest("memtest-floppy.img");
    const vm = await boot({ disk, snapshot: true, clock: "virtual", memoryBytes: 16 * 2 ** 20, engine: "soft,jit=on" });
    t.after(() => vm.dispose());
    await vm.screen.waitFor(/boot: *$/, LONG);
    await vm.type(`${name}\n`);
    await vm.screen.waitFor(/Memtest86\+ v6\.10[\s\S]*Status: Testing/, LONG);
    return vm;
  };
  test(`memtest86+ ${bits} tests`, needsDebian("memtest-floppy.img"), async (t) => {
    const vm = await start(t);
    await vm.screen.waitFor(/Pass {2}[1-9]%[\s\S]*Errors: 0/, LONG);
  });
  test(`memtest86+ ${bits}: one pass over 16 MB without an error`, long(needsDebian("memtest-floppy.img")), async (t) => {
    const vm = await start(t);
    await vm.screen.waitFor(/Pass: {2}1 +Errors: 0/, { timeoutMs: 900_000 });
  });
}

test("grub-invaders: the ship moves and shoots", needsDebian("multiboot-hdd.img"), async (t) => {
  const vm = await start(t, "multiboot-hdd.img");
  await vm.screen.waitFor(/GNU GRUB[\s\S]*\*grub-invaders/, LONG);
  await vm.keys("Enter");
  await vm.screen.waitFor(/-\*-[\s\S]*\/ \\$/, LONG);
  await vm.keys("Enter");
  const ship = () => vm.screen.lines().at(-1).indexOf("/");
  await idle(vm, 1);
  const before = ship();
  assert.ok(before > 30 && before < 50, "the ship starts in the middle");
  vm.key("ArrowLeft", true);
  await idle(vm, 2);
  vm.key("ArrowLeft", false);
  assert.ok(ship() < before - 3, "left");
  vm.resume();
  await vm.keys("Space");
  await vm.screen.waitFor(/^ *\|$/m, LONG);
});

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
  "64-bit Linux through GRUB 2 with an edited entry: user space, the right sum, no complaints about the firmware, power off",
  needsDebian("grub2-hdd.img"),
  async (t) => {
    const [disk] = debianGuest("grub2-hdd.img");
    const vm = await boot({ disk, snapshot: true, clock: "virtual", engine: "soft,jit=on" });
    t.after(() => vm.dispose());
    // As people do who need one more word on the kernel's line, this once.
    await vm.screen.waitFor(/GNU GRUB[\s\S]*\*Linux amd64, serial and VGA/, LONG);
    await vm.keys("e");
    await vm.screen.waitFor(/setparams 'Linux amd64, serial and VGA'[\s\S]*Ctrl-x or F10 to boot/, LONG);
    await vm.keys("ArrowDown", "End");
    await vm.type(" whyve.edited=1");
    await vm.screen.waitFor("linux /boot/vmlinuz console=tty0 console=ttyS0,115200 whyve.edited=1", LONG);
    await vm.keys("ctrl-x");
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
    vm.serial.write("cat /proc/cmdline\n");
    await vm.serial.waitFor(/^BOOT_IMAGE=\/boot\/vmlinuz console=tty0 console=ttyS0,115200 whyve\.edited=1\r?$/m, LONG);
    vm.serial.write("poweroff -f\n");
    assert.deepEqual(await vm.ended, { kind: "power-off", by: "ACPI S5" });
  },
);
