/**
 * What an instruction, or the monitor from inside a `GuestIo` call or a hypercall, writes counts from the next instruction on, wherever budgets,
 * blocks and regions end: debug registers, TF, RF, IF, control registers, MSRs, tables, code, intercepts. Each program runs with every budget.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { CODE, DATA, HANDLERS, IDT, ModeMachine, OTHER_TASK, SELECTOR } from "./modes.mjs";
import { ENGINES } from "./support.mjs";

const BUDGETS = [1, 2, 3, 4, 5, 6, 7, 11, 64, 65, 1000];
const NOP = 0x90,
  HLT = 0xf4,
  STI = 0xfb,
  CLI = 0xfa,
  INT3 = 0xcc,
  ICEBP = 0xf1,
  VMCALL = [0x0f, 0x01, 0xc1],
  PUSHF = 0x9c,
  POPF = 0x9d;
const X = DATA + 0x100;
/** The handler of #DB counts here and gathers DR6; its last return address. */
const COUNT = 0x3800,
  SEEN = 0x3804,
  WHERE = 0x3808;
const le = (value, bytes = 4) => Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) & 0xff);
const TF_ON = [PUSHF, 0x81, 0x0c, 0x24, ...le(0x100), POPF];
/** Three instructions, the last of which ends the steps. */
const TF_OFF = [PUSHF, 0x81, 0x24, 0x24, ...le(0xfffffeff), POPF];
const movEax = (value) => [0xb8, ...le(value >>> 0)];
const movDr = (n) => [0x0f, 0x23, 0xc0 | (n << 3)];
const movCr = (n) => [0x0f, 0x22, 0xc0 | (n << 3)];
const movFromCr = (n) => [0x0f, 0x20, 0xc0 | (n << 3)];
const orEax = (bits) => [0x0d, ...le(bits >>> 0)];
const andEax = (bits) => [0x25, ...le(bits >>> 0)];
const movAl = (value) => [0xb0, value];
/** Code whose bytes need their own address: `f(address)` with the same length for all addresses. */
const here = (before, f) => [...before, ...f(CODE + before.length)];
/** Sets DR0 to the instruction behind `arming`, arms, and goes on. */
const breakNext = (dr7) =>
  here([], (at) => {
    const length = 5 + 3 + 5 + 3;
    return [...movEax(at + length), ...movDr(0), ...movEax(dr7), ...movDr(7)];
  });

/** #DB: counts, gathers and clears DR6, notes the return address, sets RF in the image. 32-bit code. */
const DB_HANDLER = [
  ...[0xff, 0x05, ...le(COUNT), 0x50, 0x0f, 0x21, 0xf0, 0x09, 0x05, ...le(SEEN), 0x31, 0xc0, 0x0f, 0x23, 0xf0],
  ...[0x8b, 0x44, 0x24, 0x04, 0xa3, ...le(WHERE), 0x58, 0x81, 0x4c, 0x24, 0x08, ...le(0x10000), 0xcf],
];
const IRET = 0xcf;
function handlers(m) {
  m.memory.write(0x3000, Uint8Array.from(DB_HANDLER));
  m.memory.write(HANDLERS + 16, Uint8Array.from([0xe9, ...le(0x3000 - (HANDLERS + 16 + 5))]));
  m.memory.write8(HANDLERS + 3 * 16, IRET);
  m.memory.write(HANDLERS + 0x20 * 16, Uint8Array.from([0xc6, 0x05, ...le(X), 0x77, IRET]));
  m.memory.write(COUNT, new Uint8Array(12));
}
/** Legacy paging, identity but for the page of the code, which is at `code`; `flags` of that page. */
function pageTable(m, at, code, flags = 7) {
  m.memory.write32(at, (at + 0x1000) | 7);
  for (let i = 0; i < 256; i++) m.memory.write32(at + 0x1000 + i * 4, (i * 4096) | 7);
  m.memory.write32(at + 0x1000 + (CODE >> 12) * 4, code | flags);
}
const OTHER_CODE = 0x2000;
/** AL = 2, HLT wherever the program's page goes on behind `before` bytes on the other page. */
const elsewhere = (m, before) => m.memory.write(OTHER_CODE + before, Uint8Array.from([...movAl(2), HLT]));

const CASES = [];
/** `expect`: exit, rip (offset from CODE), count, seen, where, al, x. */
const program = (name, code, expect, extra = {}) => CASES.push({ name, code, expect, ...extra });

// ---- debug registers
program("an instruction breakpoint behind MOV DR7", [...breakNext(0x402), NOP, HLT], { count: 1, seen: 1, where: 16 });
program(
  "an instruction breakpoint behind MOV DR0",
  here([...movEax(0x402), ...movDr(7)], (at) => [...movEax(at + 8), ...movDr(0), NOP, HLT]),
  { count: 1, where: 16 },
);
program(
  "an instruction breakpoint behind a jump",
  here([...movEax(0x402), ...movDr(7)], (at) => [...movEax(at + 10), ...movDr(0), 0xeb, 0, NOP, HLT]),
  { count: 1, where: 18 },
);
program("a data breakpoint behind MOV DR7", [...movEax(X), ...movDr(0), ...movEax(0x10402), ...movDr(7), 0xa2, ...le(X), NOP, HLT], {
  count: 1,
  seen: 1,
  where: 21,
});
program("an I/O breakpoint behind MOV DR7", [...movEax(0x80), ...movDr(0), ...movEax(0x20402), ...movDr(7), 0xe6, 0x80, NOP, HLT], {
  count: 1,
  seen: 1,
  where: 18,
});
program(
  "an I/O breakpoint behind MOV CR4 that sets DE",
  [...movEax(0x80), ...movDr(0), ...movEax(0x20402), ...movDr(7), ...movFromCr(4), ...orEax(8), ...movCr(4), 0xe6, 0x80, HLT],
  { count: 1, where: 29 },
  { setUp: (m) => m.raw.setControl("cr4", 0x600n) },
);
program(
  "no breakpoint behind MOV DR7 that takes it away",
  [...movEax(X), ...movDr(0), ...movEax(0x10402), ...movDr(7), ...movEax(0x400), ...movDr(7), 0xa2, ...le(X), HLT],
  { count: 0 },
);
program(
  "RF from IRET lasts one instruction, armed or not",
  here([PUSHF, 0x81, 0x0c, 0x24, ...le(0x10000), 0x6a, SELECTOR.code], (at) => [
    0x68,
    ...le(at + 6),
    IRET,
    NOP,
    NOP,
    ...movEax(at + 24),
    ...movDr(0),
    ...movEax(0x402),
    ...movDr(7),
    NOP,
    HLT,
  ]),
  { count: 1, seen: 1 },
);
program(
  "RF from IRET lets the breakpoint's instruction pass",
  here([...movEax(0x402), ...movDr(7)], (at) => [
    ...movEax(at + 24),
    ...movDr(0),
    PUSHF,
    0x81,
    0x0c,
    0x24,
    ...le(0x10000),
    0x6a,
    SELECTOR.code,
    0x68,
    ...le(at + 24),
    IRET,
    NOP,
    NOP,
  ]).concat(HLT),
  { count: 0 },
);
program("GD: MOV DR faults, and RF is set in its image", [...movEax(0x2400), ...movDr(7), ...movDr(1), HLT], { count: 1, seen: 0x2000, where: 8 });

// ---- single step
program("TF by POPF", [...TF_ON, NOP, NOP, ...TF_OFF, HLT], { count: 5, seen: 0x4000 });
program(
  "TF by IRET",
  here([PUSHF, 0x81, 0x0c, 0x24, ...le(0x100), 0x6a, SELECTOR.code], (at) => [0x68, ...le(at + 6), IRET, NOP, NOP, ...TF_OFF, HLT]),
  { count: 5, seen: 0x4000 },
);
program("TF and HLT", [...TF_ON, HLT, ...TF_OFF, HLT], { count: 4, rip: 9 + 1 + 9 + 1 });
program("TF and INT3: nothing on the handler's first instruction", [...TF_ON, INT3, ...TF_OFF, HLT], { count: 3 });
program("TF and INT n", [...TF_ON, 0xcd, 0x20, ...TF_OFF, HLT], { count: 3 });
program("TF and STI: the trap comes behind STI", [...TF_ON, STI, CLI, ...TF_OFF, HLT], { count: 5 });
const MOV_SS = [0x8e, 0xd3];
program("TF and MOV SS: its trap is lost", [...TF_ON, ...MOV_SS, NOP, ...TF_OFF, HLT], { count: 4 }, { gpr: { 3: SELECTOR.data } });
program("TF, MOV SS, ICEBP: only ICEBP's own", [...TF_ON, ...MOV_SS, ICEBP, ICEBP, ...TF_OFF, HLT], { count: 5 }, { gpr: { 3: SELECTOR.data } });
program("TF, MOV SS, INT3: none", [...TF_ON, ...MOV_SS, INT3, ...TF_OFF, HLT], { count: 3 }, { gpr: { 3: SELECTOR.data } });
program(
  "TF, MOV SS, a fault: none",
  [...TF_ON, ...MOV_SS, 0x0f, 0x0b, HLT],
  { exit: "exception", vector: 6, rip: 11, count: 0 },
  { gpr: { 3: SELECTOR.data }, bitmap: 1 << 6 },
);
program(
  "DR7.GD under TF behind MOV SS",
  [...movEax(0x2400), ...movDr(7), ...TF_ON, ...MOV_SS, ...movDr(6), ...TF_OFF, HLT],
  { count: 5 },
  { gpr: { 0: 0, 3: SELECTOR.data } },
);
// CVE-2018-8897: conditions that MOV SS met wait for the instruction behind it, and come at a handler's entry.
const WATCH_X = [...movEax(X), ...movDr(0), ...movEax(0x30402), ...movDr(7)];
program(
  "a data breakpoint of MOV SS comes behind the next instruction",
  [...WATCH_X, 0x8e, 0x15, ...le(X), NOP, NOP, HLT],
  { count: 1, seen: 1, where: 16 + 6 + 1 },
  { setUp: (m) => m.memory.write32(X, SELECTOR.data) },
);
program(
  "a data breakpoint of MOV SS comes at the entry of INT3's handler",
  [...WATCH_X, 0x8e, 0x15, ...le(X), INT3, NOP, HLT],
  { count: 1, seen: 1, where: HANDLERS + 3 * 16 - CODE },
  { setUp: (m) => m.memory.write32(X, SELECTOR.data) },
);
program(
  "an instruction breakpoint behind MOV SS is passed",
  here([...movEax(0x402), ...movDr(7)], (at) => [...movEax(at + 10), ...movDr(0), ...MOV_SS, NOP, HLT]),
  { count: 0 },
  { gpr: { 3: SELECTOR.data } },
);

// ---- single-stepping on branches (IA32_DEBUGCTL.BTF): cleared by the #DB
const BTF = (m) => m.raw.setMsr(0x1d9, 2n);
program(
  "BTF: the trap comes behind the first branch taken, then behind every instruction",
  [0x31, 0xc0, 0x40, ...TF_ON, NOP, 0x74, 0, 0x75, 1, NOP, NOP, ...TF_OFF, HLT],
  { count: 5, where: 28 },
  { setUp: BTF },
);
program(
  "BTF: iterations are no branches, jumps and calls are",
  [0x31, 0xc0, 0xb9, ...le(3), 0xbf, ...le(X), ...TF_ON, 0xf3, 0xaa, 0xe8, 1, 0, 0, 0, NOP, 0x58, ...TF_OFF, HLT],
  { count: 5 },
  { setUp: BTF },
);

// ---- task switches
const NEW_TASK = HANDLERS + 0x800;
const JMP_TASK = [0xea, 0, 0, 0, 0, SELECTOR.otherTask, 0];
/** The other task's flags and T bit, and what it runs. */
const task = (flags, t, code) => (m) => {
  m.memory.write32(OTHER_TASK + 0x24, flags);
  m.memory.write16(OTHER_TASK + 0x64, t);
  m.write(code, NEW_TASK);
  m.write([0, 0, SELECTOR.otherTask, 0, 0, 0xe5, 0, 0], IDT + 0x30 * 8);
};
program(
  "TF and JMP to a task: the trap comes in the new one",
  [...TF_ON, ...JMP_TASK],
  { count: 1, seen: 0x4000, where: NEW_TASK - CODE },
  { setUp: task(2, 0, [HLT]) },
);
program(
  "a task with the T bit: #DB before its first instruction",
  JMP_TASK,
  { count: 1, seen: 0x8000, where: NEW_TASK - CODE },
  { setUp: task(2, 1, [HLT]) },
);
program("both at once", [...TF_ON, ...JMP_TASK], { count: 1, seen: 0xc000, where: NEW_TASK - CODE }, { setUp: task(2, 1, [HLT]) });
program(
  "a task that begins with TF: the trap comes behind its first instruction",
  JMP_TASK,
  { count: 4, seen: 0x4000 },
  { setUp: task(0x102, 0, [NOP, ...TF_OFF, HLT]) },
);
program("TF and INT n through a task gate: none", [...TF_ON, 0xcd, 0x30], { count: 0 }, { setUp: task(2, 0, [HLT]) });
program(
  "a task switch disables local breakpoints",
  [...movEax(NEW_TASK), ...movDr(0), ...movEax(0x401), ...movDr(7), ...JMP_TASK],
  { count: 0 },
  { setUp: task(2, 0, [HLT]) },
);
program(
  "and leaves global ones: behind the switch they count",
  [...movEax(NEW_TASK), ...movDr(0), ...movEax(0x402), ...movDr(7), ...JMP_TASK],
  { count: 1, seen: 1 },
  { setUp: task(2, 0, [HLT]) },
);
program(
  "a task that begins with RF passes its first instruction's breakpoint",
  [...movEax(NEW_TASK), ...movDr(0), ...movEax(0x402), ...movDr(7), ...JMP_TASK],
  { count: 0 },
  { setUp: task(0x10002, 0, [NOP, HLT]) },
);

// ---- interrupts and shadows (vector 20h writes 77h to X)
const line = (m) => m.vcpu.setInterruptLine(true);
program(
  "STI holds a waiting interrupt off for one instruction",
  [0xc6, 0x05, ...le(X), 0, STI, 0xa0, ...le(X), 0x8a, 0x25, ...le(X), HLT],
  { eax: 0x7700 },
  { setUp: line, gpr: { 0: 0 } },
);
program("STI and CLI: nothing comes", [0xc6, 0x05, ...le(X), 0, STI, CLI, NOP, 0xa0, ...le(X), HLT], { eax: 0 }, { setUp: line, gpr: { 0: 0 } });
program(
  "POPF that sets IF: at once",
  [0xc6, 0x05, ...le(X), 0, PUSHF, 0x81, 0x0c, 0x24, ...le(0x200), POPF, 0xa0, ...le(X), HLT],
  { eax: 0x77 },
  { setUp: line, gpr: { 0: 0 } },
);
program(
  "STI behind MOV SS",
  [0xc6, 0x05, ...le(X), 0, ...MOV_SS, STI, 0xa0, ...le(X), 0x8a, 0x25, ...le(X), HLT],
  { eax: 0x7700 },
  { setUp: line, gpr: { 0: 0, 3: SELECTOR.data } },
);

// ---- control registers, MSRs, tables, code
const PD_A = 0x20000,
  PD_B = 0x24000;
const paged = (m) => {
  pageTable(m, PD_A, CODE);
  pageTable(m, PD_B, OTHER_CODE);
  m.raw.setControl("cr3", BigInt(PD_A));
  m.raw.setControl("cr0", 0x80000011n);
};
program(
  "MOV CR3: the next instruction is the new page's",
  [...movEax(PD_B), ...movCr(3), ...movAl(1), HLT],
  { al: 2 },
  { setUp: (m) => (paged(m), elsewhere(m, 8)) },
);
program(
  "MOV CR0 that turns paging on: the next instruction is the new page's",
  [...movFromCr(0), ...orEax(0x80000000), ...movCr(0), ...movAl(1), HLT],
  { al: 2 },
  { setUp: (m) => (pageTable(m, PD_B, OTHER_CODE), m.raw.setControl("cr3", BigInt(PD_B)), elsewhere(m, 11)) },
);
program(
  "a PTE written and INVLPG: the next instruction is the new page's",
  [0xc7, 0x05, ...le(PD_A + 0x1004), ...le(OTHER_CODE | 7), 0x0f, 0x01, 0x3d, ...le(CODE), ...movAl(1), HLT],
  { al: 2 },
  { setUp: (m) => (paged(m), elsewhere(m, 17)) },
);
program(
  "MOV CR4 that sets SMEP: the next fetch of a user page faults",
  [...movFromCr(4), ...orEax(0x100000), ...movCr(4), NOP, HLT],
  { exit: "exception", vector: 14, rip: 11 },
  { setUp: paged, bitmap: 1 << 14 },
);
program(
  "MOV CR0 that sets WP: the next store to a read-only page faults",
  [...movFromCr(0), ...orEax(0x10000), 0x88, 0x25, ...le(X), ...movCr(0), 0x88, 0x25, ...le(X), HLT],
  { exit: "exception", vector: 14, rip: 17 },
  { setUp: (m) => (paged(m), m.memory.write32(PD_A + 0x1000 + (X >> 12) * 4, (X & ~0xfff) | 5)), bitmap: 1 << 14 },
);
program(
  "MOV CR4 that sets SMAP: the next access to a user page faults; STAC lets it pass, CLAC not",
  [...movFromCr(4), ...orEax(0x200000), ...movCr(4), 0x0f, 0x01, 0xcb, 0xa2, ...le(X), 0x0f, 0x01, 0xca, 0xa2, ...le(X), HLT],
  { exit: "exception", vector: 14, rip: 22 },
  { setUp: (m) => (paged(m), m.memory.write32(PD_A + 0x1004, CODE | 3)), bitmap: 1 << 14 },
);
program(
  "MOV CR0 that sets TS: the next x87 instruction is #NM",
  [...movFromCr(0), ...orEax(8), 0xd9, 0xee, ...movCr(0), 0xd9, 0xee, HLT],
  { exit: "exception", vector: 7, rip: 13 },
  { bitmap: 1 << 7 },
);
program(
  "CLTS: the next x87 instruction runs",
  [...movFromCr(0), ...orEax(8), ...movCr(0), 0x0f, 0x06, 0xd9, 0xee, HLT],
  { exit: "hlt" },
  { bitmap: 1 << 7 },
);
program(
  "MOV CR4 that clears OSFXSR: the next SSE instruction is #UD",
  [...movFromCr(4), ...andEax(~0x200), 0x0f, 0x57, 0xc0, ...movCr(4), 0x0f, 0x57, 0xc0, HLT],
  { exit: "exception", vector: 6, rip: 14 },
  { bitmap: 1 << 6 },
);
program(
  "MOV CR4 that sets DE: DR4 is #UD",
  [...movFromCr(4), ...andEax(~8), ...movCr(4), 0x0f, 0x21, 0xe1, ...orEax(8), ...movCr(4), 0x0f, 0x21, 0xe1, HLT],
  { exit: "exception", vector: 6, rip: 22 },
  { bitmap: 1 << 6 },
);
program("WRMSR of the TSC: the next RDTSC counts from there", [0xb9, ...le(0x10), ...movEax(0x777), 0x31, 0xd2, 0x0f, 0x30, 0x0f, 0x31, HLT], {
  eax: 0x777,
});
program(
  "LIDT: the next event goes by it",
  [0x0f, 0x01, 0x1d, ...le(X), INT3, HLT],
  { al: 5 },
  {
    setUp: (m) => {
      m.memory.write(X, Uint8Array.from([...le(0xff, 2), ...le(X + 16)]));
      m.memory.write(X + 16 + 24, Uint8Array.from([...le(HANDLERS + 0x500, 2), 8, 0, 0, 0xee, 0, 0]));
      m.memory.write(HANDLERS + 0x500, Uint8Array.from([...movAl(5), IRET]));
    },
  },
);
program(
  "MOV DS with a smaller limit: the next access beyond it is #GP",
  [0xa2, ...le(X), 0x8e, 0xdb, 0xa2, ...le(X), HLT],
  { exit: "exception", vector: 13, rip: 7 },
  { bitmap: 1 << 13, gpr: { 3: 0x60 }, setUp: (m) => m.memory.write(0x6060, Uint8Array.from([...le(0xff, 2), 0, 0, 0, 0x93, 0x40, 0])) },
);
program("a store into the next instruction", [0xc6, 0x05, ...le(CODE + 8), 3, ...movAl(1), HLT], { al: 3 });
program(
  "REP STOSB into the next instruction",
  [0xbf, ...le(CODE + 18), 0xb9, ...le(1), ...movAl(3), 0x90, 0xf3, 0xaa, 0x90, 0x90, ...movAl(1), HLT],
  { al: 3 },
);

// ---- what the monitor writes
/** OUT 10h, AL (or VMCALL) calls `act`; 90h are the instructions behind it. */
const monitor = (name, act, code, expect, extra = {}) => {
  program(
    `${name}, from GuestIo`,
    [0xe6, 0x10, ...code],
    { ...expect, rip: expect.rip === undefined ? undefined : expect.rip + 2 },
    { ...extra, port: act },
  );
  program(
    `${name}, from a hypercall`,
    [...VMCALL, ...code],
    { ...expect, rip: expect.rip === undefined ? undefined : expect.rip + 3 },
    { ...extra, hypercall: act },
  );
};
const NOPS = [NOP, NOP, NOP, HLT];
monitor("MTF", (m) => (m.vcpu.intercepts.mtf = true), NOPS, { exit: "mtf", rip: 1 });
monitor("interrupt window", (m) => (m.vcpu.intercepts.interruptWindow = true), NOPS, { exit: "interrupt-window", rip: 0 }, { rflags: 0x202 });
monitor("NMI window", (m) => (m.vcpu.intercepts.nmiWindow = true), NOPS, { exit: "nmi-window", rip: 0 });
monitor("external interrupt", (m) => (m.vcpu.intercepts.externalInterrupt = true), NOPS, { exit: "external-interrupt", rip: 0 }, { setUp: line });
monitor("preemption timer", (m) => (m.vcpu.intercepts.preemptionTimer = 2), NOPS, { exit: "preemption-timer", rip: 2 });
monitor(
  "preemption timer that was running",
  (m) => (m.vcpu.intercepts.preemptionTimer = 2),
  NOPS,
  { exit: "preemption-timer", rip: 2 },
  { setUp: (m) => (m.vcpu.intercepts.preemptionTimer = 100) },
);
monitor("all ports", (m) => (m.vcpu.intercepts.unconditionalIo = true), [0xe6, 0x11, HLT], { exit: "io-out", rip: 0 });
monitor("HLT", (m) => (m.vcpu.intercepts.hlt = true), [HLT], { exit: "hlt", rip: 0 });
monitor("RDTSC", (m) => (m.vcpu.intercepts.rdtsc = true), [0x0f, 0x31, HLT], { exit: "rdtsc", rip: 0 });
monitor("CPUID", (m) => (m.vcpu.intercepts.cpuid = true), [0x0f, 0xa2, HLT], { exit: "cpuid", rip: 0 });
monitor("the exception bitmap", (m) => (m.vcpu.intercepts.exceptionBitmap = 1 << 6), [0x0f, 0x0b, HLT], { exit: "exception", vector: 6, rip: 0 });
monitor("an interrupt", (m) => m.vcpu.setInterruptLine(true), [0xa0, ...le(X), HLT], { al: 0x77 }, { rflags: 0x202 });
monitor("an NMI", (m) => m.vcpu.raiseNmi(), NOPS, { exit: "exception", vector: 2, rip: 0 }, { setUp: (m) => (m.vcpu.intercepts.nmi = true) });
monitor("INIT", (m) => m.vcpu.raiseInit(), NOPS, { exit: "init", rip: 0 });
monitor("TF", (m) => m.raw.setRflags(0x102), [NOP, ...TF_OFF, HLT], { count: 4 });
monitor("IF", (m) => m.raw.setRflags(0x202), [0xa0, ...le(X), HLT], { al: 0x77 }, { setUp: line });
monitor("DR7", (m) => (m.raw.setControl("dr0", BigInt(X)), m.raw.setControl("dr7", 0x30402n)), [0xa0, ...le(X), NOP, HLT], { count: 1, seen: 1 });
monitor("CR3", (m) => m.raw.setControl("cr3", BigInt(PD_B)), [...movAl(1), HLT], { al: 2 }, { setUp: (m) => (paged(m), elsewhere(m, m.behind)) });
monitor("CR0.TS", (m) => m.raw.setControl("cr0", 0x19n), [0xd9, 0xee, HLT], { exit: "exception", vector: 7, rip: 0 }, { bitmap: 1 << 7 });
monitor(
  "a segment",
  (m) => m.raw.setSegment("ds", { selector: 0x10, base: 0x10n, limit: 0xffffffff, access: 0xc093 }),
  [0xa0, ...le(X - 0x10), HLT],
  { al: 0x5a },
  { setUp: (m) => m.memory.write8(X, 0x5a) },
);
monitor("an MSR", (m) => m.raw.setMsr(0x10, 0x777n), [0x0f, 0x31, HLT], { eax: 0x777 });
monitor("code", (m) => m.memory.write8(CODE + m.behind + 1, 9), [...movAl(1), HLT], { al: 9 });
monitor("the A20 gate", (m) => m.vm.setA20(false), [0xa0, ...le(X + 0x100000), HLT], { al: 0x5a }, { setUp: (m) => m.memory.write8(X, 0x5a) });

/** A machine for all programs of an engine. */
class Bench {
  #case;
  constructor(engine) {
    const io = {
      portRead: () => 0x11,
      portWrite: (port) => {
        if (port === 0x10) this.#case.port?.(this.m);
        return true;
      },
      interruptAcknowledge: () => (this.m.vcpu.setInterruptLine(false), 0x20),
    };
    this.m = new ModeMachine(engine, "protected32", { io });
    this.intercepts = { ...this.m.vcpu.intercepts };
    this.m.vcpu.setHypercall((exit) => this.#act(exit));
  }
  #act(exit) {
    const { hypercall } = this.#case;
    if (exit.kind !== "vmcall" || hypercall === undefined) return false;
    this.m.raw.advanceRip(3);
    hypercall(this.m);
    return true;
  }
  run(c, budget) {
    const { m } = this;
    this.#case = c;
    Object.assign(m.vcpu.intercepts, this.intercepts, { exceptionBitmap: c.bitmap ?? 0 });
    m.vcpu.setInterruptLine(false);
    m.vm.setA20(true);
    m.reset({ rflags: c.rflags ?? 2, gpr: c.gpr ?? {} });
    handlers(m);
    m.memory.write8(X, 0);
    m.write([...c.code, ...Array.from({ length: 64 - c.code.length }, () => NOP)]);
    /** Where the program goes on behind what the monitor does. */
    m.behind = c.port !== undefined ? 2 : 3;
    c.setUp?.(m);
    let exit = { kind: "budget" };
    for (let i = 0; i < 500 && (exit.kind === "budget" || this.#act(exit)); i++) exit = m.vcpu.run({ kind: "run" }, budget);
    const word = (at) => m.memory.read32(at);
    const eax = m.raw.getGpr32(0);
    return {
      exit: exit.kind,
      vector: exit.vector,
      rip: m.rip - CODE,
      count: word(COUNT),
      seen: word(SEEN) & 0xe00f,
      where: word(WHERE) - CODE,
      eax,
      al: eax & 0xff,
    };
  }
}
for (const [engineName, engine] of Object.entries(ENGINES)) {
  const bench = new Bench(engine);
  for (const c of CASES) {
    test(`${c.name} [${engineName}]`, () => {
      const want = { exit: "hlt", ...c.expect };
      for (const key of Object.keys(want)) if (want[key] === undefined) delete want[key];
      for (const budget of BUDGETS) {
        const all = bench.run(c, budget);
        const got = Object.fromEntries(Object.keys(want).map((key) => [key, all[key]]));
        assert.deepEqual(got, want, `budget ${budget}`);
      }
    });
  }
}
