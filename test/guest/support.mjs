// What every guest test needs: where the guest disks are, and a booted machine from dist/ (no transform in the way).
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const GUESTS = process.env["WHYVE_GUESTS"] ?? path.join(ROOT, "../shared/guests");
export const CLI = path.join(ROOT, "dist/cli/main.js");

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

/** A 512-byte boot sector from machine code. */
export function bootSector(code) {
  const sector = new Uint8Array(512);
  sector.set(code);
  sector[510] = 0x55;
  sector[511] = 0xaa;
  return sector;
}
