import { promisify } from "node:util";
import * as zlib from "node:zlib";

// Made when they are called: a run without snapshots does not load zlib.
const deflate = (bytes: Uint8Array, options: zlib.ZlibOptions): Promise<Buffer> =>
  promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.deflate)(bytes, options);
const inflate = (bytes: Uint8Array, options: zlib.ZlibOptions): Promise<Buffer> =>
  promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.inflate)(bytes, options);

/**
 * Compression of snapshots in Node's thread pool: zlib at its fastest level, which halves the time of the next one and costs a tenth in size. (No
 * Zstandard: Node 20 has none, and encoders in JavaScript are slower than this.)
 */
export const snapshotPacker = {
  pack: (bytes: Uint8Array): Promise<Uint8Array> => deflate(bytes, { level: 1, memLevel: 9 }),
  async unpack(packed: Uint8Array, bytes: number): Promise<Uint8Array> {
    const out = await inflate(packed, { maxOutputLength: Math.max(1, bytes), chunkSize: Math.min(Math.max(64, bytes + 1), 1 << 22) });
    if (out.length !== bytes) throw new Error(`${out.length} bytes where ${bytes} belong`);
    // Not a Buffer, whose slice() shares memory.
    return new Uint8Array(out.buffer, out.byteOffset, out.length);
  },
};

/** Undoes gzip; rejects what is damaged or larger than `maxBytes`. */
export async function gunzip(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  const out = await promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.gunzip)(bytes, { maxOutputLength: maxBytes });
  return new Uint8Array(out.buffer, out.byteOffset, out.length);
}
