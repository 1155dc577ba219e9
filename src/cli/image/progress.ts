import { constants } from "node:os";
import { setImmediate as nextTurn } from "node:timers/promises";
import { shortSize } from "./size.ts";

/** Ctrl-C or a signal came: the command cleans up and ends with this code. */
export class Interrupted extends Error {
  readonly exitCode: number;
  constructor(signal: NodeJS.Signals) {
    super(`ended by ${signal}`);
    this.exitCode = 128 + constants.signals[signal];
  }
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

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
  #signal: NodeJS.Signals | undefined;
  readonly #onSignal = (signal: NodeJS.Signals): void => void (this.#signal ??= signal);

  constructor(what: string, total: number) {
    this.#what = what;
    this.#total = total;
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
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
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
  }
}
