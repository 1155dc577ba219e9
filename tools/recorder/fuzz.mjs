#!/usr/bin/env node
/**
 * Random programs on this machine's processor and on the engine; both must end alike. A failing program is cut down to the
 * instructions that matter and printed.
 *
 *   npm run fuzz:cpu -- --runs 20000 --seed 1 [--jit] [--length 40] [--mode 16|32|64]
 *
 * A program is 10 to `length` instructions from all rows that can run at CPL 3, with registers loaded so that memory operands mostly
 * hit, forward branches over an instruction or two, and small counted loops; it ends at INT3 or at its first fault.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, disassemble } from "../../dist/isa/index.js";
import { createSoftEngine } from "../../dist/engine/soft/index.js";
import * as env from "../../test/vectors/environment.mjs";
import { inputState, NO_FAULT, same } from "../../test/vectors/format.mjs";
import { Player } from "../../test/vectors/player.mjs";
import { makeCase, makeForms, rowKey, usesSse } from "./forms.mjs";
import { buildRecorder, runCases, startOf } from "./record.mjs";

const args = process.argv.slice(2);
const option = (name, value) => (args.includes(name) ? args[args.indexOf(name) + 1] : value);
const RUNS = Number(option("--runs", "2000"));
const SEED = Number(option("--seed", "1"));
const LENGTH = Number(option("--length", "40"));
const MODE = option("--mode", "");
const JIT = args.includes("--jit");
const BUDGET = 200_000;
const ROOM = 230;

/** What ends or leaves a program, or differs by intention from the recorder (see the player). */
const LEFT_OUT =
  /far|iret|^int|into|^call|^ret|^j|^loop|sreg|^l[defgs]s$|popf|pushf|^lar$|^lsl$|^ver[rw]$|arpl|^ud|^in$|^out$|^ins$|^outs$|hlt|cli|sti|sys|pusha|fx|fnsave|fnstenv|frstor|fldenv|fptan|fpatan|fyl2x|f2xm1|fsin|fcos|enter|leave|bound/;

const player = new Player({ engine: createSoftEngine({ firstTier: 0, ...(JIT && { jit: { threshold: 1 } }) }) });
const forms = makeForms().filter((f) => !LEFT_OUT.test(f.row.sem) && !f.row.facts.cpl0 && !player.features.has(f.row.facts.feature));
const bySize = { 16: [], 32: [], 64: [] };
for (const f of forms) bySize[f.codeSize].push(f);
/** Rows have many forms or few: draw rows first. */
const byRow = {};
for (const size of [16, 32, 64]) {
  const groups = new Map();
  for (const f of bySize[size]) groups.set(rowKey(f.row), [...(groups.get(rowKey(f.row)) ?? []), f]);
  byRow[size] = [...groups.values()];
}
const INTEGER = {};
const isFpu = (f) => /fpu|mmx|sse/.test(f.row.facts.feature) || /^f/.test(f.row.sem);
const VECTOR = {};
for (const size of [16, 32, 64]) {
  INTEGER[size] = byRow[size].filter((g) => !isFpu(g[0]) && !usesSse(g[0].row));
  VECTOR[size] = byRow[size].filter((g) => usesSse(g[0].row));
}

/** MOV register, value. */
function loadRegister(codeSize, index, value) {
  if (codeSize === 64) {
    const small = value < 0x80000000n;
    const bytes = [];
    for (let i = 0; i < (small ? 4 : 8); i++) bytes.push(Number((value >> BigInt(i * 8)) & 0xffn));
    const high = index >= 8 ? 1 : 0;
    return small ? [...(high ? [0x41] : []), 0xb8 + (index & 7), ...bytes] : [0x48 | high, 0xb8 + (index & 7), ...bytes];
  }
  const bytes = [0, 8, 16, 24].map((s) => Number((value >> BigInt(s)) & 0xffn));
  return [...(codeSize === 16 ? [0x66] : []), 0xb8 + index, ...bytes];
}

/** Pieces of a program: byte lists that may be left out one by one. Branches count pieces, not bytes. */
function makeProgram(random) {
  const codeSize = MODE === "" ? random.pick([16, 32, 64]) : Number(MODE);
  const kind = random.below(100);
  const fpu = kind < 30;
  const sse = kind >= 70 ? random.pick(["int", "int", "f32", "f64"]) : undefined;
  const groups = fpu ? byRow[codeSize] : INTEGER[codeSize];
  const pieces = [];
  const wanted = 10 + random.below(LENGTH - 9);
  for (let tries = 0; pieces.length < wanted && tries < wanted * 8; tries++) {
    const form = random.pick(random.pick(sse !== undefined && random.chance(75) ? VECTOR[codeSize] : groups));
    if (!fpu && sse === undefined && isFpu(form)) continue;
    // New exceptions unmasked would end most programs.
    if (form.row.sem === "ldmxcsr" && !random.chance(10)) continue;
    const c = makeCase(form, random);
    if (c === undefined || c.environment !== 0) continue;
    const insn = decode(Uint8Array.from(c.code), 0, c.code.length, codeSize);
    // Relative addresses move with the code; alignment checks are for the vectors.
    if ("failure" in insn || insn.operands.some((o) => o.kind === "mem" && o.base === 16)) continue;
    if (random.below(30) !== 0 && insn.operands.some((o) => o.kind === "reg" && o.cls === "gpr" && o.index === 4 && o.access !== "r" && o.size > 8))
      continue;
    if (codeSize !== 64 && c.code.slice(0, 5).includes(0x2e)) continue;
    const load = c.overrides.flatMap((o) => loadRegister(codeSize, o.index, codeSize === 64 ? o.value : o.value & 0xffffffffn));
    const k = random.below(20);
    pieces.push({ bytes: [...load, ...c.code], branch: k < 2 ? 0x70 + random.below(16) : 0, loop: k === 2 ? 2 + random.below(6) : 0 });
  }
  // Mostly with x87 exceptions masked.
  let seed = random.u32();
  while (fpu && random.below(10) !== 0 && (env.expandFpu(seed).controlWord & 0x3f) !== 0x3f) seed = random.u32();
  while (sse !== undefined && random.below(10) !== 0 && (env.expandSse(seed, "int").mxcsr & 0x1f80) !== 0x1f80) seed = random.u32();
  return { codeSize, fpu, sse, pieces, seed };
}

/** A branch in front jumps over its piece; a loop counts a register of the stack page around it. */
function assemble(program) {
  const out = [];
  for (const p of program.pieces) {
    const bytes = [...p.bytes];
    if (p.loop !== 0 && program.codeSize === 32 && bytes.length < 90) {
      // mov byte [29ff0h], n; piece; dec byte [29ff0h]; jnz piece
      const at = [0xf0, 0x9f, 0x02, 0x00];
      const back = bytes.length + 6 + 2;
      bytes.unshift(0xc6, 0x05, ...at, p.loop);
      bytes.push(0xfe, 0x0d, ...at, 0x75, 256 - back);
    } else if (p.branch !== 0 && bytes.length < 120) bytes.unshift(p.branch, bytes.length);
    if (out.length + bytes.length > ROOM) break;
    out.push(...bytes);
  }
  out.push(0xcc);
  return out;
}

function asCase(program) {
  const segments = env.segmentSet(program.codeSize, 0);
  return {
    codeSize: program.codeSize,
    environment: 0,
    code: Uint8Array.from(assemble(program)),
    seed: program.seed,
    overrides: [],
    flags: undefined,
    patches: [],
    fpu: true,
    sse: program.sse ?? "int",
    repeat: false,
    segments,
    rip: startOf(program.codeSize, segments),
  };
}

/** Differences between the recorded end and the engine's; "" when alike, undefined when the program did not end. */
function compare(c) {
  const want = c.result;
  if (want.vector === 254) return undefined;
  const got = player.execute(c, BUDGET);
  if (got.budget) return undefined;
  const wrong = [];
  if (got.vector !== want.vector) wrong.push(`vector ${got.vector} at ${got.rip.toString(16)}, not ${want.vector} at ${want.rip.toString(16)}`);
  else if (got.rip !== want.rip) wrong.push(`rip ${got.rip.toString(16)}, not ${want.rip.toString(16)}`);
  if (want.vector === 14 && got.vector === 14 && got.cr2 !== want.cr2) wrong.push(`CR2 ${got.cr2.toString(16)}, not ${want.cr2.toString(16)}`);
  const registers = c.codeSize === 64 ? 16 : 8;
  for (let i = 0; i < registers; i++) {
    const mask = c.codeSize === 64 ? 0xffffffffffffffffn : 0xffffffffn;
    if ((got.gpr[i] & mask) !== (want.gpr[i] & mask))
      wrong.push(`r${i} ${(got.gpr[i] & mask).toString(16)}, not ${(want.gpr[i] & mask).toString(16)}`);
  }
  const flags = (got.rflags ^ want.rflags) & 0xcd5;
  if (flags !== 0) wrong.push(`flags ${(got.rflags & 0xcd5).toString(16)}, not ${(want.rflags & 0xcd5).toString(16)}`);
  if (got.fpu.controlWord !== want.fpu.controlWord) wrong.push("FCW");
  const storeFault = want.vector !== 3;
  if ((got.fpu.statusWord ^ want.fpu.statusWord) & (storeFault ? ~0x3800 : -1))
    wrong.push(`FSW ${got.fpu.statusWord.toString(16)}, not ${want.fpu.statusWord.toString(16)}`);
  for (let i = 0; i < 8; i++) if (!same(got.fpu.registers[i], want.fpu.registers[i])) wrong.push(`fpr${i}`);
  if (got.fpu.mxcsr !== want.sse.mxcsr) wrong.push(`MXCSR ${got.fpu.mxcsr.toString(16)}, not ${want.sse.mxcsr.toString(16)}`);
  for (let i = 0; i < 16; i++)
    if (!same(got.xmm[i], want.sse.xmm[i]))
      wrong.push(`xmm${i} ${Buffer.from(got.xmm[i]).toString("hex")}, not ${Buffer.from(want.sse.xmm[i]).toString("hex")}`);
  const memory = player.memoryDifference(want.memory);
  if (memory !== "") wrong.push(memory);
  return wrong.join("; ");
}

function listing(c) {
  const lines = [];
  for (let at = 0, ip = c.rip; at < c.code.length; ) {
    const d = disassemble(c.code, at, c.codeSize, ip);
    lines.push(
      `  ${ip.toString(16).padStart(6)}  ${Buffer.from(c.code.subarray(at, at + d.length))
        .toString("hex")
        .padEnd(30)} ${d.text}`,
    );
    at += Math.max(1, d.length);
    ip += BigInt(Math.max(1, d.length));
  }
  return lines.join("\n");
}

const PROGRAM = 4;
function failing(binary, programs) {
  const cases = programs.map(asCase);
  runCases(binary, cases, () => PROGRAM);
  return cases.map((c) => compare(c));
}
/** Leaves out pieces while the program still fails. */
function minimise(binary, program) {
  let best = program;
  for (let size = Math.ceil(best.pieces.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.pieces.length; ) {
      const tried = { ...best, pieces: [...best.pieces.slice(0, at), ...best.pieces.slice(at + size)] };
      const why = failing(binary, [tried])[0];
      if (why !== undefined && why !== "") best = tried;
      else at += size;
    }
  }
  return best;
}

function main() {
  const directory = mkdtempSync(join(tmpdir(), "fuzz-"));
  const binary = buildRecorder(directory);
  const random = new env.Random(SEED);
  random.safe = true;
  let failures = 0,
    endless = 0,
    instructions = 0,
    faults = 0;
  const began = Date.now();
  const BATCH = 500;
  for (let done = 0; done < RUNS; done += BATCH) {
    const programs = Array.from({ length: Math.min(BATCH, RUNS - done) }, () => makeProgram(random));
    const cases = programs.map(asCase);
    runCases(binary, cases, () => PROGRAM);
    for (const [i, c] of cases.entries()) {
      instructions += programs[i].pieces.length;
      const why = compare(c);
      if (c.result.vector !== 3) faults++;
      if (why === undefined) endless++;
      else if (why !== "") {
        failures++;
        if (failures > 12) continue;
        const small = minimise(binary, programs[i]);
        const one = asCase(small);
        runCases(binary, [one], () => PROGRAM);
        const state = inputState(one);
        console.log(
          `program ${done + i} (seed ${SEED}): ${why}\n cut down to, in ${one.codeSize}-bit code: ${compare(one)}\n${listing(one)}\n  in: ${state.gpr
            .slice(0, one.codeSize === 64 ? 16 : 8)
            .map((v) => v.toString(16))
            .join(" ")} flags ${state.rflags.toString(16)} cw ${state.fpu.controlWord.toString(16)} sw ${state.fpu.statusWord.toString(16)}`,
        );
      }
    }
  }
  rmSync(directory, { recursive: true });
  console.log(
    `programs: ${RUNS}, instructions: ${instructions}, failures: ${failures} (ended by a fault: ${faults}, not ended: ${endless}) in ${((Date.now() - began) / 1000).toFixed(1)} s`,
  );
  process.exit(failures === 0 ? 0 : 1);
}
void NO_FAULT;
main();
