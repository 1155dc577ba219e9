import type { InterpreterImage } from "./code/image.ts";

/**
 * The generated interpreter as the build step left it. This source says "none": `npm run build` writes the emitted
 * file anew (tools/bake-interpreter.mjs), because generating takes half a second that each start would pay.
 */
export const prebuilt: (() => InterpreterImage) | undefined = undefined;
