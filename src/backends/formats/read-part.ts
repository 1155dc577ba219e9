import { VmmError } from "../../base/index.ts";
import type { ByteFile } from "./byte-file.ts";

/** More than any PC can address (48-bit LBA). */
export const MAX_DISK_BYTES = 2 ** 48;

/** Bytes of an image while it is opened; the caller has checked that they are inside the file. */
export function readPart(file: ByteFile, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  if (!file.read(at, bytes)) throw new VmmError("IMAGE_IO", `${file.name}: cannot be read`);
  return bytes;
}
/** Tables are kept in memory: larger ones than any real disk has are refused. */
export const MAX_TABLE_BYTES = 64 * 1024 * 1024;
