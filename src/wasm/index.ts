export { ByteWriter } from "./bytes.ts";
export { F32, F64, FUNCREF, I32, I64, OP, V128, VOID } from "./opcodes.ts";
export type { WasmType } from "./opcodes.ts";
export { ModuleBuilder } from "./module.ts";
export type { Signature } from "./module.ts";
