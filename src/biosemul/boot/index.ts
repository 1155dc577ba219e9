export { boot, BootServices, enterBoot } from "./boot.ts";
export type { BootDevice, BootOptions, BootResult } from "./boot.ts";
