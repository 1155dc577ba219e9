export { BiosEmul } from "./biosemul.ts";
export type { BiosParts } from "./biosemul.ts";
export { DEFAULT_BIOS_CONFIG } from "./config.ts";
export type { BiosConfig, BootDevice, TrapStyle } from "./config.ts";
export { BIOS_TRAP_PORT, TRAP } from "./rom/layout.ts";
export type { RomData } from "./rom/image.ts";
export { memoryMap } from "./memory-map.ts";
export type { MemoryRange } from "./memory-map.ts";
export type { BiosContext, BiosDrive, BiosHandler, BiosHandlers, Bootstrap, PortIo, ServiceResult, VideoWindow } from "./api.ts";
