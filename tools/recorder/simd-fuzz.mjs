#!/usr/bin/env node
/**
 * SSE floating point, conversions, AES, PCLMULQDQ, CRC32 and string comparisons on random operands: this machine's processor against the engine's
 * helpers, results, MXCSR and flags.
 *
 *   node tools/recorder/simd-fuzz.mjs [--runs 2000] [--seed 1] [--only addsd] [--engine]
 *
 * --engine: through the whole engine, so that generated code does what it does itself and leaves the rest to the helpers.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { decode } from "../../dist/isa/index.js";
import { createSoftEngine } from "../../dist/engine/soft/index.js";
import { SIMD } from "../../dist/engine/soft/simd/index.js";
import { STATE } from "../../dist/engine/soft/state-layout.js";
import { fromSource } from "../from-source.mjs";
import * as env from "../../test/vectors/environment.mjs";
import { laneBytes, mxcsrValue } from "./floats.mjs";
import { Player } from "../../test/vectors/player.mjs";

const { TestMachine } = await fromSource("engine/soft/sys/machine.testing.ts");

const args = process.argv.slice(2);
const option = (name, value) => (args.includes(name) ? args[args.indexOf(name) + 1] : value);
const RUNS = Number(option("--runs", "2000"));
const ONLY = option("--only", "");
const IN = 64,
  OUT = 56;

/** Prefix, opcode after 0F, lanes of both operands (32, 64, 0 integers), immediate?, ModRM. C1: xmm0, xmm1 (or mm0, mm1; eax, ecx by the opcode). */
const OPS = [];
const PREFIX = { ps: [], pd: [0x66], ss: [0xf3], sd: [0xf2] };
const LANES = { ps: 32, pd: 64, ss: 32, sd: 64 };
const add = (name, prefix, opcode, lanes, { imm = false, rex = 0, modrm = 0xc1 } = {}) => OPS.push({ name, prefix, opcode, lanes, imm, rex, modrm });
for (const [name, opcode] of Object.entries({ add: 0x58, mul: 0x59, sub: 0x5c, min: 0x5d, div: 0x5e, max: 0x5f, sqrt: 0x51 }))
  for (const t of ["ss", "sd", "ps", "pd"]) add(name + t, PREFIX[t], [opcode], LANES[t]);
for (const t of ["ss", "ps"]) {
  add(`rcp${t}`, PREFIX[t], [0x53], 32);
  add(`rsqrt${t}`, PREFIX[t], [0x52], 32);
}
for (const t of ["ss", "sd", "ps", "pd"]) add(`cmp${t}`, PREFIX[t], [0xc2], LANES[t], { imm: true });
for (const [name, opcode] of Object.entries({ hadd: 0x7c, hsub: 0x7d, addsub: 0xd0 })) {
  add(`${name}ps`, [0xf2], [opcode], 32);
  add(`${name}pd`, [0x66], [opcode], 64);
}
add("comiss", [], [0x2f], 32);
add("comisd", [0x66], [0x2f], 64);
add("ucomiss", [], [0x2e], 32);
add("ucomisd", [0x66], [0x2e], 64);
add("dpps", [0x66], [0x3a, 0x40], 32, { imm: true });
add("dppd", [0x66], [0x3a, 0x41], 64, { imm: true });
add("roundps", [0x66], [0x3a, 0x08], 32, { imm: true });
add("roundpd", [0x66], [0x3a, 0x09], 64, { imm: true });
add("roundss", [0x66], [0x3a, 0x0a], 32, { imm: true });
add("roundsd", [0x66], [0x3a, 0x0b], 64, { imm: true });
add("cvtss2sd", [0xf3], [0x5a], 32);
add("cvtps2pd", [], [0x5a], 32);
add("cvtsd2ss", [0xf2], [0x5a], 64);
add("cvtpd2ps", [0x66], [0x5a], 64);
add("cvtdq2ps", [], [0x5b], 0);
add("cvtdq2pd", [0xf3], [0xe6], 0);
add("cvtps2dq", [0x66], [0x5b], 32);
add("cvttps2dq", [0xf3], [0x5b], 32);
add("cvtpd2dq", [0xf2], [0xe6], 64);
add("cvttpd2dq", [0x66], [0xe6], 64);
for (const rex of [0, 0x48]) {
  add(`cvtss2si${rex}`, [0xf3], [0x2d], 32, { rex });
  add(`cvttss2si${rex}`, [0xf3], [0x2c], 32, { rex });
  add(`cvtsd2si${rex}`, [0xf2], [0x2d], 64, { rex });
  add(`cvttsd2si${rex}`, [0xf2], [0x2c], 64, { rex });
  add(`cvtsi2ss${rex}`, [0xf3], [0x2a], 0, { rex, modrm: 0xc0 });
  add(`cvtsi2sd${rex}`, [0xf2], [0x2a], 0, { rex, modrm: 0xc0 });
  add(`pcmpestrm${rex}`, [0x66], [0x3a, 0x60], 8, { rex, imm: true });
  add(`pcmpestri${rex}`, [0x66], [0x3a, 0x61], 8, { rex, imm: true });
}
add("pcmpistrm", [0x66], [0x3a, 0x62], 8, { imm: true });
add("pcmpistri", [0x66], [0x3a, 0x63], 8, { imm: true });
add("cvtps2pi", [], [0x2d], 32);
add("cvttps2pi", [], [0x2c], 32);
add("cvtpd2pi", [0x66], [0x2d], 64);
add("cvttpd2pi", [0x66], [0x2c], 64);
add("cvtpi2ps", [], [0x2a], 0);
add("cvtpi2pd", [0x66], [0x2a], 0);
for (const [name, opcode] of Object.entries({ aesimc: 0xdb, aesenc: 0xdc, aesenclast: 0xdd, aesdec: 0xde, aesdeclast: 0xdf }))
  add(name, [0x66], [0x38, opcode], 0);
add("aeskeygenassist", [0x66], [0x3a, 0xdf], 0, { imm: true });
add("pclmulqdq", [0x66], [0x3a, 0x44], 0, { imm: true });
add("crc32b", [0xf2], [0x38, 0xf0], 0, { modrm: 0xc2 });
add("crc32w", [0x66, 0xf2], [0x38, 0xf1], 0, { modrm: 0xc2 });
add("crc32d", [0xf2], [0x38, 0xf1], 0, { modrm: 0xc2 });
add("crc32q", [0xf2], [0x38, 0xf1], 0, { modrm: 0xc2, rex: 0x48 });

/** Immediates are part of the code: some of them each, cases shared out. */
const programs = OPS.filter((o) => o.name.includes(ONLY)).flatMap((o) => {
  const immediates = !o.imm
    ? [undefined]
    : o.name.startsWith("round")
      ? [...Array(16).keys()]
      : o.name.startsWith("pcmp") || o.name.startsWith("dp")
        ? [...Array(256).keys()]
        : o.name.startsWith("cmp")
          ? [0, 1, 2, 3, 4, 5, 6, 7, 0xf9]
          : [0, 1, 0x10, 0x11, 0xee, 0x5a];
  return immediates.map((imm) => ({
    ...o,
    code: Uint8Array.from([...o.prefix, ...(o.rex ? [o.rex] : []), 0x0f, ...o.opcode, o.modrm, ...(imm === undefined ? [] : [imm])]),
    count: Math.ceil(RUNS / immediates.length),
  }));
});

function makeCases(random) {
  const total = programs.reduce((n, p) => n + 24 + p.count * IN, 0);
  const file = new Uint8Array(total);
  const v = new DataView(file.buffer);
  let at = 0;
  for (const p of programs) {
    v.setUint32(at, p.code.length, true);
    v.setUint32(at + 4, p.count, true);
    file.set(p.code, at + 8);
    at += 24;
    for (let i = 0; i < p.count; i++, at += IN) {
      laneBytes(random, p.lanes, file.subarray(at, at + 32));
      const n = random.below(4);
      for (let k = 32; k < 56; k += 8)
        v.setBigUint64(
          at + k,
          n === 0
            ? BigInt.asUintN(64, BigInt(random.below(40) - 20))
            : n === 1
              ? BigInt.asUintN(64, BigInt.asIntN(64, random.u64()) >> BigInt(random.below(64)))
              : random.u64(),
          true,
        );
      v.setUint32(at + 56, mxcsrValue(random), true);
    }
  }
  return file;
}

/** The helper alone on a bare CPU. */
function onHelper() {
  const { cpu } = new TestMachine();
  cpu.u32[STATE.cr4.offset >> 2] = 0x600;
  let insn, helper;
  return {
    program(code) {
      insn = decode(code, 0, code.length, 64);
      helper = SIMD[insn.row.sem];
    },
    run(x, y, mm, rax, rdx, mxcsr) {
      cpu.u8.set(x, STATE.xmm.offset);
      cpu.u8.set(y, STATE.xmm.offset + 16);
      cpu.u64[STATE.fpr.offset >> 3] = cpu.u64[(STATE.fpr.offset >> 3) + 2] = mm;
      cpu.setR64(0, rax);
      cpu.setR64(2, rdx);
      cpu.setR64(1, 0xffffffffffffffffn);
      cpu.u32[STATE.mxcsr.offset >> 2] = mxcsr;
      cpu.eflags = 0x8d7;
      let fault = 0;
      try {
        helper(cpu, insn);
      } catch (e) {
        if (e !== cpu.fault) throw e;
        fault = cpu.fault.vector === 19 ? 1 : 99;
      }
      return {
        x: cpu.u8.subarray(STATE.xmm.offset, STATE.xmm.offset + 16),
        mm: cpu.u64[STATE.fpr.offset >> 3],
        rax: cpu.r64(0),
        rcx: cpu.r64(1),
        mxcsr: cpu.u32[STATE.mxcsr.offset >> 2],
        flags: cpu.eflags,
        fault,
      };
    },
  };
}
/** One instruction at a time through a virtual CPU. */
function onEngine() {
  const player = new Player({ engine: createSoftEngine({ firstTier: 0 }) });
  const v = player.vcpu;
  const code = env.hidden(env.CS64),
    data = env.hidden(env.DS_USER);
  const registers = Array.from({ length: 8 }, () => new Uint8Array(10).fill(0xff));
  const state = { controlWord: 0x37f, statusWord: 0, tagWord: 0, registers, mxcsr: 0 };
  return {
    program(bytes) {
      player.memory.write(env.CODE, bytes);
      v.setSegment("cs", { selector: env.CS64, base: 0n, limit: code.limit, access: code.access });
      v.setSegment("ss", { selector: env.DS_USER, base: 0n, limit: data.limit, access: data.access });
    },
    run(x, y, mm, rax, rdx, mxcsr) {
      v.setXmm(0, x);
      v.setXmm(1, y);
      for (let i = 0; i < 2; i++) new DataView(registers[i].buffer).setBigUint64(0, mm, true);
      state.mxcsr = mxcsr;
      v.setFpu(state);
      v.setGpr(0, rax);
      v.setGpr(2, rdx);
      v.setGpr(1, 0xffffffffffffffffn);
      v.setRflags(0x8d7);
      v.setRip(BigInt(env.CODE));
      const exit = v.run({ kind: "run" }, 1);
      const fpu = v.getFpu();
      return {
        x: v.getXmm(0),
        mm: new DataView(fpu.registers[0].buffer).getBigUint64(0, true),
        rax: v.getGpr(0),
        rcx: v.getGpr(1),
        mxcsr: fpu.mxcsr,
        flags: v.getRflags(),
        fault: exit.kind === "budget" ? 0 : exit.kind === "exception" && exit.vector === 19 ? 1 : 99,
      };
    },
  };
}

function main() {
  const directory = mkdtempSync(join(tmpdir(), "simd-"));
  const binary = join(directory, "simd");
  execFileSync("gcc", ["-O1", "-o", binary, join(dirname(fileURLToPath(import.meta.url)), "simd.c")], { stdio: "inherit" });
  const input = makeCases(new env.Random(Number(option("--seed", "1"))));
  writeFileSync(join(directory, "in"), input);
  execFileSync(binary, [join(directory, "in"), join(directory, "out")], { stdio: "inherit" });
  const output = readFileSync(join(directory, "out"));
  rmSync(directory, { recursive: true });
  const iv = new DataView(input.buffer);
  const ov = new DataView(output.buffer, output.byteOffset);
  const subject = args.includes("--engine") ? onEngine() : onHelper();
  const hex = (b) => Buffer.from(b).reverse().toString("hex");
  let ia = 0,
    oa = 0,
    cases = 0,
    failures = 0,
    raised = 0;
  const began = Date.now();
  for (const p of programs) {
    subject.program(p.code);
    ia += 24;
    let bad = 0;
    for (let i = 0; i < p.count; i++, ia += IN, oa += OUT, cases++) {
      const x = input.subarray(ia, ia + 16),
        y = input.subarray(ia + 16, ia + 32);
      const [mm, rax, rdx] = [32, 40, 48].map((k) => iv.getBigUint64(ia + k, true));
      const mxcsr = iv.getUint32(ia + 56, true);
      const got = subject.run(x, y, mm, rax, rdx, mxcsr);
      const fault = ov.getUint32(oa + 48, true);
      raised += fault;
      const wrong = [];
      const check = (what, have, want) => {
        if (have !== want) wrong.push(`${what} ${have.toString(16)}, not ${want.toString(16)}`);
      };
      check("xmm0", hex(got.x), hex(output.subarray(oa, oa + 16)));
      check("fault", got.fault, fault);
      check("mm0", got.mm, ov.getBigUint64(oa + 16, true));
      check("rax", got.rax, ov.getBigUint64(oa + 24, true));
      check("rcx", got.rcx, ov.getBigUint64(oa + 32, true));
      check("mxcsr", got.mxcsr, ov.getUint32(oa + 40, true));
      check("flags", got.flags & 0x8d5, ov.getUint32(oa + 44, true) & 0x8d5);
      if (wrong.length === 0) continue;
      failures++;
      if (bad++ >= 3) continue;
      console.log(`${p.name} ${Buffer.from(p.code).toString("hex")}: ${wrong.join("; ")}`);
      console.log(`    x ${hex(x)} y ${hex(y)} mm ${mm.toString(16)} rax ${rax.toString(16)} rdx ${rdx.toString(16)} mxcsr ${mxcsr.toString(16)}`);
    }
    if (bad > 0) console.log(`${p.name}: ${bad} of ${p.count}`);
  }
  console.log(
    `instructions: ${programs.length}, cases: ${cases} (${raised} with #XM), failures: ${failures} in ${((Date.now() - began) / 1000).toFixed(1)} s`,
  );
  process.exit(failures === 0 ? 0 : 1);
}
main();
