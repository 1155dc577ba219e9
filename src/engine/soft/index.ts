import type { CpuEngine } from "../api/index.ts";
import { SoftEngine } from "./engine.ts";
import { buildInterpreter, type InterpreterImage } from "./interp/build.ts";
import type { TranslatorOptions } from "./translate/index.ts";
import { prebuilt } from "./prebuilt.ts";

let image: InterpreterImage | undefined;

/** The software VT-x engine: x86-64 interpreted by WebAssembly that was generated from the semantics in `sem/`. */
export function createSoftEngine(options: SoftEngineOptions = {}): CpuEngine {
  image ??= prebuilt?.() ?? buildInterpreter();
  const { jit = false } = options;
  return new SoftEngine(image, jit === true ? {} : jit === false ? undefined : jit);
}

export interface SoftEngineOptions {
  /** Translate hot code to WebAssembly; an object tunes that. Off by default. */
  readonly jit?: boolean | TranslatorOptions;
}
export type { TranslatorOptions } from "./translate/index.ts";
