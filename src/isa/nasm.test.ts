import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { OPCODE_ROWS, decode, disassemble } from "./index.ts";
import type { CodeSize, OpcodeRow } from "./index.ts";

/** NASM reads what the disassembler writes, and its bytes read the same again. */

const installed = spawnSync("nasm", ["-v"]).status === 0;

/** Rows that NASM has under another spelling, or not at all, or only in 64-bit code. */
const NOT_NASM: ReadonlySet<string> = new Set(["bswap", "rdpkru", "wrpkru", "fneni", "fndisi", "fnsetpm", "ffreep", "getsec", "xchg"]);

/** NASM makes two registers of one doubled, and the short form of a shift by one. */
function normal(text: string): string {
  return text.replace(/ 1$/, " 0x1").replace(/\[(\w+)\*2\+/, "[$1+$1+");
}

function randomBytes(row: OpcodeRow, next: () => number): Uint8Array {
  const out: number[] = [];
  for (const token of row.encoding.split(" ")) {
    const digit = /^\/([0-7r])$/.exec(token)?.[1];
    if (token === "REX.W") out.push(0x48);
    else if (/^[0-9A-F]{2}$/.test(token)) out.push(Number.parseInt(token, 16));
    else if (/^[0-9A-F]{2}\+[ri]$/.test(token)) out.push(Number.parseInt(token, 16) + (next() & 7));
    else if (digit !== undefined) out.push(((digit === "r" ? next() & 7 : Number(digit)) << 3) | (next() & 0xc7));
  }
  while (out.length < 15) out.push(next() & 0x7f);
  return Uint8Array.from(out);
}

function texts(codeSize: CodeSize): string[] {
  let x: number = codeSize;
  const next = (): number => {
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
    return x >>> 24;
  };
  const out: string[] = [];
  const rows = OPCODE_ROWS.filter((row) => row.facts.mode !== (codeSize === 64 ? "no64" : "only64") && !NOT_NASM.has(row.sem));
  for (const row of rows) {
    for (let i = 0; i < 6; i++) {
      const bytes = randomBytes(row, next);
      const insn = decode(bytes, 0, 15, codeSize);
      if ("failure" in insn || insn.operands.some((o) => o.kind === "rel" || (o.kind === "mem" && o.base === 16))) continue;
      // In 64-bit code NASM's far default is 64 bits, the processor's 32.
      if (codeSize === 64 && insn.row.sem.endsWith("_far_mem")) continue;
      // NASM refuses to extend a value to its own width.
      if (insn.operands[1]?.size === insn.opSize && insn.row.sem.startsWith("mov") && /^MOV[SZ]X/.test(insn.row.mnemonic)) continue;
      out.push(normal(disassemble(bytes, 0, codeSize, 0n).text));
    }
  }
  return out;
}

function assemble(lines: readonly string[], codeSize: CodeSize): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "isa-"));
  writeFileSync(join(folder, "code.asm"), `bits ${codeSize}\n${lines.join("\n")}\n`);
  execFileSync("nasm", ["-fbin", "-w-all", "-o", join(folder, "code.bin"), join(folder, "code.asm")]);
  const bytes = new Uint8Array(readFileSync(join(folder, "code.bin")));
  rmSync(folder, { recursive: true });
  return bytes;
}

describe.skipIf(!installed)(`the disassembler beside NASM${installed ? "" : " (NASM is not installed)"}`, () => {
  for (const codeSize of [16, 32, 64] as const) {
    it(`writes ${codeSize}-bit text that assembles to the same text`, () => {
      const lines = texts(codeSize);
      const bytes = assemble(lines, codeSize);
      const again: string[] = [];
      for (let at = 0; at < bytes.length; ) {
        const { text, length } = disassemble(bytes, at, codeSize, 0n);
        again.push(normal(text));
        at += length;
      }
      expect(again.map((text, i) => [text, lines[i]]).filter(([a, b]) => a !== b)).toEqual([]);
      expect(again.length).toBe(lines.length);
    });
  }
});
