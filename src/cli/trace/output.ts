import * as fs from "node:fs";
import { DescriptorSink, hostReason, openForWriting } from "../../backends/node/index.ts";
import { isGone } from "../losses.ts";

const BATCH_CHARACTERS = 64 * 1024;

/** Where trace lines go: gathered, because one write(2) a line would be slower than the guest. */
export class TraceOutput {
  readonly #path: string | undefined;
  readonly #fd: number;
  readonly #sink: DescriptorSink;
  #text = "";
  #broken = false;

  readonly #onLost: (() => void) | undefined;

  /** Undefined: standard error. `onLost` is told once when lines are missing from the file from now on. */
  constructor(path: string | undefined, onLost?: () => void) {
    this.#onLost = onLost;
    this.#path = path;
    this.#fd = path === undefined ? 2 : openForWriting(path, "--trace: ");
    this.#sink = new DescriptorSink(this.#fd, (error) => this.#giveUp(error));
  }

  line(text: string): void {
    if (this.#broken) return;
    this.#text += `${text}\n`;
    if (this.#text.length >= BATCH_CHARACTERS) this.flush();
  }

  flush(): void {
    const bytes = Buffer.from(this.#text);
    this.#text = "";
    this.#sink.write(bytes);
  }

  /** Whoever waits for the file must know that it is not whole; standard error that is gone can tell nobody. */
  #giveUp(error: unknown): void {
    this.#broken = true;
    if (this.#path === undefined) return;
    if (!isGone(error)) this.#onLost?.();
    process.stderr.write(`whyve: --trace: the trace ends early, ${this.#path} cannot be written (${hostReason(error)})\n`);
  }

  close(): void {
    this.flush();
    this.#sink.finish();
    if (this.#path === undefined) return;
    try {
      fs.closeSync(this.#fd);
    } catch (error) {
      // A network's disk says only now that it is full.
      if (!this.#broken) this.#giveUp(error);
    }
  }
}
