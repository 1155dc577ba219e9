#!/usr/bin/env node
/**
 * Replays the silicon vectors on the engine of dist/.
 *
 *   node test/vectors/play.mjs [--only TEXT] [--show N] [--set integer|fpu|sse] [--dir DIR]
 *                              [--world long|legacy|real|v86] [--jit] [--first CASES]
 *
 * --world replays the cases of 16-bit and 32-bit code in other modes where they must come out the same; --jit translates every instruction
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as env from "./environment.mjs";
import { createSoftEngine } from "../../dist/engine/soft/index.js";
import { unpack } from "./format.mjs";
import { Player, rowOf } from "./player.mjs";

export const SETS = ["integer", "fpu", "sse"];
const startOf = (codeSize, segments) => BigInt(codeSize === 64 ? env.CODE + env.START : env.CODE + env.START - env.hidden(segments[0]).base);

/** Plays whole sets; returns the counts and the mismatches by form. */
export function playSets({ sets = SETS, only = "", directory = dirname(fileURLToPath(import.meta.url)), first, world = "long", jit = false } = {}) {
  const player = new Player({ world, trap: jit, engine: createSoftEngine({ firstTier: 0, ...(jit && { jit: { threshold: 1 } }) }) });
  const tally = { forms: 0, cases: 0, mismatches: 0, undefinedFlags: 0, lastPlace: 0, absent: 0, missingRows: [] };
  const bad = new Map();
  for (const set of sets) {
    const { forms } = unpack(readFileSync(join(directory, `${set}.bin.br`)), env.segmentSet, startOf);
    for (const form of forms) {
      if (!form.key.includes(only)) continue;
      const row = rowOf(form.key);
      if (row === undefined) {
        tally.missingRows.push(form.key);
        continue;
      }
      const cases = form.cases.filter((c) => player.applies(form, c, row)).slice(0, first);
      if (cases.length === 0) continue;
      tally.forms++;
      for (const c of cases) {
        tally.cases++;
        let wrong;
        try {
          wrong = player.play(form, c, row, tally);
        } catch (e) {
          wrong = [`threw ${e instanceof Error ? e.stack : JSON.stringify(e)}`];
        }
        if (wrong.length === 0) continue;
        tally.mismatches++;
        const list = bad.get(form.key) ?? [];
        list.push({ form, c, wrong });
        bad.set(form.key, list);
      }
    }
  }
  return { tally, bad };
}

export function describe({ form, c, wrong }) {
  const bytes = [...c.code].map((b) => b.toString(16).padStart(2, "0")).join(" ");
  const gpr = c.input.gpr
    .slice(0, c.codeSize === 64 ? 16 : 8)
    .map((v) => (c.codeSize === 64 ? v : v & 0xffffffffn).toString(16))
    .join(" ");
  const patches = c.patches.map((p) => `[${p.address.toString(16)}]=${Buffer.from(p.bytes).toString("hex")}`).join(" ");
  const fpu = c.fpu
    ? ` cw=${c.input.fpu.controlWord.toString(16)} sw=${c.input.fpu.statusWord.toString(16)} tag=${c.input.fpu.tagWord.toString(16)}`
    : "";
  const sse = c.sse
    ? ` mxcsr=${c.input.sse.mxcsr.toString(16)} ${c.input.sse.xmm.map((x) => Buffer.from(x).reverse().toString("hex")).join(" ")}`
    : "";
  return `    ${c.codeSize}.${c.environment} ${bytes} | ${wrong.join("; ")}\n        in: ${gpr} fl=${c.input.rflags.toString(16)}${fpu}${sse} ${patches}${form.rep ? " rep" : ""}`;
}

function main() {
  const args = process.argv.slice(2);
  const option = (name, value) => (args.includes(name) ? args[args.indexOf(name) + 1] : value);
  const show = Number(option("--show", "2"));
  const began = Date.now();
  const set = option("--set", "");
  const { tally, bad } = playSets({
    only: option("--only", ""),
    world: option("--world", "long"),
    jit: args.includes("--jit"),
    ...(args.includes("--first") ? { first: Number(option("--first", "")) } : {}),
    ...(set === "" ? {} : { sets: [set] }),
    ...(args.includes("--dir") ? { directory: option("--dir", "") } : {}),
  });
  for (const [key, list] of bad) {
    console.log(`${key}: ${list.length}`);
    for (const one of list.slice(0, show)) console.log(describe(one));
  }
  for (const key of tally.missingRows) console.log(`no such row any more: ${key}`);
  console.log(
    `forms: ${tally.forms}, cases: ${tally.cases}, mismatches: ${tally.mismatches} (undefined flags that differ: ${tally.undefinedFlags}; transcendentals off by one in the last place: ${tally.lastPlace}; #UD for want of a CPUID feature: ${tally.absent}) in ${((Date.now() - began) / 1000).toFixed(1)} s`,
  );
  process.exit(tally.mismatches + tally.missingRows.length === 0 ? 0 : 1);
}
if (process.argv[1] === fileURLToPath(import.meta.url)) main();
