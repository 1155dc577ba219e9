export { createFile, NodeByteFile } from "./byte-file.ts";
export type { NewFile } from "./byte-file.ts";
export { nodeCodec } from "./codec.ts";
export { FileBackend, openDiskImage, openImage, surroundings } from "./file.ts";
export type { OpenImageOptions } from "./file.ts";
export { lockImage, lockShared } from "./lock.ts";
export type { ImageLock } from "./lock.ts";
export { DescriptorSink, FileConsole, StdioConsole } from "./console.ts";
