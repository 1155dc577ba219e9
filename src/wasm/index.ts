export { ByteWriter } from "./bytes.ts";
export { F32, F64, FUNCREF, I32, I64, OP, V128, VOID } from "./opcodes.ts";
export { I8X16_SHUFFLE, SIMD, V128_CONST, V128_LOAD, V128_STORE } from "./simd.ts";
export type { SimdOp } from "./simd.ts";
export type { WasmType } from "./opcodes.ts";
export { ModuleBuilder } from "./module.ts";
export type { Signature } from "./module.ts";
