import { describe, expect, it } from "vitest";
import { CS, DS, ES, FS, LDTR, SS, TR } from "../cpu-state.ts";
import { STATE } from "../state-layout.ts";
import { loadSeg } from "./descriptor.ts";
import { cpuidLeaf, deliverAll, deliverEvent, raiseFault } from "./index.ts";
import { GDT_AT, IDT_AT, LDT_AT, protectedMachine, SEL, TestMachine, TSS16_AT, TSS2_AT, TSS_AT, toLong, toUser, toV86 } from "./machine.testing.ts";

const DONE = { kind: "done" };
const fault = (vector: number, errorCode?: number) => ({ kind: "fault", vector, errorCode });
/** Bytes of a far pointer operand. */
const far32 = (selector: number, offset: number): number[] => [
  offset & 0xff,
  (offset >> 8) & 0xff,
  (offset >> 16) & 0xff,
  (offset >>> 24) & 0xff,
  selector & 0xff,
  selector >> 8,
];

describe("real mode", () => {
  it("INT pushes FLAGS, CS, IP and clears IF and TF; IRET restores them", () => {
    const m = new TestMachine();
    m.memory.write16(0x13 * 4, 0x1234);
    m.memory.write16(0x13 * 4 + 2, 0xf000);
    m.cpu.eflags = 0x3302 | 1;
    m.cpu.eip = 0x100;
    expect(m.exec(0xcd, 0x13)).toEqual(DONE);
    expect([m.cpu.selector(CS), m.cpu.eip, m.cpu.eflags & 0x3301]).toEqual([0xf000, 0x1234, 0x3001]);
    expect(m.cpu.r16(4)).toBe(0xffa);
    expect([m.memory.read16(0x20ffa), m.memory.read16(0x20ffc), m.memory.read16(0x20ffe)]).toEqual([0x102, 0x1000, 0x3303]);
    expect(m.exec(0xcf)).toEqual(DONE);
    expect([m.cpu.selector(CS), m.cpu.eip, m.cpu.eflags, m.cpu.r16(4)]).toEqual([0x1000, 0x102, 0x3303, 0x1000]);
  });
  it("far CALL and RETF with release", () => {
    const m = new TestMachine();
    expect(m.exec(0x9a, 0x78, 0x56, 0x00, 0x30)).toEqual(DONE);
    expect([m.cpu.selector(CS), m.cpu.eip, m.cpu.base(CS)]).toEqual([0x3000, 0x5678, 0x30000n]);
    expect(m.exec(0xca, 4, 0)).toEqual(DONE);
    expect([m.cpu.selector(CS), m.cpu.eip, m.cpu.r16(4)]).toEqual([0x1000, 5, 0x1004]);
  });
  it("a push at SP=1 is a stack fault that changes nothing", () => {
    const m = new TestMachine();
    m.cpu.setR16(4, 1);
    expect(m.exec(0x9c)).toEqual(fault(12, 0));
    expect(m.cpu.r16(4)).toBe(1);
    raiseFault(m.cpu, 12, 0);
    expect(m.cpu.shutdown).toBe(true);
  });
  it("a segment load keeps hidden limit and rights (unreal mode)", () => {
    const m = new TestMachine();
    loadSeg(m.cpu, DS, 0, 0, 0xffffffff, 0x8093);
    m.cpu.setR16(0, 0x1234);
    expect(m.exec(0x8e, 0xd8)).toEqual(DONE);
    expect([m.cpu.base(DS), m.cpu.limit(DS)]).toEqual([0x12340n, 0xffffffff]);
  });
  it("STI and MOV SS open an interrupt shadow", () => {
    const m = new TestMachine();
    m.exec(0xfb);
    expect(m.cpu.shadow).toBe(1);
    m.exec(0x8e, 0xd0);
    expect(m.cpu.shadow).toBe(2);
  });
  it("LLDT, LAR and ARPL are undefined", () => {
    const m = new TestMachine();
    expect(m.exec(0x0f, 0x00, 0xd0)).toEqual(fault(6));
    expect(m.exec(0x0f, 0x02, 0xc0)).toEqual(fault(6));
    expect(m.exec(0x63, 0xc0)).toEqual(fault(6));
  });
  it("LGDT with a 16-bit operand takes 24 bits of base", () => {
    const m = new TestMachine();
    loadSeg(m.cpu, DS, 0, 0, 0xffff, 0x93);
    m.memory.write16(0x500, 0x27);
    m.memory.write32(0x502, 0xff123456);
    m.exec(0x0f, 0x01, 0x16, 0x00, 0x05);
    expect([m.cpu.gdtrLimit, m.cpu.gdtrBase]).toEqual([0x27, 0x123456n]);
    m.exec(0x66, 0x0f, 0x01, 0x16, 0x00, 0x05);
    expect(m.cpu.gdtrBase).toBe(0xff123456n);
  });
});

describe("segment loads in protected mode", () => {
  const load = (selector: number, modrm: number, user = false) => {
    const m = protectedMachine();
    if (user) toUser(m);
    m.cpu.setR32(0, selector);
    return { m, outcome: m.exec(0x8e, modrm) };
  };
  const TO_DS = 0xd8;
  const TO_SS = 0xd0;
  it.each([
    ["null into DS", 0x0003, TO_DS, false, DONE],
    ["null into SS", 0x0000, TO_SS, false, fault(13, 0)],
    ["beyond the GDT", 0x0200, TO_DS, false, fault(13, 0x200)],
    ["local without LDT", 0x000c, TO_DS, false, fault(13, 0x0c)],
    ["execute-only code into DS", SEL.executeOnly, TO_DS, false, fault(13, SEL.executeOnly)],
    ["system segment into DS", SEL.tss2, TO_DS, false, fault(13, SEL.tss2)],
    ["absent data into DS", SEL.absentData, TO_DS, false, fault(11, SEL.absentData)],
    ["absent data into SS", SEL.absentData, TO_SS, false, fault(12, SEL.absentData)],
    ["read-only data into SS", SEL.readOnly, TO_SS, false, fault(13, SEL.readOnly)],
    ["RPL 3 into SS at CPL 0", SEL.data0 | 3, TO_SS, false, fault(13, SEL.data0)],
    ["DPL 3 into SS at CPL 0", SEL.data3 & ~3, TO_SS, false, fault(13, SEL.data3 & ~3)],
    ["DPL 0 into DS at CPL 3", SEL.data0, TO_DS, true, fault(13, SEL.data0)],
    ["RPL 3, DPL 0 into DS", SEL.data0 | 3, TO_DS, false, fault(13, SEL.data0)],
    ["conforming code into DS at CPL 3", SEL.conforming | 3, TO_DS, true, DONE],
    ["own data into SS at CPL 3", SEL.data3, TO_SS, true, DONE],
  ])("%s", (_name, selector, modrm, user, expected) => {
    expect(load(selector, modrm, user).outcome).toEqual(expected);
  });
  it("sets the accessed bit in memory", () => {
    const { m } = load(SEL.stack16, TO_DS);
    expect(m.memory.read8(GDT_AT + SEL.stack16 + 5)).toBe(0x93);
    expect([m.cpu.base(DS), m.cpu.limit(DS)]).toEqual([0x20000n, 0xffff]);
  });
  it("MOV to CS is undefined", () => {
    expect(load(SEL.code0, 0xc8).outcome).toEqual(fault(6));
  });
  it("LDT descriptors work after LLDT", () => {
    const m = protectedMachine();
    m.descriptor(LDT_AT + 8, 0x5000, 0xfff, 0x4092);
    m.cpu.setR32(0, SEL.ldt);
    expect(m.exec(0x0f, 0x00, 0xd0)).toEqual(DONE);
    expect([m.cpu.base(LDTR), m.cpu.limit(LDTR)]).toEqual([BigInt(LDT_AT), 0xff]);
    m.cpu.setR32(0, 0x0c);
    expect(m.exec(0x8e, 0xd8)).toEqual(DONE);
    expect(m.cpu.base(DS)).toBe(0x5000n);
    m.cpu.setR32(0, 0x10c);
    expect(m.exec(0x8e, 0xd8)).toEqual(fault(13, 0x10c));
  });
  it("LTR refuses a busy TSS and null", () => {
    const m = protectedMachine();
    m.cpu.setR32(0, SEL.tss);
    expect(m.exec(0x0f, 0x00, 0xd8)).toEqual(fault(13, SEL.tss));
    m.cpu.setR32(0, 0);
    expect(m.exec(0x0f, 0x00, 0xd8)).toEqual(fault(13, 0));
  });
  it("LAR, LSL, VERR, VERW", () => {
    const m = protectedMachine();
    m.cpu.setR32(0, SEL.data3);
    m.exec(0x0f, 0x02, 0xc8);
    expect([m.cpu.r32(1), m.cpu.eflags & 0x40]).toEqual([0xcff300, 0x40]);
    m.exec(0x0f, 0x03, 0xc8);
    expect(m.cpu.r32(1)).toBe(0xffffffff);
    m.cpu.setR32(0, SEL.executeOnly);
    m.exec(0x0f, 0x00, 0xe0);
    expect(m.cpu.eflags & 0x40).toBe(0);
    m.cpu.setR32(0, SEL.readOnly);
    m.exec(0x0f, 0x00, 0xe0);
    expect(m.cpu.eflags & 0x40).toBe(0x40);
    m.exec(0x0f, 0x00, 0xe8);
    expect(m.cpu.eflags & 0x40).toBe(0);
    m.cpu.setR32(0, 0x1f0);
    m.exec(0x0f, 0x02, 0xc8);
    expect(m.cpu.eflags & 0x40).toBe(0);
  });
});

describe("far transfers in protected mode", () => {
  const jump = (selector: number, user = false, op = 0xea) => {
    const m = protectedMachine();
    if (user) toUser(m);
    return { m, outcome: m.exec(op, ...far32(selector, 0x2000)) };
  };
  it.each([
    ["null", 0, false, fault(13, 0)],
    ["data", SEL.data0, false, fault(13, SEL.data0)],
    ["DPL 3 code at CPL 0", SEL.code3 & ~3, false, fault(13, SEL.code3 & ~3)],
    ["DPL 0 code at CPL 3", SEL.code0, true, fault(13, SEL.code0)],
    ["RPL above CPL", SEL.code0 | 3, false, fault(13, SEL.code0)],
    ["absent code", SEL.absentCode, false, fault(11, SEL.absentCode)],
    ["LDT descriptor", SEL.ldt, false, fault(13, SEL.ldt)],
    ["busy TSS", SEL.tss, false, fault(13, SEL.tss)],
    ["same level", SEL.code0, false, DONE],
    ["conforming from CPL 3", SEL.conforming, true, DONE],
  ])("JMP to %s", (_name, selector, user, expected) => {
    const { m, outcome } = jump(selector, user);
    expect(outcome).toEqual(expected);
    if (expected === DONE) expect([m.cpu.selector(CS), m.cpu.eip, m.cpu.cpl]).toEqual([(selector & ~3) | (user ? 3 : 0), 0x2000, user ? 3 : 0]);
  });
  it("beyond the target's limit is #GP(0)", () => {
    const m = protectedMachine();
    expect(m.exec(0xea, ...far32(SEL.code16, 0x10000))).toEqual(fault(13, 0));
  });
  it("CALL through a 32-bit gate to an inner level copies parameters and switches stacks; RETF goes back", () => {
    const m = protectedMachine();
    m.gate(GDT_AT + SEL.gate, SEL.code0, 0x4444, 0xc, 3, 2);
    toUser(m);
    m.memory.write32(0x30000, 0xaaaa);
    m.memory.write32(0x30004, 0xbbbb);
    expect(m.exec(0x9a, ...far32(SEL.gate | 3, 0))).toEqual(DONE);
    expect([m.cpu.selector(CS), m.cpu.eip, m.cpu.selector(SS), m.cpu.r32(4), m.cpu.cpl]).toEqual([SEL.code0, 0x4444, SEL.data0, 0x30fe8, 0]);
    expect([0, 4, 8, 12, 16, 20].map((o) => m.memory.read32(0x30fe8 + o))).toEqual([0x10007, SEL.code3, 0xaaaa, 0xbbbb, 0x30000, SEL.data3]);
    loadSeg(m.cpu, DS, SEL.data0, 0, 0xffffffff, 0xc093);
    expect(m.exec(0xca, 8, 0)).toEqual(DONE);
    expect([m.cpu.selector(CS), m.cpu.eip, m.cpu.selector(SS), m.cpu.r32(4), m.cpu.cpl]).toEqual([SEL.code3, 0x10007, SEL.data3, 0x30008, 3]);
    expect([m.cpu.selector(DS), m.cpu.usable(DS), m.cpu.selector(ES)]).toEqual([0, false, SEL.data3]);
  });
  it("a call gate of a lower DPL is #GP(gate), an absent one #NP(gate)", () => {
    const m = protectedMachine();
    m.gate(GDT_AT + SEL.gate, SEL.code0, 0x4444, 0xc, 0);
    toUser(m);
    expect(m.exec(0x9a, ...far32(SEL.gate, 0))).toEqual(fault(13, SEL.gate));
    m.gate(GDT_AT + SEL.gate, SEL.code0, 0x4444, 0xc, 3);
    m.memory.write8(GDT_AT + SEL.gate + 5, 0x6c);
    expect(m.exec(0x9a, ...far32(SEL.gate, 0))).toEqual(fault(11, SEL.gate));
  });
  it("an inner stack outside the TSS is #TS(TSS), a null one #TS(0), an absent one #SS(selector)", () => {
    const m = protectedMachine();
    m.gate(GDT_AT + SEL.gate, SEL.code0, 0x4444, 0xc, 3);
    toUser(m);
    m.memory.write16(TSS_AT + 8, 0);
    expect(m.exec(0x9a, ...far32(SEL.gate, 0))).toEqual(fault(10, 0));
    m.memory.write16(TSS_AT + 8, SEL.data3);
    expect(m.exec(0x9a, ...far32(SEL.gate, 0))).toEqual(fault(10, SEL.data3 & ~3));
    m.memory.write16(TSS_AT + 8, SEL.absentData);
    expect(m.exec(0x9a, ...far32(SEL.gate, 0))).toEqual(fault(12, SEL.absentData));
    loadSeg(m.cpu, TR, SEL.tss, TSS_AT, 8, 0x8b);
    expect(m.exec(0x9a, ...far32(SEL.gate, 0))).toEqual(fault(10, SEL.tss));
    expect([m.cpu.r32(4), m.cpu.cpl]).toEqual([0x30000, 3]);
  });
  it("RETF to an inner level is #GP(selector)", () => {
    const m = protectedMachine();
    toUser(m);
    m.memory.write32(0x30000, 0x2000);
    m.memory.write32(0x30004, SEL.code0);
    expect(m.exec(0xcb)).toEqual(fault(13, SEL.code0));
  });
});

describe("interrupt gates in protected mode", () => {
  it("same level: frame, cleared flags, error code with RF in the image of a fault", () => {
    const m = protectedMachine();
    m.gate(IDT_AT + 13 * 8, SEL.code0, 0x5555, 0xe);
    m.cpu.eflags = 0x4302;
    deliverEvent(m.cpu, "hardware-exception", 13, 0x18, 0);
    expect([m.cpu.eip, m.cpu.r32(4), m.cpu.eflags]).toEqual([0x5555, 0x2fff0, 2]);
    expect([0, 4, 8, 12].map((o) => m.memory.read32(0x2fff0 + o))).toEqual([0x18, 0x10000, SEL.code0, 0x14302]);
  });
  it("a trap gate keeps IF, a 16-bit gate pushes words", () => {
    const m = protectedMachine();
    m.gate(IDT_AT + 0x30 * 8, SEL.code0, 0x5555, 7);
    m.cpu.eflags = 0x202;
    expect(m.exec(0xcd, 0x30)).toEqual(DONE);
    expect([m.cpu.eip, m.cpu.r32(4), m.cpu.eflags & 0x200]).toEqual([0x5555, 0x2fffa, 0x200]);
    expect(m.memory.read16(0x2fffa)).toBe(2);
  });
  it("INT n from CPL 3 needs the gate's DPL, hardware events do not", () => {
    const m = protectedMachine();
    m.gate(IDT_AT + 0x80 * 8, SEL.code0, 0x6666, 0xe, 0);
    toUser(m);
    expect(m.exec(0xcd, 0x80)).toEqual(fault(13, 0x402));
    deliverEvent(m.cpu, "external", 0x80, undefined, 0);
    expect([m.cpu.cpl, m.cpu.r32(4), m.cpu.selector(SS)]).toEqual([0, 0x31000 - 20, SEL.data0]);
    expect(m.exec(0xcf)).toEqual(DONE);
    expect([m.cpu.cpl, m.cpu.r32(4), m.cpu.selector(SS), m.cpu.eip]).toEqual([3, 0x30000, SEL.data3, 0x10000]);
  });
  it("beyond the IDT, wrong gate type and absent gates give IDT error codes with EXT for hardware", () => {
    const m = protectedMachine();
    m.cpu.idtrLimit = 0xff;
    expect(m.exec(0xcd, 0x20)).toEqual(fault(13, 0x102));
    expect(m.exec(0xcd, 0x10)).toEqual(fault(13, 0x82));
    m.gate(IDT_AT + 0x10 * 8, SEL.code0, 0, 0xe);
    m.memory.write8(IDT_AT + 0x10 * 8 + 5, 0x0e);
    expect(m.exec(0xcd, 0x10)).toEqual(fault(11, 0x82));
    expect(() => deliverEvent(m.cpu, "external", 0x10, undefined, 0)).toThrow();
    expect([m.cpu.fault.vector, m.cpu.fault.errorCode]).toEqual([11, 0x83]);
  });
  it("contributory faults double, then triple", () => {
    const m = protectedMachine();
    m.gate(IDT_AT + 8 * 8, SEL.code0, 0x8888, 0xe);
    raiseFault(m.cpu, 13, 0);
    expect([m.cpu.eip, m.memory.read32(0x2fff0)]).toEqual([0x8888, 0]);
    m.gate(IDT_AT + 8 * 8, SEL.data0, 0x8888, 0xe);
    raiseFault(m.cpu, 13, 0);
    expect(m.cpu.exit?.kind).toBe("triple-fault");
  });
  it("a fault while delivering an interrupt is just that fault; #GP in #UD too", () => {
    const m = protectedMachine();
    m.gate(IDT_AT + 13 * 8, SEL.code0, 0x7777, 0xe);
    deliverAll(m.cpu, "external", 0x20, undefined, 0);
    expect([m.cpu.eip, m.memory.read32(m.cpu.r32(4))]).toEqual([0x7777, 0x103]);
    raiseFault(m.cpu, 6, undefined);
    expect([m.cpu.eip, m.memory.read32(m.cpu.r32(4))]).toEqual([0x7777, 6 * 8 + 3]);
  });
  it("the exception bitmap turns a fault into an exit", () => {
    const m = protectedMachine();
    m.cpu.intercepts.exceptionBitmap = 1 << 13;
    raiseFault(m.cpu, 13, 0x50);
    expect(m.cpu.exit).toMatchObject({ kind: "exception", vector: 13, errorCode: 0x50, reason: 0 });
    expect(m.cpu.eip).toBe(0x10000);
    m.cpu.intercepts.exceptionBitmap = 8;
    expect(m.exec(0xcc)).toMatchObject({ kind: "exit", exit: { kind: "exception", vector: 3, event: "software-exception", instructionLength: 1 } });
  });
});

describe("task switches", () => {
  const fillTss = (m: TestMachine) => {
    m.memory.write32(TSS2_AT + 0x20, 0x7000);
    m.memory.write32(TSS2_AT + 0x24, 0x202);
    for (let i = 0; i < 8; i++) m.memory.write32(TSS2_AT + 0x28 + i * 4, 0x100 + i);
    m.memory.write32(TSS2_AT + 0x38, 0x33000);
    for (let i = 0; i < 6; i++) m.memory.write16(TSS2_AT + 0x48 + i * 4, i === 1 ? SEL.code0 : SEL.data0);
    m.memory.write16(TSS2_AT + 0x60, 0);
  };
  it("CALL nests, IRET with NT returns", () => {
    const m = protectedMachine();
    fillTss(m);
    m.cpu.setR32(3, 0xbeef);
    expect(m.exec(0x9a, ...far32(SEL.tss2, 0))).toEqual(DONE);
    expect([m.cpu.eip, m.cpu.r32(3), m.cpu.r32(4), m.cpu.eflags, m.cpu.selector(TR)]).toEqual([0x7000, 0x103, 0x33000, 0x4202, SEL.tss2]);
    expect([m.memory.read16(TSS2_AT), m.cpu.cr0 & 8]).toEqual([SEL.tss, 8]);
    expect([m.memory.read8(GDT_AT + SEL.tss + 5), m.memory.read8(GDT_AT + SEL.tss2 + 5)]).toEqual([0x8b, 0x8b]);
    expect([m.memory.read32(TSS_AT + 0x20), m.memory.read32(TSS_AT + 0x34)]).toEqual([0x10007, 0xbeef]);
    expect(m.exec(0xcf)).toEqual(DONE);
    expect([m.cpu.eip, m.cpu.r32(3), m.cpu.selector(TR), m.cpu.eflags & 0x4000]).toEqual([0x10007, 0xbeef, SEL.tss, 0]);
    expect([m.memory.read8(GDT_AT + SEL.tss + 5), m.memory.read8(GDT_AT + SEL.tss2 + 5)]).toEqual([0x8b, 0x89]);
    expect(m.memory.read32(TSS2_AT + 0x24) & 0x4000).toBe(0);
  });
  it("JMP frees the old task; the T bit asks for a debug trap", () => {
    const m = protectedMachine();
    fillTss(m);
    m.memory.write16(TSS2_AT + 0x64, 1);
    expect(m.exec(0xea, ...far32(SEL.tss2, 0))).toEqual(DONE);
    expect([m.memory.read8(GDT_AT + SEL.tss + 5), m.cpu.eflags & 0x4000, m.cpu.pendingDebug]).toEqual([0x89, 0, 0x8000]);
  });
  it("a task gate takes an exception, its error code lands on the new stack", () => {
    const m = protectedMachine();
    fillTss(m);
    m.gate(IDT_AT + 10 * 8, SEL.tss2, 0, 5);
    raiseFault(m.cpu, 10, 0x1234);
    expect([m.cpu.eip, m.cpu.r32(4), m.memory.read32(0x32ffc)]).toEqual([0x7000, 0x32ffc, 0x1234]);
  });
  it("a 16-bit TSS saves and loads words", () => {
    const m = protectedMachine();
    m.memory.write16(TSS16_AT + 0x0e, 0x300);
    m.memory.write16(TSS16_AT + 0x10, 2);
    m.memory.write16(TSS16_AT + 0x12 + 8, 0x800);
    [SEL.data0, SEL.code16, SEL.stack16, SEL.data0].forEach((s, i) => m.memory.write16(TSS16_AT + 0x22 + i * 2, s));
    expect(m.exec(0x9a, ...far32(SEL.tss16, 0))).toEqual(DONE);
    expect([m.cpu.eip, m.cpu.r16(4), m.cpu.codeSize, m.cpu.selector(SS), m.cpu.selector(FS)]).toEqual([0x300, 0x800, 16, SEL.stack16, 0]);
    expect(m.exec(0xcf)).toEqual(DONE);
    expect([m.cpu.selector(TR), m.cpu.codeSize, m.cpu.eip]).toEqual([SEL.tss, 32, 0x10007]);
  });
  it("a short TSS is #TS before anything changes; a bad selector is #TS in the new task", () => {
    const m = protectedMachine();
    fillTss(m);
    m.descriptor(GDT_AT + SEL.tss2, TSS2_AT, 0x66, 0x89);
    expect(m.exec(0xea, ...far32(SEL.tss2, 0))).toEqual(fault(10, SEL.tss2));
    expect(m.cpu.selector(TR)).toBe(SEL.tss);
    m.descriptor(GDT_AT + SEL.tss2, TSS2_AT, 0x67, 0x89);
    m.memory.write16(TSS2_AT + 0x54, SEL.executeOnly);
    m.gate(IDT_AT + 10 * 8, SEL.code0, 0xaaaa, 0xe);
    expect(m.exec(0xea, ...far32(SEL.tss2, 0))).toEqual(DONE);
    expect([m.cpu.eip, m.cpu.selector(TR), m.memory.read32(m.cpu.r32(4)), m.memory.read32(m.cpu.r32(4) + 4)]).toEqual([
      0xaaaa,
      SEL.tss2,
      SEL.executeOnly,
      0x7000,
    ]);
  });
  it("exits when intercepted, before any change", () => {
    const m = protectedMachine();
    fillTss(m);
    m.cpu.intercepts.taskSwitch = true;
    expect(m.exec(0x9a, ...far32(SEL.tss2, 0))).toMatchObject({
      kind: "exit",
      exit: { reason: 9, qualification: BigInt(SEL.tss2), instructionLength: 7 },
    });
  });
});

describe("virtual-8086 mode", () => {
  it("IRET enters it, a gate leaves it with the data segments on the stack", () => {
    const m = protectedMachine();
    m.cpu.setR32(4, 0x30000);
    [0x100, 0x1000, 0x20202, 0x800, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000].forEach((v, i) => m.memory.write32(0x30000 + i * 4, v));
    expect(m.exec(0xcf)).toEqual(DONE);
    expect([m.cpu.v86, m.cpu.cpl, m.cpu.codeSize, m.cpu.base(CS), m.cpu.eip, m.cpu.base(DS)]).toEqual([true, 3, 16, 0x10000n, 0x100, 0x40000n]);
    m.gate(IDT_AT + 13 * 8, SEL.code0, 0x9999, 0xe);
    expect(m.exec(0xcd, 0x21)).toEqual(fault(13, 0));
    raiseFault(m.cpu, 13, 0);
    expect([m.cpu.v86, m.cpu.cpl, m.cpu.eip, m.cpu.usable(DS), m.cpu.r32(4)]).toEqual([false, 0, 0x9999, false, 0x31000 - 40]);
    expect([...Array(10).keys()].map((i) => m.memory.read32(0x31000 - 40 + i * 4))).toEqual([
      0, 0x100, 0x1000, 0x30202, 0x800, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000,
    ]);
  });
  it("PUSHF, POPF, CLI, STI, IRET, INT trap with IOPL below 3 and work with IOPL 3", () => {
    const m = protectedMachine();
    toV86(m, 0);
    for (const bytes of [[0x9c], [0x9d], [0xfa], [0xfb], [0xcf], [0xcd, 0x21]]) expect(m.exec(...bytes)).toEqual(fault(13, 0));
    toV86(m, 3);
    expect(m.exec(0xfb)).toEqual(DONE);
    expect(m.exec(0x9c)).toEqual(DONE);
    expect(m.memory.read16(0x20ffe)).toBe(0x3202);
    expect(m.exec(0xfa)).toEqual(DONE);
    expect(m.exec(0x9d)).toEqual(DONE);
    expect(m.cpu.eflags & 0x200).toBe(0x200);
    m.gate(IDT_AT + 0x21 * 8, SEL.code0, 0x4321, 0xe, 3);
    expect(m.exec(0xcd, 0x21)).toEqual(DONE);
    expect(m.cpu.eip).toBe(0x4321);
  });
  it("VME: INT n goes to the program's IVT when its redirection bit is clear, with VIF for IF", () => {
    const m = protectedMachine();
    m.cpu.u32[STATE.cr4.u32] = 1;
    toV86(m, 0);
    m.memory.write16(0x21 * 4, 0x0042);
    m.memory.write16(0x21 * 4 + 2, 0x1100);
    expect(m.exec(0xfb)).toEqual(DONE);
    expect(m.cpu.eflags & 0x80200).toBe(0x80000);
    expect(m.exec(0xcd, 0x21)).toEqual(DONE);
    expect([m.cpu.selector(CS), m.cpu.eip, m.cpu.eflags & 0xa0200, m.memory.read16(0x20ffe)]).toEqual([0x1100, 0x42, 0x20000, 0x3202]);
    expect(m.exec(0xcf)).toEqual(DONE);
    expect([m.cpu.selector(CS), m.cpu.eip, m.cpu.eflags & 0xa3200]).toEqual([0x1000, 3, 0xa0000]);
    m.memory.write8(TSS_AT + 0x68 + 4, 2);
    expect(m.exec(0xcd, 0x21)).toEqual(fault(13, 0));
    m.cpu.eflags |= 0x100000;
    m.cpu.systemFlags &= ~0x80000;
    expect(m.exec(0xfb)).toEqual(fault(13, 0));
  });
});

describe("I/O permission", () => {
  it("CPL 3 with IOPL 0 goes by the bitmap, two bytes at a time", () => {
    const m = protectedMachine();
    toUser(m);
    m.cpu.setR32(2, 0x3f8);
    expect(m.exec(0xec)).toEqual(DONE);
    m.memory.write8(TSS_AT + 0x88 + 0x7f, 2);
    expect(m.exec(0xec)).toEqual(DONE);
    expect(m.exec(0x66, 0xed)).toEqual(fault(13, 0));
    m.memory.write8(TSS_AT + 0x88 + 0x80, 1);
    m.cpu.setR32(2, 0x3fd);
    expect(m.exec(0xed)).toEqual(fault(13, 0));
    loadSeg(m.cpu, TR, SEL.tss, TSS_AT, 0x88 + 0x7f, 0x8b);
    expect(m.exec(0xec)).toEqual(fault(13, 0));
    m.cpu.eflags |= 0x3000;
    expect(m.exec(0xec)).toEqual(DONE);
    toV86(m, 3);
    expect(m.exec(0xec)).toEqual(fault(13, 0));
  });
  it("a port nobody owns exits with its qualification", () => {
    const m = new TestMachine();
    m.portValue = -1;
    m.portsAccept = false;
    m.cpu.setR16(2, 0x1f0);
    expect(m.exec(0xed)).toMatchObject({
      exit: { kind: "io-in", reason: 30, port: 0x1f0, size: 2, qualification: 0x1f00009n, instructionLength: 1 },
    });
    m.cpu.setR8(0, 0x5a);
    expect(m.exec(0xe6, 0x80)).toMatchObject({
      exit: { kind: "io-out", port: 0x80, size: 1, value: 0x5a, qualification: 0x800040n, instructionLength: 2 },
    });
    m.cpu.setR16(1, 3);
    expect(m.exec(0xf3, 0x6d)).toMatchObject({ exit: { kind: "io-in", string: true, qualification: 0x1f00039n } });
    expect(m.exec(0xf3, 0x26, 0x6e)).toMatchObject({ exit: { kind: "io-out", string: true, qualification: 0x1f00030n, instructionInfo: 0 } });
    expect(m.cpu.r16(1)).toBe(3);
  });
});

describe("control registers and MSRs", () => {
  it("refuses inconsistent CR0 values", () => {
    const m = protectedMachine();
    for (const v of [0x80000010, 0x20000011]) {
      m.cpu.setR32(0, v);
      expect(m.exec(0x0f, 0x22, 0xc0)).toEqual(fault(13, 0));
    }
    m.cpu.setR32(0, 0x2000);
    expect(m.exec(0x0f, 0x22, 0xe0)).toEqual(fault(13, 0));
    expect(m.exec(0x0f, 0x22, 0xc8)).toEqual(fault(6));
    toUser(m);
    expect(m.exec(0x0f, 0x20, 0xc0)).toEqual(fault(13, 0));
  });
  it("PAE paging checks the PDPTEs' reserved bits when PG is set", () => {
    const m = protectedMachine();
    m.cpu.setR32(0, 0x20);
    m.exec(0x0f, 0x22, 0xe0);
    m.cpu.setR32(0, 0x100000);
    m.exec(0x0f, 0x22, 0xd8);
    m.memory.write32(0x100000, 0x101003);
    m.cpu.setR32(0, 0x80000011);
    expect(m.exec(0x0f, 0x22, 0xc0)).toEqual(fault(13, 0));
    m.memory.write32(0x100000, 0x101001);
    m.memory.write32(0x101000, 0x83);
    expect(m.exec(0x0f, 0x22, 0xc0)).toEqual(DONE);
    expect(m.cpu.pdptes[0]).toBe(0x101001n);
  });
  it("long mode: LME, PAE and PG make LMA; a far jump makes 64-bit code; clearing PG there is #GP", () => {
    const m = protectedMachine();
    toLong(m);
    expect([m.cpu.longMode, m.cpu.codeSize, m.cpu.rip]).toEqual([true, 64, 0x10000n]);
    m.cpu.setR64(0, 0x11n);
    expect(m.exec(0x0f, 0x22, 0xc0)).toEqual(fault(13, 0));
    m.cpu.setR64(0, 0n);
    expect(m.exec(0x0f, 0x22, 0xe0)).toEqual(fault(13, 0));
    m.cpu.setR64(0, 1n << 40n);
    expect(m.exec(0x0f, 0x22, 0xd8)).toEqual(fault(13, 0));
  });
  it("CR0 mask and shadow", () => {
    const m = protectedMachine();
    m.cpu.intercepts.cr0Mask = 0x20;
    m.cpu.intercepts.cr0Shadow = 0;
    m.cpu.u32[STATE.cr0.u32] |= 0x20;
    m.exec(0x0f, 0x20, 0xc0);
    expect(m.cpu.r32(0)).toBe(0x11);
    expect(m.exec(0x0f, 0x22, 0xc0)).toEqual(DONE);
    expect(m.cpu.cr0 & 0x20).toBe(0x20);
    m.cpu.setR32(3, 0x31);
    expect(m.exec(0x0f, 0x22, 0xc3)).toMatchObject({ exit: { kind: "cr-access", reason: 28, qualification: 0x300n } });
  });
  it("debug registers: aliases, general detect, fixed bits", () => {
    const m = protectedMachine();
    m.cpu.setR32(0, 0xffffffff);
    m.exec(0x0f, 0x23, 0xf8);
    expect(m.cpu.dr[7]).toBe(0xffff27ffn);
    expect(m.exec(0x0f, 0x21, 0xc0)).toEqual(fault(1));
    expect([m.cpu.dr[6] & 0x2000n, m.cpu.dr[7] & 0x2000n]).toEqual([0x2000n, 0n]);
    m.cpu.setR32(0, 0);
    m.exec(0x0f, 0x23, 0xe0);
    expect(m.cpu.dr[6]).toBe(0xffff0ff0n);
    m.cpu.u32[STATE.cr4.u32] = 8;
    expect(m.exec(0x0f, 0x23, 0xe0)).toEqual(fault(6));
  });
  it.each([
    ["EFER reserved bit", 0xc0000080, 2n, false],
    ["LSTAR non-canonical", 0xc0000082, 0x8000_0000_0000_0000n, false],
    ["LSTAR canonical", 0xc0000082, 0xffff_8000_0000_0000n, true],
    ["PAT with type 2", 0x277, 0x02n, false],
    ["PAT WC", 0x277, 0x0001_0406_0007_0406n, true],
    ["MTRR def type", 0x2ff, 0xc06n, true],
    ["MTRRcap", 0xfe, 0n, false],
    ["unknown", 0x12345, 0n, false],
    ["MC0_STATUS nonzero", 0x401, 1n, false],
  ])("WRMSR %s", (_name, msr, value, ok) => {
    const m = protectedMachine();
    m.cpu.setR32(1, msr);
    m.cpu.setR32(0, Number(value & 0xffffffffn));
    m.cpu.setR32(2, Number(value >> 32n));
    expect(m.exec(0x0f, 0x30)).toEqual(ok ? DONE : fault(13, 0));
    if (ok) {
      m.exec(0x0f, 0x32);
      expect((BigInt(m.cpu.r32(2)) << 32n) | BigInt(m.cpu.r32(0))).toBe(value);
    }
  });
  it("TSC is writable and runs on", () => {
    const m = protectedMachine();
    m.cpu.setR32(1, 0x10);
    m.cpu.setR32(0, 5);
    m.cpu.setR32(2, 1);
    m.exec(0x0f, 0x30);
    m.tsc += 10;
    m.exec(0x0f, 0x31);
    expect([m.cpu.r32(0), m.cpu.r32(2)]).toEqual([15, 1]);
  });
  it("CPUID names itself, its maxima and 40 physical bits", () => {
    const m = protectedMachine();
    expect(cpuidLeaf(m.cpu, 0, 0)[1]).toBe(0x756e6547);
    expect(cpuidLeaf(m.cpu, 0x80000000, 0)[0] >>> 0).toBe(0x80000008);
    expect(cpuidLeaf(m.cpu, 0x80000008, 0)[0]).toBe(0x3028);
    let brand = "";
    for (let l = 2; l <= 4; l++)
      for (const v of cpuidLeaf(m.cpu, 0x80000000 + l, 0)) for (let i = 0; i < 4; i++) brand += String.fromCharCode((v >>> (i * 8)) & 0xff);
    expect(brand.replace(/\0+$/, "")).toBe("whyve software VT-x processor");
  });
});

describe("64-bit mode", () => {
  const longMachine = () => {
    const m = protectedMachine();
    toLong(m);
    m.cpu.setR64(4, 0x30008n);
    return m;
  };
  it("an interrupt gate aligns RSP, pushes SS:RSP and IRETQ returns", () => {
    const m = longMachine();
    m.gate64(IDT_AT + 14 * 16, SEL.code64, 0xffffffff80001234n, 0xe);
    m.cpu.eflags = 0x246;
    deliverEvent(m.cpu, "hardware-exception", 14, 2, 0);
    expect([m.cpu.rip, m.cpu.r64(4), m.cpu.eflags & 0x200]).toEqual([0xffffffff80001234n, 0x2ffd0n, 0]);
    expect([0, 8, 16, 24, 32, 40].map((o) => m.memory.read32(0x2ffd0 + o))).toEqual([2, 0x10000, SEL.code64, 0x10246, 0x30008, SEL.data0]);
    m.cpu.setR64(4, 0x2ffd8n);
    expect(m.exec(0x48, 0xcf)).toEqual(DONE);
    expect([m.cpu.rip, m.cpu.r64(4), m.cpu.eflags & 0x246, m.cpu.selector(SS)]).toEqual([0x10000n, 0x30008n, 0x246, SEL.data0]);
  });
  it("IST and inner stacks, null SS inside, IRETQ to user", () => {
    const m = longMachine();
    m.gate64(IDT_AT + 0x20 * 16, SEL.code64, 0x4000n, 0xe);
    m.gate64(IDT_AT + 0x21 * 16, SEL.code64, 0x4100n, 0xf, 3, 1);
    const frame = [0x7000, SEL.code64u, 0x202, 0x50000, SEL.data3];
    frame.forEach((v, i) => {
      m.memory.write32(0x2f000 + i * 8, v);
      m.memory.write32(0x2f004 + i * 8, 0);
    });
    m.cpu.setR64(4, 0x2f000n);
    expect(m.exec(0x48, 0xcf)).toEqual(DONE);
    expect([m.cpu.cpl, m.cpu.rip, m.cpu.r64(4), m.cpu.codeSize]).toEqual([3, 0x7000n, 0x50000n, 64]);
    expect(m.exec(0xcd, 0x20)).toEqual(fault(13, 0x102));
    deliverEvent(m.cpu, "external", 0x20, undefined, 0);
    expect([m.cpu.cpl, m.cpu.rip, m.cpu.r64(4), m.cpu.selector(SS), m.cpu.usable(SS)]).toEqual([0, 0x4000n, 0x30fd8n, 0, false]);
    expect(m.exec(0x48, 0xcf)).toEqual(DONE);
    expect(m.exec(0xcd, 0x21)).toEqual(DONE);
    expect([m.cpu.r64(4), m.cpu.eflags & 0x200]).toEqual([0x37fd8n, 0x200]);
    expect(m.exec(0x48, 0xcf)).toEqual(DONE);
    expect([m.cpu.cpl, m.cpu.rip]).toEqual([3, 0x7002n]);
  });
  it("IRETQ to a non-canonical RIP is #GP(0) with nothing changed", () => {
    const m = longMachine();
    [0, SEL.code64, 2, 0x50000, SEL.data0].forEach((v, i) => {
      m.memory.write32(0x2f000 + i * 8, v);
      m.memory.write32(0x2f004 + i * 8, i === 0 ? 0x8000 : 0);
    });
    m.cpu.setR64(4, 0x2f000n);
    expect(m.exec(0x48, 0xcf)).toEqual(fault(13, 0));
    expect(m.cpu.r64(4)).toBe(0x2f000n);
  });
  it("SYSCALL and SYSRET", () => {
    const m = longMachine();
    m.cpu.msrs.set(0xc0000081, 0x0083_0090_0000_0000n);
    m.cpu.msrs.set(0xc0000082, 0xffffffff80100000n);
    m.cpu.msrs.set(0xc0000084, 0x47700n);
    m.cpu.setR64(1, 0xdead0000n);
    m.cpu.eflags = 0x202;
    m.cpu.setR64(11, 0x202n);
    expect(m.exec(0x48, 0x0f, 0x07)).toEqual(DONE);
    expect([m.cpu.cpl, m.cpu.rip, m.cpu.selector(CS), m.cpu.selector(SS), m.cpu.codeSize]).toEqual([3, 0xdead0000n, 0x93, 0x8b, 64]);
    expect(m.exec(0x0f, 0x07)).toEqual(fault(13, 0));
    expect(m.exec(0x0f, 0x05)).toEqual(DONE);
    expect([m.cpu.cpl, m.cpu.rip, m.cpu.r64(1), m.cpu.r64(11), m.cpu.selector(CS), m.cpu.selector(SS), m.cpu.eflags]).toEqual([
      0,
      0xffffffff80100000n,
      0xdead0002n,
      0x202n,
      0x90,
      0x98,
      2,
    ]);
    m.cpu.setR64(1, 0x8000_0000_0000n);
    expect(m.exec(0x48, 0x0f, 0x07)).toEqual(fault(13, 0));
  });
  it("SWAPGS, and a far return to compatibility mode", () => {
    const m = longMachine();
    m.cpu.msrs.set(0xc0000102, 0xffff888000000000n);
    m.exec(0x0f, 0x01, 0xf8);
    expect([m.cpu.base(5), m.cpu.msrs.get(0xc0000102)]).toEqual([0xffff888000000000n, 0n]);
    m.memory.write32(0x30008, 0x1234);
    m.memory.write32(0x3000c, SEL.code0);
    expect(m.exec(0xcb)).toEqual(DONE);
    expect([m.cpu.codeSize, m.cpu.rip, m.cpu.r64(4)]).toEqual([32, 0x1234n, 0x30010n]);
  });
});

describe("VMX instructions", () => {
  it("VMCALL and VMMCALL exit in every mode and at any privilege", () => {
    const m = new TestMachine();
    expect(m.exec(0x0f, 0x01, 0xc1)).toMatchObject({ exit: { kind: "vmcall", reason: 18, instructionLength: 3 } });
    expect(m.exec(0x0f, 0x01, 0xd9)).toMatchObject({ exit: { kind: "vmcall", reason: 18 } });
    const p = protectedMachine();
    toUser(p);
    expect(p.exec(0x0f, 0x01, 0xc1)).toMatchObject({ exit: { kind: "vmcall" } });
    toV86(p, 0);
    expect(p.exec(0x0f, 0x01, 0xc1)).toMatchObject({ exit: { kind: "vmcall" } });
    expect(p.exec(0x0f, 0x01, 0xc2)).toEqual(fault(6));
  });
  it("VMREAD reports both registers, VMXON its operand", () => {
    const m = protectedMachine();
    expect(m.exec(0x0f, 0x78, 0xd1)).toMatchObject({ exit: { reason: 23, instructionInfo: (2 << 28) | (1 << 10) | (1 << 3) } });
    expect(m.exec(0xf3, 0x0f, 0xc7, 0x74, 0x8b, 0x10)).toMatchObject({
      exit: { reason: 27, qualification: 0x10n, instructionInfo: 2 | (1 << 7) | (3 << 15) | (1 << 18) | (3 << 23) },
    });
  });
  it("CPUID, HLT, RDTSC, MOV DR, LGDT exit when wanted, after the privilege checks", () => {
    const m = protectedMachine();
    Object.assign(m.cpu.intercepts, { cpuid: true, hlt: true, rdtsc: true, movDr: true, descriptorTable: true, cr3Load: true });
    expect(m.exec(0x0f, 0xa2)).toMatchObject({ exit: { kind: "cpuid", reason: 10, instructionLength: 2 } });
    expect(m.exec(0xf4)).toMatchObject({ exit: { kind: "hlt", reason: 12 } });
    expect(m.exec(0x0f, 0x31)).toMatchObject({ exit: { kind: "rdtsc", reason: 16 } });
    expect(m.exec(0x0f, 0x21, 0xfb)).toMatchObject({ exit: { kind: "dr-access", reason: 29, qualification: 0x317n } });
    expect(m.exec(0x0f, 0x22, 0xda)).toMatchObject({ exit: { kind: "cr-access", qualification: 0x203n } });
    expect(m.exec(0x0f, 0x01, 0x10)).toMatchObject({
      exit: { reason: 46, instructionInfo: (2 << 28) | (1 << 11) | (1 << 7) | (3 << 15) | (1 << 22) },
    });
    toUser(m);
    expect(m.exec(0xf4)).toEqual(fault(13, 0));
    expect(m.exec(0x0f, 0x01, 0x10)).toEqual(fault(13, 0));
  });
});
