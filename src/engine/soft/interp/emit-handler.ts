import { type FunctionWriter, generate } from "../ir/codegen.ts";
import { generatedFor } from "../code/semantics.ts";
import { type HandlerExits, InterpEmit } from "./interp-emit.ts";
import type { CoreFunctions } from "../ir/memory-emit.ts";
import type { Shape } from "../code/shape.ts";

/** A shape's semantics as the interpreter does them: operands come from the record in the local `exits.rec`. What they depended on is in the answer. */
export function trialEmit(shape: Shape, w: FunctionWriter, core: CoreFunctions, exits: HandlerExits): InterpEmit {
  const e = new InterpEmit(shape, w, core, exits);
  if (shape.xmm) e.beginXmm();
  if (shape.mm) e.beginMmx();
  generatedFor(shape)?.emit(e);
  if (shape.mm) e.endMmx();
  return e;
}

/** The same as Wasm. */
export function emitHandler(shape: Shape, w: FunctionWriter, core: CoreFunctions, exits: HandlerExits): void {
  generate(trialEmit(shape, w, core, exits).nodes, w);
}
