import type { Insn, Operand } from "../../../isa/insn.ts";
import { OP, V128_LOAD, V128_STORE } from "../../../wasm/index.ts";
import { ARM } from "../code/region-arms.ts";
import { type Generated, generatedFor } from "../code/semantics.ts";
import { handlerShape, type Shape } from "../code/shape.ts";
import type { OpSize, Segment, Val } from "../ir/emit.ts";
import { loadOpcode, storeOpcode, typeOf } from "../ir/memory-emit.ts";
import type { SimdEmit } from "../ir/simd-emit.ts";
import { STATE, XMM_GATE, XMM_OPEN } from "../state-layout.ts";
import { RegionMemoryEmit } from "./region-memory.ts";

const CS = 1;

/** How regions do an instruction. */
export interface Translatable {
  readonly shape: Shape;
  readonly generated: Generated;
}
/** Undefined: not for regions. */
export function translatable(insn: Insn): Translatable | undefined {
  const shape = handlerShape(insn);
  const generated = shape === undefined ? undefined : generatedFor(shape);
  return shape === undefined || generated === undefined || generated.regions === "none" ? undefined : { shape, generated };
}

/** Translator back end: operands are constants, registers are locals, the slow arms are behind the private helper table. */
export class TranslateEmit extends RegionMemoryEmit implements SimdEmit {
  #shape!: Shape;
  #generated!: Generated;
  #ipOff = 0;
  #charge = 0;
  #imm = 0n;
  /** Record of the block that the link of this instruction leads to, when it is in the region. */
  #target = 0;
  readonly #places = new Map<number, { readonly value: Val; storeBack(value: Val): void }>();

  /** Sets the instruction that the semantic function called next is about. */
  begin(
    insn: Insn,
    { shape, generated }: Translatable,
    rec: number,
    at: { readonly ipOff: number; readonly count: number; readonly imm: bigint; readonly target: number },
  ): void {
    this.insn = insn;
    this.#shape = shape;
    this.#generated = generated;
    this.rec = rec;
    this.#ipOff = at.ipOff;
    this.#charge = at.count + 1;
    this.#imm = at.imm;
    this.#target = at.target;
    this.wrote = false;
    this.#places.clear();
  }
  /** Ends the instruction: its own stores may have hit code of this region. */
  finish(next: number): void {
    if (!this.wrote) return;
    this.leave(this.get(this.stale), () => this.exits.resume(next));
  }
  /** Leaves when the condition holds, or always. */
  leave(condition: Val | undefined, hook: () => void): void {
    if (condition === undefined) this.raw(hook);
    else this.leaveIf(condition, hook);
  }
  /** The transfer of a block's last record, which is no instruction. */
  fallThrough(rec: number, charge: number): void {
    this.leave(undefined, () => this.exits.link(rec, charge));
  }

  // ---- what the instruction is
  get size(): OpSize {
    return this.#shape.size;
  }
  get addrSize(): 16 | 32 | 64 {
    return this.insn.addrSize;
  }
  get codeSize(): 16 | 32 | 64 {
    return this.insn.codeSize;
  }
  get cc(): number {
    return this.#shape.cc;
  }
  kind(n: number): "reg" | "mem" | "imm" | "rel" | "none" {
    return this.#shape.operands[n]?.kind ?? "none";
  }
  operandSize(n: number): OpSize {
    return this.#shape.operands[n]?.size ?? this.#shape.size;
  }
  #operand(n: number): Operand {
    const o = this.insn.operands[n];
    if (o === undefined) throw new Error(`${this.#shape.sem}: no operand ${n}`);
    return o;
  }

  // ---- operands
  read(n: number): Val {
    const o = this.#operand(n);
    const size = this.operandSize(n);
    if (o.kind === "reg") {
      if (o.cls === "sreg") return this.selector(o.index);
      return o.cls === "gpr8h" ? this.high8(o.index - 4) : this.gpr(o.index, size);
    }
    if (o.kind === "imm") return size === 64 ? this.imm64(n) : this.trunc(this.i32(Number(BigInt.asIntN(32, this.#imm))), size);
    if (this.#shape.operands[n]?.access === "rw") {
      const place = this.place(this.segment(n), this.address(n), size, true);
      this.#places.set(n, place);
      return place.value;
    }
    return this.load(this.segment(n), this.address(n), size);
  }
  // ---- vectors
  immediate(n: number): number | undefined {
    return this.kind(n) === "imm" ? Number(this.#imm & 0xffn) : undefined;
  }
  isVector(n: number): boolean {
    return this.#shape.operands[n]?.xmm === true;
  }
  #xmm(n: number): number {
    const o = this.#operand(n);
    return STATE.xmm.offset + (o.kind === "reg" ? o.index : 0) * 16;
  }
  readV(n: number): Val {
    if (this.isVector(n)) return this.rawLoad("v128", V128_LOAD, this.i32(0), this.#xmm(n));
    return this.load128(this.segment(n), this.address(n), this.#shape.aligned);
  }
  writeV(n: number, value: Val): void {
    if (this.isVector(n)) this.rawStore(V128_STORE, this.i32(0), value, this.#xmm(n));
    else this.store128(this.segment(n), this.address(n), this.#shape.aligned, value);
  }
  readLow(n: number, size: 16 | 32 | 64): Val {
    return this.isVector(n) ? this.rawLoad(typeOf(size), loadOpcode(size), this.i32(0), this.#xmm(n)) : this.read(n);
  }
  writeLow(n: number, size: 32 | 64, value: Val): void {
    this.rawStore(storeOpcode(size), this.i32(0), value, this.#xmm(n));
  }
  readPart(n: number, size: 8 | 16 | 32 | 64, index: Val): Val {
    return this.rawLoad(typeOf(size), loadOpcode(size), this.shl(index, this.i32(Math.log2(size >> 3))), this.#xmm(n));
  }
  writePart(n: number, size: 8 | 16 | 32 | 64, index: Val, value: Val): void {
    this.rawStore(storeOpcode(size), this.shl(index, this.i32(Math.log2(size >> 3))), value, this.#xmm(n));
  }
  imm64(_n?: number): Val {
    return this.i64(this.#imm);
  }
  write(n: number, value: Val): void {
    const o = this.#operand(n);
    const size = this.operandSize(n);
    if (o.kind === "reg") {
      if (o.cls === "gpr8h") this.setHigh8(o.index - 4, value);
      else this.setGpr(o.index, size, value);
      return;
    }
    const place = this.#places.get(n);
    if (place !== undefined) place.storeBack(value);
    else this.store(this.segment(n), this.address(n), size, value);
  }
  probe(n: number): void {
    if (this.kind(n) !== "mem" || this.#places.has(n)) return;
    this.#places.set(n, this.place(this.segment(n), this.address(n), this.operandSize(n), false));
  }
  /** In the arithmetic of the address size; no mask is needed then. */
  address(n = 0): Val {
    const o = this.#operand(n);
    if (o.kind !== "mem") throw new Error("address wants a memory operand");
    if (this.addrSize === 64) {
      let sum: Val = o.base === 16 ? this.ipBase() : o.base < 0 ? this.i64(0) : this.var(o.base);
      if (o.index >= 0) sum = this.add(sum, this.shl(this.var(o.index), this.i64(o.scale)));
      return this.add(sum, this.i64(o.base === 16 ? o.disp + this.#ipOff + this.insn.length : o.disp));
    }
    const size = this.addrSize;
    let sum: Val = o.base === 16 ? this.wrap(this.ipBase()) : o.base < 0 ? this.i32(0) : this.gpr(o.base, size);
    if (o.index >= 0) sum = this.add(sum, this.shl(this.gpr(o.index, size), this.i32(o.scale)));
    sum = this.add(sum, this.i32(o.base === 16 ? o.disp + this.#ipOff + this.insn.length : o.disp));
    return this.extU(this.addrSize === 16 ? this.and(sum, this.i32(0xffff)) : sum);
  }
  segment(n: number): Segment {
    const o = this.#operand(n);
    return o.kind === "mem" ? o.segment : this.insn.segment;
  }

  stringSource(): Segment {
    return this.insn.segment;
  }
  maskAddress(offset: Val): Val {
    return this.addrSize === 64 ? offset : this.and(offset, this.i64(this.addrSize === 32 ? 0xffffffff : 0xffff));
  }
  addrReg(index: number): Val {
    return this.extU(this.gpr(index, this.addrSize));
  }
  setAddrReg(index: number, value: Val): void {
    this.setGpr(index, this.addrSize, this.addrSize === 64 ? value : this.wrap(value));
  }

  // ---- transfers
  #ip(offset: number): Val {
    const sum = this.add(this.ipBase(), this.i64(offset));
    return this.code64 ? sum : this.and(sum, this.i64(this.codeSize === 16 ? 0xffff : 0xffffffff));
  }
  nextIp(): Val {
    return this.#ip(this.#ipOff + this.insn.length);
  }
  jumpRelative(n: number, condition?: Val): void {
    if (this.kind(n) !== "rel") throw new Error("jumpRelative wants a rel operand");
    const rec = this.rec;
    if (this.#target === 0) {
      this.leave(condition, () => this.exits.link(rec, 0));
      return;
    }
    // A push that hit code of this region: the link may be gone.
    if (this.wrote) this.leave(this.get(this.stale), () => this.exits.link(rec, 0));
    const charge = this.#charge;
    this.leave(condition, () => this.exits.link(rec, charge));
  }
  /** Return sites in the region: offset of the block and its record. */
  returns: readonly { readonly off: number; readonly rec: number }[] = [];
  jump(ip: Val): void {
    const rec = this.rec;
    const charge = this.#charge;
    if (this.insn.row.facts.flow === "return") {
      for (const site of this.returns) {
        this.leave(this.eq(ip, this.#ip(site.off)), () => this.exits.link(-site.rec, charge));
      }
    }
    this.setState64(STATE.rip, ip);
    this.leave(undefined, () => this.exits.ip(rec));
  }
  checkIp(ip: Val): void {
    if (this.code64) {
      this.faultIf(this.ne(this.shrS(this.shl(ip, this.i64(16)), this.i64(16)), ip), 13, 0);
      return;
    }
    this.faultIf(this.gtU(ip, this.rawLoad("i64", OP.i64_load, this.i32(0), STATE.ipLimit.offset)), 13, 0);
  }
  faultIf(condition: Val, vector: number, errorCode?: number): void {
    this.unlikely(condition, () => {
      this.arm(ARM.raise, this.i64(errorCode ?? -1), vector);
      this.leave(undefined, () => this.leaveFault());
    });
  }

  // ---- SystemEmit
  deferIf(condition: Val): void {
    const rec = this.rec;
    this.leave(condition, () => this.exits.helper(rec));
  }
  /** Emits the whole instruction. */
  emit(): void {
    if (this.#shape.xmm) {
      // CR0 and CR4 in one: nothing in a region changes them.
      const state = this.and(this.get(this.hoist("cr", "i64", OP.i64_load, STATE.cr0.offset)), this.i64(XMM_GATE));
      this.unlikely(this.ne(state, this.i64(XMM_OPEN)), () => {
        this.faultIf(this.ne(this.and(state, this.i64(XMM_GATE ^ 8n)), this.i64(XMM_OPEN)), 6);
        this.faultIf(this.i32(1), 7);
      });
    }
    this.#generated.emit(this);
  }
  supervisor(): Val {
    return this.eqz(this.state32(STATE.cpl));
  }
  realMode(): Val {
    // A flat segment that is loaded would not stay flat.
    return this.flat ? this.i32(0) : this.eqz(this.and(this.state32(STATE.cr0), this.i32(1)));
  }
  portsOpen(): Val {
    return this.i32(0);
  }
  selector(segment: number): Val {
    return this.rawLoad("i32", OP.i32_load16_u, this.i32(0), STATE.segSelector.offset + segment * 2);
  }
  #loadReal(s: number, selector: Val): void {
    const base = this.shl(selector, this.i32(4));
    this.rawStore(OP.i32_store16, this.i32(0), selector, STATE.segSelector.offset + s * 2);
    this.rawStore(OP.i64_store, this.i32(0), this.extU(base), STATE.segBase.offset + s * 8);
    this.rawStore(OP.i64_store, this.i32(0), this.extU(base), STATE.segEffBase.offset + s * 8);
    if (!this.code64) this.set(this.baseVariable(s), base);
  }
  loadRealCode(selector: Val): void {
    this.#loadReal(CS, selector);
  }
  loadRealOperand(n: number, selector: Val): void {
    const o = this.#operand(n);
    if (o.kind === "reg") this.#loadReal(o.index, selector);
  }
  idtrBase(): Val {
    return this.state64(STATE.idtrBase);
  }
  idtrLimit(): Val {
    return this.state32(STATE.idtrLimit);
  }
  pendingInterrupt(): Val {
    return this.ne(this.state32(STATE.pending), this.i32(0));
  }
  nmiBlocked(): Val {
    return this.state32(STATE.nmiBlocked);
  }
  portIn(): Val {
    throw new Error("ports are the interpreter's");
  }
  portOut(): Val {
    throw new Error("ports are the interpreter's");
  }
}
