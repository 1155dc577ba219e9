import { I32, I64, type ModuleBuilder, OP, type Signature } from "../../../wasm/index.ts";
import { FunctionWriter } from "../ir/codegen.ts";
import type { CoreFunctions } from "../ir/memory-emit.ts";
import { IN_REGION } from "./codes.ts";
import { STATE } from "../state-layout.ts";

/** All helpers of regions have one signature: (offset, info, record, budget) → i32. */
export const ARM_SIGNATURE: Signature = { params: [I64, I32, I32, I32], results: [I32] };
/** Slots of a region's private helper table, and the names under which the core module exports the functions. */
export const ARM = { read: 0, write: 1, probe: 2, raise: 3 } as const;
export const ARM_NAMES = ["armRead", "armWrite", "armProbe", "armRaise"] as const;
/** In info: bytes in the low byte, segment above; this "segment" means that the offset is a linear address already. */
export const LINEAR = 7;

/** Parameters of an arm. */
const OFFSET = 0,
  INFO = 1,
  REC = 2,
  BUDGET = 3;

/**
 * The slow arms as regions call them: real Wasm functions around the imports, because a region that imported
 * JavaScript functions itself would pay for their wrappers each time. They bring the state up to date that the
 * TypeScript side looks at (which instruction calls, and the instructions left) and repeat the limit check.
 */
export function emitRegionArms(m: ModuleBuilder, core: CoreFunctions): void {
  arm(m, "armRead", (w) => access(w, core, core.slowRead, false, 1));
  arm(m, "armWrite", (w) => access(w, core, core.slowWrite, true, 1));
  arm(m, "armProbe", (w) => access(w, core, core.slowProbe, true, 0));
  arm(m, "armRaise", (w) => {
    w.get(INFO);
    w.get(OFFSET);
    w.op(OP.i32_wrap_i64);
    w.call(core.raise);
  });
}
function arm(m: ModuleBuilder, name: string, body: (w: FunctionWriter) => void): void {
  const f = m.declare();
  const w = new FunctionWriter(4);
  w.i32(0);
  w.get(REC);
  w.mem(OP.i32_store, STATE.curRec.offset);
  w.i32(0);
  w.get(BUDGET);
  w.mem(OP.i32_store, STATE.budget.offset);
  body(w);
  m.define(f, ARM_SIGNATURE, w.locals, w.code.view());
  m.export(name, f);
}
function halves(w: FunctionWriter): void {
  w.get(OFFSET);
  w.op(OP.i32_wrap_i64);
  w.get(OFFSET);
  w.i64(32n);
  w.op(OP.i64_shr_u);
  w.op(OP.i32_wrap_i64);
}
/** `failed`: what the arm returns when the segment does not allow the access. */
function access(w: FunctionWriter, core: CoreFunctions, f: number, write: boolean, failed: number): void {
  const at = w.fixedLocal("i32");
  w.get(INFO);
  w.i32(8);
  w.op(OP.i32_shr_u);
  w.i32(3);
  w.op(OP.i32_shl);
  w.tee(at);
  w.i32(LINEAR * 8);
  w.op(OP.i32_ne);
  w.if();
  checkLimit(w, core, at, write, failed);
  w.get(OFFSET);
  w.get(at);
  w.mem(OP.i64_load, STATE.segEffBase.offset);
  w.op(OP.i64_add);
  w.i32(0);
  w.mem(OP.i64_load, STATE.linearMask.offset);
  w.op(OP.i64_and);
  w.set(OFFSET);
  w.end();
  halves(w);
  w.get(INFO);
  w.i32(IN_REGION);
  w.op(OP.i32_or);
  w.call(f);
}
/** `at`: 8 * segment. */
function checkLimit(w: FunctionWriter, core: CoreFunctions, at: number, write: boolean, failed: number): void {
  w.get(OFFSET);
  w.get(INFO);
  w.i32(0xff);
  w.op(OP.i32_and);
  w.op(OP.i64_extend_i32_u);
  w.op(OP.i64_add);
  w.i64(1n);
  w.op(OP.i64_sub);
  w.get(at);
  w.mem(OP.i64_load, (write ? STATE.segWriteLimit : STATE.segReadLimit).offset);
  w.op(OP.i64_gt_s);
  w.if();
  halves(w);
  // segment | bytes << 8 | 80h for writes
  w.get(INFO);
  w.i32(8);
  w.op(OP.i32_shl);
  w.get(at);
  w.i32(3);
  w.op(OP.i32_shr_u);
  w.op(OP.i32_or);
  w.i32(write ? 0xff87 : 0xff07);
  w.op(OP.i32_and);
  if (write) {
    w.i32(0x80);
    w.op(OP.i32_or);
  }
  w.call(core.segmentSlow);
  w.if();
  w.i32(failed);
  w.op(OP.return);
  w.end();
  w.end();
}
