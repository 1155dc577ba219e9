// The command line as a person or a CI meets it: exit codes, one clear line for each mistake, files left as they were.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { bootDisk } from "../support/floppy.mjs";
import { until } from "../support/until.mjs";
import { whyve, workDirectory } from "./support.mjs";

const HALT = [0xfa, 0xf4]; // cli; hlt
const SPIN = [0xeb, 0xfe]; // jmp $
// lidt [zero]; int3: no handler for anything
const TRIPLE = [0x0f, 0x01, 0x1e, 0x20, 0x7c, 0x66, 0xb8, 0x11, 0, 0, 0, 0x0f, 0x22, 0xc0, 0xcc];
// mov ax,0E41h; int 10h; cli; hlt
const PRINT_A = [0xb8, 0x41, 0x0e, 0xcd, 0x10, 0xfa, 0xf4];
// mov ax,0301h; mov cx,2; xor dx,dx; mov bx,7C00h; int 13h; cli; hlt  (writes sector 2 of A:)
const WRITE = [0xb8, 1, 3, 0xb9, 2, 0, 0x31, 0xd2, 0xbb, 0, 0x7c, 0xcd, 0x13, 0xfa, 0xf4];

function image(t, code, size) {
  const file = path.join(workDirectory(t), "disk.img");
  fs.writeFileSync(file, bootDisk(code, size));
  return file;
}

for (const [what, make, pattern] of [
  ["a missing image", (dir) => path.join(dir, "none.img"), /none\.img: no such file/],
  ["an empty image", (dir) => (fs.writeFileSync(path.join(dir, "e.img"), ""), path.join(dir, "e.img")), /e\.img: the image is empty/],
  ["a directory", (dir) => dir, /is a directory, not a disk image/],
  ["a device that is no disk", () => "/dev/null", /neither a file nor a block device/],
]) {
  test(`${what} is one line on stderr and exit code 1`, async (t) => {
    const { code, stdout, stderr } = await whyve(["run", make(workDirectory(t))]);
    assert.match(stderr, pattern);
    assert.equal(stderr.trim().split("\n").length, 1);
    assert.deepEqual([code, stdout], [1, ""]);
  });
}

for (const [args, pattern] of [
  [["run"], /no disk image given/],
  [["rum", "x.img"], /unknown command "rum" \(did you mean whyve run\?\)/],
  [["run", "x.img", "--snapshot"], /did you mean --snapshot-disk/],
  [["run", "x.img", "--until", "("], /not a regular expression/],
  [["run", "x.img", "--type", "=>{F99}"], /--type "F99": no key is called "F99"/],
  [["run", "x.img", "--mem", "9G"], /--mem "9G": at most 3072M/],
  [["run", "x.img", "--screenshot", "/no/such/dir/a.png"], /there is no directory/],
  [["ctl", "vm", "pause"], /^whyve: there is no machine "vm"/],
  [["bhyve", "-c", "1"], /^whyve: not yet: bhyve/],
]) {
  test(`whyve ${args.join(" ")} says what is wrong and ends with 1`, async () => {
    const { code, stderr } = await whyve(args);
    assert.match(stderr, pattern);
    assert.equal(code, 1);
  });
}

test("help and version go to stdout with exit code 0", async () => {
  for (const args of [["--help"], ["run", "--help"], ["demo", "--help"], ["--version"]]) {
    const { code, stdout, stderr } = await whyve(args);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /whyve/);
  }
});

test("a guest that halts for good ends the run, and the screen can be printed", async (t) => {
  const { code, stdout, stderr } = await whyve(["run", image(t, PRINT_A), "--dump-screen"]);
  assert.match(stdout, /^A$/m);
  assert.match(stderr, /halted with interrupts disabled/);
  assert.equal(code, 0);
});

test("the same guest with an --until that never matches is a failure", async (t) => {
  const { code, stderr } = await whyve(["run", image(t, HALT), "--until", "never"]);
  assert.match(stderr, /before --until and --type were served/);
  assert.equal(code, 2);
});

test("--until that matches the last words before the end is a success", async (t) => {
  assert.equal((await whyve(["run", image(t, PRINT_A), "--until", "^A$"])).code, 0);
});

test("a triple fault is exit code 2 with its place", async (t) => {
  const { code, stderr } = await whyve(["run", image(t, TRIPLE)]);
  assert.match(stderr, /the guest crashed: triple fault at/);
  assert.equal(code, 2);
});

test("--timeout ends a guest that spins, with the screen on stderr and exit code 3", async (t) => {
  const { code, stderr } = await whyve(["run", image(t, SPIN), "--timeout", "1"]);
  assert.match(stderr, /time is up after 1 s[\s\S]*--- screen ---/);
  assert.equal(code, 3);
});

test("a guest's writes reach the image, and the lock is gone afterwards", async (t) => {
  const file = image(t, WRITE);
  assert.equal((await whyve(["run", file])).code, 0);
  assert.equal(fs.readFileSync(file)[512], WRITE[0]);
  assert.deepEqual(fs.readdirSync(path.dirname(file)), ["disk.img"]);
});

test("--snapshot-disk and --read-only leave the image as it was", async (t) => {
  const file = image(t, WRITE);
  const before = fs.readFileSync(file);
  assert.equal((await whyve(["run", file, "--snapshot-disk"])).code, 0);
  assert.equal((await whyve(["run", file, "--read-only"])).code, 0);
  assert.ok(before.equals(fs.readFileSync(file)));
});

test("an image in use is refused, but may be read", async (t) => {
  const file = image(t, SPIN);
  const first = whyve(["run", file, "--timeout", "6"]);
  await until(() => fs.existsSync(`${file}.lock`), "the lock of the first run");
  const second = await whyve(["run", file]);
  assert.match(second.stderr, /in use by process \d+/);
  assert.equal(second.code, 1);
  assert.equal((await whyve(["run", file, "--snapshot-disk", "--timeout", "0.2"])).code, 3);
  assert.equal((await first).code, 3);
});

test("--screenshot writes a PNG", async (t) => {
  const file = image(t, PRINT_A);
  const png = path.join(path.dirname(file), "screen.png");
  assert.equal((await whyve(["run", file, "--screenshot", png])).code, 0);
  assert.deepEqual([...fs.readFileSync(png).subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
});

test("each trace shows what it is for", async (t) => {
  const file = image(t, PRINT_A);
  const { stderr } = await whyve(["run", file, "--trace", "bios"]);
  assert.match(stderr, /0000:7C05 10h\/0Eh teletype char='A'/);
  const insn = await whyve(["run", file, "--trace", "insn:mode=16,addr=7c00-7dff"]);
  assert.match(insn.stderr, /0000:7C00 {2}mov ax, 0xe41 .*EAX=00000E41/);
  assert.match((await whyve(["run", file, "--trace", "exits"])).stderr, /vmcall +F000:/);
  const io = await whyve(["run", image(t, [0xe6, 0x80, 0xfa, 0xf4]), "--trace", "io"]); // out 80h,al; cli; hlt
  assert.match(io.stderr, /out 0080 <- 55/);
});

test("--no-reboot ends the run at the guest's reset", async (t) => {
  const reset = [0xb0, 0xfe, 0xe6, 0x64, 0xeb, 0xfe]; // mov al,0FEh; out 64h,al; jmp $
  const { code } = await whyve(["run", image(t, reset), "--no-reboot", "--timeout", "20"]);
  assert.equal(code, 0);
});
