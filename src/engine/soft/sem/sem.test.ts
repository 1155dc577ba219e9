import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EvalEmit, EvalFault, EvalState, type EvalOperand, type EvalOptions, FLAG_BITS } from "./eval.testing.ts";
import { SEMANTICS } from "./index.ts";
import { RECORDED, RECORDED_CASES } from "./recorded.testing.ts";
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

function hashOf(name: string, cases: number): number {
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

// ---- decimal adjustment, which no 64-bit program can record: the manual's pseudo-code, all inputs

interface Decimal {
  readonly ax: number;
  readonly cf: boolean;
  readonly af: boolean;
}

const MANUAL: Readonly<Record<string, (ax: number, cf: boolean, af: boolean) => Decimal>> = {
  daa(ax, cf, af) {
    let al = ax & 0xff;
    const oldAl = al;
    let carry = false;
    let adjust = false;
    if ((al & 15) > 9 || af) {
      carry = cf || al + 6 > 0xff;
      al = (al + 6) & 0xff;
      adjust = true;
    }
    if (oldAl > 0x99 || cf) {
      al = (al + 0x60) & 0xff;
      carry = true;
    } else carry = false;
    return { ax: (ax & 0xff00) | al, cf: carry, af: adjust };
  },
  das(ax, cf, af) {
    let al = ax & 0xff;
    const oldAl = al;
    let carry = false;
    let adjust = false;
    if ((al & 15) > 9 || af) {
      carry = cf || al < 6;
      al = (al - 6) & 0xff;
      adjust = true;
    }
    if (oldAl > 0x99 || cf) {
      al = (al - 0x60) & 0xff;
      carry = true;
    }
    return { ax: (ax & 0xff00) | al, cf: carry, af: adjust };
  },
  aaa(ax, _cf, af) {
    const adjust = (ax & 15) > 9 || af;
    return { ax: (adjust ? (ax + 0x106) & 0xffff : ax) & 0xff0f, cf: adjust, af: adjust };
  },
  aas(ax, _cf, af) {
    const adjust = (ax & 15) > 9 || af;
    let r = ax;
    if (adjust) {
      r = (r - 6) & 0xffff;
      r = (r - 0x100) & 0xffff;
    }
    return { ax: r & 0xff0f, cf: adjust, af: adjust };
  },
  aam: (ax) => ({ ax: (Math.floor((ax & 0xff) / 10) << 8) | ((ax & 0xff) % 10), cf: false, af: false }),
  // CF and AF are undefined in the manual; silicon gives those of the addition.
  aad: (ax) => {
    const [al, product] = [ax & 0xff, ((ax >> 8) * 10) & 0xff];
    return { ax: (al + product) & 0xff, cf: al + product > 0xff, af: (al & 15) + (product & 15) > 15 };
  },
};

describe("decimal adjustment follows the manual for every AL, CF and AF", () => {
  it.each(Object.keys(MANUAL))("%s", (name) => {
    const model = MANUAL[name];
    for (let n = 0; n < 256 * 4 * 3; n++) {
      const ax = (n & 0xff) | (([0x00, 0x35, 0xff][(n >> 10) % 3] ?? 0) << 8);
      const [cf, af] = [(n & 0x100) !== 0, (n & 0x200) !== 0];
      const state = new EvalState();
      state.gpr[0] = BigInt(ax);
      state.setArithmeticFlags((cf ? 1 : 0) | (af ? 0x10 : 0));
      run(name, state, { size: 8, codeSize: 32, operands: [imm(10)] });
      const got = { ax: Number(state.gpr[0]), cf: state.flags.cf === 1, af: state.flags.af === 1 };
      expect({ n, ...got }).toEqual({ n, ...model?.(ax, cf, af) });
      const al = got.ax & 0xff;
      expect([state.flags.zf, state.flags.sf]).toEqual([al === 0 ? 1 : 0, al >> 7]);
    }
  });

  it("AAM with base 0 raises #DE and changes nothing", () => {
    const state = new EvalState();
    state.gpr[0] = 0x1234n;
    expect(run("aam", state, { size: 8, operands: [imm(0)] }).fault).toBe(0);
    expect(state.gpr[0]).toBe(0x1234n);
  });
});

// ---- division beyond what random operands reach

describe("64-bit division", () => {
  const wide = fc.oneof(
    fc.bigInt(0n, (1n << 64n) - 1n),
    fc.bigInt(0n, 64n),
    fc.integer({ min: 0, max: 63 }).map((n) => (1n << 64n) - (1n << BigInt(n))),
  );

  it("DIV equals bigint division whenever the quotient fits", () => {
    fc.assert(
      fc.property(wide, wide, wide, (high, low, divisor) => {
        const state = new EvalState();
        state.gpr.splice(0, 4, low, 0n, high, divisor);
        const { fault } = run("div", state, { size: 64, operands: [reg(3, 64)] });
        const dividend = (high << 64n) | low;
        if (divisor === 0n || dividend / divisor >= 1n << 64n) expect(fault).toBe(0);
        else expect([state.gpr[0], state.gpr[2]]).toEqual([dividend / divisor, dividend % divisor]);
      }),
      { seed: 1, numRuns: 3000 },
    );
  });

  it("IDIV truncates towards zero and raises #DE outside the signed range", () => {
    fc.assert(
      fc.property(wide, wide, wide, (high, low, divisor) => {
        const state = new EvalState();
        state.gpr.splice(0, 4, low, 0n, high, divisor);
        const { fault } = run("idiv", state, { size: 64, operands: [reg(3, 64)] });
        const dividend = BigInt.asIntN(128, (high << 64n) | low);
        const by = BigInt.asIntN(64, divisor);
        if (by === 0n || BigInt.asIntN(64, dividend / by) !== dividend / by) expect(fault).toBe(0);
        else expect([state.gpr[0], state.gpr[2]]).toEqual([BigInt.asUintN(64, dividend / by), BigInt.asUintN(64, dividend % by)]);
      }),
      { seed: 2, numRuns: 3000 },
    );
  });
});

// ---- memory, stack, branches

const mem = (size: OpSize, more: { base?: number; disp?: bigint; write?: boolean } = {}): EvalOperand => ({
  kind: "mem",
  size,
  disp: 0x5000n,
  ...more,
});

function stateWith(set: {
  gpr?: Readonly<Record<number, bigint>>;
  memory?: readonly (readonly [at: bigint, size: OpSize, value: bigint])[];
  stackSize?: 16 | 32 | 64;
}): EvalState {
  const state = new EvalState();
  for (let i = 0; i < 16; i++) state.gpr[i] = BigInt(i + 1) * 0x1111_1111_1111n;
  state.gpr[4] = 0x8000n;
  for (const [index, value] of Object.entries(set.gpr ?? {})) state.gpr[Number(index)] = value;
  for (const [at, size, value] of set.memory ?? []) state.pokeBytes(at, size, value);
  state.stackSize = set.stackSize ?? 64;
  return state;
}

describe("stack", () => {
  it("PUSH SP stores the old value, POP SP takes the popped one", () => {
    const state = stateWith({});
    run("push", state, { size: 64, operands: [reg(4, 64)] });
    expect([state.gpr[4], state.peekBytes(0x7ff8n, 64)]).toEqual([0x7ff8n, 0x8000n]);
    run("pop", state, { size: 64, operands: [reg(4, 64)] });
    expect(state.gpr[4]).toBe(0x8000n);
  });

  it("POP [SP+disp] counts from the SP after the pop", () => {
    const state = stateWith({ memory: [[0x8000n, 64, 0x1234n]] });
    run("pop", state, { size: 64, operands: [mem(64, { base: 4, disp: 0x10n, write: true })] });
    expect([state.gpr[4], state.peekBytes(0x8018n, 64)]).toEqual([0x8008n, 0x1234n]);
  });

  it("a 16-bit stack wraps and keeps what lies above SP", () => {
    const state = stateWith({ gpr: { 4: 0xabcd_0000n }, stackSize: 16 });
    run("push", state, { size: 16, codeSize: 16, operands: [imm(-2, 16)] });
    expect([state.gpr[4], state.peekBytes(0xfffen, 16)]).toEqual([0xabcd_fffen, 0xfffen]);
  });

  it("PUSHA stores SP as it was, and POPA after it restores all", () => {
    const state = stateWith({ stackSize: 32 });
    const before = state.gpr.map((v) => v & 0xffffffffn);
    run("pusha", state, { size: 32, codeSize: 32 });
    expect(state.gpr[4]).toBe(0x7fe0n);
    expect(state.peekBytes(0x7fecn, 32)).toBe(0x8000n);
    for (const i of [0, 1, 2, 3, 5, 6, 7]) state.gpr[i] = 0n;
    run("popa", state, { size: 32, codeSize: 32 });
    expect(state.gpr.slice(0, 8)).toEqual(before.slice(0, 8));
  });

  it("ENTER n, 3 copies two frame pointers and its own, LEAVE undoes it", () => {
    const state = stateWith({
      gpr: { 5: 0x9000n },
      memory: [
        [0x8ffcn, 32, 0xaan],
        [0x8ff8n, 32, 0xbbn],
      ],
      stackSize: 32,
    });
    run("enter", state, { size: 32, codeSize: 32, operands: [imm(0x20, 16), imm(3)] });
    expect([0x7ffcn, 0x7ff8n, 0x7ff4n, 0x7ff0n].map((at) => state.peekBytes(at, 32))).toEqual([0x9000n, 0xaan, 0xbbn, 0x7ffcn]);
    expect([state.gpr[4], state.gpr[5]]).toEqual([0x7fd0n, 0x7ffcn]);
    run("leave", state, { size: 32, codeSize: 32 });
    expect([state.gpr[4], state.gpr[5]]).toEqual([0x8000n, 0x9000n]);
  });

  it("ENTER takes both numbers from one immediate as well", () => {
    const [two, one] = [stateWith({}), stateWith({})];
    run("enter", two, { size: 64, operands: [imm(0xfff0, 16), imm(3)] });
    run("enter", one, { size: 64, operands: [imm(0x3fff0, 32)] });
    expect(one.gpr).toEqual(two.gpr);
  });

  it("LEAVE with a 16-bit stack takes BP and keeps the upper half of ESP", () => {
    const state = stateWith({ gpr: { 4: 0x12340000n, 5: 0x99997000n }, memory: [[0x7000n, 32, 0xcafen]], stackSize: 16 });
    run("leave", state, { size: 32, codeSize: 16 });
    expect([state.gpr[4], state.gpr[5]]).toEqual([0x12347004n, 0xcafen]);
  });
});

describe("branches", () => {
  it("CALL [SP+disp] reads its target before the push", () => {
    const state = stateWith({ memory: [[0x8000n, 64, 0x4444n]] });
    const { jumpedTo } = run("call_ind", state, { size: 64, operands: [mem(64, { base: 4, disp: 0n })] });
    expect([jumpedTo, state.gpr[4], state.peekBytes(0x7ff8n, 64)]).toEqual([0x4444n, 0x7ff8n, 0x1000n]);
  });

  it.each([
    ["call", {}],
    ["call_ind", {}],
    ["ret", {}],
    ["ret_imm", {}],
    ["loop", {}],
    ["jmp_ind", {}],
  ])("%s beyond the CS limit faults before it changes anything", (name) => {
    const state = stateWith({ memory: [[0x8000n, 32, 0x20000n]], gpr: { 0: 0x20000n }, stackSize: 32 });
    state.ipLimit = 0xffffn;
    const before = [...state.gpr];
    const operands = name === "ret_imm" ? [imm(8, 16)] : name.endsWith("_ind") ? [reg(0, 32)] : [{ kind: "rel", size: 32, value: 0x20000n } as const];
    expect(run(name, state, { size: 32, codeSize: 32, operands }).fault).toBe(13);
    expect(state.gpr).toEqual(before);
  });

  it("LOOP in 16-bit address size counts CX only and wraps from 0", () => {
    const state = stateWith({ gpr: { 1: 0xabcd0000n } });
    const { jumpedTo } = run("loop", state, { size: 16, codeSize: 16, addrSize: 16, operands: [{ kind: "rel", size: 8, value: -0x10n }] });
    expect([jumpedTo, state.gpr[1]]).toEqual([0xff0n, 0xabcdffffn]);
  });

  it("RET imm releases the immediate's bytes, unsigned", () => {
    const state = stateWith({ memory: [[0x8000n, 16, 0x77n]], stackSize: 32 });
    expect(run("ret_imm", state, { size: 16, codeSize: 16, operands: [imm(-2, 16)] }).jumpedTo).toBe(0x77n);
    expect(state.gpr[4]).toBe(0x8000n + 2n + 0xfffen);
  });
});

describe("memory operands", () => {
  it("BTS with a negative register offset reaches below the operand", () => {
    const state = stateWith({ gpr: { 3: 0xffff_ffffn } });
    run("bts", state, { size: 32, operands: [mem(32), reg(3, 32)] });
    expect([state.peekBytes(0x4ffcn, 32), state.flags.cf]).toEqual([0x8000_0000n, 0]);
  });

  it("BT with an immediate stays inside the operand", () => {
    const state = stateWith({ memory: [[0x5000n, 16, 2n]] });
    run("bt", state, { size: 16, operands: [mem(16), imm(17)] });
    expect(state.flags.cf).toBe(1);
  });

  it("CMPXCHG8B exchanges on equality and loads EDX:EAX otherwise", () => {
    const state = stateWith({ gpr: { 0: 0x1n, 2: 0x2n, 3: 0x3n, 1: 0x4n }, memory: [[0x5000n, 64, 0x2_0000_0001n]] });
    run("cmpxchg8b", state, { size: 32, operands: [mem(64)] });
    expect([state.peekBytes(0x5000n, 64), state.flags.zf]).toEqual([0x4_0000_0003n, 1]);
    run("cmpxchg8b", state, { size: 32, operands: [mem(64)] });
    expect([state.gpr[0], state.gpr[2], state.flags.zf]).toEqual([3n, 4n, 0]);
  });

  it("CMPXCHG16B off its alignment raises #GP", () => {
    expect(run("cmpxchg16b", stateWith({}), { size: 64, operands: [mem(64, { disp: 0x5008n })] }).fault).toBe(13);
  });

  it("MOVS moves down when DF is set, with the address size's wrap", () => {
    const state = stateWith({ gpr: { 6: 0x5000n, 7: 0x0n }, memory: [[0x5000n, 16, 0xbeefn]] });
    run("std", state, { size: 8 });
    run("movs", state, { size: 16, addrSize: 16 });
    expect([state.peekBytes(0n, 16), state.gpr[6], state.gpr[7]]).toEqual([0xbeefn, 0x4ffen, 0xfffen]);
  });

  it.each([8, 16, 32, 64] as const)("a string step of %i bits moves by its size", (size) => {
    const state = stateWith({ gpr: { 6: 0x100n, 7: 0x200n } });
    run("cmps", state, { size });
    expect([state.gpr[6], state.gpr[7]]).toEqual([0x100n + BigInt(size / 8), 0x200n + BigInt(size / 8)]);
    run("std", state, { size: 8 });
    run("cmps", state, { size });
    expect([state.gpr[6], state.gpr[7]]).toEqual([0x100n, 0x200n]);
  });

  it("BOUND raises #BR outside its bounds only", () => {
    const memory = [
      [0x5000n, 16, 0xfffen],
      [0x5002n, 16, 5n],
    ] as const;
    const fault = (index: bigint): number | undefined =>
      run("bound", stateWith({ gpr: { 0: index }, memory }), { size: 16, operands: [reg(0, 16), mem(32)] }).fault;
    expect([0xfffdn, 0xfffen, 0n, 5n, 6n].map(fault)).toEqual([5, undefined, undefined, undefined, 5]);
  });

  it("MOVBE reverses 16, 32 and 64 bits", () => {
    const state = stateWith({ memory: [[0x5000n, 64, 0x0102030405060708n]], gpr: { 0: 0n } });
    const moved = ([16, 32, 64] as const).map((size) => {
      run("movbe", state, { size, operands: [reg(0, size), mem(size)] });
      return state.gpr[0];
    });
    expect(moved).toEqual([0x0807n, 0x08070605n, 0x0807060504030201n]);
  });
});

// ---- restartability

const M64 = [mem(64), reg(3, 64)];
const FAULTING: readonly (readonly [name: string, options: EvalOptions])[] = [
  ...["add", "adc", "sub", "sbb", "and", "or", "xor", "cmp", "test", "xadd", "xchg", "cmpxchg", "bts", "btc", "btr", "bt"].map(
    (name) => [name, { size: 64, operands: M64 }] as const,
  ),
  ...["inc", "dec", "neg", "not", "mul", "imul1", "push", "call_ind", "jmp_ind", "cmpxchg8b", "cmpxchg16b"].map(
    (name) => [name, { size: 64, operands: [mem(64)] }] as const,
  ),
  ...["shl", "rcl", "sar"].map((name) => [name, { size: 64, operands: [mem(64), reg(1, 8)] }] as const),
  ["shld", { size: 64, operands: [mem(64), reg(3, 64), reg(1, 8)] }],
  ["pop", { size: 64, operands: [mem(64, { write: true })] }],
  ["mov", { size: 64, operands: [mem(64, { write: true }), reg(0, 64)] }],
  ["setcc", { size: 8, cc: 4, operands: [mem(8, { write: true })] }],
  ["cmovcc", { size: 64, cc: 4, operands: [reg(0, 64), mem(64)] }],
  ["call", { size: 64, operands: [{ kind: "rel", size: 32, value: 0x10n }] }],
  ["enter", { size: 64, operands: [imm(16, 16), imm(4)] }],
  ...["ret", "leave", "movs", "stos", "lods", "scas", "cmps", "xlat"].map((name) => [name, { size: 64 }] as const),
  ...["pusha", "popa", "enter"].map((name) => [name, { size: 32, codeSize: 32, operands: [imm(16, 16), imm(4)] }] as const),
];

describe("a page fault at any access leaves registers and flags as they were", () => {
  it.each(FAULTING)("%s", (name, options) => {
    let faults = 0;
    for (let at = 0; at < 40; at++) {
      const state = stateWith({ gpr: { 1: 3n } });
      state.stackSize = options.codeSize === 32 ? 32 : 64;
      state.setArithmeticFlags(0x8d5);
      state.faultAt = at;
      const before = [...state.gpr];
      const { fault } = run(name, state, options);
      if (fault === undefined) break;
      faults++;
      expect([fault, state.gpr, state.arithmeticFlags()]).toEqual([14, before, 0x8d5]);
      if (name !== "enter") expect(state.memory.size === 0 || [...state.memory.values()].every((b) => b === 0)).toBe(true);
    }
    expect(faults).toBeGreaterThan(0);
  });
});

describe("flags", () => {
  it("LAHF and SAHF carry all five flags and leave OF", () => {
    const state = stateWith({ gpr: { 0: 0xff00n } });
    state.setArithmeticFlags(1 << FLAG_BITS.of);
    run("sahf", state, { size: 8 });
    expect(state.arithmeticFlags()).toBe(0x8d5);
    run("lahf", state, { size: 8 });
    expect(state.gpr[0]).toBe(0xd700n);
  });
});
