#!/usr/bin/env node
/**
 * Records the vectors: makes cases for every form, runs them on this machine's processor (recorder.c), writes test/vectors.
 *
 *   node tools/recorder/record.mjs [--cases N] [--only TEXT] [--set integer|fpu|sse] [--out DIR]
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as env from "../../test/vectors/environment.mjs";
import { inputState, NO_FAULT, pack } from "../../test/vectors/format.mjs";
import { OPCODE_ROWS } from "../../dist/isa/index.js";
import { excludedAtCpl3, makeCase, makeForms, rowKey, usesFpu, usesSse } from "./forms.mjs";

const INPUT = 1192,
  OUTPUT = 712,
  HEADER = 16 + 16 * 8 + 32 * 16;
const here = dirname(fileURLToPath(import.meta.url));

/** Compiles the recorder into `directory`. */
export function buildRecorder(directory) {
  const binary = join(directory, "recorder");
  execFileSync("gcc", ["-O2", "-fno-stack-protector", "-o", binary, join(here, "recorder.c")], { stdio: "inherit" });
  return binary;
}
/** IP of a case's first instruction. */
export function startOf(codeSize, segments) {
  return BigInt(codeSize === 64 ? env.CODE + env.START : env.CODE + env.START - env.hidden(segments[0]).base);
}

/** The case file of recorder.c. */
export function caseFile(cases, flagsOf = () => 0) {
  const pages = env.initialPages();
  const bytes = new Uint8Array(HEADER + pages.length + cases.length * INPUT);
  const v = new DataView(bytes.buffer);
  v.setUint32(0, 0x43455256, true);
  v.setUint32(4, cases.length, true);
  v.setUint32(8, env.PAGES.length, true);
  v.setUint32(12, env.LDT.length, true);
  for (const [i, p] of env.PAGES.entries()) {
    v.setUint32(16 + i * 8, p.address, true);
    v.setUint32(20 + i * 8, p.kind, true);
  }
  for (const [i, d] of env.LDT.entries()) {
    const at = 16 + 128 + i * 16;
    v.setUint32(at, d?.base ?? 0, true);
    v.setUint32(at + 4, d?.limit ?? 0, true);
    v.setUint32(at + 8, d?.flags ?? 0, true);
  }
  bytes.set(pages, HEADER);
  let at = HEADER + pages.length;
  for (const c of cases) {
    const s = inputState(c);
    bytes[at] = (c.fpu ? 1 : 0) | (c.repeat ? 2 : 0) | flagsOf(c);
    bytes[at + 1] = c.code.length;
    bytes[at + 2] = c.patches.length;
    for (let i = 0; i < 6; i++) v.setUint16(at + 4 + i * 2, c.segments[i], true);
    v.setUint32(at + 16, env.CODE + env.START, true);
    v.setBigUint64(at + 24, c.rip, true);
    for (let i = 0; i < 16; i++) v.setBigUint64(at + 32 + i * 8, s.gpr[i], true);
    v.setBigUint64(at + 160, BigInt(s.rflags), true);
    v.setBigUint64(at + 168, BigInt(env.FS_BASE64), true);
    v.setBigUint64(at + 176, BigInt(env.GS_BASE64), true);
    bytes.set(c.code, at + 184);
    for (const [i, p] of c.patches.entries()) {
      v.setUint32(at + 440 + i * 40, p.address, true);
      bytes[at + 444 + i * 40] = p.bytes.length;
      bytes.set(p.bytes, at + 448 + i * 40);
    }
    fxImage(bytes.subarray(at + 680, at + 680 + 512), s.fpu, s.sse);
    at += INPUT;
  }
  return bytes;
}
function fxImage(fx, fpu, sse) {
  const v = new DataView(fx.buffer, fx.byteOffset, 512);
  v.setUint32(24, sse?.mxcsr ?? 0x1f80, true);
  for (let i = 0; sse !== undefined && i < 16; i++) fx.set(sse.xmm[i], 160 + i * 16);
  v.setUint32(28, 0xffff, true);
  if (fpu === undefined) {
    v.setUint16(0, 0x37f, true);
    return;
  }
  v.setUint16(0, fpu.controlWord, true);
  v.setUint16(2, fpu.statusWord, true);
  const top = (fpu.statusWord >> 11) & 7;
  let valid = 0;
  for (let i = 0; i < 8; i++) {
    if (((fpu.tagWord >> (i * 2)) & 3) !== 3) valid |= 1 << i;
    fx.set(fpu.registers[(top + i) & 7], 32 + i * 16);
  }
  fx[4] = valid;
}

/** Runs cases; sets `result` of each. */
export function runCases(binary, cases, flagsOf) {
  const directory = mkdtempSync(join(tmpdir(), "vectors-"));
  try {
    const input = join(directory, "cases"),
      output = join(directory, "results");
    writeFileSync(input, caseFile(cases, flagsOf));
    try {
      execFileSync(binary, [input, output], { stdio: ["ignore", "inherit", "inherit"], timeout: 30_000 });
    } catch (e) {
      const done = countResults(readFileSync(output));
      const c = cases[done];
      throw new Error(
        `recorder ended (${e.status ?? e.signal}) near case ${done}: ${c && JSON.stringify({ ...c, overrides: c.overrides.map((o) => `${o.index}=${o.value.toString(16)}`) }, (_, x) => (typeof x === "bigint" ? x.toString(16) : x))}`,
      );
    }
    const bytes = readFileSync(output);
    const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    for (const c of cases) at = readResult(v, at, c);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
function countResults(bytes) {
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let n = 0;
  for (let at = 0; at + OUTPUT <= bytes.length; n++) at += OUTPUT + v.getUint32(at + 176, true) * 8;
  return n;
}
function readResult(v, at, c) {
  const gpr = [];
  for (let i = 0; i < 16; i++) gpr.push(v.getBigUint64(at + i * 8, true));
  const trap = v.getUint32(at + 168, true);
  const completed = trap === 1;
  const segments = [];
  for (let i = 0; i < 6; i++) segments.push(v.getUint16(at + 184 + i * 2, true));
  const memory = [];
  const n = v.getUint32(at + 176, true);
  for (let i = 0; i < n; i++) {
    const address = v.getUint32(at + OUTPUT + i * 8, true);
    const value = v.getUint32(at + OUTPUT + i * 8 + 4, true);
    const last = memory.at(-1);
    if (last !== undefined && last.address + last.bytes.length === address) last.bytes.push(value);
    else memory.push({ address, bytes: [value] });
  }
  c.result = {
    vector: completed ? NO_FAULT : trap,
    // Only these vectors have one; Linux keeps an old value for others.
    error: completed ? 0 : v.getUint32(at + 172, true),
    cr2: v.getBigUint64(at + 144, true),
    rip: v.getBigUint64(at + 128, true),
    // TF is the recorder's, RF belongs to faults.
    rflags: Number(v.getBigUint64(at + 136, true) & 0xfffefeffn),
    gpr,
    segments,
    memory,
  };
  if (c.fpu) {
    const status = v.getUint16(at + 202, true);
    const top = (status >> 11) & 7;
    const registers = [];
    for (let i = 0; i < 8; i++) {
      const st = (i - top) & 7;
      registers.push(new Uint8Array(v.buffer.slice(v.byteOffset + at + 200 + 32 + st * 16, v.byteOffset + at + 200 + 42 + st * 16)));
    }
    c.result.fpu = { controlWord: v.getUint16(at + 200, true), statusWord: status, empty: ~v.getUint8(at + 204) & 0xff, registers };
  }
  if (c.sse) {
    const fx = v.byteOffset + at + 200;
    const xmm = Array.from({ length: 16 }, (_, i) => new Uint8Array(v.buffer.slice(fx + 160 + i * 16, fx + 176 + i * 16)));
    c.result.sse = { mxcsr: v.getUint32(at + 224, true), xmm };
  }
  return at + OUTPUT + n * 8;
}

function casesOf(form, wanted) {
  const { row } = form;
  if (row.facts.cpl0 || ["in", "out", "ins", "outs", "ud0", "ud1", "ud2", "hlt", "sysexit", "sysret", "cli", "sti"].includes(row.sem)) return 3;
  if (["nop", "clc", "stc", "cmc", "cld", "std", "cbw", "cwd", "lahf", "sahf", "salc", "emms", "int3", "int1", "into", "fnop"].includes(row.sem))
    return Math.ceil(wanted / 2);
  if (row.sem === "jcc" || row.sem === "setcc" || row.sem === "cmovcc") return Math.ceil(wanted / 2);
  // Vectors need no more than a few cases in the modes that are not theirs; floating point has more to tell.
  if (usesSse(row)) {
    const much = env.sseStyle(rowKey(row)) === "int" ? 0.6 : /^(mov|sh|un|and|or|xor|bl)/.test(row.sem) ? 0.4 : 1.5;
    return Math.ceil((wanted * much) / (form.codeSize === 64 ? 1 : 4));
  }
  if (usesFpu(row)) return Math.ceil((wanted * (row.facts.feature === "fpu" ? 2 : 0.75)) / (form.codeSize === 64 ? 1 : 2));
  return wanted;
}

function main() {
  const args = process.argv.slice(2);
  const option = (name, value) => (args.includes(name) ? args[args.indexOf(name) + 1] : value);
  const wanted = Number(option("--cases", "20"));
  const only = option("--only", "");
  const out = option("--out", join(here, "../../test/vectors"));
  if (process.arch !== "x64" || process.platform !== "linux") {
    console.error("record: needs x86-64 Linux (modify_ldt, FSGSBASE) and gcc");
    process.exit(2);
  }
  const set = option("--set", "");
  const setOf = (f) => (usesSse(f.row) ? "sse" : usesFpu(f.row) ? "fpu" : "integer");
  const forms = makeForms().filter((f) => (only === "" || rowKey(f.row).includes(only)) && (set === "" || setOf(f) === set));
  const random = new env.Random(20261122);
  let seed = 0;
  // The seed of a case's registers is the count of draws so far: a small step is all that a vector stores.
  const nextSeed = () => ++seed;
  const cases = [];
  for (const f of forms) {
    f.key = rowKey(f.row);
    f.cases = [];
    for (let i = casesOf(f, wanted); i > 0; i--) {
      const c = makeCase(f, random, nextSeed);
      if (c === undefined) throw new Error(`no case of ${f.key} in ${f.codeSize}`);
      c.segments = env.segmentSet(c.codeSize, c.environment);
      c.rip = startOf(c.codeSize, c.segments);
      c.patches = c.patches.filter((p) => p.address >= 0x10000 && p.address < 0x2b000);
      f.cases.push(c);
      cases.push(c);
    }
  }
  const directory = mkdtempSync(join(tmpdir(), "recorder-"));
  const binary = buildRecorder(directory);
  const BATCH = 20000;
  for (let i = 0; i < cases.length; i += BATCH) runCases(binary, cases.slice(i, i + BATCH));
  rmSync(directory, { recursive: true });
  const cpu = /model name\s*: (.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "?";
  const model = ["vendor_id", "cpu family", "model", "stepping"]
    .map((k) => new RegExp(`^${k}\\s*: (.*)$`, "m").exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1])
    .join(" ");
  const header = { version: 1, source: `${cpu} (${model}), user mode` };
  for (const name of ["integer", "fpu", "sse"]) {
    const part = forms.filter((f) => setOf(f) === name);
    if (part.length === 0) continue;
    const file = join(out, `${name}.bin.br`);
    writeFileSync(file, pack(header, part));
    console.log(`${name}: ${part.length} forms, ${part.reduce((n, f) => n + f.cases.length, 0)} cases, ${statSync(file).size} bytes`);
  }
  const excluded = Object.fromEntries(OPCODE_ROWS.map((row) => [rowKey(row), excludedAtCpl3(row)]).filter(([, why]) => why !== ""));
  if (only === "") writeFileSync(join(out, "excluded.json"), `${JSON.stringify(excluded, undefined, 1)}\n`);
}
if (process.argv[1] === fileURLToPath(import.meta.url)) main();
