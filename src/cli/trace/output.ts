import * as fs from "node:fs";
import { UsageError } from "../errors.ts";

const BATCH_CHARACTERS = 64 * 1024;

/** Where trace lines go: gathered, because one write(2) a line would be slower than the guest. */
export class TraceOutput {
  readonly #path: string | undefined;
  readonly #fd: number;
  readonly #owned: boolean;
  #text = "";
  #broken = false;

  /** Undefined: standard error. */
  constructor(path: string | undefined) {
    this.#path = path;
    this.#owned = path !== undefined;
    if (path === undefined) {
      this.#fd = 2;
      return;
    }
    try {
      this.#fd = fs.openSync(path, "w");
    } catch (error) {
      throw new UsageError(`--trace: cannot write ${path} (${error instanceof Error ? error.message : String(error)})`);
    }
  }

  line(text: string): void {
    if (this.#broken) return;
    this.#text += `${text}\n`;
    if (this.#text.length >= BATCH_CHARACTERS) this.flush();
  }

  flush(): void {
    const bytes = Buffer.from(this.#text);
    this.#text = "";
    let done = 0;
    while (done < bytes.length && !this.#broken) {
      try {
        done += fs.writeSync(this.#fd, bytes, done);
      } catch (error) {
        // A full pipe: try again; anything else ends the trace, not the machine.
        if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) this.#giveUp(error);
      }
    }
  }

  /** Whoever waits for the file must know that it is not whole; standard error that is gone can tell nobody. */
  #giveUp(error: unknown): void {
    this.#broken = true;
    if (this.#path === undefined) return;
    process.stderr.write(
      `whyve: --trace: the trace ends early, ${this.#path} cannot be written (${error instanceof Error ? error.message : String(error)})\n`,
    );
  }

  close(): void {
    this.flush();
    if (this.#owned) fs.closeSync(this.#fd);
  }
}
