import type { Insn } from "../../../isa/insn.ts";
import { OP } from "../../../wasm/index.ts";
import { ARM, LINEAR } from "../code/region-arms.ts";
import type { FunctionWriter } from "../ir/codegen.ts";
import type { Mutable, OpSize, Segment, Val } from "../ir/emit.ts";
import { type CoreFunctions, loadOpcode, type MemSize, type SegmentRef, storeOpcode, typeOf } from "../ir/memory-emit.ts";
import type { MutableNode } from "../ir/nodes.ts";
import { STATE, TLB, TLB_ENTRIES } from "../state-layout.ts";
import { TRACKED } from "./lazy-flags.ts";
import { RegisterEmit } from "./region-registers.ts";

/** How an instruction leaves straight-line code; the region turns these into branches. Called while generating. */
export interface RegionExits {
  /** A fault or exit has been recorded by a helper; STATE.curRec is set. */
  fault(): void;
  /** The interpreter goes on with this record: not charged yet. */
  resume(rec: number): void;
  /** The helper does the record's instruction: not charged yet. */
  helper(rec: number): void;
  /** Transfer along the link of the record: charges `charge` instructions when the target is in the region. */
  link(rec: number, charge: number): void;
  /** Transfer to STATE.rip. */
  ip(rec: number): void;
}
/** State fields that cannot change while a region runs, except as the emitter itself says: loaded once at the entry. */
export interface Hoisted {
  readonly variable: MutableNode;
  readonly load: number;
  readonly offset: number;
}

const NO_CORE: CoreFunctions = { slowRead: 0, slowWrite: 0, slowProbe: 0, segmentSlow: 0, raise: 0, portIn: 0, portOut: 0 };
const FS = 4;

/** Guest memory and the stack of region code: the TLB inline, one slow arm an access; state that a region keeps in locals. */
export abstract class RegionMemoryEmit extends RegisterEmit {
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
  /** The instruction in progress and its record; whether it has stored through a slow arm. */
  protected insn!: Insn;
  protected rec = 0;
  protected wrote = false;

  constructor(w: FunctionWriter, exits: RegionExits, signature: number, budget: number, stale: number, flat = false) {
    super(w, NO_CORE);
    this.exits = exits;
    this.flat = flat;
    this.#signature = signature;
    this.budget = { ty: "i32", local: budget };
    this.stale = { ty: "i32", local: stale };
    for (let i = 0; i < TRACKED; i++) this.tracked.push({ ty: i === 17 || i === 20 ? "i32" : "i64", local: -1 });
  }
  get code64(): boolean {
    return this.insn.codeSize === 64;
  }

  // ---- hoisted state
  protected hoist(name: string, ty: "i32" | "i64", load: number, offset: number): Mutable {
    let h = this.hoisted.get(name);
    if (h === undefined) {
      h = { variable: { ty, local: this.w.fixedLocal(ty) }, load, offset };
      this.hoisted.set(name, h);
    }
    return h.variable;
  }
  #readLimit(s: number): Val {
    return this.get(this.hoist(`r${s}`, "i64", OP.i64_load, STATE.segReadLimit.offset + s * 8));
  }
  #writeLimit(s: number): Val {
    return this.get(this.hoist(`w${s}`, "i64", OP.i64_load, STATE.segWriteLimit.offset + s * 8));
  }
  protected baseVariable(s: number): Mutable {
    return this.code64
      ? this.hoist(`b${s}`, "i64", OP.i64_load, STATE.segEffBase.offset + s * 8)
      : this.hoist(`b${s}`, "i32", OP.i32_load, STATE.segEffBase.offset + s * 8);
  }
  #tlb(): Val {
    return this.get(this.hoist("tlb", "i32", OP.i32_load, STATE.tlbBase.offset));
  }
  stackMask(): Val {
    if (this.code64) return this.i64(-1);
    if (this.flat) {
      this.flatStack = true;
      return this.i64(0xffffffff);
    }
    return this.get(this.hoist("stack", "i64", OP.i64_load, STATE.stackMask.offset));
  }
  protected ipBase(): Val {
    return this.get(this.hoist("ip", "i64", OP.i64_load, STATE.ipBase.offset));
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
    return segment === "record" ? this.insn.segment : segment;
  }
  /** Calls a helper of the private table. */
  protected arm(slot: number, offset: Val, info: number): Val {
    return this.tableCall(this.#signature, [offset, this.i32(info), this.i32(this.rec), this.get(this.budget), this.i32(slot)]);
  }
  /** The generator reloads the budget here: helpers may have taken from it to stop us. */
  #faultWhen(bad: Val): void {
    this.leaveIf(bad, this.exits.fault);
  }

  /** `if` for what hardly ever happens. */
  protected unlikely(condition: Val, then: () => void): void {
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
      la = this.add(this.wrap(offset), this.get(this.baseVariable(s)));
    } else if (s >= FS) la = this.add(offset, this.get(this.baseVariable(s)));
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
    this.unlikely(slow, () => {
      this.#faultWhen(this.arm(ARM.read, offset, bytes | (s << 8)));
      this.set(host, this.i32(STATE.scratch.offset));
    });
    return this.rawLoad(typeOf(size), loadOpcode(size), this.get(host));
  }
  #writeArm(s: number, offset: Val, bytes: number): void {
    this.#faultWhen(this.arm(ARM.write, offset, bytes | (s << 8)));
    this.set(this.stale, this.state32(STATE.regionStale));
    this.wrote = true;
  }
  override store(segment: Segment, offset: Val, size: OpSize, value: Val): void {
    this.#write(this.#segmentNumber(segment), offset, size, value);
  }
  #write(s: number, offset: Val, size: MemSize, value: Val, aligned = false): void {
    const bytes = size >> 3;
    const { host, slow } = this.#access(s, offset, bytes, true, aligned);
    this.unlikely(slow, () => {
      this.rawStore(storeOpcode(size), this.i32(0), value, STATE.scratch.offset);
      this.#writeArm(s, offset, bytes);
      this.set(host, this.i32(STATE.scratch.offset));
    });
    this.rawStore(storeOpcode(size), this.get(host), value);
  }
  protected override place(segment: Segment, offset: Val, size: OpSize, read: boolean): { readonly value: Val; storeBack(value: Val): void } {
    const bytes = size >> 3;
    const s = this.#segmentNumber(segment);
    // What may be written may be read, with the same limit.
    const { host, slow } = this.#access(s, offset, bytes, true);
    this.unlikely(slow, () => {
      const probed = this.arm(ARM.probe, offset, bytes | (s << 8));
      this.#faultWhen(this.eqz(probed));
      this.set(host, probed);
      this.if(this.eq(probed, this.i32(1)), () => {
        if (read) this.#faultWhen(this.arm(ARM.read, offset, bytes | (s << 8)));
        this.set(host, this.i32(STATE.scratch.offset));
      });
    });
    const at = this.get(host);
    const value = read ? this.rawLoad(size === 64 ? "i64" : "i32", loadOpcode(size), at) : this.konst(size, 0);
    return {
      value,
      storeBack: (result: Val) => {
        this.rawStore(storeOpcode(size), at, result);
        this.unlikely(this.eq(at, this.i32(STATE.scratch.offset)), () => this.#writeArm(s, offset, bytes));
      },
    };
  }
  loadLinear(la: Val, size: OpSize): Val {
    return this.#read(LINEAR, la, size);
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
}
