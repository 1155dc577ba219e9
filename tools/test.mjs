#!/usr/bin/env node
/**
 * Runs the test suites over the built project and counts them together. The last line is `N passed, N failed, N skipped`.
 *
 *   node tools/test.mjs [SUITE...]     unit, conformance, vectors, robustness, guest, package; all when none is named
 */
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const work = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-test-"));
const none = () => ({ passed: 0, failed: 0, skipped: 0, failures: [], skips: [] });

/** Runs a program; its output is shown as it comes, and collected. */
function run(program, args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, NO_COLOR: "1", ...env } });
    let output = "";
    child.stdout.on("data", (bytes) => {
      output += bytes;
      process.stdout.write(bytes);
    });
    child.on("error", (error) => resolve({ code: 1, output: String(error) }));
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

/** A runner that ends badly without naming a failed test has failed all the same. */
function settle(count, code, what) {
  if (code !== 0 && count.failed === 0) {
    count.failed = 1;
    count.failures.push(`${what} ended with exit code ${code}`);
  }
  return count;
}

async function unit() {
  const file = path.join(work, "unit.json");
  const vitest = path.join(root, "node_modules/vitest/vitest.mjs");
  const { code } = await run(process.execPath, [
    vitest,
    "run",
    "--silent=passed-only",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${file}`,
  ]);
  const count = none();
  if (!fs.existsSync(file)) return settle(count, code === 0 ? 1 : code, "vitest");
  for (const { name: source, assertionResults } of JSON.parse(fs.readFileSync(file, "utf8")).testResults) {
    for (const { status, fullName } of assertionResults) {
      const name = `${path.relative(root, source)}: ${fullName}`;
      if (status === "passed") count.passed++;
      else if (status === "failed") count.failures.push(name);
      else count.skips.push(name);
    }
  }
  count.failed = count.failures.length;
  count.skipped = count.skips.length;
  return settle(count, code, "vitest");
}

/** One test a form: all its recorded cases equal. */
async function vectors() {
  const missing = ["integer", "fpu"].filter((set) => !fs.existsSync(path.join(root, `test/vectors/${set}.bin.br`)));
  const count = none();
  for (const set of missing) count.skips.push(`vectors ${set}: test/vectors/${set}.bin.br is not here`);
  count.skipped = missing.length;
  if (missing.length > 0) return count;
  // As recorded, set by set; the same cases in the other modes of the processor; all forms translated.
  const runs = [
    ["--set", "integer"],
    ["--set", "fpu"],
    ["--world", "legacy", "--first", "12"],
    ["--world", "v86"],
    ["--world", "real"],
    ["--jit", "--first", "4"],
  ];
  for (const options of runs) {
    const what = `vectors ${options.join(" ")}`;
    const { code, output } = await run(process.execPath, ["test/vectors/play.mjs", ...options]);
    const forms = Number(/^forms: (\d+), cases: \d+, mismatches: \d+/m.exec(output)?.[1] ?? 0);
    const bad = [...output.matchAll(/^(\S.*): \d+$/gm)].map((m) => m[1]);
    count.failed += bad.length;
    count.failures.push(...bad.map((form) => `${what}: ${form}`));
    count.passed += Math.max(0, forms - bad.length);
    settle(count, code, what);
  }
  const { code, output } = await run(process.execPath, ["test/vectors/play-system.mjs"]);
  const bad = [...output.matchAll(/^(\S.*): \d+$/gm)].map((m) => `vectors system: ${m[1]}`);
  count.failed += bad.length;
  count.failures.push(...bad);
  count.passed += Math.max(0, Number(/^forms: (\d+)/m.exec(output)?.[1] ?? 0) - bad.length);
  settle(count, code, "vectors system");
  return count;
}

/** The node:test files of a folder, run over dist/. */
function files(folder) {
  return async () => {
    const directory = path.join(root, "test", folder);
    const names = fs.existsSync(directory) ? fs.readdirSync(directory).filter((name) => name.endsWith(".test.mjs")) : [];
    if (names.length === 0) return none();
    const summary = path.join(work, `${folder}.json`);
    const args = ["--test", `--test-reporter=${new URL("test-reporter.mjs", import.meta.url).href}`, ...names.map((n) => path.join(directory, n))];
    const { code } = await run(process.execPath, args, { WHYVE_TEST_SUMMARY: summary });
    return settle(fs.existsSync(summary) ? JSON.parse(fs.readFileSync(summary, "utf8")) : none(), code, folder);
  };
}

const SUITES = {
  unit,
  conformance: files("conformance"),
  vectors,
  robustness: files("robustness"),
  guest: files("guest"),
  package: files("package"),
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(SUITES, name));
if (unknown.length > 0) {
  console.error(`unknown suite "${unknown[0]}": one of ${Object.keys(SUITES).join(", ")}`);
  process.exit(1);
}
const total = none();
const table = [];
for (const [name, suite] of Object.entries(SUITES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`\n== ${name}`);
  const began = Date.now();
  const count = await suite();
  for (const key of ["passed", "failed", "skipped"]) total[key] += count[key];
  total.failures.push(...count.failures);
  total.skips.push(...count.skips);
  table.push(
    `${name.padEnd(12)}${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped in ${Math.round((Date.now() - began) / 1000)} s`,
  );
}
fs.rmSync(work, { recursive: true });
if (total.skips.length > 0) console.log(`\nSkipped:\n${total.skips.map((name) => `  ${name}`).join("\n")}`);
if (total.failures.length > 0) console.log(`\nFailed:\n${total.failures.map((name) => `  ${name}`).join("\n")}`);
console.log(`\n${table.map((line) => `  ${line}`).join("\n")}\n\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
