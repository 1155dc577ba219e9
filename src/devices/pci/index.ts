export { PCI_BUS_STATE, PciBus } from "./bus.ts";
export type { PciBusOptions, PciBusStateV1 } from "./bus.ts";
export { I440fxHostBridge, Piix3Ide, Piix3IsaBridge, PciVga } from "./chips.ts";
export type { PamSegment } from "./chips.ts";
export { PCI_CONFIG, PciFunction } from "./config-space.ts";
export { MsixTable, PCI_CAPABILITY } from "./messages.ts";
export type { MsiOptions, MsixOptions, MsixStateV1 } from "./messages.ts";
export type { BarOptions, PciFunctionOptions, PciFunctionStateV1 } from "./config-space.ts";
