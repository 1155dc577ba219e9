import type { Emit, FlagBits, Mutable, OpSize, Segment, Ty, Val } from "../ir/emit.ts";

/**
 * Test support: the Emit language run at once on bigints. Slow and plain on purpose; it is the yardstick for the
 * semantic functions and, through the same tests, for the real back ends.
 */

export type FlagName = "cf" | "pf" | "af" | "zf" | "sf" | "of";

/** Bit positions in EFLAGS. */
export const FLAG_BITS: Readonly<Record<FlagName, number>> = { cf: 0, pf: 2, af: 4, zf: 6, sf: 7, of: 11 };
const FLAG_NAMES: readonly FlagName[] = ["cf", "pf", "af", "zf", "sf", "of"];

export type EvalOperand =
  | { readonly kind: "reg"; readonly size: OpSize; readonly index: number; readonly high?: boolean }
  | {
      readonly kind: "mem";
      readonly size: OpSize;
      readonly segment?: number;
      readonly base?: number;
      readonly disp?: bigint;
      readonly write?: boolean;
    }
  | { readonly kind: "imm"; readonly size: OpSize; readonly value: bigint }
  | { readonly kind: "rel"; readonly size: OpSize; readonly value: bigint };

/** Raised by `faultIf`, the IP checks and memory marked as missing. */
export class EvalFault extends Error {
  readonly vector: number;
  constructor(vector: number) {
    super(`exception ${vector}`);
    this.vector = vector;
  }
}

/** What an instruction sees and changes. Memory is flat: segments have base 0 and are told apart in `accesses` only. */
export class EvalState {
  readonly gpr: bigint[] = Array.from({ length: 16 }, () => 0n);
  readonly flags: Record<FlagName, number> = { cf: 0, pf: 0, af: 0, zf: 0, sf: 0, of: 0 };
  systemFlags = 0x202;
  ip = 0x1000n;
  ipLimit = 0xffff_ffff_ffff_ffffn;
  stackSize: 16 | 32 | 64 = 64;
  readonly memory = new Map<bigint, number>();
  /** The n-th memory access from now raises #PF; -1: none does. */
  faultAt = -1;
  accesses = 0;

  arithmeticFlags(): number {
    return FLAG_NAMES.reduce((sum, name) => sum | (this.flags[name] << FLAG_BITS[name]), 0);
  }
  setArithmeticFlags(word: number): void {
    for (const name of FLAG_NAMES) this.flags[name] = (word >> FLAG_BITS[name]) & 1;
  }
  touch(): void {
    if (this.accesses++ === this.faultAt) throw new EvalFault(14);
  }
  peekBytes(at: bigint, size: OpSize): bigint {
    let value = 0n;
    for (let i = 0; i < size / 8; i++) value |= BigInt(this.memory.get(at + BigInt(i)) ?? 0) << BigInt(8 * i);
    return value;
  }
  pokeBytes(at: bigint, size: OpSize, value: bigint): void {
    for (let i = 0; i < size / 8; i++) this.memory.set(at + BigInt(i), Number((value >> BigInt(8 * i)) & 0xffn));
  }
}

class V implements Val {
  readonly ty: Ty;
  readonly n: bigint;
  constructor(ty: Ty, n: bigint) {
    this.ty = ty;
    this.n = BigInt.asUintN(ty === "i32" ? 32 : 64, n);
  }
}

class M implements Mutable {
  readonly ty: Ty;
  value: V;
  constructor(ty: Ty, value: V) {
    this.ty = ty;
    this.value = value;
  }
}

class Break extends Error {}

const value = (v: Val): V => {
  if (!(v instanceof V)) throw new Error("foreign value");
  return v;
};
const slot = (m: Mutable): M => {
  if (!(m instanceof M)) throw new Error("foreign mutable");
  return m;
};
const width = (v: Val): 32 | 64 => (v.ty === "i32" ? 32 : 64);
const signed = (v: Val): bigint => BigInt.asIntN(width(v), value(v).n);
const maskOf = (size: number): bigint => (1n << BigInt(size)) - 1n;

export interface EvalOptions {
  readonly size: OpSize;
  readonly operands?: readonly EvalOperand[];
  readonly cc?: number;
  readonly addrSize?: 16 | 32 | 64;
  readonly codeSize?: 16 | 32 | 64;
}

export class EvalEmit implements Emit {
  readonly state: EvalState;
  readonly size: OpSize;
  readonly addrSize: 16 | 32 | 64;
  readonly codeSize: 16 | 32 | 64;
  readonly cc: number;
  readonly #operands: readonly EvalOperand[];
  /** Where the instruction went; undefined: to the next one. */
  jumpedTo: bigint | undefined;

  constructor(state: EvalState, options: EvalOptions) {
    this.state = state;
    this.size = options.size;
    this.addrSize = options.addrSize ?? 64;
    this.codeSize = options.codeSize ?? 64;
    this.cc = options.cc ?? -1;
    this.#operands = options.operands ?? [];
  }

  // ---- the instruction
  #operand(n: number): EvalOperand {
    const operand = this.#operands[n];
    if (operand === undefined) throw new Error(`no operand ${n}`);
    return operand;
  }
  #of(size: OpSize, n: bigint): V {
    return new V(size === 64 ? "i64" : "i32", n & maskOf(size));
  }
  kind(n: number): "reg" | "mem" | "imm" | "rel" | "none" {
    return this.#operands[n]?.kind ?? "none";
  }
  operandSize(n: number): OpSize {
    return this.#operand(n).size;
  }
  read(n: number): Val {
    const o = this.#operand(n);
    if (o.kind === "reg") return o.high === true ? this.high8(o.index) : this.gpr(o.index, o.size);
    if (o.kind === "mem") {
      this.state.touch();
      return this.#of(o.size, this.state.peekBytes(value(this.address(n)).n, o.size));
    }
    return this.#of(o.size, o.value);
  }
  imm64(n: number): Val {
    const o = this.#operand(n);
    if (o.kind !== "imm" && o.kind !== "rel") throw new Error("not an immediate");
    return this.i64(o.value);
  }
  write(n: number, v: Val): void {
    const o = this.#operand(n);
    if (o.kind === "reg") {
      if (o.high === true) this.setHigh8(o.index, v);
      else this.setGpr(o.index, o.size, v);
      return;
    }
    if (o.kind !== "mem") throw new Error("not writable");
    if (o.write === true) this.state.touch();
    this.state.pokeBytes(value(this.address(n)).n, o.size, value(v).n);
  }
  probeStore(): void {
    this.state.touch();
  }
  probe(_n: number): void {
    this.state.touch();
  }
  address(n: number): Val {
    const o = this.#operand(n);
    if (o.kind !== "mem") throw new Error("not memory");
    const base = o.base === undefined ? 0n : (this.state.gpr[o.base] ?? 0n);
    return this.maskAddress(this.i64(base + (o.disp ?? 0n)));
  }
  segment(n: number): Segment {
    const o = this.#operand(n);
    return o.kind === "mem" ? (o.segment ?? 3) : 3;
  }

  // ---- constants and arithmetic
  i32(n: number): Val {
    return new V("i32", BigInt(n));
  }
  i64(n: number | bigint): Val {
    return new V("i64", BigInt(n));
  }
  konst(size: OpSize, n: number): Val {
    return size === 64 ? this.i64(n) : this.i32(n);
  }
  #two(a: Val, b: Val, f: (x: bigint, y: bigint) => bigint): V {
    if (a.ty !== b.ty) throw new Error("types differ");
    return new V(a.ty, f(value(a).n, value(b).n));
  }
  #compare(a: Val, b: Val, f: (x: bigint, y: bigint) => boolean, asSigned: boolean): Val {
    if (a.ty !== b.ty) throw new Error("types differ");
    return this.i32((asSigned ? f(signed(a), signed(b)) : f(value(a).n, value(b).n)) ? 1 : 0);
  }
  add(a: Val, b: Val): Val {
    return this.#two(a, b, (x, y) => x + y);
  }
  sub(a: Val, b: Val): Val {
    return this.#two(a, b, (x, y) => x - y);
  }
  mul(a: Val, b: Val): Val {
    return this.#two(a, b, (x, y) => x * y);
  }
  and(a: Val, b: Val): Val {
    return this.#two(a, b, (x, y) => x & y);
  }
  or(a: Val, b: Val): Val {
    return this.#two(a, b, (x, y) => x | y);
  }
  xor(a: Val, b: Val): Val {
    return this.#two(a, b, (x, y) => x ^ y);
  }
  not(a: Val): Val {
    return new V(a.ty, ~value(a).n);
  }
  neg(a: Val): Val {
    return new V(a.ty, -value(a).n);
  }
  #turn(a: Val, n: Val): bigint {
    if (a.ty !== n.ty) throw new Error("types differ");
    return value(n).n % BigInt(width(a));
  }
  shl(a: Val, n: Val): Val {
    return new V(a.ty, value(a).n << this.#turn(a, n));
  }
  shrU(a: Val, n: Val): Val {
    return new V(a.ty, value(a).n >> this.#turn(a, n));
  }
  shrS(a: Val, n: Val): Val {
    return new V(a.ty, signed(a) >> this.#turn(a, n));
  }
  rotl(a: Val, n: Val): Val {
    const turn = this.#turn(a, n);
    return new V(a.ty, (value(a).n << turn) | (value(a).n >> (BigInt(width(a)) - turn)));
  }
  rotr(a: Val, n: Val): Val {
    const turn = this.#turn(a, n);
    return new V(a.ty, (value(a).n >> turn) | (value(a).n << (BigInt(width(a)) - turn)));
  }
  clz(a: Val): Val {
    const n = value(a).n;
    return new V(a.ty, BigInt(n === 0n ? width(a) : width(a) - n.toString(2).length));
  }
  ctz(a: Val): Val {
    const n = value(a).n;
    return new V(a.ty, BigInt(n === 0n ? width(a) : (n & -n).toString(2).length - 1));
  }
  popcnt(a: Val): Val {
    return new V(a.ty, BigInt(value(a).n.toString(2).replaceAll("0", "").length));
  }
  divU(a: Val, b: Val): Val {
    return this.#two(a, b, (x, y) => x / y);
  }
  remU(a: Val, b: Val): Val {
    return this.#two(a, b, (x, y) => x % y);
  }
  divS(a: Val, b: Val): Val {
    const quotient = signed(a) / signed(b);
    if (BigInt.asIntN(width(a), quotient) !== quotient) throw new Error("division traps");
    return new V(a.ty, quotient);
  }
  remS(a: Val, b: Val): Val {
    return new V(a.ty, signed(a) % signed(b));
  }
  eqz(a: Val): Val {
    return this.i32(value(a).n === 0n ? 1 : 0);
  }
  eq(a: Val, b: Val): Val {
    return this.#compare(a, b, (x, y) => x === y, false);
  }
  ne(a: Val, b: Val): Val {
    return this.#compare(a, b, (x, y) => x !== y, false);
  }
  ltU(a: Val, b: Val): Val {
    return this.#compare(a, b, (x, y) => x < y, false);
  }
  ltS(a: Val, b: Val): Val {
    return this.#compare(a, b, (x, y) => x < y, true);
  }
  leU(a: Val, b: Val): Val {
    return this.#compare(a, b, (x, y) => x <= y, false);
  }
  leS(a: Val, b: Val): Val {
    return this.#compare(a, b, (x, y) => x <= y, true);
  }
  gtU(a: Val, b: Val): Val {
    return this.#compare(a, b, (x, y) => x > y, false);
  }
  gtS(a: Val, b: Val): Val {
    return this.#compare(a, b, (x, y) => x > y, true);
  }
  geU(a: Val, b: Val): Val {
    return this.#compare(a, b, (x, y) => x >= y, false);
  }
  geS(a: Val, b: Val): Val {
    return this.#compare(a, b, (x, y) => x >= y, true);
  }
  select(condition: Val, whenTrue: Val, whenFalse: Val): Val {
    if (condition.ty !== "i32" || whenTrue.ty !== whenFalse.ty) throw new Error("types differ");
    return value(condition).n !== 0n ? whenTrue : whenFalse;
  }
  wrap(a: Val): Val {
    return new V("i32", value(a).n);
  }
  extU(a: Val): Val {
    return new V("i64", value(a).n);
  }
  extS(a: Val): Val {
    return new V("i64", signed(a));
  }
  sx(a: Val, from: OpSize): Val {
    return new V(a.ty, BigInt.asIntN(from, value(a).n));
  }
  trunc(a: Val, size: OpSize): Val {
    return new V(a.ty, value(a).n & maskOf(size));
  }
  toSize(a: Val, size: OpSize): Val {
    return this.#of(size, value(a).n);
  }

  // ---- control
  mutable(ty: Ty, init: Val): Mutable {
    if (ty !== init.ty) throw new Error("types differ");
    return new M(ty, value(init));
  }
  get(m: Mutable): Val {
    return slot(m).value;
  }
  set(m: Mutable, v: Val): void {
    if (m.ty !== v.ty) throw new Error("types differ");
    slot(m).value = value(v);
  }
  if(condition: Val, then: () => void, otherwise?: () => void): void {
    if (condition.ty !== "i32") throw new Error("condition is not i32");
    if (value(condition).n !== 0n) then();
    else otherwise?.();
  }
  loop(body: (breakIf: (condition: Val) => void) => void): void {
    try {
      for (;;) {
        body((condition) => {
          if (value(condition).n !== 0n) throw new Break();
        });
      }
    } catch (error) {
      if (!(error instanceof Break)) throw error;
    }
  }

  // ---- registers
  gpr(index: number, size: OpSize): Val {
    return this.#of(size, this.state.gpr[index] ?? 0n);
  }
  setGpr(index: number, size: OpSize, v: Val): void {
    const n = value(v).n & maskOf(size);
    const old = this.state.gpr[index] ?? 0n;
    this.state.gpr[index] = size >= 32 ? n : (old & ~maskOf(size)) | n;
  }
  high8(index: number): Val {
    return this.#of(8, (this.state.gpr[index] ?? 0n) >> 8n);
  }
  setHigh8(index: number, v: Val): void {
    this.state.gpr[index] = ((this.state.gpr[index] ?? 0n) & ~0xff00n) | ((value(v).n & 0xffn) << 8n);
  }

  // ---- memory
  load(_segment: Segment, offset: Val, size: OpSize): Val {
    this.state.touch();
    return this.#of(size, this.state.peekBytes(value(offset).n, size));
  }
  store(_segment: Segment, offset: Val, size: OpSize, v: Val): void {
    this.state.touch();
    if (v.ty !== (size === 64 ? "i64" : "i32")) throw new Error("store: wrong type");
    this.state.pokeBytes(value(offset).n, size, value(v).n);
  }
  loadForWrite(segment: Segment, offset: Val, size: OpSize): { readonly value: Val; storeBack(v: Val): void } {
    const at = value(offset).n;
    return { value: this.load(segment, offset, size), storeBack: (v) => this.state.pokeBytes(at, size, value(v).n) };
  }
  stringSource(): Segment {
    return 3;
  }
  maskAddress(offset: Val): Val {
    return this.i64(value(offset).n & maskOf(this.addrSize));
  }
  addrReg(index: number): Val {
    return this.i64((this.state.gpr[index] ?? 0n) & maskOf(this.addrSize));
  }
  setAddrReg(index: number, v: Val): void {
    this.setGpr(index, this.addrSize, v);
  }
  #stackMask(): bigint {
    return maskOf(this.state.stackSize);
  }
  push(size: 16 | 32 | 64, v: Val): void {
    const at = ((this.state.gpr[4] ?? 0n) - BigInt(size / 8)) & this.#stackMask();
    this.store(2, this.i64(at), size, v);
    this.addRsp(this.i64(-size / 8));
  }
  peek(size: 16 | 32 | 64, offset: number): Val {
    return this.load(2, this.i64(((this.state.gpr[4] ?? 0n) + BigInt(offset)) & this.#stackMask()), size);
  }
  addRsp(bytes: Val): void {
    if (bytes.ty !== "i64") throw new Error("addRsp: wrong type");
    const old = this.state.gpr[4] ?? 0n;
    const mask = this.#stackMask();
    this.state.gpr[4] = BigInt.asUintN(64, (old & ~mask) | ((old + value(bytes).n) & mask));
  }

  // ---- flags
  #result(size: OpSize, r: Val): void {
    const n = value(r).n;
    this.state.flags.zf = n === 0n ? 1 : 0;
    this.state.flags.sf = Number((n >> BigInt(size - 1)) & 1n);
    this.state.flags.pf = 1 - (Number(value(this.popcnt(this.i64(n & 0xffn))).n) & 1);
  }
  #carries(size: OpSize, carries: bigint, keepCarry: boolean): void {
    const at = (index: number): number => Number((carries >> BigInt(index)) & 1n);
    if (!keepCarry) this.state.flags.cf = at(size - 1);
    this.state.flags.af = at(3);
    this.state.flags.of = at(size - 1) ^ at(size - 2);
  }
  #added(size: OpSize, a: Val, b: Val, r: Val, keepCarry: boolean): void {
    const [x, y, z] = [value(a).n, value(b).n, value(r).n];
    this.#carries(size, (x & y) | ((x | y) & ~z), keepCarry);
    this.#result(size, r);
  }
  #subtracted(size: OpSize, a: Val, b: Val, r: Val, keepCarry: boolean): void {
    const [x, y, z] = [value(a).n, value(b).n, value(r).n];
    this.#carries(size, (~x & y) | ((~x | y) & z), keepCarry);
    this.#result(size, r);
  }
  flagsAdd(size: OpSize, a: Val, b: Val, r: Val): void {
    this.#added(size, a, b, r, false);
  }
  flagsSub(size: OpSize, a: Val, b: Val, r: Val): void {
    this.#subtracted(size, a, b, r, false);
  }
  flagsAdc(size: OpSize, a: Val, b: Val, r: Val): void {
    this.#added(size, a, b, r, false);
  }
  flagsSbb(size: OpSize, a: Val, b: Val, r: Val): void {
    this.#subtracted(size, a, b, r, false);
  }
  flagsLogic(size: OpSize, r: Val): void {
    this.#carries(size, 0n, false);
    this.#result(size, r);
  }
  flagsInc(size: OpSize, a: Val, r: Val): void {
    this.#added(size, a, this.konst(size, 1), r, true);
  }
  flagsDec(size: OpSize, a: Val, r: Val): void {
    this.#subtracted(size, a, this.konst(size, 1), r, true);
  }
  flagsResult(size: OpSize, r: Val, bits: { readonly cf: Val; readonly of: Val; readonly af?: Val }): void {
    this.#result(size, r);
    this.setFlags({ cf: bits.cf, of: bits.of, af: bits.af ?? this.i32(0) });
  }
  setFlags(bits: FlagBits): void {
    for (const name of FLAG_NAMES) {
      const bit = bits[name];
      if (bit === undefined) continue;
      if (bit.ty !== "i32" || value(bit).n > 1n) throw new Error(`flag ${name} is not 0 or 1`);
      this.state.flags[name] = Number(value(bit).n);
    }
  }
  flag(name: FlagName): Val {
    return this.i32(this.state.flags[name]);
  }
  condition(cc: number): Val {
    const f = this.state.flags;
    const less = f.sf ^ f.of;
    const table = [f.of, f.cf, f.zf, f.cf | f.zf, f.sf, f.pf, less, less | f.zf];
    return this.i32((table[cc >> 1] ?? 0) ^ (cc & 1));
  }
  systemFlags(): Val {
    return this.i32(this.state.systemFlags);
  }
  changeSystemFlags(clear: number, set: number): void {
    this.state.systemFlags = (this.state.systemFlags & ~clear) | set;
  }

  // ---- leaving
  nextIp(): Val {
    return this.i64(this.state.ip & maskOf(this.codeSize));
  }
  jumpRelative(n: number, condition?: Val): void {
    if (condition !== undefined && value(condition).n === 0n) return;
    const size = this.codeSize === 64 ? 64 : this.size;
    this.jump(this.i64((this.state.ip + value(this.imm64(n)).n) & maskOf(size)));
  }
  jump(ip: Val): void {
    this.checkIp(ip);
    this.jumpedTo = value(ip).n;
  }
  checkIp(ip: Val): void {
    if (value(ip).n > this.state.ipLimit) throw new EvalFault(13);
  }
  faultIf(condition: Val, vector: number, _errorCode?: number): void {
    if (value(condition).n !== 0n) throw new EvalFault(vector);
  }
}
