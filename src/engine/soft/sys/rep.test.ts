import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DS, ES } from "../cpu-state.ts";
import { loadSeg } from "./descriptor.ts";
import { completeIo } from "./index.ts";
import { protectedMachine, SEL, TestMachine, toLong } from "./machine.testing.ts";

/** The machine with DS and ES at 30000h and flat enough for wrap-around tests. */
function machine(): TestMachine {
  const m = new TestMachine();
  loadSeg(m.cpu, DS, 0x3000, 0x30000, 0xffff, 0x93);
  loadSeg(m.cpu, ES, 0x3000, 0x30000, 0xffff, 0x93);
  return m;
}
const RAM = 0x30000;
const fill = (m: TestMachine, bytes: Uint8Array) => m.memory.write(RAM, bytes);
const dump = (m: TestMachine, from: number, n: number) => {
  const out = new Uint8Array(n);
  m.memory.read(from, out);
  return out;
};
const PREFIX: Record<number, number[]> = { 1: [], 2: [], 4: [0x66] };

describe("REP strings", () => {
  it("MOVS equals an element-by-element copy for every overlap, direction and size", () => {
    const m = machine();
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 4),
        fc.boolean(),
        fc.integer({ min: 0, max: 300 }),
        fc.integer({ min: 0x800, max: 0x1800 }),
        fc.integer({ min: -40, max: 40 }),
        (size, down, count, si, delta) => {
          const ram = new Uint8Array(0x3000).map((_, i) => (i * 7 + (i >> 8)) & 0xff);
          fill(m, ram);
          const di = si + delta;
          const step = down ? -size : size;
          for (let k = 0; k < count; k++) {
            const v = ram.slice(si + k * step, si + k * step + size);
            ram.set(v, di + k * step);
          }
          m.cpu.eflags = down ? 0x402 : 2;
          m.cpu.setR32(1, count);
          m.cpu.setR32(6, si);
          m.cpu.setR32(7, di);
          expect(m.exec(...(PREFIX[size] ?? []), 0xf3, size === 1 ? 0xa4 : 0xa5)).toEqual({ kind: "done" });
          expect(Buffer.compare(dump(m, RAM, 0x3000), ram)).toBe(0);
          expect([m.cpu.r16(1), m.cpu.r16(6), m.cpu.r16(7)]).toEqual([0, (si + count * step) & 0xffff, (di + count * step) & 0xffff]);
        },
      ),
      { seed: 7, numRuns: 300 },
    );
  });
  it("STOS fills across pages in both directions", () => {
    const m = machine();
    for (const down of [false, true]) {
      fill(m, new Uint8Array(0x4000));
      m.cpu.eflags = down ? 0x402 : 2;
      m.cpu.setR32(0, 0x11223344);
      m.cpu.setR32(1, 0x700);
      m.cpu.setR32(7, down ? 0x2ffe : 0x0fff);
      m.exec(0x66, 0xf3, 0xab);
      const out = dump(m, RAM, 0x4000);
      const first = down ? 0x2ffe - 0x6ff * 4 : 0x0fff;
      for (let i = 0; i < 0x4000; i++) {
        const inside = i >= first && i < first + 0x700 * 4;
        if (out[i] !== (inside ? [0x44, 0x33, 0x22, 0x11][(i - first) & 3] : 0)) expect.fail(`byte ${i}`);
      }
      expect(m.cpu.r16(7)).toBe((down ? 0x2ffe - 0x700 * 4 : 0x0fff + 0x700 * 4) & 0xffff);
    }
  });
  it("SCAS and CMPS stop where they must, with the flags of the last comparison", () => {
    const m = machine();
    fill(m, new Uint8Array(0x3000).fill(0x20));
    m.memory.write8(RAM + 0x1234, 0x41);
    m.cpu.setR32(0, 0x41);
    m.cpu.setR32(1, 0xffff);
    m.cpu.setR32(7, 0x100);
    m.exec(0xf2, 0xae);
    expect([m.cpu.r16(7), m.cpu.r16(1), m.cpu.eflags & 0x8d5]).toEqual([0x1235, 0xffff - 0x1135, 0x44]);
    m.cpu.setR32(0, 0x20);
    m.cpu.setR32(1, 4);
    m.cpu.setR32(7, 0x1230);
    m.exec(0xf3, 0xae);
    expect([m.cpu.r16(7), m.cpu.r16(1), m.cpu.eflags & 0x40]).toEqual([0x1234, 0, 0x40]);
    m.cpu.setR32(1, 100);
    m.cpu.setR32(6, 0x1230);
    m.cpu.setR32(7, 0x2000);
    m.exec(0xf3, 0xa6);
    // 41h - 20h: no borrow, result 21h
    expect([m.cpu.r16(6), m.cpu.r16(7), m.cpu.r16(1), m.cpu.eflags & 0x8d5]).toEqual([0x1235, 0x2005, 95, 0x04]);
    m.cpu.setR32(1, 0);
    m.cpu.eflags = 0x2 | 0x41;
    m.exec(0xf3, 0xa6);
    expect(m.cpu.eflags & 0x8d5).toBe(0x41);
  });
  it("compare flags equal SUB's for all bytes and random wider values", () => {
    const m = machine();
    const flagsOf = (a: bigint, b: bigint, bits: bigint): number => {
      const mask = (1n << bits) - 1n;
      const r = (a - b) & mask;
      let ones = 0;
      for (let i = 0n; i < 8n; i++) ones += Number((r >> i) & 1n);
      const top = 1n << (bits - 1n);
      return (
        (a < b ? 1 : 0) |
        (ones % 2 === 0 ? 4 : 0) |
        (((a ^ b ^ r) & 16n) !== 0n ? 16 : 0) |
        (r === 0n ? 0x40 : 0) |
        ((r & top) !== 0n ? 0x80 : 0) |
        (((a ^ b) & (a ^ r) & top) !== 0n ? 0x800 : 0)
      );
    };
    for (let a = 0; a < 256; a += 5)
      for (let b = 0; b < 256; b += 3) {
        m.memory.write8(RAM, b);
        m.cpu.setR32(0, a);
        m.cpu.setR32(1, 1);
        m.cpu.setR32(7, 0);
        m.exec(0xf3, 0xae);
        if ((m.cpu.eflags & 0x8d5) !== flagsOf(BigInt(a), BigInt(b), 8n)) expect.fail(`${a} ${b}`);
      }
    const l = protectedMachine();
    toLong(l);
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (a, b) => {
        l.memory.write32(RAM, Number(b & 0xffffffffn));
        l.memory.write32(RAM + 4, Number(b >> 32n));
        l.cpu.setR64(0, a);
        l.cpu.setR64(1, 1n);
        l.cpu.setR64(7, BigInt(RAM));
        l.exec(0xf3, 0x48, 0xaf);
        expect(l.cpu.eflags & 0x8d5).toBe(flagsOf(a, b, 64n));
      }),
      { seed: 3, numRuns: 200 },
    );
  });
  it("the 16-bit index wraps; a straddling element is a segment fault with exact restart state", () => {
    const m = machine();
    m.cpu.setR32(0, 0x5a);
    m.cpu.setR32(1, 4);
    m.cpu.setR32(7, 0xfffe);
    expect(m.exec(0xf3, 0xaa)).toEqual({ kind: "done" });
    expect([m.cpu.r16(7), m.memory.read8(RAM + 0xffff), m.memory.read8(RAM), m.memory.read8(RAM + 1)]).toEqual([2, 0x5a, 0x5a, 0x5a]);
    m.cpu.setR32(1, 4);
    m.cpu.setR32(7, 0xfffb);
    expect(m.exec(0xf3, 0xab)).toEqual({ kind: "fault", vector: 13, errorCode: 0 });
    expect([m.cpu.r16(7), m.cpu.r16(1)]).toEqual([0xffff, 2]);
  });
  it("a page fault in the middle leaves registers at the faulting element", () => {
    const m = protectedMachine();
    toLong(m);
    m.memory.write32(0x102000 + 8, 0); // second 2 MiB page: not present
    m.cpu.mmu.flushAll(true);
    m.cpu.setR64(1, 0x1000n);
    m.cpu.setR64(6, 0x10000n);
    m.cpu.setR64(7, 0x1ffff0n);
    expect(m.exec(0xf3, 0x48, 0xa5)).toEqual({ kind: "fault", vector: 14, errorCode: 2 });
    expect([m.cpu.r64(1), m.cpu.r64(6), m.cpu.r64(7), m.cpu.fault.address]).toEqual([0xffen, 0x10010n, 0x200000n, 0x200000n]);
  });
  it("INS and OUTS go through the ports; an exit in the middle is completed by the entry", () => {
    const m = machine();
    m.cpu.setR32(1, 3);
    m.cpu.setR32(2, 0x1f0);
    m.cpu.setR32(6, 0x10);
    m.cpu.setR32(7, 0x100);
    m.portValue = 0xbeef;
    m.exec(0xf3, 0x6d);
    expect([m.cpu.r16(1), m.cpu.r16(7), m.memory.read16(RAM + 0x104)]).toEqual([0, 0x106, 0xbeef]);
    m.portValue = -1;
    m.cpu.setR32(1, 2);
    m.cpu.eip = 0x50;
    const first = m.exec(0xf3, 0x6d);
    if (first.kind !== "exit") expect.fail("no exit");
    expect(completeIo(m.cpu, { kind: "io-in", value: 0x1111 }, first.exit)).toBe(false);
    expect([m.cpu.r16(1), m.cpu.r16(7), m.cpu.eip, m.memory.read16(RAM + 0x106)]).toEqual([1, 0x108, 0x50, 0x1111]);
    expect(completeIo(m.cpu, { kind: "io-in", value: 0x2222 }, first.exit)).toBe(true);
    expect([m.cpu.r16(1), m.cpu.eip]).toEqual([0, 0x52]);
    m.memory.write32(RAM + 0x10, 0x44332211);
    m.cpu.setR32(1, 4);
    m.exec(0xf3, 0x6e);
    expect(m.written.map((w) => w.value)).toEqual([0x11, 0x22, 0x33, 0x44]);
    m.portsAccept = false;
    m.cpu.setR32(1, 1);
    m.cpu.eip = 0x60;
    const out = m.exec(0xf3, 0x6e);
    if (out.kind !== "exit") expect.fail("no exit");
    completeIo(m.cpu, { kind: "skip" }, out.exit);
    expect([m.cpu.r16(1), m.cpu.r16(6), m.cpu.eip]).toEqual([0, 0x15, 0x62]);
  });
  it("64-bit counts above 2^32 go down exactly", () => {
    const m = protectedMachine();
    toLong(m);
    m.cpu.eflags = 2;
    m.cpu.setR64(0, 0x41n);
    m.cpu.setR64(1, 0x1_0000_0000n);
    m.cpu.setR64(7, 0x40000n);
    m.memory.write8(0x40020, 0x41);
    m.exec(0xf2, 0xae);
    expect([m.cpu.r64(1), m.cpu.r64(7)]).toEqual([0xffff_ffdfn, 0x40021n]);
  });
});

describe("fuzz", () => {
  it("random system instructions with random registers never throw anything but a fault or an exit", () => {
    const opcodes = [
      ...[
        0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x6c, 0x6d, 0x6e, 0x6f, 0x8c, 0x8e, 0x9a, 0x9c, 0x9d, 0xa4, 0xa5, 0xa6, 0xaf, 0xc4, 0xc5, 0xca,
      ].map((o) => [o]),
      ...[0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xe4, 0xe5, 0xe6, 0xec, 0xee, 0xef, 0xf1, 0xf4, 0xfa, 0xfb].map((o) => [o]),
      ...[0x00, 0x01, 0x02, 0x03, 0x05, 0x06, 0x07, 0x08, 0x09, 0x20, 0x21, 0x22, 0x23, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x37].map((o) => [
        0x0f,
        o,
      ]),
      ...[0x78, 0x79, 0xa0, 0xa1, 0xa2, 0xa8, 0xa9, 0xaa, 0xb2, 0xb4, 0xb5, 0xc7].map((o) => [0x0f, o]),
    ];
    const prefixes = [[], [0x66], [0xf3], [0xf2], [0x67], [0x48], [0x66, 0xf3]];
    const base = [new TestMachine(), protectedMachine(), protectedMachine(), protectedMachine()];
    toLong(base[2] ?? new TestMachine());
    fc.assert(
      fc.property(
        fc.constantFrom(0, 1, 2, 3),
        fc.constantFrom(...opcodes),
        fc.constantFrom(...prefixes),
        fc.uint8Array({ minLength: 8, maxLength: 8 }),
        fc.array(
          fc.oneof(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.bigInt({ min: 0n, max: 0x100n }), fc.bigInt({ min: 0x20000n, max: 0x40000n })),
          {
            minLength: 16,
            maxLength: 16,
          },
        ),
        (which, opcode, prefix, tail, registers) => {
          const m = base[which] ?? new TestMachine();
          if (which === 3) {
            // anything at all may have happened to this one
            m.cpu.eflags = Number((registers[0] ?? 0n) & 0x3f7fd5n);
            m.cpu.updateMode();
          } else if (which === 1) {
            loadSeg(m.cpu, 2, SEL.data0, 0, 0xffffffff, 0xc093);
            loadSeg(m.cpu, 1, SEL.code0, 0, 0xffffffff, 0xc09b);
          }
          registers.forEach((v, i) => m.cpu.setR64(i, m.cpu.longMode ? v : v & 0xffffffffn));
          // Bounded work per call; REP counts may be huge, so the loop of `exec` is kept short.
          m.cpu.setR64(1, (registers[1] ?? 0n) & 0xfffn);
          const outcome = m.exec(...prefix, ...opcode, ...tail);
          expect(["done", "fault", "exit", "other"]).toContain(outcome.kind);
        },
      ),
      { seed: 11, numRuns: 4000 },
    );
  });
});
