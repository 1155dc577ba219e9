import { I32, I64, type ModuleBuilder, OP, type Signature } from "../../../wasm/index.ts";
import { FunctionWriter } from "../ir/codegen.ts";
import type { CoreFunctions } from "../interp/memory-emit.ts";
import { CPU } from "../state-layout.ts";

/** All helpers of regions have one signature: (linear address or offset, info, record, budget) → i32. */
export const ARM_SIGNATURE: Signature = { params: [I64, I32, I32, I32], results: [I32] };
/** Slots of a region's private helper table, and the names under which the core module exports the functions. */
export const ARM = { read: 0, write: 1, probe: 2, segment: 3, raise: 4 } as const;
export const ARM_NAMES = ["armRead", "armWrite", "armProbe", "armSegment", "armRaise"] as const;

/**
 * The slow arms as regions call them: real Wasm functions around the imports, because a region that imported
 * JavaScript functions itself would pay for their wrappers each time. They bring the state up to date that the
 * TypeScript side looks at: which instruction calls, and the instructions left.
 */
export function emitRegionArms(m: ModuleBuilder, core: CoreFunctions): void {
  const [address, info, rec, budget] = [0, 1, 2, 3];
  const arm = (name: string, body: (w: FunctionWriter) => void): void => {
    const f = m.declare();
    const w = new FunctionWriter(4);
    w.i32(0);
    w.get(rec);
    w.mem(OP.i32_store, CPU.curRec.offset);
    w.i32(0);
    w.get(budget);
    w.mem(OP.i32_store, CPU.budget.offset);
    body(w);
    m.define(f, ARM_SIGNATURE, w.locals, w.code.view());
    m.export(name, f);
  };
  const halves = (w: FunctionWriter): void => {
    w.get(address);
    w.op(OP.i32_wrap_i64);
    w.get(address);
    w.i64(32n);
    w.op(OP.i64_shr_u);
    w.op(OP.i32_wrap_i64);
    w.get(info);
  };
  const targets = [core.slowRead, core.slowWrite, core.slowProbe, core.segmentSlow];
  targets.forEach((f, i) =>
    arm(ARM_NAMES[i], (w) => {
      halves(w);
      w.call(f);
    }),
  );
  arm(ARM_NAMES[ARM.raise], (w) => {
    w.get(info);
    w.get(address);
    w.op(OP.i32_wrap_i64);
    w.call(core.raise);
  });
}
