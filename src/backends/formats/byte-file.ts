/**
 * The file below an image format: bytes at positions. Synchronous, never throws after it was opened; a host error is `false`. Writes reach
 * the medium in no particular order until `flush` returns: the formats order what matters by flushing between.
 */
export interface ByteFile {
  /** What messages call it. */
  readonly name: string;
  /** The same for two names of one file: how loops in backing chains are found. */
  readonly id: string;
  readonly readOnly: boolean;
  /** Length in bytes as it is now. */
  readonly size: number;
  /** Fills `into` from position `at`; bytes past the end read as zero. */
  read(at: number, into: Uint8Array): boolean;
  /** Writes at `at`, growing the file; a gap reads as zeros. */
  write(at: number, from: Uint8Array): boolean;
  /** Cuts or grows the file; new bytes are zero. */
  resize(bytes: number): boolean;
  /** Everything written and the length become durable. */
  flush(): boolean;
  /** The host's words for the last operation that failed: "no space left on the disk". */
  problem?(): string | undefined;
  /** Size and time of the last change: see `BlockBackend.identity`. */
  stamp?(): string;
  close(): void;
}

/** ` (no space left on the disk)`, for messages about a file on which an operation has failed. */
export function because(file: ByteFile): string {
  return ` (${file.problem?.() ?? "write error, or no room"})`;
}

/** A file in memory: tests, and small images made on the fly. */
export class MemoryByteFile implements ByteFile {
  readonly name: string;
  readonly id: string;
  readonly readOnly: boolean;
  #bytes: Uint8Array;
  #size: number;

  constructor(name: string, bytes: Uint8Array = new Uint8Array(0), options: { readonly readOnly?: boolean } = {}) {
    this.name = name;
    this.id = name;
    this.readOnly = options.readOnly ?? false;
    this.#bytes = bytes;
    this.#size = bytes.length;
  }
  get size(): number {
    return this.#size;
  }
  /** A view of the content. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }
  read(at: number, into: Uint8Array): boolean {
    const have = Math.max(0, Math.min(into.length, this.#size - at));
    if (have > 0) into.set(this.#bytes.subarray(at, at + have));
    into.fill(0, have);
    return true;
  }
  write(at: number, from: Uint8Array): boolean {
    if (this.readOnly) return false;
    if (at + from.length > this.#size && !this.resize(at + from.length)) return false;
    this.#bytes.set(from, at);
    return true;
  }
  resize(bytes: number): boolean {
    if (this.readOnly || bytes > 2 ** 31) return false;
    if (bytes > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(bytes, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.#size));
      this.#bytes = larger;
    }
    if (bytes < this.#size) this.#bytes.fill(0, bytes, this.#size);
    this.#size = bytes;
    return true;
  }
  flush(): boolean {
    return true;
  }
  close(): void {}
}
