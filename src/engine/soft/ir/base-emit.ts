import { OP, type SimdOp } from "../../../wasm/index.ts";
import { STATE } from "../state-layout.ts";
import type { Emit, FlagBits, Mutable, OpSize, Segment, Ty, Val } from "./emit.ts";
import { makeNode, type MutableNode, type Node } from "./nodes.ts";

const node = (v: Val): Node => v as Node; // oxlint-disable-line no-unsafe-type-assertion -- every Val is made here

/** Arithmetic, control and flags of the Emit language over the IR; back ends add operands, registers, memory, exits. */
export abstract class BaseEmit implements Emit {
  nodes: Node[] = [];
  abstract readonly size: OpSize;
  abstract readonly addrSize: 16 | 32 | 64;
  abstract readonly codeSize: 16 | 32 | 64;
  abstract readonly cc: number;

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

  // ---- flags: see flags-state.ts for the representation
  protected loadFlagRes(): Node {
    return this.state64(STATE.flagRes);
  }
  protected loadFlagAux(): Node {
    return this.state32(STATE.flagAux);
  }
  protected storeFlags(res: Val, aux: Val): void {
    this.setState64(STATE.flagRes, res);
    this.setState32(STATE.flagAux, aux);
  }
  protected storeFlagAux(aux: Val): void {
    this.setState32(STATE.flagAux, aux);
  }
  #signed64(size: OpSize, r: Val): Val {
    return size === 64 ? r : this.extS(this.sx(r, size));
  }
  /** aux word from a vector of carries out of each bit. */
  #auxOf(size: OpSize, carries: Val): Val {
    const af = this.i32(8);
    if (size === 64) {
      const high = this.and(this.wrap(this.shrU(carries, this.i64(32))), this.i32(0xc0000000));
      return this.or(high, this.and(this.wrap(carries), af));
    }
    if (size === 32) return this.and(carries, this.i32(0xc0000008));
    return this.or(this.and(this.shl(carries, this.i32(32 - size)), this.i32(0xc0000000)), this.and(carries, af));
  }
  flagsAdd(size: OpSize, a: Val, b: Val, r: Val): void {
    // carries out of every bit of a + b = r
    const carries = this.or(this.and(a, b), this.and(this.or(a, b), this.not(r)));
    this.storeFlags(this.#signed64(size, r), this.#auxOf(size, carries));
  }
  flagsSub(size: OpSize, a: Val, b: Val, r: Val): void {
    // borrows into every bit of a - b = r
    const borrows = this.or(this.and(this.not(a), b), this.and(this.or(this.not(a), b), r));
    this.storeFlags(this.#signed64(size, r), this.#auxOf(size, borrows));
  }
  flagsAdc(size: OpSize, a: Val, b: Val, r: Val): void {
    this.flagsAdd(size, a, b, r);
  }
  flagsSbb(size: OpSize, a: Val, b: Val, r: Val): void {
    this.flagsSub(size, a, b, r);
  }
  flagsLogic(size: OpSize, r: Val): void {
    this.storeFlags(this.#signed64(size, r), this.i32(0));
  }
  /** Keeps CF: the carry bit of the new aux is replaced, and the bit below it turned so that OF stays right. */
  #keepCarry(aux: Val): Val {
    const flip = this.and(this.xor(aux, this.loadFlagAux()), this.i32(0x80000000));
    return this.xor(aux, this.or(flip, this.shrU(flip, this.i32(1))));
  }
  flagsInc(size: OpSize, a: Val, r: Val): void {
    const one = this.konst(size, 1);
    const carries = this.or(this.and(a, one), this.and(this.or(a, one), this.not(r)));
    this.storeFlags(this.#signed64(size, r), this.#keepCarry(this.#auxOf(size, carries)));
  }
  flagsDec(size: OpSize, a: Val, r: Val): void {
    const one = this.konst(size, 1);
    const borrows = this.or(this.and(this.not(a), one), this.and(this.or(this.not(a), one), r));
    this.storeFlags(this.#signed64(size, r), this.#keepCarry(this.#auxOf(size, borrows)));
  }
  #carryBits(cf: Val, of: Val): Val {
    return this.or(this.shl(cf, this.i32(31)), this.shl(this.xor(cf, of), this.i32(30)));
  }
  flagsResult(size: OpSize, r: Val, bits: { readonly cf: Val; readonly of: Val; readonly af?: Val }): void {
    let aux: Val = this.#carryBits(bits.cf, bits.of);
    if (bits.af !== undefined) aux = this.or(aux, this.shl(bits.af, this.i32(3)));
    this.storeFlags(this.#signed64(size, r), aux);
  }
  setFlags(bits: FlagBits): void {
    if (bits.zf === undefined && bits.sf === undefined && bits.pf === undefined) {
      // Only carries: the result keeps saying Z, S and P.
      let aux: Val = this.loadFlagAux();
      if (bits.cf !== undefined || bits.of !== undefined) {
        const cf = bits.cf ?? this.flag("cf");
        const of = bits.of ?? this.flag("of");
        aux = this.or(this.and(aux, this.i32(0x3fffffff)), this.#carryBits(cf, of));
      }
      if (bits.af !== undefined) aux = this.or(this.and(aux, this.i32(~8)), this.shl(bits.af, this.i32(3)));
      this.storeFlagAux(aux);
      return;
    }
    const all = (name: "cf" | "pf" | "af" | "zf" | "sf" | "of"): Val => bits[name] ?? this.flag(name);
    const [cf, pf, af, zf, sf, of] = [all("cf"), all("pf"), all("af"), all("zf"), all("sf"), all("of")];
    const aux = this.or(this.or(this.#carryBits(cf, of), this.shl(af, this.i32(3))), this.or(this.shl(this.xor(pf, zf), this.i32(8)), sf));
    this.storeFlags(this.extU(this.xor(zf, this.i32(1))), aux);
  }
  flag(name: "cf" | "pf" | "af" | "zf" | "sf" | "of"): Node {
    switch (name) {
      case "cf":
        return this.shrU(this.loadFlagAux(), this.i32(31));
      case "of": {
        const aux = this.loadFlagAux();
        return this.shrU(this.xor(aux, this.shl(aux, this.i32(1))), this.i32(31));
      }
      case "af":
        return this.and(this.shrU(this.loadFlagAux(), this.i32(3)), this.i32(1));
      case "zf":
        return this.eqz(this.loadFlagRes());
      case "sf":
        return this.xor(this.wrap(this.shrU(this.loadFlagRes(), this.i64(63))), this.and(this.loadFlagAux(), this.i32(1)));
      case "pf": {
        const low = this.xor(this.wrap(this.loadFlagRes()), this.shrU(this.loadFlagAux(), this.i32(8)));
        return this.xor(this.and(this.popcnt(this.and(low, this.i32(0xff))), this.i32(1)), this.i32(1));
      }
    }
  }
  condition(cc: number): Node {
    const positive = (): Node => {
      switch (cc >> 1) {
        case 0:
          return this.flag("of");
        case 1:
          return this.flag("cf");
        case 2:
          return this.flag("zf");
        case 3:
          return this.or(this.flag("cf"), this.flag("zf"));
        case 4:
          return this.flag("sf");
        case 5:
          return this.flag("pf");
        case 6:
          return this.xor(this.flag("sf"), this.flag("of"));
        default:
          return this.or(this.flag("zf"), this.xor(this.flag("sf"), this.flag("of")));
      }
    };
    return (cc & 1) === 1 ? this.eqz(positive()) : positive();
  }
  systemFlags(): Node {
    return this.state32(STATE.eflags);
  }
  changeSystemFlags(clear: number, set: number): void {
    this.setState32(STATE.eflags, this.or(this.and(this.state32(STATE.eflags), this.i32(~clear)), this.i32(set)));
  }

  // ---- left to the back ends
  abstract kind(n: number): "reg" | "mem" | "imm" | "rel" | "none";
  abstract operandSize(n: number): OpSize;
  abstract read(n: number): Val;
  abstract imm64(n: number): Val;
  abstract write(n: number, value: Val): void;
  abstract probe(n: number): void;
  abstract address(n: number): Val;
  abstract segment(n: number): Segment;
  abstract gpr(index: number, size: OpSize): Val;
  abstract setGpr(index: number, size: OpSize, value: Val): void;
  abstract high8(index: number): Val;
  abstract setHigh8(index: number, value: Val): void;
  abstract load(segment: Segment, offset: Val, size: OpSize): Val;
  abstract store(segment: Segment, offset: Val, size: OpSize, value: Val): void;
  abstract probeStore(segment: Segment, offset: Val, size: OpSize): void;
  abstract loadForWrite(segment: Segment, offset: Val, size: OpSize): { readonly value: Val; storeBack(value: Val): void };
  abstract stringSource(): Segment;
  abstract maskAddress(offset: Val): Val;
  abstract addrReg(index: number): Val;
  abstract setAddrReg(index: number, value: Val): void;
  abstract push(size: 16 | 32 | 64, value: Val): void;
  abstract peek(size: 16 | 32 | 64, offset: number): Val;
  abstract addRsp(bytes: Val): void;
  abstract nextIp(): Val;
  abstract jumpRelative(n: number, condition?: Val): void;
  abstract jump(ip: Val): void;
  abstract checkIp(ip: Val): void;
  abstract faultIf(condition: Val, vector: number, errorCode?: number): void;
}
