/** What a device access causes comes behind that very instruction, wherever blocks, budgets and translated regions begin and end. */
import assert from "node:assert/strict";
import test from "node:test";
import { CODE, createVm, ENGINES, enter, STACK } from "./support.mjs";

const [NOP, HLT, STI] = [0x90, 0xf4, 0xfb];
const MMIO = 0x200000;
const HANDLER = 0x3000;
const nops = (n) => Array.from({ length: n }, () => NOP);
const word = (n) => [n & 0xff, (n >> 8) & 0xff, (n >> 16) & 0xff, n >>> 24];

/** Accesses to a device in 32-bit code: what they do to EAX apart, they are one instruction each. */
const ACCESSES = {
  "mov eax, [device]": [0xa1, ...word(MMIO)],
  "mov [device], eax": [0xa3, ...word(MMIO)],
  "add [device], eax": [0x01, 0x05, ...word(MMIO)],
  "add eax, [device]": [0x03, 0x05, ...word(MMIO)],
  "test byte [device], 1": [0xf6, 0x05, ...word(MMIO), 1],
  "push dword [device]": [0xff, 0x35, ...word(MMIO)],
  movsb: [0xa4],
  "fld dword [device]": [0xd9, 0x05, ...word(MMIO)],
  "movdqu xmm0, [device]": [0xf3, 0x0f, 0x6f, 0x05, ...word(MMIO)],
  "in al, dx": [0xec],
  "out dx, al": [0xee],
};

/** A PC of a flat 32-bit mode whose device calls `act(vm)` at the `nth` access (0: at each), and whose code is `code`. */
function machine(engine, code, act, nth = 1) {
  let accesses = 0;
  const seen = () => {
    if (++accesses === nth || nth === 0) act(vm);
  };
  const vm = createVm(engine, {
    io: {
      mmioRead: () => (seen(), 0),
      mmioWrite: () => (seen(), true),
      portRead: () => (seen(), 0),
      portWrite: () => (seen(), true),
    },
  });
  enter(vm, "protected");
  const { raw } = vm.vcpu.regs;
  vm.memory.write(CODE, Uint8Array.from(code));
  raw.setControl("cr4", 0x600n);
  raw.setRflags(0x202);
  raw.setGpr(6, BigInt(MMIO));
  raw.setGpr(7, 0x5000n);
  // Interrupt gates for every vector: HANDLER + vector, HLT.
  raw.setDescriptorTable("gdtr", 0x4000n, 0x17);
  vm.memory.write(0x4008, Uint8Array.of(0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0, 0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0));
  raw.setDescriptorTable("idtr", 0x6000n, 0x7ff);
  for (let v = 0; v < 256; v++) {
    vm.memory.write32(0x6000 + v * 8, 0x80000 | (HANDLER + v));
    vm.memory.write32(0x6004 + v * 8, 0x8e00);
    vm.memory.write8(HANDLER + v, HLT);
  }
  return vm;
}

for (const [name, engine] of Object.entries(ENGINES)) {
  for (const [what, bytes] of Object.entries(ACCESSES)) {
    // In a block's beginning, in its middle, and as the last of 64.
    for (const before of [0, 5, 63]) {
      const code = [...nops(before), ...bytes, ...nops(100), HLT];
      const behind = CODE + before + bytes.length;
      // A second time round, so that translated code and links are there.
      test(`${what} behind ${before} others: the device sees its RIP and its count [${name}]`, () => {
        const round = [...nops(before), ...bytes, ...nops(2)];
        const seen = [];
        const vm = machine(
          engine,
          [...round, 0xe9, ...word(-(round.length + 5))],
          ({ vcpu }) => seen.push([Number(vcpu.regs.rip), vcpu.instructionCount()]),
          0,
        );
        for (const budget of [3, before + 70, 500]) vm.vcpu.run({ kind: "run" }, budget);
        const all = seen.filter(([rip]) => rip !== CODE + before);
        assert.deepEqual(all, []);
        assert.ok(seen.length >= 6);
        // `add [device], eax` asks twice a round.
        for (const [, count] of seen) assert.equal(count % (before + 4), before);
        vm.dispose();
      });
      test(`${what} behind ${before} others asks for a stop: the run ends behind it [${name}]`, () => {
        const vm = machine(engine, code, ({ vcpu }) => vcpu.requestStop());
        assert.equal(vm.vcpu.run({ kind: "run" }, 1000).kind, "budget");
        assert.equal(Number(vm.vcpu.regs.rip), behind);
        assert.equal(vm.vcpu.instructionCount(), before + 1);
        assert.equal(vm.vcpu.run({ kind: "run" }, 1000).kind, "hlt");
        assert.equal(vm.vcpu.instructionCount(), before + 102);
        vm.dispose();
      });
      for (const budget of [7, 60, 70, 1000]) {
        test(`${what} behind ${before} others raises INTR: taken behind it, in runs of ${budget} [${name}]`, () => {
          const vm = machine(engine, code, ({ vcpu }) => vcpu.setInterruptLine(true));
          let exit;
          for (let i = 0; i < 200 && exit?.kind !== "hlt"; i++) exit = vm.vcpu.run({ kind: "run" }, budget);
          assert.equal(Number(vm.vcpu.regs.rip), HANDLER + 0x21);
          assert.equal(vm.memory.read32(Number(vm.vcpu.regs.raw.getGpr(4))), behind);
          assert.equal(vm.vcpu.instructionCount(), before + 2);
          vm.dispose();
        });
      }
    }
  }
  test(`INTR that the monitor wants exits behind the access that raised it, IF or not [${name}]`, () => {
    const vm = machine(engine, [...nops(5), ...ACCESSES["mov eax, [device]"], ...nops(100), HLT], ({ vcpu }) => vcpu.setInterruptLine(true));
    vm.vcpu.regs.raw.setRflags(2);
    vm.vcpu.intercepts.externalInterrupt = true;
    assert.equal(vm.vcpu.run({ kind: "run" }, 1000).kind, "external-interrupt");
    assert.equal(vm.vcpu.instructionCount(), 6);
    vm.dispose();
  });
  test(`in a loop that was run before, INTR of a device is taken behind the access [${name}]`, () => {
    // loop: mov eax,[device]; inc ebx; inc ecx; add [device+4],eax; inc edx; jmp loop
    const code = [0xa1, ...word(MMIO), 0x43, 0x41, 0x01, 0x05, ...word(MMIO + 4), 0x42, 0xeb, 0xf0];
    for (const nth of [301, 302, 303]) {
      const vm = machine(engine, code, ({ vcpu }) => vcpu.setInterruptLine(true), nth);
      assert.equal(vm.vcpu.run({ kind: "run" }, 5000).kind, "hlt");
      // Three accesses a turn: the load, then the load and the store of ADD.
      const turns = Math.floor((nth - 1) / 3);
      const behindLoad = nth % 3 === 1;
      assert.equal(vm.memory.read32(Number(vm.vcpu.regs.raw.getGpr(4))), behindLoad ? CODE + 5 : CODE + 13);
      assert.equal(vm.vcpu.instructionCount(), turns * 6 + (behindLoad ? 1 : 4) + 1);
      vm.dispose();
    }
  });
  test(`STI, a device access in its shadow raises INTR: taken behind it [${name}]`, () => {
    const vm = machine(engine, [STI, 0xa1, ...word(MMIO), NOP, HLT], ({ vcpu }) => vcpu.setInterruptLine(true));
    vm.vcpu.regs.raw.setRflags(2);
    assert.equal(vm.vcpu.run({ kind: "run" }, 1000).kind, "hlt");
    assert.equal(vm.memory.read32(STACK - 12), CODE + 6);
    vm.dispose();
  });
  test(`a store into what follows is seen, wherever budgets end [${name}]`, () => {
    // mov byte [X], inc ebx; nops; X: inc eax; nops; jmp back
    for (let budget = 2; budget < 70; budget++) {
      const vm = machine(engine, [0xc6, 0x05, ...word(CODE + 17), 0x43, ...nops(10), 0x40, ...nops(30), 0xeb, 0xce], () => {});
      // After RESET it has the processor's signature.
      vm.vcpu.regs.raw.setGpr(2, 0n);
      vm.vcpu.run({ kind: "run" }, 43);
      assert.equal(vm.vcpu.regs.raw.getGpr(3), 1n);
      for (let turn = 0; turn < 3; turn++) {
        // Another instruction each turn: inc ecx, inc edx, inc ebx.
        vm.memory.write8(CODE + 6, 0x41 + turn);
        const end = vm.vcpu.instructionCount() + 43;
        while (vm.vcpu.instructionCount() < end) vm.vcpu.run({ kind: "run" }, Math.min(budget, end - vm.vcpu.instructionCount()));
      }
      const count = (register) => Number(vm.vcpu.regs.raw.getGpr(register));
      assert.deepEqual([count(0), count(1), count(2), count(3)], [0, 1, 1, 2], `runs of ${budget}`);
      vm.dispose();
    }
  });
  test(`a store into what follows is seen in code that the limit of CS cuts, wherever budgets end [${name}]`, () => {
    // mov [edi], al; inc ebx; nops; X: inc ecx; nops; hlt. Kept as a whole, then cut behind X.
    const x = CODE + 13;
    for (const budget of [1, 2, 5, 12, 13, 63, 64, 1000]) {
      const vm = machine(engine, [0x88, 0x07, 0x43, ...nops(10), 0x41, ...nops(20), HLT], () => {});
      const { raw } = vm.vcpu.regs;
      for (const register of [0, 1, 2, 3]) raw.setGpr(register, 0n);
      assert.equal(vm.vcpu.run({ kind: "run" }, 1000).kind, "hlt");
      for (const opcode of [0x42, 0x41]) {
        raw.setGpr(0, BigInt(opcode));
        raw.setGpr(7, BigInt(x));
        raw.setSegment("cs", { selector: 8, base: 0n, limit: x + 3, access: 0x409b });
        raw.setRip(BigInt(CODE));
        vm.vcpu.setHalted(false);
        const before = vm.vcpu.instructionCount();
        let exit;
        for (let i = 0; i < 200 && exit?.kind !== "hlt"; i++) exit = vm.vcpu.run({ kind: "run" }, budget);
        // #GP(0) behind the limit, to its handler's HLT.
        assert.equal(Number(vm.vcpu.regs.rip), HANDLER + 14);
        assert.equal(vm.vcpu.instructionCount() - before, 12 + 1 + 3 + 1 + 1);
      }
      const count = (register) => Number(raw.getGpr(register));
      assert.deepEqual([count(1), count(2), count(3)], [2, 1, 3], `runs of ${budget}`);
      vm.dispose();
    }
  });
  for (const length of [1, 63, 64, 65, 128]) {
    test(`a store as instruction ${length} into its own block counts once [${name}]`, () => {
      // nops; mov [CODE], al; nops; hlt
      const vm = machine(engine, [...nops(length - 1), 0xa2, ...word(CODE), ...nops(10), HLT], () => {});
      vm.vcpu.regs.raw.setGpr(0, 0x40n);
      assert.equal(vm.vcpu.run({ kind: "run" }, 1000).kind, "hlt");
      assert.equal(vm.vcpu.instructionCount(), length + 11);
      vm.dispose();
    });
  }
}
