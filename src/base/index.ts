export { VmmError, assert, unreachable } from "./errors.ts";
export { closest } from "./closest.ts";
export { ManualClock } from "./clock.ts";
export type { Clock, Timer } from "./clock.ts";
export { layout, u8, u16, u32, u64, u128 } from "./layout.ts";
export type { Field, FieldSpec } from "./layout.ts";
export { utf8Bytes, utf8Text, Utf8Stream } from "./utf8.ts";
export * as shape from "./shape.ts";
export type { Shape, Shaped } from "./shape.ts";
