import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { MemoryBlockBackend } from "../backends/api/index.ts";
import { floppyDrive, hardDrive } from "./int13/bench.testing.ts";
import { Bench, CALLER } from "./bench.testing.ts";
import { BIOS_TRAP_PORT, TRAP } from "./rom/layout.ts";

describe("stubs", () => {
  it("returns to an IRET with the frame untouched", () => {
    const b = new Bench();
    expect(b.int(0x12)).toBe("iret");
    expect(b.regs.ax).toBe(639);
    expect(b.flags).toBe(0x0202);
    expect(b.ram.read16(b.regs.base("ss") + b.regs.sp)).toBe(CALLER.ip);
  });
  it("defect 1: every default software vector ends in an IRET byte", () => {
    const b = new Bench();
    for (const n of [0x00, 0x01, 0x03, 0x06, 0x1b, 0x1c, 0x21, 0x2f, 0x33, 0x4a, 0x80]) {
      expect(b.ram.read32(n * 4)).toBe(0xf000ff53);
    }
    expect(b.ram.read8(0xfff53)).toBe(0xcf);
    for (let n = 0x60; n <= 0x67; n++) expect(b.ram.read32(n * 4)).toBe(0);
  });
  it("has the entry points that FreeBSD compares and others jump to", () => {
    const b = new Bench();
    expect(b.ram.read32(0x15 * 4)).toBe(0xf000f859);
    expect(b.ram.read32(0x16 * 4)).toBe(0xf000e82e);
    for (const [vector, at] of [
      [0x10, 0xff065],
      [0x11, 0xff84d],
      [0x12, 0xff841],
      [0x14, 0xfe739],
      [0x15, 0xff859],
      [0x16, 0xfe82e],
      [0x17, 0xfefd2],
      [0x1a, 0xffe6e],
      [0x40, 0xfec59],
    ] as const) {
      expect(b.bios.rom.vectorOfTrap(at)).toBe(vector);
    }
    expect(b.bios.rom.vectorOfTrap(0xfffff859)).toBe(0x15);
    expect(b.bios.rom.vectorOfTrap(0x0f859)).toBeUndefined();
    expect(b.bios.rom.vectorOfTrap(0xff858)).toBeUndefined();
    expect(b.ram.read8(0xffff0)).toBe(0xea);
    expect(b.ram.read32(0xffff1)).toBe(0xf000e05b);
    expect(b.ram.read8(0xffffe)).toBe(0xfc);
  });
  it("checksums the ROM to zero in both trap styles, with one layout", () => {
    const a = new Bench();
    const p = new Bench({ config: { trapStyle: "port" } });
    for (const b of [a, p]) expect(b.bios.rom.bytes.reduce((sum, byte) => sum + byte, 0) & 0xff).toBe(0);
    expect(p.bios.rom.sites.map((s) => s.offset)).toEqual(a.bios.rom.sites.map((s) => s.offset));
    expect([p.ram.read8(0xff859), p.ram.read8(0xff85a)]).toEqual([0xe6, BIOS_TRAP_PORT]);
    expect([a.ram.read8(0xff859), a.ram.read8(0xff85a), a.ram.read8(0xff85b)]).toEqual([0x0f, 0x01, 0xc1]);
    expect(p.int(0x12)).toBe("iret");
  });
  it("takes a port-style trap reported after its OUT", () => {
    const b = new Bench({ config: { trapStyle: "port" } });
    b.enter(0x12);
    b.regs.rip += 2n;
    expect(b.bios.call()).toBe("handled");
    expect(b.byteAtRip()).toBe(0xcf);
    expect(b.regs.rip).toBe(0xf847n);
  });
  describe("for an interpreter inside the guest (port style)", () => {
    const AT = 0x20080;
    /** The frame that the ROM's code makes: ES, DS, EDI ESI EBP ESP EBX EDX ECX EAX, vector, IP, CS, FLAGS. */
    function frame(b: Bench, vector: number, r: { eax?: number; ebx?: number; ecx?: number; edx?: number; edi?: number; es?: number }): void {
      b.ram.write16(AT, r.es ?? 0);
      b.ram.write16(AT + 2, 0x3333);
      for (const [i, v] of [r.edi ?? 0, 0x66, 0x77, 0x88, r.ebx ?? 0, r.edx ?? 0, r.ecx ?? 0, r.eax ?? 0].entries()) b.ram.write32(AT + 4 + 4 * i, v);
      for (const [i, v] of [vector, 0x5678, 0x1234, 0x0203].entries()) b.ram.write16(AT + 36 + 2 * i, v);
    }
    const at = (b: Bench, offset: number): number => b.ram.read32(AT + offset);
    it("takes registers from a frame in memory and leaves the results there", () => {
      const b = new Bench({ config: { trapStyle: "port", pci: true } });
      b.regs.eax = 0xdeadbeef;
      frame(b, 0x15, { eax: 0xe820, edx: 0x534d4150, ecx: 24, edi: 0x40, es: 0x5000 });
      expect(b.bios.callInterpreted(AT)).toBe("handled");
      expect([at(b, 32), at(b, 28), at(b, 20), b.ram.read16(AT + 42) & 1]).toEqual([0x534d4150, 24, 1, 0]);
      expect(b.ram.read32(0x50048)).toBe(0x9fc00);
      frame(b, 0x15, { eax: 0xc000 });
      b.bios.callInterpreted(AT);
      expect([b.ram.read16(AT), b.ram.read16(AT + 2), at(b, 20) & 0xffff]).toEqual([0xf000, 0x3333, 0xe6f5]);
      frame(b, 0x1a, { eax: 0xb101 });
      b.bios.callInterpreted(AT);
      expect(at(b, 24)).toBe(0x20494350);
      frame(b, 0x15, { eax: 0x7700 });
      b.bios.callInterpreted(AT);
      expect([at(b, 32), b.ram.read16(AT + 42)]).toEqual([0x8600, 0x0203]);
      expect(b.regs.eax).toBe(0xdeadbeef);
    });
    it("does not wait: a peek without a key says so at once", () => {
      const b = new Bench({ config: { trapStyle: "port" } });
      frame(b, 0x16, { eax: 0x0100 });
      expect(b.bios.callInterpreted(AT)).toBe("handled");
      expect(b.ram.read16(AT + 42) & 0x40).toBe(0x40);
    });
    it("is not there in the other style, for other vectors and beyond the first megabyte", () => {
      const paper = new Bench();
      frame(paper, 0x12, {});
      expect(paper.bios.callInterpreted(AT)).toBe("not-ours");
      const b = new Bench({ config: { trapStyle: "port" } });
      for (const vector of [0x08, 0x19, 0x21, 0x100, 0x103, 0xffff]) {
        frame(b, vector, {});
        expect(b.bios.callInterpreted(AT)).toBe("not-ours");
      }
      for (const address of [0x110000, 0xffffffff]) expect(b.bios.callInterpreted(address)).toBe("not-ours");
    });
    it("never throws on random frames", () => {
      const b = new Bench({ config: { trapStyle: "port", pci: true } });
      b.ports.onRead = (port) => (port === 0x64 || port > 0x200 ? port & 0xff : undefined);
      const frames = fc.tuple(
        fc.constantFrom(0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x1a, 0x40),
        fc.uint8Array({ minLength: 44, maxLength: 44 }),
      );
      fc.assert(
        fc.property(frames, fc.integer({ min: 0, max: 0x10ffff }), ([vector, bytes], address) => {
          b.ram.write(address, bytes);
          b.ram.write16(address + 36, vector);
          b.bios.callInterpreted(address);
        }),
        { seed: 3, numRuns: 3000 },
      );
    });
  });
  it("defect 26: finds the trap by address, whatever the vector table says and whatever the segment", () => {
    const b = new Bench();
    b.enter(0x12);
    b.regs.resetRealSegment("cs", 0xff00);
    b.regs.rip = 0x0841n;
    expect(b.bios.call()).toBe("handled");
    expect(b.regs.rip).toBe(0x0844n);
    expect(b.regs.ax).toBe(639);
  });
  it("leaves traps outside the ROM alone", () => {
    const b = new Bench();
    b.regs.resetRealSegment("cs", 0x1000);
    b.regs.rip = 0xf859n;
    expect(b.bios.call()).toBe("not-ours");
    b.regs.resetRealSegment("cs", 0xf000);
    b.regs.rip = 0xf85an;
    expect(b.bios.call()).toBe("not-ours");
  });
  it("refuses a ring-3 program in protected mode", () => {
    const b = new Bench();
    b.enter(0x12);
    b.raw.setControl("cr0", 1n);
    b.raw.setSegment("cs", { selector: 0x1b, base: 0xf0000n, limit: 0xffff, access: 0xfb });
    expect(b.bios.call()).toBe("not-ours");
  });
  it("edits FLAGS at SS:SP+4 with 16-bit wrap, and through ESP when the stack is 32-bit", () => {
    const b = new Bench();
    b.regs.sp = 0x0002; // the frame wraps: IP at FFFC, CS at FFFE, FLAGS at 0000
    b.regs.ax = 0x7777;
    expect(b.int(0x15)).toBe("iret");
    expect(b.ram.read16(0x20000) & 1).toBe(1);
    const big = new Bench();
    big.raw.setSegment("ss", { selector: 0, base: 0n, limit: 0xffffffff, access: 0x4093 });
    big.regs.esp = 0x11000;
    big.ram.write16(0x10ffe, 0x0202);
    big.regs.esp = 0x10ffa;
    big.regs.resetRealSegment("cs", 0xf000);
    big.regs.rip = 0xf859n;
    big.regs.ax = 0x7777;
    expect(big.bios.call()).toBe("handled");
    expect(big.ram.read16(0x10ffe)).toBe(0x0203);
  });
  it("defects 21, 22: ES comes back with its base; addresses wrap at 1 MB only when A20 is shut", () => {
    const b = new Bench();
    b.regs.ax = 0xc000;
    b.int(0x15);
    expect(b.regs.base("es")).toBe(0xf0000);
    const e820 = (bench: Bench): void => {
      bench.regs.eax = 0xe820;
      bench.regs.edx = 0x534d4150;
      bench.regs.ecx = 20;
      bench.regs.ebx = 0;
      bench.regs.setRealSegment("es", 0xffff);
      bench.regs.di = 0x0800;
      bench.int(0x15);
    };
    e820(b);
    expect(b.ram.read32(0x1007f0 + 8)).toBe(0x9fc00);
    const shut = new Bench();
    shut.a20 = false;
    e820(shut);
    expect(shut.ram.read32(0x007f0 + 8)).toBe(0x9fc00);
    expect(shut.ram.read32(0x1007f0 + 8)).toBe(0);
  });
  it("works on linear addresses in virtual-8086 mode under paging", () => {
    const b = new Bench();
    // Page directory at 100000, table at 101000: identity for 1 MB, but page 2 (linear 2000) is at 102000.
    b.ram.write32(0x100000, 0x101007);
    for (let page = 0; page < 256; page++) b.ram.write32(0x101000 + page * 4, (page << 12) | 7);
    b.ram.write32(0x101000 + 2 * 4, 0x102007);
    b.raw.setControl("cr0", 0x80000001n);
    b.raw.setControl("cr3", 0x100000n);
    b.raw.setRflags(0x20202);
    b.regs.setRealSegment("ss", 0x0200);
    b.regs.esp = 0x100;
    b.ram.write16(0x1020fe, 0x3202);
    b.regs.esp = 0xfa;
    b.regs.resetRealSegment("cs", 0xf000);
    b.regs.rip = 0xf859n;
    b.regs.ax = 0x7777;
    expect(b.bios.call()).toBe("handled");
    expect(b.ram.read16(0x1020fe)).toBe(0x3203);
    b.ram.write32(0x101000 + 0xff * 4, 0x103007); // somebody mapped another page where the ROM was
    b.regs.rip = 0xf859n;
    expect(b.bios.call()).toBe("not-ours");
  });
});

describe("POST and boot", () => {
  it("starts in ROM with interrupts off and the chips programmed", () => {
    const b = new Bench({ config: { comPorts: [0x3f8, 0x2f8], lptPorts: [0x378], floppyTypes: [4] }, drives: [floppyDrive(0, undefined)] });
    expect(b.ram.read16(0x410)).toBe(0x4427);
    expect(b.ram.read16(0x413)).toBe(639);
    expect(b.ram.read16(0x40e)).toBe(0x9fc0);
    expect(b.ports.values.get(0x21)).toBe(0xb8);
    expect(b.ports.cmos[0x10]).toBe(0x40);
    expect(b.ram.read32(0x46c)).toBe(Math.floor((3600 * 1193182) / 65536));
  });
  it("defect 14: INT 19h jumps to what the bootstrap loaded, INT 18h to the next, else prints and waits", () => {
    const disk = (unit: number) =>
      hardDrive(
        unit,
        new MemoryBlockBackend(
          "disk",
          Uint8Array.from({ length: 4096 }, (_, i) => (i === 510 ? 0x55 : i === 511 ? 0xaa : 0)),
        ),
      );
    const b = new Bench({ drives: [disk(0), disk(1)] });
    expect(b.int(0x19)).toBe("elsewhere");
    expect([b.regs.selector("cs"), b.regs.rip, b.regs.dl, b.regs.sp, b.raw.getRflags() & 0x200]).toEqual([0, 0x7c00n, 0x80, 0x7c00, 0x200]);
    b.int(0x18);
    expect([b.regs.rip, b.regs.dl]).toEqual([0x7c00n, 0x81]);
    b.enter(0x18);
    b.bios.call();
    expect(Number(b.regs.rip)).toBe(b.bios.rom.address("no_boot"));
  });
  it("defect 23: a jump to the reset vector asks for a machine reset; a shutdown code resumes instead", () => {
    const b = new Bench();
    b.trap(TRAP.POST);
    expect(b.events).toEqual(["reset"]);
    b.ports.cmos[0x0f] = 0x0a;
    b.ram.write32(0x467, 0x12345678);
    b.trap(TRAP.POST);
    expect([b.regs.selector("cs"), b.regs.rip, b.ports.cmos[0x0f]]).toEqual([0x1234, 0x5678n, 0]);
    expect(b.bios.resumeAfterCpuReset()).toBe(false);
  });
  it("keeps the warm-boot mark over POST", () => {
    const b = new Bench();
    b.ram.write16(0x472, 0x1234);
    b.bios.init();
    expect(b.ram.read16(0x472)).toBe(0x1234);
  });
  it("defect 10: hard-disk tables are 16 bytes each and reached by INT 41h and 46h", () => {
    const disk = (unit: number, cylinders: number) =>
      ({ kind: "hard-disk", unit, backend: undefined, geometry: { cylinders, heads: 16, sectors: 63 }, floppyType: 0 }) as const;
    const b = new Bench({ drives: [disk(0, 100), disk(1, 200)] });
    const at = (vector: number): number => b.ram.read16(vector * 4 + 2) * 16 + b.ram.read16(vector * 4);
    expect(at(0x46) - at(0x41)).toBe(16);
    expect([b.ram.read16(at(0x41)), b.ram.read8(at(0x41) + 2), b.ram.read8(at(0x41) + 8), b.ram.read8(at(0x41) + 14)]).toEqual([100, 16, 0xc8, 63]);
    expect(b.ram.read16(at(0x46))).toBe(200);
    expect(b.ram.read8(0x475)).toBe(2);
  });
  it("finds expansion ROMs on 2-KB steps", () => {
    const b = new Bench();
    b.ram.write(0xc8000, Uint8Array.of(0x55, 0xaa, 1, 0xcb));
    b.ram.write8(0xc81ff, -(0x55 + 0xaa + 1 + 0xcb) & 0xff);
    b.regs.si = 0xc400; // behind the video ROM
    b.trap(TRAP.OPTION_ROM);
    expect([b.regs.ax, b.regs.bx, b.regs.si]).toEqual([3, 0xc800, 0xc880]);
    b.trap(TRAP.OPTION_ROM);
    expect(b.regs.ax).toBe(0);
  });
});

describe("defect 24: a guest cannot harm the host", () => {
  it("never throws on random registers, memory, vectors and stacks", () => {
    const b = new Bench({ config: { pci: true, floppyTypes: [4] } });
    const vectors = [0x08, 0x11, 0x12, 0x14, 0x15, 0x16, 0x17, 0x1a];
    let seed = 1;
    b.ports.onRead = (port) => (port === 0x64 || port === 0x60 || port > 0x200 ? (seed = (seed * 1103515245 + 12345) >>> 0) >>> 24 : undefined);
    fc.assert(
      fc.property(
        fc.constantFrom(...vectors),
        fc.array(fc.integer({ min: 0, max: 0xffffffff }), { minLength: 8, maxLength: 8 }),
        fc.integer({ min: 0, max: 0xffff }),
        fc.array(fc.tuple(fc.integer({ min: 0x400, max: 0x4ff }), fc.integer({ min: 0, max: 255 })), { maxLength: 20 }),
        (vector, gprs, es, pokes) => {
          for (const [at, value] of pokes) b.ram.write8(at, value);
          gprs.forEach((v, i) => b.raw.setGpr32(i, v));
          b.regs.resetRealSegment("es", es);
          b.regs.resetRealSegment("ss", 0x2000);
          b.raw.setControl("cr0", 0n);
          if (vector === 0x08) b.trap(0x08);
          else {
            b.regs.resetRealSegment("cs", 0xf000);
            const site = b.bios.rom.sites.find((s) => s.id === vector && !s.resumed);
            b.regs.rip = BigInt(site?.offset ?? 0);
            for (let i = 0; i < 20; i++) {
              b.bios.call();
              if (b.byteAtRip() !== 0xfb) break;
              b.regs.rip += 2n;
              b.ram.write32(0x46c, b.ram.read32(0x46c) + 1);
            }
          }
        },
      ),
      { seed: 42, numRuns: 3000 },
    );
  });
  it("never throws on any key, mouse byte or boot trap", () => {
    const b = new Bench();
    fc.assert(
      fc.property(
        fc.constantFrom(TRAP.KEY, TRAP.MOUSE, TRAP.RTC, TRAP.OPTION_ROM, TRAP.BIOS32, TRAP.APM16, TRAP.APM32),
        fc.integer({ min: 0, max: 0xffff }),
        (id, ax) => {
          b.regs.ax = ax;
          b.ports.onRead = (port) => (port === 0x64 ? 0x21 : port === 0x60 ? ax & 0xff : undefined);
          b.trap(id);
        },
      ),
      { seed: 7, numRuns: 3000 },
    );
  });
});
