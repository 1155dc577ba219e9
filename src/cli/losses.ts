import { hostReason } from "../backends/node/index.ts";

/**
 * Streams of output that could not be written to their end: each is told once on standard error, and a run that went well otherwise does not end
 * with exit code 0.
 */
export class Losses {
  #any = false;

  get any(): boolean {
    return this.#any;
  }

  /** Something is lost, and was told of already. */
  note(): void {
    this.#any = true;
  }

  /** What a sink is to call when it breaks; `what` names it: "--serial file:log". */
  teller(what: string): (error: unknown) => void {
    return (error) => {
      // Whoever reads a pipe may go away when enough was read.
      if (isGone(error)) return;
      this.#any = true;
      process.stderr.write(`whyve: ${what}: output is lost from here on (${hostReason(error)})\n`);
    };
  }
}

/** The reader of a pipe has closed it. */
export function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EPIPE";
}
