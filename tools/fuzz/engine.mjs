// The engine that is fuzzed; main.mjs --jit sets the variable, workers inherit it.
import { createSoftEngine } from "../../dist/engine/soft/index.js";

export const engine = createSoftEngine(process.env["WHYVE_FUZZ_JIT"] === "1" ? { jit: { threshold: 1 } } : {});
