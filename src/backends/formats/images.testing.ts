import { inflateRawSync, deflateRawSync } from "node:zlib";
import { VmmError } from "../../base/index.ts";
import { MemoryByteFile } from "./byte-file.ts";
import type { ByteFile } from "./byte-file.ts";
import type { Codec } from "./codec.ts";
import type { Surroundings } from "./open.ts";

/** A generator with a fixed seed (xorshift): numbers below `below`. */
export function seeded(seed: number): (below: number) => number {
  let x = (seed * 2654435761) | 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

/** Deflate by the test's own Node; no Zstandard. */
export const testCodec: Codec = {
  inflateRaw(from, bytes) {
    try {
      return inflateRawSync(from, { maxOutputLength: bytes, finishFlush: 2 });
    } catch {
      return undefined;
    }
  },
  deflateRaw: (from) => deflateRawSync(from, { windowBits: 12 }),
  unzstd: () => undefined,
};

/** Backing files by name from memory. */
export function memorySurroundings(files: Readonly<Record<string, Uint8Array>> = {}): Surroundings {
  return {
    codec: testCodec,
    warn: () => {},
    openBeside(name) {
      const bytes = files[name];
      if (bytes === undefined) throw new VmmError("IMAGE_NOT_FOUND", `${name}: no such file`);
      return new MemoryByteFile(name, bytes, { readOnly: true });
    },
    openBacking(reference) {
      return new MemoryByteFile(reference, files[reference] ?? new Uint8Array(512), { readOnly: true });
    },
  };
}

type Operation = { readonly kind: "write"; readonly at: number; readonly bytes: Uint8Array } | { readonly kind: "resize"; readonly bytes: number };

/**
 * A file whose power can fail: it remembers what was durable at the last flush and every operation since. `limitBytes` is a full disk;
 * `failAfter` makes every operation from the n-th on fail, as after a kill.
 */
export class FragileFile implements ByteFile {
  readonly name = "fragile";
  readonly id = "fragile";
  readonly readOnly = false;
  readonly #now: MemoryByteFile;
  #durable: Uint8Array;
  #since: Operation[] = [];
  readonly #limitBytes: number;
  readonly #failAfter: number;
  operations = 0;
  /** Called after every operation. */
  onOperation: (() => void) | undefined;

  constructor(bytes: Uint8Array, options: { readonly limitBytes?: number; readonly failAfter?: number } = {}) {
    this.#now = new MemoryByteFile("fragile", bytes.slice());
    this.#durable = bytes.slice();
    this.#limitBytes = options.limitBytes ?? 64 * 1024 * 1024;
    this.#failAfter = options.failAfter ?? Number.POSITIVE_INFINITY;
  }
  get size(): number {
    return this.#now.size;
  }
  get dead(): boolean {
    return this.operations >= this.#failAfter;
  }
  read(at: number, into: Uint8Array): boolean {
    return this.#now.read(at, into);
  }
  write(at: number, from: Uint8Array): boolean {
    if (this.dead || at + from.length > this.#limitBytes) return false;
    this.operations++;
    this.#since.push({ kind: "write", at, bytes: from.slice() });
    const ok = this.#now.write(at, from);
    this.onOperation?.();
    return ok;
  }
  resize(bytes: number): boolean {
    if (this.dead || bytes > this.#limitBytes) return false;
    this.operations++;
    this.#since.push({ kind: "resize", bytes });
    return this.#now.resize(bytes);
  }
  flush(): boolean {
    if (this.dead) return false;
    this.operations++;
    this.#since = [];
    this.#durable = this.#now.bytes.slice();
    return true;
  }
  close(): void {}

  /** The content after a kill: every operation so far has happened. */
  afterKill(): Uint8Array {
    return this.#now.bytes.slice();
  }
  /** The content after a power failure: of what was not flushed any operations, and of writes any sectors, are lost. */
  afterPowerLoss(next: (below: number) => number): Uint8Array {
    const file = new MemoryByteFile("after", this.#durable.slice());
    for (const op of this.#since) {
      const fate = next(4);
      if (fate === 0) continue;
      if (op.kind === "resize") {
        file.resize(op.bytes);
      } else if (fate === 1) {
        for (let at = 0; at < op.bytes.length; ) {
          const n = Math.min(op.bytes.length - at, 512 - ((op.at + at) % 512));
          if (next(2) === 0) file.write(op.at + at, op.bytes.subarray(at, at + n));
          at += n;
        }
      } else file.write(op.at, op.bytes);
    }
    return file.bytes.slice();
  }
}
