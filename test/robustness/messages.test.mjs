// What a person sees after a slip: the line names what is wrong, where, and what to do. One row for each kind of slip.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bootDisk } from "../support/floppy.mjs";
import { until } from "../support/until.mjs";

const CLI = fileURLToPath(new URL("../../dist/bin/whyve.cjs", import.meta.url));
const dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-say-"));
after(() => fs.rmSync(dir, { recursive: true, force: true }));
const env = { ...process.env, HOME: dir, XDG_RUNTIME_DIR: dir };

fs.writeFileSync(path.join(dir, "fd.img"), bootDisk([0xb8, 0x41, 0x0e, 0xcd, 0x10, 0xfb, 0xf4, 0xeb, 0xfd])); // prints A, idles
fs.writeFileSync(path.join(dir, "old.bin"), "old");
fs.writeFileSync(path.join(dir, "zero.img"), new Uint8Array(1 << 20));

const whyve = (...args) => spawnSync(process.execPath, [CLI, ...args], { cwd: dir, env, encoding: "utf8", timeout: 60_000 });

for (const [command, pattern] of [
  ["image create b.vmdk 10G", /^whyve: b\.vmdk: VMDK images are not written; use a name such as b\.qcow2, or say -f raw\n$/],
  ["image convert fd.img b.VDI", /^whyve: b\.VDI: VDI images are not written; .*-O raw\n$/],
  ["image convert fd.img old.bin", /^whyve: old\.bin: exists already; use --force to replace it\n$/],
  ["image frob", /^whyve: unknown command "image frob"; use info, create, convert, check or resize\n$/],
  ["image crete", /did you mean whyve image create\?/],
  ["ctl x frobnicate", /^whyve: unknown command "frobnicate"; use status, .* or save\n$/],
  ["ctl x paus", /did you mean whyve ctl x pause\?/],
  ["ctl x screenshot a.jpg", /^whyve: screenshot a\.jpg: screenshots are PNG; use a\.png\n$/],
  ["ctl x screen --frob", /unknown option --frob/],
  ["ctl x type {nope}", /^whyve: type "nope": no key is called "nope"/],
  ["ctl x type \\q", /^whyve: type "\\q": unknown escape \\q/],
  ["--versoin", /did you mean whyve --version\?/],
  ["--mem 64M fd.img", /^whyve: --mem is an option of whyve run/],
  ["run --serial unix:/nonexist/sock fd.img", /cannot listen \(there is no directory \/nonexist\)\n$/],
  ["run --boot cd fd.img", /^whyve: boot order cd: no CD is given\n$/],
  ["run --hd --cd", /^whyve: --hd needs a value before --cd/],
]) {
  test(`whyve ${command} says what is wrong`, () => {
    const { status, stdout, stderr } = whyve(...command.split(" "));
    assert.match(stderr, pattern);
    assert.match(stderr, /^whyve: [^\n]+\n$/);
    assert.deepEqual([status, stdout], [1, ""]);
    assert.equal(fs.readFileSync(path.join(dir, "old.bin"), "utf8"), "old");
  });
}

test("-v, -V, version and --version are the same", () => {
  const all = ["-v", "-V", "version", "--version"].map((word) => whyve(word).stdout);
  assert.match(all[0], /^whyve \d+\.\d+\.\d+\n$/);
  assert.equal(new Set(all).size, 1);
});

test("help names no engine or display that does not work yet as if it did", () => {
  const { stdout } = whyve("run", "--help");
  assert.doesNotMatch(stdout, /\|(?:kvm|web)/);
  assert.match(stdout, /web: not yet/);
});

test("a raw image is nothing that could be checked", () => {
  const { status, stdout } = whyve("image", "check", "fd.img");
  assert.deepEqual([status, stdout], [0, "fd.img: nothing to check: a raw image has no tables\n"]);
});

test("a disk that cannot start is named, on standard error and on its screen", () => {
  const { stdout, stderr } = whyve("run", "zero.img", "--until", "No bootable device", "--dump-screen");
  assert.match(stderr, /^whyve: nothing to boot \(zero\.img: no boot signature\); the guest waits for a boot disk and a key$/m);
  assert.match(stdout, /^Hard disk 0: no boot signature$/m);
});

/** A run in the background that ends when the test does. */
function background(t, args) {
  const child = spawn(process.execPath, [CLI, ...args], { cwd: dir, env, stdio: ["ignore", "ignore", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  let stderr = "";
  child.stderr.on("data", (text) => (stderr += text));
  const ended = new Promise((resolve) => child.on("close", (code) => resolve({ code, stderr })));
  return { child, ended, said: () => stderr };
}

test("without a terminal a run says once what it does, and a signal's end is told", async (t) => {
  const { child, ended, said } = background(t, ["run", "fd.img", "--snapshot-disk"]);
  await until(() => said().includes("\n"), "a line on standard error");
  child.kill("SIGTERM");
  const { code, stderr } = await ended;
  assert.match(stderr, /^whyve: no terminal here, [^\n]*--serial stdio[^\n]*\nwhyve: ended by SIGTERM\n$/);
  assert.equal(code, 143);
  for (const flags of [["--display", "none"], ["--until", "A"], ["--dump-screen"]])
    assert.doesNotMatch(whyve("run", "fd.img", "--snapshot-disk", ...flags, "--timeout", "0.3").stderr, /no terminal here/);
});

test("a snapshot does not replace a file unless it is told to, and says which disk it misses", async (t) => {
  fs.copyFileSync(path.join(dir, "fd.img"), path.join(dir, "gone.img"));
  const { ended } = background(t, ["run", "--fd", "gone.img", "--display", "none", "--name", "saved"]);
  await until(() => fs.existsSync(path.join(dir, "whyve/saved.sock")), "the machine's socket");
  assert.match(whyve("ctl", "saved", "save", "old.bin").stderr, /^whyve: .*old\.bin: exists already; use --force to replace it\n$/);
  assert.equal(fs.readFileSync(path.join(dir, "old.bin"), "utf8"), "old");
  assert.equal(whyve("ctl", "saved", "save", "old.bin", "--force", "--stop").status, 0);
  assert.equal((await ended).code, 0);
  fs.rmSync(path.join(dir, "gone.img"));
  const { status, stderr } = whyve("run", "--restore", "old.bin");
  assert.match(stderr, /^whyve: .*gone\.img: no such file, and old\.bin was saved with it; give all its images again[^\n]+\n$/);
  assert.equal(status, 1);
  fs.writeFileSync(path.join(dir, "old.bin"), "old");
});

test("--fail-on ends a run as a failure, also beside what it waits for; --artefacts keeps what it looked like", () => {
  const run = (...flags) => whyve("run", "fd.img", "--snapshot-disk", "--timeout", "30", ...flags);
  const failed = run("--until", "A", "--fail-on", "B|A", "--artefacts", "out/deep", "--name", "failing");
  assert.match(
    failed.stderr,
    /^whyve: --fail-on B\|A matched "A" on screen.*\n--- screen ---\nA\nwhyve: what it looked like: out\/deep\/failing\.png, out\/deep\/failing\.txt\n$/,
  );
  assert.equal(failed.status, 2);
  assert.match(
    fs.readFileSync(path.join(dir, "out/deep/failing.txt"), "utf8"),
    /--- screen ---\nA\n--- registers ---\n[^]*--- last BIOS calls ---\n[^]*char='A'/,
  );
  const passed = run("--until", "A", "--fail-on", "B", "--artefacts", "none");
  assert.deepEqual([passed.status, passed.stderr, fs.existsSync(path.join(dir, "none"))], [0, "", false]);
  assert.match(whyve("run", "fd.img", "--fail-on", "(").stderr, /^whyve: --fail-on "\(": not a regular expression/);
});

test("--boot starts one disk of several, and refuses one that is not there", () => {
  for (const letter of "XY") {
    const disk = bootDisk([0xb8, letter.charCodeAt(0), 0x0e, 0xcd, 0x10, 0xfa, 0xf4], 1 << 20);
    fs.writeFileSync(path.join(dir, `${letter}.img`), disk);
  }
  const run = (order) => whyve("run", "--hd", "X.img", "--hd", "Y.img", "--boot", order, "--dump-screen");
  assert.deepEqual(
    ["hd", "hd0", "hd1", "hd1,hd0", "cd,hd1"].map((order) => run(order).stdout.trim()),
    ["X", "X", "Y", "Y", "Y"],
  );
  assert.match(run("hd2").stderr, /^whyve: boot order hd2: no hard disk 2 \(they count from 0\) is given\n$/);
  assert.match(run("hd1,hd1").stderr, /named twice/);
});

test("--trace insn shows an interrupt as a line of its own, and no instruction with another's state", () => {
  // cli; ds = 0; vector 8 = 7C12h; sti; loop: inc bx; jmp loop; handler (7C12h): push ax; mov ax,0E41h; int 10h; mov al,20h; out 20h,al; pop ax; iret
  const code = [0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0xc7, 0x06, 0x20, 0x00, 0x12, 0x7c, 0xa3, 0x22, 0x00, 0xfb, 0x43, 0xeb, 0xfd];
  fs.writeFileSync(path.join(dir, "irq.img"), bootDisk([...code, 0x50, 0xb8, 0x41, 0x0e, 0xcd, 0x10, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf]));
  whyve(
    "run",
    "irq.img",
    "--snapshot-disk",
    "--clock",
    "virtual,ns=1000",
    "--trace",
    "insn:addr=7c0f-7c10=trace.txt",
    "--until",
    "A",
    "--timeout",
    "60",
  );
  const lines = fs.readFileSync(path.join(dir, "trace.txt"), "utf8").trim().split("\n");
  const at = lines.findIndex((line) => /^0000:7C\w\w {2}\(interrupt; its handler is at 0000:7C13 now\)$/.test(line));
  assert.ok(at > 0, "an interrupt");
  assert.equal(lines[at + 1].slice(0, 9), lines[at].slice(0, 9));
  for (const line of lines) assert.doesNotMatch(line, /SP=/);
});
