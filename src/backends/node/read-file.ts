import * as fs from "node:fs";
import { errorCode } from "./lock.ts";

/** A whole file of at most `maxBytes` bytes, or why there is none: words to put behind its name. */
export function readFile(path: string, maxBytes: number): Uint8Array | { readonly missing: boolean; readonly why: string } {
  const problem = (why: string, missing = false): { readonly missing: boolean; readonly why: string } => ({ missing, why });
  try {
    const status = fs.statSync(path);
    if (status.isDirectory()) return problem("is a directory");
    // A device may never end, a FIFO may never begin.
    if (!status.isFile()) return problem("is not a file");
    if (status.size > maxBytes) return problem(`is larger than ${maxBytes / 2 ** 20} MiB`);
    const bytes = fs.readFileSync(path);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return problem("there is no such file", true);
    return problem(code === "EACCES" ? "permission denied" : `cannot be read (${code})`);
  }
}
