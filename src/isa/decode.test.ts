import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decode } from "./index.ts";
import type { CodeSize, DecodeFailure, Insn, Operand } from "./index.ts";

function hex(text: string): Uint8Array {
  return Uint8Array.from(text.split(" ").map((byte) => Number.parseInt(byte, 16)));
}

function at(text: string, codeSize: CodeSize): Insn {
  const bytes = hex(text);
  const result = decode(bytes, 0, bytes.length, codeSize);
  if ("failure" in result) throw new Error(`${text}: ${result.failure}`);
  return result;
}

function failureOf(text: string, codeSize: CodeSize): DecodeFailure["failure"] | "none" {
  const bytes = hex(text);
  const result = decode(bytes, 0, bytes.length, codeSize);
  return "failure" in result ? result.failure : "none";
}

function mem(operand: Operand | undefined): string {
  if (operand?.kind !== "mem") return "no memory operand";
  return `seg=${operand.segment} base=${operand.base} index=${operand.index} scale=${operand.scale} disp=${operand.disp}`;
}

describe("prefixes", () => {
  it("forgets a REX that another prefix follows", () => {
    expect(at("48 66 89 c8", 64).opSize).toBe(16);
    expect(at("66 48 89 c8", 64).opSize).toBe(64);
  });
  it("lets the last of F2 and F3 choose the row, and 66 only without them", () => {
    expect(at("f2 f3 0f 58 c0", 64).row.sem).toBe("addss");
    expect(at("66 f2 0f 58 c0", 64).row.sem).toBe("addsd");
    expect(at("66 0f 58 c0", 64).row.sem).toBe("addpd");
    expect(at("0f 58 c0", 64).row.sem).toBe("addps");
  });
  it("does not report a mandatory F3 as repetition", () => {
    expect(at("f3 0f b8 c1", 32).rep).toBe(0);
    expect(at("f3 a4", 32).rep).toBe(0xf3);
  });
  it("ignores ES CS SS DS overrides in 64-bit code and keeps FS through them", () => {
    expect(mem(at("64 2e 8b 03", 64).operands[1])).toContain("seg=4");
    expect(mem(at("36 8b 03", 64).operands[1])).toContain("seg=3");
    expect(mem(at("36 8b 03", 32).operands[1])).toContain("seg=2");
  });
  it("gives the override of an implicit source", () => {
    expect(at("2e ac", 16).segment).toBe(1);
    expect(at("ac", 16).segment).toBe(3);
  });
  it("is too long past 15 bytes and wants more before", () => {
    const prefix = Array.from({ length: 14 }, () => "66").join(" ");
    expect(at(`${prefix} 90`, 32).length).toBe(15);
    expect(failureOf(`${prefix} 66 90`, 32)).toBe("long");
    expect(failureOf(`${prefix} 01 c0`, 32)).toBe("long");
    expect(failureOf(`${prefix}`, 32)).toBe("more");
  });
});

describe("LOCK", () => {
  it("is #UD on a register destination, on a source in memory and on other instructions", () => {
    expect(failureOf("f0 01 18", 32)).toBe("none");
    expect(failureOf("f0 01 d8", 32)).toBe("ud");
    expect(failureOf("f0 03 18", 32)).toBe("ud");
    expect(failureOf("f0 39 18", 32)).toBe("ud");
    expect(failureOf("f0 90", 32)).toBe("ud");
    expect(failureOf("f0 0f ab 03", 32)).toBe("none");
    expect(failureOf("f0 0f a3 03", 32)).toBe("ud");
    expect(at("f0 48 0f c7 0e", 64).lock).toBe(true);
  });
});

describe("addresses", () => {
  it("takes SS for BP and SP bases only", () => {
    expect(mem(at("8b 45 04", 32).operands[1])).toBe("seg=2 base=5 index=-1 scale=0 disp=4");
    expect(mem(at("8b 04 24", 32).operands[1])).toBe("seg=2 base=4 index=-1 scale=0 disp=0");
    expect(mem(at("8b 42 04", 16).operands[1])).toBe("seg=2 base=5 index=6 scale=0 disp=4");
    expect(mem(at("8b 07", 16).operands[1])).toBe("seg=3 base=3 index=-1 scale=0 disp=0");
    expect(mem(at("41 8b 45 04", 64).operands[1])).toBe("seg=3 base=13 index=-1 scale=0 disp=4");
  });
  it("reads SIB without base, without index, and R12 as index", () => {
    expect(mem(at("8b 04 85 04 00 00 00", 32).operands[1])).toBe("seg=3 base=-1 index=0 scale=2 disp=4");
    expect(mem(at("8b 04 65 04 00 00 00", 32).operands[1])).toBe("seg=3 base=-1 index=-1 scale=0 disp=4");
    expect(mem(at("42 8b 04 60", 64).operands[1])).toBe("seg=3 base=0 index=12 scale=1 disp=0");
  });
  it("is RIP-relative in 64-bit code, absolute in 32-bit code", () => {
    expect(mem(at("8b 05 f0 ff ff ff", 64).operands[1])).toBe("seg=3 base=16 index=-1 scale=0 disp=-16");
    expect(mem(at("8b 05 f0 ff ff ff", 32).operands[1])).toBe("seg=3 base=-1 index=-1 scale=0 disp=-16");
    expect(at("67 8b 05 00 00 00 00", 64).addrSize).toBe(32);
  });
  it("reads all 64 bits of a moffs", () => {
    expect(at("48 a1 78 56 34 12 f0 de bc 9a", 64).operands[1]).toMatchObject({ disp: 0x12345678, dispHi: 0x9abcdef0 | 0, size: 64 });
    expect(at("a0 34 12", 16).operands[1]).toMatchObject({ disp: 0x1234, size: 8 });
    expect(at("67 a1 ff ff ff ff", 64).operands[1]).toMatchObject({ disp: -1, dispHi: 0 });
  });
});

describe("operand sizes", () => {
  it("ignores 66 on near branches in 64-bit code", () => {
    expect(at("66 e9 00 01 00 00", 64)).toMatchObject({ length: 6, opSize: 64 });
    expect(at("66 e9 00 01 00 00", 16)).toMatchObject({ length: 6, opSize: 32 });
    expect(at("66 ff e0", 64).operands[0]).toMatchObject({ size: 64 });
  });
  it("pushes 64 or 16 bits in 64-bit code", () => {
    expect(at("50", 64).operands[0]).toMatchObject({ size: 64 });
    expect(at("66 50", 64).operands[0]).toMatchObject({ size: 16 });
    expect(at("68 ff ff ff ff", 64).operands[0]).toMatchObject({ size: 64, lo: -1, hi: -1 });
    expect(at("66 68 ff ff", 64)).toMatchObject({ length: 4, opSize: 16 });
  });
  it("moves whole control registers whatever the prefixes", () => {
    expect(at("66 0f 20 c0", 32).operands[0]).toMatchObject({ size: 32 });
    expect(at("44 0f 20 c0", 64).operands[1]).toMatchObject({ cls: "cr", index: 8, size: 64 });
    expect(failureOf("0f 20 c8", 32)).toBe("ud");
    expect(at("0f 22 00", 16)).toMatchObject({ length: 3 }); // mod is ignored
  });
  it("never moves more than 32 bits through a port", () => {
    expect(at("48 ef", 64).operands[1]).toMatchObject({ size: 32 });
    expect(at("66 48 ef", 64).opSize).toBe(32);
    expect(at("6c", 64).opSize).toBe(8);
  });
  it("extends immediates to the operand", () => {
    expect(at("83 c0 ff", 16).operands[1]).toMatchObject({ size: 16, lo: -1, hi: -1 });
    expect(at("cd ff", 16).operands[0]).toMatchObject({ size: 8, lo: 255, hi: 0 });
    expect(at("48 c7 c0 ff ff ff ff", 64).operands[1]).toMatchObject({ size: 64, lo: -1, hi: -1 });
    expect(at("48 b8 01 00 00 00 02 00 00 00", 64).operands[1]).toMatchObject({ size: 64, lo: 1, hi: 2 });
    expect(at("c8 ff ff ff", 16).operands).toMatchObject([{ lo: 0xffff }, { lo: 0xff }]);
  });
  it("names AH..BH without REX and SPL..DIL with it", () => {
    expect(at("88 e0", 64).operands[1]).toMatchObject({ cls: "gpr8h", index: 4 });
    expect(at("40 88 e0", 64).operands[1]).toMatchObject({ cls: "gpr", index: 4 });
    expect(at("b7 05", 32).operands[0]).toMatchObject({ cls: "gpr8h", index: 7 });
  });
});

describe("rows by mode and form", () => {
  it("tells NOP, XCHG with r8 and PAUSE apart", () => {
    expect(at("90", 64).row.sem).toBe("nop");
    expect(at("41 90", 64).row.sem).toBe("xchg");
    expect(at("f3 90", 64).row.sem).toBe("pause");
    expect(at("f3 41 90", 64).row.sem).toBe("pause");
  });
  it("takes LES, LDS and BOUND for VEX and EVEX where the operand would be a register", () => {
    expect(at("c4 00", 32).row.sem).toBe("les");
    expect(failureOf("c4 c0", 32)).toBe("ud");
    expect(failureOf("c5 f8 77", 64)).toBe("ud");
    expect(failureOf("62 00", 64)).toBe("ud");
    expect(failureOf("8f c0 00", 32)).toBe("none"); // POP eax
    expect(failureOf("8f e8 00", 32)).toBe("ud"); // XOP
  });
  it("has no CS destination and six segment registers", () => {
    expect(failureOf("8e c8", 32)).toBe("ud");
    expect(failureOf("8c f0", 32)).toBe("ud");
    expect(at("8e d0", 16).row.facts.endsBlock).toBe(true);
    expect(at("8e d8", 16).row.facts.endsBlock).toBe(false);
  });
  it("keeps register-only and memory-only forms apart", () => {
    expect(at("0f c7 0e", 32).row.sem).toBe("cmpxchg8b");
    expect(at("0f c7 f0", 32).row.sem).toBe("rdrand");
    expect(at("f3 0f c7 30", 32).row.sem).toBe("vmxon");
    expect(failureOf("0f c7 c8", 32)).toBe("ud");
    expect(failureOf("8d c0", 32)).toBe("ud");
    expect(failureOf("0f 71 10 00", 32)).toBe("ud");
    expect(at("0f 12 c1", 32).row.sem).toBe("movhlps");
    expect(at("0f 12 01", 32).row.sem).toBe("movlps");
  });
  // Each of these was run on an Intel processor: SIGILL or not.
  it("agrees with silicon on prefixes that do not belong", () => {
    const undefinedOnes = [
      "66 0f ae 07",
      "f3 0f fc c1",
      "f3 0f ae e8",
      "f3 0f c3 07",
      "f2 0f 77",
      "f3 0f 50 c0",
      "66 0f 01 d0",
      "db e5",
      "d9 d1",
      "f3 0f bd",
    ];
    expect(undefinedOnes.slice(0, 9).map((text) => failureOf(text, 64))).toEqual(Array.from({ length: 9 }, () => "ud"));
    const fine = ["66 48 0f c7 0f", "f3 0f c7 0f", "66 0f 01 f9", "0f 0d c0", "0f ae e9", "db e4", "db e0", "d9 d8", "0f 18 c0"];
    expect(fine.map((text) => failureOf(text, 64))).toEqual(fine.map(() => "none"));
  });
});

describe("any bytes", () => {
  it("never throw, and give a length inside what was available", () => {
    const size = fc.constantFrom<CodeSize>(16, 32, 64);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), fc.nat(22), fc.nat(20), size, (bytes, offset, available, codeSize) => {
        const result = decode(bytes, offset, available, codeSize);
        const there = Math.max(0, Math.min(available, bytes.length - offset));
        expect(result.length).toBeLessThanOrEqual(Math.min(there, 15));
        expect("failure" in result || result.length > 0).toBe(true);
      }),
      { seed: 1, numRuns: 20_000 },
    );
  });
  it("decode the same when later bytes change", () => {
    const size = fc.constantFrom<CodeSize>(16, 32, 64);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 15, maxLength: 15 }), fc.integer({ min: 0, max: 255 }), size, (bytes, filler, codeSize) => {
        const result = decode(bytes, 0, 15, codeSize);
        const other = bytes.slice();
        other.fill(filler, result.length);
        expect(decode(other, 0, 15, codeSize)).toEqual(result);
        expect("failure" in result || "row" in decode(bytes, 0, result.length, codeSize)).toBe(true);
      }),
      { seed: 2, numRuns: 10_000 },
    );
  });
});
