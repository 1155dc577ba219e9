import { FILE_TYPE } from "../../../backends/api/index.ts";
import type { FileAttributes, FileStat } from "../../../backends/api/index.ts";
import type { MessageReader, MessageWriter } from "./wire.ts";

/** Which attributes Tsetattr sets. Source: Linux include/net/9p/9p.h, P9_ATTR_*. */
export const SET = { MODE: 1, UID: 2, GID: 4, SIZE: 8, ATIME: 0x10, MTIME: 0x20, ATIME_SET: 0x80, MTIME_SET: 0x100 } as const;
/** All that stat gives, without birth time, generation and version. */
const GETATTR_BASIC = 0x7ffn;
const QID = { DIRECTORY: 0x80, SYMLINK: 0x02 } as const;
const BLOCK_BYTES = 4096;
const NS = 1_000_000_000n;

export const isDirectory = (stat: FileStat): boolean => (stat.mode & FILE_TYPE.MASK) === FILE_TYPE.DIRECTORY;

/** qid: kind, version, identity. */
export function writeQid(out: MessageWriter, stat: FileStat): void {
  const type = stat.mode & FILE_TYPE.MASK;
  out.u8(type === FILE_TYPE.DIRECTORY ? QID.DIRECTORY : type === FILE_TYPE.SYMLINK ? QID.SYMLINK : 0);
  out.u32(Number((stat.mtimeNs ^ BigInt(stat.size)) & 0xffffffffn));
  out.u64(stat.inode);
}

/** The body of Rgetattr. */
export function writeAttributes(out: MessageWriter, s: FileStat): void {
  out.u64(GETATTR_BASIC);
  writeQid(out, s);
  for (const v of [s.mode, s.uid, s.gid]) out.u32(v);
  for (const v of [s.links, s.rdev, s.size, BLOCK_BYTES, s.blocks]) out.u64(BigInt(v));
  for (const t of [s.atimeNs, s.mtimeNs, s.ctimeNs]) {
    out.u64(t / NS);
    out.u64(t % NS);
  }
  for (let i = 0; i < 4; i++) out.u64(0n);
}

/** What Tsetattr asks for, fields as they came; `valid` (`SET`) says which of them count. */
export interface AttributeRequest {
  readonly valid: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: bigint;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
}

export function readAttributeRequest(m: MessageReader): AttributeRequest {
  const valid = m.u32();
  const mode = m.u32();
  const uid = m.u32();
  const gid = m.u32();
  const size = m.u64();
  const atimeNs = m.u64() * NS + m.u64();
  const mtimeNs = m.u64() * NS + m.u64();
  return { valid, mode, uid, gid, size, atimeNs, mtimeNs };
}

/** False when a number is beyond what files and clocks of the host can have. */
export function isPossible({ valid, size, atimeNs, mtimeNs }: AttributeRequest): boolean {
  const limit = 1n << 62n;
  return ((valid & SET.SIZE) === 0 || size <= BigInt(Number.MAX_SAFE_INTEGER)) && atimeNs <= limit && mtimeNs <= limit;
}

/** The request without its size, as a file tree takes it. */
export function attributesOf({ valid, mode, uid, gid, atimeNs, mtimeNs }: AttributeRequest): FileAttributes {
  return {
    ...((valid & SET.MODE) !== 0 ? { mode } : {}),
    ...((valid & SET.UID) !== 0 ? { uid } : {}),
    ...((valid & SET.GID) !== 0 ? { gid } : {}),
    ...((valid & SET.ATIME) !== 0 ? { atimeNs: (valid & SET.ATIME_SET) !== 0 ? atimeNs : ("now" as const) } : {}),
    ...((valid & SET.MTIME) !== 0 ? { mtimeNs: (valid & SET.MTIME_SET) !== 0 ? mtimeNs : ("now" as const) } : {}),
  };
}
