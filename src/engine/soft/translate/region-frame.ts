import { OP } from "../../../wasm/index.ts";
import { REGION_MISFIT } from "../code/codes.ts";
import type { FunctionWriter } from "../ir/codegen.ts";
import { STATE } from "../state-layout.ts";
import { A, C, FLAGS_MASK, LazyFlagsEmit, R, X } from "./lazy-flags.ts";
import type { TranslateEmit } from "./translate-emit.ts";

// The beginning and the end of a region: what it has in locals comes from the CPU's state and goes back there.

/** Leaves at once, for good, when the segments are not as the code assumes. */
function guard(h: FunctionWriter, { flatUse, flatStack }: TranslateEmit): void {
  let terms = 0;
  /** One more value that must be `wanted`. */
  const must = (load: number, offset: number, wanted: bigint): void => {
    h.i32(0);
    h.mem(load, offset);
    if (wanted !== 0n) {
      h.i64(wanted);
      h.op(OP.i64_xor);
    }
    if (terms++ > 0) h.op(OP.i64_or);
  };
  for (let s = 0; s < 4; s++) {
    const read = (flatUse >> s) & 1;
    const write = (flatUse >> (8 + s)) & 1;
    // What may be written may be read, with the same limit.
    if (write !== 0) must(OP.i64_load, STATE.segWriteLimit.offset + s * 8, 0xffffffffn);
    else if (read !== 0) must(OP.i64_load, STATE.segReadLimit.offset + s * 8, 0xffffffffn);
    if (read + write !== 0) must(OP.i64_load, STATE.segEffBase.offset + s * 8, 0n);
  }
  if (flatStack) {
    must(OP.i64_load, STATE.stackMask.offset, 0xffffffffn);
    must(OP.i64_load32_u, STATE.gpr.offset + 4 * 8 + 4, 0n);
  }
  if (terms === 0) return;
  h.op(OP.i64_eqz);
  h.op(OP.i32_eqz);
  h.if();
  h.get(0);
  h.i32(REGION_MISFIT);
  h.op(OP.i32_or);
  h.op(OP.return);
  h.end();
}
/** Loads what a region has in locals; `used`: bits of tracked variables. */
export function writePrologue(h: FunctionWriter, e: TranslateEmit, used: number, budget: number): void {
  const state = (load: number, offset: number, local: number): void => {
    h.i32(0);
    h.mem(load, offset);
    h.set(local);
  };
  guard(h, e);
  h.i32(0);
  h.i32(0);
  h.mem(OP.i32_load, STATE.regionRuns.offset);
  h.i32(1);
  h.op(OP.i32_add);
  h.mem(OP.i32_store, STATE.regionRuns.offset);
  h.i32(0);
  h.i32(0);
  h.mem(OP.i32_store, STATE.regionStale.offset);
  state(OP.i32_load, STATE.budget.offset, budget);
  for (const x of e.hoisted.values()) state(x.load, x.offset, x.variable.local);
  for (let i = 0; i < 16; i++) if ((used >> i) & 1) state(OP.i64_load, STATE.gpr.offset + i * 8, e.tracked[i].local);
  if ((used & FLAGS_MASK) === 0) return;
  // Y = 0 and X = R: OF and AF are what A says.
  const [r, c, x, a] = [e.tracked[R].local, e.tracked[C].local, e.tracked[X].local, e.tracked[A].local];
  state(OP.i64_load, STATE.flagRes.offset, r);
  h.get(r);
  h.set(x);
  h.i32(0);
  h.mem(OP.i32_load, STATE.flagAux.offset);
  h.tee(a);
  h.i32(31);
  h.op(OP.i32_shr_u);
  h.set(c);
  // bit 30 = bit 31 ^ bit 30
  h.get(a);
  h.i32(0xff09);
  h.op(OP.i32_and);
  h.get(a);
  h.get(a);
  h.i32(1);
  h.op(OP.i32_shr_u);
  h.op(OP.i32_xor);
  h.i32(0x40000000);
  h.op(OP.i32_and);
  h.op(OP.i32_or);
  h.set(a);
}

/** Stores what the region has written; `written`: bits of tracked variables. */
export function writeEpilogue(w: FunctionWriter, e: TranslateEmit, written: number, budget: number): void {
  for (let i = 0; i < 16; i++) {
    if (((written >> i) & 1) === 0) continue;
    w.i32(0);
    w.get(e.tracked[i].local);
    w.mem(OP.i64_store, STATE.gpr.offset + i * 8);
  }
  if ((written & FLAGS_MASK) !== 0) {
    w.i32(0);
    w.get(e.tracked[R].local);
    w.mem(OP.i64_store, STATE.flagRes.offset);
    w.i32(0);
    LazyFlagsEmit.pack(
      w,
      e.tracked.map((t) => t.local),
    );
    w.mem(OP.i32_store, STATE.flagAux.offset);
  }
  w.i32(0);
  w.get(budget);
  w.mem(OP.i32_store, STATE.budget.offset);
}
