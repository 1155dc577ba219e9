import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Readable } from "node:stream";
import * as zlib from "node:zlib";
import { VmmError } from "../../base/index.ts";
import { isZero } from "../formats/index.ts";
import type { Packing } from "../formats/index.ts";
import { removeAtExit } from "./at-exit.ts";
import { hostReason } from "./host-error.ts";

/** Zeros of this length take no room in the unpacked file. */
const HOLE_BYTES = 65536;
/** A larger disk is unpacked by hand: a few bytes of compressed zeros can stand for any length. */
const MAX_BYTES = 256 * 2 ** 30;

/** An unpacked file without a name: it is gone when its descriptor is closed. */
export interface Unpacked {
  readonly fd: number;
  readonly size: number;
}

/** Undoes the compression of a whole file into one without a name in the temporary directory. The file itself stays as it is. */
export async function unpackFile(file: string, packing: Packing): Promise<Unpacked> {
  const place = path.join(os.tmpdir(), `whyve-${process.pid}-${count++}.unpacked`);
  const pending = removeAtExit(place);
  let fd: number;
  try {
    fd = fs.openSync(place, "wx+", 0o600);
  } catch (cause) {
    pending.keep();
    throw new VmmError("FILE_UNWRITABLE", `${file}: cannot be unpacked to ${place} (${hostReason(cause)})`, { cause });
  }
  // Where an open file cannot lose its name it goes at the end.
  if (process.platform !== "win32") pending.remove();
  try {
    return { fd, size: await fill(fd, file, packing) };
  } catch (cause) {
    fs.closeSync(fd);
    if (cause instanceof VmmError) throw cause;
    const why = errorOnDisk(cause) ? `${path.dirname(place)}: ${hostReason(cause)}` : "damaged, or cut";
    throw new VmmError("IMAGE_PACKED", `${file}: cannot be unpacked with ${packing} (${why})`, { cause });
  }
}

let count = 0;

/** Of the file system, not of the packed data. */
function errorOnDisk(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" && /^E[A-Z]+$/.test(cause.code);
}

async function fill(fd: number, file: string, packing: Packing): Promise<number> {
  let size = 0;
  for await (const chunk of unpackedChunks(file, packing)) {
    if (size + chunk.length > MAX_BYTES)
      throw new VmmError("IMAGE_TOO_LARGE", `${file}: unpacks to more than ${MAX_BYTES / 2 ** 30} GiB; unpack it by hand`);
    for (let at = 0; at < chunk.length; at += HOLE_BYTES) {
      const part = chunk.subarray(at, at + HOLE_BYTES);
      if (!isZero(part)) for (let done = 0; done < part.length; ) done += fs.writeSync(fd, part, done, part.length - done, size + at + done);
    }
    size += chunk.length;
  }
  fs.ftruncateSync(fd, size);
  return size;
}

async function* unpackedChunks(file: string, packing: Packing): AsyncGenerator<Uint8Array> {
  const source = fs.createReadStream(file, { highWaterMark: 2 ** 18 });
  try {
    switch (packing) {
      case "gzip":
        yield* bytesOf(source.pipe(zlib.createGunzip({ chunkSize: 2 ** 18 })), source);
        return;
      case "xz": {
        const { XzReadableStream } = await import("xz-decompress");
        yield* bytesOf(Readable.from(new XzReadableStream(Readable.toWeb(source))), source);
        return;
      }
      case "zstd":
        yield* unzstd(source);
    }
  } finally {
    source.destroy();
  }
}

/** What a stream gives; an error of the file below it is its own. */
async function* bytesOf(stream: Readable, source: Readable): AsyncGenerator<Uint8Array> {
  source.on("error", (error) => stream.destroy(error));
  for await (const chunk of stream) if (chunk instanceof Uint8Array) yield chunk;
}

async function* unzstd(source: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  const { Decompress } = await import("fzstd");
  const ready: Uint8Array[] = [];
  let whole = false;
  const stream = new Decompress((data, final) => {
    ready.push(data);
    whole ||= final === true;
  });
  for await (const chunk of source) {
    if (!(chunk instanceof Uint8Array)) continue;
    stream.push(chunk);
    yield* ready.splice(0);
  }
  stream.push(new Uint8Array(0), true);
  yield* ready.splice(0);
  if (!whole) throw new Error("cut");
}
