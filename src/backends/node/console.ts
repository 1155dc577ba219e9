import * as fs from "node:fs";
import { VmmError } from "../../base/index.ts";
import type { ByteSink, ConsoleBackend } from "../api/index.ts";

/** Bytes gathered before a write(2): a guest that prints byte by byte must not cost a system call each. */
const BATCH_BYTES = 4096;

/**
 * Output to a file descriptor of this process, gathered and written in one go at the end of each turn of the event
 * loop (or when the batch is full). A reader that went away (EPIPE) ends the output, not the machine.
 */
export class DescriptorSink implements ByteSink {
  readonly #fd: number;
  readonly #batch = new Uint8Array(BATCH_BYTES);
  #used = 0;
  #scheduled = false;
  #broken = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  writeByte(value: number): void {
    this.#batch[this.#used++] = value;
    if (this.#used === BATCH_BYTES) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.flush();
      });
    }
  }

  /** Writes what has gathered; called by itself, and by the owner before the process ends. */
  flush(): void {
    let done = 0;
    const end = this.#used;
    this.#used = 0;
    const deadline = Date.now() + 2000;
    while (done < end && !this.#broken) {
      try {
        done += fs.writeSync(this.#fd, this.#batch, done, end - done);
      } catch (error) {
        // A pipe set non-blocking by its other end says EAGAIN when full: wait for the reader, not for ever.
        if (!(error instanceof Error && "code" in error && error.code === "EAGAIN") || Date.now() > deadline) this.#broken = true;
        else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      }
    }
  }
}

/** Serial line to this process's standard output; input arrives through `push` (the command line owns standard input). */
export class StdioConsole implements ConsoleBackend {
  onInput: ((value: number) => void) | undefined;
  readonly #out = new DescriptorSink(1);
  writeByte(value: number): void {
    this.#out.writeByte(value);
  }
  push(bytes: Uint8Array): void {
    for (const byte of bytes) this.onInput?.(byte);
  }
  flush(): void {
    this.#out.flush();
  }
}

/** Serial or debug output to a file, truncated at the start. */
export class FileConsole implements ConsoleBackend {
  onInput: ((value: number) => void) | undefined;
  readonly #fd: number;
  readonly #out: DescriptorSink;

  constructor(path: string) {
    try {
      this.#fd = fs.openSync(path, "w");
    } catch (cause) {
      throw new VmmError("FILE_UNWRITABLE", `${path}: cannot be written (${cause instanceof Error ? cause.message : String(cause)})`, { cause });
    }
    this.#out = new DescriptorSink(this.#fd);
  }
  writeByte(value: number): void {
    this.#out.writeByte(value);
  }
  flush(): void {
    this.#out.flush();
  }
  close(): void {
    this.#out.flush();
    fs.closeSync(this.#fd);
  }
}
