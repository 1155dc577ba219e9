// Debian 12 as people install it: GRUB in the MBR, systemd, ext4 on a virtio disk; from power-on to a login, work, and power off.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { boot } from "../support/machine.mjs";
import { long, ROOT, workDirectory } from "./support.mjs";

/** Minutes on the interpreter. */
const LONG = { timeoutMs: 1_500_000 };
const IMAGE = process.env["WHYVE_DEBIAN_ROOT"] ?? path.join(ROOT, ".cache/guests/debian-root.img");
const PROGRAM =
  '#include <stdio.h>\\n#include <math.h>\\nint main(void){double s=0;for(int i=1;i<100000;i++)s+=sqrt(i)/i;printf("result %%.6f\\\\n",s);return 0;}';

function missing() {
  if (!fs.existsSync(IMAGE)) return `guest not here: ${IMAGE} (make it with tools/guests/make-debian-root.sh, or set WHYVE_DEBIAN_ROOT)`;
  return spawnSync("which", ["e2fsck"]).status === 0 ? undefined : "e2fsck is not here";
}

const why = missing();
test(
  "Debian with systemd boots from a virtio disk, works, powers off and leaves a clean file system",
  long(why === undefined ? {} : { skip: why }),
  async (t) => {
    const disk = path.join(workDirectory(t), "disk.img");
    assert.equal(spawnSync("cp", ["--sparse=always", IMAGE, disk]).status, 0);
    const vm = await boot({
      images: [{ kind: "hard-disk", path: disk, bus: "virtio" }],
      memoryBytes: 512 * 2 ** 20,
      clock: "virtual",
      // A faster CPU than the default: systemd's time limits are wall-clock ones.
      nsPerInstruction: 10,
    });
    t.after(() => vm.dispose());
    await vm.serial.waitFor("whyve login: ", LONG);
    vm.serial.write("root\n");
    await vm.serial.waitFor("Password: ", LONG);
    vm.serial.write("whyve\n");
    await vm.serial.waitFor("root@whyve:~# ", LONG);
    const run = async (command, answer) => {
      vm.serial.write(`${command}\n`);
      await vm.serial.waitFor(answer, LONG);
      await vm.serial.waitFor(/READY# $/, LONG);
    };
    vm.serial.write("bind 'set enable-bracketed-paste off'; export TERM=dumb PS1='READY''# '\n");
    await vm.serial.waitFor(/READY# $/, LONG);
    await run("systemctl is-system-running", /^running$/m);
    await run("apt list --installed 2>/dev/null | grep -c installed", /^\d\d\d$/m);
    await run(`printf '${PROGRAM}' > a.c; gcc -O2 a.c -o a -lm && ./a`, /^result 630\.993596$/m);
    await run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource", /^tsc$/m);
    vm.serial.write("poweroff\n");
    assert.deepEqual(await vm.ended, { kind: "power-off", by: "ACPI S5" });
    const fsck = spawnSync("e2fsck", ["-f", "-n", `${disk}?offset=1048576`], { encoding: "utf8" });
    assert.equal(fsck.status, 0, fsck.stdout + fsck.stderr);
  },
);
