export type { AccessSize, BusDevice, DmaView, IrqPin, MsiSink } from "./api.ts";
export { NO_PIN } from "./api.ts";
export type { DmaChannel } from "./dma-channel.ts";
export { SharedIrqLine } from "./irq-line.ts";
export { MmioBus } from "./mmio-bus.ts";
export { PioBus } from "./pio-bus.ts";
export type { BusTraceHook, ClaimOptions } from "./pio-bus.ts";
