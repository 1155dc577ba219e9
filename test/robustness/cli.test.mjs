// The command line given bad files, bad flags, closed pipes and signals: one clear line, the right exit code, images as they were.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { connect } from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { bootDisk } from "../support/floppy.mjs";
import { until } from "../support/until.mjs";

const CLI = fileURLToPath(new URL("../../dist/bin/whyve.cjs", import.meta.url));
const dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-cli-"));
after(() => fs.rmSync(dir, { recursive: true, force: true }));

const PRINT_A = [0xb8, 0x41, 0x0e, 0xcd, 0x10, 0xfa, 0xf4]; // int 10h teletype; cli; hlt
const SPIN = [0xfa, 0xeb, 0xfe];
/** Prints A for ever on COM1. */
const SERIAL_FLOOD = [0xba, 0xf8, 0x03, 0xb0, 0x41, 0xee, 0xeb, 0xfd];

function image(name, code, size) {
  const file = path.join(dir, name);
  fs.writeFileSync(file, size === 0 ? "" : bootDisk(code, size));
  return file;
}
const good = image("good.img", PRINT_A);
const spin = image("spin.img", SPIN);

/** Runs whyve; `act` gets the child. */
function whyve(args, act) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], { stdio: ["ignore", "pipe", "pipe"], cwd: dir });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (d) => (stdout += d)).on("error", () => {});
    child.stderr.on("data", (d) => (stderr += d)).on("error", () => {});
    const timer = setTimeout(() => child.kill("SIGKILL"), 120_000);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? signal, stdout, stderr });
    });
    act?.(child);
  });
}

/** Refused: one line on stderr that matches, exit code 1, nothing on stdout. */
async function refused(args, pattern) {
  const { code, stdout, stderr } = await whyve(args);
  assert.match(stderr, pattern);
  assert.match(stderr, /^whyve: [^\n]+\n$/, "one line");
  assert.doesNotMatch(stderr, /internal error|\n\s+at /);
  assert.deepEqual([code, stdout], [1, ""]);
}

/** Something named `name` that is not an ordinary image; undefined where this host cannot make it. */
const strange = {
  missing: () => path.join(dir, "none.img"),
  "empty name": () => "",
  "under a file": () => path.join(good, "x.img"),
  empty: () => image("empty.img", [], 0),
  directory: () => dir,
  fifo: () => (spawnSync("mkfifo", [path.join(dir, "fifo")]).status === 0 ? path.join(dir, "fifo") : undefined),
  "/dev/null": () => "/dev/null",
  "/dev/full": () => (fs.existsSync("/dev/full") ? "/dev/full" : undefined),
  "link to nowhere": () => (fs.symlinkSync("nowhere", path.join(dir, "link.img")), path.join(dir, "link.img")),
  "link to itself": () => (fs.symlinkSync("self.img", path.join(dir, "self.img")), path.join(dir, "self.img")),
  "very long name": () => path.join(dir, "x".repeat(300)),
  "control characters": () => path.join(dir, "a\tb"),
};
const SAYS = {
  missing: /none\.img: no such file/,
  "link to itself": /self\.img: its symbolic links lead in a circle/,
  "empty name": /file name is empty/,
  empty: /empty\.img: the image is empty/,
  directory: /is a directory, not a disk image/,
  fifo: /neither a file nor a block device/,
};
for (const [name, make] of Object.entries(strange)) {
  test(`an image that is bad (${name}) is refused`, async (t) => {
    const file = make();
    if (file === undefined) return t.skip("this host cannot make one");
    for (const args of [
      ["run", file],
      ["run", "--hd", file, "--snapshot-disk"],
    ])
      await refused(args, SAYS[name] ?? /whyve: .+/);
  });
}

test("an unreadable image is refused", { skip: process.getuid?.() === 0 ? "root can read everything" : false }, async () => {
  const file = image("secret.img", PRINT_A);
  fs.chmodSync(file, 0);
  await refused(["run", file], /permission denied/);
});

test("a truncated image boots with a warning, and keeps its size", async () => {
  const file = image("short.img", PRINT_A, 70_001);
  const { code, stderr } = await whyve(["run", file]);
  assert.match(stderr, /not a multiple of 512 bytes \(truncated\?\)/);
  assert.equal(code, 0);
  assert.equal(fs.statSync(file).size, 70_001);
});

test("an image of 8 EiB less a bit is refused, one of 2 TiB is not read whole", async (t) => {
  const file = path.join(dir, "huge.img");
  const make = (size) => {
    try {
      fs.copyFileSync(good, file);
      fs.truncateSync(file, size);
      return true;
    } catch {
      return false;
    }
  };
  if (make(2 ** 41)) {
    const { code } = await whyve(["run", "--hd", file, "--snapshot-disk", "--timeout", "60"]);
    assert.equal(code, 0);
  } else t.diagnostic("this file system has no sparse 2 TiB file");
  if (make(2 ** 49)) await refused(["run", "--hd", file], /more than a PC disk can address/);
  else t.diagnostic("this file system has no sparse file above 2^48 bytes");
  fs.rmSync(file, { force: true });
});

const FLAGS = [
  [[], /no disk image given/],
  [["--frobnicate"], /unknown option --frobnicate/],
  [["--timeot", "1"], /did you mean --timeout/],
  [["-x"], /unknown option/],
  [["--timeout"], /needs a value/],
  [["--dump-screen=1"], /takes no value/],
  [["--mem", "0"], /--mem "0": at least 1M/],
  [["--mem", "-5M"], /--mem/],
  [["--mem", "512K"], /whole number of megabytes/],
  [["--mem", "1e3M"], /use a size such as/],
  [["--mem", "99999G"], /at most 3072M/],
  [["--mem", "100T"], /--mem "100T": at most 3072M/],
  [["--mem", ""], /--mem/],
  [["--cpus", "0"], /use 1 to 16/],
  [["--cpus", "17"], /use 1 to 16/],
  [["--cpus", "two"], /use 1 to 16/],
  [["--clock", "sundial"], /use host, virtual/],
  [["--rtc", "yesterday"], /--rtc/],
  [["--rtc", "2026-02-31"], /--rtc/],
  [["--boot", "usb"], /use hd, fd, cd/],
  [["--boot", "hd,hd"], /named twice/],
  [["--boot", ""], /--boot/],
  [["--engine", "qemu"], /use soft/],
  [["--engine", "soft,jit=maybe"], /unknown setting/],
  [["--until", "("], /not a regular expression/],
  [["--until", "[z-a]"], /not a regular expression/],
  [["--until", "a{2,1}"], /not a regular expression/],
  [["--until", ""], /pattern is empty/],
  [["--type", "no arrow"], /REGEX=>TEXT/],
  [["--type", "*=>x"], /not a regular expression/],
  [["--type", "=>{Any}"], /no key is called "Any"/],
  [["--timeout", "0"], /number of seconds/],
  [["--timeout", "-1"], /number of seconds/],
  [["--timeout", "soon"], /number of seconds/],
  [["--timeout", "1e99"], /number of seconds/],
  [["--trace", "everything"], /use bios, insn, io or exits/],
  [["--trace", "insn:mode=17"], /mode is 16, 32 or 64/],
  [["--trace", "insn:addr=9-1"], /range is empty/],
  [["--trace", "bios="], /file name is empty/],
  [["--trace", "bios=/no/such/place"], /cannot write|cannot be written/],
  [["--serial", "modem"], /use stdio, null or file/],
  [["--serial", "file:/no/such/place"], /cannot be written/],
  [["--display", "hologram"], /use terminal, none/],
  [["--display", "terminal"], /not a terminal/],
  [["--screenshot", "/no/such/place/a.png"], /there is no directory/],
  [["--screenshot", os.tmpdir()], /is a directory/],
  [["--screenshot", "/dev/full"], /--screenshot \/dev\/full: cannot be written/, "/dev/full", true],
  [["--name", "a/b"], /--name/],
  [["--name=-x"], /--name "-x": use up to 64/],
  [["--screenshot", ""], /--screenshot: the file name is empty/],
  [["--timeout", "0x10"], /number of seconds/],
  [["--memory", "64M"], /did you mean --mem\?/],
  [["--hd", `${good},bs=virtio`], /--hd has no setting "bs" \(did you mean bus\?\)/],
  [["--fd", `${good},bus=virtio`], /--fd has no setting "bus"/],
  [["--hd", good], /in use by this program already; give it once/],
  [["--kernel", "/dev/zero"], /--kernel \/dev\/zero: is not a file/, "/dev/zero"],
  [["--kernel", "vmlinuz"], /--kernel vmlinuz: there is no such file/],
  [["--kernel", os.tmpdir()], /is a directory/],
  [["--kernel", CLI], /not a kernel that is known here/],
  [["--append", "quiet"], /--append needs --kernel/],
  [["--linux-entry", "48"], /needs --kernel|use 16, 32, 64/],
  [["--net", "wifi"], /use none, user or tap/],
  [["--fd", "a", "--fd", "b", "--fd", "c"], /no such file|floppy drives/],
];
for (const [flags, pattern, needed, afterRun] of FLAGS) {
  test(`run ${flags.join(" ")} says what is wrong`, {
    skip: needed !== undefined && !fs.existsSync(needed) ? `no ${needed} here` : false,
  }, async () => {
    const before = fs.readFileSync(good);
    const args = ["run", ...(flags.length === 0 ? [] : [good]), ...flags];
    if (afterRun) {
      const { code, stderr } = await whyve(args);
      assert.match(stderr, pattern);
      assert.doesNotMatch(stderr, /\n\s+at /);
      assert.equal(code, 1);
    } else await refused(args, pattern);
    assert.ok(before.equals(fs.readFileSync(good)));
    assert.ok(!fs.existsSync(`${good}.lock`));
  });
}

test("--timeout ends a guest that spins with interrupts off, on either clock, and strings over devices", async () => {
  // cld; es = B800h; rep stosb for ever
  const strings = image("strings.img", [0xfc, 0xb8, 0x00, 0xb8, 0x8e, 0xc0, 0xb9, 0xff, 0xff, 0xf3, 0xaa, 0xeb, 0xf9]);
  const runs = [spin, strings].flatMap((file) =>
    ["host", "virtual"].map((clock) => whyve(["run", file, "--clock", clock, "--snapshot-disk", "--timeout", "0.5"])),
  );
  for (const { code, stderr } of await Promise.all(runs)) {
    assert.match(stderr, /time is up after 0\.5 s/);
    assert.equal(code, 3);
  }
});

for (const [signal, expected] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
]) {
  test(`${signal} ends the run with ${expected}, the lock gone`, async () => {
    const file = image(`${signal}.img`, SPIN);
    const { code, stderr } = await whyve(
      ["run", file],
      (child) => void until(() => fs.existsSync(`${file}.lock`), "a file of the run").then(() => setTimeout(() => child.kill(signal), 700)),
    );
    assert.doesNotMatch(stderr, /\n\s+at /);
    assert.equal(code, expected);
    assert.ok(!fs.existsSync(`${file}.lock`));
  });
}

test("a reader that goes away (| head) does not break anything", async () => {
  const flood = image("flood.img", SERIAL_FLOOD);
  const { code, stderr } = await whyve(["run", flood, "--serial", "stdio", "--timeout", "2"], (child) =>
    child.stdout.once("data", () => child.stdout.destroy()),
  );
  assert.doesNotMatch(stderr, /\n\s+at |internal error/);
  assert.equal(code, 3);
  const shell = spawnSync("sh", ["-c", `"${process.execPath}" "${CLI}" run "${good}" --dump-screen --trace insn 2>&1 | head -n 1`], {
    encoding: "utf8",
  });
  assert.equal(shell.status, 0);
  assert.doesNotMatch(shell.stdout, /\n\s+at /);
  const help = spawnSync(
    "sh",
    ["-c", `"${process.execPath}" "${CLI}" run --help | true; "${process.execPath}" "${CLI}" run "${good}" --dump-screen >&-`],
    { encoding: "utf8" },
  );
  assert.doesNotMatch(help.stderr, /\n\s+at |internal error/);
});

test("one writer an image: the second is refused, readers are welcome, a dead owner's lock is taken over", async () => {
  const file = image("locked.img", SPIN);
  let second, reader;
  const first = await whyve(["run", file], (child) => {
    void until(() => fs.existsSync(`${file}.lock`), "a file of the run").then(async () => {
      second = await whyve(["run", file]);
      reader = await whyve(["run", file, "--read-only", "--timeout", "0.2"]);
      child.kill("SIGKILL");
    });
  });
  assert.equal(first.code, "SIGKILL");
  assert.match(second.stderr, /^whyve: .*locked\.img: in use by process \d+; stop it, or use --snapshot-disk or --read-only[^\n]*\n$/);
  assert.equal(second.code, 1);
  assert.equal(reader.code, 3);
  assert.ok(fs.existsSync(`${file}.lock`), "SIGKILL leaves the lock behind");
  assert.equal((await whyve(["run", file, "--timeout", "0.2"])).code, 3);
  assert.ok(!fs.existsSync(`${file}.lock`));
});

test("a guest that writes wildly changes only the sectors it wrote", async () => {
  // mov ax,0301h; mov cx,5; xor dx,dx; mov bx,7C00h; int 13h; then past the end: cx=FFFFh; int 13h; cli; hlt
  const file = image(
    "writer.img",
    [
      0xb8, 1, 3, 0xb9, 5, 0, 0x31, 0xd2, 0xbb, 0, 0x7c, 0xcd, 0x13, 0xb8, 0xff, 3, 0xb9, 0xff, 0xff, 0xcd, 0x13, 0xb8, 0x00, 3, 0xcd, 0x13, 0xfa,
      0xf4,
    ],
  );
  const before = fs.readFileSync(file);
  assert.equal((await whyve(["run", file])).code, 0);
  const now = fs.readFileSync(file);
  assert.equal(now.length, before.length);
  before.copy(before, 4 * 512, 0, 512);
  assert.ok(before.equals(now));
});

test("a snapshot that never ends or never begins, or has no name, is refused", async (t) => {
  await refused(["run", "--restore", ""], /--restore: the file name is empty/);
  if (fs.existsSync("/dev/zero")) await refused(["run", "--restore", "/dev/zero"], /\/dev\/zero: is not a file/);
  const fifo = path.join(dir, "snapshot.fifo");
  if (spawnSync("mkfifo", [fifo]).status !== 0) return t.diagnostic("no mkfifo here");
  await refused(["run", "--restore", fifo], /snapshot\.fifo: is not a file/);
  await refused(["run", "--kernel", fifo], /snapshot\.fifo: is not a file/);
  for (const flag of ["--serial", "--printer"]) await refused(["run", good, flag, `file:${fifo}`], /nobody reads this FIFO; start its reader first/);
  await refused(["run", good, "--trace", `bios=${fifo}`], /--trace: .*nobody reads this FIFO/);
});

test("a file name with a line break makes one line all the same", async () => {
  await refused(["run", path.join(dir, "two\nlines.img")], /two\\x0alines\.img: no such file/);
});

/** Prints 60 times A, then idles. */
const MANY_A = [0xb8, 0x41, 0x0e, 0xb9, 60, 0, 0xcd, 0x10, 0xb8, 0x41, 0x0e, 0xe2, 0xf9, 0xfb, 0xf4, 0xeb, 0xfd];

test("a pattern that would backtrack for ever ends the run with a line that says so", async () => {
  const many = image("many.img", MANY_A);
  const runs = [
    ["--until", "(A+)+(?=B)"],
    ["--until", "(A|A)*(?=B)", "--clock", "virtual"],
    ["--type", "(A+)+(?<=B)C=>x"],
    ["--fail-on", "((A+)+)\\1B"],
  ].map((args) => refused(["run", many, "--snapshot-disk", ...args], /no answer within 2 s on \d+ characters; repetition inside repetition/));
  await Promise.all(runs);
  // Without look-around they are matched in linear time: no match, and no end before --timeout's.
  const [found, ...none] = await Promise.all(
    [
      ["--until", "A+$", "--timeout", "60"],
      ["--until", "(A+)+B", "--timeout", "2"],
      ["--type", "(A|A)*B=>x", "--until", "C", "--timeout", "2"],
    ].map((args) => whyve(["run", many, "--snapshot-disk", ...args])),
  );
  assert.deepEqual([found.code, ...none.map((run) => run.code)], [0, 3, 3]);
  for (const { stderr } of none) assert.match(stderr, /^whyve: time is up after 2 s: .*has not matched/);
});

test("a guest that ends while keys are typed ends the run, and does not pass for one that did what was waited for", async () => {
  // lidt [0]; int3: no handler for anything
  const crash = image("crash.img", [0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x0f, 0x01, 0x1e, 0x00, 0x05, 0xcc]);
  for (const [args, pattern] of [
    [[crash, "--type", "=>xxxxxxxxxxxxxxxxxxxx"], /the guest crashed: triple fault/],
    [[good, "--type", "A=>xxxxxxxxxxxxxxxxxxxx", "--until", "never"], /halted with interrupts disabled .* before --until and --type were served/],
  ]) {
    const { code, stderr } = await whyve(["run", ...args]);
    assert.match(stderr, pattern);
    assert.equal(code, 2);
  }
});

test("a reader that pauses for seconds loses nothing and does not hold up --timeout", async () => {
  const flood = image("pause.img", SERIAL_FLOOD);
  const run = `"${process.execPath}" "${CLI}" run "${flood}" --snapshot-disk --timeout`;
  const late = spawnSync("sh", ["-c", `${run} 5 --serial stdio 2>/dev/null | (sleep 4; wc -c)`], { encoding: "utf8" });
  assert.ok(Number(late.stdout) > 200_000, `${late.stdout} bytes`);
  const fifo = path.join(dir, "stalled.fifo");
  if (spawnSync("mkfifo", [fifo]).status !== 0) return;
  const reader = fs.openSync(fifo, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  const before = Date.now();
  const stalled = spawnSync(
    "sh",
    ["-c", `exec 4>"${fifo}"; ${run} 1 --serial stdio >&4 2>/dev/null; echo code=$?; ${run} 1 --trace insn 2>&4; echo code=$?`],
    {
      encoding: "utf8",
      timeout: 60_000,
    },
  );
  fs.closeSync(reader);
  assert.equal(stalled.stdout, "code=3\ncode=3\n");
  assert.ok(Date.now() - before < 30_000);
});

test("whyve ctl pauses, resumes and ends a machine that takes no keys", async (t) => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), "wh"));
  t.after(() => fs.rmSync(home, { recursive: true, force: true }));
  const env = { ...process.env, HOME: home, XDG_RUNTIME_DIR: home };
  const ctl = (...args) => spawnSync(process.execPath, [CLI, "ctl", ...args], { env, encoding: "utf8", timeout: 60_000 });
  const vm = spawn(process.execPath, [CLI, "run", spin, "--snapshot-disk", "--display", "none", "--name", "deaf"], { env, stdio: "ignore" });
  t.after(() => vm.kill("SIGKILL"));
  const ended = new Promise((resolve) => vm.on("exit", resolve));
  await until(() => fs.existsSync(path.join(home, "whyve", "deaf.sock")), "a file of the run");
  const typing = spawn(process.execPath, [CLI, "ctl", "deaf", "type", "x".repeat(500)], { env, stdio: "ignore" });
  t.after(() => typing.kill("SIGKILL"));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.equal(ctl("deaf", "pause").status, 0);
  assert.match(ctl("deaf", "status").stdout, /state +paused/);
  assert.match(ctl("deaf", "keys", "Enter").stderr, /^whyve: the machine is paused; whyve ctl deaf resume\n$/);
  assert.match(ctl("--frob").stderr, /^whyve: unknown option --frob \(see whyve ctl --help\)\n$/);
  assert.equal(ctl("deaf", "resume").status, 0);
  assert.equal(ctl("deaf", "destroy").status, 0);
  assert.equal(await ended, 0);
});

test("a run that is named where no directory can be made is refused", { skip: process.platform !== "linux" }, () => {
  const { status, stderr } = spawnSync(process.execPath, [CLI, "run", good, "--name", "x"], {
    env: { ...process.env, XDG_RUNTIME_DIR: "/proc" },
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.match(stderr, /^whyve: --name: \/proc\/whyve cannot be made [^\n]*\n$/);
  assert.equal(status, 1);
});

test("a run that ends before its --type was served says which step, and is no success", async () => {
  for (const [args, pattern] of [
    [["--type", "=>xxxxxxxxxxxxxxxxxxxx"], /before --until and --type were served: --type 1 of 1: its text "x+" is not typed to the end/],
    [["--type", "A=>", "--type", "B=>x"], /before --until and --type were served: --type 2 of 2: B has not matched/],
  ]) {
    const { code, stderr } = await whyve(["run", good, "--snapshot-disk", ...args]);
    assert.match(stderr, pattern);
    assert.equal(code, 2);
  }
  const late = await whyve(["run", spin, "--snapshot-disk", "--type", "B=>x", "--timeout", "0.3"]);
  assert.match(late.stderr, /time is up after 0\.3 s: --type 1 of 1: B has not matched/);
  assert.equal(late.code, 3);
  // sti; hlt until the Enter comes; then power off by port 8900h: its release is never sent.
  const off = image("off.img", [
    0x31,
    0xc0,
    0xcd,
    0x16,
    0xbe,
    0x16,
    0x7c,
    0xba,
    0x00,
    0x89,
    0x8a,
    0x04,
    0x46,
    0x84,
    0xc0,
    0x74,
    0x03,
    0xee,
    0xeb,
    0xf6,
    0xeb,
    0xfe,
    ...Buffer.from("Shutdown\0"),
  ]);
  const done = await whyve(["run", off, "--snapshot-disk", "--type", "=>\\n", "--timeout", "20"]);
  assert.deepEqual([done.code, done.stderr], [0, ""]);
});

test("results that cannot be written to the end leave nothing behind; streams say once that they are cut", {
  skip: process.platform === "win32",
}, () => {
  const home = fs.mkdtempSync(path.join(dir, "small-"));
  fs.writeFileSync(path.join(home, "noise.img"), randomBytes(300_000));
  fs.writeFileSync(path.join(home, "old.qcow2"), "old");
  const flood = image("flood2.img", SERIAL_FLOOD);
  const before = fs.readdirSync(home);
  // Files may have 8 blocks of 512 bytes (or of 1024), as on a disk that is full.
  const limited = (args) => {
    const command = [process.execPath, CLI, ...args].map((word) => `'${word}'`).join(" ");
    return spawnSync("sh", ["-c", `ulimit -f 8; exec ${command}`], { cwd: home, encoding: "utf8", timeout: 60_000 });
  };
  for (const args of [
    ["image", "convert", "noise.img", "a.img"],
    ["image", "convert", "noise.img", "a.qcow2"],
    ["image", "convert", "--compress", "noise.img", "a.qcow2"],
    ["image", "convert", "--force", "noise.img", "old.qcow2"],
    ["image", "convert", "noise.img", "a.vhd"],
    ["image", "create", "a.img", "20M"],
    ["image", "create", "--fixed", "a.vhd", "20M"],
  ]) {
    const { status, stderr } = limited(args);
    assert.match(
      stderr,
      /^whyve: [^\n]+cannot be (?:written|made)[^\n]*\((?:larger than files may be there|no space left on the disk)\)\n$/,
      args.join(" "),
    );
    assert.equal(status, 1);
    assert.deepEqual(fs.readdirSync(home), before);
  }
  assert.equal(fs.readFileSync(path.join(home, "old.qcow2"), "utf8"), "old");
  for (const [args, until, pattern] of [
    [["--serial", "file:serial.txt"], "A{20000}", /whyve: --serial file:serial\.txt: output is lost from here on \(larger than/],
    [["--trace", "insn=trace.txt"], "A{1000}", /whyve: --trace: the trace ends early, trace\.txt cannot be written/],
  ]) {
    const { status, stderr } = limited(["run", flood, "--snapshot-disk", ...args, "--type", "=>x", "--until", until, "--timeout", "30"]);
    assert.equal(stderr.split("\n").filter((line) => pattern.test(line)).length, 1, stderr.slice(0, 500));
    assert.equal(status, 1);
  }
});

test("a full disk behind standard output is one line and exit code 1", { skip: !fs.existsSync("/dev/full") }, () => {
  for (const [args, pattern] of [
    [["--help"], /^whyve: standard output: cannot be written \(no space left on the disk\)\n$/],
    [["run", good, "--dump-screen"], /whyve: standard output: cannot be written \(no space left on the disk\)\n$/],
    [
      ["run", image("once.img", [0xba, 0xf8, 0x03, 0xb0, 0x41, 0xee, 0xfa, 0xf4]), "--serial", "stdio"],
      /whyve: --serial stdio: output is lost from here on/,
    ],
  ]) {
    const command = [process.execPath, CLI, ...args].map((word) => `'${word}'`).join(" ");
    const { status, stderr } = spawnSync("sh", ["-c", `${command} >/dev/full`], { encoding: "utf8", timeout: 60_000 });
    assert.match(stderr, pattern);
    assert.doesNotMatch(stderr, /\n\s+at /);
    assert.equal(status, 1);
  }
});

test("two runs that begin at once on one image under two names: one of them has it", { skip: process.platform === "win32" }, async () => {
  const file = image("twin.img", SPIN);
  fs.linkSync(file, path.join(dir, "twin2.img"));
  for (let i = 0; i < 3; i++) {
    const runs = await Promise.all([file, path.join(dir, "twin2.img")].map((name) => whyve(["run", name, "--timeout", "2"])));
    assert.deepEqual(
      runs.map((r) => r.code).sort((a, b) => a - b),
      [1, 3],
    );
    assert.match(runs.find((r) => r.code === 1).stderr, /in use by process \d+/);
  }
  assert.deepEqual(
    fs.readdirSync(dir).filter((name) => name.includes(".lock") && name.startsWith("twin")),
    [],
  );
});

test("--serial on a socket: what the guest printed before is there, bytes go both ways, the socket is gone at the end", async (t) => {
  if (process.platform === "win32") return t.skip("no Unix sockets");
  // prints A on COM1, then echoes what comes in, each byte plus one
  const echo = image(
    "echo.img",
    [0xba, 0xf8, 0x03, 0xb0, 0x41, 0xee, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb, 0xba, 0xf8, 0x03, 0xec, 0xfe, 0xc0, 0xee, 0xeb, 0xef],
  );
  const home = fs.mkdtempSync(path.join(os.tmpdir(), "wh"));
  t.after(() => fs.rmSync(home, { recursive: true, force: true }));
  const file = path.join(home, "com1");
  let text = "";
  const { code, stderr } = await whyve(["run", echo, "--snapshot-disk", "--serial", `unix:${file}`, "--until", "AIBM", "--timeout", "30"], () => {
    void until(() => fs.existsSync(file), "a file of the run").then(() => {
      const socket = connect(file);
      socket.on("data", (d) => (text += d)).on("error", () => {});
      setTimeout(() => socket.write("HAL"), 500);
    });
  });
  assert.deepEqual([code, stderr, text], [0, "", "AIBM"]);
  assert.deepEqual(fs.readdirSync(home), []);
  await refused(["run", good, "--serial", "tcp:nowhere"], /use tcp:HOST:PORT/);
  await refused(["run", good, "--serial", `unix:${good}`], /exists and is no socket/);
});

test("on a read-only file system images are readable, and results are refused before the guest starts", (t) => {
  const place = fs.mkdtempSync(path.join(dir, "fixed-"));
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m", "none", place]).status !== 0) return t.skip("this user cannot mount");
  t.after(() => spawnSync("umount", [place]));
  fs.copyFileSync(good, path.join(place, "a.img"));
  // Full first: there is no room for the lines of a lock.
  fs.writeFileSync(path.join(place, "filler"), new Uint8Array(2 ** 20));
  spawnSync("sh", ["-c", `head -c 8m /dev/zero >"${place}/filler"`]);
  const run = (...args) => spawnSync(process.execPath, [CLI, "run", ...args], { encoding: "utf8", timeout: 60_000 });
  assert.equal(run(path.join(place, "a.img")).status, 0);
  assert.deepEqual(fs.readdirSync(place).sort(), ["a.img", "filler"]);
  spawnSync("mount", ["-o", "remount,ro", place]);
  const reading = run(path.join(place, "a.img"));
  assert.match(reading.stderr, /no write permission, opened read-only/);
  assert.equal(reading.status, 0);
  for (const flags of [
    ["--screenshot", `${place}/a.png`],
    ["--serial", `file:${place}/s`],
    ["--serial", `unix:${place}/s`],
    ["--trace", `bios=${place}/t`],
  ]) {
    const { status, stderr, stdout } = run(spin, "--snapshot-disk", ...flags, "--timeout", "20");
    assert.match(stderr, /^whyve: --(?:screenshot|serial|trace)[^\n]+read-only file system\)\n$/);
    assert.deepEqual([status, stdout], [1, ""]);
  }
});
