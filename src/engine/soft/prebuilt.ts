import type { InterpreterImage } from "./code/image.ts";
import { buildInterpreter } from "./interp/build.ts";

/**
 * The interpreter. This source generates it; `npm run build` writes the emitted file anew, with what was generated inside and nothing imported
 * (tools/bake-interpreter.mjs): generating takes half a second that each start would pay.
 */
export const prebuilt = (): InterpreterImage => buildInterpreter();
