import { describe, expect, it } from "vitest";
import { EvalEmit, type EvalOperand, EvalState } from "./eval.testing.ts";
import { MMX_CASES, MMX_RECORDED } from "./mmx-recorded.testing.ts";
import { MMX } from "./mmx.ts";

let seed = 0;
function random32(): number {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return seed >>> 0;
}
const BYTES = [0, 1, 0x7f, 0x80, 0xff, 0x81, 0xfe, 0x40];
const WORDS = [0, 1, 0x7fff, 0x8000, 0xffff, 0x8001, 0x00ff, 0x0080];
/** As in fpu/record/mmx.c: keep both alike. */
function operand(): bigint {
  const kind = random32() & 3;
  const r = random32();
  let v = 0n;
  if (kind === 1) for (let i = 0; i < 8; i++) v |= BigInt(BYTES[(r >>> (i * 3)) & 7] ?? 0) << BigInt(i * 8);
  else if (kind === 2) for (let i = 0; i < 4; i++) v |= BigInt(WORDS[(r >>> (i * 3)) & 7] ?? 0) << BigInt(i * 16);
  else if (kind === 3) v = BigInt(r % 70);
  else v = (BigInt(r) << 32n) | BigInt(random32());
  return v;
}

/** mm0 is register 0, mm1 register 1; a general register result is register 0 of 32 bits. */
function operandsOf(sem: string, immediate: string | undefined): EvalOperand[] {
  const mm0: EvalOperand = { kind: "reg", size: 64, index: 0 };
  const mm1: EvalOperand = { kind: "reg", size: 64, index: 1 };
  const eax: EvalOperand = { kind: "reg", size: 32, index: 0 };
  if (sem === "pmovmskb") return [eax, mm1];
  if (immediate === undefined) return [mm0, mm1];
  const imm: EvalOperand = { kind: "imm", size: 8, value: BigInt(immediate) };
  if (sem === "pextrw") return [eax, mm1, imm];
  if (sem === "pinsrw") return [mm0, { kind: "reg", size: 32, index: 1 }, imm];
  return sem.startsWith("ps") && sem !== "pshufw" ? [mm0, imm] : [mm0, mm1, imm];
}
function run(sem: string, state: EvalState, operands: readonly EvalOperand[]): void {
  const f = MMX[sem];
  if (f === undefined) throw new Error(`no ${sem}`);
  f(new EvalEmit(state, { size: 32, operands }));
}

describe("MMX gives what an Intel processor gives", () => {
  it.each(MMX_RECORDED.map(([name, hash], n) => [name, hash, n] as const))("%s", (name, expected, n) => {
    const [sem = "", immediate] = name.split("_");
    const operands = operandsOf(sem, immediate);
    seed = (0x2545f491 + Math.imul(n, 2654435761)) | 0;
    let hash = 0x811c9dc5;
    for (let i = 0; i < MMX_CASES; i++) {
      const state = new EvalState();
      state.gpr[0] = operand();
      state.gpr[1] = operand();
      run(sem, state, operands);
      for (let k = 0n; k < 64n; k += 8n) hash = Math.imul(hash ^ Number(((state.gpr[0] ?? 0n) >> k) & 0xffn), 0x01000193);
    }
    expect(hash >>> 0).toBe(expected);
  });
});

describe("MMX moves", () => {
  it("MOVD widens with zeros and narrows", () => {
    const state = new EvalState();
    state.gpr[0] = 0x1122334455667788n;
    state.gpr[1] = 0xaabbccddeeff0011n;
    run("movd", state, [
      { kind: "reg", size: 64, index: 0 },
      { kind: "reg", size: 32, index: 1 },
    ]);
    expect(state.gpr[0]).toBe(0xeeff0011n);
    run("movd", state, [
      { kind: "mem", size: 32, disp: 0x100n, write: true },
      { kind: "reg", size: 64, index: 1 },
    ]);
    expect(state.peekBytes(0x100n, 64)).toBe(0xeeff0011n);
  });
  it("PUNPCKLBW takes 32 bits from memory", () => {
    const state = new EvalState();
    state.gpr[0] = 0xffffffff04030201n;
    state.pokeBytes(0x100n, 64, 0xeeeeeeee14131211n);
    run("punpcklbw", state, [
      { kind: "reg", size: 64, index: 0 },
      { kind: "mem", size: 32, disp: 0x100n },
    ]);
    expect(state.gpr[0]).toBe(0x1404130312021101n);
  });
  it("MASKMOVQ writes the chosen bytes only", () => {
    const state = new EvalState();
    state.gpr[0] = 0x8877665544332211n;
    state.gpr[1] = 0x80007f00ff000080n;
    state.gpr[7] = 0x200n;
    state.pokeBytes(0x200n, 64, 0xccccccccccccccccn);
    run("maskmovq", state, [
      { kind: "reg", size: 64, index: 0 },
      { kind: "reg", size: 64, index: 1 },
    ]);
    expect(state.peekBytes(0x200n, 64)).toBe(0x88cccccc44cccc11n);
  });
});
