import type { Emit, SemanticFunction, Val } from "../ir/emit.ts";
import { resultFlags } from "./parts.ts";

/**
 * Decimal adjustment (not in 64-bit code). SDM volume 2, AAA … DAS. Flags that the manual leaves undefined are those of
 * Intel silicon: OF is 0 (and for AAM CF and AF), SF, ZF and PF come from AL.
 */

/** DAA and DAS: 6 per digit that is out of range, added or taken away. */
function packedAdjust(subtract: boolean): SemanticFunction {
  return (e) => {
    const al = e.gpr(0, 8);
    const carry = e.flag("cf");
    const low = e.or(e.gtU(e.and(al, e.i32(15)), e.i32(9)), e.flag("af"));
    const high = e.or(e.gtU(al, e.i32(0x99)), carry);
    const by = e.add(e.mul(low, e.i32(6)), e.mul(high, e.i32(0x60)));
    const r = e.trunc(subtract ? e.sub(al, by) : e.add(al, by), 8);
    // DAS also reports the borrow of its first step.
    const cf = subtract ? e.or(high, e.and(low, e.ltU(al, e.i32(6)))) : high;
    e.setGpr(0, 8, r);
    e.setFlags({ ...resultFlags(e, 8, r), cf, af: low, of: e.i32(0) });
  };
}

export const daa = packedAdjust(false);
export const das = packedAdjust(true);

/** AAA and AAS on AX: the adjustment carries through AL into AH. */
function unpackedAdjust(subtract: boolean): SemanticFunction {
  return (e) => {
    const ax = e.gpr(0, 16);
    const adjust = e.or(e.gtU(e.and(ax, e.i32(15)), e.i32(9)), e.flag("af"));
    const by = e.mul(adjust, e.i32(0x106));
    const r = e.and(subtract ? e.sub(ax, by) : e.add(ax, by), e.i32(0xff0f));
    e.setGpr(0, 16, r);
    const al: Val = e.and(r, e.i32(15));
    e.setFlags({ ...resultFlags(e, 8, al), cf: adjust, af: adjust, of: e.i32(0) });
  };
}

export const aaa = unpackedAdjust(false);
export const aas = unpackedAdjust(true);

function clearCarries(e: Emit, result: Val): void {
  const zero = e.i32(0);
  e.flagsResult(8, result, { cf: zero, of: zero });
}

/** AAM: #DE when the base is 0. */
export const aam: SemanticFunction = (e) => {
  const base = e.and(e.wrap(e.imm64(0)), e.i32(0xff));
  e.faultIf(e.eqz(base), 0);
  const al = e.gpr(0, 8);
  const r = e.remU(al, base);
  e.setGpr(0, 16, e.or(r, e.shl(e.divU(al, base), e.i32(8))));
  clearCarries(e, r);
};

export const aad: SemanticFunction = (e) => {
  const base = e.and(e.wrap(e.imm64(0)), e.i32(0xff));
  const ax = e.gpr(0, 16);
  // Flags are those of adding the product to AL: measured.
  const al = e.and(ax, e.i32(0xff));
  const product = e.trunc(e.mul(e.shrU(ax, e.i32(8)), base), 8);
  const r = e.trunc(e.add(al, product), 8);
  e.setGpr(0, 16, r);
  e.flagsAdd(8, al, product, r);
};
