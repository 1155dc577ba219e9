import type { OpSize, Val } from "../ir/emit.ts";
import { LazyFlagsEmit } from "./lazy-flags.ts";

/** General registers of region code, in locals. */
export abstract class RegisterEmit extends LazyFlagsEmit {
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
  /** Starts a block's instruction list. */
  startBlock(): void {
    this.nodes = [];
    this.resetKnown();
    this.#low.clear();
  }
}
