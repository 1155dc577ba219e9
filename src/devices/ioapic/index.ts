export { IOAPIC_STATE, IoApic } from "./device.ts";
export type { IoApicOptions, IoApicStateV1 } from "./device.ts";
