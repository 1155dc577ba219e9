#!/usr/bin/env node
// run-whyve.mjs OUT GUEST [SCALE] [ONLY]    GUEST: amd64, i386 (Linux, ONLY: names of benchmarks) or bm-NAME (a boot sector)
// whyve on one CPU, in the shape of the other runners of the shared bench folder (WHYVE_BENCH_SHARED, default ../../shared/bench):
// its drive.mjs timestamps the markers on COM1. Env: WHYVE (what to run; default dist/bin/whyve.cjs), WHYVE_ARGS (more options, for
// example "--engine soft,jit=on"), CLOCK (host), MEM (256), CPUPIN (0), TIMEOUT (600), ANCHOR (label), LOG, NODE_ARGS.
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const { env } = process;
const shared = env["WHYVE_BENCH_SHARED"] ?? path.join(root, "../shared/bench");
const [out, guest, wanted = "1", only] = process.argv.slice(2);
const linux = guest === "amd64" || guest === "i386";
if (out === undefined || !(linux || guest?.startsWith("bm-"))) {
  console.error("usage: run-whyve.mjs OUT amd64|i386|bm-NAME [SCALE] [ONLY]");
  process.exit(1);
}
const words = (text) => (text ?? "").split(" ").filter((word) => word !== "");
/** The work of a boot sector is set when it is made. */
const bmscale = path.join(out, "bmscale");
const scale = !linux && fs.existsSync(bmscale) ? fs.readFileSync(bmscale, "utf8").trim() : wanted;
const append = `console=ttyS0 quiet loglevel=1 nokaslr mitigations=off panic=-1 bench.scale=${scale}${only === undefined ? "" : ` bench.only=${only}`}`;
const drive = ["--anchor", env["ANCHOR"] ?? "whyve", "--guest", guest, "--scale", scale];
drive.push("--timeout", env["TIMEOUT"] ?? "600", "--cpu", env["CPUPIN"] ?? "0");
if (env["LOG"] !== undefined) drive.push("--log", env["LOG"]);
const whyve = [process.execPath, ...words(env["NODE_ARGS"]), env["WHYVE"] ?? path.join(root, "dist/bin/whyve.cjs")];
whyve.push("run", "--display", "none", "--serial", "stdio");
if (linux) whyve.push("--kernel", path.join(out, `vmlinuz-${guest}`), "--initrd", path.join(out, `initrd-${guest}.cpio`), "--append", append);
else whyve.push("--hd", path.join(out, `${guest}.img`), "--snapshot-disk");
whyve.push("--clock", env["CLOCK"] ?? "host", "--mem", `${env["MEM"] ?? 256}M`, ...words(env["WHYVE_ARGS"]));
const { status } = spawnSync(process.execPath, [path.join(shared, "drive.mjs"), ...drive, "--", ...whyve], { stdio: "inherit" });
process.exit(status ?? 1);
