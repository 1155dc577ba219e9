import type { CpuEngine } from "../api/index.ts";
import { SoftEngine } from "./engine.ts";
import { buildInterpreter, type InterpreterImage } from "./interp/build.ts";

let image: InterpreterImage | undefined;

/** The software VT-x engine. `prebuilt`: the interpreter as the build step left it; generated here when absent. */
export function createSoftEngine(prebuilt?: InterpreterImage): CpuEngine {
  image ??= prebuilt ?? buildInterpreter();
  return new SoftEngine(image);
}
export type { InterpreterImage };
