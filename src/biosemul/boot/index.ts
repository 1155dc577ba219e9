export { boot, describeFailure } from "./boot.ts";
export type { BootFailure, BootResult } from "./boot.ts";
export { bootRegisters, Bootstrap } from "./bootstrap.ts";
export type { BiosBootStateV1, BootstrapParts } from "./bootstrap.ts";
