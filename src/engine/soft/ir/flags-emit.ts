import { STATE } from "../state-layout.ts";
import { BaseEmit } from "./base-emit.ts";
import type { Emit, FlagBits, OpSize, Segment, Val } from "./emit.ts";
import type { Node } from "./nodes.ts";

export type FlagName = "cf" | "pf" | "af" | "zf" | "sf" | "of";
/** Where the arithmetic flags lie in EFLAGS. */
const ARITHMETIC: readonly (readonly [name: FlagName, bit: number])[] = [
  ["cf", 0],
  ["pf", 2],
  ["af", 4],
  ["zf", 6],
  ["sf", 7],
  ["of", 11],
];

/** Flags of the Emit language, over the lazy ones of the state; back ends add operands, registers, memory, exits. */
export abstract class FlagsEmit extends BaseEmit implements Emit {
  // See flags-state.ts for the representation.
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
    const all = (name: FlagName): Val => bits[name] ?? this.flag(name);
    const [cf, pf, af, zf, sf, of] = [all("cf"), all("pf"), all("af"), all("zf"), all("sf"), all("of")];
    const aux = this.or(this.or(this.#carryBits(cf, of), this.shl(af, this.i32(3))), this.or(this.shl(this.xor(pf, zf), this.i32(8)), sf));
    this.storeFlags(this.extU(this.xor(zf, this.i32(1))), aux);
  }
  flag(name: FlagName): Node {
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
  /** All of EFLAGS. */
  flagsImage(): Val {
    let image: Val = this.state32(STATE.eflags);
    for (const [name, bit] of ARITHMETIC) {
      const f = this.flag(name);
      image = this.or(image, bit === 0 ? f : this.shl(f, this.i32(bit)));
    }
    return image;
  }
  /** EFLAGS = (old & ~mask) | (image & mask), arithmetic flags always from the image. */
  setFlagsImage(image: Val, mask: number): void {
    const bit = (n: number): Val => this.and(n === 0 ? image : this.shrU(image, this.i32(n)), this.i32(1));
    this.setFlags({ cf: bit(0), pf: bit(2), af: bit(4), zf: bit(6), sf: bit(7), of: bit(11) });
    const kept = this.and(this.state32(STATE.eflags), this.i32(~mask));
    this.setState32(STATE.eflags, this.or(kept, this.and(image, this.i32(mask))));
  }

  // ---- left to the back ends
  abstract readonly size: OpSize;
  abstract readonly addrSize: 16 | 32 | 64;
  abstract readonly codeSize: 16 | 32 | 64;
  abstract readonly cc: number;
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
