import * as fs from "node:fs";
import * as path from "node:path";
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

/** Why nobody can listen: on a Unix socket at `socketPath`, or on an address. */
export function listenReason(error: unknown, socketPath?: string): string {
  const words: Readonly<Record<string, string>> = {
    EADDRINUSE: "the address is in use",
    ENOTFOUND: "no such host",
    EADDRNOTAVAIL: "not an address of this computer",
  };
  const code = errorCode(error);
  // libuv says EACCES where bind(2) says ENOENT.
  const directory = socketPath === undefined ? undefined : path.dirname(path.resolve(socketPath));
  if (code === "EACCES" && directory !== undefined && !isDirectory(directory)) return `there is no directory ${directory}`;
  return words[code] ?? hostReason(error);
}

function isDirectory(name: string): boolean {
  try {
    return fs.statSync(name).isDirectory();
  } catch (error) {
    // One that may not be looked into is there.
    return errorCode(error) === "EACCES";
  }
}
