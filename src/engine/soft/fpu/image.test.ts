import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { CR4, decode } from "../../../isa/index.ts";
import type { Cpu } from "../cpu.ts";
import { VM_EXIT } from "../cpu-state.ts";
import { STATE } from "../state-layout.ts";
import { protectedMachine, type TestMachine, toLong } from "../sys/machine.testing.ts";
import { FPU } from "./index.ts";

const AREA = 0x80000;

/** 64-bit code with everything on: OSFXSR, OSXSAVE, x87 and SSE in XCR0, the x87 as after FNINIT. */
function machine(): TestMachine {
  const m = protectedMachine();
  toLong(m);
  m.cpu.u32[STATE.cr4.u32] |= CR4.OSFXSR | CR4.OSXSAVE;
  m.cpu.xcr0 = 3n;
  exec(m, 0xdb, 0xe3);
  m.cpu.u8.fill(0, STATE.fpr.offset, STATE.fpr.offset + 128);
  return m;
}
function exec(m: TestMachine, ...bytes: number[]): string {
  const { cpu } = m;
  const insn = decode(new Uint8Array([...bytes, 0, 0, 0, 0]), 0, bytes.length + 4, 64);
  if ("failure" in insn) throw new Error("undecodable");
  try {
    return FPU[insn.row.sem]?.(cpu, insn) ?? "none";
  } catch (e) {
    if (e === cpu.fault) return `fault ${cpu.fault.vector}${cpu.fault.vector === 14 ? ` at ${cpu.fault.address.toString(16)}` : ""}`;
    if (e === VM_EXIT) return "exit";
    throw e;
  }
}
/** Group 15 with a memory operand at [rbx]. */
const group15 =
  (reg: number, map = 0xae) =>
  (m: TestMachine, mask: number, at = AREA): string => {
    m.cpu.setR64(3, BigInt(at));
    m.cpu.setR32(0, mask);
    m.cpu.setR32(2, 0);
    return exec(m, 0x0f, map, (reg << 3) | 3);
  };
const xsave = group15(4);
const xrstor = group15(5);
const xsaveopt = group15(6);
const xsavec = group15(4, 0xc7);
const fill = (m: TestMachine, value: number): void => {
  for (let i = 0; i < 512; i++) m.memory.write8(AREA + i, value);
  for (let i = 512; i < 576; i++) m.memory.write8(AREA + i, 0);
};
const header = (m: TestMachine, word: number): number => m.memory.read32(AREA + 512 + word * 4);
const setXmm = (cpu: Cpu, i: number, v: bigint): void => {
  cpu.u64[STATE.xmm.u64 + i * 2] = v;
};
const setMxcsr = (cpu: Cpu, v: number): void => {
  cpu.u32[STATE.mxcsr.u32] = v;
};
const FLD1_FSTP = [
  [0xd9, 0xe8],
  [0xdd, 0xd8],
];

describe("XSAVE, XSAVEOPT, XSAVEC (what a processor was seen to write)", () => {
  it("XSAVE writes what is asked for, XSTATE_BV says what is in use", () => {
    const m = machine();
    fill(m, 0xcc);
    expect(xsave(m, 1)).toBe("next");
    expect([header(m, 0), m.memory.read16(AREA), m.memory.read8(AREA + 24), m.memory.read8(AREA + 160)]).toEqual([0, 0x37f, 0xcc, 0xcc]);
    setXmm(m.cpu, 0, 0x88n);
    fill(m, 0xcc);
    expect(xsave(m, 2)).toBe("next");
    expect([header(m, 0), m.memory.read8(AREA), m.memory.read32(AREA + 24), m.memory.read32(AREA + 28), m.memory.read8(AREA + 160)]).toEqual([
      2, 0xcc, 0x1f80, 0xffff, 0x88,
    ]);
    expect(m.memory.read8(AREA + 416)).toBe(0xcc);
  });
  it("XSTATE_BV bits that were not asked for stay", () => {
    const m = machine();
    fill(m, 0);
    m.memory.write32(AREA + 512, 3);
    expect(xsave(m, 1)).toBe("next");
    expect(header(m, 0)).toBe(2);
  });
  it("XSAVEOPT leaves out what is initial, but not MXCSR", () => {
    const m = machine();
    fill(m, 0xcc);
    setMxcsr(m.cpu, 0x1f81);
    expect(xsaveopt(m, 3)).toBe("next");
    expect([header(m, 0), m.memory.read8(AREA), m.memory.read32(AREA + 24), m.memory.read8(AREA + 160)]).toEqual([0, 0xcc, 0x1f81, 0xcc]);
    for (const bytes of FLD1_FSTP) exec(m, ...bytes);
    expect(xsaveopt(m, 3)).toBe("next");
    expect([header(m, 0), m.memory.read16(AREA)]).toEqual([1, 0x37f]);
  });
  it("XSAVEC writes the compacted header, and MXCSR makes SSE one in use", () => {
    const m = machine();
    fill(m, 0xcc);
    expect(xsavec(m, 3)).toBe("next");
    expect([header(m, 0), header(m, 2), header(m, 3) >>> 0, m.memory.read8(AREA + 24)]).toEqual([0, 3, 0x80000000, 0xcc]);
    setMxcsr(m.cpu, 0x1f81);
    expect(xsavec(m, 3)).toBe("next");
    expect([header(m, 0), m.memory.read32(AREA + 24), m.memory.read8(AREA + 160)]).toEqual([2, 0x1f81, 0]);
  });
  it("#UD without CR4.OSXSAVE, #NM with CR0.TS, #GP off a 64-byte boundary, #PF at the byte that a processor touches first", () => {
    const m = machine();
    expect(xsave(m, 3, AREA + 16)).toBe("fault 13");
    expect(xrstor(m, 3, AREA + 32)).toBe("fault 13");
    m.memory.write32(0x102000 + 8 * 8, 0); // 1000000h: not present
    m.cpu.mmu.flushAll(true);
    expect(xsave(m, 3, 0x1000000)).toBe("fault 14 at 100023f");
    expect(xrstor(m, 3, 0x1000000)).toBe("fault 14 at 1000208");
    m.cpu.u32[STATE.cr0.u32] |= 8;
    expect(xsave(m, 3)).toBe("fault 7");
    m.cpu.u32[STATE.cr4.u32] &= ~CR4.OSXSAVE;
    expect(xsave(m, 3)).toBe("fault 6");
  });
});

describe("XRSTOR", () => {
  it("components whose XSTATE_BV bit is clear go back to their initial state; MXCSR comes from the image all the same", () => {
    const m = machine();
    fill(m, 0);
    m.memory.write32(AREA + 24, 0x1fa0);
    setXmm(m.cpu, 3, 7n);
    for (const bytes of FLD1_FSTP) exec(m, ...bytes);
    expect(xrstor(m, 3)).toBe("next");
    expect([m.cpu.u64[STATE.xmm.u64 + 6], m.cpu.u32[STATE.mxcsr.u32], m.cpu.u64[STATE.fpr.u64 + 14]]).toEqual([0n, 0x1fa0, 0n]);
  });
  it("in the compacted form MXCSR is initial too", () => {
    const m = machine();
    fill(m, 0);
    m.memory.write32(AREA + 24, 0x1fa0);
    m.memory.write32(AREA + 520, 3);
    m.memory.write32(AREA + 524, 0x80000000);
    setMxcsr(m.cpu, 0x1fbf);
    expect(xrstor(m, 3)).toBe("next");
    expect(m.cpu.u32[STATE.mxcsr.u32]).toBe(0x1f80);
  });
  it("refuses headers and MXCSR with reserved bits, and changes nothing", () => {
    const reserved: [number, number][] = [
      [512, 4], // not in XCR0
      [516, 1],
      [520, 1], // XCOMP_BV without its bit 63
      [528, 1],
      [24, 0x10000],
    ];
    for (const [at, value] of reserved) {
      const m = machine();
      fill(m, 0);
      setXmm(m.cpu, 1, 5n);
      m.memory.write32(AREA + at, value);
      expect(xrstor(m, 3)).toBe("fault 13");
      expect(m.cpu.u64[STATE.xmm.u64 + 2]).toBe(5n);
    }
  });
  it("takes back what the three have saved, whatever it was", () => {
    const m = machine();
    const { cpu } = m;
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 384, maxLength: 384 }),
        fc.integer({ min: 0, max: 0xffff }),
        fc.constantFrom(xsave, xsaveopt, xsavec),
        fc.integer({ min: 0, max: 3 }),
        (bytes, mxcsr, save, mask) => {
          for (let i = 0; i < 8; i++) cpu.u8.set(bytes.subarray(i * 10, i * 10 + 10), STATE.fpr.offset + i * 16);
          cpu.u8.set(bytes.subarray(128, 384), STATE.xmm.offset);
          setMxcsr(cpu, mxcsr);
          fill(m, 0);
          const state = (): string => Buffer.from(cpu.u8.subarray(STATE.fpr.offset, STATE.mxcsr.offset + 4)).toString("hex");
          const before = state();
          expect(save(m, 3)).toBe("next");
          cpu.u8.fill(0x5a, STATE.xmm.offset, STATE.xmm.offset + 256);
          expect(xrstor(m, mask)).toBe("next");
          expect(xrstor(m, 3)).toBe("next");
          expect(state()).toBe(before);
        },
      ),
      { seed: 11, numRuns: 100 },
    );
  });
});
