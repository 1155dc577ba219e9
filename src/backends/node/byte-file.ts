import * as fs from "node:fs";
import type { ByteFile } from "../formats/index.ts";
import { hostReason } from "./host-error.ts";
import type { ImageLock } from "./lock.ts";
import { readWhole, writeWhole } from "./whole-transfer.ts";

/** A file or block device of the host under an image format. */
export class NodeByteFile implements ByteFile {
  readonly name: string;
  readonly id: string;
  readonly readOnly: boolean;
  /** As given when opened: where relative names in the image start from. */
  readonly path: string;
  #fd: number;
  #size: number;
  #dirty = false;
  #problem: string | undefined;
  readonly #failed = (error: unknown): false => {
    this.#problem = hostReason(error);
    return false;
  };
  readonly #lock: ImageLock | undefined;
  readonly #stamp: string | undefined;

  /** Owns `fd` and `lock`. */
  constructor(options: {
    readonly path: string;
    /** What messages call it, if not by its path. */
    readonly name?: string;
    readonly fd: number;
    readonly size: number;
    readonly readOnly: boolean;
    readonly lock: ImageLock | undefined;
    /** See `ByteFile.stamp`, for a file that was made of another. */
    readonly stamp?: string;
  }) {
    this.#stamp = options.stamp;
    this.path = options.path;
    this.name = options.name ?? options.path;
    this.#fd = options.fd;
    this.#size = options.size;
    this.readOnly = options.readOnly;
    this.#lock = options.lock;
    const stat = fs.fstatSync(options.fd);
    this.id = `${stat.dev}:${stat.ino}`;
  }

  get size(): number {
    return this.#size;
  }

  read(at: number, into: Uint8Array): boolean {
    return readWhole(this.#fd, at, into, Math.max(0, Math.min(into.length, this.#size - at)));
  }

  write(at: number, from: Uint8Array): boolean {
    if (this.readOnly || this.#fd < 0) return false;
    this.#dirty = true;
    const done = writeWhole(this.#fd, at, from, this.#failed);
    this.#size = Math.max(this.#size, at + done);
    return done === from.length;
  }

  resize(bytes: number): boolean {
    if (this.readOnly || this.#fd < 0) return false;
    try {
      fs.ftruncateSync(this.#fd, bytes);
    } catch (error) {
      return this.#failed(error);
    }
    this.#dirty = true;
    this.#size = bytes;
    return true;
  }

  flush(): boolean {
    if (!this.#dirty) return true;
    try {
      fs.fdatasyncSync(this.#fd);
      this.#dirty = false;
      return true;
    } catch (error) {
      return this.#failed(error);
    }
  }

  problem(): string | undefined {
    return this.#problem;
  }

  stamp(): string {
    return this.#stamp ?? fileStamp(this.#fd);
  }

  close(): void {
    if (this.#fd < 0) return;
    this.flush();
    fs.closeSync(this.#fd);
    this.#fd = -1;
    this.#lock?.release();
  }
}

/** Size and time of the last change of an open file. */
export function fileStamp(fd: number): string {
  const stat = fs.fstatSync(fd, { bigint: true });
  return `${stat.size} bytes, changed ${new Date(Number(stat.mtimeNs / 1_000_000n)).toISOString()}+${stat.mtimeNs % 1_000_000n}`;
}
