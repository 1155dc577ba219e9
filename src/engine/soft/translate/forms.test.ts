import { describe, expect, it } from "vitest";
import { decode } from "../../../isa/index.ts";
import { CODE, DATA, type Mode, Random, TranslateMachine } from "./pair.testing.ts";
import { translatable } from "./translate-emit.ts";

/** One encoding for each form that regions translate: opcode, prefixes, register and memory operand. */
function forms(mode: Mode): Uint8Array[] {
  const found = new Map<string, Uint8Array>();
  const prefixes = mode === 64 ? [[], [0x66], [0x48], [0x67], [0x41], [0xf3], [0x66, 0x48]] : [[], [0x66], [0x67], [0xf3]];
  for (const prefix of prefixes) {
    for (const map of [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]]) {
      for (let opcode = 0; opcode < 256; opcode++) {
        for (let reg = 0; reg < 8; reg++) {
          // [BX+disp8], a low register, a byte register with a high half
          for (const modrm of [0x40 | (reg << 3) | (mode === 16 && !prefix.includes(0x67) ? 7 : 3), 0xc1 | (reg << 3), 0xc7 | (reg << 3)]) {
            const bytes = new Uint8Array(16);
            bytes.set([...prefix, ...map, opcode, modrm, 0x12, 0x34, 0x56, 0x01]);
            const insn = decode(bytes, 0, 16, mode);
            if ("failure" in insn) continue;
            const shape = translatable(insn)?.shape;
            if (shape === undefined) continue;
            const key = [
              shape.sem,
              shape.size,
              shape.addrSize,
              shape.cc,
              insn.row.encoding,
              ...shape.operands.map((o) => o.kind + o.size),
              modrm >> 6,
              insn.operands.map((o) => (o.kind === "reg" ? o.cls : "")),
            ].join();
            if (!found.has(key)) found.set(key, bytes.slice(0, insn.length));
          }
        }
      }
    }
  }
  return [...found.values()];
}

function run(machine: TranslateMachine, bytes: Uint8Array, seed: number, aligned: boolean): string {
  const r = new Random(seed);
  const c = machine.vm.vcpu;
  machine.start(r, 0);
  // Vectors want an aligned operand; the displacement is 12h.
  c.setGpr(3, BigInt(aligned ? DATA + 0x20e : DATA + 0x200 + r.below(64)));
  c.setGpr(6, BigInt(DATA + 0x400 + r.below(64)));
  c.setGpr(7, BigInt(DATA + 0x600 + r.below(64)));
  if (r.chance(50)) c.setGpr(1, BigInt(r.below(70)));
  if (r.chance(30)) c.setGpr(0, BigInt(r.next() & 0xff));
  if (r.chance(30)) c.setGpr(2, 0n);
  // JMP $ ends the test.
  machine.vm.memory.write(CODE, new Uint8Array([0x90, ...bytes, 0xeb, 0xfe, 0xeb, 0xfe]));
  c.setRip(BigInt(CODE));
  return `${machine.step({ kind: "run" }, 70)} ${machine.ram()} ${machine.log.splice(0).join()}`;
}

describe.each([16, 32, 64] as const)("each form in %i-bit code", (mode) => {
  it("does translated what it does interpreted", () => {
    const plain = new TranslateMachine(mode, { jit: false });
    const translated = new TranslateMachine(mode, { jit: { threshold: 0 } });
    const all = forms(mode);
    expect(all.length).toBeGreaterThan(600);
    let count = 0;
    for (const bytes of all) {
      const name = [...bytes].map((b) => b.toString(16).padStart(2, "0")).join(" ");
      for (let k = 0; k < 1; k++) {
        const seed = (count++ * 7919) | 1;
        const expected = run(plain, bytes, seed, (count & 7) !== 0);
        const got = run(translated, bytes, seed, (count & 7) !== 0);
        if (got !== expected) expect(`${name}: ${got}`).toBe(`${name}: ${expected}`);
      }
    }
    const stats = translated.vm.vcpu.stats();
    expect(stats["regionFailures"]).toBe(0);
    expect(stats["regionRuns"] ?? 0).toBeGreaterThan(count / 2);
  }, 900_000);
});
