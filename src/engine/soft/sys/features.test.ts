import { CR4, FLAG } from "../../../isa/index.ts";
import { describe, expect, it } from "vitest";
import { STATE } from "../state-layout.ts";
import { cpuidLeaf, readMsr, writeMsr } from "./index.ts";
import { protectedMachine, SEL, TestMachine, toLong, toUser } from "./machine.testing.ts";
import { loadSeg } from "./descriptor.ts";
import { CS, FS, GS } from "../cpu-state.ts";

const done = { kind: "done" };
const fault = (vector: number, errorCode?: number): object => ({ kind: "fault", vector, errorCode });

function long(): TestMachine {
  const m = protectedMachine();
  toLong(m);
  return m;
}
function setCr4(m: TestMachine, value: number): object {
  m.cpu.setR64(0, BigInt(value));
  return m.exec(0x0f, 0x22, 0xe0);
}
function setCr3(m: TestMachine, value: bigint): object {
  m.cpu.setR64(0, value);
  return m.exec(0x0f, 0x22, 0xd8);
}
/** 4 KiB pages for the first 2 MiB: supervisor, but user pages at 30000h-3FFFFh. The address of page n's entry. */
function smallPages(m: TestMachine): (n: number) => number {
  for (let i = 0; i < 512; i++) m.memory.write32(0x103000 + i * 8, (i << 12) | (i >= 0x30 && i < 0x40 ? 7 : 3));
  m.memory.write32(0x102000, 0x103007);
  m.cpu.mmu.flushAll(true);
  return (n) => 0x103000 + n * 8;
}
const readByte = (m: TestMachine, la: number): number | string => {
  try {
    return m.cpu.readLinear8(la);
  } catch {
    return `fault ${m.cpu.fault.vector}`;
  }
};

describe("SMAP", () => {
  it("STAC and CLAC open and close user pages for the supervisor; the closed TLB area never holds one", () => {
    const m = long();
    smallPages(m);
    expect(setCr4(m, CR4.PAE | CR4.SMAP)).toEqual(done);
    expect(readByte(m, 0x30000)).toBe("fault 14");
    expect(m.exec(0x0f, 0x01, 0xcb)).toEqual(done); // stac
    expect(readByte(m, 0x30000)).toBe(0);
    expect(m.exec(0x0f, 0x01, 0xca)).toEqual(done); // clac
    expect(readByte(m, 0x30000)).toBe("fault 14");
    expect(readByte(m, 0x20000)).toBe(0);
  });
  it("implicit accesses at CPL 3 are closed whatever AC says", () => {
    const m = long();
    smallPages(m);
    setCr4(m, CR4.PAE | CR4.SMAP);
    loadSeg(m.cpu, 2, SEL.data3, 0, 0xffffffff, 0xc0f3);
    loadSeg(m.cpu, CS, SEL.code64u, 0, 0xffffffff, 0xa0fb);
    m.cpu.systemFlags |= FLAG.AC;
    m.cpu.mmu.modeChanged();
    expect(() => m.cpu.readLinear8(0x30000, false)).toThrow();
    expect(m.cpu.readLinear8(0x30000, true)).toBe(0);
  });
  it("the TLB in use is fast: no slow arm for kernel data while SMAP is on", () => {
    const m = long();
    setCr4(m, CR4.PAE | CR4.SMAP);
    expect(m.cpu.u32[STATE.tlbBase.u32]).not.toBe(m.cpu.mmu.tlb.never);
  });
  it("STAC is #UD at CPL 3", () => {
    const m = protectedMachine();
    toUser(m);
    expect(m.exec(0x0f, 0x01, 0xcb)).toEqual(fault(6));
  });
});

describe("SMEP", () => {
  it("the supervisor may not run user pages", () => {
    const m = long();
    smallPages(m);
    expect(m.cpu.mmu.translate(0x30000, 4)).toBe(0x30000);
    setCr4(m, CR4.PAE | CR4.SMEP);
    expect(m.cpu.mmu.translate(0x30000, 4)).toBe(-1);
    expect(m.cpu.fault.errorCode).toBe(0x11);
    expect(m.cpu.mmu.translate(0x20000, 4)).toBe(0x20000);
  });
});

describe("PCID", () => {
  it("CR4.PCIDE needs long mode and a CR3 whose low twelve bits are clear", () => {
    expect(setCr4(protectedMachine(), CR4.PAE | CR4.PCIDE)).toEqual(fault(13, 0));
    const m = long();
    setCr3(m, 0x100018n);
    expect(setCr4(m, CR4.PAE | CR4.PCIDE)).toEqual(fault(13, 0));
    setCr3(m, 0x100000n);
    expect(setCr4(m, CR4.PAE | CR4.PCIDE)).toEqual(done);
  });
  it("CR3 bit 63 is allowed only with PCIDE, and is not kept", () => {
    const m = long();
    expect(setCr3(m, (1n << 63n) | 0x100000n)).toEqual(fault(13, 0));
    setCr4(m, CR4.PAE | CR4.PCIDE);
    expect(setCr3(m, (1n << 63n) | 0x100005n)).toEqual(done);
    expect(m.cpu.cr3).toBe(0x100005n);
  });
  it("another PCID without flush does not see the first one's translations", () => {
    const m = long();
    const entry = smallPages(m);
    setCr4(m, CR4.PAE | CR4.PCIDE);
    m.memory.write8(0x50000, 0x11);
    m.memory.write8(0x51000, 0x22);
    expect(readByte(m, 0x50000)).toBe(0x11);
    // A second address space: everything the same but page 50h.
    m.memory.write32(0x110000, 0x111007);
    m.memory.write32(0x111000, 0x112007);
    m.memory.write32(0x112000, 0x113007);
    for (let i = 0; i < 512; i++) m.memory.write32(0x113000 + i * 8, m.memory.read32(entry(i)));
    m.memory.write32(0x113000 + 0x50 * 8, 0x51003);
    setCr3(m, (1n << 63n) | 0x110001n);
    expect(readByte(m, 0x50000)).toBe(0x22);
    setCr3(m, (1n << 63n) | 0x100000n);
    expect(readByte(m, 0x50000)).toBe(0x11);
  });
  it("INVPCID checks its type, descriptor and address", () => {
    const invpcid = (type: number, pcid: bigint, address: bigint, cr4 = CR4.PAE | CR4.PCIDE): object => {
      const m = long();
      setCr4(m, cr4);
      m.cpu.writeLinear64(0x70000, pcid);
      m.cpu.writeLinear64(0x70008, address);
      m.cpu.setR64(0, BigInt(type));
      m.cpu.setR64(3, 0x70000n);
      return m.exec(0x66, 0x0f, 0x38, 0x82, 0x03);
    };
    for (const type of [0, 1, 2, 3]) expect(invpcid(type, 5n, 0x1000n)).toEqual(done);
    expect(invpcid(4, 0n, 0n)).toEqual(fault(13, 0));
    expect(invpcid(2, 0x1000n, 0n)).toEqual(fault(13, 0));
    expect(invpcid(0, 0n, 1n << 47n)).toEqual(fault(13, 0));
    expect(invpcid(0, 1n, 0n, CR4.PAE)).toEqual(fault(13, 0));
    expect(invpcid(3, 1n, 1n << 47n, CR4.PAE)).toEqual(done);
  });
});

describe("INVLPG", () => {
  it("takes the whole of a large page with it", () => {
    const m = long();
    m.memory.write8(0x600, 1);
    m.memory.write8(0x1600, 2);
    m.memory.write8(0x1fe600, 3);
    // 400000h-5FFFFFh onto the first 2 MiB, then elsewhere.
    m.memory.write32(0x102000 + 2 * 8, 0x83);
    m.cpu.mmu.flushAll(true);
    expect([readByte(m, 0x400600), readByte(m, 0x401600), readByte(m, 0x5fe600)]).toEqual([1, 2, 3]);
    m.memory.write32(0x102000 + 2 * 8, 0x200083);
    m.cpu.setR64(3, 0x500000n);
    expect(m.exec(0x0f, 0x01, 0x3b)).toEqual(done);
    // Nothing is mapped at 2 MiB.
    expect([readByte(m, 0x400600), readByte(m, 0x401600), readByte(m, 0x5fe600)]).toEqual([0xff, 0xff, 0xff]);
  });
  it("a page of 1 GiB, too", () => {
    const m = long();
    m.memory.write8(0x3600, 9);
    m.memory.write32(0x101008, 0x83);
    expect(readByte(m, 0x40003600)).toBe(9);
    m.memory.write32(0x101008, 0);
    m.cpu.setR64(3, 0x7ffff000n);
    expect(m.exec(0x0f, 0x01, 0x3b)).toEqual(done);
    expect(readByte(m, 0x40003600)).toBe("fault 14");
  });
});

describe("FS and GS bases, TSC_AUX, random numbers", () => {
  it("RDFSBASE, WRGSBASE need CR4.FSGSBASE; a base must be canonical", () => {
    const m = long();
    m.cpu.setR64(0, 0x1234_5678_9abcn);
    expect(m.exec(0xf3, 0x48, 0x0f, 0xae, 0xd0)).toEqual(fault(6));
    setCr4(m, CR4.PAE | CR4.FSGSBASE);
    m.cpu.setR64(0, 0x1234_5678_9abcn);
    expect(m.exec(0xf3, 0x48, 0x0f, 0xae, 0xd0)).toEqual(done); // wrfsbase rax
    expect(m.exec(0xf3, 0x0f, 0xae, 0xd8)).toEqual(done); // wrgsbase eax
    expect([m.cpu.base(FS), m.cpu.base(GS)]).toEqual([0x1234_5678_9abcn, 0x5678_9abcn]);
    expect(m.exec(0xf3, 0x48, 0x0f, 0xae, 0xc1)).toEqual(done); // rdfsbase rcx
    expect(m.cpu.r64(1)).toBe(0x1234_5678_9abcn);
    m.cpu.setR64(0, 1n << 47n);
    expect(m.exec(0xf3, 0x48, 0x0f, 0xae, 0xd8)).toEqual(fault(13, 0));
  });
  it("RDPID and RDTSCP give IA32_TSC_AUX", () => {
    const m = long();
    expect(writeMsr(m.cpu, 0xc0000103, 7n)).toBe(true);
    expect(m.exec(0xf3, 0x0f, 0xc7, 0xf8)).toEqual(done);
    expect(m.exec(0x0f, 0x01, 0xf9)).toEqual(done);
    expect([m.cpu.r64(0) > 0n, m.cpu.r32(1)]).toEqual([true, 7]);
  });
  it("RDRAND is the same in every run, different at every call, and sets CF alone", () => {
    const numbers = (): bigint[] => {
      const m = long();
      return [0, 1, 2].map(() => {
        m.cpu.eflags = 0x8d6;
        m.exec(0x48, 0x0f, 0xc7, 0xf0);
        expect(m.cpu.eflags & 0x8d5).toBe(1);
        return m.cpu.r64(0);
      });
    };
    const first = numbers();
    expect(new Set(first).size).toBe(3);
    expect(numbers()).toEqual(first);
  });
});

describe("UMIP", () => {
  it("SGDT, SIDT, SLDT, STR and SMSW are #GP outside CPL 0", () => {
    const m = protectedMachine();
    setCr4(m, CR4.UMIP);
    toUser(m);
    m.cpu.setR32(3, 0x70000);
    for (const bytes of [
      [0x0f, 0x01, 0x03],
      [0x0f, 0x01, 0x0b],
      [0x0f, 0x00, 0xc0],
      [0x0f, 0x00, 0xc8],
      [0x0f, 0x01, 0xe0],
    ])
      expect(m.exec(...bytes)).toEqual(fault(13, 0));
  });
});

describe("CPUID", () => {
  const bits = (m: TestMachine, leaf: number, register: 0 | 1 | 2 | 3, subleaf = 0): number => cpuidLeaf(m.cpu, leaf, subleaf)[register] >>> 0;
  it("x86-64-v2: CX16, LAHF in 64-bit code, POPCNT, SSE3 to SSE4.2, and a TSC of 1 GHz from 25 MHz", () => {
    const m = long();
    const v2 = (1 << 0) | (1 << 9) | (1 << 13) | (1 << 19) | (1 << 20) | (1 << 23);
    expect(bits(m, 1, 2) & v2).toBe(v2);
    expect(bits(m, 0x80000001, 2) & 1).toBe(1);
    expect([...cpuidLeaf(m.cpu, 0x15, 0)]).toEqual([1, 40, 25_000_000, 0]);
    expect(bits(m, 0, 0)).toBe(0x16);
  });
  it("no APIC, x2APIC or deadline timer without a local APIC", () => {
    const m = long();
    expect([bits(m, 1, 3) & (1 << 9), bits(m, 1, 2) & (1 << 21), bits(m, 1, 2) & (1 << 24)]).toEqual([0, 0, 0]);
  });
  it("OSXSAVE follows CR4, the XSAVE area's size XCR0", () => {
    const m = long();
    expect(bits(m, 1, 2) & (1 << 27)).toBe(0);
    setCr4(m, CR4.PAE | CR4.OSXSAVE);
    expect(bits(m, 1, 2) & (1 << 27)).not.toBe(0);
    expect([...cpuidLeaf(m.cpu, 0xd, 0)]).toEqual([3, 576, 576, 0]);
  });
  it("the leaf limit and XD disable of IA32_MISC_ENABLE", () => {
    const m = long();
    expect(writeMsr(m.cpu, 0x1a0, (1n << 22n) | (1n << 34n) | 1n)).toBe(true);
    expect(bits(m, 0, 0)).toBe(2);
    expect(bits(m, 0x80000001, 3) & (1 << 20)).toBe(0);
    expect(writeMsr(m.cpu, 0xc0000080, 0xd01n)).toBe(false);
  });
});

describe("model-specific registers", () => {
  it("TSC and TSC_ADJUST move together", () => {
    const m = new TestMachine();
    expect(writeMsr(m.cpu, 0x10, 5000n)).toBe(true);
    expect(readMsr(m.cpu, 0x3b)).toBe(4000n);
    expect(writeMsr(m.cpu, 0x3b, 0n)).toBe(true);
    expect(readMsr(m.cpu, 0x10)).toBe(1000n);
  });
  it("the microcode revision appears after CPUID leaf 1", () => {
    const m = new TestMachine();
    expect(writeMsr(m.cpu, 0x8b, 0n)).toBe(true);
    expect(readMsr(m.cpu, 0x8b)).toBe(0n);
    m.cpu.setR32(0, 1);
    m.exec(0x0f, 0xa2);
    expect(readMsr(m.cpu, 0x8b)).not.toBe(0n);
  });
  it("speculation control takes its bits and no others; what does not exist is #GP", () => {
    const m = new TestMachine();
    expect([writeMsr(m.cpu, 0x48, 0x403n), writeMsr(m.cpu, 0x48, 4n), writeMsr(m.cpu, 0x49, 1n), readMsr(m.cpu, 0x49)]).toEqual([
      true,
      false,
      true,
      undefined,
    ]);
    for (const n of [0x19c, 0x1a2, 0xe7, 0xe8, 0x606, 0x38f, 0xda0, 0x10b, 0xc0010015]) expect(readMsr(m.cpu, n)).toBeUndefined();
    expect((readMsr(m.cpu, 0x10a) ?? 0n) & 1n).toBe(1n);
  });
});
