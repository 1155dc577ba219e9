// node tools/lockstep/main.mjs [GUEST...] [--every MS] [--threshold N] [--find] [--twice]
// Runs guests on the interpreter and with the translator side by side and compares what can be seen of them; with --find it looks for the first
// difference: the event, then the instruction.
import { fork } from "node:child_process";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { GUESTS } from "./guests.mjs";
import { record } from "./record.mjs";

const NS = 50;

function start(guest, options) {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), { env: { ...process.env, LOCKSTEP: JSON.stringify({ guest, options }) } });
    let result;
    child.on("message", (message) => (result = message));
    child.on("error", reject);
    child.on("exit", (code, signal) => (result === undefined ? reject(new Error(`${guest}: no result (${signal ?? code})`)) : resolve(result)));
  });
}
/** Interpreter and translator at once. */
const both = (guest, options, jit) => Promise.all([start(guest, options), start(guest, { ...options, jit })]);

/** Index of the first line that differs; -1: none. */
function firstDifference(a, b) {
  const n = Math.max(a.length, b.length);
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return i;
  return -1;
}
const timeOf = (line) => Number(/t=(\d+)/.exec(line)?.[1]);

async function find(guest, a, b, everyNs, jit) {
  let at = firstDifference(a.stops, b.stops);
  if (at < 0) {
    console.log("  all stops are equal; the difference is behind the last one");
    at = a.stops.length;
  }
  let from = at === 0 ? 0 : timeOf(a.stops[at - 1]);
  let to = from + everyNs * 2;
  console.log(`  between ${from} and ${to} ns`);
  const [x, y] = await both(guest, { everyNs, log: { from, to } }, jit);
  const e = firstDifference(x.log, y.log);
  if (e >= 0) for (let i = Math.max(0, e - 12); i < e + 4; i++) console.log(`  ${i === e ? "*" : " "} ${x.log[i]}   |   ${y.log[i]}`);
  else console.log(`  ${x.log.length} events there, all equal`);
  for (let fine = everyNs / 250; ; fine = Math.max(NS, Math.floor(fine / 500 / NS) * NS)) {
    const [p, q] = await both(guest, { everyNs, memoryEvery: 1e9, fine: { from, to, everyNs: fine } }, jit);
    const d = firstDifference(p.stops, q.stops);
    if (d < 0) {
      console.log(`  with stops each ${fine} ns there is no difference`);
      return;
    }
    console.log(`  with stops each ${fine} ns:\n    before  ${p.stops[d - 1]}\n    interp  ${p.stops[d]}\n    transl  ${q.stops[d]}`);
    if (fine === NS) return;
    from = timeOf(p.stops[d - 1]);
    to = from + fine * 2;
  }
}

async function main() {
  const { values, positionals } = parseArgs({
    options: {
      every: { type: "string", default: "50" },
      threshold: { type: "string" },
      find: { type: "boolean", default: false },
      twice: { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  const everyNs = Number(values.every) * 1e6;
  const jit = values.twice ? undefined : values.threshold === undefined ? true : { threshold: Number(values.threshold) };
  let failed = 0;
  for (const name of positionals.length > 0 ? positionals : Object.keys(GUESTS)) {
    if (GUESTS[name]?.disk() === undefined) {
      console.log(`${name}: not here`);
      continue;
    }
    const [a, b] = await both(name, { everyNs }, jit);
    const { engineStats: s } = b;
    const what = `${a.stops.length} stops, ${a.end.counts.join("+")} instructions, user CPU ${a.cpuMs} and ${b.cpuMs} ms, ${s["engine.regionsTranslated"]} regions (${s["engine.regionRuns"]} runs, ${s["engine.regionsDropped"]} dropped, ${s["engine.regionCompileMs"]} ms)`;
    const stop = firstDifference(a.stops, b.stops);
    const ends = Object.keys(a.end).filter((k) => JSON.stringify(a.end[k]) !== JSON.stringify(b.end[k]));
    if (stop < 0 && ends.length === 0) {
      console.log(`${name}: equal; ${what}${a.end.trouble === undefined ? "" : `; ${a.end.trouble}`}`);
      continue;
    }
    failed++;
    console.log(`${name}: DIFFERENT; ${what}`);
    if (stop >= 0) console.log(`  stop ${stop}\n    interp ${a.stops[stop]}\n    transl ${b.stops[stop]}`);
    for (const k of ends) console.log(`  ${k}: ${JSON.stringify(a.end[k])?.slice(0, 300)} | ${JSON.stringify(b.end[k])?.slice(0, 300)}`);
    if (values.find) await find(name, a, b, everyNs, jit);
  }
  process.exitCode = failed === 0 ? 0 : 1;
}

if (process.env["LOCKSTEP"] === undefined) await main();
else {
  const { guest, options } = JSON.parse(process.env["LOCKSTEP"]);
  const { snapshot: _, ...result } = await record(GUESTS[guest], options);
  process.send(result, () => process.exit(0));
}
