import * as fs from "node:fs";
import { VmmError } from "../../base/index.ts";
import { ERRNO, FILE_TYPE } from "../api/index.ts";
import type { Errno, FileAttributes, FileStat, FileTree, OpenDirectory, OpenFile, TreePath, TreeStat } from "../api/index.ts";

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC } = fs.constants;
/** A descriptor that only names something (Linux); Node has no constant for it. */
const O_PATH = 0x200000;
/** Set-user-id and set-group-id: a guest must not make programs that run with the host's rights. */
const PERMISSIONS = 0o1777;

const ERRNO_NAMES: Readonly<Record<string, number>> = ERRNO;

function errnoOf(error: unknown): Errno {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  return code === "ENOTSUP" ? ERRNO.EOPNOTSUPP : (ERRNO_NAMES[code] ?? ERRNO.EIO);
}

function attempt<T>(action: () => T): T | Errno {
  try {
    return action();
  } catch (error) {
    return errnoOf(error);
  }
}

function attemptVoid(action: () => void): Errno {
  try {
    action();
    return 0;
  } catch (error) {
    return errnoOf(error);
  }
}

function convert(s: fs.BigIntStats): FileStat {
  return {
    mode: Number(s.mode),
    inode: s.ino,
    links: Number(s.nlink),
    uid: Number(s.uid),
    gid: Number(s.gid),
    rdev: Number(s.rdev),
    size: Number(s.size),
    blocks: Number(s.blocks),
    atimeNs: s.atimeNs,
    mtimeNs: s.mtimeNs,
    ctimeNs: s.ctimeNs,
  };
}

const isRegular = (s: { readonly mode: number | bigint }): boolean => (Number(s.mode) & FILE_TYPE.MASK) === FILE_TYPE.REGULAR;
const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");

/** A directory that names are looked up in: a path prefix ending in "/", good until `close`. */
interface Place {
  readonly prefix: string;
  close(): void;
}

/**
 * A directory of this host. On Linux each component is opened by itself, below the one before and without following links, so that not even
 * another process which swaps directories for links meanwhile leads a guest outside. Elsewhere components are checked by name.
 */
export class DirectoryTree implements FileTree {
  readonly name: string;
  readonly readOnly: boolean;
  readonly #root: string;
  /** Undefined: no /proc/self/fd on this host. */
  readonly #rootFd: number | undefined;

  constructor(path: string, options: { readonly readOnly?: boolean } = {}) {
    this.name = path;
    this.readOnly = options.readOnly ?? false;
    try {
      this.#root = fs.realpathSync(path);
      if (!fs.statSync(this.#root).isDirectory())
        throw new VmmError("SHARE_NOT_DIRECTORY", `${path}: is not a directory, and only those can be shared`);
      fs.accessSync(this.#root, fs.constants.R_OK | fs.constants.X_OK);
      this.#rootFd = process.platform === "linux" && fs.existsSync("/proc/self/fd") ? fs.openSync(this.#root, O_PATH | O_DIRECTORY) : undefined;
    } catch (cause) {
      if (cause instanceof VmmError) throw cause;
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
      const why =
        code === "ENOENT" ? "no such directory" : code === "EACCES" || code === "EPERM" ? "permission denied" : `cannot be shared (${code})`;
      throw new VmmError("SHARE_UNREADABLE", `${path}: ${why}`, { cause });
    }
  }

  stat(path: TreePath): FileStat | Errno {
    if (path.length === 0) return attempt(() => convert(this.#rootFd === undefined ? fs.statSync(this.#root, BIG) : fs.fstatSync(this.#rootFd, BIG)));
    return this.#at(path, (full) => convert(fs.lstatSync(full, BIG)));
  }

  statTree(): TreeStat | Errno {
    return attempt(() => {
      const s = fs.statfsSync(this.#root, BIG);
      return { blockBytes: Number(s.bsize), blocks: s.blocks, freeBlocks: s.bfree, availableBlocks: s.bavail, files: s.files, freeFiles: s.ffree };
    });
  }

  open(path: TreePath, how: { readonly write: boolean; readonly truncate: boolean }): OpenFile | Errno {
    if (path.length === 0) return ERRNO.EISDIR;
    if (this.readOnly && (how.write || how.truncate)) return ERRNO.EROFS;
    return this.#at(path, (full) => {
      // Opening a device or a pipe does things; what a link says is for the guest to follow.
      const kind = Number(fs.lstatSync(full).mode) & FILE_TYPE.MASK;
      if (kind !== FILE_TYPE.REGULAR) return kind === FILE_TYPE.DIRECTORY ? ERRNO.EISDIR : kind === FILE_TYPE.SYMLINK ? ERRNO.ELOOP : ERRNO.ENXIO;
      return this.#openFile(full, (how.write ? O_RDWR : O_RDONLY) | (how.truncate ? O_TRUNC : 0));
    });
  }

  create(path: TreePath, how: { readonly mode: number; readonly exclusive: boolean; readonly truncate: boolean }): OpenFile | Errno {
    if (path.length === 0) return ERRNO.EEXIST;
    if (this.readOnly) return ERRNO.EROFS;
    const mode = how.mode & PERMISSIONS;
    return this.#at(path, (full) => {
      const fd = attemptOpen(full, O_RDWR | O_CREAT | O_EXCL | FINAL, mode);
      if (fd >= 0) {
        // The guest's own mask was applied by the guest; this process's must not be added.
        attemptVoid(() => fs.fchmodSync(fd, mode));
        return new NodeFile(fd);
      }
      if (-fd !== ERRNO.EEXIST) return -fd;
      return how.exclusive ? ERRNO.EEXIST : this.open(path, { write: true, truncate: how.truncate });
    });
  }

  openDirectory(path: TreePath): OpenDirectory | Errno {
    const place = this.#enter(path);
    if (typeof place === "number") return place;
    const names = attempt(() => fs.readdirSync(bytesOf(place.prefix), { encoding: "buffer" }).map((name) => name.toString("latin1")));
    if (typeof names === "number") {
      place.close();
      return names;
    }
    return {
      names,
      stat: (name) => attempt(() => convert(fs.lstatSync(bytesOf(place.prefix + name), BIG))),
      close: () => place.close(),
    };
  }

  makeDirectory(path: TreePath, mode: number): Errno {
    return (
      this.#change(path, (full) => {
        fs.mkdirSync(full, mode & PERMISSIONS);
      }) || this.setAttributes(path, { mode })
    );
  }

  readLink(path: TreePath): string | Errno {
    if (path.length === 0) return ERRNO.EINVAL;
    return this.#at(path, (full) => fs.readlinkSync(full, { encoding: "buffer" }).toString("latin1"));
  }

  symbolicLink(path: TreePath, target: string): Errno {
    return this.#change(path, (full) => fs.symlinkSync(bytesOf(target), full));
  }

  hardLink(existing: TreePath, path: TreePath): Errno {
    return this.#changeTwo(existing, path, (from, to) => {
      // Linux links a symbolic link itself; elsewhere link(2) may follow it, out of the tree.
      if (this.#rootFd === undefined && fs.lstatSync(from).isSymbolicLink()) throw Object.assign(new Error("a link"), { code: "EPERM" });
      fs.linkSync(from, to);
    });
  }

  rename(from: TreePath, to: TreePath): Errno {
    return this.#changeTwo(from, to, (a, b) => fs.renameSync(a, b));
  }

  remove(path: TreePath, directory: boolean): Errno {
    return this.#change(path, (full) => (directory ? fs.rmdirSync(full) : fs.unlinkSync(full)));
  }

  setAttributes(path: TreePath, attributes: FileAttributes): Errno {
    if (this.readOnly) return ERRNO.EROFS;
    if (path.length === 0) return attemptVoid(() => setAll(bytesOf(`${this.#root}/.`), FILE_TYPE.DIRECTORY, attributes));
    return asVoid(
      this.#at(path, (full) => {
        const kind = Number(fs.lstatSync(full).mode) & FILE_TYPE.MASK;
        if (this.#rootFd === undefined || kind === FILE_TYPE.SYMLINK) {
          setAll(full, kind, attributes);
          return true;
        }
        // By descriptor: what was looked at is what is changed.
        const fd = fs.openSync(full, O_PATH | O_NOFOLLOW);
        try {
          setAll(bytesOf(`/proc/self/fd/${fd}`), Number(fs.fstatSync(fd).mode) & FILE_TYPE.MASK, attributes);
        } finally {
          fs.closeSync(fd);
        }
        return true;
      }),
    );
  }

  close(): void {
    if (this.#rootFd !== undefined) fs.closeSync(this.#rootFd);
  }

  #openFile(full: Buffer, flags: number): OpenFile | Errno {
    const fd = fs.openSync(full, flags | FINAL);
    if (isRegular(fs.fstatSync(fd))) return new NodeFile(fd);
    fs.closeSync(fd);
    return ERRNO.ENXIO;
  }

  /** Runs `action` on the path's last name inside its directory. */
  #at<T>(path: TreePath, action: (full: Buffer) => T | Errno): T | Errno {
    const place = this.#enter(path.slice(0, -1));
    if (typeof place === "number") return place;
    try {
      return action(bytesOf(place.prefix + (path.at(-1) ?? "")));
    } catch (error) {
      return errnoOf(error);
    } finally {
      place.close();
    }
  }

  #change(path: TreePath, action: (full: Buffer) => void): Errno {
    if (this.readOnly) return ERRNO.EROFS;
    if (path.length === 0) return ERRNO.EBUSY;
    return asVoid(
      this.#at(path, (full) => {
        action(full);
        return true;
      }),
    );
  }

  #changeTwo(from: TreePath, to: TreePath, action: (from: Buffer, to: Buffer) => void): Errno {
    if (this.readOnly) return ERRNO.EROFS;
    if (from.length === 0 || to.length === 0) return ERRNO.EBUSY;
    return asVoid(
      this.#at(from, (a) =>
        this.#at(to, (b) => {
          action(a, b);
          return true;
        }),
      ),
    );
  }

  /** Goes down component by component. */
  #enter(path: TreePath): Place | Errno {
    if (this.#rootFd === undefined) return this.#enterByName(path);
    let fd = this.#rootFd;
    const owned = (): boolean => fd !== this.#rootFd;
    for (const name of path) {
      const next = attemptOpen(bytesOf(`/proc/self/fd/${fd}/${name}`), O_PATH | O_DIRECTORY | O_NOFOLLOW);
      if (owned()) fs.closeSync(fd);
      if (next < 0) return -next;
      fd = next;
    }
    return {
      prefix: `/proc/self/fd/${fd}/`,
      close: () => {
        if (owned()) fs.closeSync(fd);
      },
    };
  }

  #enterByName(path: TreePath): Place | Errno {
    let at = `${Buffer.from(this.#root).toString("latin1")}/`;
    for (const name of path) {
      at += name;
      const kind = attempt(() => fs.lstatSync(bytesOf(at)));
      if (typeof kind === "number") return kind;
      if (!kind.isDirectory()) return ERRNO.ENOTDIR;
      at += "/";
    }
    return { prefix: at, close: () => {} };
  }
}

const BIG = { bigint: true } as const;
/** The last component is not followed either, never waits and never becomes our terminal. */
const FINAL = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

const asVoid = (result: true | Errno): Errno => (result === true ? 0 : result);

/** A descriptor, or the negative of an errno. */
function attemptOpen(path: Buffer, flags: number, mode?: number): number {
  try {
    return fs.openSync(path, flags, mode);
  } catch (error) {
    return -errnoOf(error);
  }
}

function setAll(path: Buffer, kind: number, a: FileAttributes): void {
  const link = kind === FILE_TYPE.SYMLINK;
  if (a.size !== undefined) {
    if (kind !== FILE_TYPE.REGULAR) throw Object.assign(new Error("not a file"), { code: kind === FILE_TYPE.DIRECTORY ? "EISDIR" : "EINVAL" });
    fs.truncateSync(path, a.size);
  }
  if (a.uid !== undefined || a.gid !== undefined) {
    // -1 leaves one of them as it is.
    const set = link ? fs.lchownSync : fs.chownSync;
    set(path, a.uid ?? -1, a.gid ?? -1);
  }
  if (a.mode !== undefined && !link) fs.chmodSync(path, a.mode & PERMISSIONS);
  if (a.atimeNs !== undefined || a.mtimeNs !== undefined) {
    const s = link ? fs.lstatSync(path, BIG) : fs.statSync(path, BIG);
    const seconds = (wanted: bigint | "now" | undefined, is: bigint): number =>
      wanted === "now" ? Date.now() / 1000 : Number((wanted ?? is) / 1000n) / 1e6;
    const set = link ? fs.lutimesSync : fs.utimesSync;
    set(path, seconds(a.atimeNs, s.atimeNs), seconds(a.mtimeNs, s.mtimeNs));
  }
}

class NodeFile implements OpenFile {
  readonly #fd: number;
  constructor(fd: number) {
    this.#fd = fd;
  }
  stat(): FileStat | Errno {
    return attempt(() => convert(fs.fstatSync(this.#fd, BIG)));
  }
  read(offset: number, into: Uint8Array): number {
    try {
      let done = 0;
      while (done < into.length) {
        const n = fs.readSync(this.#fd, into, done, into.length - done, offset + done);
        if (n === 0) break;
        done += n;
      }
      return done;
    } catch (error) {
      return -errnoOf(error);
    }
  }
  write(offset: number, from: Uint8Array): number {
    try {
      return fs.writeSync(this.#fd, from, 0, from.length, offset);
    } catch (error) {
      return -errnoOf(error);
    }
  }
  truncate(sizeBytes: number): Errno {
    return attemptVoid(() => fs.ftruncateSync(this.#fd, sizeBytes));
  }
  sync(dataOnly: boolean): Errno {
    return attemptVoid(() => (dataOnly ? fs.fdatasyncSync(this.#fd) : fs.fsyncSync(this.#fd)));
  }
  close(): void {
    attemptVoid(() => fs.closeSync(this.#fd));
  }
}
