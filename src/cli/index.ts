export { EXIT, UsageError } from "./errors.ts";
export { parseRun, RUN_OPTIONS } from "./run-options.ts";
export type { RunRequest } from "./run-options.ts";
