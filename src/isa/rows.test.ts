import { describe, expect, it } from "vitest";
import { FEATURES, OPCODE_ROWS, combineFaults, decode, disassemble, opcodeCoverageMarkdown, pushesErrorCode, semanticNames } from "./index.ts";
import type { CodeSize, OpcodeRow } from "./index.ts";

/** The encoding column as bytes: prefix, opcode, a ModRM that fits the operands, zeros for the rest. */
function example(row: OpcodeRow, low: number): Uint8Array {
  const out: number[] = [];
  const tokens = row.encoding.split(" ").filter((token) => token !== "NP" && token !== "NFx");
  const wide = tokens.includes("REX.W");
  const registerOnly = row.operands.some((o) => /^[RUN][a-z]+$/.test(o.code));
  for (const token of tokens) {
    if (token === "REX.W") continue;
    const digit = /^\/([0-7r])$/.exec(token)?.[1];
    if (/^[0-9A-F]{2}$/.test(token)) out.push(Number.parseInt(token, 16));
    else if (/^[0-9A-F]{2}\+[ri]$/.test(token)) out.push(Number.parseInt(token, 16) + low);
    else if (digit !== undefined)
      out.push(((digit === "r" ? 4 : Number(digit)) << 3) | (registerOnly ? 0xc0 | low : low === 4 || low === 5 ? 0 : low));
  }
  if (wide) out.unshift(0x48);
  return Uint8Array.from([...out, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).slice(0, 15);
}

function codeSizes(row: OpcodeRow): CodeSize[] {
  if (row.facts.mode === "only64") return [64];
  return row.facts.mode === "no64" ? [16, 32] : [16, 32, 64];
}

describe("the opcode tables", () => {
  it("reach every row from its own encoding", () => {
    const unreached: string[] = [];
    for (const row of OPCODE_ROWS) {
      for (const codeSize of codeSizes(row)) {
        // An opcode with +r shares one of its eight with NOP.
        const hits = [0, 1, 2, 3, 4, 5, 6, 7].filter((low) => {
          const result = decode(example(row, low), 0, 15, codeSize);
          return "row" in result && result.row === row;
        });
        if (hits.length < 7) unreached.push(`${row.mnemonic} ${row.encoding} in ${codeSize}: ${hits.join()}`);
      }
    }
    expect(unreached).toEqual([]);
  });

  it("never list the same mnemonic, encoding and operands twice", () => {
    const keys = OPCODE_ROWS.map((row) => `${row.mnemonic} ${row.encoding} ${row.operands.map((o) => o.code).join()}`);
    expect(keys.length - new Set(keys).size).toBe(0);
  });

  it("give LOCK only to rows whose first operand is read and written", () => {
    const wrong = OPCODE_ROWS.filter((row) => row.facts.lock && row.operands[0]?.access !== "rw");
    expect(wrong).toEqual([]);
  });

  it("say of every displacement that control may follow it, and end blocks where it goes elsewhere", () => {
    const wrong = OPCODE_ROWS.filter(({ operands, facts: { flow, endsBlock, shadow } }) => {
      const relative = operands.some(({ code }) => code.startsWith("J"));
      const follows = flow === "branch" || flow === "jump" || flow === "call";
      return (relative && !follows) || (flow === "branch" && !relative) || ((flow !== "next" || shadow !== "none") && !endsBlock);
    });
    expect(wrong).toEqual([]);
  });

  it("name features that CPUID announces", () => {
    const names = new Set(OPCODE_ROWS.map((row) => row.facts.feature));
    names.delete("base");
    expect([...names].filter((name) => FEATURES[name] === undefined)).toEqual([]);
  });

  it("print every row without a question mark", () => {
    const bad: string[] = [];
    for (const row of OPCODE_ROWS) {
      for (const codeSize of codeSizes(row)) {
        const { text } = disassemble(example(row, 1), 0, codeSize, 0x1000n);
        if (text.includes("?") || text.includes("undefined") || text.startsWith("db ")) bad.push(`${row.encoding}: ${text}`);
      }
    }
    expect(bad).toEqual([]);
  });

  it("make a coverage page with one line a row", () => {
    const page = opcodeCoverageMarkdown(new Set(["add"]));
    expect(page.split("\n").filter((l) => l.startsWith("| `")).length).toBe(OPCODE_ROWS.length);
    expect(page).toContain("| `01 /r` | ADD | Ev, Gv | add | base | lock | yes |");
    expect(semanticNames()).toContain("cmovcc");
  });
});

describe("exception classes", () => {
  it("make a double fault of a fault in the delivery of a contributory one", () => {
    expect(combineFaults(13, 11)).toBe("double-fault");
    expect(combineFaults(14, 14)).toBe("double-fault");
    expect(combineFaults(13, 14)).toBe("serial");
    expect(combineFaults(6, 13)).toBe("serial");
    expect(combineFaults(8, 13)).toBe("triple-fault");
  });
  it("push error codes for DF TS NP SS GP PF AC CP", () => {
    expect(Array.from({ length: 32 }, (_, v) => v).filter((v) => pushesErrorCode(v))).toEqual([8, 10, 11, 12, 13, 14, 17, 21]);
  });
});
