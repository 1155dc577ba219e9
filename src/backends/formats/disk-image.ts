import type { BlockBackend } from "../api/index.ts";
import type { ImageFormat } from "./image-format.ts";

/** What `whyve image info` says; JSON-able. Undefined members do not apply. */
export interface ImageFacts {
  readonly file: string;
  readonly format: ImageFormat;
  /** What the guest sees, bytes. */
  readonly virtualBytes: number;
  /** Length of the file, bytes. */
  readonly fileBytes: number;
  readonly variant?: string;
  readonly clusterBytes?: number;
  readonly compression?: string;
  readonly backingFile?: string;
  readonly backingFormat?: string;
  readonly snapshots?: readonly { readonly id: string; readonly name: string; readonly virtualBytes: number; readonly time: string }[];
  /** Remarkable things: "dirty", "corrupt", "lazy refcounts", "extended L2", ... */
  readonly flags?: readonly string[];
}

/** A stretch of a disk that is alike. */
export interface Extent {
  readonly bytes: number;
  /** Known to read as zeros without looking. */
  readonly zero: boolean;
}

/** What a check found. Errors lose data; leaks only waste room. */
export interface CheckResult {
  readonly errors: readonly string[];
  /** How many errors there were; `errors` holds the first of them. */
  readonly errorCount: number;
  readonly leakedClusters: number;
  readonly allocatedClusters: number;
  readonly totalClusters: number;
}

/** An opened image: a disk, with what tools ask about it. */
export interface DiskImage extends BlockBackend {
  readonly format: ImageFormat;
  facts(): ImageFacts;
  /** How the disk goes on at `offset`: 1..`most` bytes alike. */
  extent(offset: number, most: number): Extent;
  /** Changes the virtual size. Throws `VmmError` when it cannot be done. */
  resize(sizeBytes: number): void;
  /** Compares the structures with each other. */
  check(): CheckResult;
  /** Corrects counts (and what can be corrected from them); false when it could not be written. Only when writable. */
  repair?(): boolean;
  /**
   * Makes tables that have changed in memory durable, if there are any. To be called now and then: a guest that never flushes (DOS) loses little
   * then when this process is killed. "closed": the image is, and no more calls are needed.
   */
  commitTables?(): "closed" | "clean" | "failed";
  /** Stores one cluster compressed; false when the format has no such thing or an error occurred. `offset` is a cluster's start. */
  writeCompressed?(offset: number, data: Uint8Array): boolean;
}
