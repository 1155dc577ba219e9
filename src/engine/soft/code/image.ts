import type { SemanticUses } from "./shape.ts";

/** The generated interpreter: module bytes and how a decoded instruction finds its handler. */
export interface InterpreterImage {
  readonly wasm: Uint8Array<ArrayBuffer>;
  readonly handlers: Readonly<Record<string, number>>;
  readonly uses: Readonly<Record<string, SemanticUses>>;
  /** `wasm` compiled, where somebody began that before the engine was asked for. */
  readonly compiled?: Promise<WebAssembly.Module> | undefined;
}
