import * as fs from "node:fs";
import { VmmError } from "../../base/index.ts";
import { errorCode, lockImage } from "./lock.ts";
import type { ImageLock } from "./lock.ts";

/** Larger than any disk the PC can address (48-bit LBA) is refused; so is what a `number` cannot count. */
const MAX_IMAGE_BYTES = 2 ** 48;

/** An image's file, opened and locked. */
export interface Descriptor {
  readonly fd: number;
  readonly size: number;
  readonly readOnly: boolean;
  readonly lock: ImageLock | undefined;
  /** Where it comes from, when that is not the file itself: see `BlockBackend.identity`. */
  readonly stamp?: string;
}

/** Opens and locks; falls back to read-only where there is no permission to write. */
export function openDescriptor(
  path: string,
  options: {
    readonly readOnly?: boolean;
    readonly warn?: (message: string) => void;
    /** As qemu-img has it for backing files. */
    readonly mayBeEmpty?: boolean;
  },
): Descriptor {
  const kind = imageKind(path);
  const warn = options.warn ?? (() => {});
  let readOnly = options.readOnly ?? false;
  let fd: number;
  try {
    fd = fs.openSync(path, readOnly ? "r" : "r+");
  } catch (error) {
    if (readOnly || !["EACCES", "EPERM", "EROFS"].includes(errorCode(error))) throw openError(path, error);
    try {
      fd = fs.openSync(path, "r");
    } catch (second) {
      throw openError(path, second);
    }
    readOnly = true;
    warn(`${path}: no write permission, opened read-only (the guest sees a write-protected disk)`);
  }
  let lock: ImageLock | undefined;
  try {
    const size = kind === "device" ? deviceBytes(fd) : fs.fstatSync(fd).size;
    if (size === 0 && options.mayBeEmpty !== true) throw new VmmError("IMAGE_EMPTY", `${path}: the image is empty (0 bytes)`);
    if (size > MAX_IMAGE_BYTES) {
      throw new VmmError("IMAGE_TOO_LARGE", `${path}: ${size} bytes is more than a PC disk can address (${MAX_IMAGE_BYTES} bytes)`);
    }
    if (!readOnly) lock = lockImage(path, fd);
    return { fd, size, readOnly, lock };
  } catch (error) {
    fs.closeSync(fd);
    lock?.release();
    throw error;
  }
}

function imageKind(path: string): "file" | "device" {
  let stat: fs.Stats;
  try {
    stat = fs.statSync(path);
  } catch (error) {
    throw openError(path, error);
  }
  if (stat.isDirectory()) throw new VmmError("IMAGE_IS_DIRECTORY", `${path}: is a directory, not a disk image`);
  if (stat.isBlockDevice()) return "device";
  if (!stat.isFile()) throw new VmmError("IMAGE_NOT_A_FILE", `${path}: is neither a file nor a block device`);
  return "file";
}

/** A block device reports size 0; its end is found by reading single bytes (doubling, then bisecting). */
function deviceBytes(fd: number): number {
  const one = new Uint8Array(1);
  const readable = (offset: number): boolean => {
    try {
      return fs.readSync(fd, one, 0, 1, offset) === 1;
    } catch {
      return false;
    }
  };
  if (!readable(0)) return 0;
  let good = 0;
  let bad = 512;
  while (bad <= MAX_IMAGE_BYTES && readable(bad)) {
    good = bad;
    bad *= 2;
  }
  while (bad - good > 1) {
    const middle = good + Math.floor((bad - good) / 2);
    if (readable(middle)) good = middle;
    else bad = middle;
  }
  return bad;
}

function openError(path: string, cause: unknown): VmmError {
  const code = errorCode(cause);
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return new VmmError("IMAGE_NOT_FOUND", `${path}: no such file`, { cause });
    case "EACCES":
    case "EPERM":
      return new VmmError("IMAGE_UNREADABLE", `${path}: permission denied`, { cause });
    case "EISDIR":
      return new VmmError("IMAGE_IS_DIRECTORY", `${path}: is a directory, not a disk image`, { cause });
    case "ENAMETOOLONG":
    case "ERR_INVALID_ARG_VALUE":
      return new VmmError("IMAGE_NOT_FOUND", `${path.slice(0, 80)}: not a valid file name`, { cause });
    case "ELOOP":
      return new VmmError("IMAGE_NOT_FOUND", `${path}: its symbolic links lead in a circle`, { cause });
    default:
      return new VmmError("IMAGE_UNREADABLE", `${path}: cannot be opened (${code === "" ? String(cause) : code})`, { cause });
  }
}
