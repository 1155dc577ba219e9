import { OP } from "../../../wasm/index.ts";
import type { FunctionWriter, Label } from "../ir/codegen.ts";
import { STATE, HANDLER_COUNTS, JUMP, JUMP_CACHE_ENTRIES, REC, REC_BYTES } from "../state-layout.ts";
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
  new MainLoop(w, core, imp).emit(hot);
}

/** The record that runs: the parameter. */
const REC_LOCAL = 0;

class MainLoop {
  readonly #w: FunctionWriter;
  readonly #core: CoreFunctions;
  readonly #imp: MainImports;
  readonly #budget: number;
  readonly #target: number;
  readonly #ip: number;
  readonly #la: number;
  readonly #entry: number;
  readonly #status: number;
  // Where to go: run the record; along its link; to STATE.rip; its helper; the next record.
  readonly #outer: Label;
  readonly #atHelper: Label;
  readonly #atIp: Label;
  readonly #atLink: Label;
  readonly #next: Label;

  constructor(w: FunctionWriter, core: CoreFunctions, imp: MainImports) {
    this.#w = w;
    this.#core = core;
    this.#imp = imp;
    this.#budget = w.fixedLocal("i32");
    this.#target = w.fixedLocal("i32");
    this.#ip = w.fixedLocal("i64");
    this.#la = w.fixedLocal("i64");
    this.#entry = w.fixedLocal("i32");
    this.#status = w.fixedLocal("i32");
    this.#outer = w.loop();
    this.#atHelper = w.block();
    this.#atIp = w.block();
    this.#atLink = w.block();
    this.#next = w.loop();
  }
  emit(hot: readonly Shape[]): void {
    const w = this.#w;
    this.#dispatch(hot);
    w.end(); // cold
    w.resetScratch();
    this.#cold();
    w.end(); // next
    w.op(OP.unreachable);
    w.end(); // atLink
    this.#followLink();
    w.end(); // atIp
    this.#followIp();
    w.end(); // atHelper
    this.#callHelper();
    w.end(); // outer
    w.op(OP.unreachable);
  }

  // ---- pieces
  /** A field of the CPU's state. */
  #load(op: number, offset: number): void {
    this.#w.i32(0);
    this.#w.mem(op, offset);
  }
  /** A field of the record. */
  #field(op: number, offset: number): void {
    this.#w.get(REC_LOCAL);
    this.#w.mem(op, offset);
  }
  #leave(code: number): void {
    this.#w.i32(code);
    this.#w.op(OP.return);
  }
  #charge(): void {
    const w = this.#w;
    w.i32(0);
    this.#load(OP.i32_load, STATE.budget.offset);
    this.#field(OP.i32_load16_u, REC.count);
    w.op(OP.i32_sub);
    w.i32(1);
    w.op(OP.i32_sub);
    w.tee(this.#budget);
    w.mem(OP.i32_store, STATE.budget.offset);
  }
  /** The record is a new block's: run it if it fits. */
  #enter(): void {
    const w = this.#w;
    w.get(this.#budget);
    this.#field(OP.i32_load16_u, REC.blockCount);
    w.op(OP.i32_lt_s);
    w.if();
    w.i32(0);
    w.get(REC_LOCAL);
    w.mem(OP.i32_store, STATE.curRec.offset);
    this.#leave(RUN_OUT_OF_BUDGET);
    w.end();
    w.br(this.#outer);
  }
  /** The import's answer on the stack: 0 leave with a fault, else the record to go on with (a block's first). */
  #followOrLeave(): void {
    const w = this.#w;
    w.tee(this.#target);
    w.op(OP.i32_eqz);
    w.if();
    this.#leave(RUN_LEFT);
    w.end();
    w.get(this.#target);
    w.set(REC_LOCAL);
    this.#load(OP.i32_load, STATE.budget.offset);
    w.set(this.#budget);
    this.#enter();
  }
  #advance(to: Label): void {
    const w = this.#w;
    w.get(REC_LOCAL);
    w.i32(REC_BYTES);
    w.op(OP.i32_add);
    w.set(REC_LOCAL);
    w.br(to);
  }

  // ---- handlers
  /** To the record's handler; the special and the hot ones. */
  #dispatch(hot: readonly Shape[]): void {
    const w = this.#w;
    const total = FIRST_HANDLER + hot.length;
    const labels: Label[] = [];
    const coldLabel = w.block();
    for (let i = total - 1; i >= 0; i--) labels[i] = w.block();
    if (this.#imp.counting) countHandler(w, REC_LOCAL, this.#entry);
    this.#field(OP.i32_load16_u, REC.handler);
    w.op(OP.br_table);
    w.code.leb(total);
    for (let i = 0; i < total; i++) w.code.leb(w.depth - labels[i].depth);
    w.code.leb(w.depth - coldLabel.depth);
    // H_HELPER
    w.end();
    w.br(this.#atHelper);
    // H_END: the block falls through to the next address; the record counts as no instruction (count is one less)
    w.end();
    w.br(this.#atLink);
    // H_BREAK: this block was invalidated
    w.end();
    w.get(REC_LOCAL);
    w.call(this.#imp.breakAt);
    this.#followOrLeave();
    const exits: HandlerExits = {
      rec: REC_LOCAL,
      fault: () => this.#leave(RUN_LEFT),
      takeLink: () => w.br(this.#atLink),
      takeIp: () => w.br(this.#atIp),
      defer: () => w.br(this.#atHelper),
    };
    for (const shape of hot) {
      w.end();
      w.resetScratch();
      emitHandler(shape, w, this.#core, exits);
      this.#advance(this.#next);
    }
  }
  /** What a cold handler or a region answered: goes to `label` when it is `code`, or has its bits. */
  #onStatus(test: number, code: number, label: Label): void {
    const w = this.#w;
    w.get(this.#status);
    w.i32(code);
    w.op(test);
    w.brIf(label);
  }
  /** Handlers of the table, translated regions among them. */
  #cold(): void {
    const w = this.#w;
    w.get(REC_LOCAL);
    this.#field(OP.i32_load16_u, REC.handler);
    w.i32(FIRST_HANDLER);
    w.op(OP.i32_sub);
    w.op(OP.call_indirect);
    w.code.leb(this.#imp.coldType);
    w.code.leb(0);
    w.tee(this.#status);
    w.op(OP.i32_eqz);
    w.if();
    this.#advance(this.#next);
    w.end();
    w.get(this.#status);
    w.i32(REGION_BUDGET);
    w.op(OP.i32_ge_u);
    w.if();
    this.#fromRegion();
    w.end();
    this.#onStatus(OP.i32_eq, COLD_LINK, this.#atLink);
    this.#onStatus(OP.i32_eq, COLD_IP, this.#atIp);
    this.#onStatus(OP.i32_eq, COLD_DEFER, this.#atHelper);
    this.#leave(RUN_LEFT);
  }
  #fromRegion(): void {
    const w = this.#w;
    w.get(this.#status);
    w.i32(REGION_BUDGET);
    w.op(OP.i32_eq);
    w.if();
    this.#leave(RUN_OUT_OF_BUDGET);
    w.end();
    w.get(this.#status);
    w.i32(-REC_BYTES);
    w.op(OP.i32_and);
    w.set(REC_LOCAL);
    this.#onStatus(OP.i32_and, REGION_TAKE_LINK, this.#atLink);
    this.#onStatus(OP.i32_and, REGION_TAKE_IP, this.#atIp);
    this.#onStatus(OP.i32_and, REGION_TAKE_HELPER, this.#atHelper);
    w.get(this.#status);
    w.i32(REGION_MISFIT);
    w.op(OP.i32_and);
    w.if();
    // The same record, with its own handler again; the block it belongs to was entered before.
    w.get(REC_LOCAL);
    w.call(this.#imp.breakAt);
    w.op(OP.drop);
    w.br(this.#next);
    w.end();
    w.br(this.#next);
  }

  // ---- transfers
  /** Along the link, or to the address the record says. */
  #followLink(): void {
    const w = this.#w;
    this.#field(OP.i32_load, REC.link);
    w.tee(this.#target);
    w.if();
    this.#charge();
    w.get(this.#target);
    w.set(REC_LOCAL);
    this.#enter();
    w.end();
    // No link: TypeScript makes one where the target is on this page. Other pages may move: by the jump cache, as an indirect branch.
    this.#field(OP.i32_load16_u, REC.ipOff);
    this.#field(OP.i32_load8_u, REC.length);
    w.op(OP.i32_add);
    this.#field(OP.i32_load, REC.imm);
    w.op(OP.i32_add);
    w.tee(this.#target);
    w.i32(4096);
    w.op(OP.i32_ge_u);
    w.if();
    this.#targetIp();
    w.tee(this.#ip);
    this.#load(OP.i64_load, STATE.ipLimit.offset);
    w.op(OP.i64_le_u);
    w.if();
    w.i32(0);
    w.get(this.#ip);
    w.mem(OP.i64_store, STATE.rip.offset);
    w.br(this.#atIp);
    w.end();
    w.end();
    w.get(REC_LOCAL);
    w.call(this.#imp.findLink); // charges itself
    this.#followOrLeave();
  }
  /** IP of a relative branch. Not from a 32-bit sum: a displacement near 2^31 goes over there. */
  #targetIp(): void {
    const w = this.#w;
    this.#load(OP.i64_load, STATE.ipBase.offset);
    this.#field(OP.i64_load32_s, REC.imm);
    w.op(OP.i64_add);
    this.#field(OP.i64_load16_u, REC.ipOff);
    w.op(OP.i64_add);
    this.#field(OP.i64_load8_u, REC.length);
    w.op(OP.i64_add);
    this.#field(OP.i32_load8_u, REC.scale);
    w.i32(3);
    w.op(OP.i32_shl);
    w.mem(OP.i64_load, STATE.addrMask.offset);
    w.op(OP.i64_and);
  }
  /** STATE.rip holds the target: the jump cache, then TypeScript. */
  #followIp(): void {
    const w = this.#w;
    this.#charge();
    this.#load(OP.i64_load, STATE.rip.offset);
    w.tee(this.#ip);
    this.#load(OP.i64_load, STATE.segEffBase.offset + 8);
    w.op(OP.i64_add);
    this.#load(OP.i64_load, STATE.linearMask.offset);
    w.op(OP.i64_and);
    w.tee(this.#la);
    this.#jumpCacheEntry();
    w.tee(this.#entry);
    w.mem(OP.i64_load, JUMP.ip);
    w.get(this.#la);
    w.op(OP.i64_eq);
    w.get(this.#entry);
    w.mem(OP.i32_load, JUMP.key);
    this.#load(OP.i32_load, STATE.blockKey.offset);
    w.op(OP.i32_eq);
    w.op(OP.i32_and);
    w.get(this.#ip);
    this.#load(OP.i64_load, STATE.ipLimit.offset);
    w.op(OP.i64_le_u);
    w.op(OP.i32_and);
    w.if();
    w.get(this.#entry);
    w.mem(OP.i32_load, JUMP.block);
    w.set(REC_LOCAL);
    // ipBase = ip - the block's offset in its page
    w.i32(0);
    w.get(this.#ip);
    this.#field(OP.i64_load16_u, REC.ipOff);
    w.op(OP.i64_sub);
    w.mem(OP.i64_store, STATE.ipBase.offset);
    this.#enter();
    w.end();
    w.get(REC_LOCAL);
    w.call(this.#imp.findIp);
    this.#followOrLeave();
  }
  /** From the linear address on the stack (i64). */
  #jumpCacheEntry(): void {
    const w = this.#w;
    w.op(OP.i32_wrap_i64);
    w.tee(this.#entry);
    w.get(this.#entry);
    w.i32(12);
    w.op(OP.i32_shr_u);
    w.op(OP.i32_xor);
    w.i32(JUMP_CACHE_ENTRIES - 1);
    w.op(OP.i32_and);
    w.i32(4);
    w.op(OP.i32_shl);
    this.#load(OP.i32_load, STATE.jumpCache.offset);
    w.op(OP.i32_add);
  }
  /** The import answers 1: the next record, 0: leave, else a block. */
  #callHelper(): void {
    const w = this.#w;
    w.get(REC_LOCAL);
    w.call(this.#imp.helper);
    w.tee(this.#target);
    w.i32(1);
    w.op(OP.i32_eq);
    w.if();
    this.#advance(this.#outer);
    w.end();
    w.get(this.#target);
    this.#followOrLeave();
  }
}
