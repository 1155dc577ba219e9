// Virtio disks as the BIOS sees them: boot from the first, reach the last, mixed with IDE; what is refused. Linux's drivers: virtio-linux.test.mjs.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { MemoryBlockBackend } from "../../dist/backends/api/index.js";
import { boot } from "../support/machine.mjs";

/** Reads the first sector of drive `dl` to 8000h and prints the text in it. */
function reader(dl) {
  const sector = new Uint8Array(512);
  sector.set([
    0x31,
    0xc0,
    0x8e,
    0xd8,
    0x8e,
    0xc0,
    0x8e,
    0xd0,
    0xbc,
    0x00,
    0x7c,
    0xb2,
    dl,
    0xb6,
    0x00,
    0xb8,
    0x01,
    0x02,
    0xbb,
    0x00,
    0x80,
    0xb9,
    0x01,
    0x00,
    0xcd,
    0x13,
    0x72,
    0x0e,
    0xbe,
    0x00,
    0x80,
    0xac,
    0x84,
    0xc0,
    0x74,
    0x06,
    0xb4,
    0x0e,
    0xcd,
    0x10,
    0xeb,
    0xf5,
    0xfa,
    0xf4,
  ]);
  sector.set([0x55, 0xaa], 510);
  return sector;
}

function disk(content) {
  const bytes = new Uint8Array(1 << 20);
  bytes.set(typeof content === "string" ? Buffer.from(content) : content);
  return { kind: "hard-disk", backend: new MemoryBlockBackend("disk", bytes), bus: "virtio" };
}

test("the BIOS boots from the first of sixteen virtio disks and reads the last", async (t) => {
  const images = [disk(reader(0x8f)), ...Array.from({ length: 15 }, (_, i) => disk(`this is disk ${i + 1}.`))];
  const vm = await boot({ images, clock: "virtual", memoryBytes: 4 * 2 ** 20 });
  t.after(() => vm.dispose());
  await vm.screen.waitFor("this is disk 15.");
});

test("disks count across buses in the order they are named", async (t) => {
  const ide = { kind: "hard-disk", backend: new MemoryBlockBackend("ide", new Uint8Array(1 << 20).fill(0)) };
  ide.backend.bytes.set(Buffer.from("the IDE disk."));
  const vm = await boot({ images: [disk(reader(0x81)), ide, disk("the third.")], clock: "virtual", memoryBytes: 4 * 2 ** 20 });
  t.after(() => vm.dispose());
  await vm.screen.waitFor("the IDE disk.");
});

test("a seventeenth disk, and a CD on virtio, are refused in one line", async () => {
  const images = Array.from({ length: 17 }, () => disk(reader(0x80)));
  await assert.rejects(boot({ images }), /17 virtio disks, there is room for 16/);
  const cd = { kind: "cdrom", backend: new MemoryBlockBackend("cd", new Uint8Array(4096), { sectorBytes: 2048, readOnly: true }), bus: "virtio" };
  await assert.rejects(boot({ images: [cd] }), /hard disks only/);
});

test("what cannot be shared is refused in one line", async () => {
  const images = [disk(reader(0x80))];
  await assert.rejects(boot({ images, shares: [{ tag: "s", path: "/no/such/directory" }] }), /\/no\/such\/directory: no such directory/);
  const file = path.join(os.tmpdir(), `whyve-share-${process.pid}`);
  fs.writeFileSync(file, "");
  await assert.rejects(boot({ images, shares: [{ tag: "s", path: file }] }), /is not a directory/);
  fs.rmSync(file);
});
