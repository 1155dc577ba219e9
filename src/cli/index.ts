export { EXIT, UsageError } from "./errors.ts";
export { parseRun, RUN_OPTIONS } from "./options/run-options.ts";
export type { RunRequest } from "./options/run-options.ts";
