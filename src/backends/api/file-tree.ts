/** Linux error numbers, as guests get them whatever the host is. Source: asm-generic/errno*.h. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  EPROTO: 71,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EDQUOT: 122,
} as const;

/** Names from the root of the tree down; empty: the root. A name is a byte string (one character a byte): names need not be UTF-8. */
export type TreePath = readonly string[];

/** One of `ERRNO`: why it did not work; 0 where nothing else is returned and it did. */
export type Errno = number;

/** What stat says of a file. */
export interface FileStat {
  /** Type and permission bits as in st_mode of Linux. */
  readonly mode: number;
  readonly inode: bigint;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  /** Of 512 bytes. */
  readonly blocks: number;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** File types in `FileStat.mode`, as in st_mode of Linux. */
export const FILE_TYPE = { MASK: 0xf000, FIFO: 0x1000, DIRECTORY: 0x4000, REGULAR: 0x8000, SYMLINK: 0xa000 } as const;

/** What to change of a file; what is not there stays. Times: "now" or nanoseconds since 1970. */
export interface FileAttributes {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atimeNs?: bigint | "now";
  readonly mtimeNs?: bigint | "now";
}

/** What statfs says of the file system. */
export interface TreeStat {
  readonly blockBytes: number;
  readonly blocks: bigint;
  readonly freeBlocks: bigint;
  readonly availableBlocks: bigint;
  readonly files: bigint;
  readonly freeFiles: bigint;
}

/** An open regular file. It stays usable when its name is gone. */
export interface OpenFile {
  stat(): FileStat | Errno;
  /** Bytes read (0 at the end), or the negative of an `Errno`. */
  read(offset: number, into: Uint8Array): number;
  /** Bytes written, or the negative of an `Errno`. */
  write(offset: number, from: Uint8Array): number;
  truncate(sizeBytes: number): Errno;
  sync(dataOnly: boolean): Errno;
  close(): void;
}

/** An open directory: its names at the time of opening, without "." and "..". */
export interface OpenDirectory {
  readonly names: readonly string[];
  /** Of one of its names, not following it. */
  stat(name: string): FileStat | Errno;
  close(): void;
}

/**
 * A directory of the host that a guest may use. Synchronous, never throws. No path leads out of it: symbolic links are never followed (an
 * operation through one fails with ENOTDIR or ELOOP), names are never "..", and contain neither "/" nor NUL; the caller has checked that.
 */
export interface FileTree {
  /** What messages call it. */
  readonly name: string;
  readonly readOnly: boolean;
  stat(path: TreePath): FileStat | Errno;
  statTree(): TreeStat | Errno;
  /** Regular files only: others have side effects on the host. */
  open(path: TreePath, how: { readonly write: boolean; readonly truncate: boolean }): OpenFile | Errno;
  /** A new regular file, open for reading and writing. `exclusive`: EEXIST when there is one, else that one is opened. */
  create(path: TreePath, how: { readonly mode: number; readonly exclusive: boolean; readonly truncate: boolean }): OpenFile | Errno;
  openDirectory(path: TreePath): OpenDirectory | Errno;
  makeDirectory(path: TreePath, mode: number): Errno;
  /** The target as it stands. */
  readLink(path: TreePath): string | Errno;
  symbolicLink(path: TreePath, target: string): Errno;
  /** One more name for an existing file. */
  hardLink(existing: TreePath, path: TreePath): Errno;
  rename(from: TreePath, to: TreePath): Errno;
  remove(path: TreePath, directory: boolean): Errno;
  setAttributes(path: TreePath, attributes: FileAttributes): Errno;
  close(): void;
}
