// Guests that both back ends must run alike: disks, options of `boot` and what is typed. A step is a pattern to wait for (screen or serial), a string to
// type, an array of keys, `{ run: seconds }` of guest time, `{ mouse: [dx, dy, buttons] }`, or `{ serial: text }`.
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { debianGuest, guest, ROOT } from "../../test/guest/support.mjs";

const MIB = 1 << 20;
const READY = /GUEST-LINUX: ready/;
const boot = (name, memory, steps, options = {}) => ({ disk: () => guest(name), memoryBytes: memory * MIB, steps, ...options });
const debian = (name, memory, steps, options = {}) => ({ disk: () => debianGuest(name)[0], memoryBytes: memory * MIB, steps, ...options });
const dos = (size) =>
  boot(`freedos/freedos-${size}.img`, 16, [
    /A:\\>/,
    "ver /r\n",
    /FreeDOS kernel version/,
    "dir\n",
    /bytes free\n+A:\\>/,
    "copy autoexec.bat b.txt\n",
    /b\.txt[\s\S]*A:\\>$/,
    "cls\ntype b.txt\n",
    /REM NOTE[\s\S]*A:\\>$/,
    { run: 1 },
  ]);

export const GUESTS = {
  "dos-160k": dos("160k"),
  "dos-360k": dos("360k"),
  "dos-720k": dos("720k"),
  mikeos: boot("mikeos/mikeos-4.6.1.flp", 16, [
    /Thanks for trying out MikeOS/,
    ["ArrowRight", "Enter"],
    /^> ?$/m,
    "VER\n",
    /MikeOS 4\.6\.1/,
    "SIZE KERNEL.BIN\n",
    /Size \(in bytes\) is/,
    "EDIT.BIN\n",
    { run: 3 },
  ]),
  bootos: boot("bootsectors/bootos.img", 1, [/\$/, "dir\n", /\$dir[\s\S]*\$/, { run: 1 }]),
  bootbasic: boot("bootsectors/bootbasic.img", 1, [/>/, "10 for\nprint 6*7\n", /^42$/m, { run: 1 }]),
  sectorlisp: boot("bootsectors/sectorlisp.bin", 1, [{ run: 0.1 }, "(QUOTE A)\n", /^A$/m, { run: 1 }]),
  bootrogue: boot("bootsectors/bootrogue.img", 1, [{ run: 1 }, ["ArrowUp", "ArrowLeft"], { run: 3 }]),
  tetros: boot("bootsectors/tetros.img", 1, [{ run: 2 }, ["ArrowLeft", "ArrowLeft", "ArrowUp"], { run: 10 }]),
  "grub2-menu": debian("grub2-hdd.img", 64, [{ run: 2 }, ["e"], { run: 1 }, ["Escape", "c"], { run: 1 }, "ls\n", { run: 1 }]),
  memtest32: debian("memtest-floppy.img", 16, [/boot: *$/, "mt32\n", /Status: Testing/, { run: 10 }]),
  memtest64: debian("memtest-floppy.img", 16, [/boot: *$/, "mt64\n", /Status: Testing/, { run: 10 }]),
  ipxe: debian("ipxe-floppy.img", 64, [/Ctrl-B for the iPXE/, ["ctrl-b"], /iPXE> *$/, "help\n", { run: 1 }]),
  floppinux: boot("floppinux/floppinux-0.2.0.img", 64, [{ run: 20 }, ["Enter"], { run: 60 }, "ls /\n", { run: 3 }]),
  kolibri: boot("kolibrios/kolibri.img", 64, [{ run: 25 }, { mouse: [-6, 6, 0] }, { run: 0.5 }, { mouse: [20, 20, 1] }, { run: 1 }]),
  "linux-i686": debian("grub2-hdd-i386.img", 96, [READY, { serial: "ls -l / | wc\n" }, { run: 0.3 }]),
  "linux-amd64": debian("grub2-hdd.img", 96, [READY, { serial: "ls -l / | wc\n" }, { run: 0.3 }]),
  "linux-smp": debian("grub2-hdd.img", 96, [READY, { serial: "ls -l / | wc\n" }, { run: 0.3 }], { cpus: 2 }),
  "floppinux-amd64": boot("floppinux-amd64/flpnxpcn.img", 96, [{ run: 40 }, "ls /\n", { run: 2 }]),
  smp: {
    disk: () => {
      const file = path.join(ROOT, ".cache/smp.img");
      const source = path.join(ROOT, "test/guest/smp.asm");
      // A snapshot goes on only with a disk that has not changed since.
      if (fs.existsSync(file) && fs.statSync(file).mtimeMs > fs.statSync(source).mtimeMs) return file;
      fs.mkdirSync(path.dirname(file), { recursive: true });
      const part = `${file}.${process.pid}`;
      if (spawnSync("nasm", ["-f", "bin", "-o", part, source]).status !== 0) return undefined;
      fs.truncateSync(part, 1474560);
      fs.renameSync(part, file);
      return file;
    },
    memoryBytes: 16 * MIB,
    cpus: 4,
    steps: [{ run: 1 }],
  },
};
