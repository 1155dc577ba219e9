export { APIC_BUS_STATE, ApicBus } from "./bus.ts";
export type { ApicBusStateV1, EoiListener } from "./bus.ts";
export { LOCAL_APIC_STATE, LocalApic } from "./chip.ts";
export type { LapicCpu, LocalApicOptions, LocalApicStateV1 } from "./chip.ts";
export { LocalApicPorts, setVirtualWire } from "./port.ts";
