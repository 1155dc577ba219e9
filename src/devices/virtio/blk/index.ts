export { VirtioBlk } from "./device.ts";
export type { VirtioBlkOptions, VirtioBlkStateV1 } from "./device.ts";
