import { VmmError } from "../../../base/index.ts";
import type { ByteFile } from "../byte-file.ts";
import type { Codec } from "../codec.ts";
import type { CheckResult } from "../disk-image.ts";
import { Findings } from "../mapped-image.ts";
import type { BlockMap, Stretch } from "../mapped-image.ts";
import { MAX_DISK_BYTES, readPart } from "../read-part.ts";
import { MAX_DESCRIPTOR_BYTES, parseDescriptor } from "./descriptor.ts";
import type { VmdkExtent } from "./descriptor.ts";
import { isSparseHeader, SparseExtent } from "./sparse.ts";

const SECTOR = 512;

/** What a disk needs of the place where it is opened. */
export interface VmdkSurroundings {
  readonly codec: Codec;
  /** A file of that plain name in the directory of `from`; throws when it is none. */
  openBeside(name: string, from: ByteFile): ByteFile;
}

/** A part of the disk, in order. */
interface Part {
  readonly startByte: number;
  readonly bytes: number;
  readonly grainBytes: number | undefined;
  find(offset: number): Stretch;
  check(): CheckResult | undefined;
}

/** A VMDK: one file of grains (monolithicSparse, streamOptimized), or a descriptor of flat and sparse files beside it. */
export function openVmdk(file: ByteFile, around: VmdkSurroundings): BlockMap {
  const start = readPart(file, 0, 4);
  if (!isSparseHeader(start)) return openDescribed(file, around);
  const extent = new SparseExtent(file, around.codec);
  const { descriptor } = extent;
  const described =
    descriptor === undefined
      ? undefined
      : parseDescriptor(readPart(file, descriptor.at, Math.min(descriptor.bytes, MAX_DESCRIPTOR_BYTES)), file.name);
  if (described !== undefined && described.extents.length > 1)
    throw new VmmError("IMAGE_UNSUPPORTED", `${file.name}: its disk goes on in other files; open the descriptor that names them all`);
  const variant = described?.createType ?? "";
  return {
    format: "vmdk",
    variant: variant === "" ? (extent.compressed ? "streamOptimized" : "monolithicSparse") : variant,
    sizeBytes: extent.sectors * SECTOR,
    blockBytes: extent.grainBytes,
    files: [file],
    find: (offset) => extent.find(offset),
    check: () => extent.check(),
  };
}

function openDescribed(file: ByteFile, around: VmdkSurroundings): BlockMap {
  if (file.size > MAX_DESCRIPTOR_BYTES) throw new VmmError("IMAGE_FORMAT", `${file.name}: damaged VMDK descriptor: longer than any`);
  const { createType, extents } = parseDescriptor(readPart(file, 0, file.size), file.name);
  if (extents.length === 0) throw new VmmError("IMAGE_FORMAT", `${file.name}: damaged VMDK descriptor: it names no extents`);
  const files: ByteFile[] = [file];
  const parts: Part[] = [];
  let end = 0;
  try {
    for (const extent of extents) {
      const part = openPart(extent, end, file, around, (opened) => files.push(opened));
      parts.push(part);
      end += part.bytes;
      if (end > MAX_DISK_BYTES) throw new VmmError("IMAGE_FORMAT", `${file.name}: damaged VMDK descriptor: a disk of ${end} bytes`);
    }
  } catch (error) {
    // The descriptor itself is the caller's to close.
    for (const opened of files.slice(1)) opened.close();
    throw error;
  }
  return {
    format: "vmdk",
    variant: createType === "" ? "described" : createType,
    sizeBytes: end,
    blockBytes: parts.find((p) => p.grainBytes !== undefined)?.grainBytes,
    files,
    find(offset) {
      const part = partAt(parts, offset);
      const stretch = part.find(offset - part.startByte);
      const left = part.startByte + part.bytes - offset;
      return stretch.bytes > left ? { ...stretch, bytes: left } : stretch;
    },
    check: () => checkParts(parts),
  };
}

/** The part that holds `offset`; parts are in order and without gaps. */
function partAt(parts: readonly Part[], offset: number): Part {
  let low = 0;
  let high = parts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((parts[middle]?.startByte ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  const part = parts[low];
  if (part === undefined) throw new Error("a disk has parts");
  return part;
}

function openPart(extent: VmdkExtent, startByte: number, from: ByteFile, around: VmdkSurroundings, opened: (file: ByteFile) => void): Part {
  const bytes = extent.sectors * SECTOR;
  const bad = (why: string): VmmError => new VmmError("IMAGE_FORMAT", `${from.name}: ${why}`);
  if (bytes === 0 || bytes > MAX_DISK_BYTES) throw bad(`damaged VMDK descriptor: an extent of ${extent.sectors} sectors`);
  if (extent.file === undefined) {
    return { startByte, bytes, grainBytes: undefined, find: (offset) => ({ kind: "zero", bytes: bytes - offset }), check: () => undefined };
  }
  const file = around.openBeside(extent.file, from);
  opened(file);
  if (extent.kind === "sparse") {
    const sparse = new SparseExtent(file, around.codec);
    if (sparse.sectors < extent.sectors) throw bad(`its extent ${extent.file} has ${sparse.sectors} sectors, not ${extent.sectors}`);
    return { startByte, bytes, grainBytes: sparse.grainBytes, find: (offset) => sparse.find(offset), check: () => sparse.check() };
  }
  const at = extent.startSector * SECTOR;
  if (at + bytes > file.size) throw bad(`its extent ${extent.file} has ${file.size} bytes, not ${at + bytes} (a copy that was cut?)`);
  return {
    startByte,
    bytes,
    grainBytes: undefined,
    find: (offset) => ({ kind: "data", bytes: bytes - offset, file, at: at + offset }),
    check: () => undefined,
  };
}

function checkParts(parts: readonly Part[]): CheckResult {
  const found = new Findings();
  let allocated = 0;
  let total = 0;
  for (const [i, part] of parts.entries()) {
    const result = part.check();
    if (result === undefined) continue;
    for (const error of result.errors) found.add(`extent ${i + 1}: ${error}`);
    found.count += result.errorCount - result.errors.length;
    allocated += result.allocatedClusters;
    total += result.totalClusters;
  }
  return found.result(allocated, total);
}
