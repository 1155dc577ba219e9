import { describe, expect, it } from "vitest";
import { decode } from "../../../isa/index.ts";
import { VM_EXIT } from "../cpu-state.ts";
import { STATE } from "../state-layout.ts";
import { protectedMachine, TestMachine, toLong } from "../sys/machine.testing.ts";
import { FPU } from "./index.ts";
import { statusWord, tagWord } from "./state.ts";

type Result = "next" | "repeat" | `fault ${number}`;
/** Executes x87 instructions at the machine's RIP, which moves on as the engine would move it. */
function exec(m: TestMachine, ...bytes: number[]): Result {
  const cpu = m.cpu;
  const insn = decode(new Uint8Array([...bytes, 0, 0, 0, 0, 0, 0]), 0, bytes.length + 6, cpu.codeSize === 64 ? 64 : cpu.codeSize === 32 ? 32 : 16);
  if ("failure" in insn) throw new Error("undecodable");
  const helper = FPU[insn.row.sem];
  if (helper === undefined) throw new Error(insn.row.sem);
  try {
    const how = helper(cpu, insn);
    if (how === "next") cpu.eip += insn.length;
    return how === "next" ? "next" : "repeat";
  } catch (e) {
    if (e === cpu.fault || e === VM_EXIT) return `fault ${cpu.fault.vector}`;
    throw e;
  }
}
function all(m: TestMachine, ...instructions: number[][]): void {
  for (const bytes of instructions) expect(exec(m, ...bytes)).toBe("next");
}
const words16 = (m: TestMachine, at: number, n: number): number[] => Array.from({ length: n }, (_, i) => m.memory.read16(at + i * 2));
const words32 = (m: TestMachine, at: number, n: number): number[] => Array.from({ length: n }, (_, i) => m.memory.read32(at + i * 4) >>> 0);
/** Memory operand of 16-bit code: [1000h] … as ModRM with disp16. */
const at16 = (reg: number, address: number): number[] => [0x06 | (reg << 3), address & 0xff, address >> 8];
const at32 = (reg: number, address: number): number[] => [0x05 | (reg << 3), address & 0xff, (address >> 8) & 0xff, 0, 0];
const FNINIT = [0xdb, 0xe3];
const FLD1 = [0xd9, 0xe8];
const FLDZ = [0xd9, 0xee];
const FDIVP = [0xde, 0xf9];

function realMachine(): TestMachine {
  const m = new TestMachine();
  m.cpu.u32[STATE.cr0.u32] = 0x20;
  all(m, FNINIT);
  return m;
}

describe("environment", () => {
  it("real mode, 16 bits: linear addresses split over two words", () => {
    const m = realMachine();
    m.at(0x1234, 0x5670);
    m.cpu.loadRealSegment(3, 0x2345);
    all(m, [0xd9, ...at16(0, 0x10)]);
    m.cpu.loadRealSegment(3, 0);
    all(m, [0xd9, ...at16(6, 0x3000)]);
    // IP 12340 + 5670 = 179B0, operand 23450 + 10 = 23460, opcode D9 06
    expect(words16(m, 0x3000, 7)).toEqual([0x37f, 0x3800, 0x7fff, 0x79b0, 0x1106, 0x3460, 0x2000]);
  });
  it("real mode, 32 bits: the upper halves are ones or zeros as in the manual", () => {
    const m = realMachine();
    m.at(0x1234, 0x5670);
    all(m, FLD1, [0x66, 0xd9, ...at16(6, 0x3000)]);
    expect(words32(m, 0x3000, 7)).toEqual([0xffff037f, 0xffff3800, 0xffff3fff, 0xffff79b0, 0x000011e8, 0xffff0000, 0]);
  });
  it("protected mode, 32 bits: offset, selector and opcode", () => {
    const m = protectedMachine();
    m.cpu.u32[STATE.cr0.u32] |= 0x20;
    all(m, FNINIT);
    const ip = m.cpu.eip;
    all(m, FLD1, [0xd9, ...at32(6, 0x3000)]);
    const wide = m.cpu.codeSize === 32;
    expect(wide).toBe(true);
    expect(words32(m, 0x3000, 7)).toEqual([0xffff037f, 0xffff3800, 0xffff3fff, ip, (0x1e8 << 16) | m.cpu.selector(1), 0, 0xffff0000]);
    all(m, [0x66, 0xd9, ...at32(6, 0x3100)]);
    expect(words16(m, 0x3100, 7)).toEqual([0x37f, 0x3800, 0x3fff, ip & 0xffff, m.cpu.selector(1), 0, 0]);
  });
  it("FNSTENV masks all exceptions; FLDENV brings back masks and the pending exception", () => {
    const m = realMachine();
    m.memory.write16(0x2000, 0x37b);
    all(m, [0xd9, ...at16(5, 0x2000)], FLD1, FLDZ, FDIVP);
    expect(statusWord(m.cpu) & 0x8084).toBe(0x8084);
    all(m, [0xd9, ...at16(6, 0x3000)]);
    expect(statusWord(m.cpu) & 0x8084).toBe(0x0004);
    expect(m.cpu.u16[STATE.fpuControl.u16]).toBe(0x37f);
    all(m, [0xd9, ...at16(4, 0x3000)]);
    expect(exec(m, ...FLD1)).toBe("fault 16");
  });
  it.each([
    ["16 bits", [], 94],
    ["32 bits", [0x66], 108],
  ] as const)("FNSAVE and FRSTOR, %s, keep everything and initialize in between", (_name, prefix, bytes) => {
    const m = realMachine();
    all(m, FLD1, [0xd9, 0xeb], [0xd9, 0xea]);
    const before = m.cpu.u8.slice(STATE.fpr.offset, STATE.fpr.offset + 128);
    m.memory.write8(0x3000 + bytes, 0x77);
    all(m, [...prefix, 0xdd, ...at16(6, 0x3000)]);
    expect([tagWord(m.cpu), statusWord(m.cpu), m.memory.read8(0x3000 + bytes)]).toEqual([0xffff, 0, 0x77]);
    m.cpu.u8.fill(0x55, STATE.fpr.offset, STATE.fpr.offset + 128);
    all(m, [...prefix, 0xdd, ...at16(4, 0x3000)]);
    // The gaps between the ten-byte registers are nobody's.
    for (let i = 0; i < 8; i++)
      expect([...m.cpu.u8.slice(STATE.fpr.offset + i * 16, STATE.fpr.offset + i * 16 + 10)]).toEqual([...before.slice(i * 16, i * 16 + 10)]);
    expect([tagWord(m.cpu), statusWord(m.cpu)]).toEqual([0x03ff, 0x2800]);
  });
  it("FNSAVE over the end of the segment is #GP and changes nothing", () => {
    const m = realMachine();
    all(m, FLD1);
    expect(exec(m, 0xdd, ...at16(6, 0xffb0))).toBe("fault 13");
    expect(tagWord(m.cpu)).toBe(0x3fff);
  });
});

describe("FXSAVE and FXRSTOR", () => {
  it("abridged tags, TOP-relative registers, zeroed gaps; unaligned is #GP", () => {
    const m = realMachine();
    all(m, FLD1, [0xd9, 0xeb], [0x0f, 0xae, ...at16(0, 0x3000)]);
    expect(words16(m, 0x3000, 4)).toEqual([0x37f, 0x3000, 0xc0, 0x1eb]);
    expect(words16(m, 0x3020, 8)).toEqual([0xc235, 0x2168, 0xdaa2, 0xc90f, 0x4000, 0, 0, 0]);
    expect(words16(m, 0x3030, 5)).toEqual([0, 0, 0, 0x8000, 0x3fff]);
    all(m, FNINIT, [0x0f, 0xae, ...at16(1, 0x3000)]);
    expect([tagWord(m.cpu), statusWord(m.cpu)]).toEqual([0x0fff, 0x3000]);
    expect(exec(m, 0x0f, 0xae, ...at16(0, 0x3008))).toBe("fault 13");
  });
  it("saves XMM and MXCSR with SSE and CR4.OSFXSR, sixteen registers in 64-bit code; reserved MXCSR bits are #GP", () => {
    const m = protectedMachine();
    toLong(m);
    m.cpu.features.sse = true;
    m.cpu.u32[STATE.cr4.u32] |= 0x200;
    m.cpu.u32[STATE.mxcsr.u32] = 0x1fa0;
    for (let i = 0; i < 64; i++) m.cpu.u32[STATE.xmm.u32 + i] = 0x1000 + i;
    m.cpu.setR64(1, 0x3000n);
    all(m, FNINIT, [0x48, 0x0f, 0xae, 0x01]);
    expect(words32(m, 0x3018, 2)).toEqual([0x1fa0, 0xffff]);
    expect(m.memory.read32(0x3000 + 160 + 63 * 4)).toBe(0x103f);
    m.cpu.u8.fill(0, STATE.xmm.offset, STATE.xmm.offset + 256);
    m.cpu.u32[STATE.mxcsr.u32] = 0x1f80;
    all(m, [0x48, 0x0f, 0xae, 0x09]);
    expect([m.cpu.u32[STATE.mxcsr.u32], m.cpu.u32[STATE.xmm.u32 + 63]]).toEqual([0x1fa0, 0x103f]);
    m.memory.write32(0x3018, 0x10000);
    expect(exec(m, 0x48, 0x0f, 0xae, 0x09)).toBe("fault 13");
  });
});

describe("availability and errors", () => {
  it.each([
    ["EM", 0x24, "fault 7", "next"],
    ["TS", 0x28, "fault 7", "next"],
    ["TS and MP", 0x2a, "fault 7", "fault 7"],
    ["MP", 0x22, "next", "next"],
  ] as const)("CR0.%s", (_name, cr0, escape, wait) => {
    const m = realMachine();
    m.cpu.u32[STATE.cr0.u32] = cr0;
    expect(exec(m, ...FLD1)).toBe(escape);
    expect(exec(m, 0xdb, 0xe2)).toBe(escape);
    expect(exec(m, 0x9b)).toBe(wait);
  });
  const pending = (cr0: number): TestMachine => {
    const m = realMachine();
    m.cpu.u32[STATE.cr0.u32] = cr0;
    m.memory.write16(0x2000, 0x37b);
    all(m, [0xd9, ...at16(5, 0x2000)], FLD1, FLDZ);
    return m;
  };
  it("an unmasked exception waits for the next waiting instruction: #MF with CR0.NE", () => {
    const m = pending(0x20);
    all(m, FDIVP);
    // Not divided, not popped.
    expect(tagWord(m.cpu)).toBe(0x1fff);
    expect(exec(m, ...FLD1)).toBe("fault 16");
    expect(exec(m, 0x9b)).toBe("fault 16");
    all(m, [0xdf, 0xe0]);
    expect(m.cpu.r16(0) & 0x84).toBe(0x84);
    all(m, [0xdb, 0xe2], FLD1);
  });
  it("without CR0.NE it drives FERR# and waits for an interrupt, until IGNNE#", () => {
    const m = pending(0);
    let raised = 0;
    m.cpu.ferr = () => raised++;
    m.cpu.eflags |= 0x200;
    all(m, FDIVP);
    expect(raised).toBe(1);
    expect(exec(m, ...FLD1)).toBe("repeat");
    m.cpu.ignne = true;
    expect(exec(m, ...FLD1)).toBe("next");
    all(m, [0xdb, 0xe2]);
    expect(m.cpu.ignne).toBe(false);
  });
  it("EMMS empties the stack; CR0.EM makes it undefined", () => {
    const m = realMachine();
    all(m, FLD1, [0x0f, 0x77]);
    expect(tagWord(m.cpu)).toBe(0xffff);
    m.cpu.u32[STATE.cr0.u32] = 0x24;
    expect(exec(m, 0x0f, 0x77)).toBe("fault 6");
  });
  it("a store that faults changes neither status nor stack", () => {
    const m = realMachine();
    all(m, [0xd9, 0xeb]);
    expect(exec(m, 0xdd, ...at16(3, 0xfffc))).toBe("fault 13");
    expect([statusWord(m.cpu), tagWord(m.cpu)]).toEqual([0x3800, 0x3fff]);
    // Single precision: inexact this time.
    all(m, [0xd9, ...at16(3, 0x3000)]);
    expect([m.memory.read32(0x3000), statusWord(m.cpu) & 0x7f, tagWord(m.cpu)]).toEqual([0x40490fdb, 0x20, 0xffff]);
  });
  it("operands that cross a page are read and written whole", () => {
    const m = realMachine();
    all(m, [0xd9, 0xeb], [0xdb, ...at16(7, 0x3ffb)], [0xdb, ...at16(5, 0x3ffb)], [0xdd, ...at16(3, 0x3ffd)], [0xdd, ...at16(0, 0x3ffd)]);
    expect(m.memory.read32(0x3ffd) >>> 0).toBe(0x54442d18);
    expect(m.memory.read32(0x4001) >>> 0).toBe(0x400921fb);
  });
});

describe("hostile use", () => {
  it("random instructions on random states never throw anything but guest faults", () => {
    const m = realMachine();
    let seed = 12345;
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
      return (seed >>> 8) % n;
    };
    for (let i = 0; i < 30000; i++) {
      if (i % 50 === 0) {
        for (let k = 0; k < 128; k++) m.cpu.u8[STATE.fpr.offset + k] = random(3) === 0 ? ([0, 0xff, 0x80, 0x7f, 0x40][random(5)] ?? 0) : random(256);
        m.cpu.u32[STATE.fpuEmpty.u32] = random(4) === 0 ? random(256) : 0;
        all(m, [0xdb, 0xe2]);
      }
      m.cpu.eip = 0x100;
      m.cpu.setR16(3, random(0x10000));
      const bytes = [0xd8 + random(8), random(2) === 0 ? 0xc0 + random(64) : 7 | (random(8) << 3)];
      const insn = decode(new Uint8Array([...bytes, 0, 0]), 0, 4, 16);
      if (!("failure" in insn)) exec(m, ...bytes);
    }
    expect(statusWord(m.cpu)).toBeLessThan(0x10000);
  });
});
