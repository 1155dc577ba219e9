import { VmmError } from "../../../base/index.ts";
import { ascii, viewOf } from "../be.ts";
import type { ByteFile } from "../byte-file.ts";
import { isPowerOfTwo, le64 } from "../le.ts";
import { checkBlocks } from "../mapped-image.ts";
import type { BlockMap, Stretch } from "../mapped-image.ts";
import { MAX_DISK_BYTES, MAX_TABLE_BYTES, readPart } from "../read-part.ts";
import { crc32c } from "./crc32c.ts";

/** Microsoft, [MS-VHDX] 2.2 to 2.6. Little-endian. */
const KIB = 1024;
const MIB = 1024 * KIB;
const HEADERS = [64 * KIB, 128 * KIB] as const;
const HEADER_BYTES = 4 * KIB;
const REGION_TABLES = [192 * KIB, 256 * KIB] as const;
const TABLE_BYTES = 64 * KIB;
const CHECKSUM = 4;
const MAX_REGIONS = 2047;
const MAX_ITEMS = 2047;

const REGION = { BAT: "2dc27766-f623-4200-9d64-115e9bfd4a08", METADATA: "8b7ca206-4790-4b9a-b8fe-575f050f886e" } as const;
const ITEM = {
  FILE_PARAMETERS: "caa16737-fa36-4d43-b3b6-33f0aa44e76b",
  DISK_SIZE: "2fa54224-cd1b-4876-b211-5dbed83bf4b8",
  DISK_ID: "beca12ab-b2e6-4523-93ef-c309e000c746",
  LOGICAL_SECTOR: "8141bf1d-a96f-4709-ba47-f233a8faab5f",
  PHYSICAL_SECTOR: "cda348c7-445d-4471-9cc9-e9885251c556",
  PARENT_LOCATOR: "a8d35f2d-b30b-454d-abf7-d3d84834ab0c",
} as const;
const KNOWN_ITEMS: readonly string[] = Object.values(ITEM);
/** Of a file parameters item. */
const FILE_FLAG = { FIXED: 1, HAS_PARENT: 2 } as const;
/** Of an entry in either table. */
const REQUIRED_REGION = 1;
const REQUIRED_ITEM = 4;
/** Of a block, bits 2:0 of its table entry. All but the last read as zeros. */
const BLOCK = { NOT_PRESENT: 0, UNDEFINED: 1, ZERO: 2, UNMAPPED: 3, PRESENT: 6 } as const;

interface Region {
  readonly at: number;
  readonly bytes: number;
}

/** A VHDX, fixed or dynamic. One whose log is to be replayed is refused: what it holds is not what it says yet. */
export function openVhdx(file: ByteFile): BlockMap {
  const { name } = file;
  const bad = (why: string): VmmError => new VmmError("IMAGE_FORMAT", `${name}: damaged VHDX: ${why}`);
  if (file.size < MIB) throw bad("the file ends in its headers");
  refuseLog(file, bad);
  const regions = readRegions(file, bad);
  const bat = regions.get(REGION.BAT);
  const metadata = regions.get(REGION.METADATA);
  if (bat === undefined || metadata === undefined) throw bad("the block table or the metadata is missing");
  const { sizeBytes, blockBytes, fixed } = readMetadata(file, metadata, bad);
  // [MS-VHDX] 2.5: after every chunk of blocks comes the place of a bitmap, which only disks with parents use.
  const chunk = (2 ** 23 * 512) / blockBytes;
  const blocks = Math.ceil(sizeBytes / blockBytes);
  const entries = blocks + Math.floor((blocks - 1) / chunk);
  if (entries * 8 > bat.bytes) throw bad("the block table is too small for the disk");
  if (entries * 8 > MAX_TABLE_BYTES) throw new VmmError("IMAGE_UNSUPPORTED", `${name}: its tables are larger than ${MAX_TABLE_BYTES / MIB} MiB`);
  const table = viewOf(readPart(file, bat.at, entries * 8));
  const place = (index: number): number | undefined | "bad" => {
    const entry = (index + Math.floor(index / chunk)) * 8;
    const state = table.getUint32(entry, true) & 7;
    if (state <= BLOCK.UNMAPPED) return undefined;
    const at = Math.floor(le64(table, entry) / MIB) * MIB;
    return state === BLOCK.PRESENT && at >= MIB && at < file.size ? at : "bad";
  };
  return {
    format: "vhdx",
    variant: fixed ? "fixed" : "dynamic",
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

type Bad = (why: string) => VmmError;

/** The header with the higher sequence number of those whose sum is right counts; a log that it names must be empty. */
function refuseLog(file: ByteFile, bad: Bad): void {
  const headers = HEADERS.map((at) => readPart(file, at, HEADER_BYTES))
    .filter((h) => ascii(h, 0, 4) === "head" && viewOf(h).getUint32(CHECKSUM, true) === crc32c(h, CHECKSUM))
    .sort((a, b) => le64(viewOf(b), 8) - le64(viewOf(a), 8));
  const [header] = headers;
  if (header === undefined) throw bad("neither header has a correct checksum");
  const version = viewOf(header).getUint16(66, true);
  if (version !== 1) throw new VmmError("IMAGE_UNSUPPORTED", `${file.name}: VHDX version ${version} is not supported (1 is)`);
  if (header.subarray(48, 64).some((byte) => byte !== 0))
    throw new VmmError(
      "IMAGE_UNSUPPORTED",
      `${file.name}: was not closed, and its log is to be replayed: open it once with the program that wrote it, or qemu-img check -r all`,
    );
}

function readRegions(file: ByteFile, bad: Bad): ReadonlyMap<string, Region> {
  const tables = REGION_TABLES.map((at) => readPart(file, at, TABLE_BYTES));
  const bytes = tables.find((t) => ascii(t, 0, 4) === "regi" && viewOf(t).getUint32(CHECKSUM, true) === crc32c(t, CHECKSUM));
  if (bytes === undefined) throw bad("neither region table has a correct checksum");
  const view = viewOf(bytes);
  const count = view.getUint32(8, true);
  if (count > MAX_REGIONS) throw bad(`${count} regions`);
  const regions = new Map<string, Region>();
  for (let i = 0; i < count; i++) {
    const at = 16 + 32 * i;
    const id = guid(bytes, at);
    const region = { at: le64(view, at + 16), bytes: view.getUint32(at + 24, true) };
    const known = id === REGION.BAT || id === REGION.METADATA;
    if (!known && (view.getUint32(at + 28, true) & REQUIRED_REGION) !== 0)
      throw new VmmError("IMAGE_UNSUPPORTED", `${file.name}: needs a VHDX region that is not known here (${id})`);
    if (!known) continue;
    if (regions.has(id)) throw bad("a region is named twice");
    if (region.at < MIB || region.at % MIB !== 0 || region.at + region.bytes > file.size) throw bad("a region is outside the file");
    regions.set(id, region);
  }
  return regions;
}

function readMetadata(
  file: ByteFile,
  region: Region,
  bad: Bad,
): { readonly sizeBytes: number; readonly blockBytes: number; readonly fixed: boolean } {
  if (region.bytes < TABLE_BYTES) throw bad("the metadata table is cut");
  const bytes = readPart(file, region.at, TABLE_BYTES);
  const view = viewOf(bytes);
  const count = view.getUint16(10, true);
  if (ascii(bytes, 0, 8) !== "metadata" || count > MAX_ITEMS) throw bad("the metadata table has no signature");
  const items = new Map<string, DataView>();
  for (let i = 0; i < count; i++) {
    const at = 32 + 32 * i;
    const id = guid(bytes, at);
    const [offset, length] = [view.getUint32(at + 16, true), view.getUint32(at + 20, true)];
    if (!KNOWN_ITEMS.includes(id)) {
      if ((view.getUint32(at + 24, true) & REQUIRED_ITEM) !== 0)
        throw new VmmError("IMAGE_UNSUPPORTED", `${file.name}: needs a VHDX metadata item that is not known here (${id})`);
      continue;
    }
    if (offset < TABLE_BYTES || offset + length > region.bytes) throw bad("a metadata item is outside its region");
    if (id !== ITEM.PARENT_LOCATOR) items.set(id, viewOf(readPart(file, region.at + offset, Math.min(length, 16))));
  }
  const item = (id: string, least: number): DataView => {
    const found = items.get(id);
    if (found === undefined || found.byteLength < least) throw bad("a metadata item is missing");
    return found;
  };
  const parameters = item(ITEM.FILE_PARAMETERS, 8);
  const blockBytes = parameters.getUint32(0, true);
  const flags = parameters.getUint32(4, true);
  const sizeBytes = le64(item(ITEM.DISK_SIZE, 8), 0);
  const sector = item(ITEM.LOGICAL_SECTOR, 4).getUint32(0, true);
  if ((flags & FILE_FLAG.HAS_PARENT) !== 0)
    throw new VmmError("IMAGE_UNSUPPORTED", `${file.name}: is a differencing VHDX; merge it into its parent first (Merge-VHD)`);
  if (sector !== 512) throw new VmmError("IMAGE_UNSUPPORTED", `${file.name}: sectors of ${sector} bytes are not supported (512 are)`);
  if (!isPowerOfTwo(blockBytes) || blockBytes < MIB || blockBytes > 256 * MIB) throw bad(`block size ${blockBytes}`);
  if (sizeBytes === 0 || sizeBytes % 512 !== 0 || sizeBytes > MAX_DISK_BYTES) throw bad(`a disk of ${sizeBytes} bytes`);
  return { sizeBytes, blockBytes, fixed: (flags & FILE_FLAG.FIXED) !== 0 };
}

/** A GUID in its usual spelling: the first three groups are little-endian numbers. */
function guid(bytes: Uint8Array, at: number): string {
  const hex = (from: number, to: number, step: 1 | -1): string => {
    let out = "";
    for (let i = step === 1 ? from : to - 1; i >= from && i < to; i += step) out += (bytes[at + i] ?? 0).toString(16).padStart(2, "0");
    return out;
  };
  return [hex(0, 4, -1), hex(4, 6, -1), hex(6, 8, -1), hex(8, 10, 1), hex(10, 16, 1)].join("-");
}
