import { I32, ModuleBuilder, OP } from "../../../wasm/index.ts";
import { FunctionWriter } from "../ir/codegen.ts";
import { allShapes } from "../code/handlers.ts";
import { generatedFor } from "../code/semantics.ts";
import { COLD_DEFER, COLD_FAULT, COLD_IP, COLD_LINK, COLD_NEXT, FIRST_HANDLER } from "../code/codes.ts";
import { emitHandler, trialEmit } from "./emit-handler.ts";
import type { InterpreterImage } from "../code/image.ts";
import { HOT_HANDLERS } from "./hot.ts";
import type { HandlerExits } from "./interp-emit.ts";
import { emitMain, type MainImports } from "./main-loop.ts";
import { handlerKey, type SemanticUses, type Shape } from "../code/shape.ts";
import type { CoreFunctions } from "../ir/memory-emit.ts";
import { emitStoreArms } from "./store-arms.ts";
import { emitRegionArms } from "../code/region-arms.ts";

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
  const imports: MainImports = { helper, findLink, findIp, breakAt, coldType, counting: counting !== undefined };
  for (const [name, inside] of [
    ["run", hot],
    ["runFirst", []],
  ] as const) {
    const run = m.declare();
    const w = new FunctionWriter(1);
    emitMain(
      w,
      inside.map((c) => c.shape),
      core,
      imports,
    );
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
    const e = trialEmit(shape, new FunctionWriter(1), core, noExits);
    const u = (seen[shape.sem] ??= { addrSize: false, codeSize: false, cc: false, defers: false });
    u.addrSize ||= e.usesAddrSize;
    u.codeSize ||= e.usesCodeSize;
    u.cc ||= e.usesCc;
    u.defers ||= generatedFor(shape)?.defers === true;
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
