/** The command line is wrong: printed as one line, exit code 1. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/** What the process returns; stable from the first release. */
export const EXIT = {
  /** The guest powered off, or `--until` matched. */
  OK: 0,
  /** The command line or the configuration is wrong. */
  USAGE: 1,
  /** The guest crashed, or ended in a way that `--until` and `--type` did not wait for. */
  GUEST: 2,
  /** `--timeout` passed. */
  TIMEOUT: 3,
  /** A mistake of ours. */
  INTERNAL: 4,
  /** The terminal went away: 128 and the signal, as shells count. */
  HANGUP: 129,
} as const;
