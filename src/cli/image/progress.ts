import { setImmediate as nextTurn } from "node:timers/promises";
import { shortSize } from "./size.ts";

/** Ctrl-C or a signal came: the command cleans up and ends with this code. */
export class Interrupted extends Error {
  readonly exitCode: number;
  constructor(exitCode: number) {
    super("interrupted");
    this.exitCode = exitCode;
  }
}

/**
 * A line on the terminal for long work, and the place where signals are noticed: the work is synchronous in pieces, `step` between them lets the
 * event loop turn.
 */
export class Progress {
  readonly #what: string;
  readonly #total: number;
  readonly #show = process.stderr.isTTY === true;
  #shown = 0;
  #turned = Date.now();
  #signal: number | undefined;
  readonly #onInterrupt = (): void => void (this.#signal ??= 130);
  readonly #onTerminate = (): void => void (this.#signal ??= 143);

  constructor(what: string, total: number) {
    this.#what = what;
    this.#total = total;
    process.on("SIGINT", this.#onInterrupt);
    process.on("SIGTERM", this.#onTerminate);
    process.on("SIGHUP", this.#onTerminate);
  }

  /** Throws `Interrupted` after a signal. */
  async step(done: number): Promise<void> {
    const now = Date.now();
    if (now - this.#turned < 50) return;
    this.#turned = now;
    await nextTurn();
    if (this.#signal !== undefined) throw new Interrupted(this.#signal);
    if (this.#show && now - this.#shown > 150) {
      this.#shown = now;
      const percent = this.#total === 0 ? 100 : Math.floor((done / this.#total) * 100);
      process.stderr.write(`\r\x1b[K${this.#what}: ${percent}% (${shortSize(done)} of ${shortSize(this.#total)})`);
    }
  }

  close(): void {
    if (this.#shown > 0) process.stderr.write("\r\x1b[K");
    process.off("SIGINT", this.#onInterrupt);
    process.off("SIGTERM", this.#onTerminate);
    process.off("SIGHUP", this.#onTerminate);
  }
}
