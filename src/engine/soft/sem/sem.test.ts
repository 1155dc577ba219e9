import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { EvalEmit, EvalFault, EvalState, type EvalOperand, type EvalOptions } from "./eval.ts";
import { SEMANTICS } from "./index.ts";
import { RECORDED, RECORDED_CASES } from "./recorded.ts";
import type { OpSize } from "../ir/emit.ts";

const reg = (index: number, size: OpSize): EvalOperand => ({ kind: "reg", index, size });
const imm = (value: number | bigint, size: OpSize = 8): EvalOperand => ({ kind: "imm", value: BigInt(value), size });

function run(name: string, state: EvalState, options: EvalOptions): { fault: number | undefined; jumpedTo: bigint | undefined } {
  const semantics = SEMANTICS[name];
  if (semantics === undefined) throw new Error(`no semantics: ${name}`);
  const emit = new EvalEmit(state, options);
  try {
    semantics(emit);
  } catch (error) {
    if (error instanceof EvalFault) return { fault: error.vector, jumpedTo: undefined };
    throw error;
  }
  return { fault: undefined, jumpedTo: emit.jumpedTo };
}

// ---- against a processor

/** The generator of record/record.c. */
class Cases {
  #seed = 0x12345678;
  next32(): number {
    let x = this.#seed;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#seed = x >>> 0;
    return this.#seed;
  }
  operand(): bigint {
    const high = BigInt(this.next32());
    const v = (high << 32n) | BigInt(this.next32());
    const ones = 0xffff_ffff_ffff_ffffn;
    switch (this.next32() & 15) {
      case 0:
        return 0n;
      case 1:
        return ones;
      case 2:
        return 1n << 63n;
      case 3:
        return v & 0xffn;
      case 4:
        return v | (ones ^ 0xffn);
      case 5:
        return 1n << (v & 63n);
      case 6:
        return ones ^ (1n << (v & 63n));
      case 7:
        return (v & 0x7fffn) | 0x80008000n;
      case 8:
        return v & 0xffffffffn;
      case 9:
        return v & 3n;
      default:
        return v;
    }
  }
}

interface Form {
  readonly sem: string;
  readonly options: EvalOptions;
}

/** "shl1.16", "crc32_8.64", "cmovcc7.32" → semantic name and operands (rax, rbx, cl as in record.c). */
function formOf(name: string): Form {
  const [full = "", bits = ""] = name.split(".");
  const size = Number(bits) as OpSize; // oxlint-disable-line no-unsafe-type-assertion -- names are ours
  const from = /^(crc32|movzx|movsx)_(\d+)$/.exec(full);
  if (from !== null) return { sem: from[1] ?? "", options: { size, operands: [reg(0, size), reg(3, Number(from[2]) as OpSize)] } }; // oxlint-disable-line no-unsafe-type-assertion
  const condition = /^(setcc|cmovcc)(\d+)$/.exec(full);
  if (condition !== null) return { sem: condition[1] ?? "", options: { size, cc: Number(condition[2]), operands: [reg(0, size), reg(3, size)] } };
  const shift = /^(shl|shr|sar|rol|ror|rcl|rcr)(1?)$/.exec(full);
  if (shift !== null) return { sem: shift[1] ?? "", options: { size, operands: [reg(0, size), shift[2] === "1" ? imm(1) : reg(1, 8)] } };
  if (full === "shld" || full === "shrd") return { sem: full, options: { size, operands: [reg(0, size), reg(3, size), reg(1, 8)] } };
  if (full === "cmpxchg") return { sem: full, options: { size, operands: [reg(2, size), reg(3, size)] } };
  if (["mul", "imul1", "div", "idiv"].includes(full)) return { sem: full, options: { size, operands: [reg(3, size)] } };
  return { sem: full, options: { size, operands: [reg(0, size), reg(3, size)] } };
}

function hashOf(name: string, cases: number, trace?: (line: string) => void): number {
  const { sem, options } = formOf(name);
  const random = new Cases();
  const ones = 0xffff_ffff_ffff_ffffn;
  let hash = 0x811c9dc5;
  for (let i = 0; i < cases; i++) {
    const rax = random.operand();
    const rbx = random.operand();
    const rcx = random.operand();
    let rdx = random.operand();
    const f = random.next32();
    if ((f & 0x10000) !== 0 && sem === "cmpxchg") rdx = rax;
    if ((f & 0x20000) !== 0 && sem.includes("div")) rdx = (f & 0x40000) !== 0 ? 0n : sem === "idiv" && rax >> 63n !== 0n ? ones : rdx & 0xffn;
    const state = new EvalState();
    state.gpr.splice(0, 4, rax, rcx, rdx, rbx);
    state.setArithmeticFlags(f);
    const { fault } = run(sem, state, options);
    const flags = fault === undefined ? state.arithmeticFlags() : 0x10000;
    const out = [state.gpr[0], state.gpr[3], state.gpr[1], state.gpr[2]].map((v) => v ?? 0n);
    trace?.(`${[rax, rbx, rcx, rdx, BigInt(f & 0x8d5)].map((v) => v.toString(16)).join(" ")} -> ${[...out, BigInt(flags)].map((v) => v.toString(16)).join(" ")}`);
    for (const v of [...out, BigInt(flags)]) {
      let low = Number(v & 0xffffffffn);
      let high = Number(v >> 32n);
      for (let b = 0; b < 8; b++) {
        hash = Math.imul(hash ^ (low & 0xff), 0x01000193);
        low = (low >>> 8) | ((high & 0xff) << 24);
        high >>>= 8;
      }
    }
  }
  return hash >>> 0;
}

describe("results and flags equal those recorded on an Intel processor", () => {
  it.each(RECORDED)("%s", (name, hash) => {
    expect(hashOf(name, RECORDED_CASES)).toBe(hash);
  });
});

void readFileSync;
void hashOf;
