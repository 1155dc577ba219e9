export { FileBackend, openImage } from "./file.ts";
export type { OpenImageOptions } from "./file.ts";
export { lockImage } from "./lock.ts";
export type { ImageLock } from "./lock.ts";
export { DescriptorSink, FileConsole, StdioConsole } from "./console.ts";
