import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { disassemble } from "./index.ts";
import type { CodeSize } from "./index.ts";

function text(bytes: string, codeSize: CodeSize, rip = 0x7c00n): string {
  return disassemble(Uint8Array.from(bytes.split(" ").map((byte) => Number.parseInt(byte, 16))), 0, codeSize, rip).text;
}

describe("disassemble", () => {
  it("writes NASM's Intel syntax", () => {
    expect(text("8b 44 b3 10", 32)).toBe("mov eax, [ebx+esi*4+0x10]");
    expect(text("f0 83 40 fc 01", 32)).toBe("lock add dword [eax-0x4], 0x1");
    expect(text("f3 a5", 32)).toBe("rep movsd");
    expect(text("f2 ae", 16)).toBe("repne scasb");
    expect(text("2e ac", 16)).toBe("cs lodsb");
    expect(text("26 8a 07", 16)).toBe("mov al, [es:bx]");
    expect(text("ea 5b e0 00 f0", 16)).toBe("jmp 0xf000:0xe05b");
    expect(text("66 ff 2e 34 12", 16)).toBe("o32 jmp far [0x1234]");
    expect(text("0f 01 c1", 16)).toBe("vmcall");
    expect(text("0f 22 c0", 32)).toBe("mov cr0, eax");
    expect(text("d1 e0", 32)).toBe("shl eax, 1");
    expect(text("dc c1", 32)).toBe("fadd st1, st0");
    expect(text("db 28", 32)).toBe("fld tword [eax]");
    expect(text("66 48 0f 6e c0", 64)).toBe("movq xmm0, rax");
    expect(text("0f b6 00", 32)).toBe("movzx eax, byte [eax]");
    expect(text("48 98", 64)).toBe("cdqe");
  });
  it("shows branch targets and RIP-relative addresses absolute", () => {
    expect(text("eb fe", 16)).toBe("jmp 0x7c00");
    expect(text("8b 05 10 00 00 00", 64)).toBe("mov eax, [rel 0x7c16]");
    expect(text("e9 fb ff ff ff", 64, 0xffffffff81000000n)).toBe("jmp 0xffffffff81000000");
    expect(text("eb fe", 16, 0x17c00n)).toBe("jmp 0x7c00");
  });
  it("writes bytes that are no instruction as data", () => {
    expect(text("0f ff", 32)).toBe("db 0x0f");
    expect(disassemble(new Uint8Array(0), 0, 32, 0n)).toEqual({ text: "", length: 0, bytes: new Uint8Array(0) });
  });
  it("never throws and always goes on", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 16 }),
        fc.constantFrom<CodeSize>(16, 32, 64),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        (bytes, codeSize, rip) => {
          const result = disassemble(bytes, 0, codeSize, rip);
          expect(result.length).toBeGreaterThan(0);
          expect(result.text).not.toContain("undefined");
        },
      ),
      { seed: 3, numRuns: 10_000 },
    );
  });
});
