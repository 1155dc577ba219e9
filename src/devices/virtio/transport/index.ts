export { Chain } from "./chain.ts";
export { FEATURE, NO_VECTOR, STATUS, VirtioCore } from "./core.ts";
export type { CoreWires, VirtioCoreStateV1 } from "./core.ts";
export { VirtioPci } from "./pci.ts";
export type { VirtioPciOptions, VirtioPciStateV1 } from "./pci.ts";
export { SplitQueue } from "./queue.ts";
export type { QueueFeatures, QueueOptions, QueueStateV1 } from "./queue.ts";
