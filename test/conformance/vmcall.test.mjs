/** VMCALLs that the monitor answers without an exit (Vcpu.setHypercall): the guest sees no difference. */
import assert from "node:assert/strict";
import test from "node:test";
import { CODE, createVm, ENGINES, enter } from "./support.mjs";

const VMCALL = [0x0f, 0x01, 0xc1];
const HLT = 0xf4;

for (const [name, engine] of Object.entries(ENGINES)) {
  const machine = (code) => {
    const vm = createVm(engine);
    enter(vm, "real");
    vm.memory.write(CODE, Uint8Array.from(code));
    return vm;
  };
  /** INC AX; VMCALL; JMP back, with the answer at VMCALL: BX counts, RIP goes on. */
  const loop = [0x40, ...VMCALL, 0xeb, 0xfa];
  const answer = ({ regs }) => {
    regs.bx = regs.bx + 1;
    regs.raw.advanceRip(3);
  };

  test(`a VMCALL answered below the exit leaves the guest as one answered after it [${name}]`, () => {
    const [below, after] = [machine(loop), machine(loop)];
    const seen = [];
    below.vcpu.setHypercall((exit) => {
      seen.push([exit.kind, exit.reason, exit.instructionLength, below.vcpu.regs.rip, below.vcpu.instructionCount()]);
      answer(below.vcpu);
      return true;
    });
    assert.equal(below.vcpu.run({ kind: "run" }, 2001).kind, "budget");
    const exits = [];
    for (let left = 2001; left > 0; ) {
      const before = after.vcpu.instructionCount();
      const exit = after.vcpu.run({ kind: "run" }, left);
      left -= after.vcpu.instructionCount() - before;
      if (exit.kind !== "vmcall") break;
      exits.push([exit.kind, exit.reason, exit.instructionLength, after.vcpu.regs.rip, after.vcpu.instructionCount()]);
      answer(after.vcpu);
    }
    assert.equal(seen.length, 1000);
    assert.deepEqual(seen, exits);
    for (const register of ["eax", "ebx", "rip", "rflags"]) assert.equal(below.vcpu.regs[register], after.vcpu.regs[register], register);
    assert.equal(below.vcpu.instructionCount(), after.vcpu.instructionCount());
    assert.equal(below.vcpu.exitCounts().get("vmcall"), after.vcpu.exitCounts().get("vmcall"));
  });

  test(`wherever a budget ends around an answered VMCALL, it ends exactly [${name}]`, () => {
    // INC AX; VMCALL; INC CX; INC DX; JMP back: four instructions a round.
    const code = [0x40, ...VMCALL, 0x41, 0x42, 0xeb, 0xf8];
    for (let budget = 1; budget <= 13; budget++) {
      const vm = machine(code);
      vm.vcpu.regs.dx = 0;
      vm.vcpu.setHypercall(() => {
        answer(vm.vcpu);
        return true;
      });
      for (let total = budget; total <= 5 * budget; total += budget) {
        assert.equal(vm.vcpu.run({ kind: "run" }, budget).kind, "budget");
        assert.equal(vm.vcpu.instructionCount(), total);
        const { ax, bx, cx, dx } = vm.vcpu.regs;
        const done = [0, 1, 2].map((n) => Math.floor((total + 3 - n) / 4));
        assert.deepEqual([ax, cx, dx], done, `budget ${budget}, ${total} in all`);
        // The VMCALL takes no budget: it is answered before or after the end of a run that falls on it.
        assert.ok(bx === ax || bx === ax - 1, `budget ${budget}, ${total} in all`);
      }
    }
  });

  test(`one that is not taken exits, and so does every one while the CPU is stepped [${name}]`, () => {
    const vm = machine(loop);
    let asked = 0;
    vm.vcpu.setHypercall(() => (asked++, false));
    const exit = vm.vcpu.run({ kind: "run" }, 100);
    assert.deepEqual([exit.kind, vm.vcpu.regs.rip, vm.vcpu.exitCounts().get("vmcall")], ["vmcall", BigInt(CODE + 1), 1]);
    assert.equal(asked, 1);
    vm.vcpu.intercepts.mtf = true;
    assert.equal(vm.vcpu.run({ kind: "run" }, 100).kind, "vmcall");
    assert.equal(asked, 1);
    vm.vcpu.intercepts.mtf = false;
    vm.vcpu.setHypercall(undefined);
    assert.equal(vm.vcpu.run({ kind: "run" }, 100).kind, "vmcall");
    assert.equal(asked, 1);
  });

  test(`a stop asked for inside ends the run behind the VMCALL [${name}]`, () => {
    const vm = machine(loop);
    vm.vcpu.setHypercall(() => {
      answer(vm.vcpu);
      vm.vcpu.requestStop();
      return true;
    });
    assert.equal(vm.vcpu.run({ kind: "run" }, 100).kind, "budget");
    assert.deepEqual([vm.vcpu.regs.rip, vm.vcpu.regs.bx, vm.vcpu.instructionCount()], [BigInt(CODE + 4), 1, 1]);
  });

  test(`registers edited inside are checked as at a VM entry, and the guest goes on where they say [${name}]`, () => {
    const vm = machine([...VMCALL, HLT]);
    vm.memory.write8(0x3000, HLT);
    vm.vcpu.setHypercall(() => {
      vm.vcpu.regs.rip = 0x3000n;
      return true;
    });
    assert.equal(vm.vcpu.run({ kind: "run" }, 100).kind, "budget");
    assert.equal(vm.vcpu.run({ kind: "run" }, 100).kind, "hlt");
    assert.equal(vm.vcpu.regs.rip, 0x3001n);
    const bad = machine([...VMCALL, HLT]);
    bad.vcpu.setHypercall(() => {
      bad.vcpu.regs.raw.setControl("cr0", 0x80000010n);
      return true;
    });
    assert.equal(bad.vcpu.run({ kind: "run" }, 100).kind, "budget");
    assert.equal(bad.vcpu.run({ kind: "run" }, 100).kind, "entry-failure");
  });
}
