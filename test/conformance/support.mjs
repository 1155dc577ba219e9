/**
 * The conformance driver: bytes in, exits and registers out, over the doors of `vmm` alone. Knows engines only by `ENGINES`, so the same
 * files run on any engine that fulfils the contract.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { createSoftEngine } from "../../dist/engine/soft/index.js";
import { Vm } from "../../dist/vmm/index.js";

export const ENGINES = {
  "soft first tier": createSoftEngine(),
  "soft interpreter": createSoftEngine({ firstTier: 0 }),
  "soft translator": createSoftEngine({ jit: { threshold: 1 } }),
};
/** Where the code of a test lies, in every mode (CS base 0). */
export const CODE = 0x1000;
export const STACK = 0x8000;
const PAGE_TABLES = 0x10000;

/** `GuestIo` that owns nothing: every access is an exit. */
export const NOBODY = {
  portRead: () => -1,
  portWrite: () => false,
  mmioRead: () => -1,
  mmioWrite: () => false,
  interruptAcknowledge: () => 0x20,
};

/** A VM with 1 MiB of RAM from 0. */
export function createVm(engine, { io = {}, ...options } = {}) {
  const vm = new Vm(engine, { ramBytes: 0x100000, regions: [], io: { ...NOBODY, ...io }, readTsc: () => 0x123456789, ...options });
  vm.mapSlot({ gpa: 0, region: vm.region("ram"), regionOffset: 0, sizeBytes: 0x100000, access: "rw" });
  return vm;
}

const flat = (selector, limit, access) => ({ selector, base: 0n, limit, access });
const SEGMENTS = {
  real: { cs: flat(0, 0xffff, 0x9b), data: flat(0, 0xffff, 0x93) },
  protected: { cs: flat(8, 0xffffffff, 0xc09b), data: flat(0x10, 0xffffffff, 0xc093) },
  ring3: { cs: flat(0x1b, 0xffffffff, 0xc0fb), data: flat(0x23, 0xffffffff, 0xc0f3) },
  v86: { cs: flat(0, 0xffff, 0xf3), data: flat(0, 0xffff, 0xf3) },
  long: { cs: flat(8, 0xffffffff, 0xa09b), data: flat(0x10, 0xffffffff, 0xc093) },
};

/** Puts the CPU into `mode` at CODE: real, protected (32 bits, ring 0), ring3, v86 (IOPL 3), long (64 bits, 2 MiB identity-mapped). */
export function enter(vm, mode) {
  const { raw } = vm.vcpu.regs;
  if (mode === "long") {
    vm.memory.write32(PAGE_TABLES, PAGE_TABLES + 0x1003);
    vm.memory.write32(PAGE_TABLES + 0x1000, PAGE_TABLES + 0x2003);
    for (let i = 0; i < 512; i++) vm.memory.write32(PAGE_TABLES + 0x2000 + i * 8, (i * 0x200000 + 0x83) >>> 0);
    raw.setControl("cr3", BigInt(PAGE_TABLES));
    raw.setControl("cr4", 0x20n);
    raw.setControl("efer", 0x500n);
  }
  raw.setControl("cr0", mode === "real" ? 0x10n : mode === "long" ? 0x80000011n : 0x11n);
  raw.setRflags(mode === "v86" ? 0x23002 : 2);
  const { cs, data } = SEGMENTS[mode];
  raw.setSegment("cs", cs);
  for (const name of ["ss", "ds", "es", "fs", "gs"]) raw.setSegment(name, data);
  raw.setGpr(4, BigInt(STACK));
  raw.setRip(BigInt(CODE));
}

const GPR = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

/** An expected exit; qualification, length and information are 0 unless named. `.with(entry)`: how the monitor goes on. */
export function exit(kind, reason, fields = {}) {
  const { at, length = 0, qualification = 0n, info = 0, ...rest } = fields;
  const expected = { kind, reason, qualification, instructionLength: length, instructionInfo: info, ...rest };
  const make = (entry) => ({ expected, at, entry, with: make, answer: (value) => make({ kind: kind === "mmio-read" ? kind : "io-in", value }) });
  return make({ kind: length > 0 || kind === "mmio-write" ? "skip" : "run" });
}
/** HLT executed by the engine itself: the activity state, with RIP behind it. */
export const hlt = () => exit("hlt", 12);

/** One test an engine. The last exit ends it; `setUp(vm)` runs before, `check(vm, t)` after it. */
export function conformance(name, spec) {
  const { mode = "real", code, regs = {}, intercepts = {}, exits = [hlt()], expect = {}, budget = 1000 } = spec;
  for (const [engineName, engine] of Object.entries(ENGINES)) {
    test(`${name} [${engineName}]`, () => {
      const vm = createVm(engine, spec.vm);
      const { vcpu } = vm;
      const { raw } = vcpu.regs;
      enter(vm, mode);
      vm.memory.write(CODE, Uint8Array.from(code));
      for (const [register, value] of Object.entries(regs)) {
        if (register === "rflags") raw.setRflags(value);
        else raw.setGpr(GPR.indexOf(register), value);
      }
      Object.assign(vcpu.intercepts, intercepts);
      spec.setUp?.(vm);
      let entry = spec.entry ?? { kind: "run" };
      exits.forEach((want, i) => {
        const got = vcpu.run(entry, budget);
        assert.deepEqual({ ...got }, want.expected, `exit ${i}`);
        if (want.at !== undefined) assert.equal(raw.getRip(), BigInt(CODE + want.at), `RIP at exit ${i}`);
        entry = want.entry;
      });
      for (const [register, value] of Object.entries(expect)) {
        const got = register === "rip" ? raw.getRip() : register === "rflags" ? raw.getRflags() : raw.getGpr(GPR.indexOf(register));
        assert.equal(got, value, register);
      }
      spec.check?.(vm);
      vm.dispose();
    });
  }
}
