/** Several vCPUs in one VM: they take turns in one thread, whoever is run runs. */
import assert from "node:assert/strict";
import test from "node:test";
import { CODE, createVm, ENGINES, STACK } from "./support.mjs";

const RUN = { kind: "run" };
const HLT = 0xf4;
const COUNTER = 0x6000;
const FLAG = 0x6004;

/** Real mode at CODE + offset with a stack of its own. */
function start(vcpu, offset = 0) {
  const { raw } = vcpu.regs;
  vcpu.init();
  vcpu.startup(0);
  for (const name of ["cs", "ss", "ds", "es", "fs", "gs"])
    raw.setSegment(name, { selector: 0, base: 0n, limit: 0xffff, access: name === "cs" ? 0x9b : 0x93 });
  raw.setGpr(2, 0n);
  raw.setGpr(4, BigInt(STACK));
  raw.setRip(BigInt(CODE + offset));
}
/** A fake local APIC: answers with a vector, logs what it is asked. */
function fakeApic() {
  const apic = {
    vector: 0x40,
    log: [],
    interruptAcknowledge: () => {
      apic.log.push("ack");
      apic.vcpu?.setInterruptLine(false);
      return apic.vector;
    },
    readTpr: () => 0,
    writeTpr() {},
    msrRead: (index) => (index === 0x802 ? BigInt(apic.id) : undefined),
    msrWrite: (index, value) => {
      if (index !== 0x830) return false;
      apic.send(Number(value >> 32n));
      return true;
    },
    pageRead: (offset) => (apic.log.push(`read ${offset.toString(16)}`), 0x1000 + apic.id),
    pageWrite: (offset, _size, value) => apic.log.push(`write ${offset.toString(16)}=${value}`),
  };
  return apic;
}
function vmOf(engine, cpus, options = {}) {
  const apics = Array.from({ length: cpus }, fakeApic);
  const vm = createVm(engine, { cpus, localApics: apics, ...options });
  apics.forEach((apic, id) => {
    apic.id = id;
    apic.vcpu = vm.vcpus[id];
    apic.send = (to) => vm.vcpus[to].setInterruptLine(true);
  });
  return { vm, apics };
}
/** Each in turn, so many instructions, until all halt. */
function roundRobin(vm, quantum, limit = 100_000) {
  for (let i = 0; i < limit; i++) {
    const kinds = vm.vcpus.map((vcpu) => vcpu.run(RUN, quantum).kind);
    assert.ok(
      kinds.every((kind) => kind === "budget" || kind === "hlt"),
      kinds.join(" "),
    );
    if (kinds.every((kind) => kind === "hlt")) return;
  }
  assert.fail("never halted");
}
function each(name, body) {
  for (const [engineName, engine] of Object.entries(ENGINES)) test(`${name} [${engineName}]`, () => body(engine));
}

each("a VM of one CPU and of sixteen can be made, of none and of seventeen not", (engine) => {
  for (const cpus of [1, 16]) assert.equal(createVm(engine, { cpus }).vcpus.length, cpus);
  for (const cpus of [0, 17, 1.5]) assert.throws(() => createVm(engine, { cpus }), { code: "VMM_CPUS" });
});

each("application processors wait for SIPI, and start at its vector", (engine) => {
  const { vm } = vmOf(engine, 2);
  const [boot, other] = vm.vcpus;
  vm.memory.write(0x7000, Uint8Array.from([0xb0, 0x55, HLT])); // mov al, 55h
  assert.equal(boot.regs.rip, 0xfff0n);
  assert.equal(other.run(RUN, 100).kind, "hlt");
  other.raiseNmi();
  assert.equal(other.run(RUN, 100).kind, "hlt");
  other.raiseStartup(7);
  const exit = other.run(RUN, 100);
  assert.deepEqual([exit.kind, exit.vector, exit.reason], ["sipi", 7, 4]);
  other.startup(7);
  assert.equal(other.regs.selector("cs"), 0x700);
  // The NMI that waited; vector 2 of an empty table leads to 0000:0000.
  vm.memory.write32(8, 0x7000);
  assert.equal(other.run(RUN, 100).kind, "hlt");
  assert.equal(other.regs.al, 0x55);
  assert.equal(boot.regs.al, 0);
  other.raiseStartup(8);
  assert.equal(other.run(RUN, 100).kind, "hlt");
  other.raiseInit();
  assert.equal(other.run(RUN, 100).kind, "init");
  other.init();
  assert.equal(other.regs.rip, 0xfff0n);
  assert.equal(other.run(RUN, 100).kind, "hlt");
});

each("registers of CPUs that do not run are theirs, whoever ran last", (engine) => {
  const { vm } = vmOf(engine, 4);
  vm.vcpus.forEach((vcpu, i) => {
    start(vcpu, i * 0x100);
    vm.memory.write(CODE + i * 0x100, Uint8Array.from([0x40 + i, 0xeb, 0xfd])); // inc reg; jmp
    const { raw } = vcpu.regs;
    raw.setXmm(3, new Uint8Array(16).fill(i));
    raw.setMsr(0xc0000082, BigInt(i));
    raw.setControl("cr2", BigInt(i) << 33n);
    raw.setDescriptorTable("gdtr", BigInt(i * 8), i);
    raw.setSegment("fs", { selector: i, base: BigInt(i) << 8n, limit: 0xffff, access: 0x93 });
    raw.setGpr32(5, 100 + i);
  });
  for (let round = 1; round <= 3; round++) for (const vcpu of vm.vcpus) vcpu.run(RUN, 1000);
  vm.vcpus.forEach((vcpu, i) => {
    const { raw } = vcpu.regs;
    assert.equal(raw.getGpr(i), 1500n);
    assert.equal(raw.getGpr32(5), 100 + i);
    assert.deepEqual(raw.getXmm(3), new Uint8Array(16).fill(i));
    assert.equal(raw.getMsr(0xc0000082), BigInt(i));
    assert.equal(raw.getControl("cr2"), BigInt(i) << 33n);
    assert.deepEqual(raw.getDescriptorTable("gdtr"), { base: BigInt(i * 8), limit: i });
    assert.equal(raw.getSegment("fs").base, BigInt(i) << 8n);
    assert.equal(vcpu.instructionCount(), 3000);
    assert.equal(raw.getRip(), BigInt(CODE + i * 0x100));
  });
});

each("a device may look at another CPU while one runs", (engine) => {
  const seen = [];
  let vm;
  const io = {
    portWrite: (port, _size, value) => {
      const other = vm.vcpus[1].regs;
      seen.push([port, value, other.ax, vm.vcpus[0].regs.ax, vm.vcpus[0].regs.rip]);
      other.ax = other.ax + 1;
      other.raw.setSegment("ds", { selector: 0x10, base: 0x100n, limit: 0xfff, access: 0x93 });
      return true;
    },
  };
  ({ vm } = vmOf(engine, 2, { io }));
  const [a, b] = vm.vcpus;
  start(a);
  start(b, 0x100);
  vm.memory.write(CODE, Uint8Array.from([0xb8, 0x34, 0x12, 0xe7, 0x80, 0x40, 0xe6, 0x81, 0xa1, 0x00, 0x60, HLT])); // mov ax; out 80h, ax; inc ax; out 81h, al; mov ax, [6000]
  vm.memory.write16(COUNTER, 0xbeef);
  b.regs.ax = 0x7000;
  assert.equal(a.run(RUN, 100).kind, "hlt");
  assert.deepEqual(
    seen.map((s) => s.slice(0, 3)),
    [
      [0x80, 0x1234, 0x7000],
      [0x81, 0x35, 0x7001],
    ],
  );
  assert.equal(a.regs.ax, 0xbeef);
  assert.equal(b.regs.ax, 0x7002);
  assert.equal(b.regs.selector("ds"), 0x10);
  assert.equal(a.regs.selector("ds"), 0);
});

for (const quantum of [1, 7, 100, 5000]) {
  each(`LOCK XADD from four CPUs loses no count, turns of ${quantum}`, (engine) => {
    const { vm } = vmOf(engine, 4);
    // mov cx, 500; l: mov ax, 1; lock xadd [6000], ax; loop l; hlt
    vm.memory.write(CODE, Uint8Array.from([0xb9, 0xf4, 0x01, 0xb8, 1, 0, 0xf0, 0x0f, 0xc1, 0x06, 0x00, 0x60, 0xe2, 0xf5, HLT]));
    for (const vcpu of vm.vcpus) start(vcpu);
    roundRobin(vm, quantum);
    assert.equal(vm.memory.read16(COUNTER), 2000);
  });

  each(`a spinlock keeps a plain counter right, turns of ${quantum}`, (engine) => {
    const { vm } = vmOf(engine, 3);
    const code = [
      ...[0xb9, 0x64, 0x00], // mov cx, 100
      ...[0xb0, 0x01], // 3: mov al, 1
      ...[0x86, 0x06, 0x04, 0x60], // xchg [6004], al
      ...[0x84, 0xc0, 0x74, 0x04, 0xf3, 0x90, 0xeb, 0xf2], // test al, al; jz +4; pause; jmp 3
      ...[0xa1, 0x00, 0x60, 0x40, 0x90, 0x90, 0xa3, 0x00, 0x60], // mov ax, [6000]; inc ax; nop; nop; mov [6000], ax
      ...[0xc6, 0x06, 0x04, 0x60, 0x00], // mov byte [6004], 0
      ...[0xe2, 0xe2, HLT], // loop 3
    ];
    vm.memory.write(CODE, Uint8Array.from(code));
    for (const vcpu of vm.vcpus) start(vcpu);
    roundRobin(vm, quantum);
    assert.equal(vm.memory.read16(COUNTER), 300);
  });
}

each("two CPUs pass a token through memory and IPIs", (engine) => {
  const { vm, apics } = vmOf(engine, 2);
  // Interrupt 40h: inc word [6000 + 2 * id]; hand over; iret. Main: sti; hlt; jmp.
  const handler = [
    ...[0x67, 0xff, 0x04, 0x5d, 0x00, 0x60, 0x00, 0x00], // inc word [ebx*2 + 6000]
    ...[0xb9, 0x30, 0x08, 0x89, 0xda, 0x83, 0xf2, 0x01, 0x31, 0xc0], // mov cx, 830h; mov dx, bx; xor dx, 1; xor ax, ax
    ...[0x83, 0x3e, 0x00, 0x60, 0x0a, 0x73, 0x02], // cmp word [6000], 10; jae +2
    ...[0x0f, 0x30, 0xcf], // wrmsr; iret
  ];
  vm.memory.write(0x3000, Uint8Array.from(handler));
  vm.memory.write32(0x40 * 4, 0x3000);
  vm.memory.write(CODE, Uint8Array.from([0xfb, HLT, 0xeb, 0xfc]));
  vm.vcpus.forEach((vcpu, i) => {
    start(vcpu);
    vcpu.regs.raw.setGpr(1, 0x830n);
    vcpu.regs.raw.setGpr(3, BigInt(i));
    assert.equal(vcpu.run(RUN, 100).kind, "hlt");
  });
  vm.vcpus[0].setInterruptLine(true);
  for (let i = 0; i < 12; i++) for (const vcpu of vm.vcpus) assert.equal(vcpu.run(RUN, 1000).kind, "hlt");
  assert.deepEqual([vm.memory.read16(COUNTER), vm.memory.read16(COUNTER + 2)], [10, 9]);
  assert.equal(apics[0].log.filter((line) => line === "ack").length, 10);
});

each("each CPU sees its own local APIC page, over RAM, and the other does not", (engine) => {
  const { vm, apics } = vmOf(engine, 2);
  vm.memory.write(CODE, Uint8Array.from([0x66, 0xa1, 0x20, 0x50, 0x66, 0xa3, 0xb0, 0x50, HLT])); // mov eax, [5020]; mov [50b0], eax
  vm.memory.write32(0x5020, 0x77);
  for (const vcpu of vm.vcpus) start(vcpu);
  vm.vcpus[1].run(RUN, 2);
  vm.vcpus[0].setApicPage(0x5000);
  vm.vcpus[0].run(RUN, 10);
  vm.vcpus[1].run(RUN, 10);
  assert.deepEqual(
    vm.vcpus.map((vcpu) => vcpu.regs.eax),
    [0x1000, 0x77],
  );
  assert.deepEqual(apics[0].log, ["read 20", `write b0=${0x1000}`]);
  assert.deepEqual(apics[1].log, []);
  assert.equal(vm.memory.read32(0x50b0), 0x77);
});

each("code that one CPU writes is what the other executes, at once", (engine) => {
  const { vm } = vmOf(engine, 2);
  const [writer, reader] = vm.vcpus;
  // reader: l: mov ax, imm; jmp l       writer: inc word [imm]; jmp
  vm.memory.write(CODE + 0x100, Uint8Array.from([0xb8, 0, 0, 0xeb, 0xfb]));
  vm.memory.write(CODE, Uint8Array.from([0xff, 0x06, 0x01, 0x11, 0xeb, 0xfa]));
  start(writer);
  start(reader, 0x100);
  for (let i = 1; i <= 50; i++) {
    reader.run(RUN, 200);
    assert.equal(reader.regs.ax, i - 1);
    writer.run(RUN, i === 1 ? 1 : 2);
  }
});

each("a page first executed by one CPU is watched in the other's stores too", (engine) => {
  const { vm } = vmOf(engine, 2);
  const [writer, reader] = vm.vcpus;
  vm.memory.write(CODE, Uint8Array.from([0xa3, 0x01, 0x40, 0x40, 0xeb, 0xfa])); // mov [4001], ax; inc ax; jmp
  vm.memory.write(0x4000, Uint8Array.from([0xbb, 0, 0, 0xeb, 0xfb])); // mov bx, imm; jmp
  start(writer);
  writer.run(RUN, 4); // The page is in the writer's TLB as plain memory.
  start(reader, 0x4000 - CODE);
  reader.run(RUN, 10);
  assert.equal(reader.regs.raw.getGpr(3), 1n);
  writer.run(RUN, 3);
  reader.run(RUN, 10);
  assert.equal(reader.regs.raw.getGpr(3), 2n);
});

each("remapped memory and A20 reach every CPU", (engine) => {
  const vm = createVm(engine, { cpus: 2, ramBytes: 0x200000, regions: [{ name: "other", sizeBytes: 4096 }] });
  vm.mapSlot({ gpa: 0, region: vm.region("ram"), regionOffset: 0, sizeBytes: 0x200000, access: "rw" });
  vm.memory.write(CODE, Uint8Array.from([0xa1, 0x00, 0x50, 0x26, 0x8b, 0x1e, 0x10, 0x60, 0xeb, 0xf6])); // mov ax, [5000]; mov bx, es:[6010]; jmp
  vm.memory.write16(0x5000, 1);
  vm.memory.write16(0x6000, 2);
  vm.memory.write16(0x106000, 3);
  for (const vcpu of vm.vcpus) {
    start(vcpu);
    vcpu.regs.raw.setSegment("es", { selector: 0xffff, base: 0xffff0n, limit: 0xffff, access: 0x93 });
  }
  const read = () =>
    vm.vcpus.map((vcpu) => {
      vcpu.run(RUN, 9);
      return [vcpu.regs.ax, vcpu.regs.raw.getGpr32(3)];
    });
  assert.deepEqual(read(), [
    [1, 3],
    [1, 3],
  ]);
  vm.setA20(false);
  vm.mapSlot({ gpa: 0x5000, region: vm.region("other"), regionOffset: 0, sizeBytes: 4096, access: "rw" });
  assert.deepEqual(read(), [
    [0, 2],
    [0, 2],
  ]);
  vm.setA20(true);
  assert.deepEqual(read(), [
    [0, 3],
    [0, 3],
  ]);
});

each("CPUs in different modes and address spaces keep apart", (engine) => {
  const { vm } = vmOf(engine, 3);
  const code = Uint8Array.from([0x8b, 0x05, 0x00, 0x50, 0x00, 0x00, 0x40, 0x90, 0xeb, 0xf6]); // 32 bits: mov eax, [5000]; inc eax; nop; jmp
  vm.memory.write(CODE, code);
  vm.memory.write(CODE + 0x100, Uint8Array.from([0x40, 0xeb, 0xfd]));
  vm.vcpus.forEach((vcpu, i) => {
    start(vcpu, i === 0 ? 0x100 : 0);
    if (i === 0) return;
    // Page tables at 20000h * i: identity, but 5000h is 6000h * i.
    const tables = 0x20000 * i;
    vm.memory.write32(tables, tables + 0x1003);
    for (let p = 0; p < 256; p++) vm.memory.write32(tables + 0x1000 + p * 4, (p << 12) | 3);
    vm.memory.write32(tables + 0x1000 + 5 * 4, (0x6000 * i) | 3);
    vm.memory.write32(0x6000 * i, 0x1000 * i);
    const { raw } = vcpu.regs;
    raw.setSegment("cs", { selector: 8, base: 0n, limit: 0xffffffff, access: 0xc09b });
    for (const name of ["ds", "ss", "es"]) raw.setSegment(name, { selector: 16, base: 0n, limit: 0xffffffff, access: 0xc093 });
    raw.setControl("cr3", BigInt(tables));
    raw.setControl("cr0", 0x80000011n);
  });
  for (let i = 0; i < 40; i++) for (const vcpu of vm.vcpus) vcpu.run(RUN, 1 + ((i * 7) % 23));
  const total = vm.vcpus[0].instructionCount();
  assert.equal(vm.vcpus[0].regs.ax, Math.ceil(total / 2));
  assert.ok([0x1000, 0x1001].includes(vm.vcpus[1].regs.eax), vm.vcpus[1].regs.eax.toString(16));
  assert.ok([0x2000, 0x2001].includes(vm.vcpus[2].regs.eax), vm.vcpus[2].regs.eax.toString(16));
});

each("two runs of the same CPUs in the same turns are equal, and so is one that was saved and loaded", (engine) => {
  // Each adds to a shared word through a sloppy lock, so that every interleaving gives another result.
  const code = [0xa1, 0x00, 0x60, 0x03, 0xc3, 0xd1, 0xc0, 0xa3, 0x00, 0x60, 0x83, 0xc3, 0x07, 0xeb, 0xf1]; // mov ax,[6000]; add ax,bx; rol ax,1; mov [6000],ax; add bx,7; jmp
  const make = () => {
    const { vm } = vmOf(engine, 3);
    vm.memory.write(CODE, Uint8Array.from(code));
    vm.vcpus.forEach((vcpu, i) => {
      start(vcpu);
      vcpu.regs.raw.setGpr(3, BigInt(i * 1000));
    });
    return vm;
  };
  const turns = (vm, from, to) => {
    for (let i = from; i < to; i++) vm.vcpus[(i * 5) % 3].run(RUN, 1 + ((i * 13) % 41));
    return [vm.memory.read16(COUNTER), ...vm.vcpus.flatMap((v) => [v.regs.eax, v.regs.ebx, v.regs.rip, v.instructionCount(), v.regs.rflags])];
  };
  const straight = turns(make(), 0, 200);
  assert.deepEqual(turns(make(), 0, 200), straight);
  const first = make();
  turns(first, 0, 77);
  const second = make();
  const bytes = new Uint8Array(0x100000);
  first.memory.read(0, bytes);
  second.memory.write(0, bytes);
  first.vcpus.forEach((vcpu, i) => second.vcpus[i].loadState(vcpu.saveState()));
  assert.deepEqual(turns(second, 77, 200), straight);
  assert.deepEqual(turns(first, 77, 200), straight);
  assert.equal(first.memory.read16(FLAG), 0);
});

// ---- dirty log
each("a dirty log names the pages that any CPU, or a device, wrote since it was taken", (engine) => {
  const { vm } = vmOf(engine, 2);
  const ram = vm.region("ram");
  // l: mov [si], al; rep stosb (cx as given); push ax; pop ax; jmp l
  vm.memory.write(CODE, Uint8Array.from([0x88, 0x04, 0xf3, 0xaa, 0x50, 0x58, 0xeb, 0xf8]));
  const pages = () => [...vm.takeWrites(ram).entries()].filter(([, written]) => written === 1).map(([page]) => page);
  const give = (cpu, si, di, cx) => {
    const { raw } = vm.vcpus[cpu].regs;
    raw.setGpr(6, BigInt(si));
    raw.setGpr(7, BigInt(di));
    raw.setGpr(1, BigInt(cx));
  };
  vm.vcpus.forEach((vcpu) => start(vcpu));
  assert.equal(pages().length, 256, "no log: all");
  for (const vcpu of vm.vcpus) vcpu.run(RUN, 50);
  vm.noteWrites(ram);
  assert.deepEqual(pages(), []);
  give(0, 0x9000, 0xa000, 0x1800);
  give(1, 0x3001, 0, 0);
  for (const vcpu of vm.vcpus) vcpu.run(RUN, 50);
  assert.deepEqual(pages(), [3, 7, 9, 10, 11]);
  assert.deepEqual(pages(), []);
  vm.memory.write8(0x20000, 1);
  vm.memory.write(0x22ff0, new Uint8Array(0x20));
  assert.deepEqual(pages(), [0x20, 0x22, 0x23]);
  give(0, 0x1fff, 0, 0); // On the page of the code.
  for (const vcpu of vm.vcpus) vcpu.run(RUN, 7);
  assert.deepEqual(pages(), [1, 3, 7]);
  vm.ignoreWrites(ram);
  assert.equal(pages().length, 256);
});
