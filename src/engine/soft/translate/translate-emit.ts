import { OP, V128_LOAD, V128_STORE } from "../../../wasm/index.ts";
import type { Insn, Operand } from "../../../isa/insn.ts";
import { type Generated, generatedFor } from "../code/semantics.ts";
import { handlerShape, type Shape } from "../code/shape.ts";
import { type CoreFunctions, loadOpcode, type MemSize, type SegmentRef, storeOpcode, typeOf } from "../ir/memory-emit.ts";
import type { FunctionWriter } from "../ir/codegen.ts";
import type { Mutable, OpSize, Segment, Val } from "../ir/emit.ts";
import type { MutableNode } from "../ir/nodes.ts";
import type { SimdEmit } from "../ir/simd-emit.ts";
import { CPU, TLB, TLB_ENTRIES, XMM_GATE, XMM_OPEN } from "../state-layout.ts";
import { ARM, LINEAR } from "../code/region-arms.ts";
import { LazyFlagsEmit, TRACKED } from "./lazy-flags.ts";

/** How an instruction leaves straight-line code; the region turns these into branches. Called while generating. */
export interface RegionExits {
  /** A fault or exit has been recorded by a helper; CPU.curRec is set. */
  fault(): void;
  /** The interpreter goes on with this record: not charged yet. */
  resume(rec: number): void;
  /** The helper does the record's instruction: not charged yet. */
  helper(rec: number): void;
  /** Transfer along the link of the record: charges `charge` instructions when the target is in the region. */
  link(rec: number, charge: number): void;
  /** Transfer to CPU.rip. */
  ip(rec: number): void;
}
/** State fields that cannot change while a region runs, except as the emitter itself says: loaded once at the entry. */
export interface Hoisted {
  readonly variable: MutableNode;
  readonly load: number;
  readonly offset: number;
}

const NO_CORE: CoreFunctions = { slowRead: 0, slowWrite: 0, slowProbe: 0, segmentSlow: 0, raise: 0, portIn: 0, portOut: 0 };
const CS = 1,
  FS = 4;

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
export class TranslateEmit extends LazyFlagsEmit implements SimdEmit {
  /** Names of hoisted state, in order of first use. */
  readonly hoisted = new Map<string, Hoisted>();
  readonly budget: MutableNode;
  readonly stale: MutableNode;
  readonly exits: RegionExits;
  /**
   * 32-bit code of a flat operating system: ES, CS, SS and DS begin at 0 and reach to 4 GiB, ESP is the stack pointer. The region checks that when it
   * is entered (`flatUse`), not at each access; what wraps at 4 GiB crosses a page, so that the slow arm looks at the limit again.
   */
  readonly flat: boolean;
  /** Of flat segments: bit s read, bit 8 + s written. */
  flatUse = 0;
  /** The stack is used: RSP must be below 4 GiB and its mask FFFFFFFF. */
  flatStack = false;
  /** Signature index of the arms. */
  readonly #signature: number;
  #insn!: Insn;
  #shape!: Shape;
  #generated!: Generated;
  #rec = 0;
  #ipOff = 0;
  #charge = 0;
  #imm = 0n;
  /** Record of the block that the link of this instruction leads to, when it is in the region. */
  #target = 0;
  #wrote = false;
  readonly #places = new Map<number, { readonly value: Val; storeBack(value: Val): void }>();

  constructor(w: FunctionWriter, exits: RegionExits, signature: number, budget: number, stale: number, flat = false) {
    super(w, NO_CORE);
    this.exits = exits;
    this.flat = flat;
    this.#signature = signature;
    this.budget = { ty: "i32", local: budget };
    this.stale = { ty: "i32", local: stale };
    for (let i = 0; i < TRACKED; i++) this.tracked.push({ ty: i === 17 || i === 20 ? "i32" : "i64", local: -1 });
  }
  /** Starts a block's instruction list. */
  startBlock(): void {
    this.nodes = [];
    this.resetKnown();
    this.#low.clear();
  }
  /** Sets the instruction that the semantic function called next is about. */
  begin(
    insn: Insn,
    { shape, generated }: Translatable,
    rec: number,
    at: { readonly ipOff: number; readonly count: number; readonly imm: bigint; readonly target: number },
  ): void {
    this.#insn = insn;
    this.#shape = shape;
    this.#generated = generated;
    this.#rec = rec;
    this.#ipOff = at.ipOff;
    this.#charge = at.count + 1;
    this.#imm = at.imm;
    this.#target = at.target;
    this.#wrote = false;
    this.#places.clear();
  }
  /** Ends the instruction: its own stores may have hit code of this region. */
  finish(next: number): void {
    if (!this.#wrote) return;
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
  get code64(): boolean {
    return this.#insn.codeSize === 64;
  }

  // ---- what the instruction is
  get size(): OpSize {
    return this.#shape.size;
  }
  get addrSize(): 16 | 32 | 64 {
    return this.#insn.addrSize;
  }
  get codeSize(): 16 | 32 | 64 {
    return this.#insn.codeSize;
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
    const o = this.#insn.operands[n];
    if (o === undefined) throw new Error(`${this.#shape.sem}: no operand ${n}`);
    return o;
  }

  // ---- hoisted state
  #hoist(name: string, ty: "i32" | "i64", load: number, offset: number): Mutable {
    let h = this.hoisted.get(name);
    if (h === undefined) {
      h = { variable: { ty, local: this.w.fixedLocal(ty) }, load, offset };
      this.hoisted.set(name, h);
    }
    return h.variable;
  }
  #readLimit(s: number): Val {
    return this.get(this.#hoist(`r${s}`, "i64", OP.i64_load, CPU.segReadLimit.offset + s * 8));
  }
  #writeLimit(s: number): Val {
    return this.get(this.#hoist(`w${s}`, "i64", OP.i64_load, CPU.segWriteLimit.offset + s * 8));
  }
  #baseVariable(s: number): Mutable {
    return this.code64
      ? this.#hoist(`b${s}`, "i64", OP.i64_load, CPU.segEffBase.offset + s * 8)
      : this.#hoist(`b${s}`, "i32", OP.i32_load, CPU.segEffBase.offset + s * 8);
  }
  #tlb(): Val {
    return this.get(this.#hoist("tlb", "i32", OP.i32_load, CPU.tlbBase.offset));
  }
  stackMask(): Val {
    if (this.code64) return this.i64(-1);
    if (this.flat) {
      this.flatStack = true;
      return this.i64(0xffffffff);
    }
    return this.get(this.#hoist("stack", "i64", OP.i64_load, CPU.stackMask.offset));
  }
  #ipBase(): Val {
    return this.get(this.#hoist("ip", "i64", OP.i64_load, CPU.ipBase.offset));
  }

  // ---- leaving
  protected override leaveFault(): void {
    this.exits.fault();
  }
  protected override markInstruction(): void {}
  protected override segmentRef(segment: Segment): SegmentRef {
    return { index8: undefined, constant: this.#segmentNumber(segment) };
  }
  #segmentNumber(segment: Segment): number {
    return segment === "record" ? this.#insn.segment : segment;
  }
  /** Calls a helper of the private table. */
  #arm(slot: number, offset: Val, info: number): Val {
    return this.tableCall(this.#signature, [offset, this.i32(info), this.i32(this.#rec), this.get(this.budget), this.i32(slot)]);
  }
  /** The generator reloads the budget here: helpers may have taken from it to stop us. */
  #faultWhen(bad: Val): void {
    this.leaveIf(bad, this.exits.fault);
  }

  /** `if` for what hardly ever happens. */
  #unlikely(condition: Val, then: () => void): void {
    const at = this.nodes.length;
    this.if(condition, then);
    const n = this.nodes[at];
    if (n?.kind === "if") this.nodes[at] = { ...n, value: 1 };
  }

  // ---- memory
  /**
   * The fast path of an access: wasm address of the bytes, and whether it must not be taken (the segment's limit, or
   * the TLB does not know the page). Linear addresses are i32 outside 64-bit code.
   */
  #access(s: number, offset: Val, bytes: number, write: boolean, aligned = false): { readonly host: Mutable; readonly slow: Val } {
    let beyond: Val | undefined;
    let la = offset;
    if (s === LINEAR) la = this.code64 ? offset : this.wrap(offset);
    else if (this.flat && s < FS) {
      this.flatUse |= write ? 0x100 << s : 1 << s;
      la = this.wrap(offset);
    } else if (!this.code64) {
      const last = bytes === 1 ? offset : this.add(offset, this.i64(bytes - 1));
      beyond = this.gtS(last, write ? this.#writeLimit(s) : this.#readLimit(s));
      la = this.add(this.wrap(offset), this.get(this.#baseVariable(s)));
    } else if (s >= FS) la = this.add(offset, this.get(this.#baseVariable(s)));
    const low = this.wrap(la);
    if (aligned) this.faultIf(this.and(low, this.i32(15)), 13, 0);
    const index = this.and(this.shrU(low, this.i32(12 - 5)), this.i32((TLB_ENTRIES - 1) << 5));
    const entry = this.add(index, this.#tlb());
    const tag = this.rawLoad("i64", OP.i64_load, entry, write ? TLB.write : TLB.read);
    const miss = this.geU(this.xor(this.extU(la), tag), this.i64(4097 - bytes));
    const host = this.fresh("i32");
    this.set(host, this.add(low, this.rawLoad("i32", OP.i32_load, entry, TLB.addend)));
    return { host, slow: beyond === undefined ? miss : this.or(beyond, miss) };
  }
  override load(segment: Segment, offset: Val, size: OpSize): Val {
    return this.#read(this.#segmentNumber(segment), offset, size);
  }
  override load128(segment: Segment, offset: Val, aligned: boolean): Val {
    return this.#read(this.#segmentNumber(segment), offset, 128, aligned);
  }
  override store128(segment: Segment, offset: Val, aligned: boolean, value: Val): void {
    this.#write(this.#segmentNumber(segment), offset, 128, value, aligned);
  }
  #read(s: number, offset: Val, size: MemSize, aligned = false): Val {
    const bytes = size >> 3;
    const { host, slow } = this.#access(s, offset, bytes, false, aligned);
    this.#unlikely(slow, () => {
      this.#faultWhen(this.#arm(ARM.read, offset, bytes | (s << 8)));
      this.set(host, this.i32(CPU.scratch.offset));
    });
    return this.rawLoad(typeOf(size), loadOpcode(size), this.get(host));
  }
  #writeArm(s: number, offset: Val, bytes: number): void {
    this.#faultWhen(this.#arm(ARM.write, offset, bytes | (s << 8)));
    this.set(this.stale, this.state32(CPU.regionStale));
    this.#wrote = true;
  }
  override store(segment: Segment, offset: Val, size: OpSize, value: Val): void {
    this.#write(this.#segmentNumber(segment), offset, size, value);
  }
  #write(s: number, offset: Val, size: MemSize, value: Val, aligned = false): void {
    const bytes = size >> 3;
    const { host, slow } = this.#access(s, offset, bytes, true, aligned);
    this.#unlikely(slow, () => {
      this.rawStore(storeOpcode(size), this.i32(0), value, CPU.scratch.offset);
      this.#writeArm(s, offset, bytes);
      this.set(host, this.i32(CPU.scratch.offset));
    });
    this.rawStore(storeOpcode(size), this.get(host), value);
  }
  protected override place(segment: Segment, offset: Val, size: OpSize, read: boolean): { readonly value: Val; storeBack(value: Val): void } {
    const bytes = size >> 3;
    const s = this.#segmentNumber(segment);
    // What may be written may be read, with the same limit.
    const { host, slow } = this.#access(s, offset, bytes, true);
    this.#unlikely(slow, () => {
      const probed = this.#arm(ARM.probe, offset, bytes | (s << 8));
      this.#faultWhen(this.eqz(probed));
      this.set(host, probed);
      this.if(this.eq(probed, this.i32(1)), () => {
        if (read) this.#faultWhen(this.#arm(ARM.read, offset, bytes | (s << 8)));
        this.set(host, this.i32(CPU.scratch.offset));
      });
    });
    const at = this.get(host);
    const value = read ? this.rawLoad(size === 64 ? "i64" : "i32", loadOpcode(size), at) : this.konst(size, 0);
    return {
      value,
      storeBack: (result: Val) => {
        this.rawStore(storeOpcode(size), at, result);
        this.#unlikely(this.eq(at, this.i32(CPU.scratch.offset)), () => this.#writeArm(s, offset, bytes));
      },
    };
  }
  loadLinear(la: Val, size: OpSize): Val {
    return this.#read(LINEAR, la, size);
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
    return CPU.xmm.offset + (o.kind === "reg" ? o.index : 0) * 16;
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
      let sum: Val = o.base === 16 ? this.#ipBase() : o.base < 0 ? this.i64(0) : this.var(o.base);
      if (o.index >= 0) sum = this.add(sum, this.shl(this.var(o.index), this.i64(o.scale)));
      return this.add(sum, this.i64(o.base === 16 ? o.disp + this.#ipOff + this.#insn.length : o.disp));
    }
    const size = this.addrSize;
    let sum: Val = o.base === 16 ? this.wrap(this.#ipBase()) : o.base < 0 ? this.i32(0) : this.gpr(o.base, size);
    if (o.index >= 0) sum = this.add(sum, this.shl(this.gpr(o.index, size), this.i32(o.scale)));
    sum = this.add(sum, this.i32(o.base === 16 ? o.disp + this.#ipOff + this.#insn.length : o.disp));
    return this.extU(this.addrSize === 16 ? this.and(sum, this.i32(0xffff)) : sum);
  }
  segment(n: number): Segment {
    const o = this.#operand(n);
    return o.kind === "mem" ? o.segment : this.#insn.segment;
  }

  // ---- registers
  /**
   * What was last written to the low 8 or 16 bits of a register and what lies above, so that reading and writing it
   * again does not wait for the merge.
   */
  readonly #low = new Map<number, { readonly size: OpSize; readonly value: Val; readonly upper: Val }>();
  override if(condition: Val, then: () => void, otherwise?: () => void): void {
    const before = new Map(this.#low);
    const forgetChanged = (): void => {
      for (const i of [...this.#low.keys(), ...before.keys()]) {
        if (this.#low.get(i) === before.get(i)) continue;
        this.#low.delete(i);
        before.delete(i);
      }
    };
    super.if(
      condition,
      then,
      otherwise === undefined
        ? undefined
        : () => {
            if (this.constantOf(condition) === undefined) forgetChanged();
            otherwise();
          },
    );
    if (this.constantOf(condition) === undefined) forgetChanged();
  }
  override loop(body: (breakIf: (condition: Val) => void) => void): void {
    this.#low.clear();
    super.loop(body);
    this.#low.clear();
  }
  gpr(index: number, size: OpSize): Val {
    const low = this.#low.get(index);
    if (low !== undefined && size <= low.size) return size === low.size ? low.value : this.trunc(low.value, size);
    const v = this.var(index);
    return size === 64 ? v : this.trunc(this.wrap(v), size);
  }
  setGpr(index: number, size: OpSize, value: Val): void {
    const before = this.#low.get(index);
    this.#low.delete(index);
    if (size === 64) this.setVar(index, value);
    else if (size === 32) this.setVar(index, this.extU(value));
    else {
      const low = this.trunc(value, size);
      const upper = before?.size === size ? before.upper : this.and(this.var(index), this.i64(size === 8 ? ~0xff : ~0xffff));
      this.setVar(index, this.or(upper, this.extU(low)));
      this.#low.set(index, { size, value: low, upper });
    }
  }
  high8(index: number): Val {
    const low = this.#low.get(index);
    if (low !== undefined && low.size === 16) return this.shrU(low.value, this.i32(8));
    return this.and(this.shrU(this.wrap(this.var(index)), this.i32(8)), this.i32(0xff));
  }
  setHigh8(index: number, value: Val): void {
    this.#low.delete(index);
    const byte = this.shl(this.trunc(value, 8), this.i32(8));
    this.setVar(index, this.or(this.and(this.var(index), this.i64(~0xff00)), this.extU(byte)));
  }
  stringSource(): Segment {
    return this.#insn.segment;
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

  // ---- stack
  #commitRsp(old: Val, moved: Val): void {
    if (this.flat) {
      this.flatStack = true;
      this.setGpr(4, 32, this.wrap(moved));
      return;
    }
    const mask = this.stackMask();
    this.setGpr(4, 64, this.or(this.and(old, this.not(mask)), this.and(moved, mask)));
  }
  push(size: 16 | 32 | 64, value: Val): void {
    const rsp = this.var(4);
    const moved = this.flat ? this.extU(this.sub(this.wrap(rsp), this.i32(size >> 3))) : this.sub(rsp, this.i64(size >> 3));
    this.store(2, this.flat ? moved : this.and(moved, this.stackMask()), size, value);
    this.#commitRsp(rsp, moved);
  }
  peek(size: 16 | 32 | 64, offset: number): Val {
    if (this.flat) {
      this.flatStack = true;
      return this.load(2, this.extU(this.add(this.wrap(this.var(4)), this.i32(offset))), size);
    }
    return this.load(2, this.and(this.add(this.var(4), this.i64(offset)), this.stackMask()), size);
  }
  addRsp(bytes: Val): void {
    const rsp = this.var(4);
    this.#commitRsp(rsp, this.add(rsp, bytes));
  }

  // ---- transfers
  #ip(offset: number): Val {
    const sum = this.add(this.#ipBase(), this.i64(offset));
    return this.code64 ? sum : this.and(sum, this.i64(this.codeSize === 16 ? 0xffff : 0xffffffff));
  }
  nextIp(): Val {
    return this.#ip(this.#ipOff + this.#insn.length);
  }
  jumpRelative(n: number, condition?: Val): void {
    if (this.kind(n) !== "rel") throw new Error("jumpRelative wants a rel operand");
    const rec = this.#rec;
    if (this.#target === 0) {
      this.leave(condition, () => this.exits.link(rec, 0));
      return;
    }
    // A push that hit code of this region: the link may be gone.
    if (this.#wrote) this.leave(this.get(this.stale), () => this.exits.link(rec, 0));
    const charge = this.#charge;
    this.leave(condition, () => this.exits.link(rec, charge));
  }
  /** Return sites in the region: offset of the block and its record. */
  returns: readonly { readonly off: number; readonly rec: number }[] = [];
  jump(ip: Val): void {
    const rec = this.#rec;
    const charge = this.#charge;
    if (this.#insn.row.facts.flow === "return") {
      for (const site of this.returns) {
        this.leave(this.eq(ip, this.#ip(site.off)), () => this.exits.link(-site.rec, charge));
      }
    }
    this.setState64(CPU.rip, ip);
    this.leave(undefined, () => this.exits.ip(rec));
  }
  checkIp(ip: Val): void {
    if (this.code64) {
      this.faultIf(this.ne(this.shrS(this.shl(ip, this.i64(16)), this.i64(16)), ip), 13, 0);
      return;
    }
    this.faultIf(this.gtU(ip, this.rawLoad("i64", OP.i64_load, this.i32(0), CPU.ipLimit.offset)), 13, 0);
  }
  faultIf(condition: Val, vector: number, errorCode?: number): void {
    this.#unlikely(condition, () => {
      this.#arm(ARM.raise, this.i64(errorCode ?? -1), vector);
      this.leave(undefined, () => this.leaveFault());
    });
  }

  // ---- SystemEmit
  deferIf(condition: Val): void {
    const rec = this.#rec;
    this.leave(condition, () => this.exits.helper(rec));
  }
  /** Emits the whole instruction. */
  emit(): void {
    if (this.#shape.xmm) {
      // CR0 and CR4 in one: nothing in a region changes them.
      const state = this.and(this.get(this.#hoist("cr", "i64", OP.i64_load, CPU.cr0.offset)), this.i64(XMM_GATE));
      this.#unlikely(this.ne(state, this.i64(XMM_OPEN)), () => {
        this.faultIf(this.ne(this.and(state, this.i64(XMM_GATE ^ 8n)), this.i64(XMM_OPEN)), 6);
        this.faultIf(this.i32(1), 7);
      });
    }
    this.#generated.emit(this);
  }
  supervisor(): Val {
    return this.eqz(this.state32(CPU.cpl));
  }
  realMode(): Val {
    // A flat segment that is loaded would not stay flat.
    return this.flat ? this.i32(0) : this.eqz(this.and(this.state32(CPU.cr0), this.i32(1)));
  }
  portsOpen(): Val {
    return this.i32(0);
  }
  selector(segment: number): Val {
    return this.rawLoad("i32", OP.i32_load16_u, this.i32(0), CPU.segSelector.offset + segment * 2);
  }
  #loadReal(s: number, selector: Val): void {
    const base = this.shl(selector, this.i32(4));
    this.rawStore(OP.i32_store16, this.i32(0), selector, CPU.segSelector.offset + s * 2);
    this.rawStore(OP.i64_store, this.i32(0), this.extU(base), CPU.segBase.offset + s * 8);
    this.rawStore(OP.i64_store, this.i32(0), this.extU(base), CPU.segEffBase.offset + s * 8);
    if (!this.code64) this.set(this.#baseVariable(s), base);
  }
  loadRealCode(selector: Val): void {
    this.#loadReal(CS, selector);
  }
  loadRealOperand(n: number, selector: Val): void {
    const o = this.#operand(n);
    if (o.kind === "reg") this.#loadReal(o.index, selector);
  }
  flagsImage(): Val {
    let image: Val = this.state32(CPU.eflags);
    for (const [name, bit] of [
      ["cf", 0],
      ["pf", 2],
      ["af", 4],
      ["zf", 6],
      ["sf", 7],
      ["of", 11],
    ] as const) {
      image = this.or(image, this.shl(this.flag(name), this.i32(bit)));
    }
    return image;
  }
  setFlagsImage(image: Val, mask: number): void {
    const bit = (n: number): Val => this.and(this.shrU(image, this.i32(n)), this.i32(1));
    this.setFlags({ cf: bit(0), pf: bit(2), af: bit(4), zf: bit(6), sf: bit(7), of: bit(11) });
    const kept = this.and(this.state32(CPU.eflags), this.i32(~mask));
    this.setState32(CPU.eflags, this.or(kept, this.and(image, this.i32(mask))));
  }
  idtrBase(): Val {
    return this.state64(CPU.idtrBase);
  }
  idtrLimit(): Val {
    return this.state32(CPU.idtrLimit);
  }
  pendingInterrupt(): Val {
    return this.ne(this.state32(CPU.pending), this.i32(0));
  }
  nmiBlocked(): Val {
    return this.state32(CPU.nmiBlocked);
  }
  portIn(): Val {
    throw new Error("ports are the interpreter's");
  }
  portOut(): Val {
    throw new Error("ports are the interpreter's");
  }
}
