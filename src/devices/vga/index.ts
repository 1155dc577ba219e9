export { Vga, VGA_STATE } from "./vga.ts";
export { registersBar, REGISTERS_BAR_BYTES } from "./registers-bar.ts";
export type { VgaOptions, VgaStateV1 } from "./vga.ts";
export type { Frame, RenderOptions, VideoMode } from "./render.ts";
export type { TextScreen } from "./text-screen.ts";
export { cp437Char, cp437Code, cp437ToString } from "./cp437.ts";
