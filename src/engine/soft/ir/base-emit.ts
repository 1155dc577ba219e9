import { OP, type SimdOp } from "../../../wasm/index.ts";
import { STATE } from "../state-layout.ts";
import type { Mutable, OpSize, Ty, Val } from "./emit.ts";
import { makeNode, type MutableNode, type Node } from "./nodes.ts";

const node = (v: Val): Node => v as Node; // oxlint-disable-line no-unsafe-type-assertion -- every Val is made here

/** Arithmetic and control of the Emit language over the IR. */
export abstract class BaseEmit {
  nodes: Node[] = [];

  protected append(n: Node): Node {
    this.nodes.push(n);
    return n;
  }
  #bin(op32: number, op64: number, a: Val, b: Val, result?: Ty): Node {
    if (a.ty !== b.ty) throw new Error(`operand types differ: ${a.ty}, ${b.ty}`);
    return this.append(makeNode("op", result ?? a.ty, { opcode: a.ty === "i32" ? op32 : op64, args: [node(a), node(b)] }));
  }
  #un(op32: number, op64: number, a: Val, result?: Ty): Node {
    return this.append(makeNode("op", result ?? a.ty, { opcode: a.ty === "i32" ? op32 : op64, args: [node(a)] }));
  }
  #constant(v: Val): number | bigint | undefined {
    const n = node(v);
    return n.kind === "const" ? n.value : undefined;
  }

  // ---- constants and arithmetic
  i32(n: number): Node {
    return this.append(makeNode("const", "i32", { value: n | 0 }));
  }
  i64(n: number | bigint): Node {
    return this.append(makeNode("const", "i64", { value: BigInt.asIntN(64, BigInt(n)) }));
  }
  konst(size: OpSize, n: number): Node {
    return size === 64 ? this.i64(n) : this.i32(n);
  }
  add(a: Val, b: Val): Node {
    return this.#bin(OP.i32_add, OP.i64_add, a, b);
  }
  sub(a: Val, b: Val): Node {
    return this.#bin(OP.i32_sub, OP.i64_sub, a, b);
  }
  mul(a: Val, b: Val): Node {
    return this.#bin(OP.i32_mul, OP.i64_mul, a, b);
  }
  and(a: Val, b: Val): Node {
    return this.#bin(OP.i32_and, OP.i64_and, a, b);
  }
  or(a: Val, b: Val): Node {
    return this.#bin(OP.i32_or, OP.i64_or, a, b);
  }
  xor(a: Val, b: Val): Node {
    return this.#bin(OP.i32_xor, OP.i64_xor, a, b);
  }
  not(a: Val): Node {
    return this.xor(a, a.ty === "i32" ? this.i32(-1) : this.i64(-1));
  }
  neg(a: Val): Node {
    return this.sub(a.ty === "i32" ? this.i32(0) : this.i64(0), a);
  }
  shl(a: Val, n: Val): Node {
    return this.#bin(OP.i32_shl, OP.i64_shl, a, n);
  }
  shrU(a: Val, n: Val): Node {
    return this.#bin(OP.i32_shr_u, OP.i64_shr_u, a, n);
  }
  shrS(a: Val, n: Val): Node {
    return this.#bin(OP.i32_shr_s, OP.i64_shr_s, a, n);
  }
  rotl(a: Val, n: Val): Node {
    return this.#bin(OP.i32_rotl, OP.i64_rotl, a, n);
  }
  rotr(a: Val, n: Val): Node {
    return this.#bin(OP.i32_rotr, OP.i64_rotr, a, n);
  }
  clz(a: Val): Node {
    return this.#un(OP.i32_clz, OP.i64_clz, a);
  }
  ctz(a: Val): Node {
    return this.#un(OP.i32_ctz, OP.i64_ctz, a);
  }
  popcnt(a: Val): Node {
    return this.#un(OP.i32_popcnt, OP.i64_popcnt, a);
  }
  // Division traps in Wasm, so it keeps its place: behind the guard that a semantic function puts before it.
  #division(op32: number, op64: number, a: Val, b: Val): Node {
    const n = this.#bin(op32, op64, a, b);
    const m = this.mutable(n.ty, n);
    return this.get(m);
  }
  divU(a: Val, b: Val): Node {
    return this.#division(OP.i32_div_u, OP.i64_div_u, a, b);
  }
  divS(a: Val, b: Val): Node {
    return this.#division(OP.i32_div_s, OP.i64_div_s, a, b);
  }
  remU(a: Val, b: Val): Node {
    return this.#division(OP.i32_rem_u, OP.i64_rem_u, a, b);
  }
  remS(a: Val, b: Val): Node {
    return this.#division(OP.i32_rem_s, OP.i64_rem_s, a, b);
  }
  eqz(a: Val): Node {
    return this.#un(OP.i32_eqz, OP.i64_eqz, a, "i32");
  }
  eq(a: Val, b: Val): Node {
    return this.#bin(OP.i32_eq, OP.i64_eq, a, b, "i32");
  }
  ne(a: Val, b: Val): Node {
    return this.#bin(OP.i32_ne, OP.i64_ne, a, b, "i32");
  }
  ltU(a: Val, b: Val): Node {
    return this.#bin(OP.i32_lt_u, OP.i64_lt_u, a, b, "i32");
  }
  ltS(a: Val, b: Val): Node {
    return this.#bin(OP.i32_lt_s, OP.i64_lt_s, a, b, "i32");
  }
  leU(a: Val, b: Val): Node {
    return this.#bin(OP.i32_le_u, OP.i64_le_u, a, b, "i32");
  }
  leS(a: Val, b: Val): Node {
    return this.#bin(OP.i32_le_s, OP.i64_le_s, a, b, "i32");
  }
  gtU(a: Val, b: Val): Node {
    return this.#bin(OP.i32_gt_u, OP.i64_gt_u, a, b, "i32");
  }
  gtS(a: Val, b: Val): Node {
    return this.#bin(OP.i32_gt_s, OP.i64_gt_s, a, b, "i32");
  }
  geU(a: Val, b: Val): Node {
    return this.#bin(OP.i32_ge_u, OP.i64_ge_u, a, b, "i32");
  }
  geS(a: Val, b: Val): Node {
    return this.#bin(OP.i32_ge_s, OP.i64_ge_s, a, b, "i32");
  }
  select(condition: Val, whenTrue: Val, whenFalse: Val): Node {
    if (whenTrue.ty !== whenFalse.ty || condition.ty !== "i32") throw new Error("select: types differ");
    return this.append(makeNode("select", whenTrue.ty, { args: [node(whenTrue), node(whenFalse), node(condition)] }));
  }
  wrap(a: Val): Node {
    if (a.ty === "i32") return node(a);
    return this.append(makeNode("op", "i32", { opcode: OP.i32_wrap_i64, args: [node(a)] }));
  }
  extU(a: Val): Node {
    if (a.ty === "i64") return node(a);
    return this.append(makeNode("op", "i64", { opcode: OP.i64_extend_i32_u, args: [node(a)] }));
  }
  extS(a: Val): Node {
    if (a.ty === "i64") return node(a);
    return this.append(makeNode("op", "i64", { opcode: OP.i64_extend_i32_s, args: [node(a)] }));
  }
  sx(a: Val, from: OpSize): Node {
    if (a.ty === "i32") return from === 8 ? this.#un(OP.i32_extend8_s, 0, a) : from === 16 ? this.#un(OP.i32_extend16_s, 0, a) : node(a);
    return from === 8
      ? this.#un(0, OP.i64_extend8_s, a)
      : from === 16
        ? this.#un(0, OP.i64_extend16_s, a)
        : from === 32
          ? this.#un(0, OP.i64_extend32_s, a)
          : node(a);
  }
  trunc(a: Val, size: OpSize): Node {
    const c = this.#constant(a);
    if (a.ty === "i32") {
      if (size >= 32) return node(a);
      const mask = size === 8 ? 0xff : 0xffff;
      return c !== undefined ? this.i32(Number(c) & mask) : this.and(a, this.i32(mask));
    }
    if (size === 64) return node(a);
    return this.and(a, this.i64(size === 8 ? 0xff : size === 16 ? 0xffff : 0xffffffff));
  }
  toSize(a: Val, size: OpSize): Node {
    if (size === 64) return this.extU(a);
    return this.trunc(this.wrap(a), size);
  }

  // ---- vectors and floating point
  v(op: SimdOp, ...args: readonly Val[]): Node {
    return this.append(makeNode("op", op.result, { opcode: op.op, args: args.map(node) }));
  }
  lane(op: SimdOp, lane: number, ...args: readonly Val[]): Node {
    return this.append(makeNode("lane", op.result, { opcode: op.op, offset: lane, args: args.map(node) }));
  }
  shuffle(a: Val, b: Val, bytes: readonly number[]): Node {
    let value = 0n;
    for (let i = 15; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
    return this.append(makeNode("shuffle", "v128", { args: [node(a), node(b)], value }));
  }
  vconst(value: bigint): Node {
    return this.append(makeNode("const", "v128", { value }));
  }
  float(opcode: number, result: "i32" | "i64" | "f32" | "f64", ...args: readonly Val[]): Node {
    return this.append(makeNode("op", result, { opcode, args: args.map(node) }));
  }
  mxcsr(): Node {
    return this.state32(STATE.mxcsr);
  }

  // ---- control
  mutable(ty: Ty, init: Val): Mutable {
    const m: MutableNode = { ty, local: -1 };
    this.append(makeNode("set", ty, { args: [node(init)], mutable: m }));
    return m;
  }
  get(m: Mutable): Node {
    return this.append(makeNode("get", m.ty, { mutable: m as MutableNode })); // oxlint-disable-line no-unsafe-type-assertion
  }
  set(m: Mutable, v: Val): void {
    if (m.ty !== v.ty) throw new Error("set: types differ");
    this.append(makeNode("set", m.ty, { args: [node(v)], mutable: m as MutableNode })); // oxlint-disable-line no-unsafe-type-assertion
  }
  if(condition: Val, then: () => void, otherwise?: () => void): void {
    this.append(makeNode("if", "i32", { args: [node(condition)] }));
    then();
    if (otherwise !== undefined) {
      this.append(makeNode("else", "i32"));
      otherwise();
    }
    this.append(makeNode("end", "i32"));
  }
  loop(body: (breakIf: (condition: Val) => void) => void): void {
    this.append(makeNode("loop", "i32"));
    body((condition) => {
      this.append(makeNode("break-if", "i32", { args: [node(condition)] }));
    });
    this.append(makeNode("end", "i32"));
  }

  // ---- raw memory of the engine (state, tables, guest RAM by wasm address)
  rawLoad(ty: Ty, opcode: number, address: Val, offset = 0): Node {
    return this.append(makeNode("load", ty, { opcode, args: [node(address)], offset }));
  }
  rawStore(opcode: number, address: Val, value: Val, offset = 0): void {
    this.append(makeNode("store", "i32", { opcode, args: [node(address), node(value)], offset }));
  }
  call(f: number, result: Ty, args: readonly Val[]): Node {
    return this.append(makeNode("call", result, { opcode: f, args: args.map(node) }));
  }
  tableCall(signature: number, args: readonly Val[]): Node {
    return this.append(makeNode("table-call", "i32", { types: { signature }, args: args.map(node) }));
  }
  raw(hook: () => void): void {
    this.append(makeNode("raw", "i32", { hook }));
  }
  leaveIf(condition: Val, hook: () => void): void {
    this.append(makeNode("leave-if", "i32", { args: [node(condition)], hook }));
  }
  state32(field: { readonly offset: number }): Node {
    return this.rawLoad("i32", OP.i32_load, this.i32(0), field.offset);
  }
  state64(field: { readonly offset: number }): Node {
    return this.rawLoad("i64", OP.i64_load, this.i32(0), field.offset);
  }
  setState32(field: { readonly offset: number }, v: Val): void {
    this.rawStore(OP.i32_store, this.i32(0), v, field.offset);
  }
  setState64(field: { readonly offset: number }, v: Val): void {
    this.rawStore(OP.i64_store, this.i32(0), v, field.offset);
  }
}
