export type { AccessSize, BusDevice, DmaView, IrqPin } from "./api.ts";
export { NO_PIN } from "./api.ts";
