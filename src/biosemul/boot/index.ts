export { boot, describeFailure } from "./boot.ts";
export type { BootFailure, BootResult } from "./boot.ts";
export { BIOS_BOOT_STATE, bootRegisters, Bootstrap } from "./bootstrap.ts";
export type { BiosBootStateV1, BootstrapParts } from "./bootstrap.ts";
