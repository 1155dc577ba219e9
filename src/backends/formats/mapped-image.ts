import { VmmError } from "../../base/index.ts";
import type { ByteFile } from "./byte-file.ts";
import type { CheckResult, DiskImage, Extent, ImageFacts } from "./disk-image.ts";
import type { ImageFormat } from "./image-format.ts";

/** How a disk goes on at some place: at least one byte of one kind. */
export type Stretch =
  | { readonly kind: "zero"; readonly bytes: number }
  | { readonly kind: "data"; readonly bytes: number; readonly file: ByteFile; readonly at: number }
  /** Unpacked bytes, from the stretch's start on. */
  | { readonly kind: "unpacked"; readonly bytes: number; readonly data: Uint8Array }
  /** The image contradicts itself here, or cannot be read: the guest sees a medium error. */
  | { readonly kind: "bad"; readonly bytes: number };

/** The tables of a format that is read and not written. Whatever they say, they answer and do not throw. */
export interface BlockMap {
  readonly format: ImageFormat;
  readonly variant: string;
  readonly sizeBytes: number;
  readonly blockBytes: number | undefined;
  /** All files that the disk is made of; the first one is the image's. */
  readonly files: readonly ByteFile[];
  /** `offset` is inside the disk. */
  find(offset: number): Stretch;
  check(): CheckResult;
}

/** A disk of a format that other programs write. */
export class MappedImage implements DiskImage {
  readonly format: ImageFormat;
  readonly name: string;
  readonly sectorBytes: 512 | 2048;
  readonly readOnly = true;
  readonly sizeBytes: number;
  readonly #map: BlockMap;
  #closed = false;

  constructor(name: string, map: BlockMap, sectorBytes: 512 | 2048) {
    this.name = name;
    this.format = map.format;
    this.sectorBytes = sectorBytes;
    this.sizeBytes = Math.ceil(map.sizeBytes / sectorBytes) * sectorBytes;
    this.#map = map;
  }

  read(offset: number, into: Uint8Array): boolean {
    if (this.#closed || offset < 0 || offset + into.length > this.sizeBytes) return false;
    let done = 0;
    while (done < into.length) {
      const stretch = this.#at(offset + done);
      const part = into.subarray(done, done + Math.min(into.length - done, stretch.bytes));
      if (stretch.kind === "bad") return false;
      if (stretch.kind === "zero") part.fill(0);
      else if (stretch.kind === "unpacked") part.set(stretch.data.subarray(0, part.length));
      else if (!stretch.file.read(stretch.at, part)) return false;
      done += part.length;
    }
    return true;
  }

  /** The last sector of an odd size is filled up with zeros. */
  #at(offset: number): Stretch {
    const left = this.#map.sizeBytes - offset;
    if (left <= 0) return { kind: "zero", bytes: this.sizeBytes - offset };
    const stretch = this.#map.find(offset);
    return stretch.bytes > left ? { ...stretch, bytes: left } : stretch;
  }

  extent(offset: number, most: number): Extent {
    const stretch = this.#at(offset);
    return { bytes: Math.min(most, stretch.bytes), zero: stretch.kind === "zero" };
  }
  write(): boolean {
    return false;
  }
  flush(): boolean {
    return !this.#closed;
  }
  identity(): string {
    return this.#map.files.map((file) => file.stamp?.() ?? "").join(" + ");
  }
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const file of this.#map.files) file.close();
  }
  facts(): ImageFacts {
    const { variant, blockBytes, files } = this.#map;
    return {
      file: this.name,
      format: this.format,
      virtualBytes: this.#map.sizeBytes,
      fileBytes: files.reduce((sum, file) => sum + file.size, 0),
      variant,
      ...(blockBytes === undefined ? {} : { clusterBytes: blockBytes }),
    };
  }
  check(): CheckResult {
    return this.#map.check();
  }
  resize(): void {
    throw new VmmError("IMAGE_READ_ONLY", `${this.name}: ${this.format} images are read here, not written; convert it (whyve image convert)`);
  }
}

/** Errors of a check, the first of them in words. */
export class Findings {
  readonly errors: string[] = [];
  count = 0;
  add(error: string): void {
    this.count++;
    if (this.errors.length < 20) this.errors.push(error);
  }
  result(allocated: number, total: number): CheckResult {
    return { errors: this.errors, errorCount: this.count, leakedClusters: 0, allocatedClusters: allocated, totalClusters: total };
  }
}

/** Blocks of one length, each in its own place: which of them lie outside the file, or upon each other. Memory: a number a block in use. */
export function checkBlocks(count: number, blockBytes: number, fileBytes: number, place: (index: number) => number | undefined | "bad"): CheckResult {
  const found = new Findings();
  const starts: number[] = [];
  for (let i = 0; i < count; i++) {
    const at = place(i);
    if (at === undefined) continue;
    // A last block may be cut where the disk ends.
    if (at === "bad" || at >= fileBytes) found.add(`block ${i} lies outside the file`);
    else starts.push(at);
  }
  starts.sort((a, b) => a - b);
  for (let i = 1; i < starts.length; i++) {
    if ((starts[i] ?? 0) - (starts[i - 1] ?? 0) < blockBytes) found.add(`the blocks at ${starts[i - 1]} and ${starts[i]} overlap`);
  }
  return found.result(starts.length, count);
}
