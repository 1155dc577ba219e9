import type { CpuEngine } from "../api/index.ts";
import { type EngineOptions, SoftEngine } from "./engine.ts";
import type { InterpreterImage } from "./code/image.ts";
import type { TranslatorOptions } from "./translate/index.ts";
import { prebuilt } from "./prebuilt.ts";

let image: InterpreterImage | undefined;

/** The software VT-x engine: x86-64 interpreted by WebAssembly that was generated from the semantics in `sem/`. */
export function createSoftEngine(options: SoftEngineOptions = {}): CpuEngine {
  image ??= prebuilt();
  return new SoftEngine(image, new WebAssembly.Module(image.wasm), engineOptions(options));
}

/** The same, compiled beside the caller's thread. The way in for all who can wait: a browser's main thread may not compile so much at once. */
export async function loadSoftEngine(options: SoftEngineOptions = {}): Promise<CpuEngine> {
  image ??= prebuilt();
  return new SoftEngine(image, await (image.compiled ?? WebAssembly.compile(image.wasm)), engineOptions(options));
}

function engineOptions({ jit = false, firstTier }: SoftEngineOptions): EngineOptions {
  return { translator: jit === true ? {} : jit === false ? undefined : jit, firstTier };
}

export interface SoftEngineOptions {
  /** Translate hot code to WebAssembly; an object tunes that. Off by default. */
  readonly jit?: boolean | TranslatorOptions;
  /** Instructions that each CPU runs in the interpreter's first tier, which is slower and needs no start-up; 0: none (tests of the main tier). */
  readonly firstTier?: number;
}
export type { TranslatorOptions } from "./translate/index.ts";
