import * as zlib from "node:zlib";
import { decompress } from "fzstd";
import type { Codec } from "../formats/index.ts";

/** zlib for deflate; Zstandard in JavaScript, since Node 20 has none of its own. */
export const nodeCodec: Codec = {
  inflateRaw(from, bytes) {
    try {
      // A cut stream gives what it has: the length tells. What follows a whole stream is ignored.
      const out = zlib.inflateRawSync(from, { maxOutputLength: bytes, finishFlush: zlib.constants.Z_SYNC_FLUSH });
      return out.length === bytes ? out : undefined;
    } catch {
      return undefined;
    }
  },
  deflateRaw(from) {
    try {
      return zlib.deflateRawSync(from, { windowBits: 12, level: 6 });
    } catch {
      return undefined;
    }
  },
  unzstd(frame, bytes) {
    try {
      const out = decompress(frame);
      return out.length === bytes ? out : undefined;
    } catch {
      return undefined;
    }
  },
};
