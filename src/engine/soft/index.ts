import type { CpuEngine } from "../api/index.ts";
import { SoftEngine } from "./engine.ts";
import { buildInterpreter, type InterpreterImage } from "./interp/build.ts";
import { prebuilt } from "./prebuilt.ts";

let image: InterpreterImage | undefined;

/** The software VT-x engine: x86-64 interpreted by WebAssembly that was generated from the semantics in `sem/`. */
export function createSoftEngine(): CpuEngine {
  image ??= prebuilt?.() ?? buildInterpreter();
  return new SoftEngine(image);
}
