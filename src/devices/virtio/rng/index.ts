export { SeededEntropy, VirtioRng } from "./device.ts";
export type { EntropySource, VirtioRngStateV1 } from "./device.ts";
