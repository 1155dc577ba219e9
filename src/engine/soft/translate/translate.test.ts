import { describe, expect, it } from "vitest";
import type { TranslatorOptions } from "../index.ts";
import { CODE, type Mode, Random, randomProgram, TranslateMachine } from "./pair.testing.ts";

/** Runs one random program on a machine: episodes that begin at random blocks, with random budgets. */
function episodes(mode: Mode, seed: number, jit: TranslatorOptions | false): { readonly text: string[]; readonly machine: TranslateMachine } {
  const r = new Random(seed);
  const machine = new TranslateMachine(mode, { jit });
  const variant = r.below(8);
  const text: string[] = [];
  machine.start(r, variant);
  const codeBase = mode === 16 && variant & 1 ? 0x10 : 0;
  for (let p = 0; p < 3; p++) {
    const program = randomProgram(r, mode);
    machine.load(program, codeBase);
    for (let episode = 0; episode < 6; episode++) {
      const c = machine.vm.vcpu;
      c.setRip(BigInt(CODE + r.pick(program.starts)));
      c.setGpr(4, 0x7000n);
      c.setGpr(1, BigInt(1 + r.below(60)));
      if (mode === 32 && r.chance(25)) machine.changeSegment(r);
      for (let i = 0; i < 6; i++) {
        const line = machine.step({ kind: "run" }, r.chance(30) ? 1 + r.below(40) : 200 + r.below(4000));
        text.push(line);
        if (!line.startsWith("budget") && !line.startsWith("external")) break;
      }
      text.push(machine.ram());
      text.push(...machine.log.splice(0));
    }
  }
  return { text, machine };
}

const RUNS = Number(process.env["WHYVE_JIT_RUNS"] ?? 6);
const FIRST = Number(process.env["WHYVE_JIT_SEED"] ?? 1);

describe.each([16, 32, 64] as const)("translated %i-bit code", (mode) => {
  it.each([1, 2, 5])(
    "does what the interpreter does, threshold %i",
    (threshold) => {
      let regions = 0;
      let runs = 0;
      for (let seed = FIRST; seed < FIRST + (threshold === 1 ? Math.ceil(RUNS / 4) : RUNS); seed++) {
        const expected = episodes(mode, seed * 31 + threshold, false);
        const got = episodes(mode, seed * 31 + threshold, { threshold, maxRegions: 50 });
        const at = expected.text.findIndex((line, i) => line !== got.text[i]);
        if (at >= 0) expect(`seed ${seed} line ${at}: ${got.text[at]}`).toBe(`seed ${seed} line ${at}: ${expected.text[at]}`);
        expect(got.text.length).toBe(expected.text.length);
        const stats = got.machine.vm.vcpu.stats();
        expect(stats["regionFailures"]).toBe(0);
        regions += stats["regionsTranslated"] ?? 0;
        runs += stats["regionRuns"] ?? 0;
      }
      expect(regions).toBeGreaterThan(RUNS);
      expect(runs).toBeGreaterThan(RUNS);
    },
    900_000,
  );
});

describe("regions", () => {
  it("stay when other memory is mapped, go when theirs is", () => {
    const machine = new TranslateMachine(32, { jit: { threshold: 1 } });
    machine.start(new Random(1), 0);
    const { vm } = machine;
    // inc eax; jmp $-1
    vm.memory.write(CODE, new Uint8Array([0x40, 0xeb, 0xfd]));
    vm.vcpu.setRip(BigInt(CODE));
    const ram = vm.regions.get("ram");
    if (ram === undefined) throw new Error("no RAM");
    machine.step({ kind: "run" }, 5000);
    const made = vm.vcpu.stats()["regions"] ?? 0;
    expect(made).toBeGreaterThan(0);
    vm.mapSlot({ gpa: 0x10000000, region: ram, regionOffset: 0, sizeBytes: 4096, access: "rw" });
    expect(vm.vcpu.stats()["regions"]).toBe(made);
    vm.unmapSlot(0x10000000, 4096);
    expect(vm.vcpu.stats()["regions"]).toBe(made);
    vm.unmapSlot(CODE, 4096);
    expect(vm.vcpu.stats()["regions"]).toBe(0);
  });
  it("are made of loops and of long code, not of a few instructions between helpers", () => {
    const made = (code: readonly number[]): number => {
      const machine = new TranslateMachine(32, { jit: { threshold: 5, shortest: 8 } });
      machine.start(new Random(1), 0);
      machine.vm.memory.write(CODE, new Uint8Array(code));
      machine.vm.vcpu.setRip(BigInt(CODE));
      for (let i = 0; i < 5; i++) machine.step({ kind: "run" }, 5000);
      return machine.vm.vcpu.stats()["regionsTranslated"] ?? 0;
    };
    const incs = (n: number): number[] => Array.from({ length: n }, () => 0x40);
    // inc eax, now and then CPUID, jmp back
    expect(made([0x40, 0xeb, 0xfd])).toBeGreaterThan(0);
    expect(made([...incs(3), 0x0f, 0xa2, 0xeb, 0xf9])).toBe(0);
    expect(made([...incs(8), 0x0f, 0xa2, 0xeb, 0xf4])).toBeGreaterThan(0);
  });
});
