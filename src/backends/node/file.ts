import * as fs from "node:fs";
import * as path from "node:path";
import { VmmError } from "../../base/index.ts";
import type { BlockBackend } from "../api/index.ts";
import { disguises, openImageFile, packedError, probe } from "../formats/index.ts";
import type { ByteFile, DiskImage, ImageFormat, OpenOptions, Surroundings } from "../formats/index.ts";
import { fileStamp, NodeByteFile } from "./byte-file.ts";
import { nodeCodec } from "./codec.ts";
import { openDescriptor } from "./descriptor.ts";
import type { Descriptor } from "./descriptor.ts";
import { lockShared } from "./lock.ts";
import type { ImageLock } from "./lock.ts";
import { readWhole, writeWhole } from "./whole-transfer.ts";

export interface OpenImageOptions {
  /** Open without write access and without the lock. */
  readonly readOnly?: boolean;
  /** 2048 for CD images. */
  readonly sectorBytes?: 512 | 2048;
  /** Undefined: by the content. */
  readonly format?: ImageFormat;
  /** Only looked at: nothing is unpacked for that. */
  readonly peek?: boolean;
  /** Receives one line for each thing the user should know though the image opens (read-only fallback, padded tail). */
  readonly warn?: (message: string) => void;
}

/**
 * A raw image file or a block device of the host. Reads and writes are positional and synchronous; `flush` is fsync(2).
 * A size that is no whole number of sectors is rounded up: the missing tail reads as zeros and the file grows by
 * those few bytes when the guest writes its last sector.
 */
export class FileBackend implements BlockBackend {
  readonly name: string;
  readonly sizeBytes: number;
  readonly sectorBytes: 512 | 2048;
  readonly readOnly: boolean;
  readonly #fd: number;
  readonly #lock: ImageLock | undefined;
  readonly #guessed: boolean;
  readonly #stamp: string | undefined;
  #fileBytes: number;
  #closed = false;
  #dirty = false;

  /** Owns `fd` and `lock`. Use `openImage`. */
  constructor(options: {
    readonly name: string;
    readonly fd: number;
    readonly fileBytes: number;
    readonly sectorBytes: 512 | 2048;
    readonly readOnly: boolean;
    readonly lock: ImageLock | undefined;
    /** Nobody said that it is raw: see `disguises`. */
    readonly guessed?: boolean;
    readonly stamp?: string;
  }) {
    this.#stamp = options.stamp;
    this.#guessed = options.guessed ?? false;
    this.name = options.name;
    this.#fd = options.fd;
    this.#lock = options.lock;
    this.sectorBytes = options.sectorBytes;
    this.readOnly = options.readOnly;
    this.#fileBytes = options.fileBytes;
    this.sizeBytes = Math.ceil(options.fileBytes / options.sectorBytes) * options.sectorBytes;
  }

  read(offset: number, into: Uint8Array): boolean {
    if (this.#closed || offset < 0 || offset + into.length > this.sizeBytes) return false;
    return readWhole(this.#fd, offset, into, Math.min(into.length, Math.max(0, this.#fileBytes - offset)));
  }

  write(offset: number, from: Uint8Array): boolean {
    if (this.#closed || this.readOnly || offset < 0 || offset + from.length > this.sizeBytes) return false;
    if (this.#guessed && disguises(offset, from)) return false;
    this.#dirty = true;
    if (writeWhole(this.#fd, offset, from) < from.length) return false;
    this.#fileBytes = Math.max(this.#fileBytes, offset + from.length);
    return true;
  }

  flush(): boolean {
    if (this.#closed) return false;
    if (!this.#dirty) return true;
    try {
      fs.fsyncSync(this.#fd);
      this.#dirty = false;
      return true;
    } catch {
      return false;
    }
  }

  identity(): string {
    return this.#stamp ?? fileStamp(this.#fd);
  }

  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    fs.closeSync(this.#fd);
    this.#lock?.release();
  }
}

/**
 * Opens an image, whatever its format: by its magic numbers, or as stated. Every failure is a `VmmError` with one line: what, where, what to do.
 */
export function openImage(path: string, options: OpenImageOptions = {}): BlockBackend {
  const opened = openDescriptor(path, options);
  return openFormat(opened, path, options.format ?? formatOf(opened, path), options);
}

/** Owns `opened`. */
function openFormat(opened: Descriptor, path: string, format: ImageFormat, options: OpenImageOptions): BlockBackend {
  if (format !== "raw") {
    const image = openImageFile(new NodeByteFile({ ...opened, path }), surroundings(options.warn ?? (() => {}), opened.lock !== undefined), {
      format,
      ...(options.sectorBytes === undefined ? {} : { sectorBytes: options.sectorBytes }),
    });
    if (!image.readOnly) commitNowAndThen(image);
    return image;
  }
  const sectorBytes = options.sectorBytes ?? 512;
  if (opened.size % sectorBytes !== 0) {
    options.warn?.(`${path}: size ${opened.size} is not a multiple of ${sectorBytes} bytes (truncated?); the last sector is padded with zeros`);
  }
  return new FileBackend({ ...opened, name: path, fileBytes: opened.size, sectorBytes, guessed: options.format === undefined });
}

/** How old changed tables get in memory when the guest does not flush. */
const COMMIT_MS = 1000;

function commitNowAndThen(image: DiskImage): void {
  const timer = setInterval(() => {
    if (image.commitTables === undefined || image.commitTables() === "closed") clearInterval(timer);
  }, COMMIT_MS);
  // The image's user keeps the process alive, not this.
  timer.unref();
}

/** The same with everything that tools ask about an image: `whyve image`. `onBackingProblem`: see there. */
export function openDiskImage(path: string, options: OpenImageOptions & Pick<OpenOptions, "onBackingProblem"> = {}): DiskImage {
  return toolImage(openDescriptor(path, options), path, options);
}

/** Owns `opened`. */
function toolImage(opened: Descriptor, path: string, options: OpenImageOptions & Pick<OpenOptions, "onBackingProblem">): DiskImage {
  const around = surroundings(options.warn ?? (() => {}), opened.lock !== undefined);
  return openImageFile(new NodeByteFile({ ...opened, path }), around, {
    ...(options.format === undefined ? {} : { format: options.format }),
    ...(options.onBackingProblem === undefined ? {} : { onBackingProblem: options.onBackingProblem }),
  });
}

/** `openImage`, for a compressed image, too, when it is only read: it is unpacked into a file without a name first. */
export async function openPackedImage(path: string, options: OpenImageOptions = {}): Promise<BlockBackend> {
  if (options.format !== undefined || options.readOnly !== true || options.peek === true) return openImage(path, options);
  const { opened, format } = await unpackedDescriptor(path, options);
  return openFormat(opened, path, format, options);
}

/** `openDiskImage` in the same way. */
export async function openPackedDiskImage(path: string, options: Parameters<typeof openDiskImage>[1] = {}): Promise<DiskImage> {
  if (options.format !== undefined || options.readOnly !== true) return openDiskImage(path, options);
  const { opened, format } = await unpackedDescriptor(path, options);
  return toolImage(opened, path, { ...options, format });
}

async function unpackedDescriptor(path: string, options: OpenImageOptions): Promise<{ readonly opened: Descriptor; readonly format: ImageFormat }> {
  const opened = openDescriptor(path, options);
  const found = probeDescriptor(opened, path);
  if ("format" in found) return { opened, format: found.format };
  const stamp = fileStamp(opened.fd);
  fs.closeSync(opened.fd);
  const { unpackFile } = await import("./unpack.ts");
  const unpacked: Descriptor = { ...(await unpackFile(path, found.packed)), readOnly: true, lock: undefined, stamp };
  if (unpacked.size === 0) {
    fs.closeSync(unpacked.fd);
    throw new VmmError("IMAGE_EMPTY", `${path}: the image in it is empty (0 bytes)`);
  }
  const inside = probeDescriptor(unpacked, path);
  if ("format" in inside) return { opened: unpacked, format: inside.format };
  fs.closeSync(unpacked.fd);
  throw new VmmError("IMAGE_NOT_A_DISK", `${path}: is compressed twice (${found.packed}, ${inside.packed}); unpack it by hand`);
}

/** A file that another image names: read-only; under the shared lock while the image above is written. */
export function surroundings(warn: (message: string) => void, lockBacking: boolean): Surroundings {
  const openBelow = (target: string, from: ByteFile, what: string): NodeByteFile => {
    try {
      const opened = openDescriptor(target, { readOnly: true, mayBeEmpty: true });
      const lock = lockBacking ? lockShared(target) : undefined;
      return new NodeByteFile({ ...opened, path: target, lock });
    } catch (error) {
      if (!(error instanceof VmmError)) throw error;
      throw new VmmError(error.code, `${from.name}: ${what} ${printable(error.message)}`, { cause: error });
    }
  };
  return {
    codec: nodeCodec,
    warn,
    openBeside(name, from) {
      const target = path.join(directoryOf(from), path.basename(name));
      // A link may have come in the same archive, and lead anywhere.
      if (fs.lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink() === true)
        throw new VmmError("IMAGE_BACKING", `${from.name}: ${printable(name)} is a link, not a file beside it`);
      return openBelow(target, from, "extent");
    },
    openBacking(reference, from) {
      const protocol = /^([a-z][a-z0-9+.-]+):/i.exec(reference)?.[1];
      if (protocol !== undefined && protocol !== "file")
        throw new VmmError(
          "IMAGE_BACKING",
          `${from.name}: its backing file "${printable(reference)}" is no file but ${protocol}:, which is not supported`,
        );
      const name = protocol === "file" ? reference.slice(5).replace(/^\/\/(?=\/)/, "") : reference;
      if (name.includes("\0")) throw new VmmError("IMAGE_BACKING", `${from.name}: the name of its backing file is damaged`);
      return openBelow(path.resolve(directoryOf(from), name), from, "backing file");
    },
  };
}

/** The directory of an image, as the system knows it. */
function directoryOf(from: ByteFile): string {
  return path.dirname(fs.realpathSync(from.name));
}

function printable(text: string): string {
  return text.replace(/[^ -~\u00a0-\uffff]/g, "?");
}

/** A file that is an image as it stands. */
function formatOf(opened: Descriptor, path: string): ImageFormat {
  const found = probeDescriptor(opened, path);
  if ("format" in found) return found.format;
  fs.closeSync(opened.fd);
  opened.lock?.release();
  throw packedError(path, found.packed);
}

function probeDescriptor(opened: Descriptor, path: string): ReturnType<typeof probe> {
  // Not owned: the descriptor stays open, whoever takes it next closes it; on an error that is here.
  const file = new NodeByteFile({ ...opened, readOnly: true, path });
  try {
    return probe(file);
  } catch (error) {
    fs.closeSync(opened.fd);
    opened.lock?.release();
    throw error;
  }
}
