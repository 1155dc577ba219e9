import { OP } from "../../../wasm/index.ts";
import { MemoryEmit } from "../ir/memory-emit.ts";
import type { FlagName } from "../ir/flags-emit.ts";
import type { FlagBits, Mutable, OpSize, Ty, Val } from "../ir/emit.ts";
import type { MutableNode, Node } from "../ir/nodes.ts";
import { fold } from "./fold.ts";

/** Places in the tracked variables of a region: 16 registers, then the flags. */
export const R = 16,
  C = 17,
  X = 18,
  Y = 19,
  A = 20,
  TRACKED = 21;
export const FLAGS_MASK = 0x1f << 16;

interface Known {
  readonly kind: "sub" | "add" | "logic" | "other";
  readonly size: OpSize;
  readonly a: Val;
  readonly b: Val;
  readonly r: Val;
}

/**
 * Flags of region code, in locals, so that arithmetic costs no more than copies and one comparison:
 * R the result sign-extended; C the carry, 0 or 1; X and Y operands with X + Y (+ carry) = R, sign-extended (a subtraction
 * is X + ~Y + 1); A: bit 30 turns OF, bit 3 turns AF, bits 15:8 and 0 as in flagAux. Then OF = bit 63 of (X^R)&(Y^R) and
 * AF = bit 4 of X^Y^R. Packed into flagRes/flagAux where a region ends. A condition right after a comparison compares.
 */
export abstract class LazyFlagsEmit extends MemoryEmit {
  /** Registers and flags of the region; `local` is given by the region. */
  readonly tracked: MutableNode[] = [];
  #known: Known | undefined;

  protected override append(n: Node): Node {
    if (n.kind === "op" || n.kind === "select") {
      const simpler = fold(n);
      if (simpler !== undefined) {
        if (simpler.kind === "op" && !n.args.includes(simpler) && !n.args.some((a) => a.args.includes(simpler))) return this.append(simpler);
        return simpler;
      }
    }
    return super.append(n);
  }
  protected constantOf(v: Val): number | undefined {
    const n = v as Node; // oxlint-disable-line no-unsafe-type-assertion -- every Val is made by BaseEmit
    return n.kind === "const" && n.ty === "i32" ? Number(n.value) : undefined;
  }
  /** Starts the next instruction list. */
  protected resetKnown(): void {
    this.#known = undefined;
  }
  override if(condition: Val, then: () => void, otherwise?: () => void): void {
    const c = this.constantOf(condition);
    if (c !== undefined) {
      if (c !== 0) then();
      else otherwise?.();
      return;
    }
    const before = this.#known;
    super.if(
      condition,
      then,
      otherwise === undefined
        ? undefined
        : () => {
            if (this.#known !== before) this.#known = undefined;
            otherwise();
          },
    );
    if (this.#known !== before) this.#known = undefined;
  }
  override loop(body: (breakIf: (condition: Val) => void) => void): void {
    this.#known = undefined;
    super.loop(body);
    this.#known = undefined;
  }
  override leaveIf(condition: Val, hook: () => void): void {
    const c = this.constantOf(condition);
    if (c === undefined) super.leaveIf(condition, hook);
    else if (c !== 0) this.raw(hook);
  }
  /** A variable without a first value. */
  protected fresh(ty: Ty): Mutable {
    const m: MutableNode = { ty, local: -1 };
    return m;
  }
  protected var(i: number): Node {
    return this.get(this.tracked[i]);
  }
  protected setVar(i: number, v: Val): void {
    this.set(this.tracked[i], v);
  }

  #signed(size: OpSize, v: Val): Val {
    return size === 64 ? v : this.extS(this.sx(v, size));
  }
  #put(kind: Known["kind"], size: OpSize, a: Val, b: Val, r: Val, parts: { x: Val; y: Val; c: Val | undefined; aux: Val }): void {
    this.setVar(R, this.#signed(size, r));
    if (parts.c !== undefined) this.setVar(C, parts.c);
    this.setVar(X, parts.x);
    this.setVar(Y, parts.y);
    this.setVar(A, parts.aux);
    this.#known = { kind, size, a, b, r };
  }
  #top(size: OpSize, v: Val): Val {
    const top = this.shrU(v, this.konst(size, size - 1));
    return this.wrap(size === 64 || size === 32 ? top : this.and(top, this.i32(1)));
  }
  override flagsAdd(size: OpSize, a: Val, b: Val, r: Val): void {
    this.#put("add", size, a, b, r, { x: this.#signed(size, a), y: this.#signed(size, b), c: this.ltU(r, a), aux: this.i32(0) });
  }
  override flagsAdc(size: OpSize, a: Val, b: Val, r: Val): void {
    const carries = this.or(this.and(a, b), this.and(this.or(a, b), this.not(r)));
    this.#put("other", size, a, b, r, { x: this.#signed(size, a), y: this.#signed(size, b), c: this.#top(size, carries), aux: this.i32(0) });
  }
  override flagsSub(size: OpSize, a: Val, b: Val, r: Val): void {
    this.#put("sub", size, a, b, r, { x: this.#signed(size, a), y: this.not(this.#signed(size, b)), c: this.ltU(a, b), aux: this.i32(8) });
  }
  override flagsSbb(size: OpSize, a: Val, b: Val, r: Val): void {
    const borrows = this.or(this.and(this.not(a), b), this.and(this.or(this.not(a), b), r));
    this.#put("other", size, a, b, r, {
      x: this.#signed(size, a),
      y: this.not(this.#signed(size, b)),
      c: this.#top(size, borrows),
      aux: this.i32(8),
    });
  }
  override flagsLogic(size: OpSize, r: Val): void {
    this.#put("logic", size, r, r, r, { x: this.#signed(size, r), y: this.i64(0), c: this.i32(0), aux: this.i32(0) });
  }
  override flagsInc(size: OpSize, a: Val, r: Val): void {
    this.#put("other", size, a, a, r, { x: this.#signed(size, a), y: this.i64(1), c: undefined, aux: this.i32(0) });
  }
  override flagsDec(size: OpSize, a: Val, r: Val): void {
    this.#put("other", size, a, a, r, { x: this.#signed(size, a), y: this.i64(-2), c: undefined, aux: this.i32(8) });
  }
  override flagsResult(size: OpSize, r: Val, bits: { readonly cf: Val; readonly of: Val; readonly af?: Val }): void {
    let aux: Val = this.shl(bits.of, this.i32(30));
    if (bits.af !== undefined) aux = this.or(aux, this.shl(bits.af, this.i32(3)));
    this.#put("other", size, r, r, r, { x: this.#signed(size, r), y: this.i64(0), c: bits.cf, aux });
  }
  override setFlags(bits: FlagBits): void {
    const known = this.#known;
    this.#known = undefined;
    if (bits.zf === undefined && bits.sf === undefined && bits.pf === undefined) {
      if (bits.of !== undefined || bits.af !== undefined) {
        const of = bits.of ?? this.flag("of");
        const af = bits.af ?? this.flag("af");
        const deltas = this.and(this.var(A), this.i32(0xff01));
        const aux = this.or(deltas, this.or(this.shl(of, this.i32(30)), this.shl(af, this.i32(3))));
        this.setVar(X, this.var(R));
        this.setVar(Y, this.i64(0));
        this.setVar(A, aux);
      }
      if (bits.cf !== undefined) this.setVar(C, bits.cf);
      // Z, S, P are as they were: a comparison of the result alone is still right.
      if (known !== undefined && known.kind !== "logic") this.#known = { ...known, kind: "other" };
      return;
    }
    const all = (name: FlagName): Val => bits[name] ?? this.flag(name);
    const [cf, pf, af, zf, sf, of] = [all("cf"), all("pf"), all("af"), all("zf"), all("sf"), all("of")];
    const r = this.extU(this.xor(zf, this.i32(1)));
    const aux = this.or(this.or(this.shl(of, this.i32(30)), this.shl(af, this.i32(3))), this.or(this.shl(this.xor(pf, zf), this.i32(8)), sf));
    this.setVar(C, cf);
    this.setVar(R, r);
    this.setVar(X, r);
    this.setVar(Y, this.i64(0));
    this.setVar(A, aux);
  }
  #overflow(): Node {
    const r = this.var(R);
    const lazy = this.wrap(this.shrU(this.and(this.xor(this.var(X), r), this.xor(this.var(Y), r)), this.i64(63)));
    return this.xor(lazy, this.and(this.shrU(this.var(A), this.i32(30)), this.i32(1)));
  }
  override flag(name: FlagName): Node {
    const known = this.#known;
    switch (name) {
      case "cf":
        return this.var(C);
      case "of":
        return this.#overflow();
      case "af": {
        const lazy = this.wrap(this.shrU(this.xor(this.xor(this.var(X), this.var(Y)), this.var(R)), this.i64(4)));
        return this.and(this.xor(lazy, this.shrU(this.var(A), this.i32(3))), this.i32(1));
      }
      case "zf":
        if (known !== undefined) return known.kind === "sub" ? this.eq(known.a, known.b) : this.eqz(known.r);
        return this.eqz(this.var(R));
      case "sf":
        if (known !== undefined) return this.#signOf(known.size, known.r);
        return this.xor(this.wrap(this.shrU(this.var(R), this.i64(63))), this.and(this.var(A), this.i32(1)));
      case "pf": {
        const low = known === undefined ? this.xor(this.wrap(this.var(R)), this.shrU(this.var(A), this.i32(8))) : this.wrap(known.r);
        return this.xor(this.and(this.popcnt(this.and(low, this.i32(0xff))), this.i32(1)), this.i32(1));
      }
    }
  }
  #signOf(size: OpSize, v: Val): Node {
    return this.ltS(this.sx(v, size), this.konst(size, 0));
  }
  override condition(cc: number): Node {
    const direct = this.#direct(cc & ~1);
    if (direct === undefined) return super.condition(cc);
    return (cc & 1) === 1 ? this.eqz(direct) : direct;
  }
  /** Even conditions, from the operands of the instruction that set the flags. */
  #direct(cc: number): Node | undefined {
    const known = this.#known;
    if (known === undefined) return undefined;
    const { kind, size, a, b, r } = known;
    const signed = (v: Val): Val => this.sx(v, size);
    if (kind === "sub") {
      if (cc === 2) return this.ltU(a, b);
      if (cc === 6) return this.leU(a, b);
      if (cc === 12) return this.ltS(signed(a), signed(b));
      if (cc === 14) return this.leS(signed(a), signed(b));
    } else if (kind === "logic") {
      if (cc === 0 || cc === 2) return this.i32(0);
      if (cc === 6) return this.eqz(r);
      if (cc === 12) return this.#signOf(size, r);
      if (cc === 14) return this.leS(signed(r), this.konst(size, 0));
    }
    return undefined;
  }

  /** For the region's end: code that packs the flag locals into STATE.flagRes and flagAux. */
  static pack(w: { get(local: number): void; i32(v: number): void; i64(v: bigint): void; op(o: number): void }, locals: readonly number[]): void {
    // aux = (A & FF01) | C<<31 | (C ^ OF)<<30 | AF<<3
    const [r, c, x, y, a] = [locals[R], locals[C], locals[X], locals[Y], locals[A]];
    w.get(a);
    w.i32(0xff01);
    w.op(OP.i32_and);
    w.get(c);
    w.i32(31);
    w.op(OP.i32_shl);
    w.op(OP.i32_or);
    // OF at bit 0
    w.get(x);
    w.get(r);
    w.op(OP.i64_xor);
    w.get(y);
    w.get(r);
    w.op(OP.i64_xor);
    w.op(OP.i64_and);
    w.i64(63n);
    w.op(OP.i64_shr_u);
    w.op(OP.i32_wrap_i64);
    w.get(a);
    w.i32(30);
    w.op(OP.i32_shr_u);
    w.op(OP.i32_xor);
    w.get(c);
    w.op(OP.i32_xor);
    w.i32(1);
    w.op(OP.i32_and);
    w.i32(30);
    w.op(OP.i32_shl);
    w.op(OP.i32_or);
    // AF: bit 4 of X^Y^R moved to bit 3
    w.get(x);
    w.get(y);
    w.op(OP.i64_xor);
    w.get(r);
    w.op(OP.i64_xor);
    w.op(OP.i32_wrap_i64);
    w.i32(1);
    w.op(OP.i32_shr_u);
    w.get(a);
    w.op(OP.i32_xor);
    w.i32(8);
    w.op(OP.i32_and);
    w.op(OP.i32_or);
  }
}
