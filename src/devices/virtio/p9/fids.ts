import { shape } from "../../../base/index.ts";
import type { Shaped } from "../../../base/index.ts";
import { MAX_NAME, MAX_PATH } from "./paths.ts";
import { ERRNO } from "../../../backends/api/index.ts";
import type { Errno, FileTree, OpenDirectory, OpenFile, TreePath } from "../../../backends/api/index.ts";

/** Names that a guest holds on to, and files that it has open, at most. */
export const MAX_FIDS = 4096;
const MAX_OPEN = 512;

/** What a client's number stands for: a path, and what is open there. */
export interface Fid {
  path: TreePath;
  file: OpenFile | undefined;
  /** The file may be written. */
  writable: boolean;
  directory: OpenDirectory | undefined;
}

export const FID_STATE = shape.record({
  fid: shape.dword,
  path: shape.list(shape.text(MAX_NAME), MAX_PATH, 0),
  open: shape.maybe(shape.oneOf("file", "file-write", "directory")),
});
export type FidStateV1 = Shaped<typeof FID_STATE>;

/** The client's numbers. */
export class FidTable {
  readonly #fids = new Map<number, Fid>();
  #open = 0;

  get(fid: number): Fid | undefined {
    return this.#fids.get(fid);
  }

  add(fid: number, path: TreePath): Errno {
    if (this.#fids.has(fid)) return ERRNO.EBADF;
    if (this.#fids.size >= MAX_FIDS) return ERRNO.ENFILE;
    this.#fids.set(fid, { path, file: undefined, writable: false, directory: undefined });
    return 0;
  }

  /** True when one more file may be opened. */
  get roomToOpen(): boolean {
    return this.#open < MAX_OPEN;
  }

  attachFile(fid: Fid, file: OpenFile, writable: boolean): void {
    fid.file = file;
    fid.writable = writable;
    this.#open++;
  }
  attachDirectory(fid: Fid, directory: OpenDirectory): void {
    fid.directory = directory;
    this.#open++;
  }

  /** Closes what is open and keeps the number. */
  closeFiles(fid: Fid): void {
    if (fid.file !== undefined) this.#open--;
    if (fid.directory !== undefined) this.#open--;
    fid.file?.close();
    fid.directory?.close();
    fid.file = undefined;
    fid.directory = undefined;
  }

  remove(number: number): void {
    const fid = this.#fids.get(number);
    if (fid === undefined) return;
    this.closeFiles(fid);
    this.#fids.delete(number);
  }

  clear(): void {
    for (const number of [...this.#fids.keys()]) this.remove(number);
  }

  /** A file or directory has a new path: numbers that stand for it or for something below it follow. */
  renamed(from: TreePath, to: TreePath): void {
    for (const fid of this.#fids.values()) {
      if (fid.path.length >= from.length && from.every((name, i) => fid.path[i] === name)) fid.path = [...to, ...fid.path.slice(from.length)];
    }
  }

  saveState(): readonly FidStateV1[] {
    return [...this.#fids].map(([fid, f]) => ({
      fid,
      path: f.path,
      open: f.file !== undefined ? (f.writable ? "file-write" : "file") : f.directory !== undefined ? "directory" : undefined,
    }));
  }

  /** Opens again what was open. A file that is gone meanwhile leaves a number with nothing open. */
  loadState(state: readonly FidStateV1[], tree: FileTree): void {
    this.clear();
    for (const { fid, path, open } of state) {
      if (this.add(fid, path) !== 0) continue;
      const entry = this.#fids.get(fid);
      if (entry === undefined || open === undefined || !this.roomToOpen) continue;
      if (open === "directory") {
        const directory = tree.openDirectory(path);
        if (typeof directory !== "number") this.attachDirectory(entry, directory);
        continue;
      }
      const file = tree.open(path, { write: open === "file-write", truncate: false });
      if (typeof file !== "number") this.attachFile(entry, file, open === "file-write");
    }
  }
}
