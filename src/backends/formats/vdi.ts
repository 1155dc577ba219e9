import { VmmError } from "../../base/index.ts";
import { viewOf } from "./be.ts";
import type { ByteFile } from "./byte-file.ts";
import { isPowerOfTwo, le64 } from "./le.ts";
import { checkBlocks } from "./mapped-image.ts";
import type { BlockMap, Stretch } from "./mapped-image.ts";
import { MAX_DISK_BYTES, MAX_TABLE_BYTES, readPart } from "./read-part.ts";

/** VirtualBox, "VDICore.h" (VDIHEADER1PLUS), version 1.1. Fields by offset in the file. */
const HEADER_BYTES = 0x190;
const FIELD = { VERSION: 0x44, TYPE: 0x4c, MAP: 0x154, DATA: 0x158, SECTOR: 0x168, SIZE: 0x170, BLOCK: 0x178, EXTRA: 0x17c, BLOCKS: 0x180 } as const;
const TYPE = { DYNAMIC: 1, FIXED: 2, DIFFERENCING: 4 } as const;
/** A map entry from here on says that the block is not in the file: never written, or discarded. Both read as zeros. */
const FIRST_ABSENT = 0xfffffffe;
const MIN_BLOCK = 4096;
const MAX_BLOCK = 2 ** 26;

/** A VDI, dynamic or of fixed size. */
export function openVdi(file: ByteFile): BlockMap {
  const { name } = file;
  const bad = (why: string): VmmError => new VmmError("IMAGE_FORMAT", `${name}: damaged VDI header: ${why}`);
  if (file.size < HEADER_BYTES) throw bad("the file ends in it");
  const view = viewOf(readPart(file, 0, HEADER_BYTES));
  const u32 = (at: number): number => view.getUint32(at, true);
  const version = u32(FIELD.VERSION);
  if (version >>> 16 !== 1)
    throw new VmmError("IMAGE_UNSUPPORTED", `${name}: VDI version ${version >>> 16}.${version & 0xffff} is not supported (1.1 is)`);
  const type = u32(FIELD.TYPE);
  if (type === TYPE.DIFFERENCING)
    throw new VmmError("IMAGE_UNSUPPORTED", `${name}: is a snapshot's differencing VDI; make it whole with VBoxManage clonemedium`);
  if (type !== TYPE.DYNAMIC && type !== TYPE.FIXED)
    throw new VmmError("IMAGE_UNSUPPORTED", `${name}: VDI of type ${type} is not supported (1 dynamic, 2 fixed are)`);
  const sizeBytes = le64(view, FIELD.SIZE);
  const blockBytes = u32(FIELD.BLOCK);
  const extra = u32(FIELD.EXTRA);
  const blocks = u32(FIELD.BLOCKS);
  const mapAt = u32(FIELD.MAP);
  const dataAt = u32(FIELD.DATA);
  if (u32(FIELD.SECTOR) !== 512)
    throw new VmmError("IMAGE_UNSUPPORTED", `${name}: sectors of ${u32(FIELD.SECTOR)} bytes are not supported (512 are)`);
  if (!isPowerOfTwo(blockBytes) || blockBytes < MIN_BLOCK || blockBytes > MAX_BLOCK) throw bad(`block size ${blockBytes}`);
  if (extra > MAX_BLOCK || extra % 512 !== 0) throw bad(`block extra ${extra}`);
  if (sizeBytes === 0 || sizeBytes > MAX_DISK_BYTES || blocks * blockBytes < sizeBytes) throw bad(`a disk of ${sizeBytes} bytes in ${blocks} blocks`);
  if (blocks * 4 > MAX_TABLE_BYTES) throw new VmmError("IMAGE_UNSUPPORTED", `${name}: its tables are larger than ${MAX_TABLE_BYTES / 2 ** 20} MiB`);
  if (mapAt + blocks * 4 > file.size) throw bad("the block map is outside the file");
  const table = viewOf(readPart(file, mapAt, blocks * 4));
  const place = (index: number): number | undefined | "bad" => {
    const entry = table.getUint32(index * 4, true);
    if (entry >= FIRST_ABSENT) return undefined;
    // The extra bytes come before a block's data.
    const at = dataAt + entry * (blockBytes + extra) + extra;
    return at >= file.size ? "bad" : at;
  };
  return {
    format: "vdi",
    variant: type === TYPE.FIXED ? "fixed" : "dynamic",
    sizeBytes,
    blockBytes,
    files: [file],
    find(offset): Stretch {
      const inBlock = offset % blockBytes;
      const bytes = blockBytes - inBlock;
      const at = place(Math.floor(offset / blockBytes));
      if (at === undefined) return { kind: "zero", bytes };
      return at === "bad" ? { kind: "bad", bytes } : { kind: "data", bytes, file, at: at + inBlock };
    },
    check: () => checkBlocks(blocks, blockBytes, file.size, place),
  };
}
