/** Every exit reason an instruction causes: its number, qualification, length, information, with RIP still on the instruction. */
import assert from "node:assert/strict";
import { CODE, conformance, exit, hlt } from "./support.mjs";

const HLT = 0xf4;
/** An instruction at CODE that exits with `reason` while `intercepts` are on, is skipped, and then HLT. */
function exits(name, kind, reason, code, { fields = {}, ...spec } = {}) {
  conformance(name, { code: [...code, HLT], exits: [exit(kind, reason, { at: 0, length: code.length, ...fields }), hlt()], ...spec });
}

// ---- ports
conformance("OUT then IN", {
  code: [0xe6, 0x10, 0xe4, 0x20, HLT],
  regs: { rax: 0x1234n },
  exits: [
    exit("io-out", 30, { at: 0, port: 0x10, size: 1, value: 0x34, string: false, length: 2, qualification: 0x100040n }),
    exit("io-in", 30, { at: 2, port: 0x20, size: 1, string: false, length: 2, qualification: 0x200048n }).answer(0x68),
    hlt(),
  ],
  expect: { rax: 0x1268n, rip: BigInt(CODE + 5) },
});
conformance("IN EAX, DX answered clears the upper half of RAX", {
  mode: "long",
  code: [0xed, HLT],
  regs: { rax: 0xffff_ffff_ffff_ffffn, rdx: 0xcf8n },
  exits: [exit("io-in", 30, { at: 0, port: 0xcf8, size: 4, string: false, length: 1, qualification: 0xcf8000bn }).answer(0x80000001), hlt()],
  expect: { rax: 0x80000001n },
});
conformance("IN skipped leaves AL", {
  code: [0xec, HLT],
  regs: { rax: 0x55n, rdx: 0x3f8n },
  exits: [exit("io-in", 30, { port: 0x3f8, size: 1, string: false, length: 1, qualification: 0x3f80008n }), hlt()],
  expect: { rax: 0x55n },
});
conformance("REP OUTSW exits an element at a time", {
  code: [0xf3, 0x6f, HLT],
  regs: { rcx: 2n, rdx: 0x1f0n, rsi: 0x2000n },
  setUp: (vm) => vm.memory.write32(0x2000, 0x22221111),
  exits: [0x1111, 0x2222]
    .map((value) => exit("io-out", 30, { at: 0, port: 0x1f0, size: 2, value, string: true, length: 2, qualification: 0x1f00031n, info: 3 << 15 }))
    .concat(hlt()),
  expect: { rcx: 0n, rsi: 0x2004n },
});
conformance("REP INSB stores its answers", {
  code: [0xf3, 0x6c, HLT],
  regs: { rcx: 2n, rdx: 0x60n, rdi: 0x2000n },
  exits: [1, 2]
    .map((v) => exit("io-in", 30, { at: 0, port: 0x60, size: 1, string: true, length: 2, qualification: 0x600038n }).answer(v))
    .concat(hlt()),
  expect: { rcx: 0n, rdi: 0x2002n },
  check: (vm) => assert.equal(vm.memory.read16(0x2000), 0x0201),
});
conformance("a port that GuestIo owns makes no exit", {
  code: [0xe4, 0x20, 0xe6, 0x21, HLT],
  vm: { io: { portRead: (port) => (port === 0x20 ? 0x77 : -1), portWrite: (port, _size, value) => port === 0x21 && value === 0x77 } },
  expect: { rax: 0x77n },
});
conformance("unconditionalIo: GuestIo is not asked", {
  code: [0xe4, 0x20, HLT],
  intercepts: { unconditionalIo: true },
  vm: { io: { portRead: () => assert.fail("asked") } },
  exits: [exit("io-in", 30, { port: 0x20, size: 1, string: false, length: 2, qualification: 0x200048n }).answer(9), hlt()],
  expect: { rax: 9n },
});

// ---- memory without a slot
conformance("MOV from and to unmapped memory", {
  mode: "protected",
  code: [0xa1, 0, 0, 0x20, 0, 0xa3, 4, 0, 0x20, 0, HLT],
  exits: [],
  check: ({ vcpu }) => {
    let got = vcpu.run({ kind: "run" }, 100);
    assert.deepEqual([got.kind, got.reason, got.gpa, got.size], ["mmio-read", 48, 0x200000, 4]);
    assert.equal(Number(got.qualification & 7n), 1, "a read");
    assert.equal(vcpu.regs.rip, BigInt(CODE));
    got = vcpu.run({ kind: "mmio-read", value: 0xcafe0123 }, 100);
    assert.deepEqual([got.kind, got.reason, got.gpa, got.size, got.value >>> 0], ["mmio-write", 48, 0x200004, 4, 0xcafe0123]);
    assert.equal(Number(got.qualification & 7n), 2, "a write");
    assert.equal(vcpu.regs.rip, BigInt(CODE + 5));
    assert.equal(vcpu.run({ kind: "skip" }, 100).kind, "hlt");
    assert.equal(vcpu.regs.eax, 0xcafe0123);
  },
});
conformance("unmapped memory that GuestIo owns makes no exit", {
  mode: "protected",
  code: [0xa1, 0, 0, 0x20, 0, HLT],
  vm: { io: { mmioRead: (gpa, size) => (gpa === 0x200000 && size === 4 ? 0x1234 : -1) } },
  expect: { rax: 0x1234n },
});

// ---- instructions with an intercept of their own
exits("CPUID", "cpuid", 10, [0x0f, 0xa2], { intercepts: { cpuid: true } });
exits("HLT intercepted leaves RIP on it", "hlt", 12, [HLT], { intercepts: { hlt: true }, exits: [exit("hlt", 12, { at: 0, length: 1 })] });
exits("INVD", "invd", 13, [0x0f, 0x08], { intercepts: { wbinvd: true } });
exits("WBINVD", "wbinvd", 54, [0x0f, 0x09], { intercepts: { wbinvd: true } });
exits("INVLPG names the linear address", "invlpg", 14, [0x0f, 0x01, 0x3d, 0x78, 0x56, 0x34, 0x12], {
  mode: "protected",
  intercepts: { invlpg: true },
  fields: { qualification: 0x12345678n },
});
exits("RDPMC", "rdpmc", 15, [0x0f, 0x33], { intercepts: { rdpmc: true } });
exits("RDTSC", "rdtsc", 16, [0x0f, 0x31], { intercepts: { rdtsc: true } });
exits("RDTSCP", "rdtscp", 51, [0x0f, 0x01, 0xf9], { intercepts: { rdtsc: true } });
exits("PAUSE", "pause", 40, [0xf3, 0x90], { intercepts: { pause: true } });
exits("MONITOR", "monitor", 39, [0x0f, 0x01, 0xc8], { intercepts: { monitor: true } });
exits("MWAIT", "mwait", 36, [0x0f, 0x01, 0xc9], { intercepts: { mwait: true } });
exits("RDRAND EBX", "rdrand", 57, [0x0f, 0xc7, 0xf3], { mode: "protected", intercepts: { rdrand: true }, fields: { info: (3 << 3) | (1 << 11) } });
exits("RDSEED EBX", "rdseed", 61, [0x0f, 0xc7, 0xfb], { mode: "protected", intercepts: { rdseed: true }, fields: { info: (3 << 3) | (1 << 11) } });
exits("XSETBV", "xsetbv", 55, [0x0f, 0x01, 0xd1], { intercepts: { xsetbv: true }, setUp: (vm) => vm.vcpu.regs.raw.setControl("cr4", 0x40000n) });
exits("GETSEC", "getsec", 11, [0x0f, 0x37], { intercepts: { getsec: true } });
exits("INVPCID ECX, [disp32]", "invpcid", 58, [0x66, 0x0f, 0x38, 0x82, 0x0d, 0x78, 0x56, 0, 0], {
  mode: "protected",
  intercepts: { invpcid: true },
  fields: { qualification: 0x5678n, info: ((1 << 7) | (3 << 15) | (1 << 22) | (1 << 27) | (1 << 28)) >>> 0 },
});
exits("RDMSR listed", "rdmsr", 31, [0x0f, 0x32], { intercepts: { rdmsr: new Set([0x1b]) }, regs: { rcx: 0x1bn }, fields: { msr: 0x1b } });
exits("RDMSR all", "rdmsr", 31, [0x0f, 0x32], { intercepts: { rdmsr: "all" }, regs: { rcx: 0xdeadn }, fields: { msr: 0xdead } });
exits("WRMSR listed", "wrmsr", 32, [0x0f, 0x30], {
  intercepts: { wrmsr: new Set([0x10]) },
  regs: { rcx: 0x10n, rdx: 1n, rax: 2n },
  fields: { msr: 0x10, value: 0x100000002n },
});
conformance("an MSR that is not listed makes no exit", {
  code: [0x0f, 0x30, 0x0f, 0x32, HLT],
  intercepts: { rdmsr: new Set([1]), wrmsr: new Set([1]) },
  regs: { rcx: 0x174n, rax: 0x55n },
  expect: { rax: 0x55n },
});

// ---- control and debug registers
const CR = (name, code, qualification, intercepts, spec = {}) =>
  exits(name, "cr-access", 28, code, { intercepts, fields: { qualification }, ...spec });
CR("MOV CR3, EBX", [0x0f, 0x22, 0xdb], 0x303n, { cr3Load: true });
CR("MOV EBX, CR3", [0x0f, 0x20, 0xdb], 0x313n, { cr3Store: true });
CR("MOV CR8, RAX", [0x44, 0x0f, 0x22, 0xc0], 0x008n, { cr8Load: true }, { mode: "long" });
CR("MOV R9, CR8", [0x45, 0x0f, 0x20, 0xc1], 0x918n, { cr8Store: true }, { mode: "long" });
CR("MOV CR0, EAX that changes an owned bit", [0x0f, 0x22, 0xc0], 0n, { cr0Mask: 1, cr0Shadow: 0 }, { regs: { rax: 0x11n } });
CR("MOV CR4, ECX that changes an owned bit", [0x0f, 0x22, 0xe1], 0x104n, { cr4Mask: 0x10, cr4Shadow: 0 }, { regs: { rcx: 0x10n } });
CR("CLTS with TS owned and set in the shadow", [0x0f, 0x06], 0x20n, { cr0Mask: 8, cr0Shadow: 8 });
CR("LMSW AX", [0x0f, 0x01, 0xf0], 0x10030n, { cr0Mask: 1, cr0Shadow: 0 }, { regs: { rax: 1n } });
CR("LMSW from memory", [0x0f, 0x01, 0x36, 0, 0x20], 0x10070n, { cr0Mask: 1, cr0Shadow: 0 }, { setUp: (vm) => vm.memory.write16(0x2000, 1) });
conformance("reads of CR0 and CR4 give the shadow", {
  code: [0x0f, 0x20, 0xc0, 0x0f, 0x20, 0xe1, HLT],
  intercepts: { cr0Mask: 0x20, cr0Shadow: 0x20, cr4Mask: 0x2000, cr4Shadow: 0x2000 },
  expect: { rax: 0x30n, rcx: 0x2000n },
});
exits("MOV DR7, ECX", "dr-access", 29, [0x0f, 0x23, 0xf9], { intercepts: { movDr: true }, fields: { qualification: 0x107n } });
exits("MOV EDX, DR6", "dr-access", 29, [0x0f, 0x21, 0xf2], { intercepts: { movDr: true }, fields: { qualification: 0x216n } });

// ---- descriptor tables
const DISP32 = [0x78, 0x56, 0, 0];
const ABSOLUTE = (1 << 7) | (3 << 15) | (1 << 22) | (1 << 27);
["SGDT", "SIDT", "LGDT", "LIDT"].forEach((name, n) =>
  exits(name, "descriptor-table", 46, [0x0f, 0x01, 0x05 | (n << 3), ...DISP32], {
    mode: "protected",
    intercepts: { descriptorTable: true },
    fields: { qualification: 0x5678n, info: ((n << 28) | ABSOLUTE | (1 << 11)) >>> 0 },
  }),
);
["SLDT", "STR", "LLDT", "LTR"].forEach((name, n) =>
  exits(name, "descriptor-table", 47, [0x0f, 0x00, 0x05 | (n << 3), ...DISP32], {
    mode: "protected",
    intercepts: { descriptorTable: true },
    fields: { qualification: 0x5678n, info: ((n << 28) | ABSOLUTE) >>> 0 },
  }),
);

// ---- hypercalls and VMX instructions
for (const mode of ["real", "v86", "protected", "ring3", "long"]) {
  exits(`VMCALL in mode ${mode}`, "vmcall", 18, [0x0f, 0x01, 0xc1], { mode, exits: [exit("vmcall", 18, { at: 0, length: 3 })] });
  exits(`VMMCALL in mode ${mode}`, "vmcall", 18, [0x0f, 0x01, 0xd9], { mode, exits: [exit("vmcall", 18, { at: 0, length: 3 })] });
}
const VMX = (name, reason, code, info = 0) =>
  exits(name.toUpperCase(), "vmx-instruction", reason, code, { mode: "protected", fields: { name, qualification: info === 0 ? 0n : 0x5678n, info } });
const absolute = ABSOLUTE >>> 0;
VMX("vmclear", 19, [0x66, 0x0f, 0xc7, 0x35, ...DISP32], absolute);
VMX("vmlaunch", 20, [0x0f, 0x01, 0xc2]);
VMX("vmptrld", 21, [0x0f, 0xc7, 0x35, ...DISP32], absolute);
VMX("vmptrst", 22, [0x0f, 0xc7, 0x3d, ...DISP32], absolute);
VMX("vmread", 23, [0x0f, 0x78, 0x0d, ...DISP32], (absolute | (1 << 28)) >>> 0);
VMX("vmresume", 24, [0x0f, 0x01, 0xc3]);
VMX("vmwrite", 25, [0x0f, 0x79, 0x0d, ...DISP32], (absolute | (1 << 28)) >>> 0);
VMX("vmxoff", 26, [0x0f, 0x01, 0xc4]);
VMX("vmxon", 27, [0xf3, 0x0f, 0xc7, 0x35, ...DISP32], absolute);
VMX("invept", 50, [0x66, 0x0f, 0x38, 0x80, 0x0d, ...DISP32], (absolute | (1 << 28)) >>> 0);
VMX("invvpid", 53, [0x66, 0x0f, 0x38, 0x81, 0x0d, ...DISP32], (absolute | (1 << 28)) >>> 0);

// ---- exceptions by the bitmap
const EXCEPTION = (name, vector, code, fields, spec = {}) =>
  conformance(name, {
    code,
    intercepts: { exceptionBitmap: 1 << vector },
    exits: [exit("exception", 0, { at: 0, vector, errorCode: undefined, event: "hardware-exception", ...fields })],
    ...spec,
  });
EXCEPTION("#UD", 6, [0x0f, 0x0b], {});
EXCEPTION("#DE", 0, [0xf7, 0xf1], {});
EXCEPTION("INT3", 3, [0xcc], { event: "software-exception", length: 1 });
EXCEPTION("INTO", 4, [0xce], { event: "software-exception", length: 1 }, { regs: { rflags: 0x802 } });
EXCEPTION("INT1", 1, [0xf1], { event: "privileged-exception", length: 1 });
EXCEPTION("#GP with its error code", 13, [0x8e, 0xd8], { errorCode: 0x50 }, { mode: "protected", regs: { rax: 0x50n } });
EXCEPTION(
  "#PF names the address",
  14,
  [0xa1, 0, 0, 0, 0x80, 0, 0, 0, 0],
  { errorCode: 0, qualification: 0x80000000n },
  {
    mode: "long",
    check: (vm) => assert.equal(vm.vcpu.regs.raw.getControl("cr2"), 0n, "CR2 is the monitor's to set"),
  },
);
conformance("an exception without its bit is the guest's own", {
  code: [0x0f, 0x0b],
  setUp: (vm) => {
    vm.memory.write32(6 * 4, 0x3000);
    vm.memory.write8(0x3000, HLT);
  },
  expect: { rip: 0x3001n },
});
