import { OP, V128_LOAD, V128_STORE } from "../../../wasm/index.ts";
import type { FunctionWriter } from "../ir/codegen.ts";
import type { OpSize, Segment, Val } from "../ir/emit.ts";
import type { SimdEmit } from "../ir/simd-emit.ts";
import { STATE, REC, XMM_GATE, XMM_OPEN } from "../state-layout.ts";
import type { Shape } from "../code/shape.ts";
import { type CoreFunctions, loadOpcode, MemoryEmit, type SegmentRef, storeOpcode, typeOf } from "../ir/memory-emit.ts";

/** How generated code leaves a handler; the main function and the cold functions differ. */
export interface HandlerExits {
  /** The local that holds the record pointer. */
  readonly rec: number;
  /** A fault or exit has been recorded: leave the run. */
  fault(): void;
  /** Transfer along the record's link, or to the relative target when there is none. */
  takeLink(): void;
  /** Transfer to the IP in STATE.rip. */
  takeIp(): void;
  /** The TypeScript helper of this instruction does it. */
  defer(): void;
}

/** Interpreter back end: operands come from the decoded-op record, registers live in memory. */
export class InterpEmit extends MemoryEmit implements SimdEmit {
  readonly shape: Shape;
  readonly exits: HandlerExits;
  /** Set when the semantics looked at the address size or code size: the handler is specific to it. */
  usesAddrSize = false;
  usesCodeSize = false;
  usesCc = false;
  readonly #places = new Map<number, { readonly value: Val; storeBack(value: Val): void }>();
  #rec: Val | undefined;

  constructor(shape: Shape, w: FunctionWriter, core: CoreFunctions, exits: HandlerExits) {
    super(w, core);
    this.shape = shape;
    this.exits = exits;
  }
  get size(): OpSize {
    return this.shape.size;
  }
  get addrSize(): 16 | 32 | 64 {
    this.usesAddrSize = true;
    return this.shape.addrSize;
  }
  get codeSize(): 16 | 32 | 64 {
    this.usesCodeSize = true;
    return this.shape.codeSize;
  }
  get cc(): number {
    this.usesCc = true;
    return this.shape.cc;
  }
  /** The record pointer as a value. */
  get rec(): Val {
    if (this.#rec === undefined) {
      const n = this.i32(0);
      n.local = this.exits.rec;
      this.#rec = n;
    }
    return this.#rec;
  }
  #field8(offset: number): Val {
    return this.rawLoad("i32", OP.i32_load8_u, this.rec, offset);
  }
  #field16(offset: number): Val {
    return this.rawLoad("i32", OP.i32_load16_u, this.rec, offset);
  }
  protected override leaveFault(): void {
    this.exits.fault();
  }
  protected override markInstruction(): void {
    this.setState32(STATE.curRec, this.rec);
  }
  protected override segmentRef(segment: Segment): SegmentRef {
    if (segment === "record") return { index8: this.shl(this.#field8(REC.segment), this.i32(3)), constant: 0 };
    return { index8: undefined, constant: segment };
  }

  // ---- operands
  kind(n: number): "reg" | "mem" | "imm" | "rel" | "none" {
    return this.shape.operands[n]?.kind ?? "none";
  }
  operandSize(n: number): OpSize {
    return this.shape.operands[n]?.size ?? this.shape.size;
  }
  /** Which record field names register operand n: reg1, reg2, then the immediate field's low half. */
  #registerField(n: number): number {
    let k = 0;
    for (let i = 0; i < n; i++) if (this.kind(i) === "reg") k++;
    return k === 0 ? REC.reg1 : k === 1 ? REC.reg2 : REC.imm;
  }
  read(n: number): Val {
    const o = this.shape.operands[n];
    if (o === undefined) throw new Error(`${this.shape.sem}: no operand ${n}`);
    if (o.kind === "reg") return this.rawLoad(o.size === 64 ? "i64" : "i32", loadOpcode(o.size), this.#field16(this.#registerField(n)));
    if (o.kind === "imm") {
      if (o.wide === true) return this.rawLoad("i64", OP.i64_load, this.rec, REC.disp);
      if (o.size === 64) return this.rawLoad("i64", OP.i64_load32_s, this.rec, REC.imm);
      return this.trunc(this.rawLoad("i32", OP.i32_load, this.rec, REC.imm), o.size);
    }
    if (o.access === "rw") {
      const place = this.place("record", this.address(n), o.size, true);
      this.#places.set(n, place);
      return place.value;
    }
    return this.load("record", this.address(n), o.size);
  }
  // ---- vectors
  immediate(): number | undefined {
    return undefined;
  }
  isVector(n: number): boolean {
    return this.shape.operands[n]?.xmm === true;
  }
  readV(n: number): Val {
    if (this.isVector(n)) return this.rawLoad("v128", V128_LOAD, this.#field16(this.#registerField(n)));
    return this.load128("record", this.address(n), this.shape.aligned);
  }
  writeV(n: number, value: Val): void {
    if (this.isVector(n)) this.rawStore(V128_STORE, this.#field16(this.#registerField(n)), value);
    else this.store128("record", this.address(n), this.shape.aligned, value);
  }
  readLow(n: number, size: 16 | 32 | 64): Val {
    return this.isVector(n) ? this.rawLoad(typeOf(size), loadOpcode(size), this.#field16(this.#registerField(n))) : this.read(n);
  }
  writeLow(n: number, size: 32 | 64, value: Val): void {
    this.rawStore(storeOpcode(size), this.#field16(this.#registerField(n)), value);
  }
  #part(n: number, size: OpSize, index: Val): Val {
    return this.add(this.#field16(this.#registerField(n)), this.shl(index, this.i32(Math.log2(size >> 3))));
  }
  readPart(n: number, size: 8 | 16 | 32 | 64, index: Val): Val {
    return this.rawLoad(typeOf(size), loadOpcode(size), this.#part(n, size, index));
  }
  writePart(n: number, size: 8 | 16 | 32 | 64, index: Val, value: Val): void {
    this.rawStore(storeOpcode(size), this.#part(n, size, index), value);
  }
  /** Before an instruction on XMM registers: #UD with CR0.EM or without CR4.OSFXSR, then #NM with CR0.TS. */
  beginXmm(): void {
    const state = this.and(this.rawLoad("i64", OP.i64_load, this.i32(0), STATE.cr0.offset), this.i64(XMM_GATE));
    this.if(this.ne(state, this.i64(XMM_OPEN)), () => {
      this.faultIf(this.ne(this.and(state, this.i64(XMM_GATE ^ 8n)), this.i64(XMM_OPEN)), 6);
      this.faultIf(this.i32(1), 7);
    });
  }
  imm64(_n?: number): Val {
    return this.rawLoad("i64", OP.i64_load32_s, this.rec, REC.imm);
  }
  write(n: number, value: Val): void {
    const o = this.shape.operands[n];
    if (o === undefined) throw new Error(`${this.shape.sem}: no operand ${n}`);
    if (o.kind === "reg") {
      const address = this.#field16(this.#registerField(n));
      this.#storeRegister(address, 0, o.size, value);
      // A written MMX register has sign and exponent all ones (SDM vol. 1 9.5).
      if (o.mm === true) this.rawStore(OP.i32_store16, address, this.i32(0xffff), 8);
      return;
    }
    const place = this.#places.get(n);
    if (place !== undefined) place.storeBack(value);
    else this.store("record", this.address(n), o.size, value);
  }
  #storeRegister(address: Val, offset: number, size: OpSize, value: Val): void {
    if (size === 32) this.rawStore(OP.i64_store, address, this.extU(value), offset);
    else this.rawStore(storeOpcode(size), address, value, offset);
  }
  probe(n: number): void {
    if (this.kind(n) !== "mem" || this.#places.has(n)) return;
    this.#places.set(n, this.place("record", this.address(n), this.operandSize(n), false));
  }
  address(_n?: number): Val {
    const base = this.rawLoad("i64", OP.i64_load, this.#field16(REC.base));
    const index = this.rawLoad("i64", OP.i64_load, this.#field16(REC.index));
    const scaled = this.shl(index, this.extU(this.#field8(REC.scale)));
    const disp = this.rawLoad("i64", OP.i64_load32_s, this.rec, REC.disp);
    const mask = this.rawLoad("i64", OP.i64_load, this.shl(this.#field8(REC.addrSize), this.i32(3)), STATE.addrMask.offset);
    return this.and(this.add(this.add(base, scaled), disp), mask);
  }
  segment(_n?: number): Segment {
    return "record";
  }

  // ---- registers
  gpr(index: number, size: OpSize): Val {
    return this.rawLoad(size === 64 ? "i64" : "i32", loadOpcode(size), this.i32(0), STATE.gpr.offset + index * 8);
  }
  setGpr(index: number, size: OpSize, value: Val): void {
    this.#storeRegister(this.i32(0), STATE.gpr.offset + index * 8, size, value);
  }
  high8(index: number): Val {
    return this.rawLoad("i32", OP.i32_load8_u, this.i32(0), STATE.gpr.offset + index * 8 + 1);
  }
  setHigh8(index: number, value: Val): void {
    this.rawStore(OP.i32_store8, this.i32(0), value, STATE.gpr.offset + index * 8 + 1);
  }
  stringSource(): Segment {
    return "record";
  }
  maskAddress(offset: Val): Val {
    const size = this.addrSize;
    return size === 64 ? offset : this.and(offset, this.i64(size === 32 ? 0xffffffff : 0xffff));
  }
  addrReg(index: number): Val {
    const size = this.addrSize;
    return this.rawLoad(
      "i64",
      size === 64 ? OP.i64_load : size === 32 ? OP.i64_load32_u : OP.i64_load16_u,
      this.i32(0),
      STATE.gpr.offset + index * 8,
    );
  }
  setAddrReg(index: number, value: Val): void {
    const size = this.addrSize;
    if (size === 16) this.rawStore(OP.i64_store16, this.i32(0), value, STATE.gpr.offset + index * 8);
    else this.rawStore(OP.i64_store, this.i32(0), size === 32 ? this.and(value, this.i64(0xffffffff)) : value, STATE.gpr.offset + index * 8);
  }

  // ---- stack
  #rsp(): Val {
    return this.rawLoad("i64", OP.i64_load, this.i32(0), STATE.gpr.offset + 32);
  }
  #commitRsp(old: Val, moved: Val): void {
    const mask = this.state64(STATE.stackMask);
    const merged = this.or(this.and(old, this.not(mask)), this.and(moved, mask));
    this.rawStore(OP.i64_store, this.i32(0), merged, STATE.gpr.offset + 32);
  }
  push(size: 16 | 32 | 64, value: Val): void {
    const rsp = this.#rsp();
    const moved = this.sub(rsp, this.i64(size >> 3));
    this.store(2, this.and(moved, this.state64(STATE.stackMask)), size, value);
    this.#commitRsp(rsp, moved);
  }
  peek(size: 16 | 32 | 64, offset: number): Val {
    const at = offset === 0 ? this.#rsp() : this.add(this.#rsp(), this.i64(offset));
    return this.load(2, this.and(at, this.state64(STATE.stackMask)), size);
  }
  addRsp(bytes: Val): void {
    const rsp = this.#rsp();
    this.#commitRsp(rsp, this.add(rsp, bytes));
  }

  // ---- leaving
  nextIp(): Val {
    const next = this.add(this.#field16(REC.ipOff), this.#field8(REC.length));
    return this.and(this.add(this.state64(STATE.ipBase), this.extU(next)), this.state64(STATE.ipMask));
  }
  jumpRelative(n: number, condition?: Val): void {
    // The displacement is in the record; the limit of the target is checked where the target block is looked up.
    if (this.kind(n) !== "rel") throw new Error("jumpRelative wants a rel operand");
    const take = (): void => this.exits.takeLink();
    if (condition === undefined) this.raw(take);
    else this.leaveIf(condition, take);
  }
  jump(ip: Val): void {
    this.setState64(STATE.rip, ip);
    this.raw(() => this.exits.takeIp());
  }
  checkIp(ip: Val): void {
    // In 64-bit code the limit is none and the target must be canonical; other targets always are.
    const limit = this.rawLoad("i64", OP.i64_load, this.i32(0), STATE.ipLimit.offset);
    const stray = this.ne(this.shrS(this.shl(ip, this.i64(16)), this.i64(16)), ip);
    this.if(this.or(this.gtU(ip, limit), stray), () => {
      this.#raise(13, 0);
    });
  }
  #raise(vector: number, errorCode: number | undefined): void {
    this.markInstruction();
    this.call(this.core.raise, "i32", [this.i32(vector), this.i32(errorCode ?? -1)]);
    this.raw(() => this.leaveFault());
  }
  faultIf(condition: Val, vector: number, errorCode?: number): void {
    this.if(condition, () => this.#raise(vector, errorCode));
  }

  /** Before an MMX instruction: CR0.EM, CR0.TS or a pending x87 exception make the helper raise the fault. */
  beginMmx(): void {
    const status = this.rawLoad("i32", OP.i32_load16_u, this.i32(0), STATE.fpuStatus.offset);
    this.deferIf(this.or(this.and(this.state32(STATE.cr0), this.i32(0xc)), this.and(status, this.i32(0x80))));
  }
  /** After it: all registers valid, TOP = 0. */
  endMmx(): void {
    this.setState32(STATE.fpuEmpty, this.i32(0));
    this.setState32(STATE.fpuTop, this.i32(0));
  }

  // ---- SystemEmit
  deferIf(condition: Val): void {
    this.leaveIf(condition, () => this.exits.defer());
  }
  realMode(): Val {
    return this.eqz(this.and(this.state32(STATE.cr0), this.i32(1)));
  }
  supervisor(): Val {
    return this.eqz(this.state32(STATE.cpl));
  }
  portsOpen(): Val {
    const flags = this.state32(STATE.eflags);
    const iopl = this.and(this.shrU(flags, this.i32(12)), this.i32(3));
    const privileged = this.leU(this.state32(STATE.cpl), iopl);
    const v86 = this.and(this.shrU(flags, this.i32(17)), this.i32(1));
    return this.and(this.and(privileged, this.eqz(v86)), this.eqz(this.state32(STATE.portsSlow)));
  }
  stackMask(): Val {
    return this.state64(STATE.stackMask);
  }
  selector(segment: number): Val {
    return this.rawLoad("i32", OP.i32_load16_u, this.i32(0), STATE.segSelector.offset + segment * 2);
  }
  #realBase(address8: Val, selector: Val): void {
    const base = this.extU(this.shl(selector, this.i32(4)));
    this.rawStore(OP.i64_store, address8, base, STATE.segBase.offset);
    this.rawStore(OP.i64_store, address8, base, STATE.segEffBase.offset);
  }
  loadRealCode(selector: Val): void {
    this.rawStore(OP.i32_store16, this.i32(0), selector, STATE.segSelector.offset + 2);
    this.#realBase(this.i32(8), selector);
  }
  loadRealOperand(n: number, selector: Val): void {
    const address = this.#field16(this.#registerField(n));
    this.rawStore(OP.i32_store16, address, selector);
    // The record names the selector's address: two bytes a segment there, eight in the arrays of bases.
    this.#realBase(this.shl(this.sub(address, this.i32(STATE.segSelector.offset)), this.i32(2)), selector);
  }
  loadLinear(la: Val, size: OpSize): Val {
    return this.loadAt(la, size, 3);
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
  portIn(port: Val, size: 8 | 16): Val {
    this.markInstruction();
    return this.call(this.core.portIn, "i32", [port, this.i32(size >> 3)]);
  }
  portOut(port: Val, size: 8 | 16, value: Val): Val {
    this.markInstruction();
    return this.call(this.core.portOut, "i32", [port, this.i32(size >> 3), value]);
  }
}
