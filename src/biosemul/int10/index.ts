export { createInt10 } from "./int10.ts";
export type { Int10, Int10Options } from "./int10.ts";
export { buildVideoRom, VIDEO_ROM_BYTES } from "./video-rom.ts";
export type { VideoRomOptions } from "./video-rom.ts";
export { ROM_FONT, ROM_TABLE, VIDEO_ROM_BASE, VIDEO_ROM_SEGMENT } from "./rom-layout.ts";
