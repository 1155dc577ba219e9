#!/usr/bin/env node
// Assembles the demonstration disk (needs nasm) and writes it as src/cli/demo/image.ts.
//   node demo/build.mjs            write the file
//   node demo/build.mjs --check    compare; exit code 1 when the committed image is not what the source gives
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const target = path.join(here, "../src/cli/demo/image.ts");
const work = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-demo-"));

function assemble(source, ...flags) {
  const out = path.join(work, `${source}.bin`);
  execFileSync("nasm", ["-f", "bin", "-Wall", "-o", out, ...flags, path.join(here, source)], { stdio: ["ignore", "inherit", "inherit"] });
  return fs.readFileSync(out);
}

const stage2 = assemble("stage2.asm");
const sectors = Math.ceil(stage2.length / 512);
const image = Buffer.alloc(512 * (1 + sectors));
assemble("boot.asm", `-DSTAGE2_SECTORS=${sectors}`).copy(image, 0);
stage2.copy(image, 512);
fs.rmSync(work, { recursive: true });

const lines = image.toString("base64").match(/.{1,140}/g) ?? [];
const text = `// Made by demo/build.mjs from demo/*.asm. Do not edit.
/** The demonstration disk's first sectors, base64. */
export const DEMO_IMAGE =
${lines.map((line) => `  "${line}"`).join(" +\n")};
`;

if (process.argv.includes("--check")) {
  const same = fs.existsSync(target) && fs.readFileSync(target, "utf8") === text;
  if (!same) console.error("src/cli/demo/image.ts is not what demo/*.asm gives: run node demo/build.mjs");
  process.exit(same ? 0 : 1);
}
fs.mkdirSync(path.dirname(target), { recursive: true });
fs.writeFileSync(target, text);
console.log(`${target}: ${sectors + 1} sectors`);
