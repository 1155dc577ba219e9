import * as fs from "node:fs";

/**
 * Reads `wanted` bytes of a file from `at`, however many calls that takes, and zeros behind them. False: an error of the host, or the file
 * has shrunk under us.
 */
export function readWhole(fd: number, at: number, into: Uint8Array, wanted: number): boolean {
  let done = 0;
  try {
    while (done < wanted) {
      const n = fs.readSync(fd, into, done, wanted - done, at + done);
      if (n === 0) return false;
      done += n;
    }
  } catch {
    return false;
  }
  into.fill(0, wanted);
  return true;
}

/** Writes all of `from` at `at`. How many bytes got there: less than all after an error of the host, which `failed` is told. */
export function writeWhole(fd: number, at: number, from: Uint8Array, failed?: (error: unknown) => void): number {
  let done = 0;
  try {
    while (done < from.length) done += fs.writeSync(fd, from, done, from.length - done, at + done);
  } catch (error) {
    failed?.(error);
  }
  return done;
}
