import { describe, expect, it } from "vitest";
import type { EngineVcpu } from "../../api/index.ts";
import { CODE, type Mode, Random, randomProgram, TranslateMachine } from "../translate/pair.testing.ts";

const RAM = 0x200000;

/** The machine's copy as it stands, with cold caches. */
function copyOf(machine: TranslateMachine, mode: Mode): TranslateMachine {
  const copy = new TranslateMachine(mode, {});
  const bytes = new Uint8Array(RAM);
  machine.vm.memory.read(0, bytes);
  copy.vm.memory.write(0, bytes);
  copy.mmioReads = machine.mmioReads;
  Object.assign(copy.vm.vcpu.intercepts, machine.vm.vcpu.intercepts);
  copy.vm.vcpu.loadState(revive(JSON.stringify(machine.vm.vcpu.saveState(), bytesAsText)));
  return copy;
}
const bytesAsText = (_key: string, value: unknown): unknown => (value instanceof Uint8Array ? { bytes: [...value] } : value);
function revive(text: string): ReturnType<EngineVcpu["saveState"]> {
  return JSON.parse(text, (_key, value: { bytes?: number[] } | null) =>
    value !== null && typeof value === "object" && value.bytes !== undefined ? Uint8Array.from(value.bytes) : value,
  );
}
const state = (vcpu: EngineVcpu): string => JSON.stringify(vcpu.saveState(), bytesAsText);

describe.each([16, 32, 64] as const)("a saved CPU in %i-bit code", (mode) => {
  it("goes on in a fresh VM as if nothing had been", () => {
    for (let seed = 1; seed <= 8; seed++) {
      const r = new Random(seed * 77 + mode);
      let machine = new TranslateMachine(mode, {});
      const variant = r.below(8) & ~1;
      machine.start(r, variant);
      const program = randomProgram(r, mode);
      machine.load(program, 0);
      for (let episode = 0; episode < 12; episode++) {
        const c = machine.vm.vcpu;
        c.setRip(BigInt(CODE + r.pick(program.starts)));
        c.setGpr(4, 0x7000n);
        c.setGpr(1, BigInt(1 + r.below(60)));
        machine.step({ kind: "run" }, 1 + r.below(500));
        const copy = copyOf(machine, mode);
        expect(state(copy.vm.vcpu)).toBe(state(machine.vm.vcpu));
        const budgets = [1 + r.below(20), 1 + r.below(3000)];
        const run = (m: TranslateMachine): string[] => [...budgets.map((b) => m.step({ kind: "run" }, b)), m.ram(), state(m.vm.vcpu)];
        machine.log.length = 0;
        const straight = [...run(machine), ...machine.log];
        const loaded = [...run(copy), ...copy.log];
        expect(loaded, `seed ${seed} episode ${episode}`).toEqual(straight);
        machine = r.chance(50) ? copy : machine;
      }
    }
  });
});

/** REP MOVSB of 0x1800 bytes over a page with decoded code, then a long loop. */
const OVER_CODE = [
  ...[0xb9, 0x00, 0x18, 0xbe, 0x00, 0x40, 0xbf, 0x00, 0x20, 0xf3, 0xa4], // mov cx; mov si; mov di; rep movsb
  ...[0xff, 0x06, 0x00, 0x60, 0xe8, 0x02, 0x00, 0xeb, 0xec, 0xe9], // inc word [6000]; call; jmp start; (jmp)
];

describe("a saved CPU", () => {
  it("counts repeated strings alike whether code is decoded on their pages or not", () => {
    const machine = new TranslateMachine(16, {});
    const { vm } = machine;
    vm.memory.write(CODE, Uint8Array.from([...OVER_CODE.slice(0, -1), 0xc3]));
    // A routine on the destination's page.
    vm.memory.write(0x4800, Uint8Array.from([0x40, 0xc3]));
    vm.memory.write(CODE + 0x0f, Uint8Array.from([0xe8, 0xee, 0x17]));
    for (const s of ["cs", "ds", "es", "ss"] as const)
      vm.vcpu.setSegment(s, { selector: 0, base: 0n, limit: 0xffff, access: s === "cs" ? 0x9b : 0x93 });
    vm.vcpu.setGpr(4, 0x7000n);
    vm.vcpu.setRip(BigInt(CODE));
    for (const budget of [3, 1, 1, 5, 40, 1, 1, 1]) {
      vm.vcpu.run({ kind: "run" }, budget);
      const copy = copyOf(machine, 16);
      for (const more of [1, 2, 30, 500]) {
        vm.vcpu.run({ kind: "run" }, more);
        copy.vm.vcpu.run({ kind: "run" }, more);
        expect(state(copy.vm.vcpu)).toBe(state(vm.vcpu));
      }
    }
  });

  it("keeps pins, blocking, halt and pending debug conditions", () => {
    const machine = new TranslateMachine(16, {});
    const { vcpu } = machine.vm;
    vcpu.setInterruptLine(true);
    vcpu.raiseNmi();
    vcpu.setHalted(true);
    vcpu.setMsr(0x10, 123n);
    vcpu.setMsr(0xc0000082, 0xffff800000001000n);
    vcpu.setControl("dr7", 0x401n);
    vcpu.setXmm(15, new Uint8Array(16).fill(7));
    vcpu.setApicPage(0xfee00000);
    const saved = vcpu.saveState();
    expect(saved).toMatchObject({ intr: true, nmi: true, halted: true, apicPage: 0xfee00000 });
    const copy = copyOf(machine, 16);
    expect(state(copy.vm.vcpu)).toBe(state(vcpu));
    copy.vm.vcpu.init();
    copy.vm.vcpu.raiseStartup(0x9a);
    expect(copy.vm.vcpu.saveState()).toMatchObject({ waitForSipi: true, startup: 0x9a, halted: false });
    const third = copyOf(copy, 16);
    expect(third.vm.vcpu.run({ kind: "run" }, 10)).toMatchObject({ kind: "sipi", vector: 0x9a });
  });

  it("interrupted inside the shadow of STI stays in it", () => {
    const machine = new TranslateMachine(16, {});
    const { vm } = machine;
    vm.memory.write(CODE, Uint8Array.from([0xfb, 0x90, 0x90]));
    vm.memory.write(0x20, Uint8Array.from([0, 0x30, 0, 0]));
    vm.vcpu.setSegment("cs", { selector: 0, base: 0n, limit: 0xffff, access: 0x9b });
    vm.vcpu.setGpr(4, 0x7000n);
    vm.vcpu.setRip(BigInt(CODE));
    vm.vcpu.setInterruptLine(true);
    vm.vcpu.run({ kind: "run" }, 1);
    const copy = copyOf(machine, 16);
    expect(copy.vm.vcpu.saveState().shadow).toBe(1);
    copy.vm.vcpu.run({ kind: "run" }, 1);
    // Delivered after the NOP: that is the address on the stack.
    expect(copy.vm.vcpu.getRip()).toBe(0x3000n);
    expect(copy.vm.memory.read16(0x7000 - 6)).toBe(CODE + 2);
  });

  it("of another version is refused", () => {
    const { vcpu } = new TranslateMachine(16, {}).vm;
    expect(() => vcpu.loadState({ ...vcpu.saveState(), v: 2 as never })).toThrow(/version 2/);
  });
});
