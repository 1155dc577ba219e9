import * as fs from "node:fs";
import { VmmError } from "../../base/index.ts";
import type { ByteSink, ConsoleBackend } from "../api/index.ts";
import { hostReason } from "./host-error.ts";
import { errorCode } from "./lock.ts";

/** Bytes gathered before a write(2): a guest that prints byte by byte must not cost a system call each. */
const BATCH_BYTES = 4096;

/** What a reader has not taken yet is kept up to this size; after that output is lost. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** How long a write waits for a reader that is slow, by what is kept: the guest gets slower, the event loop still has its turns. */
const PATIENCE: readonly (readonly [bytes: number, ms: number])[] = [
  [16 * 1024 * 1024, 1000],
  [8 * 1024 * 1024, 500],
  [1024 * 1024, 50],
];
/** A reader that takes nothing for so long does not get the rest at the end. */
const FAREWELL_MS = 2000;
const RETRY_MS = 10;

/**
 * Opens a file for output, emptied. Never blocks: a FIFO that nobody reads is an error. Throws `FILE_UNWRITABLE`; `flag` is what asked for it.
 */
export function openForWriting(path: string, flag = ""): number {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NONBLOCK } = fs.constants;
  try {
    return fs.openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0o666);
  } catch (cause) {
    const fifo = errorCode(cause) === "ENXIO";
    const why = fifo ? "nobody reads this FIFO; start its reader first" : hostReason(cause);
    throw new VmmError("FILE_UNWRITABLE", `${flag}${path}: cannot be written (${why})`, { cause });
  }
}

/** Standard output or error without the blocking: a full pipe or a stopped terminal would hold up this whole process. */
function unblocked(fd: number): number {
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = fs.constants;
  try {
    const status = fs.fstatSync(fd);
    if (status.isFile()) return fd;
    // An opening of its own: whoever shares the descriptor does not notice.
    if (process.platform === "linux" && !status.isSocket()) return fs.openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    // Closed, or another user's terminal.
  }
  // Node makes a socket or pipe non-blocking when its stream is first looked at.
  void (fd === 1 ? process.stdout : process.stderr);
  return fd;
}

/**
 * Output to a file descriptor of this process, gathered and written in one go at the end of each turn of the event loop (or when the batch is
 * full). A reader that is slow holds the guest up, without holding this process up; one that went away (EPIPE) ends the output, not the machine.
 */
export class DescriptorSink implements ByteSink {
  readonly #fd: number;
  readonly #onBroken: ((error: unknown) => void) | undefined;
  readonly #batch = new Uint8Array(BATCH_BYTES);
  #used = 0;
  #scheduled = false;
  #broken = false;
  /** Not taken by the reader yet. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;

  /** `onBroken` is told once when output is lost from now on. */
  constructor(fd: number, onBroken?: (error: unknown) => void) {
    this.#fd = fd <= 2 ? unblocked(fd) : fd;
    this.#onBroken = onBroken;
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

  /** Writes bytes, or keeps a copy for later. */
  write(bytes: Uint8Array): void {
    this.flush();
    this.#put(bytes);
  }

  /** Writes what has gathered; called by itself. */
  flush(): void {
    const used = this.#used;
    this.#used = 0;
    if (used > 0) this.#put(this.#batch.subarray(0, used));
  }

  /** Writes everything, as long as the reader takes something; called by the owner before the process ends. */
  finish(): void {
    this.flush();
    clearTimeout(this.#retry);
    while (this.#waitingBytes > 0) {
      const before = this.#waitingBytes;
      this.#drain(FAREWELL_MS);
      if (this.#waitingBytes === before) this.#break(new Error("its reader takes nothing"));
    }
  }

  #put(bytes: Uint8Array): void {
    if (this.#broken) return;
    if (this.#waitingBytes === 0) {
      const done = this.#write(bytes);
      if (done === bytes.length || this.#broken) return;
      bytes = bytes.subarray(done);
    }
    if (this.#waitingBytes + bytes.length > MAX_WAITING_BYTES) {
      this.#break(new Error("its reader is too slow"));
      return;
    }
    this.#waiting.push(bytes.slice());
    this.#waitingBytes += bytes.length;
    this.#drain(PATIENCE.find(([above]) => this.#waitingBytes > above)?.[1] ?? 0);
  }

  /** Writes what waits; gives up when nothing was taken for `patienceMs`. */
  #drain(patienceMs: number): void {
    let deadline = performance.now() + patienceMs;
    for (;;) {
      const [first] = this.#waiting;
      if (first === undefined) return;
      const done = this.#write(first);
      if (this.#broken) return;
      this.#waitingBytes -= done;
      if (done === first.length) this.#waiting.shift();
      else this.#waiting[0] = first.subarray(done);
      if (done > 0) deadline = Math.max(deadline, performance.now() + Math.min(patienceMs, 100));
      else if (performance.now() >= deadline) break;
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#drain(0);
    }, RETRY_MS).unref();
  }

  /** What was taken; 0 when the reader has no room now. */
  #write(bytes: Uint8Array): number {
    let done = 0;
    while (done < bytes.length) {
      try {
        done += fs.writeSync(this.#fd, bytes, done);
      } catch (error) {
        if (errorCode(error) !== "EAGAIN") this.#break(error);
        break;
      }
    }
    return done;
  }

  #break(error: unknown): void {
    this.#broken = true;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#onBroken?.(error);
  }
}

/** Serial line to this process's standard output; input arrives through `push` (the command line owns standard input). */
export class StdioConsole implements ConsoleBackend {
  onInput: ((value: number) => void) | undefined;
  readonly #out: DescriptorSink;
  /** `onBroken` is told once when output is lost from now on. */
  constructor(onBroken?: (error: unknown) => void) {
    this.#out = new DescriptorSink(1, onBroken);
  }
  writeByte(value: number): void {
    this.#out.writeByte(value);
  }
  push(bytes: Uint8Array): void {
    for (const byte of bytes) this.onInput?.(byte);
  }
  /** Before the process ends. */
  finish(): void {
    this.#out.finish();
  }
}

/** Serial or debug output to a file, truncated at the start. */
export class FileConsole implements ConsoleBackend {
  onInput: ((value: number) => void) | undefined;
  readonly #fd: number;
  readonly #onBroken: ((error: unknown) => void) | undefined;
  readonly #out: DescriptorSink;

  /** `onBroken` is told once when output is lost from now on; `flag` is what asked for the file. */
  constructor(path: string, onBroken?: (error: unknown) => void, flag = "") {
    this.#fd = openForWriting(path, flag);
    this.#onBroken = onBroken;
    this.#out = new DescriptorSink(this.#fd, onBroken);
  }
  writeByte(value: number): void {
    this.#out.writeByte(value);
  }
  flush(): void {
    this.#out.flush();
  }
  close(): void {
    this.#out.finish();
    try {
      fs.closeSync(this.#fd);
    } catch (error) {
      // A network's disk says only now that it is full.
      this.#onBroken?.(error);
    }
  }
}
