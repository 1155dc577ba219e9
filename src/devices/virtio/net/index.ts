export { VirtioNet } from "./device.ts";
export type { VirtioNetOptions, VirtioNetStateV1 } from "./device.ts";
