import { I32, type ModuleBuilder, OP, V128_LOAD, V128_STORE } from "../../../wasm/index.ts";
import { FunctionWriter } from "../ir/codegen.ts";
import { CPU, TLB, TLB_ENTRIES } from "../state-layout.ts";

/**
 * Stores to pages that hold decoded code, without leaving Wasm while no decoded byte is hit: boot sectors and DOS
 * programs keep stack and data next to their code. Falls back to the TypeScript arms.
 */
export function emitStoreArms(m: ModuleBuilder, jsWrite: number, jsProbe: number): { readonly slowWrite: number; readonly slowProbe: number } {
  const signature = { params: [I32, I32, I32], results: [I32] };
  const build = (fallback: number, hit: (w: FunctionWriter, host: number, bytes: number) => void): number => {
    const f = m.declare();
    const w = new FunctionWriter(3);
    const [lo, hi, sizeSegment] = [0, 1, 2];
    const entry = w.fixedLocal("i32");
    const bytes = w.fixedLocal("i32");
    const offset = w.fixedLocal("i32");
    const host = w.fixedLocal("i32");
    w.get(sizeSegment);
    w.i32(0xff);
    w.op(OP.i32_and);
    w.set(bytes);
    // entry = tlbBase + ((lo >> 12) & mask) * 32
    w.get(lo);
    w.i32(12);
    w.op(OP.i32_shr_u);
    w.i32(TLB_ENTRIES - 1);
    w.op(OP.i32_and);
    w.i32(5);
    w.op(OP.i32_shl);
    w.i32(0);
    w.mem(OP.i32_load, CPU.tlbBase.offset);
    w.op(OP.i32_add);
    w.set(entry);
    // tag hit and not crossing the page
    w.get(lo);
    w.get(entry);
    w.mem(OP.i32_load, TLB.writeSmc);
    w.op(OP.i32_xor);
    w.tee(offset);
    w.i32(4096);
    w.get(bytes);
    w.op(OP.i32_sub);
    w.op(OP.i32_le_u);
    w.get(hi);
    w.get(entry);
    w.mem(OP.i32_load, TLB.writeSmc + 4);
    w.op(OP.i32_eq);
    w.op(OP.i32_and);
    w.if();
    // four bytes of the bitmap cover any 16 bytes; the bitmaps are followed by other tables, so reading past is safe
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
    w.if();
    w.get(lo);
    w.get(entry);
    w.mem(OP.i32_load, TLB.addend);
    w.op(OP.i32_add);
    w.set(host);
    hit(w, host, bytes);
    w.op(OP.return);
    w.end();
    w.end();
    w.get(lo);
    w.get(hi);
    w.get(sizeSegment);
    w.call(fallback);
    m.define(f, signature, w.locals, w.code.view());
    return f;
  };
  const slowWrite = build(jsWrite, (w, host, bytes) => {
    const copy = (load: number, store: number): void => {
      w.get(host);
      w.i32(0);
      w.mem(load, CPU.scratch.offset);
      w.mem(store, 0);
    };
    const when = (n: number, load: number, store: number): void => {
      w.get(bytes);
      w.i32(n);
      w.op(OP.i32_eq);
      w.if();
      copy(load, store);
      w.end();
    };
    when(1, OP.i32_load8_u, OP.i32_store8);
    when(2, OP.i32_load16_u, OP.i32_store16);
    when(4, OP.i32_load, OP.i32_store);
    when(8, OP.i64_load, OP.i64_store);
    when(16, V128_LOAD, V128_STORE);
    w.i32(0);
  });
  const slowProbe = build(jsProbe, (w, host) => w.get(host));
  return { slowWrite, slowProbe };
}
