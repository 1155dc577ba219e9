import { beforeEach, describe, expect, it } from "vitest";
import type { EngineVcpu, EngineVm, GuestIo, VmEntry } from "../../api/index.ts";
import { createSoftEngine } from "../index.ts";

/** XMM instructions as a guest meets them: what they need of CR0 and CR4, alignment, pages, devices. Values are the vectors' (test/vectors). */

const CODE = 0x8000,
  DATA = 0x4000,
  TABLES = 0x100000,
  RAM = 0x200000,
  DEVICE = 0x300000,
  UNCLAIMED = 0x301000;
/** Pages: absent, read-only. */
const ABSENT = 0x6000,
  READ_ONLY = 0x7000;
const RBX = 3;
const CR0 = 0x80010001n,
  CR4 = 0x620n;
const MOVAPS_LOAD = [0x0f, 0x28, 0x03],
  MOVUPS_LOAD = [0x0f, 0x10, 0x03],
  MOVUPS_STORE = [0x0f, 0x11, 0x03],
  PXOR = [0x66, 0x0f, 0xef, 0xc1],
  PADDD_MEMORY = [0x66, 0x0f, 0xfe, 0x03],
  MOVDQ2Q = [0xf2, 0x0f, 0xd6, 0xc1];

describe.each([
  ["interpreted", {}],
  ["translated", { jit: { threshold: 1 } }],
] as const)("XMM instructions, %s", (_name, options) => {
  let vm: EngineVm;
  let c: EngineVcpu;
  let log: string[];
  const filled = (first: number): Uint8Array => Uint8Array.from({ length: 16 }, (_, i) => first + i);

  beforeEach(() => {
    log = [];
    const io: GuestIo = {
      portRead: () => -1,
      portWrite: () => false,
      mmioRead: (gpa, size) => {
        if (gpa >= UNCLAIMED) return -1;
        log.push(`read ${gpa.toString(16)}/${size}`);
        return gpa & 0xff;
      },
      mmioWrite: (gpa, size, value) => {
        if (gpa >= UNCLAIMED) return false;
        log.push(`write ${gpa.toString(16)}/${size} ${(value >>> 0).toString(16)}`);
        return true;
      },
      interruptAcknowledge: () => 0,
    };
    vm = createSoftEngine({ firstTier: 0, ...options }).createVm({ ramBytes: RAM, regions: [], io, readTsc: () => 0 });
    const region = vm.regions.get("ram");
    if (region === undefined) throw new Error("no RAM");
    vm.mapSlot({ gpa: 0, region, regionOffset: 0, sizeBytes: RAM, access: "rw" });
    c = vm.vcpu;
    c.intercepts.exceptionBitmap = 0xffffffff;
    const m = vm.memory;
    m.write32(TABLES, (TABLES + 0x1000) | 7);
    m.write32(TABLES + 0x1000, (TABLES + 0x2000) | 7);
    m.write32(TABLES + 0x2000, (TABLES + 0x3000) | 7);
    m.write32(TABLES + 0x2008, (TABLES + 0x4000) | 7);
    for (let i = 0; i < 1024; i++) {
      const page = i * 4096;
      m.write32(TABLES + 0x3000 + i * 8, page === ABSENT ? 0 : page | (page === READ_ONLY ? 1 : 3));
    }
    c.setSegment("cs", { selector: 8, base: 0n, limit: 0xffffffff, access: 0xa09b });
    for (const s of ["ds", "es", "ss", "fs", "gs"] as const) c.setSegment(s, { selector: 0x10, base: 0n, limit: 0xffffffff, access: 0xc093 });
    c.setControl("efer", 0xd01n);
    c.setControl("cr4", CR4);
    c.setControl("cr3", BigInt(TABLES));
    c.setControl("cr0", CR0);
    for (let i = 0; i < 16; i++) c.setXmm(i, filled(16 * i));
  }, 120_000);
  /** Runs one instruction (behind a NOP) with RBX; what came out: "ok" or the exception. */
  function run(code: readonly number[], rbx = DATA, budget = 2): string {
    vm.memory.write(CODE, Uint8Array.from([0x90, ...code, 0xf4]));
    c.setGpr(RBX, BigInt(rbx));
    c.setRip(BigInt(CODE));
    const exit = c.run({ kind: "run" }, budget);
    if (exit.kind === "budget") return "ok";
    if (exit.kind !== "exception") return exit.kind;
    return `#${exit.vector}${exit.errorCode === undefined ? "" : `(${exit.errorCode})`}${exit.vector === 14 ? ` ${exit.qualification.toString(16)}` : ""}`;
  }

  it("are #UD without CR4.OSFXSR and with CR0.EM, #NM with CR0.TS, in this order and before memory is looked at", () => {
    expect(run(PXOR)).toBe("ok");
    for (const code of [PXOR, MOVAPS_LOAD, MOVUPS_STORE, MOVDQ2Q]) {
      c.setControl("cr4", CR4);
      c.setControl("cr0", CR0 | 8n);
      expect(run(code, ABSENT + 1)).toBe("#7");
      c.setControl("cr0", CR0 | 12n);
      expect(run(code, ABSENT + 1)).toBe("#6");
      c.setControl("cr0", CR0 | 8n);
      c.setControl("cr4", CR4 & ~0x200n);
      expect(run(code, ABSENT + 1)).toBe("#6");
      c.setControl("cr0", CR0);
      expect(run(code, ABSENT + 1)).toBe("#6");
    }
  });
  it("want aligned operands with #GP(0) before #PF, but for the unaligned moves", () => {
    expect(run(MOVAPS_LOAD, DATA + 8)).toBe("#13(0)");
    expect(run(MOVAPS_LOAD, ABSENT + 8)).toBe("#13(0)");
    expect(run(PADDD_MEMORY, DATA + 1)).toBe("#13(0)");
    expect(run(PADDD_MEMORY, DATA + 16)).toBe("ok");
    expect(run(MOVUPS_LOAD, DATA + 1)).toBe("ok");
    expect(c.getXmm(0)).not.toEqual(filled(0));
  });
  it("store 16 bytes across pages whole or not at all", () => {
    const at = ABSENT - 8;
    vm.memory.write(at, new Uint8Array(8).fill(0x55));
    expect(run(MOVUPS_STORE, at)).toBe("#14(2) 6000");
    expect(vm.memory.read8(at)).toBe(0x55);
    expect(run(MOVUPS_STORE, READ_ONLY - 8)).toBe(`#14(2) ${(READ_ONLY - 8).toString(16)}`);
    expect(run(MOVUPS_STORE, 0x8ff8)).toBe("ok");
    const got = new Uint8Array(16);
    vm.memory.read(0x8ff8, got);
    expect(got).toEqual(filled(0));
  });
  it("a load that faults in its second page leaves the register alone", () => {
    expect(run(MOVUPS_LOAD, ABSENT - 1)).toBe("#14(0) 6000");
    expect(c.getXmm(0)).toEqual(filled(0));
  });
  it("reach devices as four doublewords", () => {
    expect(run(MOVUPS_LOAD, DEVICE)).toBe("ok");
    expect(log).toEqual(["read 300000/4", "read 300004/4", "read 300008/4", "read 30000c/4"]);
    expect(c.getXmm(0)).toEqual(Uint8Array.from([0, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 12, 0, 0, 0]));
    log.length = 0;
    c.setXmm(0, filled(0));
    expect(run(MOVUPS_STORE, DEVICE)).toBe("ok");
    expect(log).toEqual(["write 300000/4 3020100", "write 300004/4 7060504", "write 300008/4 b0a0908", "write 30000c/4 f0e0d0c"]);
  });
  it("leave once for each doubleword that nobody claims", () => {
    const exits: string[] = [];
    /** A monitor that answers with the low byte of the address. */
    const drive = (code: readonly number[]): string => {
      vm.memory.write(CODE, Uint8Array.from([0x90, ...code, 0xcc]));
      c.setGpr(RBX, BigInt(UNCLAIMED));
      c.setRip(BigInt(CODE));
      let entry: VmEntry = { kind: "run" };
      for (let i = 0; i < 20; i++) {
        const exit = c.run(entry, 100);
        exits.push(exit.kind);
        if (exit.kind === "mmio-read") entry = { kind: "mmio-read", value: exit.gpa & 0xff };
        else if (exit.kind === "mmio-write") entry = { kind: "skip" };
        else break;
      }
      return exits.splice(0).join(" ");
    };
    expect(drive(MOVUPS_LOAD)).toBe("mmio-read mmio-read mmio-read mmio-read exception");
    expect(c.getXmm(0)).toEqual(Uint8Array.from([0, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 12, 0, 0, 0]));
    expect(drive(MOVUPS_STORE)).toBe("mmio-write mmio-write mmio-write mmio-write exception");
    expect(drive(MOVUPS_LOAD)).toBe("mmio-read mmio-read mmio-read mmio-read exception");
  });
  it("see code that they overwrite", () => {
    // MOVUPS [rbx], xmm0 over the NOPs behind it: INC RAX (48 FF C0) five times and a NOP.
    c.setXmm(0, Uint8Array.from([0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0x90]));
    for (let i = 0; i < 3; i++) {
      c.setGpr(0, 0n);
      expect(run([...MOVUPS_STORE, ...Array.from({ length: 16 }, () => 0x90), 0xcc], CODE + 4, 1000)).toBe("#3");
      expect(c.getGpr(0)).toBe(5n);
    }
  });
  it("MASKMOVDQU writes nothing when its second page is absent", () => {
    c.setXmm(1, new Uint8Array(16).fill(0x80));
    c.setGpr(7, BigInt(ABSENT - 12));
    vm.memory.write(ABSENT - 12, new Uint8Array(12).fill(0x55));
    expect(run([0x66, 0x0f, 0xf7, 0xc1])).toBe("#14(2) 6000");
    const got = new Uint8Array(12);
    vm.memory.read(ABSENT - 12, got);
    expect(got).toEqual(new Uint8Array(12).fill(0x55));
  });
  it("a common addition stays in generated code and an inexact one raises PE once", () => {
    const double = (v: number): Uint8Array => new Uint8Array(new Float64Array([v, 7]).buffer);
    c.setFpu({ ...c.getFpu(), mxcsr: 0x1f80 });
    c.setXmm(0, double(1));
    c.setXmm(1, double(2));
    const before = c.stats()["helperCalls"] ?? 0;
    expect(run([0xf2, 0x0f, 0x58, 0xc1])).toBe("ok");
    expect([c.getXmm(0), c.getFpu().mxcsr, c.stats()["helperCalls"]]).toEqual([double(3), 0x1f80, before]);
    c.setXmm(1, double(1e-20));
    expect(run([0xf2, 0x0f, 0x58, 0xc1])).toBe("ok");
    expect([c.getXmm(0), c.getFpu().mxcsr, c.stats()["helperCalls"]]).toEqual([double(3), 0x1fa0, before + 1]);
    expect(run([0xf2, 0x0f, 0x58, 0xc1])).toBe("ok");
    expect(c.stats()["helperCalls"]).toBe(before + 1);
  });
});
