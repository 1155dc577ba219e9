import { OP } from "../../../wasm/index.ts";
import type { FunctionWriter, Label } from "../ir/codegen.ts";
import { CPU, HANDLER_COUNTS, JUMP, JUMP_CACHE_ENTRIES, REC, REC_BYTES } from "../state-layout.ts";
import {
  COLD_DEFER,
  COLD_IP,
  COLD_LINK,
  FIRST_HANDLER,
  REGION_BUDGET,
  REGION_MISFIT,
  REGION_TAKE_HELPER,
  REGION_TAKE_IP,
  REGION_TAKE_LINK,
  RUN_LEFT,
  RUN_OUT_OF_BUDGET,
} from "../code/codes.ts";
import { emitHandler } from "./emit-handler.ts";
import type { HandlerExits } from "./interp-emit.ts";
import type { CoreFunctions } from "../ir/memory-emit.ts";
import type { Shape } from "../code/shape.ts";

/** HANDLER_COUNTS[record's handler] += 1. */
function countHandler(w: FunctionWriter, rec: number, scratch: number): void {
  w.get(rec);
  w.mem(OP.i32_load16_u, REC.handler);
  w.i32(3);
  w.op(OP.i32_shl);
  w.i32(HANDLER_COUNTS);
  w.op(OP.i32_add);
  w.tee(scratch);
  w.get(scratch);
  w.mem(OP.i64_load, 0);
  w.i64(1n);
  w.op(OP.i64_add);
  w.mem(OP.i64_store, 0);
}

/** Indexes of the imported functions that the loop calls; `counting`: each dispatch is counted. */
export interface MainImports {
  readonly helper: number;
  readonly findLink: number;
  readonly findIp: number;
  readonly breakAt: number;
  readonly coldType: number;
  readonly counting: boolean;
}

/**
 * The main loop. Control transfers charge the budget for the instructions of the block up to and including the one
 * that leaves (its `count` + 1) and refuse to enter a block that does not fit into what is left: TypeScript then
 * finishes exactly.
 */
export function emitMain(w: FunctionWriter, hot: readonly Shape[], core: CoreFunctions, imp: MainImports): void {
  const rec = 0; // parameter
  const budget = w.fixedLocal("i32");
  const target = w.fixedLocal("i32");
  const ip = w.fixedLocal("i64");
  const la = w.fixedLocal("i64");
  const entry = w.fixedLocal("i32");
  const status = w.fixedLocal("i32");

  /** A field of the CPU's state. */
  const load = (op: number, offset: number): void => {
    w.i32(0);
    w.mem(op, offset);
  };
  const leave = (code: number): void => {
    w.i32(code);
    w.op(OP.return);
  };
  const charge = (): void => {
    w.i32(0);
    load(OP.i32_load, CPU.budget.offset);
    w.get(rec);
    w.mem(OP.i32_load16_u, REC.count);
    w.op(OP.i32_sub);
    w.i32(1);
    w.op(OP.i32_sub);
    w.tee(budget);
    w.mem(OP.i32_store, CPU.budget.offset);
  };
  /** rec is the new block: run it if it fits. */
  const enter = (outer: Label): void => {
    w.get(budget);
    w.get(rec);
    w.mem(OP.i32_load16_u, REC.blockCount);
    w.op(OP.i32_lt_s);
    w.if();
    w.i32(0);
    w.get(rec);
    w.mem(OP.i32_store, CPU.curRec.offset);
    leave(RUN_OUT_OF_BUDGET);
    w.end();
    w.br(outer);
  };
  const loadBudget = (): void => {
    load(OP.i32_load, CPU.budget.offset);
    w.set(budget);
  };
  /** The import's answer on the stack: 0 leave with a fault, else the record to go on with (a block's first). */
  const followOrLeave = (outer: Label): void => {
    w.tee(target);
    w.op(OP.i32_eqz);
    w.if();
    leave(RUN_LEFT);
    w.end();
    w.get(target);
    w.set(rec);
    loadBudget();
    enter(outer);
  };

  /** What a cold handler or a region answered: goes to `label` when it is `code`, or has its bits. */
  const onStatus = (test: number, code: number, label: Label): void => {
    w.get(status);
    w.i32(code);
    w.op(test);
    w.brIf(label);
  };

  const outer = w.loop();
  const atHelper = w.block();
  const atIp = w.block();
  const atLink = w.block();
  const next = w.loop();
  const total = FIRST_HANDLER + hot.length;
  const labels: Label[] = [];
  const coldLabel = w.block();
  for (let i = total - 1; i >= 0; i--) labels[i] = w.block();
  if (imp.counting) countHandler(w, rec, entry);
  w.get(rec);
  w.mem(OP.i32_load16_u, REC.handler);
  w.op(OP.br_table);
  w.code.leb(total);
  for (let i = 0; i < total; i++) w.code.leb(w.depth - labels[i].depth);
  w.code.leb(w.depth - coldLabel.depth);
  const advance = (): void => {
    w.get(rec);
    w.i32(REC_BYTES);
    w.op(OP.i32_add);
    w.set(rec);
    w.br(next);
  };

  // H_HELPER
  w.end();
  w.br(atHelper);
  // H_END: the block falls through to the next address; the record counts as no instruction (count is one less)
  w.end();
  w.br(atLink);
  // H_BREAK: this block was invalidated
  w.end();
  w.get(rec);
  w.call(imp.breakAt);
  followOrLeave(outer);

  const exits: HandlerExits = {
    rec,
    fault: () => leave(RUN_LEFT),
    takeLink: () => w.br(atLink),
    takeIp: () => w.br(atIp),
    defer: () => w.br(atHelper),
  };
  for (const shape of hot) {
    w.end();
    w.resetScratch();
    emitHandler(shape, w, core, exits);
    advance();
  }
  w.end(); // cold
  w.resetScratch();
  w.get(rec);
  w.get(rec);
  w.mem(OP.i32_load16_u, REC.handler);
  w.i32(FIRST_HANDLER);
  w.op(OP.i32_sub);
  w.op(OP.call_indirect);
  w.code.leb(imp.coldType);
  w.code.leb(0);
  w.tee(status);
  w.op(OP.i32_eqz);
  w.if();
  advance();
  w.end();
  w.get(status);
  w.i32(REGION_BUDGET);
  w.op(OP.i32_ge_u);
  w.if();
  w.get(status);
  w.i32(REGION_BUDGET);
  w.op(OP.i32_eq);
  w.if();
  leave(RUN_OUT_OF_BUDGET);
  w.end();
  w.get(status);
  w.i32(-REC_BYTES);
  w.op(OP.i32_and);
  w.set(rec);
  onStatus(OP.i32_and, REGION_TAKE_LINK, atLink);
  onStatus(OP.i32_and, REGION_TAKE_IP, atIp);
  onStatus(OP.i32_and, REGION_TAKE_HELPER, atHelper);
  w.get(status);
  w.i32(REGION_MISFIT);
  w.op(OP.i32_and);
  w.if();
  // The same record, with its own handler again; the block it belongs to was entered before.
  w.get(rec);
  w.call(imp.breakAt);
  w.op(OP.drop);
  w.br(next);
  w.end();
  w.br(next);
  w.end();
  onStatus(OP.i32_eq, COLD_LINK, atLink);
  onStatus(OP.i32_eq, COLD_IP, atIp);
  onStatus(OP.i32_eq, COLD_DEFER, atHelper);
  leave(RUN_LEFT);
  w.end(); // next
  w.op(OP.unreachable);
  w.end(); // atLink
  // Along the link, or to the address the record says.
  w.get(rec);
  w.mem(OP.i32_load, REC.link);
  w.tee(target);
  w.if();
  charge();
  w.get(target);
  w.set(rec);
  enter(outer);
  w.end();
  // No link: TypeScript makes one where the target is on this page. Other pages may move: by the jump cache, as an indirect branch.
  w.get(rec);
  w.mem(OP.i32_load16_u, REC.ipOff);
  w.get(rec);
  w.mem(OP.i32_load8_u, REC.length);
  w.op(OP.i32_add);
  w.get(rec);
  w.mem(OP.i32_load, REC.imm);
  w.op(OP.i32_add);
  w.tee(target);
  w.i32(4096);
  w.op(OP.i32_ge_u);
  w.if();
  load(OP.i64_load, CPU.ipBase.offset);
  // Not from `target`: a displacement near 2^31 has gone over in 32 bits.
  w.get(rec);
  w.mem(OP.i64_load32_s, REC.imm);
  w.op(OP.i64_add);
  w.get(rec);
  w.mem(OP.i64_load16_u, REC.ipOff);
  w.op(OP.i64_add);
  w.get(rec);
  w.mem(OP.i64_load8_u, REC.length);
  w.op(OP.i64_add);
  w.get(rec);
  w.mem(OP.i32_load8_u, REC.scale);
  w.i32(3);
  w.op(OP.i32_shl);
  w.mem(OP.i64_load, CPU.addrMask.offset);
  w.op(OP.i64_and);
  w.tee(ip);
  load(OP.i64_load, CPU.ipLimit.offset);
  w.op(OP.i64_le_u);
  w.if();
  w.i32(0);
  w.get(ip);
  w.mem(OP.i64_store, CPU.rip.offset);
  w.br(atIp);
  w.end();
  w.end();
  w.get(rec);
  w.call(imp.findLink); // charges itself
  followOrLeave(outer);
  w.end(); // atIp
  // CPU.rip holds the target: the jump cache, then TypeScript.
  charge();
  load(OP.i64_load, CPU.rip.offset);
  w.tee(ip);
  load(OP.i64_load, CPU.segEffBase.offset + 8);
  w.op(OP.i64_add);
  load(OP.i64_load, CPU.linearMask.offset);
  w.op(OP.i64_and);
  w.tee(la);
  w.op(OP.i32_wrap_i64);
  w.tee(entry);
  w.get(entry);
  w.i32(12);
  w.op(OP.i32_shr_u);
  w.op(OP.i32_xor);
  w.i32(JUMP_CACHE_ENTRIES - 1);
  w.op(OP.i32_and);
  w.i32(4);
  w.op(OP.i32_shl);
  load(OP.i32_load, CPU.jumpCache.offset);
  w.op(OP.i32_add);
  w.tee(entry);
  w.mem(OP.i64_load, JUMP.ip);
  w.get(la);
  w.op(OP.i64_eq);
  w.get(entry);
  w.mem(OP.i32_load, JUMP.key);
  load(OP.i32_load, CPU.blockKey.offset);
  w.op(OP.i32_eq);
  w.op(OP.i32_and);
  w.get(ip);
  load(OP.i64_load, CPU.ipLimit.offset);
  w.op(OP.i64_le_u);
  w.op(OP.i32_and);
  w.if();
  w.get(entry);
  w.mem(OP.i32_load, JUMP.block);
  w.set(rec);
  // ipBase = ip - the block's offset in its page
  w.i32(0);
  w.get(ip);
  w.get(rec);
  w.mem(OP.i64_load16_u, REC.ipOff);
  w.op(OP.i64_sub);
  w.mem(OP.i64_store, CPU.ipBase.offset);
  enter(outer);
  w.end();
  w.get(rec);
  w.call(imp.findIp);
  followOrLeave(outer);
  w.end(); // atHelper: 1 = next record, 0 = leave, else a block
  w.get(rec);
  w.call(imp.helper);
  w.tee(target);
  w.i32(1);
  w.op(OP.i32_eq);
  w.if();
  w.get(rec);
  w.i32(REC_BYTES);
  w.op(OP.i32_add);
  w.set(rec);
  w.br(outer);
  w.end();
  w.get(target);
  followOrLeave(outer);
  w.end(); // outer
  w.op(OP.unreachable);
}
