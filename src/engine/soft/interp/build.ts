import { I32, ModuleBuilder, OP } from "../../../wasm/index.ts";
import { FunctionWriter, generate, type Label } from "../ir/codegen.ts";
import { CPU, HANDLER_COUNTS, JUMP, JUMP_CACHE_ENTRIES, REC, REC_BYTES } from "../state-layout.ts";
import { allShapes, emitSemantics, mayDefer } from "./handlers.ts";
import {
  COLD_DEFER,
  COLD_FAULT,
  COLD_IP,
  COLD_LINK,
  COLD_NEXT,
  FIRST_HANDLER,
  LEFT_BUDGET,
  LEFT_FAULT,
  REGION_BUDGET,
  REGION_MISFIT,
  REGION_TAKE_HELPER,
  REGION_TAKE_IP,
  REGION_TAKE_LINK,
} from "./codes.ts";
import type { InterpreterImage } from "./image.ts";
import { HOT_HANDLERS } from "./hot.ts";
import { type HandlerExits, InterpEmit } from "./interp-emit.ts";
import { handlerKey, type SemanticUses, type Shape } from "./shape.ts";
import type { CoreFunctions } from "./memory-emit.ts";
import { emitStoreArms } from "./store-arms.ts";
import { emitRegionArms } from "../translate/core-arms.ts";

interface Candidate {
  readonly key: string;
  readonly shape: Shape;
}

export interface BuildOptions {
  /** Every handler is called through the table and counted (HANDLER_COUNTS); `onSize` gets each one's bytes of Wasm. For tools/hot-handlers.mjs. */
  readonly counting?: { readonly onSize: (key: string, bytes: number) => void };
}
/** Generates the core module: imports from TypeScript, slow arms, cold handlers, the main loop. */
export function buildInterpreter({ counting }: BuildOptions = {}): InterpreterImage {
  const m = new ModuleBuilder();
  m.importMemory("e", "memory", 1, 65536);
  const i32i32i32 = { params: [I32, I32, I32], results: [I32] };
  const jsRead = m.importFunction("e", "slowRead", i32i32i32);
  const jsWrite = m.importFunction("e", "slowWrite", i32i32i32);
  const jsProbe = m.importFunction("e", "slowProbe", i32i32i32);
  const segmentSlow = m.importFunction("e", "segmentSlow", i32i32i32);
  const raise = m.importFunction("e", "raise", { params: [I32, I32], results: [I32] });
  const helper = m.importFunction("e", "helper", { params: [I32], results: [I32] });
  const findLink = m.importFunction("e", "findLink", { params: [I32], results: [I32] });
  const findIp = m.importFunction("e", "findIp", { params: [I32], results: [I32] });
  const portIn = m.importFunction("e", "portIn", { params: [I32, I32], results: [I32] });
  const portOut = m.importFunction("e", "portOut", i32i32i32);
  const breakAt = m.importFunction("e", "breakAt", { params: [I32], results: [I32] });
  const { slowWrite, slowProbe } = emitStoreArms(m, jsWrite, jsProbe);
  const core: CoreFunctions = { slowRead: jsRead, slowWrite, slowProbe, segmentSlow, raise, portIn, portOut };
  emitRegionArms(m, core);

  const { hot, cold, uses } = candidates(core, counting === undefined ? HOT_HANDLERS : []);
  const handlers: Record<string, number> = {};
  const coldType = m.type({ params: [I32], results: [I32] });
  // The hot ones too, for the first tier: every handler's number is that of its table slot.
  for (const c of [...hot, ...cold]) {
    const f = m.declare();
    const w = new FunctionWriter(1);
    const leave = (code: number) => (): void => {
      w.i32(code);
      w.op(OP.return);
    };
    emitHandler(c.shape, w, core, { rec: 0, fault: leave(COLD_FAULT), takeLink: leave(COLD_LINK), takeIp: leave(COLD_IP), defer: leave(COLD_DEFER) });
    w.i32(COLD_NEXT);
    counting?.onSize(c.key, w.code.view().length);
    m.define(f, { params: [I32], results: [I32] }, w.locals, w.code.view());
    handlers[c.key] = FIRST_HANDLER + m.tableSlot(f);
  }
  const imports = { helper, findLink, findIp, breakAt, coldType, counting: counting !== undefined };
  for (const [name, inside] of [
    ["run", hot],
    ["runFirst", []],
  ] as const) {
    const run = m.declare();
    const w = new FunctionWriter(1);
    emitMain(w, inside, core, imports);
    m.define(run, { params: [I32], results: [I32] }, w.locals, w.code.view());
    m.export(name, run);
  }
  m.exportTable("table");
  return { wasm: m.build(), handlers, uses };
}

/** One trial emission per semantic name and shape tells what the handler depends on; equal keys are one handler. */
function candidates(core: CoreFunctions, inMain: readonly string[]): { hot: Candidate[]; cold: Candidate[]; uses: Record<string, SemanticUses> } {
  const shapes = allShapes();
  const seen: Record<string, { addrSize: boolean; codeSize: boolean; cc: boolean; defers: boolean }> = {};
  const noExits: HandlerExits = { rec: 0, fault() {}, takeLink() {}, takeIp() {}, defer() {} };
  for (const shape of shapes) {
    const w = new FunctionWriter(1);
    const e = new InterpEmit(shape, w, core, noExits);
    emit(shape, e);
    const u = (seen[shape.sem] ??= { addrSize: false, codeSize: false, cc: false, defers: false });
    u.addrSize ||= e.usesAddrSize;
    u.codeSize ||= e.usesCodeSize;
    u.cc ||= e.usesCc;
    u.defers ||= mayDefer(shape);
  }
  const unique = new Map<string, Candidate>();
  for (const shape of shapes) {
    const key = handlerKey(shape, seen[shape.sem]);
    if (!unique.has(key)) unique.set(key, { key, shape });
  }
  const all = [...unique.values()];
  const hot = inMain.map((key) => {
    const candidate = unique.get(key);
    if (candidate === undefined) throw new Error(`hot.ts names ${key}, which no instruction has: run tools/hot-handlers.mjs`);
    return candidate;
  });
  const taken = new Set(inMain);
  return { hot, cold: all.filter((c) => !taken.has(c.key)), uses: seen };
}

function emit(shape: Shape, e: InterpEmit): void {
  if (shape.xmm) e.beginXmm();
  if (shape.mm) e.beginMmx();
  emitSemantics(shape, e);
  if (shape.mm) e.endMmx();
}

function emitHandler(shape: Shape, w: FunctionWriter, core: CoreFunctions, exits: HandlerExits): void {
  const e = new InterpEmit(shape, w, core, exits);
  emit(shape, e);
  generate(e.nodes, w);
}

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

interface MainImports {
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
function emitMain(w: FunctionWriter, hot: readonly Candidate[], core: CoreFunctions, imp: MainImports): void {
  const rec = 0; // parameter
  const budget = w.fixedLocal("i32");
  const target = w.fixedLocal("i32");
  const ip = w.fixedLocal("i64");
  const la = w.fixedLocal("i64");
  const entry = w.fixedLocal("i32");
  const status = w.fixedLocal("i32");

  const leave = (code: number): void => {
    w.i32(code);
    w.op(OP.return);
  };
  const charge = (): void => {
    w.i32(0);
    w.i32(0);
    w.mem(OP.i32_load, CPU.budget.offset);
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
    leave(LEFT_BUDGET);
    w.end();
    w.br(outer);
  };
  const loadBudget = (): void => {
    w.i32(0);
    w.mem(OP.i32_load, CPU.budget.offset);
    w.set(budget);
  };
  /** The import's answer on the stack: 0 leave with a fault, else the record to go on with (a block's first). */
  const followOrLeave = (outer: Label): void => {
    w.tee(target);
    w.op(OP.i32_eqz);
    w.if();
    leave(LEFT_FAULT);
    w.end();
    w.get(target);
    w.set(rec);
    loadBudget();
    enter(outer);
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
    fault: () => leave(LEFT_FAULT),
    takeLink: () => w.br(atLink),
    takeIp: () => w.br(atIp),
    defer: () => w.br(atHelper),
  };
  for (const c of hot) {
    w.end();
    w.resetScratch();
    emitHandler(c.shape, w, core, exits);
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
  leave(LEFT_BUDGET);
  w.end();
  w.get(status);
  w.i32(-REC_BYTES);
  w.op(OP.i32_and);
  w.set(rec);
  w.get(status);
  w.i32(REGION_TAKE_LINK);
  w.op(OP.i32_and);
  w.brIf(atLink);
  w.get(status);
  w.i32(REGION_TAKE_IP);
  w.op(OP.i32_and);
  w.brIf(atIp);
  w.get(status);
  w.i32(REGION_TAKE_HELPER);
  w.op(OP.i32_and);
  w.brIf(atHelper);
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
  w.get(status);
  w.i32(COLD_LINK);
  w.op(OP.i32_eq);
  w.brIf(atLink);
  w.get(status);
  w.i32(COLD_IP);
  w.op(OP.i32_eq);
  w.brIf(atIp);
  w.get(status);
  w.i32(COLD_DEFER);
  w.op(OP.i32_eq);
  w.brIf(atHelper);
  leave(LEFT_FAULT);
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
  w.i32(0);
  w.mem(OP.i64_load, CPU.ipBase.offset);
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
  w.i32(0);
  w.mem(OP.i64_load, CPU.ipLimit.offset);
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
  w.i32(0);
  w.mem(OP.i64_load, CPU.rip.offset);
  w.tee(ip);
  w.i32(0);
  w.mem(OP.i64_load, CPU.segEffBase.offset + 8);
  w.op(OP.i64_add);
  w.i32(0);
  w.mem(OP.i64_load, CPU.linearMask.offset);
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
  w.i32(0);
  w.mem(OP.i32_load, CPU.jumpCache.offset);
  w.op(OP.i32_add);
  w.tee(entry);
  w.mem(OP.i64_load, JUMP.ip);
  w.get(la);
  w.op(OP.i64_eq);
  w.get(entry);
  w.mem(OP.i32_load, JUMP.key);
  w.i32(0);
  w.mem(OP.i32_load, CPU.blockKey.offset);
  w.op(OP.i32_eq);
  w.op(OP.i32_and);
  w.get(ip);
  w.i32(0);
  w.mem(OP.i64_load, CPU.ipLimit.offset);
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
