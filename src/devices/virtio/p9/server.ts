import { shape } from "../../../base/index.ts";
import type { Shaped } from "../../../base/index.ts";
import { ERRNO, FILE_TYPE } from "../../../backends/api/index.ts";
import type { Errno, FileStat, FileTree, TreePath } from "../../../backends/api/index.ts";
import { attributesOf, isDirectory, isPossible, readAttributeRequest, SET, writeAttributes, writeQid } from "./attributes.ts";
import { FID_STATE, FidTable, MAX_FIDS } from "./fids.ts";
import type { Fid } from "./fids.ts";
import { below, MAX_NAME, MAX_PATH, step } from "./paths.ts";
import { HEADER_BYTES, MessageReader, MessageWriter, T } from "./wire.ts";

const VERSION = "9P2000.L";
const NO_FID = 0xffffffff;
/** Message sizes that we agree to: room for any error and path, and no more than a buffer of ours. */
const MIN_MESSAGE = 4096;
export const MAX_MESSAGE = 1024 * 1024;
/** What Rread and Twrite add to their data. */
const IO_HEADER = 24;
const MAX_WALK = 16;
/** Open flags of Linux on most architectures, which 9P2000.L uses. */
const O_ACCMODE = 3;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_DIRECTORY = 0o200000;
const AT_REMOVEDIR = 0x200;
/** Linux's V9FS_MAGIC, for statfs. */
const FS_TYPE = 0x01021997;
const LOCK_SUCCESS = 0;
const F_UNLCK = 2;

export const P9_SERVER_STATE = shape.record({
  v: shape.oneOf(1),
  messageBytes: shape.int(0, MAX_MESSAGE),
  fids: shape.list(FID_STATE, MAX_FIDS, 0),
});
export type P9ServerStateV1 = Shaped<typeof P9_SERVER_STATE>;

/**
 * A 9P2000.L server: one client, messages answered one after the other and at once. Knows files only through `FileTree`; paths are lists
 * of checked names, so that ".." ends at the root whatever the client says.
 */
export class P9Server {
  readonly #tree: FileTree;
  readonly #fids = new FidTable();
  /** Agreed by Tversion; 0: nothing is agreed, and only Tversion is answered. */
  #messageBytes = 0;
  readonly #out = new MessageWriter(new Uint8Array(MAX_MESSAGE));

  constructor(tree: FileTree) {
    this.#tree = tree;
  }

  /** The largest request that is looked at. */
  get messageBytes(): number {
    return Math.max(this.#messageBytes, MIN_MESSAGE);
  }

  reset(): void {
    this.#fids.clear();
    this.#messageBytes = 0;
  }

  /** Answers one message; `room` is how much of an answer its sender can take. The answer is borrowed until the next call. */
  answer(request: Uint8Array, room: number): Uint8Array {
    const out = this.#out;
    const size = request.length < HEADER_BYTES ? 0 : new DataView(request.buffer, request.byteOffset).getUint32(0, true);
    const type = request[4] ?? 0;
    const tag = (request[5] ?? 0xff) | ((request[6] ?? 0xff) << 8);
    out.rewind();
    let fault: Errno = ERRNO.EINVAL;
    if (size >= HEADER_BYTES && size <= request.length) {
      const message = new MessageReader(request, size);
      fault = this.#dispatch(type, message, Math.min(room, this.messageBytes), request);
      if (fault === 0 && (out.overflow || out.length > room)) fault = ERRNO.EMSGSIZE;
    }
    if (fault !== 0) {
      out.rewind();
      out.u32(fault);
    }
    out.finish(fault === 0 ? type + 1 : T.LERROR + 1, tag);
    return out.bytes.subarray(0, out.length);
  }

  saveState(): P9ServerStateV1 {
    return { v: 1, messageBytes: this.#messageBytes, fids: this.#fids.saveState() };
  }
  loadState(state: P9ServerStateV1): void {
    this.#messageBytes = Math.min(MAX_MESSAGE, state.messageBytes);
    this.#fids.loadState(state.fids, this.#tree);
  }

  #dispatch(type: number, m: MessageReader, room: number, request: Uint8Array): Errno {
    if (type === T.VERSION) return this.#version(m);
    if (this.#messageBytes === 0) return ERRNO.EPROTO;
    switch (type) {
      case T.ATTACH:
        return this.#attach(m);
      case T.AUTH:
        return ERRNO.EOPNOTSUPP;
      case T.FLUSH:
        // Everything before it has been answered.
        return 0;
      case T.WALK:
        return this.#walk(m);
      case T.CLUNK:
        return this.#clunk(m.u32());
      case T.REMOVE:
        return this.#remove(m.u32());
      case T.STATFS:
        return this.#statfs(m.u32());
      case T.GETATTR:
        return this.#getattr(m.u32());
      case T.SETATTR:
        return this.#setattr(m);
      case T.LOPEN:
        return this.#open(m.u32(), m.u32());
      case T.LCREATE:
        return this.#create(m);
      case T.READ:
        return this.#read(m, room);
      case T.WRITE:
        return this.#write(m, request);
      case T.FSYNC:
        return this.#fsync(m);
      case T.READDIR:
        return this.#readdir(m, room);
      case T.READLINK:
        return this.#readlink(m.u32());
      case T.MKDIR:
        return this.#make(m, (path) => this.#tree.makeDirectory(path, m.u32()));
      case T.SYMLINK:
        return this.#make(m, (path) => this.#symlink(path, m.string()));
      case T.MKNOD:
        return this.#make(m, (path) => this.#mknod(path, m.u32()));
      case T.LINK:
        return this.#link(m);
      case T.RENAME:
        return this.#rename(m);
      case T.RENAMEAT:
        return this.#renameat(m);
      case T.UNLINKAT:
        return this.#unlinkat(m);
      case T.LOCK:
        return this.#lock(m.u32());
      case T.GETLOCK:
        return this.#getlock(m);
      case T.XATTRWALK:
      case T.XATTRCREATE:
        // Hosts differ in what they have there, and Node offers none of it.
        return ERRNO.EOPNOTSUPP;
      default:
        return ERRNO.EOPNOTSUPP;
    }
  }

  #version(m: MessageReader): Errno {
    const wanted = m.u32();
    const version = m.string();
    if (!m.ok || wanted < MIN_MESSAGE) return ERRNO.EMSGSIZE;
    this.#fids.clear();
    this.#messageBytes = version === VERSION ? Math.min(wanted, MAX_MESSAGE) : 0;
    this.#out.u32(Math.min(wanted, MAX_MESSAGE));
    this.#out.string(version === VERSION ? VERSION : "unknown");
    return 0;
  }

  #attach(m: MessageReader): Errno {
    const fid = m.u32();
    const auth = m.u32();
    m.string();
    const name = m.string();
    if (!m.ok || auth !== NO_FID) return ERRNO.EINVAL;
    if (name !== "" && name !== "/") return ERRNO.ENOENT;
    const stat = this.#tree.stat([]);
    if (typeof stat === "number") return stat;
    const fault = this.#fids.add(fid, []);
    if (fault === 0) writeQid(this.#out, stat);
    return fault;
  }

  #walk(m: MessageReader): Errno {
    const from = this.#fids.get(m.u32());
    const to = m.u32();
    const count = m.u16();
    if (from === undefined) return ERRNO.EBADF;
    if (!m.ok || count > MAX_WALK) return ERRNO.EINVAL;
    // A number with an open file behind it cannot walk (but may be copied).
    if (count > 0 && from.file !== undefined) return ERRNO.EINVAL;
    let path = from.path;
    const stats: FileStat[] = [];
    let fault: Errno = 0;
    for (let i = 0; i < count; i++) {
      const name = m.string();
      if (!m.ok) return ERRNO.EINVAL;
      const next = step(path, name);
      if (typeof next === "number") {
        fault = next;
        break;
      }
      const stat = this.#tree.stat(next);
      if (typeof stat === "number") {
        fault = stat;
        break;
      }
      path = next;
      stats.push(stat);
    }
    if (fault !== 0 && stats.length === 0) return fault;
    // A walk that came only half the way says how far and leaves the new number unused.
    if (stats.length === count) {
      if (this.#fids.get(to) === from) {
        this.#fids.closeFiles(from);
        from.path = path;
      } else {
        const refused = this.#fids.add(to, path);
        if (refused !== 0) return refused;
      }
    }
    this.#out.u16(stats.length);
    for (const stat of stats) writeQid(this.#out, stat);
    return 0;
  }

  #clunk(number: number): Errno {
    if (this.#fids.get(number) === undefined) return ERRNO.EBADF;
    this.#fids.remove(number);
    return 0;
  }

  #remove(number: number): Errno {
    const fid = this.#fids.get(number);
    if (fid === undefined) return ERRNO.EBADF;
    const stat = this.#tree.stat(fid.path);
    const fault = typeof stat === "number" ? stat : this.#tree.remove(fid.path, isDirectory(stat));
    this.#fids.remove(number);
    return fault;
  }

  #statfs(number: number): Errno {
    if (this.#fids.get(number) === undefined) return ERRNO.EBADF;
    const stat = this.#tree.statTree();
    if (typeof stat === "number") return stat;
    const out = this.#out;
    out.u32(FS_TYPE);
    out.u32(stat.blockBytes);
    for (const v of [stat.blocks, stat.freeBlocks, stat.availableBlocks, stat.files, stat.freeFiles, 0n]) out.u64(v);
    out.u32(MAX_NAME);
    return 0;
  }

  #statOf(fid: Fid): FileStat | Errno {
    return fid.file?.stat() ?? this.#tree.stat(fid.path);
  }

  #getattr(number: number): Errno {
    const fid = this.#fids.get(number);
    if (fid === undefined) return ERRNO.EBADF;
    const s = this.#statOf(fid);
    if (typeof s === "number") return s;
    writeAttributes(this.#out, s);
    return 0;
  }

  #setattr(m: MessageReader): Errno {
    const fid = this.#fids.get(m.u32());
    const wanted = readAttributeRequest(m);
    if (!m.ok) return ERRNO.EINVAL;
    if (fid === undefined) return ERRNO.EBADF;
    if (this.#tree.readOnly) return ERRNO.EROFS;
    if (!isPossible(wanted)) return ERRNO.EINVAL;
    const size = Number(wanted.size);
    let resize: { readonly size?: number } = {};
    if ((wanted.valid & SET.SIZE) !== 0) {
      if (fid.file !== undefined && fid.writable) {
        const fault = fid.file.truncate(size);
        if (fault !== 0) return fault;
      } else resize = { size };
    }
    const attributes = { ...resize, ...attributesOf(wanted) };
    return Object.keys(attributes).length === 0 ? 0 : this.#tree.setAttributes(fid.path, attributes);
  }

  #open(number: number, flags: number): Errno {
    const fid = this.#fids.get(number);
    if (fid === undefined || fid.file !== undefined || fid.directory !== undefined) return ERRNO.EBADF;
    if (!this.#fids.roomToOpen) return ERRNO.EMFILE;
    const stat = this.#tree.stat(fid.path);
    if (typeof stat === "number") return stat;
    const write = (flags & O_ACCMODE) !== 0;
    if (isDirectory(stat)) {
      if (write) return ERRNO.EISDIR;
      const directory = this.#tree.openDirectory(fid.path);
      if (typeof directory === "number") return directory;
      this.#fids.attachDirectory(fid, directory);
    } else {
      if ((flags & O_DIRECTORY) !== 0) return ERRNO.ENOTDIR;
      const file = this.#tree.open(fid.path, { write, truncate: (flags & O_TRUNC) !== 0 });
      if (typeof file === "number") return file;
      this.#fids.attachFile(fid, file, write);
    }
    writeQid(this.#out, stat);
    this.#out.u32(this.#messageBytes - IO_HEADER);
    return 0;
  }

  #create(m: MessageReader): Errno {
    const fid = this.#fids.get(m.u32());
    const name = m.string();
    const flags = m.u32();
    const mode = m.u32();
    if (!m.ok) return ERRNO.EINVAL;
    if (fid === undefined || fid.file !== undefined || fid.directory !== undefined) return ERRNO.EBADF;
    const path = below(fid.path, name);
    if (typeof path === "number") return path;
    if (!this.#fids.roomToOpen) return ERRNO.EMFILE;
    const file = this.#tree.create(path, { mode, exclusive: (flags & O_EXCL) !== 0, truncate: (flags & O_TRUNC) !== 0 });
    if (typeof file === "number") return file;
    const stat = file.stat();
    if (typeof stat === "number") {
      file.close();
      return stat;
    }
    fid.path = path;
    this.#fids.attachFile(fid, file, (flags & O_ACCMODE) !== 0);
    writeQid(this.#out, stat);
    this.#out.u32(this.#messageBytes - IO_HEADER);
    return 0;
  }

  #read(m: MessageReader, room: number): Errno {
    const fid = this.#fids.get(m.u32());
    const offset = m.u64();
    const count = m.u32();
    if (!m.ok) return ERRNO.EINVAL;
    if (fid?.file === undefined) return fid?.directory === undefined ? ERRNO.EBADF : ERRNO.EISDIR;
    const wanted = Math.min(count, room - HEADER_BYTES - 4);
    this.#out.u32(0);
    const into = wanted <= 0 || offset > BigInt(Number.MAX_SAFE_INTEGER - MAX_MESSAGE) ? undefined : this.#out.reserve(wanted);
    if (into === undefined) return 0;
    const n = fid.file.read(Number(offset), into);
    if (n < 0) return -n;
    this.#out.drop(wanted - n);
    this.#out.patch32(HEADER_BYTES, n);
    return 0;
  }

  #write(m: MessageReader, request: Uint8Array): Errno {
    const fid = this.#fids.get(m.u32());
    const offset = m.u64();
    const count = m.u32();
    if (!m.ok || count > m.left) return ERRNO.EINVAL;
    if (fid?.file === undefined || !fid.writable) return ERRNO.EBADF;
    if (offset > BigInt(Number.MAX_SAFE_INTEGER - MAX_MESSAGE)) return ERRNO.EFBIG;
    const n = count === 0 ? 0 : fid.file.write(Number(offset), request.subarray(m.position, m.position + count));
    if (n < 0) return -n;
    this.#out.u32(n);
    return 0;
  }

  #fsync(m: MessageReader): Errno {
    const fid = this.#fids.get(m.u32());
    // Older clients leave the flag out.
    const dataOnly = m.left >= 4 && m.u32() !== 0;
    if (fid === undefined) return ERRNO.EBADF;
    return fid.file?.sync(dataOnly) ?? 0;
  }

  #readdir(m: MessageReader, room: number): Errno {
    const fid = this.#fids.get(m.u32());
    const offset = m.u64();
    const count = m.u32();
    if (!m.ok) return ERRNO.EINVAL;
    if (fid?.directory === undefined) return ERRNO.EBADF;
    if (offset === 0n) {
      // From the start again: what is there now.
      const fresh = this.#tree.openDirectory(fid.path);
      if (typeof fresh !== "number") {
        fid.directory.close();
        fid.directory = fresh;
      }
    }
    const { directory, path } = fid;
    const out = this.#out;
    const limit = Math.min(count, room - HEADER_BYTES - 4);
    out.u32(0);
    const start = out.length;
    const entries = directory.names.length + 2;
    for (let i = Number(offset < BigInt(entries) ? offset : BigInt(entries)); i < entries; i++) {
      const name = i === 0 ? "." : i === 1 ? ".." : (directory.names[i - 2] ?? "");
      const bytes = 13 + 8 + 1 + 2 + name.length;
      if (out.length - start + bytes > limit) break;
      const stat = i === 0 ? this.#tree.stat(path) : i === 1 ? this.#tree.stat(path.slice(0, -1)) : directory.stat(name);
      // Gone since the listing.
      if (typeof stat === "number") continue;
      writeQid(this.#out, stat);
      out.u64(BigInt(i + 1));
      out.u8((stat.mode & FILE_TYPE.MASK) >>> 12);
      out.string(name);
    }
    out.patch32(HEADER_BYTES, out.length - start);
    return 0;
  }

  #readlink(number: number): Errno {
    const fid = this.#fids.get(number);
    if (fid === undefined) return ERRNO.EBADF;
    const target = this.#tree.readLink(fid.path);
    if (typeof target === "number") return target;
    this.#out.string(target);
    return 0;
  }

  /** dfid name ...: makes something new, and answers with what it is. */
  #make(m: MessageReader, make: (path: TreePath) => Errno): Errno {
    const fid = this.#fids.get(m.u32());
    const name = m.string();
    if (fid === undefined) return ERRNO.EBADF;
    const path = below(fid.path, name);
    if (typeof path === "number") return path;
    if (this.#tree.readOnly) return ERRNO.EROFS;
    // `make` reads on in the message: short ones are refused before anything happens.
    if (m.left < 4) return ERRNO.EINVAL;
    const fault = make(path);
    if (fault !== 0) return fault;
    const stat = this.#tree.stat(path);
    if (typeof stat === "number") return stat;
    writeQid(this.#out, stat);
    return 0;
  }

  #symlink(path: TreePath, target: string): Errno {
    if (target === "" || target.includes("\0")) return ERRNO.EINVAL;
    return target.length >= MAX_PATH ? ERRNO.ENAMETOOLONG : this.#tree.symbolicLink(path, target);
  }

  /** Regular files only: devices and pipes of the guest are none of the host's. */
  #mknod(path: TreePath, mode: number): Errno {
    const type = mode & FILE_TYPE.MASK;
    if (type !== FILE_TYPE.REGULAR && type !== 0) return ERRNO.EPERM;
    const file = this.#tree.create(path, { mode, exclusive: true, truncate: false });
    if (typeof file === "number") return file;
    file.close();
    return 0;
  }

  #link(m: MessageReader): Errno {
    const directory = this.#fids.get(m.u32());
    const existing = this.#fids.get(m.u32());
    const name = m.string();
    if (!m.ok) return ERRNO.EINVAL;
    if (directory === undefined || existing === undefined) return ERRNO.EBADF;
    const path = below(directory.path, name);
    return typeof path === "number" ? path : this.#tree.hardLink(existing.path, path);
  }

  #rename(m: MessageReader): Errno {
    const fid = this.#fids.get(m.u32());
    const directory = this.#fids.get(m.u32());
    const name = m.string();
    if (!m.ok) return ERRNO.EINVAL;
    if (fid === undefined || directory === undefined) return ERRNO.EBADF;
    const to = below(directory.path, name);
    return typeof to === "number" ? to : this.#move(fid.path, to);
  }

  #renameat(m: MessageReader): Errno {
    const oldDirectory = this.#fids.get(m.u32());
    const oldName = m.string();
    const newDirectory = this.#fids.get(m.u32());
    const newName = m.string();
    if (!m.ok) return ERRNO.EINVAL;
    if (oldDirectory === undefined || newDirectory === undefined) return ERRNO.EBADF;
    const from = below(oldDirectory.path, oldName);
    if (typeof from === "number") return from;
    const to = below(newDirectory.path, newName);
    return typeof to === "number" ? to : this.#move(from, to);
  }

  #move(from: TreePath, to: TreePath): Errno {
    const fault = this.#tree.rename(from, to);
    if (fault === 0) this.#fids.renamed(from, to);
    return fault;
  }

  #unlinkat(m: MessageReader): Errno {
    const fid = this.#fids.get(m.u32());
    const name = m.string();
    const flags = m.u32();
    if (!m.ok) return ERRNO.EINVAL;
    if (fid === undefined) return ERRNO.EBADF;
    const path = below(fid.path, name);
    return typeof path === "number" ? path : this.#tree.remove(path, (flags & AT_REMOVEDIR) !== 0);
  }

  /** There is one client, whose kernel keeps its processes' locks apart: nobody else can hold one. */
  #lock(number: number): Errno {
    if (this.#fids.get(number) === undefined) return ERRNO.EBADF;
    this.#out.u8(LOCK_SUCCESS);
    return 0;
  }

  #getlock(m: MessageReader): Errno {
    const fid = this.#fids.get(m.u32());
    m.u8();
    const start = m.u64();
    const length = m.u64();
    const process = m.u32();
    const client = m.string();
    if (!m.ok) return ERRNO.EINVAL;
    if (fid === undefined) return ERRNO.EBADF;
    const out = this.#out;
    out.u8(F_UNLCK);
    out.u64(start);
    out.u64(length);
    out.u32(process);
    out.string(client);
    return 0;
  }
}
