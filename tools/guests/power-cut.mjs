#!/usr/bin/env node
/**
 * Kills whyve with SIGKILL while a Linux guest writes, again and again, and looks at the disk each time: the file system must recover, and every
 * file that the guest had committed (sync returned, and it said so on its serial line) must be there, whole.
 *
 *   node tools/guests/power-cut.mjs [--runs 50] [--format raw|qcow2|vhd] [--files DIR]
 *
 * DIR holds vmlinuz and initrd.gz of make-virtio-initrd.sh (made there when missing). Needs mke2fs, e2fsck, debugfs; qemu-img for qcow2 and VHD.
 */
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "50" },
    format: { type: "string", default: "raw" },
    files: { type: "string" },
    child: { type: "string" },
    seed: { type: "string", default: "1" },
  },
});
const { boot } = await import(path.join(ROOT, "dist/node/index.js"));
const LONG = { timeoutMs: 900_000 };

/** What the guest does: files of growing content, each made durable before the line that says so; noise beside it. */
const WORK =
  "n=0; while :; do n=$((n+1)); i=0; : > /mnt/f$n; while [ $i -lt $((n%40+1)) ]; do echo line $n $i >> /mnt/f$n; i=$((i+1)); done; " +
  "dd if=/dev/zero of=/mnt/noise bs=4k count=$((n%64+1)) 2>/dev/null; sync && echo COMMIT $n; done\n";
const content = (n) => Array.from({ length: (n % 40) + 1 }, (_, i) => `line ${n} ${i}\n`).join("");

const image = (dir) => ({ kind: "hard-disk", path: path.join(dir, "disk"), bus: "virtio", format: values.format });

if (values.child !== undefined) {
  // The victim: goes on from the snapshot and works until it is killed.
  const dir = values.child;
  const serial = [{ writeByte: (byte) => void fs.writeSync(1, Buffer.from([byte])), onInput: undefined }];
  const vm = await boot({ images: [image(dir)], restore: path.join(dir, "snapshot"), clock: "host", serial, start: true });
  vm.serial.write(WORK);
  await vm.ended;
  process.exit(1);
}

function sh(program, ...args) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", maxBuffer: 1 << 26 });
  return { status, text: stdout + stderr };
}

function must(what, result, ...good) {
  if (!good.includes(result.status)) throw new Error(`${what}: exit code ${result.status}\n${result.text}`);
  return result.text;
}

const dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-cut-"));
const files = values.files ?? path.join(ROOT, ".cache/guests/virtio");
if (!fs.existsSync(path.join(files, "initrd.gz")))
  must("make-virtio-initrd", sh("bash", path.join(ROOT, "tools/guests/make-virtio-initrd.sh"), files), 0);
const disk = path.join(dir, "disk");
fs.writeFileSync(disk, "");
fs.truncateSync(disk, 64 << 20);
must("mke2fs", sh("mke2fs", "-q", "-F", "-t", "ext4", disk), 0);
if (values.format !== "raw") {
  must("qemu-img", sh("qemu-img", "convert", "-f", "raw", "-O", values.format === "vhd" ? "vpc" : values.format, disk, `${disk}.new`), 0);
  fs.renameSync(`${disk}.new`, disk);
}

process.stderr.write("booting the guest for the snapshot ...\n");
{
  const vm = await boot({
    images: [image(dir)],
    kernel: { kernel: path.join(files, "vmlinuz"), initrd: [path.join(files, "initrd.gz")], append: "console=ttyS0 quiet vt.shell" },
    clock: "host",
    memoryBytes: 128 * 2 ** 20,
    engine: "soft,jit=on",
  });
  await vm.serial.waitFor("VT: shell", LONG);
  vm.serial.write("mount -t ext4 /dev/vda /mnt && sync && echo MOUN''TED\n");
  await vm.serial.waitFor("MOUNTED", LONG);
  await vm.pause();
  const bytes = await vm.save();
  await vm.dispose();
  fs.writeFileSync(path.join(dir, "snapshot"), bytes);
}
must("cp", sh("cp", "-p", "--sparse=always", disk, `${disk}.start`), 0);

/** The same cuts for the same seed, as far as hosts allow. */
let state = Number(values.seed) * 2654435761;
const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;

let failures = 0;
let committedFiles = 0;
const runs = Number(values.runs);
for (let run = 1; run <= runs; run++) {
  must("cp", sh("cp", "-p", "--sparse=always", `${disk}.start`, disk), 0);
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), "--child", dir, "--format", values.format], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (bytes) => (text += bytes));
  const closed = new Promise((resolve) => child.on("close", resolve));
  // From the first commit on, at any moment.
  for (let i = 0; i < 600 && !/COMMIT 1\r?\n/.test(text) && child.exitCode === null; i++) await new Promise((resolve) => setTimeout(resolve, 50));
  await new Promise((resolve) => setTimeout(resolve, 100 + 1500 * random()));
  child.kill("SIGKILL");
  await closed;
  const last = Math.max(0, ...[...text.matchAll(/COMMIT (\d+)\r?\n/g)].map((m) => Number(m[1])));
  try {
    if (last === 0) throw new Error(`the guest committed nothing\n${text.slice(-500)}`);
    committedFiles += last;
    let raw = disk;
    if (values.format !== "raw") {
      must(`${values.format} check`, sh("qemu-img", "check", "-q", disk), 0, 3, 63);
      raw = `${disk}.raw`;
      must("qemu-img convert", sh("qemu-img", "convert", "-O", "raw", disk, raw), 0);
    }
    must("e2fsck (recovery)", sh("e2fsck", "-p", raw), 0, 1);
    must("e2fsck (check)", sh("e2fsck", "-f", "-n", raw), 0);
    const out = path.join(dir, "out");
    fs.rmSync(out, { recursive: true, force: true });
    fs.mkdirSync(out);
    must("debugfs", sh("debugfs", "-R", `rdump / ${out}`, raw), 0);
    for (let n = 1; n <= last; n++) {
      const found = fs.existsSync(path.join(out, `f${n}`)) ? fs.readFileSync(path.join(out, `f${n}`), "latin1") : "(no such file)";
      if (found !== content(n)) throw new Error(`f${n} of ${last} committed files: ${JSON.stringify(found.slice(0, 80))}`);
    }
    process.stderr.write(`run ${run}/${runs}: ${last} committed files there, file system clean\n`);
  } catch (error) {
    failures++;
    process.stderr.write(`run ${run}/${runs}: FAILED: ${error.message}\n`);
    fs.copyFileSync(disk, path.join(os.tmpdir(), `whyve-cut-failed-${run}`));
  }
}
fs.rmSync(dir, { recursive: true, force: true });
console.log(`${runs} cuts, ${failures} failures, ${committedFiles} committed files looked at (${values.format})`);
process.exitCode = failures === 0 ? 0 : 1;
