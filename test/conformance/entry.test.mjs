/** VM-entry checks: states that no instruction makes are refused, with nothing changed; the same state put right runs. */
import assert from "node:assert/strict";
import test from "node:test";
import { createVm, ENGINES, enter } from "./support.mjs";

const HLT = 0xf4;
const CODE = 0x1000;
const inject = (event) => ({ kind: "run", inject: event });

function refused(name, mode, spoil, entry = { kind: "run" }) {
  for (const [engine, e] of Object.entries(ENGINES)) {
    test(`entry is refused: ${name} (${engine})`, () => {
      const vm = createVm(e);
      enter(vm, mode);
      vm.memory.write8(CODE, HLT);
      vm.vcpu.regs.raw.setRip(BigInt(CODE));
      spoil(vm.vcpu.regs.raw, vm);
      const before = vm.vcpu.instructionCount();
      const exit = vm.vcpu.run(entry, 10);
      assert.deepEqual([exit.kind, exit.reason, vm.vcpu.instructionCount()], ["entry-failure", 33, before]);
      assert.notEqual(exit.message, "");
      // Asked again with the state as it is, the answer is the same; put right, it runs.
      assert.equal(vm.vcpu.run(entry, 10).kind, "entry-failure");
      enter(vm, "real");
      vm.vcpu.regs.raw.setControl("cr4", 0n);
      vm.vcpu.regs.raw.setControl("efer", 0n);
      vm.vcpu.regs.raw.setDescriptorTable("gdtr", 0n, 0xffff);
      vm.vcpu.regs.raw.setRip(BigInt(CODE));
      assert.equal(vm.vcpu.run({ kind: "run" }, 10).kind, "hlt");
    });
  }
}
const segment = (selector, base, limit, access) => ({ selector, base, limit, access });

refused("CR0.PG without PE", "real", (r) => r.setControl("cr0", 0x80000010n));
refused("CR0.NW without CD", "protected", (r) => r.setControl("cr0", 0x20000011n));
refused("reserved bits of CR4", "protected", (r) => r.setControl("cr4", 0x1000n));
refused("reserved bits of EFER", "protected", (r) => r.setControl("efer", 2n));
refused("EFER.LMA without paging", "protected", (r) => r.setControl("efer", 0x500n));
refused("EFER.LME without LMA while paging", "long", (r) => r.setControl("efer", 0x100n));
refused("CR4.PCIDE outside IA-32e mode", "protected", (r) => r.setControl("cr4", 0x20000n));
refused("reserved bits of RFLAGS", "protected", (r) => r.setRflags(0x80000002));
refused("RFLAGS.VM in real mode", "real", (r) => r.setRflags(0x20002));
refused("RFLAGS.VM in long mode", "long", (r) => r.setRflags(0x20002));
refused("RIP that is not canonical", "long", (r) => r.setRip(1n << 47n));
refused("RIP beyond 32 bits", "protected", (r) => r.setRip(1n << 32n));
refused("CS with L and D", "long", (r) => r.setSegment("cs", segment(8, 0n, 0xffffffff, 0xe09b)));
refused("CS that is not present", "protected", (r) => r.setSegment("cs", segment(8, 0n, 0xffffffff, 0xc01b)));
refused("a TR that is no busy TSS in long mode", "long", (r) => r.setSegment("tr", segment(0x28, 0n, 0x67, 0x89)));
refused("a descriptor table base that is not canonical", "long", (r) => r.setDescriptorTable("gdtr", 1n << 47n, 0xffff));
refused("a base that is not selector * 16 in V86 mode", "v86", (r) => r.setSegment("ds", segment(0x100, 0n, 0xffff, 0xf3)));
refused("HLT at CPL 3", "ring3", (_r, vm) => vm.vcpu.setHalted(true));
refused("an external interrupt while IF is clear", "protected", () => {}, inject({ type: "external", vector: 0x20 }));
refused("an NMI with another vector", "protected", () => {}, inject({ type: "nmi", vector: 3 }));
refused("an exception above 31", "protected", () => {}, inject({ type: "hardware-exception", vector: 32 }));
refused("an error code where there is none", "protected", () => {}, inject({ type: "hardware-exception", vector: 6, errorCode: 0 }));
refused("a software interrupt of 16 bytes", "protected", () => {}, inject({ type: "software-interrupt", vector: 0x20, instructionLength: 16 }));

for (const [engine, e] of Object.entries(ENGINES)) {
  test(`every mode of the driver passes the checks (${engine})`, () => {
    for (const mode of ["real", "protected", "ring3", "v86", "long"]) {
      const vm = createVm(e);
      enter(vm, mode);
      vm.memory.write8(CODE, 0x90);
      vm.vcpu.regs.raw.setRip(BigInt(CODE));
      assert.equal(vm.vcpu.run({ kind: "run" }, 1).kind, "budget", mode);
    }
  });
}
