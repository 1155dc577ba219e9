/**
 * RF in the image that events push (SDM vol. 3B 18.3.1.1): set by faults (a general-detect #DB among them) and by what interrupts a repeated string
 * between two iterations; otherwise what it was, which is 0 but for an event between IRET and the next instruction. And what the monitor completes
 * by "skip" or an answer ends as if the processor had done it: shadow, RF, single step.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { CODE, DATA, HANDLERS, IDT, ModeMachine, SELECTOR, STACK } from "./modes.mjs";
import { ENGINES } from "./support.mjs";

const RF = 0x10000,
  TF = 0x100,
  IF = 0x200;
const RUN = { kind: "run" };
const NOP = 0x90;
const X = DATA + 0x100;

for (const [engineName, engine] of Object.entries(ENGINES)) {
  const machine = (mode, io = {}) =>
    new ModeMachine(engine, mode, { io: { portRead: () => 0x11, portWrite: () => true, interruptAcknowledge: () => 0x20, ...io } });
  for (const mode of ["protected32", "long"]) {
    const word = mode === "long" ? 8 : 4;
    /** RF in the image of the event that comes first, and its vector. */
    const image = (m, budget = 1) => {
      for (let i = 0; i < 200 && (m.rip < HANDLERS || m.rip >= HANDLERS + 0x1000); i++) m.vcpu.run(RUN, budget);
      const vector = (m.rip - HANDLERS) >> 4;
      const withCode = [8, 10, 11, 12, 13, 14, 17].includes(vector) ? word : 0;
      const at = Number(m.raw.getGpr(4)) + withCode + 2 * word;
      return `${vector} ${(m.memory.read32(at) & RF) !== 0 ? "RF" : "-"}`;
    };
    const pushes = (name, expected, code, setUp = () => {}, { rflags = 2, gpr = {} } = {}) => {
      test(`${name} pushes ${expected}, ${mode} [${engineName}]`, () => {
        const m = machine(mode);
        m.reset({ rflags, gpr: { 0: 0, 1: 5, 2: 0x80, 3: X, 6: X, 7: X + 0x40, ...gpr } });
        m.write([...code, NOP, NOP, NOP, NOP]);
        setUp(m);
        assert.equal(image(m), expected);
        m.dispose();
      });
    };
    const watch = (at, dr7) => (m) => {
      m.raw.setControl("dr0", BigInt(at));
      m.raw.setControl("dr7", BigInt(dr7));
    };
    pushes("#UD", "6 RF", [0x0f, 0x0b]);
    pushes("#DE", "0 RF", [0xf7, 0xf0]);
    pushes("#GP", "13 RF", [0x8e, 0xd8], undefined, { gpr: { 0: 0xfff8 } });
    pushes("INT n", "64 -", [0xcd, 0x40]);
    pushes("INT n that begins with RF", "64 -", [0xcd, 0x40], undefined, { rflags: 2 | RF });
    pushes("INT3", "3 -", [0xcc]);
    pushes("INT1", "1 -", [0xf1]);
    pushes("a single step", "1 -", [NOP], undefined, { rflags: 2 | TF });
    pushes("a single step that begins with RF", "1 -", [NOP], undefined, { rflags: 2 | TF | RF });
    pushes("an instruction breakpoint", "1 -", [NOP, NOP], watch(CODE + 1, 0x402));
    pushes("a data breakpoint", "1 -", [0x88, 0x03], watch(X, 0x10402));
    pushes("general detect", "1 RF", [0x0f, 0x21, 0xf8], watch(0, 0x2400));
    pushes("a single step between iterations", "1 RF", [0xf3, 0xaa], undefined, { rflags: 2 | TF });
    pushes("a single step behind the last iteration", "1 -", [0xf3, 0xaa], undefined, { rflags: 2 | TF, gpr: { 1: 1 } });
    pushes("a data breakpoint between iterations", "1 RF", [0xf3, 0xaa], watch(X + 0x42, 0x10402));
    pushes("a data breakpoint at the last iteration", "1 -", [0xf3, 0xaa], watch(X + 0x44, 0x10402));
    pushes("an interrupt between instructions", "32 -", [NOP, NOP], (m) => m.vcpu.setInterruptLine(true), { rflags: 2 | IF });
    test(`an interrupt between iterations pushes RF, ${mode} [${engineName}]`, () => {
      let m;
      let reads = 0;
      m = machine(mode, { portRead: () => (++reads === 2 && m.vcpu.setInterruptLine(true), 1) });
      m.reset({ rflags: 2 | IF, gpr: { 1: 5000, 2: 0x80, 7: X } });
      m.write([0xf3, 0x6c, NOP]);
      m.memory.write8(HANDLERS + 0x20 * 16, 0xf4);
      assert.equal(image(m, 1000), "32 RF");
      assert.ok(m.raw.getGpr(1) > 0n);
      m.dispose();
    });
    test(`a breakpoint on a repeated string strikes once, ${mode} [${engineName}]`, () => {
      const m = machine(mode);
      m.vcpu.intercepts.exceptionBitmap = 2;
      m.reset({ gpr: { 0: 0, 1: 600, 7: X } });
      m.write([0xf3, 0xaa, 0xf4]);
      watch(CODE, 0x402)(m);
      assert.equal(m.vcpu.run(RUN, 1000).kind, "exception");
      m.raw.setRflags(2 | RF);
      assert.equal(m.vcpu.run(RUN, 1000).kind, "hlt");
      assert.equal(m.raw.getRflags() & RF, 0);
      m.dispose();
    });
    test(`a handler that returns with RF is not met again by the breakpoint, without it is, ${mode} [${engineName}]`, () => {
      for (const resume of [true, false]) {
        const m = machine(mode);
        m.reset();
        // #DB's handler: (or dword [rsp + 2 words], RF;) inc byte [X]; iret
        const rsp = [0x81, 0x4c, 0x24, 2 * word, 0, 0, 1, 0];
        const inc = mode === "long" ? [0xfe, 0x04, 0x25, X & 0xff, X >> 8, 0, 0] : [0xfe, 0x05, X & 0xff, X >> 8, 0, 0];
        m.write([...(resume ? rsp : []), ...inc, ...(mode === "long" ? [0x48] : []), 0xcf], 0x3000);
        m.memory.write(IDT + (mode === "long" ? 16 : 8), Uint8Array.of(0, 0x30, SELECTOR.code, 0, 0, 0xee, 0, 0));
        m.write([NOP, NOP, 0xf4]);
        m.memory.write8(X, 0);
        watch(CODE + 1, 0x402)(m);
        let exit;
        for (let i = 0; i < 40; i++) exit = m.vcpu.run(RUN, 5);
        assert.deepEqual([exit.kind, m.memory.read8(X)], resume ? ["hlt", 1] : ["budget", m.memory.read8(X)]);
        if (!resume) assert.ok(m.memory.read8(X) > 10);
        m.dispose();
      }
    });
  }

  // ---- what the monitor completes
  for (const [name, intercepts, code, io, entry] of [
    ["CPUID", { cpuid: true }, [0x0f, 0xa2], undefined, { kind: "skip" }],
    ["RDTSC", { rdtsc: true }, [0x0f, 0x31], undefined, { kind: "skip" }],
    ["HLT", { hlt: true }, [0xf4], undefined, { kind: "skip" }],
    ["IN", {}, [0xe4, 0x80], { portRead: () => -1 }, { kind: "io-in", value: 1 }],
    ["OUT", {}, [0xe6, 0x80], { portWrite: () => false }, { kind: "skip" }],
    ["VMCALL", {}, [0x0f, 0x01, 0xc1], undefined, { kind: "skip" }],
  ]) {
    const start = (rflags, before = []) => {
      const m = machine("protected32", io);
      Object.assign(m.vcpu.intercepts, intercepts, { exceptionBitmap: 2 });
      m.reset({ rflags });
      m.write([...before, ...code, NOP, NOP, 0xf4]);
      return m;
    };
    test(`${name} completed by the monitor traps under TF [${engineName}]`, () => {
      const m = start(2 | TF);
      assert.notEqual(m.vcpu.run(RUN, 1).kind, "exception");
      const exit = m.vcpu.run(entry, 1);
      assert.deepEqual([exit.kind, exit.qualification, m.rip], ["exception", 0x4000n, CODE + code.length]);
      m.dispose();
    });
    test(`${name} completed by the monitor ends STI's shadow and RF [${engineName}]`, () => {
      const m = start(2, [0xfb]);
      m.vcpu.run(RUN, 1);
      if (m.rip === CODE + 1) m.vcpu.run(RUN, 1);
      m.raw.setRflags(m.raw.getRflags() | RF);
      m.vcpu.setInterruptLine(true);
      m.vcpu.run(entry, 0);
      assert.equal(m.rip, HANDLERS + 0x20 * 16, "the interrupt comes behind it");
      assert.equal(m.memory.read32(STACK - 4) & RF, 0);
      m.dispose();
    });
  }
  test(`an iteration completed by the monitor traps under TF, with RF [${engineName}]`, () => {
    const m = machine("protected32", { portRead: () => -1 });
    m.vcpu.intercepts.exceptionBitmap = 2;
    m.reset({ rflags: 2 | TF, gpr: { 1: 2, 2: 0x80, 7: X } });
    m.write([0xf3, 0x6c, NOP]);
    const seen = [];
    for (let i = 0; i < 2; i++) {
      assert.equal(m.vcpu.run(RUN, 1).kind, "io-in");
      seen.push([m.vcpu.run({ kind: "io-in", value: 7 }, 1).kind, m.rip - CODE, (m.raw.getRflags() & RF) !== 0]);
    }
    assert.deepEqual(seen, [
      ["exception", 0, true],
      ["exception", 2, false],
    ]);
    m.dispose();
  });
}
