export { MemoryBlockBackend } from "./block.ts";
export type { BlockBackend } from "./block.ts";
export { NullConsole } from "./console.ts";
export type { ByteSink, ConsoleBackend } from "./console.ts";
