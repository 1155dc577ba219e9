/** Exits and entries without an instruction of their own: interrupts, windows, injection, stepping, timers, budgets, memory, several VMs. */
import assert from "node:assert/strict";
import test from "node:test";
import { CODE, conformance, createVm, ENGINES, enter, exit, hlt, STACK } from "./support.mjs";

const HLT = 0xf4;
const NOP = 0x90;
const nops = (n) => Array.from({ length: n }, () => NOP);
const budget = () => exit("budget", 52);
/** Real-mode handlers: vector v at 3000h + v: HLT. */
const handlers = (vm) => {
  for (let v = 0; v < 256; v++) {
    vm.memory.write32(v * 4, 0x3000 + v);
    vm.memory.write8(0x3000 + v, HLT);
  }
};
const STI = 0xfb;

// ---- budgets, stepping, timers
for (const n of [0, 1, 3, 63, 64, 65, 130]) {
  conformance(`a budget of ${n} runs ${n} instructions exactly`, {
    code: [...nops(200), HLT],
    budget: n,
    exits: [budget()],
    expect: { rip: BigInt(CODE + n) },
    check: (vm) => assert.equal(vm.vcpu.instructionCount(), n),
  });
}
conformance("a budget ends inside a loop exactly", {
  code: [0x40, 0x43, 0xeb, 0xfc],
  budget: 1000,
  exits: [budget(), budget()],
  expect: { rax: 667n, rbx: 667n, rip: BigInt(CODE + 2) },
});
conformance("MTF exits after every instruction", {
  code: [0x40, NOP, HLT],
  intercepts: { mtf: true },
  exits: [exit("mtf", 37, { at: 1 }), exit("mtf", 37, { at: 2 })],
});
for (const n of [0, 1, 7, 100]) {
  conformance(`the preemption timer exits after ${n} instructions`, {
    code: [...nops(200), HLT],
    intercepts: { preemptionTimer: n },
    exits: [exit("preemption-timer", 52, { at: n }), hlt()],
  });
}
conformance("HLT holds until an interrupt, without using budget", {
  code: [STI, HLT, NOP, HLT],
  setUp: handlers,
  exits: [hlt(), hlt()],
  check: ({ vcpu }) => {
    assert.equal(vcpu.halted, true);
    assert.equal(vcpu.instructionCount(), 2);
    vcpu.setInterruptLine(true);
    assert.equal(vcpu.run({ kind: "run" }, 100).kind, "hlt");
    assert.equal(vcpu.regs.rip, 0x3021n);
  },
});

// ---- interrupts and windows
conformance("external interrupt: exits while the line is up, IF or not", {
  code: [HLT],
  intercepts: { externalInterrupt: true },
  setUp: (vm) => vm.vcpu.setInterruptLine(true),
  exits: [exit("external-interrupt", 1, { at: 0 })],
});
conformance("external interrupt: waits for IF when it is not intercepted", {
  code: [NOP, STI, NOP, NOP, HLT],
  setUp: (vm) => {
    handlers(vm);
    vm.vcpu.setInterruptLine(true);
  },
  expect: { rip: 0x3021n },
  check: (vm) => assert.equal(vm.memory.read16(STACK - 6), CODE + 3, "after the instruction in STI's shadow"),
});
conformance("interrupt window: opens one instruction after STI", {
  code: [STI, NOP, NOP, HLT],
  intercepts: { interruptWindow: true },
  exits: [exit("interrupt-window", 7, { at: 2 })],
});
conformance("interrupt window: MOV SS shuts it for one instruction", {
  code: [0x8e, 0xd0, NOP, HLT],
  regs: { rflags: 0x202 },
  budget: 1,
  exits: [exit("budget", 52, { at: 2 })],
  check: ({ vcpu }) => {
    vcpu.intercepts.interruptWindow = true;
    assert.equal(vcpu.run({ kind: "run" }, 10).kind, "interrupt-window");
    assert.equal(vcpu.regs.rip, BigInt(CODE + 3));
  },
});
conformance("NMI intercepted", {
  code: [HLT],
  intercepts: { nmi: true },
  setUp: (vm) => vm.vcpu.raiseNmi(),
  exits: [exit("exception", 0, { at: 0, vector: 2, errorCode: undefined, event: "nmi" })],
});
conformance("NMI delivered, blocked until IRET; the window opens behind it", {
  code: [NOP, NOP, HLT],
  intercepts: {},
  setUp: (vm) => {
    vm.memory.write32(8, 0x3000);
    vm.memory.write(0x3000, Uint8Array.of(NOP, 0xcf));
    vm.vcpu.raiseNmi();
  },
  exits: [exit("budget", 52)],
  budget: 1,
  check: ({ vcpu }) => {
    assert.equal(vcpu.regs.rip, 0x3001n);
    vcpu.intercepts.nmiWindow = true;
    assert.equal(vcpu.run({ kind: "run" }, 10).kind, "nmi-window");
    assert.equal(vcpu.regs.rip, BigInt(CODE));
  },
});
conformance("triple fault", {
  mode: "protected",
  code: [0x0f, 0x0b],
  setUp: (vm) => vm.vcpu.regs.raw.setDescriptorTable("idtr", 0n, 0),
  exits: [exit("triple-fault", 2)],
});
conformance("task switch: JMP to a TSS", {
  mode: "protected",
  code: [0xea, 0, 0, 0, 0, 0x18, 0],
  intercepts: { taskSwitch: true },
  setUp: (vm) => {
    vm.memory.write(0x4018, Uint8Array.of(0x67, 0, 0, 0x50, 0, 0x89, 0, 0));
    vm.vcpu.regs.raw.setDescriptorTable("gdtr", 0x4000n, 0x1f);
  },
  exits: [exit("task-switch", 9, { at: 0, selector: 0x18, length: 7, qualification: 0x80000018n })],
});
conformance("INIT exits, then SIPI out of wait-for-SIPI starts at its page", {
  code: nops(4),
  setUp: (vm) => vm.vcpu.raiseInit(),
  exits: [exit("init", 3, { at: 0 })],
  check: ({ vcpu, memory }) => {
    vcpu.raiseStartup(5); // not waiting: ignored
    assert.equal(vcpu.run({ kind: "run" }, 1).kind, "budget");
    vcpu.init();
    assert.equal(vcpu.run({ kind: "run" }, 10).kind, "hlt", "waits");
    vcpu.raiseStartup(9);
    const got = vcpu.run({ kind: "run" }, 10);
    assert.deepEqual([got.kind, got.reason, got.vector, got.qualification], ["sipi", 4, 9, 9n]);
    memory.write8(0x9000, HLT);
    vcpu.startup(9);
    assert.equal(vcpu.run({ kind: "run" }, 10).kind, "hlt");
    assert.equal(vcpu.regs.base("cs") + Number(vcpu.regs.rip), 0x9001);
  },
});

// ---- injection
const inject = (name, event, vector, back = 0) =>
  conformance(`inject: ${name}`, {
    code: [0xcd, 0x21, HLT],
    setUp: (vm) => {
      handlers(vm);
      vm.vcpu.regs.raw.setRflags(0x202);
    },
    entry: { kind: "run", inject: { vector, ...event } },
    expect: { rip: BigInt(0x3001 + vector) },
    check: (vm) => assert.equal(vm.memory.read16(STACK - 6), CODE + back),
  });
inject("external interrupt", { type: "external" }, 0x55);
inject("NMI", { type: "nmi" }, 2);
inject("hardware exception", { type: "hardware-exception" }, 6);
inject("software interrupt, RIP past it", { type: "software-interrupt", instructionLength: 2 }, 0x21, 2);
inject("software exception, RIP past it", { type: "software-exception", instructionLength: 1 }, 3, 1);
inject("privileged exception, RIP past it", { type: "privileged-exception", instructionLength: 1 }, 1, 1);
for (const vector of [8, 10, 11, 12, 13, 14, 17]) {
  conformance(`inject: exception ${vector} pushes its error code in protected mode`, {
    mode: "protected",
    code: [HLT],
    setUp: (vm) => {
      const { raw } = vm.vcpu.regs;
      vm.memory.write(0x4008, Uint8Array.of(0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0));
      raw.setDescriptorTable("gdtr", 0x4000n, 0xf);
      vm.memory.write(0x5000 + vector * 8, Uint8Array.of(0, 0x30, 8, 0, 0, 0x8e, 0, 0));
      raw.setDescriptorTable("idtr", 0x5000n, 0xff);
      vm.memory.write8(0x3000, HLT);
    },
    entry: { kind: "run", inject: { type: "hardware-exception", vector, errorCode: 0x1234 } },
    expect: { rip: 0x3001n, rsp: BigInt(STACK - 16) },
    check: (vm) => assert.deepEqual([vm.memory.read32(STACK - 16), vm.memory.read32(STACK - 12)], [0x1234, CODE]),
  });
}
conformance("inject wakes a halted CPU", {
  code: [HLT],
  setUp: (vm) => {
    handlers(vm);
    vm.vcpu.regs.raw.setRflags(0x202);
  },
  exits: [hlt().with({ kind: "run", inject: { type: "external", vector: 0x40 } }), hlt()],
  expect: { rip: 0x3041n },
});

// ---- memory
const region = { regions: [{ name: "rom", sizeBytes: 0x1000 }] };
conformance("ro slot: reads and fetches; writes vanish", {
  code: [0xc6, 0x06, 0, 0x20, 0x55, 0xa0, 0, 0x20, HLT],
  vm: region,
  setUp: (vm) => {
    vm.mapSlot({ gpa: 0x2000, region: vm.region("rom"), regionOffset: 0, sizeBytes: 0x1000, access: "ro" });
    vm.memory.writeRom(0x2000, Uint8Array.of(0x77));
  },
  expect: { rax: 0x77n },
});
conformance("a slot replaced or unmapped under running code", {
  code: [0xe6, 0x10, 0xb0, 1, HLT],
  vm: region,
  exits: [exit("io-out", 30, { port: 0x10, size: 1, value: 0, string: false, length: 2, qualification: 0x100040n })],
  check: (vm) => {
    vm.region("rom").bytes.set([NOP, NOP, 0xb0, 2, HLT]);
    vm.mapSlot({ gpa: CODE, region: vm.region("rom"), regionOffset: 0, sizeBytes: 0x1000, access: "rw" });
    assert.equal(vm.vcpu.run({ kind: "skip" }, 10).kind, "hlt");
    assert.equal(vm.vcpu.regs.al, 2);
    vm.unmapSlot(CODE, 0x1000);
    vm.vcpu.setHalted(false);
    vm.vcpu.regs.rip = BigInt(CODE);
    const got = vm.vcpu.run({ kind: "run" }, 10);
    assert.notEqual(got.kind, "hlt", `fetch from an unmapped page: ${got.kind}`);
  },
});
conformance("A20 off folds the odd megabytes", {
  mode: "protected",
  code: [0xa0, 0, 0x20, 0x10, 0, HLT],
  setUp: (vm) => {
    vm.memory.write8(0x2000, 0x5a);
    vm.setA20(false);
  },
  expect: { rax: 0x5an },
});

// ---- the rest of the contract
for (const [name, engine] of Object.entries(ENGINES)) {
  test(`two VMs in one process know nothing of each other [${name}]`, () => {
    const vms = [1, 2].map((n) => {
      const vm = createVm(engine);
      enter(vm, "real");
      vm.memory.write(CODE, Uint8Array.of(0x05, n, 0, 0xeb, 0xfb));
      return vm;
    });
    vms[0].vcpu.intercepts.cpuid = true;
    for (let i = 0; i < 5; i++) for (const vm of vms) assert.equal(vm.vcpu.run({ kind: "run" }, 200).kind, "budget");
    assert.deepEqual(
      vms.map((vm) => vm.vcpu.regs.eax),
      [500, 1000],
    );
    assert.equal(vms[1].vcpu.intercepts.cpuid, false);
    assert.equal(vms[0].vcpu.exitCounts().get("budget"), 5);
    for (const value of Object.values(vms[0].vcpu.stats())) assert.ok(Number.isFinite(value));
  });
  test(`MSRs through getMsr and setMsr: checked as WRMSR checks [${name}]`, () => {
    const { raw } = createVm(engine).vcpu.regs;
    assert.equal(raw.setMsr(0x174, 8n), true);
    assert.equal(raw.getMsr(0x174), 8n);
    assert.equal(raw.getMsr(0xdeadbeef), undefined);
    assert.equal(raw.setMsr(0xdeadbeef, 0n), false);
    assert.equal(raw.setMsr(0xc0000082, 0x8000_0000_0000n), false, "not canonical");
  });
}
