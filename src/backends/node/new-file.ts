import * as fs from "node:fs";
import * as path from "node:path";
import { VmmError } from "../../base/index.ts";
import { because } from "../formats/index.ts";
import { removeAtExit } from "./at-exit.ts";
import { NodeByteFile } from "./byte-file.ts";
import { DescriptorSink, openForWriting } from "./console.ts";
import { hostReason } from "./host-error.ts";

/** A file of its own beside `target`, renamed onto it when it is complete and durable: an interrupted command leaves no half file. */
export interface NewFile {
  readonly file: NodeByteFile;
  /** Closes, and puts the file in its place; throws, with nothing left behind, when not everything could be written. */
  finish(): void;
  /** Closes, and removes it. */
  abandon(): void;
}

let count = 0;

/** Short whatever the target's name: that may be as long as names can be. */
function temporaryName(target: string): string {
  return path.join(path.dirname(target), `.whyve-${process.pid}-${count++}.part`);
}

export function createFile(target: string): NewFile {
  const temporary = temporaryName(target);
  let fd: number;
  try {
    fd = fs.openSync(temporary, "wx+", 0o644);
  } catch (cause) {
    throw new VmmError("FILE_UNWRITABLE", `${target}: cannot be created (${hostReason(cause)})`, { cause });
  }
  const file = new NodeByteFile({ path: temporary, name: target, fd, size: 0, readOnly: false, lock: undefined });
  const pending = removeAtExit(temporary);
  return {
    file,
    finish() {
      const whole = file.flush();
      file.close();
      if (!whole) {
        pending.remove();
        throw new VmmError("FILE_UNWRITABLE", `${target}: cannot be written${because(file)}`);
      }
      putInPlace(temporary, target, pending);
    },
    abandon() {
      file.close();
      pending.remove();
    },
  };
}

/** What holds a machine or a disk is replaced only when that is meant. */
export function refuseExisting(target: string): void {
  if (fs.existsSync(target)) throw new VmmError("FILE_EXISTS", `${target}: exists already; use --force to replace it`);
}

function putInPlace(temporary: string, target: string, pending: { remove(): boolean; keep(): void }): void {
  try {
    fs.renameSync(temporary, target);
    pending.keep();
  } catch (cause) {
    pending.remove();
    throw new VmmError("FILE_UNWRITABLE", `${target}: cannot be replaced (${hostReason(cause)})`, { cause });
  }
}

/**
 * Writes a file whole or not at all: what was there stays until the new content is durable. A FIFO or a device is written to as it is. Throws
 * `FILE_UNWRITABLE` in one line; `flag` is what asked for it ("--screenshot ").
 */
export async function writeWholeFile(
  target: string,
  bytes: Uint8Array,
  options: { readonly flag?: string; readonly mode?: number } = {},
): Promise<void> {
  const { flag = "", mode = 0o666 } = options;
  const failed = (cause: unknown): VmmError =>
    new VmmError("FILE_UNWRITABLE", `${flag}${target}: cannot be written (${hostReason(cause)})`, { cause });
  const place = existing(target);
  if (place === "stream") return writeStream(target, bytes, flag);
  const real = place?.path ?? target;
  const temporary = temporaryName(real);
  let handle: fs.promises.FileHandle;
  try {
    // What the user made read-only is not to be replaced, though its directory would allow it.
    if (place !== undefined) fs.accessSync(real, fs.constants.W_OK);
    handle = await fs.promises.open(temporary, "wx", mode);
  } catch (error) {
    throw failed(error);
  }
  const pending = removeAtExit(temporary);
  try {
    try {
      await handle.writeFile(bytes);
      if (place !== undefined) await handle.chmod(place.mode);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    pending.remove();
    throw failed(error);
  }
  putInPlace(temporary, real, pending);
}

/** The regular file that `target` leads to; "stream": something that takes bytes and has no name to give to another file. */
function existing(target: string): { readonly path: string; readonly mode: number } | "stream" | undefined {
  try {
    const stat = fs.statSync(target);
    // /dev/stdout leads to a file that others have open.
    if (!stat.isFile() || /^\/(?:dev|proc)\//.test(path.resolve(target))) return "stream";
    return { path: fs.realpathSync(target), mode: stat.mode & 0o777 };
  } catch {
    return undefined;
  }
}

function writeStream(target: string, bytes: Uint8Array, flag: string): void {
  const fd = openForWriting(target, flag);
  let problem: unknown;
  try {
    const sink = new DescriptorSink(fd, (error) => (problem ??= error));
    sink.write(bytes);
    sink.finish();
  } finally {
    fs.closeSync(fd);
  }
  if (problem !== undefined)
    throw new VmmError("FILE_UNWRITABLE", `${flag}${target}: cannot be written (${hostReason(problem)})`, { cause: problem });
}
