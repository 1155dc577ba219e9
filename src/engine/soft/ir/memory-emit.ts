import { OP, V128_LOAD, V128_STORE } from "../../../wasm/index.ts";
import { FlagsEmit } from "./flags-emit.ts";
import type { FunctionWriter } from "./codegen.ts";
import type { OpSize, Segment, Ty, Val } from "./emit.ts";
import { STATE, TLB, TLB_ENTRIES } from "../state-layout.ts";

/** Function indices of the core module that generated code calls. */
export interface CoreFunctions {
  readonly slowRead: number;
  readonly slowWrite: number;
  readonly slowProbe: number;
  readonly segmentSlow: number;
  readonly raise: number;
  readonly portIn: number;
  readonly portOut: number;
}

/** Bits of a memory access. */
export type MemSize = OpSize | 128;
const LOADS: Record<MemSize, number> = { 8: OP.i32_load8_u, 16: OP.i32_load16_u, 32: OP.i32_load, 64: OP.i64_load, 128: V128_LOAD };
const STORES: Record<MemSize, number> = { 8: OP.i32_store8, 16: OP.i32_store16, 32: OP.i32_store, 64: OP.i64_store, 128: V128_STORE };
export const loadOpcode = (size: MemSize): number => LOADS[size];
export const storeOpcode = (size: MemSize): number => STORES[size];
export const typeOf = (size: MemSize): Ty => (size === 128 ? "v128" : size === 64 ? "i64" : "i32");

/** Where an access goes: segment as a constant or as a value read from the record. */
export interface SegmentRef {
  /** Address of segBase[s] etc. = constant or 8*s as i32. */
  readonly index8: Val | undefined;
  readonly constant: number;
}

/**
 * Guest memory for both back ends: segment limit check, linear address, software TLB with the page-crossing XOR test,
 * slow arms. `leaveFault` is how the back end leaves after a slow arm has recorded a fault.
 */
export abstract class MemoryEmit extends FlagsEmit {
  readonly w: FunctionWriter;
  readonly core: CoreFunctions;
  constructor(w: FunctionWriter, core: CoreFunctions) {
    super();
    this.w = w;
    this.core = core;
  }
  /** Leaves: a fault or exit has been recorded by an import. Nothing on the stack. */
  protected abstract leaveFault(): void;
  /** Makes STATE.curRec name this instruction, for the imports. */
  protected abstract markInstruction(): void;
  protected abstract segmentRef(segment: Segment): SegmentRef;

  /** Loads a 64-bit field of a segment array. */
  #segmentField(field: { readonly offset: number }, s: SegmentRef): Val {
    return s.index8 === undefined
      ? this.rawLoad("i64", OP.i64_load, this.i32(0), field.offset + s.constant * 8)
      : this.rawLoad("i64", OP.i64_load, s.index8, field.offset);
  }
  #segmentNumber(s: SegmentRef): Val {
    return s.index8 === undefined ? this.i32(s.constant) : this.shrU(s.index8, this.i32(3));
  }

  /** Linear address (i64, masked) of segment:offset after the limit check. */
  linear(segment: Segment, offset: Val, bytes: number, write: boolean): Val {
    const s = this.segmentRef(segment);
    const last = bytes === 1 ? offset : this.add(offset, this.i64(bytes - 1));
    const limit = this.#segmentField(write ? STATE.segWriteLimit : STATE.segReadLimit, s);
    this.if(this.gtS(last, limit), () => {
      this.markInstruction();
      const flags = this.or(this.#segmentNumber(s), this.i32((bytes << 8) | (write ? 0x80 : 0)));
      const bad = this.call(this.core.segmentSlow, "i32", [this.wrap(offset), this.wrap(this.shrU(offset, this.i64(32))), flags]);
      this.leaveIf(bad, () => this.leaveFault());
    });
    return this.and(this.add(offset, this.#segmentField(STATE.segEffBase, s)), this.state64(STATE.linearMask));
  }
  /** i32 address of the TLB entry of a linear address. */
  #entry(la: Val): Val {
    const index = this.and(this.shrU(this.wrap(la), this.i32(12)), this.i32(TLB_ENTRIES - 1));
    return this.add(this.shl(index, this.i32(5)), this.state32(STATE.tlbBase));
  }
  #hit(la: Val, entry: Val, tag: number, bytes: number): Val {
    return this.ltU(this.xor(la, this.rawLoad("i64", OP.i64_load, entry, tag)), this.i64(4097 - bytes));
  }
  #host(la: Val, entry: Val): Val {
    return this.add(this.wrap(la), this.rawLoad("i32", OP.i32_load, entry, TLB.addend));
  }
  #sizeAndSegment(bytes: number, segment: Segment): Val {
    const s = this.segmentRef(segment);
    return this.or(this.i32(bytes), this.shl(this.#segmentNumber(s), this.i32(8)));
  }
  #split(la: Val): [Val, Val] {
    return [this.wrap(la), this.wrap(this.shrU(la, this.i64(32)))];
  }

  override load(segment: Segment, offset: Val, size: OpSize): Val {
    return this.loadAt(this.linear(segment, offset, size >> 3, false), size, segment);
  }
  /** Sixteen bytes; `aligned`: #GP(0) when the linear address is no multiple of 16. */
  load128(segment: Segment, offset: Val, aligned: boolean): Val {
    if (aligned) this.#mustAlign(segment, offset);
    const la = this.linear(segment, offset, 16, false);
    return this.loadAt(la, 128, segment);
  }
  store128(segment: Segment, offset: Val, aligned: boolean, value: Val): void {
    if (aligned) this.#mustAlign(segment, offset);
    const la = this.linear(segment, offset, 16, true);
    this.#storeAt(la, 128, segment, value);
  }
  /** Alignment comes before the segment's limit (observed). */
  #mustAlign(segment: Segment, offset: Val): void {
    const la = this.add(this.wrap(offset), this.wrap(this.#segmentField(STATE.segEffBase, this.segmentRef(segment))));
    this.faultIf(this.and(la, this.i32(15)), 13, 0);
  }
  /** Reads a linear address; `segment` names the fault of a non-canonical one. */
  protected loadAt(la: Val, size: MemSize, segment: Segment): Val {
    const bytes = size >> 3;
    const entry = this.#entry(la);
    const ty = typeOf(size);
    const value = this.mutable(ty, size === 128 ? this.vconst(0n) : this.konst(size, 0));
    this.if(
      this.#hit(la, entry, TLB.read, bytes),
      () => this.set(value, this.rawLoad(ty, loadOpcode(size), this.#host(la, entry))),
      () => {
        this.markInstruction();
        const [lo, hi] = this.#split(la);
        const bad = this.call(this.core.slowRead, "i32", [lo, hi, this.#sizeAndSegment(bytes, segment)]);
        this.leaveIf(bad, () => this.leaveFault());
        this.set(value, this.rawLoad(ty, loadOpcode(size), this.i32(0), STATE.scratch.offset));
      },
    );
    return this.get(value);
  }

  override store(segment: Segment, offset: Val, size: OpSize, value: Val): void {
    this.#storeAt(this.linear(segment, offset, size >> 3, true), size, segment, value);
  }
  #storeAt(la: Val, size: MemSize, segment: Segment, value: Val): void {
    const bytes = size >> 3;
    const entry = this.#entry(la);
    this.if(
      this.#hit(la, entry, TLB.write, bytes),
      () => this.rawStore(storeOpcode(size), this.#host(la, entry), value),
      () => {
        this.markInstruction();
        this.rawStore(storeOpcode(size), this.i32(0), value, STATE.scratch.offset);
        const [lo, hi] = this.#split(la);
        const bad = this.call(this.core.slowWrite, "i32", [lo, hi, this.#sizeAndSegment(bytes, segment)]);
        this.leaveIf(bad, () => this.leaveFault());
      },
    );
  }

  /** Probes for writing: host address (i32), or 1 when each access must go through the slow arms. */
  #probeHost(la: Val, bytes: number, segment: Segment): Val {
    const entry = this.#entry(la);
    const host = this.mutable("i32", this.i32(1));
    this.if(
      this.#hit(la, entry, TLB.write, bytes),
      () => this.set(host, this.#host(la, entry)),
      () => {
        this.markInstruction();
        const [lo, hi] = this.#split(la);
        this.set(host, this.call(this.core.slowProbe, "i32", [lo, hi, this.#sizeAndSegment(bytes, segment)]));
        this.leaveIf(this.eqz(this.get(host)), () => this.leaveFault());
      },
    );
    return this.get(host);
  }

  /** Probes; the value is read only when `read`. */
  protected place(segment: Segment, offset: Val, size: OpSize, read: boolean): { readonly value: Val; storeBack(value: Val): void } {
    const bytes = size >> 3;
    const ty = size === 64 ? "i64" : "i32";
    if (read) this.linear(segment, offset, bytes, false);
    const la = this.linear(segment, offset, bytes, true);
    const host = this.#probeHost(la, bytes, segment);
    const slow = this.eq(host, this.i32(1));
    let value: Val = this.konst(size, 0);
    if (read) {
      const v = this.mutable(ty, value);
      this.if(
        slow,
        () => {
          const [lo, hi] = this.#split(la);
          const bad = this.call(this.core.slowRead, "i32", [lo, hi, this.#sizeAndSegment(bytes, segment)]);
          this.leaveIf(bad, () => this.leaveFault());
          this.set(v, this.rawLoad(ty, loadOpcode(size), this.i32(0), STATE.scratch.offset));
        },
        () => this.set(v, this.rawLoad(ty, loadOpcode(size), host)),
      );
      value = this.get(v);
    }
    return {
      value,
      storeBack: (result: Val) => {
        this.if(
          slow,
          () => {
            this.markInstruction();
            this.rawStore(storeOpcode(size), this.i32(0), result, STATE.scratch.offset);
            const [lo, hi] = this.#split(la);
            const bad = this.call(this.core.slowWrite, "i32", [lo, hi, this.#sizeAndSegment(bytes, segment)]);
            this.leaveIf(bad, () => this.leaveFault());
          },
          () => this.rawStore(storeOpcode(size), host, result),
        );
      },
    };
  }
  override probeStore(segment: Segment, offset: Val, size: OpSize): void {
    this.place(segment, offset, size, false);
  }
  override loadForWrite(segment: Segment, offset: Val, size: OpSize): { readonly value: Val; storeBack(value: Val): void } {
    return this.place(segment, offset, size, true);
  }
}
