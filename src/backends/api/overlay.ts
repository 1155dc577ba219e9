import { checkOptions, kinds, shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { BlockBackend } from "./block.ts";

const { choice } = kinds;

/** As many as memory has room for. */
const MAX_CHUNKS = 2 ** 20;

/** A copy-on-write overlay's content: chunk numbers and their bytes, in the same order. */
const OVERLAY_STATE = shape.record({
  v: shape.oneOf(1),
  chunkBytes: shape.oneOf(4096, 65536),
  numbers: shape.list(shape.count, MAX_CHUNKS, 0),
  chunks: shape.list(shape.bytes(65536, 0), MAX_CHUNKS, 0),
  /** What the disk below holds in memory. */
  base: shape.anything,
});
export type OverlayStateV1 = Shaped<typeof OVERLAY_STATE>;

/**
 * Copy-on-write in memory (`--snapshot-disk`): reads see the guest's writes, the base never changes. Sparse; a chunk
 * is copied on its first write. Memory used is at most the size of the disk.
 */
export class OverlayBlockBackend implements BlockBackend {
  readonly name: string;
  readonly sectorBytes: 512 | 2048;
  readonly readOnly = false;
  readonly sizeBytes: number;
  readonly #base: BlockBackend;
  readonly #chunkBytes: 4096 | 65536;
  readonly #chunks = new Map<number, Uint8Array>();

  /** `chunkBytes`: 4 KB for scattered writes, 64 KB (default) for streams; a power of two of at least 2048. */
  constructor(base: BlockBackend, options: { readonly chunkBytes?: 4096 | 65536 } = {}) {
    checkOptions("OverlayBlockBackend()", { chunkBytes: choice([4096, 65536]) }, options, "API_ARGUMENT", "{ chunkBytes: 4096 }");
    this.name = base.name;
    this.sectorBytes = base.sectorBytes;
    this.sizeBytes = base.sizeBytes;
    this.#base = base;
    this.#chunkBytes = options.chunkBytes ?? 65536;
  }

  read(offset: number, into: Uint8Array): boolean {
    if (offset < 0 || offset + into.length > this.sizeBytes) return false;
    if (this.#chunks.size === 0) return this.#base.read(offset, into);
    const size = this.#chunkBytes;
    let at = 0;
    while (at < into.length) {
      const number = Math.floor((offset + at) / size);
      const chunk = this.#chunks.get(number);
      const inChunk = offset + at - number * size;
      let n = Math.min(size - inChunk, into.length - at);
      if (chunk !== undefined) {
        into.set(chunk.subarray(inChunk, inChunk + n), at);
      } else {
        // Clean neighbours are read from the base in one go.
        let next = number + 1;
        while (at + n < into.length && !this.#chunks.has(next)) {
          n = Math.min(n + size, into.length - at);
          next++;
        }
        if (!this.#base.read(offset + at, into.subarray(at, at + n))) return false;
      }
      at += n;
    }
    return true;
  }

  write(offset: number, from: Uint8Array): boolean {
    if (offset < 0 || offset + from.length > this.sizeBytes) return false;
    const size = this.#chunkBytes;
    let at = 0;
    while (at < from.length) {
      const number = Math.floor((offset + at) / size);
      const start = number * size;
      const inChunk = offset + at - start;
      const n = Math.min(size - inChunk, from.length - at);
      let chunk = this.#chunks.get(number);
      if (chunk === undefined) {
        chunk = new Uint8Array(Math.min(size, this.sizeBytes - start));
        if (n < chunk.length && !this.#base.read(start, chunk)) return false;
        this.#chunks.set(number, chunk);
      }
      chunk.set(from.subarray(at, at + n), inChunk);
      at += n;
    }
    return true;
  }

  flush(): boolean {
    return true;
  }

  close(): void {
    this.#chunks.clear();
    this.#base.close();
  }

  /** Writes the changes into the base and forgets them. False, with the overlay kept, when the base refuses. */
  commit(): boolean {
    for (const [number, chunk] of this.#chunks) if (!this.#base.write(number * this.#chunkBytes, chunk)) return false;
    if (!this.#base.flush()) return false;
    this.#chunks.clear();
    return true;
  }

  identity(): string {
    return this.#base.identity?.() ?? "";
  }

  saveState(): OverlayStateV1 {
    const numbers = [...this.#chunks.keys()].sort((a, b) => a - b);
    return {
      v: 1,
      chunkBytes: this.#chunkBytes,
      numbers,
      chunks: numbers.map((n) => (this.#chunks.get(n) ?? new Uint8Array(0)).slice()),
      base: this.#base.saveState?.(),
    };
  }

  /** Replaces the content; chunks outside the disk are dropped. */
  loadState(record: unknown, at: string): void {
    const state = OVERLAY_STATE(record, at);
    this.#base.loadState?.(state.base, `${at}.base`);
    this.#chunks.clear();
    for (const [i, number] of state.numbers.entries()) {
      const bytes = state.chunks[i];
      if (bytes !== undefined) this.write(number * state.chunkBytes, bytes.subarray(0, Math.max(0, this.sizeBytes - number * state.chunkBytes)));
    }
  }
}

/** More padding than this is never kept in memory: writes there are refused. */
const MAX_TAIL_BYTES = 4 * 1024 * 1024;

const PADDED_STATE = shape.record({ v: shape.oneOf(1), tail: shape.maybe(shape.bytes(MAX_TAIL_BYTES, 0)), base: shape.anything });

/**
 * A short image as a whole medium: past the file's end it reads zero, and writes there live in memory only. The file
 * never grows (a 512-byte boot sector on a 1.44M floppy).
 */
export class PaddedBackend implements BlockBackend {
  readonly name: string;
  readonly sectorBytes: 512 | 2048;
  readonly readOnly: boolean;
  readonly sizeBytes: number;
  readonly #base: BlockBackend;
  #tail: Uint8Array | undefined;

  constructor(base: BlockBackend, sizeBytes: number) {
    this.name = base.name;
    this.sectorBytes = base.sectorBytes;
    this.readOnly = base.readOnly;
    this.#base = base;
    this.sizeBytes = Math.max(sizeBytes, base.sizeBytes);
  }

  read(offset: number, into: Uint8Array): boolean {
    if (offset < 0 || offset + into.length > this.sizeBytes) return false;
    const inFile = Math.max(0, Math.min(into.length, this.#base.sizeBytes - offset));
    if (inFile > 0 && !this.#base.read(offset, into.subarray(0, inFile))) return false;
    if (inFile === into.length) return true;
    const rest = into.subarray(inFile);
    if (this.#tail === undefined) {
      rest.fill(0);
    } else {
      const at = offset + inFile - this.#base.sizeBytes;
      rest.set(this.#tail.subarray(at, at + rest.length));
    }
    return true;
  }

  write(offset: number, from: Uint8Array): boolean {
    if (this.readOnly || offset < 0 || offset + from.length > this.sizeBytes) return false;
    const fileBytes = this.#base.sizeBytes;
    const inFile = Math.max(0, Math.min(from.length, fileBytes - offset));
    if (inFile < from.length && this.sizeBytes - fileBytes > MAX_TAIL_BYTES) return false;
    if (inFile > 0 && !this.#base.write(offset, from.subarray(0, inFile))) return false;
    if (inFile < from.length) {
      this.#tail ??= new Uint8Array(this.sizeBytes - fileBytes);
      this.#tail.set(from.subarray(inFile), offset + inFile - fileBytes);
    }
    return true;
  }

  identity(): string {
    return this.#base.identity?.() ?? "";
  }
  saveState(): unknown {
    return { v: 1, tail: this.#tail, base: this.#base.saveState?.() } satisfies Shaped<typeof PADDED_STATE>;
  }
  loadState(record: unknown, at: string): void {
    const { tail, base } = PADDED_STATE(record, at);
    this.#tail = tail?.length === this.sizeBytes - this.#base.sizeBytes ? tail.slice() : undefined;
    this.#base.loadState?.(base, `${at}.base`);
  }

  flush(): boolean {
    return this.#base.flush();
  }

  close(): void {
    this.#base.close();
  }
}
