import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decode } from "../../../isa/index.ts";
import { STATE } from "../state-layout.ts";
import { TestMachine } from "../sys/machine.testing.ts";
import { SIMD } from "./index.ts";

const OPERAND = 0x3000;
const DEFAULT = 0x1f80;
const IE = 1,
  DE = 2,
  ZE = 4,
  OE = 8,
  UE = 16,
  PE = 32;

/** Instructions on xmm0 and xmm1, or with [BX] = 3000h, in real mode. */
class Bench extends TestMachine {
  constructor() {
    super();
    this.cpu.u32[STATE.cr4.u32] = 0x600;
    this.cpu.setR32(3, OPERAND);
  }
  set mxcsr(v: number) {
    this.cpu.u32[STATE.mxcsr.u32] = v;
  }
  get mxcsr(): number {
    return this.cpu.u32[STATE.mxcsr.u32] ?? 0;
  }
  xmm(i: number): bigint {
    const at = STATE.xmm.u64 + i * 2;
    return ((this.cpu.u64[at + 1] ?? 0n) << 64n) | (this.cpu.u64[at] ?? 0n);
  }
  setXmm(i: number, v: bigint): void {
    const at = STATE.xmm.u64 + i * 2;
    this.cpu.u64[at] = BigInt.asUintN(64, v);
    this.cpu.u64[at + 1] = BigInt.asUintN(64, v >> 64n);
  }
  /** Runs it; the vector of its fault, or -1. */
  run(...bytes: number[]): number {
    const insn = decode(new Uint8Array(bytes), 0, bytes.length, this.cpu.code64 ? 64 : 16);
    if ("failure" in insn) throw new Error("undecodable");
    const helper = SIMD[insn.row.sem];
    if (helper === undefined) throw new Error(`no ${insn.row.sem}`);
    try {
      helper(this.cpu, insn);
      return -1;
    } catch (e) {
      if (e !== this.cpu.fault) throw e;
      return this.cpu.fault.vector;
    }
  }
  /** xmm0 op xmm1, low 64 or 32 bits, with MXCSR. */
  binary(code: readonly number[], a: bigint, b: bigint, mxcsr: number): { value: bigint; flags: number } {
    this.setXmm(0, a);
    this.setXmm(1, b);
    this.mxcsr = mxcsr;
    this.run(...code);
    return { value: this.xmm(0), flags: this.mxcsr & 0x3f };
  }
}

interface Format {
  readonly mantissa: bigint;
  readonly bits: bigint;
  readonly bias: bigint;
}
const SINGLE: Format = { mantissa: 23n, bits: 32n, bias: 127n };
const DOUBLE: Format = { mantissa: 52n, bits: 64n, bias: 1023n };
type Operation = "add" | "sub" | "mul" | "div";
const sizeOf = (v: bigint): bigint => BigInt(v.toString(2).length);

/** An exact value as sign, integer and power of two. */
function value(f: Format, x: bigint): { negative: boolean; m: bigint; e: bigint } {
  const e = (x >> f.mantissa) & (2n * f.bias + 1n);
  const fraction = x & ((1n << f.mantissa) - 1n);
  const least = 1n - f.bias - f.mantissa;
  return { negative: x >> (f.bits - 1n) === 1n, m: e === 0n ? fraction : fraction | (1n << f.mantissa), e: e === 0n ? least : least + e - 1n };
}
/** The operation on finite operands in exact arithmetic, rounded as `rc` says; exceptions masked, no DAZ or FTZ. Undefined when the result is an exact zero or a division by zero. */
function exact(f: Format, op: Operation, x: bigint, y: bigint, rc: number): { value: bigint; flags: number } | undefined {
  const a = value(f, x);
  const b = value(f, y);
  const signed = (v: typeof a): bigint => (v.negative ? -v.m : v.m);
  let m: bigint;
  let e: bigint;
  let sticky = 0n;
  let negative = a.negative !== b.negative;
  if (op === "mul") {
    m = a.m * b.m;
    e = a.e + b.e;
  } else if (op === "div") {
    if (b.m === 0n) return undefined;
    const up = 200n;
    m = (a.m << up) / b.m;
    sticky = (a.m << up) % b.m === 0n ? 0n : 1n;
    e = a.e - b.e - up;
  } else {
    e = a.e < b.e ? a.e : b.e;
    const sum = (signed(a) << (a.e - e)) + (op === "sub" ? -1n : 1n) * (signed(b) << (b.e - e));
    negative = sum < 0n;
    m = sum < 0n ? -sum : sum;
  }
  if (m === 0n) return undefined;
  m = (m << 2n) | sticky;
  e -= 2n;
  const sign = negative ? 1n << (f.bits - 1n) : 0n;
  const precision = f.mantissa + 1n;
  const round = (to: bigint): bigint => {
    if (to <= e) return m << (e - to);
    const cut = to - e;
    const q = m >> cut;
    const rest = m & ((1n << cut) - 1n);
    const half = 1n << (cut - 1n);
    const up = rc === 0 ? rest > half || (rest === half && (q & 1n) === 1n) : rest !== 0n && rc === (negative ? 1 : 2);
    return up ? q + 1n : q;
  };
  const inexact = (q: bigint, to: bigint): boolean => (to <= e ? false : q << (to - e) !== m);
  const least = 1n - f.bias - f.mantissa;
  const at = e + sizeOf(m) - precision;
  const unbounded = round(at);
  const top = at + sizeOf(unbounded) - 1n;
  let flags = [x, y].some((v) => (v & ((1n << (f.bits - 1n)) - 1n)) !== 0n && ((v >> f.mantissa) & (2n * f.bias + 1n)) === 0n) ? DE : 0;
  if (top > f.bias) {
    const infinity = (2n * f.bias + 1n) << f.mantissa;
    return { value: sign | (rc === 0 || rc === (negative ? 1 : 2) ? infinity : infinity - 1n), flags: flags | OE | PE };
  }
  const tiny = top < 1n - f.bias;
  const to = at < least ? least : at;
  const q = round(to);
  if (inexact(q, to)) flags |= tiny ? UE | PE : PE;
  return { value: sign | (q + ((to - least) << f.mantissa)), flags };
}

const OPCODES: Readonly<Record<Operation, number>> = { add: 0x58, sub: 0x5c, mul: 0x59, div: 0x5e };
/** Finite bit patterns: exponents near each other and near the ends, mantissas with long runs. */
function finite(f: Format): fc.Arbitrary<bigint> {
  const top = 2n * f.bias;
  const exponent = fc.oneof(
    fc.bigInt(f.bias - 30n, f.bias + 30n),
    fc.bigInt(0n, top),
    fc.bigInt(0n, f.mantissa + 2n),
    fc.bigInt(top - 3n, top),
    fc.bigInt(f.bias / 2n - 30n, f.bias / 2n + 30n),
  );
  const all = (1n << f.mantissa) - 1n;
  const mantissa = fc.oneof(
    fc.bigInt(0n, all),
    fc.bigInt(0n, 3n),
    fc.bigInt(0n, 3n).map((v) => all - v),
    fc.bigInt(0n, f.mantissa).map((n) => (1n << n) & all),
  );
  return fc.tuple(fc.boolean(), exponent, mantissa).map(([s, e, m]) => (s ? 1n << (f.bits - 1n) : 0n) | (e << f.mantissa) | m);
}

describe("scalar arithmetic equals exact arithmetic, rounded once", () => {
  const bench = new Bench();
  const operations: Operation[] = ["add", "sub", "mul", "div"];
  for (const [suffix, f, prefix] of [["ss", SINGLE, 0xf3] as const, ["sd", DOUBLE, 0xf2] as const]) {
    it.each(operations)(`%s${suffix}`, (op) => {
      fc.assert(
        fc.property(finite(f), finite(f), fc.integer({ min: 0, max: 3 }), (x, y, rc) => {
          const want = exact(f, op, x, y, rc);
          if (want === undefined) return;
          const got = bench.binary([prefix, 0x0f, OPCODES[op], 0xc1], x, y, DEFAULT | (rc << 13));
          expect({ value: BigInt.asUintN(Number(f.bits), got.value), flags: got.flags }).toEqual(want);
        }),
        { seed: 20261122, numRuns: 1000 },
      );
    });
  }
});

describe("square roots are the nearest in every direction", () => {
  const bench = new Bench();
  it("sqrtsd brackets the operand", () => {
    fc.assert(
      fc.property(finite(DOUBLE), (x) => {
        const { m, e, negative } = value(DOUBLE, x);
        if (negative || m === 0n) return;
        const down = value(DOUBLE, BigInt.asUintN(64, bench.binary([0xf2, 0x0f, 0x51, 0xc1], 0n, x, DEFAULT | 0x2000).value));
        const up = value(DOUBLE, BigInt.asUintN(64, bench.binary([0xf2, 0x0f, 0x51, 0xc1], 0n, x, DEFAULT | 0x4000).value));
        const compare = (v: typeof down): bigint => v.m * v.m * (1n << (2n * v.e + 4000n)) - m * (1n << (e + 4000n));
        expect(compare(down) <= 0n && compare(up) >= 0n).toBe(true);
        expect((bench.mxcsr & PE) !== 0).toBe(compare(down) !== 0n);
        expect(down.e === up.e ? up.m - down.m : 1n).toBe(compare(down) === 0n ? 0n : 1n);
      }),
      { seed: 7, numRuns: 800 },
    );
  });
});

const ONE = 0x3ff0000000000000n,
  TINY = 1n,
  NEGATIVE_ZERO = 1n << 63n,
  INFINITY64 = 0x7ff0000000000000n,
  INDEFINITE = 0xfff8000000000000n;
describe("special operands", () => {
  const bench = new Bench();
  const low = (op: number, a: bigint, b: bigint, mxcsr = DEFAULT): [bigint, number] => {
    const { value: v, flags } = bench.binary([0xf2, 0x0f, op, 0xc1], a, b, mxcsr);
    return [BigInt.asUintN(64, v), flags];
  };
  it("the first NaN wins and becomes quiet", () => {
    expect(low(0x58, 0x7ff0000000000001n, 0x7ff8000000000002n)).toEqual([0x7ff8000000000001n, IE]);
    expect(low(0x58, ONE, 0x7ff8000000000002n)).toEqual([0x7ff8000000000002n, 0]);
  });
  it("invalid operations give the default NaN", () => {
    expect(low(0x5c, INFINITY64, INFINITY64)).toEqual([INDEFINITE, IE]);
    expect(low(0x59, 0n, INFINITY64)).toEqual([INDEFINITE, IE]);
    expect(low(0x5e, 0n, NEGATIVE_ZERO)).toEqual([INDEFINITE, IE]);
    expect(low(0x51, 0n, ONE | NEGATIVE_ZERO)).toEqual([INDEFINITE, IE]);
  });
  it("x - x is -0 only when rounding down", () => {
    expect(low(0x5c, ONE, ONE)).toEqual([0n, 0]);
    expect(low(0x5c, ONE, ONE, DEFAULT | 0x2000)).toEqual([NEGATIVE_ZERO, 0]);
  });
  it("sums beside the largest number are exact too", () => {
    expect(low(0x5c, 0xff8fffffffffffe0n, 0xffefffffffffffffn, DEFAULT | 0x2000)).toEqual([0x7fef7fffffffffffn, PE]);
  });
  it("division by zero", () => expect(low(0x5e, ONE, NEGATIVE_ZERO)).toEqual([INFINITY64 | NEGATIVE_ZERO, ZE]));
  it("DAZ reads denormals as zero, FTZ writes zeros", () => {
    expect(low(0x58, TINY, 0n, DEFAULT | 0x40)).toEqual([0n, 0]);
    expect(low(0x59, 0x0010000000000000n, 0x3fe0000000000000n, DEFAULT | 0x8000)).toEqual([0n, UE | PE]);
    expect(low(0x58, TINY, 0n)).toEqual([TINY, DE]);
  });
  it("MIN and MAX answer with the second operand unless the first is less or greater", () => {
    expect(low(0x5d, 0n, NEGATIVE_ZERO)).toEqual([NEGATIVE_ZERO, 0]);
    expect(low(0x5f, 0x7ff0000000000001n, ONE)).toEqual([ONE, IE]);
    expect(low(0x5d, ONE, 0x7ff0000000000001n)).toEqual([0x7ff0000000000001n, IE]);
  });
});

describe("exceptions and availability", () => {
  it("an unmasked exception leaves the destination alone and sets its flag: #XM, or #UD without CR4.OSXMMEXCPT", () => {
    const bench = new Bench();
    bench.setXmm(0, ONE);
    bench.setXmm(1, 0n);
    bench.mxcsr = DEFAULT & ~(ZE << 7);
    expect([bench.run(0xf2, 0x0f, 0x5e, 0xc1), bench.xmm(0), bench.mxcsr & 0x3f]).toEqual([19, ONE, ZE]);
    bench.cpu.u32[STATE.cr4.u32] = 0x200;
    expect(bench.run(0xf2, 0x0f, 0x5e, 0xc1)).toBe(6);
  });
  it("an unmasked exception before the computation hides the others' later ones", () => {
    const bench = new Bench();
    bench.setXmm(0, (ONE << 64n) | ONE);
    bench.setXmm(1, 0x4008000000000000n << 64n);
    bench.mxcsr = DEFAULT & ~(ZE << 7);
    expect([bench.run(0x66, 0x0f, 0x5e, 0xc1), bench.mxcsr & 0x3f]).toEqual([19, ZE]);
  });
  it("CR0.EM and CR4.OSFXSR are #UD, CR0.TS is #NM, in this order; CRC32 needs neither", () => {
    const bench = new Bench();
    const { u32 } = bench.cpu;
    u32[STATE.cr0.u32] = 8;
    expect([bench.run(0x0f, 0x58, 0xc1), bench.run(0xf2, 0x0f, 0x38, 0xf0, 0xc1)]).toEqual([7, -1]);
    u32[STATE.cr0.u32] = 12;
    expect(bench.run(0x0f, 0x58, 0xc1)).toBe(6);
    u32[STATE.cr0.u32] = 0;
    u32[STATE.cr4.u32] = 0x400;
    expect([bench.run(0x0f, 0x58, 0xc1), bench.run(0x0f, 0xae, 0x17)]).toEqual([6, 6]);
  });
  it("packed operands are aligned, scalar and string operands need not be", () => {
    const bench = new Bench();
    bench.cpu.setR32(3, OPERAND + 1);
    expect([bench.run(0x0f, 0x58, 0x07), bench.run(0xf3, 0x0f, 0x58, 0x07), bench.run(0x66, 0x0f, 0x3a, 0x63, 0x07, 0)]).toEqual([13, -1, -1]);
  });
  it("LDMXCSR refuses bits that do not exist", () => {
    const bench = new Bench();
    bench.memory.write32(OPERAND, 0x10000);
    expect([bench.run(0x0f, 0xae, 0x17), bench.mxcsr]).toEqual([13, 0x1f80]);
    bench.memory.write32(OPERAND, 0xffff);
    expect([bench.run(0x0f, 0xae, 0x17), bench.mxcsr]).toEqual([-1, 0xffff]);
  });
});

describe("AES, PCLMULQDQ, CRC32, strings", () => {
  const bench = new Bench();
  /** Bytes in the order that texts print them. */
  const text = (hex: string): bigint => BigInt(`0x${hex.match(/../g)?.reverse().join("") ?? ""}`);
  it("AES-128 of FIPS 197 appendix B, and back", () => {
    const keys = [
      "2b7e151628aed2a6abf7158809cf4f3c",
      "a0fafe1788542cb123a339392a6c7605",
      "f2c295f27a96b9435935807a7359f67f",
      "3d80477d4716fe3e1e237e446d7a883b",
      "ef44a541a8525b7fb671253bdb0bad00",
      "d4d1c6f87c839d87caf2b8bc11f915bc",
      "6d88a37a110b3efddbf98641ca0093fd",
      "4e54f70e5f5fc9f384a64fb24ea6dc4f",
      "ead27321b58dbad2312bf5607f8d292f",
      "ac7766f319fadc2128d12941575c006e",
      "d014f9a8c9ee2589e13f0cc8b6630ca6",
    ].map(text);
    const first = keys[0] ?? 0n;
    const last = keys[10] ?? 0n;
    bench.setXmm(0, text("3243f6a8885a308d313198a2e0370734") ^ first);
    for (const key of keys.slice(1, 10)) {
      bench.setXmm(1, key);
      bench.run(0x66, 0x0f, 0x38, 0xdc, 0xc1);
    }
    bench.setXmm(1, last);
    bench.run(0x66, 0x0f, 0x38, 0xdd, 0xc1);
    expect(bench.xmm(0)).toBe(text("3925841d02dc09fbdc118597196a0b32"));
    bench.setXmm(0, bench.xmm(0) ^ last);
    for (const key of keys.slice(1, 10).reverse()) {
      bench.setXmm(1, key);
      bench.run(0x66, 0x0f, 0x38, 0xdb, 0xc9);
      bench.run(0x66, 0x0f, 0x38, 0xde, 0xc1);
    }
    bench.setXmm(1, first);
    bench.run(0x66, 0x0f, 0x38, 0xdf, 0xc1);
    expect(bench.xmm(0)).toBe(text("3243f6a8885a308d313198a2e0370734"));
  });
  it("CRC32C of 123456789", () => {
    bench.cpu.setR32(0, 0xffffffff);
    for (const c of "123456789") {
      bench.cpu.setR8(1, c.charCodeAt(0));
      bench.run(0xf2, 0x0f, 0x38, 0xf0, 0xc1);
    }
    expect(~bench.cpu.r32(0) >>> 0).toBe(0xe3069283);
  });
  it("PCLMULQDQ multiplies polynomials", () => {
    bench.setXmm(0, 0x7b5b546573745665n);
    bench.setXmm(1, 0x4869285368617929n << 64n);
    bench.run(0x66, 0x0f, 0x3a, 0x44, 0xc1, 0x10);
    let want = 0n;
    for (let i = 0n; i < 64n; i++) if (((0x4869285368617929n >> i) & 1n) === 1n) want ^= 0x7b5b546573745665n << i;
    expect(bench.xmm(0)).toBe(want);
  });
  it("PCMPISTRI finds a substring", () => {
    const ascii = (s: string): bigint => text(Buffer.from(s.padEnd(16, "\0"), "latin1").toString("hex"));
    bench.setXmm(0, ascii("wor"));
    bench.setXmm(1, ascii("hello, world"));
    bench.run(0x66, 0x0f, 0x3a, 0x63, 0xc1, 0x0c);
    expect([bench.cpu.r32(1), bench.cpu.eflags & 0x8d5]).toEqual([7, 0xc1]);
  });
});

describe("no operand makes a helper throw anything but a guest fault", () => {
  it("random instructions, operands and control registers", () => {
    const bench = new Bench();
    fc.assert(
      fc.property(
        fc.constantFrom([], [0x66], [0xf2], [0xf3]),
        fc.constantFrom([0x58], [0x5e], [0x51], [0x5a], [0x2d], [0x2a], [0xc2], [0xe6], [0x3a, 0x08], [0x3a, 0x40], [0x3a, 0x62], [0x38, 0xdc]),
        fc.integer({ min: 0, max: 255 }),
        fc.array(fc.bigInt(0n, (1n << 128n) - 1n), { minLength: 2, maxLength: 2 }),
        fc.integer({ min: 0, max: 0xffff }),
        (prefix, opcode, modrm, [a, b], mxcsr) => {
          const bytes = new Uint8Array([...prefix, 0x0f, ...opcode, modrm, 0x12, 0x34, 0x56]);
          const insn = decode(bytes, 0, bytes.length, 16);
          if ("failure" in insn || SIMD[insn.row.sem] === undefined) return;
          bench.setXmm(0, a ?? 0n);
          bench.setXmm(1, b ?? 0n);
          bench.mxcsr = mxcsr;
          expect(bench.run(...bytes)).toBeLessThan(20);
        },
      ),
      { seed: 3, numRuns: 1000 },
    );
  });
});
