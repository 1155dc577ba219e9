export { VirtioConsole } from "./device.ts";
export type { VirtioConsolePort, VirtioConsoleStateV1 } from "./device.ts";
