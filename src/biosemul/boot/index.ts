export { boot, BootServices, describeFailure, enterBoot } from "./boot.ts";
export type { BootDevice, BootOptions, BootFailure, BootResult } from "./boot.ts";
