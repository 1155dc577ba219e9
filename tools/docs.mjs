#!/usr/bin/env node
// Writes docs/generated from the code in dist/; with --check, says which page is out of date and ends with 1.
import * as fs from "node:fs";
import { fileURLToPath } from "node:url";
import { biosServicesMarkdown } from "../dist/biosemul/index.js";
import { opcodeCoverageMarkdown } from "../dist/isa/index.js";

const PAGES = { "bios-services.md": biosServicesMarkdown(), "opcodes.md": opcodeCoverageMarkdown(await implemented()) };

/** Semantic names that the interpreter has: generated handlers, and helpers in TypeScript. */
async function implemented() {
  const { SEMANTICS } = await import("../dist/engine/soft/sem/index.js");
  const { SYSTEM } = await import("../dist/engine/soft/sys/index.js");
  const { FALLBACK } = await import("../dist/engine/soft/fallback.js");
  const { FPU } = await import("../dist/engine/soft/fpu/index.js");
  const { XMM } = await import("../dist/engine/soft/sem/xmm.js");
  const { SIMD } = await import("../dist/engine/soft/simd/index.js");
  return new Set([SEMANTICS, SYSTEM, FALLBACK, FPU, XMM, SIMD].flatMap((table) => (table instanceof Map ? [...table.keys()] : Object.keys(table))));
}

const folder = fileURLToPath(new URL("../docs/generated/", import.meta.url));
fs.mkdirSync(folder, { recursive: true });
let stale = 0;
for (const [name, text] of Object.entries(PAGES)) {
  const file = `${folder}${name}`;
  if (fs.existsSync(file) && fs.readFileSync(file, "utf8") === text) continue;
  if (process.argv.includes("--check")) {
    console.error(`docs/generated/${name} is not what the code gives: run npm run docs`);
    stale++;
  } else {
    fs.writeFileSync(file, text);
    console.log(`docs/generated/${name}: ${text.length} characters`);
  }
}
process.exit(stale === 0 ? 0 : 1);
