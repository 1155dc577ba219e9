import { errorCode } from "./lock.ts";

/** The host's words for an error with a file. */
export function hostReason(error: unknown): string {
  const code = errorCode(error);
  const words: Readonly<Record<string, string>> = {
    ENOENT: "no such directory",
    ENOTDIR: "no such directory",
    EACCES: "permission denied",
    EPERM: "permission denied",
    EISDIR: "is a directory",
    ELOOP: "its symbolic links lead in a circle",
    EROFS: "read-only file system",
    ENOSPC: "no space left on the disk",
    EDQUOT: "the disk quota is used up",
    EFBIG: "larger than files may be there",
    EIO: "the disk has an error",
    ENAMETOOLONG: "the name is too long",
  };
  return words[code] ?? (code === "" ? (error instanceof Error ? error.message : String(error)) : code);
}
