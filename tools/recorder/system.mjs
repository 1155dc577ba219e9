#!/usr/bin/env node
/**
 * Records the system-instruction set: segment loads, gates, task switches, returns, interrupts and control registers at CPL 0..3 in every mode,
 * one instruction a case with the delivery of its fault.
 *
 *   node tools/recorder/system.mjs [--mode NAME] [--out FILE]
 *
 * User mode cannot run these. On a machine without VMX the KVM there is no silicon either, so the second opinion is QEMU's (TCG), stepped through
 * its gdb stub; test/vectors/system-known.mjs names where it departs from the manual.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";
import { Qemu } from "./qemu.mjs";
import { systemCases } from "./system-cases.mjs";
import { CODE, image, MEMORY, MODES, stub } from "./system-env.mjs";

/** Numbers of the gdb stub for registers in encoding order. */
const GDB = [0, 2, 3, 1, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15];
const args = process.argv.slice(2);
const option = (name, value) => (args.includes(name) ? args[args.indexOf(name) + 1] : value);

function assembleAll(directory, cases) {
  const known = new Map();
  for (const c of cases) {
    const key = `${MODES[c.mode].bits} ${c.asm}`;
    if (!known.has(key)) {
      writeFileSync(join(directory, "i.asm"), `bits ${MODES[c.mode].bits}\norg ${CODE}\n${c.asm}\n`);
      execFileSync("nasm", ["-w-all", "-f", "bin", "-o", join(directory, "i.bin"), join(directory, "i.asm")]);
      known.set(key, [...readFileSync(join(directory, "i.bin"))]);
    }
    c.code = known.get(key);
  }
}
/** Changed bytes as [address, bytes…] runs. */
function runs(before, after) {
  const out = [];
  for (let i = 0; i < before.length; i++) {
    if (before[i] === after[i]) continue;
    const last = out.at(-1);
    if (last !== undefined && last[0] + last.length - 1 === i) last.push(after[i]);
    else out.push([i, after[i]]);
  }
  return out;
}

async function main() {
  const directory = mkdtempSync(join(tmpdir(), "system-"));
  const q = await Qemu.start(directory, 4 << 20);
  try {
    await q.physical();
    await q.monitor("savevm reset");
    const only = option("--mode", "");
    const cases = systemCases().filter((c) => only === "" || c.mode === only);
    assembleAll(directory, cases);
    const modes = {};
    for (const mode of Object.keys(MODES)) {
      if (only !== "" && mode !== only) continue;
      await q.monitor("loadvm reset");
      const initial = image();
      for (let a = 0; a < MEMORY; a += 1024) await q.packet(`M${a.toString(16)},400:${Buffer.from(initial.subarray(a, a + 1024)).toString("hex")}`);
      writeFileSync(join(directory, "s.asm"), stub(mode));
      execFileSync("nasm", ["-w-all", "-f", "bin", "-o", join(directory, "s.bin"), join(directory, "s.asm")]);
      const code = readFileSync(join(directory, "s.bin"));
      await q.packet(`M7000,${code.length.toString(16)}:${code.toString("hex")}`);
      await q.setRegister(18, 0, 4);
      await q.setRegister(16, 0x7000);
      for (let n = 0; ; n++) {
        const r = await q.registers();
        if (BigInt(`0x${r.rip}`) + BigInt(`0x${r.seg.cs.base}`) === BigInt(CODE)) break;
        if (n === 200) throw new Error(`${mode} does not come up: ${r.rip}`);
        await q.step();
      }
      await q.monitor(`savevm ${mode}`);
      const memory = q.memory(MEMORY);
      modes[mode] = { registers: await q.registers(), memory: runs(initial, memory) };
      const began = Date.now();
      for (const c of cases) {
        if (c.mode !== mode) continue;
        await q.monitor(`loadvm ${mode}`);
        await q.packet(`M${CODE.toString(16)},${c.code.length.toString(16)}:${Buffer.from(c.code).toString("hex")}`);
        for (const [at, bytes] of c.memory) await q.packet(`M${at.toString(16)},${bytes.length.toString(16)}:${Buffer.from(bytes).toString("hex")}`);
        for (const [i, value] of Object.entries(c.gpr)) await q.setRegister(GDB[i], BigInt(value));
        if (c.flags !== undefined) await q.setRegister(17, (BigInt(`0x${modes[mode].registers.rflags}`) & 0x23000n) | BigInt(c.flags | 2), 4);
        const before = q.memory(MEMORY);
        await q.step();
        c.result = { registers: await q.registers(), memory: runs(before, q.memory(MEMORY)) };
      }
      console.log(`${mode}: ${cases.filter((c) => c.mode === mode).length} cases in ${((Date.now() - began) / 1000).toFixed(1)} s`);
    }
    const version = execFileSync("qemu-system-x86_64", ["--version"]).toString().split("\n")[0];
    const file = option("--out", join(dirname(fileURLToPath(import.meta.url)), "../../test/vectors/system.json.br"));
    const packed = brotliCompressSync(JSON.stringify({ version: 1, source: `${version}, TCG`, modes, cases }));
    writeFileSync(file, packed);
    console.log(`system: ${cases.length} cases, ${packed.length} bytes`);
  } finally {
    q.quit();
    rmSync(directory, { recursive: true });
  }
}
await main();
process.exit();
