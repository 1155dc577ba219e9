export { Hpet, HPET_STATE } from "./device.ts";
export type { HpetOptions, HpetStateV1 } from "./device.ts";
