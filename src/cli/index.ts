export { EXIT, UsageError } from "./errors.ts";
export { parseRun } from "./options/run-options.ts";
export { RUN_OPTIONS } from "./options/run-table.ts";
export type { RunRequest } from "./options/run-options.ts";
