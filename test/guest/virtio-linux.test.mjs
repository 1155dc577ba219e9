// Linux's own drivers of every virtio device, modern and of virtio 0.9, with a save and a restore in the middle.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { boot } from "../support/machine.mjs";
import { ROOT } from "./support.mjs";

const LONG = { timeoutMs: 900_000 };
const FILES = path.join(ROOT, ".cache/guests/virtio");

/** Why this cannot run here, or undefined. The kernel and its ramdisk are made once. */
function missing() {
  const tools = ["apt-get", "dpkg-deb", "cpio", "mke2fs", "e2fsck"].filter((tool) => spawnSync("which", [tool]).status !== 0);
  if (tools.length > 0) return `cannot be made without ${tools.join(", ")}`;
  if (fs.existsSync(path.join(FILES, "initrd.gz"))) return undefined;
  const made = spawnSync("bash", [path.join(ROOT, "tools/guests/make-virtio-initrd.sh"), FILES], { encoding: "utf8", timeout: 300_000 });
  return made.status === 0 ? undefined : `Debian packages cannot be had: ${made.stderr.trim().split("\n").at(-1)}`;
}

const sum = (...pieces) => {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex").slice(0, 16);
};

const why = missing();
for (const mode of ["modern", "legacy"]) {
  test(`Linux drives every ${mode} virtio device`, why === undefined ? {} : { skip: why }, async (t) => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-virtio-"));
    t.after(() => fs.rmSync(dir, { recursive: true }));
    const vda = Uint8Array.from({ length: 4 << 20 }, (_, i) => i * 31 + (i >> 8) * 7 + (i >> 16));
    const [first, second, share] = ["vda", "vdb", "share"].map((name) => path.join(dir, name));
    fs.writeFileSync(first, vda);
    fs.writeFileSync(second, "");
    fs.truncateSync(second, 64 << 20);
    assert.equal(spawnSync("mke2fs", ["-q", "-F", "-t", "ext4", second]).status, 0);
    fs.mkdirSync(share);
    fs.writeFileSync(path.join(share, "hello"), "from the host");
    fs.writeFileSync(path.join(dir, "secret"), "secret");
    fs.symlinkSync("../secret", path.join(share, "escape"));
    const options = {
      images: [first, second].map((file) => ({ kind: "hard-disk", path: file, bus: "virtio" })),
      shares: [{ tag: "share", path: share }],
      engine: "soft,jit=on",
      clock: "virtual",
    };
    const vm = await boot({
      ...options,
      kernel: {
        kernel: path.join(FILES, "vmlinuz"),
        initrd: [path.join(FILES, "initrd.gz")],
        append: `console=ttyS0 quiet${mode === "legacy" ? " vt.legacy" : ""}`,
      },
      consoles: [undefined],
      rng: true,
      memoryBytes: 256 * 2 ** 20,
    });
    let snapshot;
    try {
      await vm.serial.waitFor(`VT: vda ${sum(vda)}`, LONG);
      const parts = ["0", "1", ...Array.from({ length: 10 }, (_, i) => `1${i}`), "2", "3", "4", "5", "6", "7", "8", "9"];
      const pieces = parts.map((n) => vda.subarray(Number(n) * 4096, Number(n) * 4096 + 64 * 4096));
      await vm.serial.waitFor(`VT: ext4 ${sum(...pieces)}`, LONG);
      await vm.pause();
      snapshot = await vm.save();
    } finally {
      await vm.dispose();
    }
    const again = await boot({ ...options, restore: snapshot });
    t.after(() => again.dispose());
    await again.serial.waitFor(/VT: rng virtio_rng\.\d 64 bytes/, LONG);
    await again.consolePorts[0].waitFor("VT: hello on hvc0", LONG);
    await again.serial.waitFor("VT: 9p from the host", LONG);
    await again.serial.waitFor(`VT: big ${sum(vda)}`, LONG);
    await again.serial.waitFor("VT: names one 2 one", LONG);
    await again.serial.waitFor("VT: stat 600 4 1577934245", LONG);
    await again.serial.waitFor(/VT: lines 2\nVT: no escape\nVT: many 51/, LONG);
    await again.serial.waitFor("VT: done", LONG);
    const end = await again.ended;
    assert.equal(end.kind, "power-off");
    await again.dispose();
    assert.equal(spawnSync("e2fsck", ["-fn", second]).status, 0);
    assert.equal(sum(fs.readFileSync(path.join(share, "big"))), sum(vda));
    assert.deepEqual(fs.readdirSync(share).toSorted(), ["big", "escape", "file", "hard", "hello", "sym"]);
    assert.equal(fs.readFileSync(path.join(dir, "secret"), "utf8"), "secret");
  });
}
