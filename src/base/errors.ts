import type { ErrorCode } from "./error-codes.ts";

/** What the host (not the guest) got wrong: a configuration, a file, an API misuse. Match on `code`. */
export class VmmError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "VmmError";
    this.code = code;
  }
}

/** Proves at compile time that a union was handled whole; reaching it at run time is our own mistake. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}

/** Our own mistake: throws when `condition` is false. Never used on anything a guest can influence. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
