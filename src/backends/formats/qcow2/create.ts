import { VmmError } from "../../../base/index.ts";
import { putBe64, viewOf } from "../be.ts";
import { because } from "../byte-file.ts";
import type { ByteFile } from "../byte-file.ts";
import type { ImageFormat } from "../image-format.ts";
import { l1EntriesFor, newExtensions, serializeHeader } from "./header.ts";
import { MAX_DISK_BYTES } from "../read-part.ts";
import type { Qcow2Header } from "./header.ts";

export interface CreateQcow2Options {
  /** Virtual size in bytes; rounded up to whole sectors. */
  readonly sizeBytes: number;
  /** 512..2 MB, a power of two; default 64 KB. */
  readonly clusterBytes?: number;
  readonly version?: 2 | 3;
  /** 0..6; default 4: counts of 16 bits. */
  readonly refcountOrder?: number;
  readonly extendedL2?: boolean;
  /** As it shall stand in the header: relative to this image's directory, or absolute. */
  readonly backingFile?: string;
  readonly backingFormat?: ImageFormat;
}

/** Writes an empty image into an empty file. Throws `VmmError`. */
export function createQcow2(file: ByteFile, options: CreateQcow2Options): void {
  const clusterBytes = options.clusterBytes ?? 65536;
  const clusterBits = Math.log2(clusterBytes);
  const sizeBytes = Math.ceil(options.sizeBytes / 512) * 512;
  const bad = (why: string): VmmError => new VmmError("IMAGE_SIZE", `${file.name}: ${why}`);
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || sizeBytes > MAX_DISK_BYTES) throw bad(`${options.sizeBytes} is no possible disk size`);
  if (!Number.isInteger(clusterBits) || clusterBits < 9 || clusterBits > 21) throw bad("the cluster size is a power of two from 512 to 2M");
  const version = options.version ?? 3;
  const refcountOrder = options.refcountOrder ?? 4;
  if (refcountOrder < 0 || refcountOrder > 6 || (version === 2 && refcountOrder !== 4))
    throw bad(`no image has counts of ${2 ** refcountOrder} bits`);
  const extendedL2 = options.extendedL2 ?? false;
  if (extendedL2 && (clusterBits < 14 || version < 3)) throw bad("extended L2 entries need version 3 and clusters of at least 16K");
  const l1Entries = Math.max(1, l1EntriesFor(sizeBytes, clusterBits, extendedL2));
  if (l1Entries * 8 > 32 * 1024 * 1024) throw bad(`${sizeBytes} bytes is too large for clusters of ${clusterBytes} bytes`);

  // Header, refcount table, blocks, L1 table, in this order.
  const l1Clusters = Math.ceil((l1Entries * 8) / clusterBytes);
  const perBlock = (clusterBytes * 8) / 2 ** refcountOrder;
  let blocks = 1;
  let tableClusters = 1;
  for (;;) {
    const total = 1 + tableClusters + blocks + l1Clusters;
    const needBlocks = Math.ceil(total / perBlock);
    const needTable = Math.ceil((needBlocks * 8) / clusterBytes);
    if (needBlocks <= blocks && needTable <= tableClusters) break;
    blocks = Math.max(blocks, needBlocks);
    tableClusters = Math.max(tableClusters, needTable);
  }
  const total = 1 + tableClusters + blocks + l1Clusters;
  const blocksAt = (1 + tableClusters) * clusterBytes;
  const header: Qcow2Header = {
    version,
    clusterBits,
    sizeBytes,
    l1Entries,
    l1Offset: blocksAt + blocks * clusterBytes,
    refcountTableOffset: clusterBytes,
    refcountTableClusters: tableClusters,
    snapshotCount: 0,
    snapshotsOffset: 0,
    incompatible: extendedL2 ? 16n : 0n,
    compatible: 0n,
    autoclear: 0n,
    refcountOrder,
    headerBytes: version === 3 ? 112 : 72,
    compression: "zlib",
    extendedL2,
    backingFile: options.backingFile,
    backingFormat: options.backingFormat,
    extensions: newExtensions(options.backingFormat === "vhd" ? "vpc" : options.backingFormat),
  };
  const start = serializeHeader(header);
  if (start === undefined) throw bad("the name of the backing file is too long");
  const table = new Uint8Array(blocks * 8);
  for (let i = 0; i < blocks; i++) putBe64(viewOf(table), i * 8, blocksAt + i * clusterBytes);
  const counts = new Uint8Array(blocks * clusterBytes);
  for (let i = 0; i < total; i++) setCount(counts, i, refcountOrder);
  const ok =
    file.resize(total * clusterBytes) && file.write(clusterBytes, table) && file.write(blocksAt, counts) && file.write(0, start) && file.flush();
  if (!ok) throw new VmmError("IMAGE_IO", `${file.name}: cannot be written${because(file)}`);
}

/** Count 1 for cluster `index`, in the width that the image has. */
function setCount(counts: Uint8Array, index: number, order: number): void {
  if (order < 3) {
    const bit = index << order;
    counts[bit >> 3] = (counts[bit >> 3] ?? 0) | (1 << (bit & 7));
  } else {
    const bytes = 2 ** (order - 3);
    counts[(index + 1) * bytes - 1] = 1;
  }
}
