#!/usr/bin/env node
/**
 * Replays the system-instruction set (system.json.br): one instruction with the delivery of its fault, at every privilege level, in every mode.
 * The set holds QEMU's answers, not silicon's (see `source` in it); `system-known.mjs` names where the manual says otherwise.
 *
 *   node test/vectors/play-system.mjs [--mode NAME] [--only TEXT] [--show N] [--file FILE]
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";
import { createSoftEngine } from "../../dist/engine/soft/index.js";
import { CODE, image, MEMORY } from "../../tools/recorder/system-env.mjs";
import { knownDifference } from "./system-known.mjs";

const RAM = 0x400000;
const args = process.argv.slice(2);
const option = (name, value) => (args.includes(name) ? args[args.indexOf(name) + 1] : value);
const hex = (v) => v.toString(16);
const big = (text) => BigInt(`0x${text}`);

/** QEMU's x87 after RESET is as after FNINIT. */
const INITIAL_FPU = {
  controlWord: 0x37f,
  statusWord: 0,
  tagWord: 0xffff,
  registers: Array.from({ length: 8 }, () => new Uint8Array(10)),
  mxcsr: 0x1f80,
};

/** VMCS-style access rights from the upper word of a descriptor. */
function access(name, s, r) {
  const raw = (s.high >> 8) & 0xf0ff;
  if ((raw & 0x80) === 0) return 0x10000;
  const real = (big(r.control.cr0) & 1n) === 0n || (big(r.rflags) & 0x20000n) !== 0n;
  return real && name === "cs" && (raw & 8) === 0 && !(big(r.rflags) & 0x20000n) ? raw | 0x9b : raw;
}

export class SystemPlayer {
  constructor() {
    const io = { portRead: () => -1, portWrite: () => false, mmioRead: () => -1, mmioWrite: () => false, interruptAcknowledge: () => 0 };
    const vm = createSoftEngine({ firstTier: 0 }).createVm({ ramBytes: RAM, regions: [], io, readTsc: () => 0 });
    const ram = vm.regions.get("ram");
    vm.mapSlot({ gpa: 0, region: ram, regionOffset: 0, sizeBytes: RAM, access: "rw" });
    this.vm = vm;
    this.v = vm.vcpu;
    this.bytes = ram.bytes;
    this.modes = new Map();
  }
  memoryOf(mode, data) {
    let m = this.modes.get(mode);
    if (m === undefined) {
      m = image();
      for (const [at, ...bytes] of data.memory) m.set(bytes, at);
      this.modes.set(mode, m);
    }
    return m;
  }
  play(mode, data, c) {
    const v = this.v;
    const r = data.registers;
    v.reset();
    const before = this.memoryOf(mode, data).slice();
    before.set(c.code, CODE);
    for (const [at, bytes] of c.memory) before.set(bytes, at);
    this.vm.memory.write(0, before);
    v.setControl("cr0", 0x10n);
    v.setControl("efer", big(r.control.efer));
    v.setControl("cr4", big(r.control.cr4));
    v.setControl("cr3", big(r.control.cr3));
    v.setControl("cr0", big(r.control.cr0));
    v.setDescriptorTable("gdtr", big(r.tables.gdt.base), r.tables.gdt.limit);
    v.setDescriptorTable("idtr", big(r.tables.idt.base), r.tables.idt.limit);
    v.setRflags(c.flags === undefined ? Number(big(r.rflags)) : (Number(big(r.rflags)) & 0x23000) | c.flags | 2);
    for (const n of ["ss", "cs", "ds", "es", "fs", "gs", "ldtr", "tr"]) {
      const s = r.seg[n === "ldtr" ? "ldt" : n];
      v.setSegment(n, { selector: s.selector, base: big(s.base), limit: s.limit, access: access(n, s, r) | (n === "tr" ? 2 : 0) }); // QEMU's TR is never busy
    }
    for (let i = 0; i < 16; i++) v.setGpr(i, big(r.gpr[i]));
    for (const [i, value] of Object.entries(c.gpr)) v.setGpr(Number(i), BigInt(value));
    v.setFpu(INITIAL_FPU);
    v.setRip(big(r.rip));
    for (const [n, value] of [
      [0x174, 8n],
      [0x175, 0x20700n],
      [0x176, 0x9c00n],
    ])
      v.setMsr(n, /^(prot0|prot3|long0|long3)$/.test(mode) ? value : 0n);
    if (/long|compat|guard/.test(mode))
      for (const [n, value] of [
        [0xc0000081, 0x0023000800000000n],
        [0xc0000082, 0x9a00n],
        [0xc0000083, 0x9b00n],
        [0xc0000084, 0x500n],
        [0xc0000102, 0x12345678n],
      ])
        v.setMsr(n, value);

    const exit = v.run({ kind: "run" }, 1);
    const want = c.result.registers;
    const wrong = [];
    const say = (what, got, expected) => wrong.push(`${what} ${got}, not ${expected}`);
    if (exit.kind !== "budget") say("exit", exit.message ?? exit.kind, "none");
    if (v.getRip() !== big(want.rip)) say("rip", hex(v.getRip()), want.rip);
    // R8-R15 and upper halves are only printed in 64-bit code.
    const wide = (want.seg.cs.high & 0x200000) !== 0;
    for (let i = 0; i < (wide ? 16 : 8); i++) {
      const expected = big(want.gpr[i]);
      const got = wide ? v.getGpr(i) : v.getGpr(i) & 0xffffffffn;
      if (got !== expected) say(`r${i}`, hex(got), hex(expected));
    }
    const flags = (v.getRflags() ^ Number(big(want.rflags))) & 0x3e7fd5;
    if (flags !== 0) say("flags", hex(v.getRflags()), want.rflags);
    for (const n of ["cs", "ss", "ds", "es", "fs", "gs", "ldtr", "tr"]) {
      const s = want.seg[n === "ldtr" ? "ldt" : n];
      const got = v.getSegment(n);
      if (got.selector !== s.selector) say(n, hex(got.selector), hex(s.selector));
      else if ((s.high & 0x8000) !== 0 && (got.access & 0x10000) === 0) {
        const bits = n === "tr" ? 0x8d : 0xd0ff;
        if (got.base !== big(s.base)) say(`${n} base`, hex(got.base), s.base);
        else if (got.limit !== s.limit && !wide) say(`${n} limit`, hex(got.limit), hex(s.limit));
        else if (mode === "real" && n === "cs") continue;
        else if (((got.access ^ access(n, s, want)) & bits & ~1) !== 0) say(`${n} access`, hex(got.access), hex(access(n, s, want)));
      } else if (((s.high & 0x8000) !== 0) !== ((got.access & 0x10080) === 0x80) && (s.selector & 0xfffc) !== 0)
        say(`${n} access`, hex(got.access), hex(s.high));
    }
    for (const t of ["gdt", "idt"]) {
      const got = v.getDescriptorTable(`${t}r`);
      if (got.base !== big(want.tables[t].base) || got.limit !== want.tables[t].limit)
        say(t, `${hex(got.base)}:${hex(got.limit)}`, `${want.tables[t].base}:${hex(want.tables[t].limit)}`);
    }
    for (const n of ["cr0", "cr2", "cr3", "cr4", "dr0", "dr2", "dr6", "dr7", "efer"]) {
      const got = v.getControl(n);
      if (got !== big(want.control[n])) say(n, hex(got), want.control[n]);
    }
    for (const [at, ...bytes] of c.result.memory) before.set(bytes, at);
    for (let i = 0, shown = 0; i < MEMORY && shown < 4; i++) {
      // QEMU does not set RF in the flags that a fault pushes.
      const rf = this.bytes[i] === (before[i] | 1) && ((i >= 0x10000 && i < 0x26000) || i === 0x6026 || i === 0x6226);
      if (this.bytes[i] !== before[i] && !rf) {
        shown++;
        say(`[${hex(i)}]`, hex(this.bytes[i]), hex(before[i]));
      }
    }
    return wrong;
  }
}

export function playSystem({ file = join(dirname(fileURLToPath(import.meta.url)), "system.json.br"), mode = "", only = "", show = 2 } = {}) {
  const data = JSON.parse(brotliDecompressSync(readFileSync(file)).toString());
  const player = new SystemPlayer();
  const bad = new Map();
  const known = new Map();
  let cases = 0,
    mismatches = 0;
  for (const c of data.cases) {
    if ((mode !== "" && c.mode !== mode) || !c.asm.includes(only)) continue;
    cases++;
    let wrong;
    try {
      wrong = player.play(c.mode, data.modes[c.mode], c);
    } catch (e) {
      wrong = [`threw ${e instanceof Error ? e.stack : String(e)}`];
    }
    if (wrong.length === 0) continue;
    const reason = knownDifference(c, wrong);
    if (reason !== "") {
      known.set(reason, (known.get(reason) ?? 0) + 1);
      continue;
    }
    mismatches++;
    const key = `${c.mode} ${c.asm.replace(/\d{2,}:/, "SEL:").replace(/0x[0-9a-f]+|\b\d+\b/g, "N")}`;
    bad.set(key, [
      ...(bad.get(key) ?? []),
      `${c.asm} ${JSON.stringify(c.gpr)} ${c.flags === undefined ? "" : `flags ${hex(c.flags)} `}${c.memory.map(([at, b]) => `[${hex(at)}]=${Buffer.from(b).toString("hex")}`).join(" ")} | ${wrong.join("; ")}`,
    ]);
  }
  for (const [key, list] of bad) {
    console.log(`${key}: ${list.length}`);
    for (const line of list.slice(0, show)) console.log(`    ${line}`);
  }
  for (const [reason, n] of known) console.log(`  ${n} cases: ${reason}`);
  console.log(`forms: ${new Set(data.cases.map((c) => `${c.mode} ${c.asm}`)).size}, cases: ${cases}, mismatches: ${mismatches} (by ${data.source})`);
  return mismatches;
}
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exit(
    playSystem({
      mode: option("--mode", ""),
      only: option("--only", ""),
      show: Number(option("--show", "2")),
      ...(args.includes("--file") ? { file: option("--file", "") } : {}),
    }) === 0
      ? 0
      : 1,
  );
}
