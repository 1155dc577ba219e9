import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { VmmError } from "../../base/index.ts";
import { because, createQcow2, createVhd, isZero, openImageFile } from "../../backends/formats/index.ts";
import type { DiskImage, ImageFormat } from "../../backends/formats/index.ts";
import { createFile, lockImage, refuseExisting, surroundings } from "../../backends/node/index.ts";
import type { ImageLock, NewFile } from "../../backends/node/index.ts";
import { UsageError } from "../errors.ts";
import { Progress } from "./progress.ts";

/** Looked at for zeros, and written, in pieces of this size. */
const GRAIN_BYTES = 65536;
const CHUNK_BYTES = 4 * 1024 * 1024;

export interface NewImage {
  readonly format: ImageFormat;
  readonly sizeBytes: number;
  readonly clusterBytes?: number | undefined;
  readonly version?: 2 | 3;
  /** VHD only. */
  readonly fixed?: boolean;
  readonly backing?: { readonly file: string; readonly format: ImageFormat };
}

/** Where a new image goes. */
export interface Target {
  readonly path: string;
  /** Held until the new image is in place: nobody may start to write the old one meanwhile. */
  readonly lock: ImageLock | undefined;
}

/** What is there must be a file that nobody uses, and overwriting it must be meant. */
export function checkTarget(target: string, force: boolean): Target {
  if (target === "") throw new UsageError("the new image's file name is empty");
  let stat: fs.Stats;
  try {
    stat = fs.statSync(target);
  } catch {
    return { path: target, lock: undefined };
  }
  if (!stat.isFile()) throw new UsageError(`${target}: is not a regular file`);
  if (!force) refuseExisting(target);
  const lock = lockImage(target);
  return { path: fs.realpathSync(target), lock };
}

/** Puts an empty image into a fresh file. */
export function formatFile(made: NewFile, image: NewImage): void {
  if (image.format === "qcow2") {
    createQcow2(made.file, {
      sizeBytes: image.sizeBytes,
      ...(image.clusterBytes === undefined ? {} : { clusterBytes: image.clusterBytes }),
      ...(image.version === undefined ? {} : { version: image.version }),
      ...(image.backing === undefined ? {} : { backingFile: image.backing.file, backingFormat: image.backing.format }),
    });
  } else if (image.format === "vhd") {
    createVhd(made.file, {
      sizeBytes: image.sizeBytes,
      kind: image.fixed === true ? "fixed" : "dynamic",
      uuid: new Uint8Array(randomBytes(16)),
      timeMs: Date.now(),
    });
  } else if (!made.file.resize(image.sizeBytes)) {
    throw new VmmError("IMAGE_IO", `${made.file.name}: cannot be made ${image.sizeBytes} bytes long${because(made.file)}`);
  }
}

/** Copies a disk into a new image, leaving zeros out. The target appears when it is complete. */
export async function convertImage(source: DiskImage, target: string, image: NewImage, compress: boolean): Promise<void> {
  const made = createFile(target);
  const progress = new Progress(`converting ${source.name}`, source.sizeBytes);
  let done = false;
  try {
    formatFile(made, image);
    const writer =
      image.format === "raw"
        ? undefined
        : openImageFile(
            made.file,
            surroundings(() => {}, false),
            { format: image.format },
          );
    const failed = (): VmmError => new VmmError("IMAGE_IO", `${target}: cannot be written${because(made.file)}`);
    const grain = compress ? (writer?.facts().clusterBytes ?? GRAIN_BYTES) : GRAIN_BYTES;
    const put = (offset: number, bytes: Uint8Array): boolean => {
      if (compress && writer?.writeCompressed !== undefined) return writer.writeCompressed(offset, bytes);
      return (writer ?? made.file).write(offset, bytes);
    };
    const buffer = new Uint8Array(Math.max(CHUNK_BYTES, grain));
    for (let at = 0; at < source.sizeBytes; ) {
      const extent = source.extent(at, source.sizeBytes - at);
      // Zeros that the source knows of are not even read; a new image reads as zeros by itself.
      if (extent.zero && (at + extent.bytes) % grain === 0) {
        at += extent.bytes;
        await progress.step(at);
        continue;
      }
      const chunk = buffer.subarray(0, Math.min(buffer.length, source.sizeBytes - at));
      if (!source.read(at, chunk)) throw new VmmError("IMAGE_IO", `${source.name}: cannot be read at ${at} (damaged image?)`);
      writeNonZero(chunk, at, grain, compress, put, failed);
      at += chunk.length;
      await progress.step(at);
    }
    if (writer !== undefined && (!writer.flush() || writer.check().errorCount > 0)) throw failed();
    writer?.close();
    made.finish();
    done = true;
  } finally {
    progress.close();
    if (!done) made.abandon();
  }
}

/** The parts of a chunk that hold something: neighbours together, or one by one when each is compressed. */
function writeNonZero(
  chunk: Uint8Array,
  offset: number,
  grain: number,
  single: boolean,
  put: (offset: number, bytes: Uint8Array) => boolean,
  failed: () => VmmError,
): void {
  let from = -1;
  for (let at = 0; at <= chunk.length; at += grain) {
    const end = Math.min(at + grain, chunk.length);
    const zero = at >= chunk.length || isZero(chunk.subarray(at, end));
    if (from >= 0 && (zero || single)) {
      if (!put(offset + from, chunk.subarray(from, Math.min(at, chunk.length)))) throw failed();
      from = -1;
    }
    if (!zero && from < 0) from = at;
  }
  if (from >= 0 && !put(offset + from, chunk.subarray(from))) throw failed();
}
