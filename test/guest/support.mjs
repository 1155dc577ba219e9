// What every guest test needs: where the guest disks are, and a booted machine from dist/ (no transform in the way).
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const GUESTS = process.env["WHYVE_GUESTS"] ?? path.join(ROOT, "../shared/guests");
export const CLI = path.join(ROOT, "dist/bin/whyve.cjs");

/** The path of a guest image, or undefined when the set is not on this machine. */
export function guest(name) {
  const file = path.join(GUESTS, name);
  return fs.existsSync(file) ? file : undefined;
}

/** Options for `test` that skip it by name when a file is missing. */
export function needs(...names) {
  const missing = names.filter((name) => guest(name) === undefined);
  return missing.length === 0 ? {} : { skip: `guest not here: ${missing.join(", ")} (set WHYVE_GUESTS)` };
}

const CACHE = path.join(ROOT, ".cache/guests");

/**
 * A disk from `directory`, or made there by `run` (a script that makes one disk in the folder that it is given), where this machine has the
 * `tools`. The second value says what is missing.
 */
function madeDisk(name, directory, tools, run) {
  const file = path.join(directory, name);
  const missing = tools.filter((tool) => spawnSync("which", [tool]).status !== 0);
  if (missing.length > 0) return [undefined, `${name} cannot be made without ${missing.join(", ")}`];
  // Made beside its place, so that a half-made disk is never taken for a whole one; the packages stay for the next target.
  const work = path.join(directory, ".make");
  const made = spawnSync("bash", run(work, path.parse(name).name), { encoding: "utf8", timeout: 300_000 });
  if (made.status !== 0) return [undefined, `${name} cannot be made: ${made.stderr.trim().split("\n").at(-1)}`];
  fs.renameSync(path.join(work, name), file);
  return [file, ""];
}

/** A disk made of Debian packages ("grub2-hdd.img"), from `.cache/guests/debian`; made there once by the guest set's own script. See `madeDisk`. */
export function debianGuest(name) {
  const directory = process.env["WHYVE_DEBIAN_GUESTS"] ?? path.join(CACHE, "debian");
  if (fs.existsSync(path.join(directory, name))) return [path.join(directory, name), ""];
  const script = guest("debian/make-debian-guests.sh");
  if (script === undefined) return [undefined, `guest not here: ${name} (set WHYVE_DEBIAN_GUESTS)`];
  const tools = ["apt-get", "dpkg-deb", "mformat", "mke2fs", "xorriso", "grub-mkimage", "syslinux", "cpio"];
  return madeDisk(name, directory, tools, (work, target) => [script, work, target]);
}

/** The same for the disks of tools/guests/make-loader-disks.sh, from `.cache/guests/loaders`. */
export function loaderGuest(name) {
  const directory = process.env["WHYVE_LOADER_GUESTS"] ?? path.join(CACHE, "loaders");
  if (fs.existsSync(path.join(directory, name))) return [path.join(directory, name), ""];
  const dos = guest("freedos/freedos-720k.img");
  if (dos === undefined) return [undefined, `guest not here: ${name} (set WHYVE_LOADER_GUESTS)`];
  const tools = ["apt-get", "dpkg-deb", "mformat", "mke2fs", "grub-mkimage", "syslinux", "cpio", "python3"];
  return madeDisk(name, directory, tools, (work, target) => [path.join(ROOT, "tools/guests/make-loader-disks.sh"), work, dos, target]);
}

/** Options for `test` that skip it by name when such a disk is neither here nor can be made. */
export function needsLoader(name) {
  const [file, why] = loaderGuest(name);
  return file === undefined ? { skip: why } : {};
}

/** Options for `test` that skip it by name when a Debian disk is neither here nor can be made. */
export function needsDebian(name) {
  const [file, why] = debianGuest(name);
  return file === undefined ? { skip: why } : {};
}

/** Options for `test` that skip what takes minutes, unless $WHYVE_LONG is set. */
export function long(options = {}) {
  return process.env["WHYVE_LONG"] === undefined && options.skip === undefined ? { skip: "set WHYVE_LONG=1" } : options;
}

/** Lets the guest run for that many seconds of its own time (virtual clock); it stands still afterwards. */
export async function idle(vm, seconds) {
  const until = vm.timeNs + seconds * 1e9;
  const giveUp = Date.now() + 120_000;
  if (vm.state === "paused") vm.resume();
  while (vm.timeNs < until && vm.state !== "ended" && Date.now() < giveUp) await new Promise((next) => setTimeout(next, 5));
  if (vm.state === "running") await vm.pause();
}

/** Runs `whyve` and gives its exit code and output. `input` goes to its standard input. */
export function whyve(args, { input = "", timeoutMs = 120_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], { stdio: ["pipe", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (d) => (stdout += d));
    child.stderr.on("data", (d) => (stderr += d));
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? signal, stdout, stderr });
    });
  });
}

/** A directory of its own for a test, removed at the end. */
export function workDirectory(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-guest-"));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Options for `test` that skip it by name where there is no assembler. */
export const needsNasm = spawnSync("nasm", ["-v"]).status === 0 ? {} : { skip: "nasm is not installed" };

/** The bytes of `test/guest/NAME.asm`. */
export function assemble(t, name) {
  const file = path.join(workDirectory(t), `${name}.bin`);
  const made = spawnSync("nasm", ["-f", "bin", "-o", file, path.join(ROOT, `test/guest/${name}.asm`)], { encoding: "utf8" });
  assert.equal(made.status, 0, made.stderr);
  return fs.readFileSync(file);
}
