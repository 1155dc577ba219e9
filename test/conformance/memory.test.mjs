/** Guest memory as the monitor's services see it (`Vm.physical`, `Vm.memory`): slots as they lie now, and code that is written to. */
import assert from "node:assert/strict";
import test from "node:test";
import { CODE, createVm, ENGINES, enter } from "./support.mjs";

for (const [name, engine] of Object.entries(ENGINES)) {
  test(`reads of low memory follow the slots [${name}]`, () => {
    const seen = [];
    const vm = createVm(engine, { regions: [{ name: "other", sizeBytes: 0x1000 }], io: { mmioRead: (gpa) => (seen.push(gpa), 0x5a) } });
    const { physical } = vm;
    const read = () => [physical.read8(0x2ffe), physical.read16(0x2fff), physical.read32(0x2ffd)];
    physical.write32(0x2ffd, 0x44332211);
    assert.deepEqual(read(), [0x22, 0x4433, 0x44332211]);
    vm.mapSlot({ gpa: 0x2000, region: vm.region("other"), regionOffset: 0, sizeBytes: 0x1000, access: "rw" });
    assert.deepEqual(read(), [0, 0x4400, 0x44000000]);
    vm.mapSlot({ gpa: 0x2000, region: vm.region("ram"), regionOffset: 0x2000, sizeBytes: 0x1000, access: "ro" });
    physical.write8(0x2ffe, 0x99);
    physical.write32(0x2ffd, 0);
    assert.deepEqual(read(), [0x22, 0x0033, 0x00332211]);
    vm.unmapSlot(0x2000, 0x1000);
    assert.deepEqual([physical.read8(0x2ffe), physical.read8(0x3000)], [0xff, 0]);
    assert.deepEqual([physical.read8(0x100000), seen], [0x5a, [0x100000]]);
  });

  test(`code that the monitor writes is decoded anew, by every width and over page ends [${name}]`, () => {
    const vm = createVm(engine);
    enter(vm, "real");
    // MOV AL, imm8; JMP back, across the end of a page.
    const at = CODE + 0xffd;
    const run = () => {
      vm.vcpu.regs.rip = BigInt(at);
      vm.vcpu.run({ kind: "run" }, 9);
      return vm.vcpu.regs.al;
    };
    vm.memory.write(at, Uint8Array.of(0x90, 0xb0, 1, 0xeb, 0xfb));
    assert.equal(run(), 1);
    vm.physical.write8(at + 2, 2);
    assert.equal(run(), 2);
    vm.physical.write16(at + 1, 0x03b0);
    assert.equal(run(), 3);
    vm.physical.write32(at, 0xeb04b090);
    assert.equal(run(), 4);
    vm.physical.write(at, Uint8Array.of(0x90, 0xb0, 5));
    assert.equal(run(), 5);
    vm.memory.viewForWrite(at - 0x800, 0x1000)[0x802] = 6;
    assert.equal(run(), 6);
  });
}
