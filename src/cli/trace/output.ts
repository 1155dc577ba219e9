import * as fs from "node:fs";
import { DescriptorSink, openForWriting } from "../../backends/node/index.ts";

const BATCH_CHARACTERS = 64 * 1024;

/** Where trace lines go: gathered, because one write(2) a line would be slower than the guest. */
export class TraceOutput {
  readonly #path: string | undefined;
  readonly #fd: number;
  readonly #sink: DescriptorSink;
  #text = "";
  #broken = false;

  /** Undefined: standard error. */
  constructor(path: string | undefined) {
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
    process.stderr.write(
      `whyve: --trace: the trace ends early, ${this.#path} cannot be written (${error instanceof Error ? error.message : String(error)})\n`,
    );
  }

  close(): void {
    this.flush();
    this.#sink.finish();
    if (this.#path !== undefined) fs.closeSync(this.#fd);
  }
}
