import { I32, type ModuleBuilder, OP, V128_LOAD, V128_STORE } from "../../../wasm/index.ts";
import { FunctionWriter } from "../ir/codegen.ts";
import { STATE, TLB, TLB_ENTRIES } from "../state-layout.ts";

/** Parameters of the slow arms: linear address in halves, bytes and segment. */
const LO = 0,
  HI = 1,
  SIZE_SEGMENT = 2;

/**
 * Stores to pages that hold decoded code, without leaving Wasm while no decoded byte is hit: boot sectors and DOS
 * programs keep stack and data next to their code. Falls back to the TypeScript arms.
 */
export function emitStoreArms(m: ModuleBuilder, jsWrite: number, jsProbe: number): { readonly slowWrite: number; readonly slowProbe: number } {
  return { slowWrite: storeArm(m, jsWrite, storeScratch), slowProbe: storeArm(m, jsProbe, (w, host) => w.get(host)) };
}

/** `hit`: leaves the arm's answer on the stack when the bytes at `host` may be written. */
function storeArm(m: ModuleBuilder, fallback: number, hit: (w: FunctionWriter, host: number, bytes: number) => void): number {
  const f = m.declare();
  const w = new FunctionWriter(3);
  const entry = w.fixedLocal("i32");
  const bytes = w.fixedLocal("i32");
  const offset = w.fixedLocal("i32");
  const host = w.fixedLocal("i32");
  w.get(SIZE_SEGMENT);
  w.i32(0xff);
  w.op(OP.i32_and);
  w.set(bytes);
  findEntry(w, entry);
  whenTagHits(w, entry, bytes, offset);
  w.if();
  whenNoCodeIsHit(w, entry, bytes, offset);
  w.if();
  w.get(LO);
  w.get(entry);
  w.mem(OP.i32_load, TLB.addend);
  w.op(OP.i32_add);
  w.set(host);
  hit(w, host, bytes);
  w.op(OP.return);
  w.end();
  w.end();
  w.get(LO);
  w.get(HI);
  w.get(SIZE_SEGMENT);
  w.call(fallback);
  m.define(f, { params: [I32, I32, I32], results: [I32] }, w.locals, w.code.view());
  return f;
}
/** entry = tlbBase + ((lo >> 12) & mask) * 32 */
function findEntry(w: FunctionWriter, entry: number): void {
  w.get(LO);
  w.i32(12);
  w.op(OP.i32_shr_u);
  w.i32(TLB_ENTRIES - 1);
  w.op(OP.i32_and);
  w.i32(5);
  w.op(OP.i32_shl);
  w.i32(0);
  w.mem(OP.i32_load, STATE.tlbBase.offset);
  w.op(OP.i32_add);
  w.set(entry);
}
/** The tag is the page's, and the access does not cross it. Sets `offset`. */
function whenTagHits(w: FunctionWriter, entry: number, bytes: number, offset: number): void {
  w.get(LO);
  w.get(entry);
  w.mem(OP.i32_load, TLB.writeSmc);
  w.op(OP.i32_xor);
  w.tee(offset);
  w.i32(4096);
  w.get(bytes);
  w.op(OP.i32_sub);
  w.op(OP.i32_le_u);
  w.get(HI);
  w.get(entry);
  w.mem(OP.i32_load, TLB.writeSmc + 4);
  w.op(OP.i32_eq);
  w.op(OP.i32_and);
}
/** Four bytes of the bitmap cover any 16 bytes; the bitmaps are followed by other tables, so reading past is safe. */
function whenNoCodeIsHit(w: FunctionWriter, entry: number, bytes: number, offset: number): void {
  w.get(entry);
  w.mem(OP.i32_load, TLB.smcBitmap);
  w.get(offset);
  w.i32(3);
  w.op(OP.i32_shr_u);
  w.op(OP.i32_add);
  w.mem(OP.i32_load, 0);
  w.get(offset);
  w.i32(7);
  w.op(OP.i32_and);
  w.op(OP.i32_shr_u);
  w.i32(1);
  w.get(bytes);
  w.op(OP.i32_shl);
  w.i32(1);
  w.op(OP.i32_sub);
  w.op(OP.i32_and);
  w.op(OP.i32_eqz);
}

const SIZES = [
  [1, OP.i32_load8_u, OP.i32_store8],
  [2, OP.i32_load16_u, OP.i32_store16],
  [4, OP.i32_load, OP.i32_store],
  [8, OP.i64_load, OP.i64_store],
  [16, V128_LOAD, V128_STORE],
] as const;
/** Copies the bytes from STATE.scratch. */
function storeScratch(w: FunctionWriter, host: number, bytes: number): void {
  for (const [size, load, store] of SIZES) {
    w.get(bytes);
    w.i32(size);
    w.op(OP.i32_eq);
    w.if();
    w.get(host);
    w.i32(0);
    w.mem(load, STATE.scratch.offset);
    w.mem(store, 0);
    w.end();
  }
  w.i32(0);
}
