import { utf8Bytes, utf8Text, VmmError } from "../../../base/index.ts";
import { ascii, be64, putBe64, viewOf } from "../be.ts";
import { MAX_DISK_BYTES } from "../read-part.ts";

/** "QFI\xfb". */
export const QCOW2_MAGIC = 0x514649fb;

/** Bits of `incompatible`. qcow2 specification, "Header". */
export const INCOMPATIBLE = { DIRTY: 0, CORRUPT: 1, EXTERNAL_DATA: 2, COMPRESSION_TYPE: 3, EXTENDED_L2: 4 } as const;

const EXTENSION = { END: 0, BACKING_FORMAT: 0xe2792aca, FEATURE_NAMES: 0x6803f857, BITMAPS: 0x23852875 } as const;
export const BITMAPS_EXTENSION = EXTENSION.BITMAPS;

/** Largest tables that are accepted: what QEMU accepts, too. */
const MAX_L1_BYTES = 32 * 1024 * 1024;
const MAX_REFCOUNT_TABLE_BYTES = 8 * 1024 * 1024;
const MAX_SNAPSHOTS = 65536;

export interface HeaderExtension {
  readonly type: number;
  readonly data: Uint8Array;
}

export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  readonly sizeBytes: number;
  readonly l1Entries: number;
  readonly l1Offset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly snapshotCount: number;
  readonly snapshotsOffset: number;
  readonly incompatible: bigint;
  readonly compatible: bigint;
  readonly autoclear: bigint;
  /** Width of a reference count: 2^order bits. */
  readonly refcountOrder: number;
  readonly headerBytes: number;
  readonly compression: "zlib" | "zstd";
  readonly extendedL2: boolean;
  readonly backingFile: string | undefined;
  /** From the header extension; undefined when the image does not say. */
  readonly backingFormat: string | undefined;
  readonly extensions: readonly HeaderExtension[];
}

/** Bytes of the image's start that `parseHeader` wants to see, at most. */
export const HEADER_WINDOW_BYTES = 2 * 1024 * 1024;

export function l1EntriesFor(sizeBytes: number, clusterBits: number, extendedL2: boolean): number {
  return Math.ceil(sizeBytes / 2 ** (2 * clusterBits - (extendedL2 ? 4 : 3)));
}

/** Reads and checks a header. Every sum is bounded by the file's own length. Throws `VmmError` with one line. */
export function parseHeader(start: Uint8Array, fileBytes: number, name: string): Qcow2Header {
  const bad = (why: string): VmmError => new VmmError("IMAGE_FORMAT", `${name}: damaged qcow2 header: ${why}`);
  const refuse = (what: string): VmmError => new VmmError("IMAGE_UNSUPPORTED", `${name}: ${what}`);
  const view = viewOf(start);
  if (start.length < 72 || view.getUint32(0) !== QCOW2_MAGIC) throw bad("no qcow2 magic");
  const version = view.getUint32(4);
  if (version === 1) throw refuse("qcow version 1 is not supported; convert it with qemu-img convert -O qcow2");
  if (version !== 2 && version !== 3) throw refuse(`qcow2 version ${version} is not supported (2 and 3 are)`);
  const clusterBits = view.getUint32(20);
  if (clusterBits < 9 || clusterBits > 21) throw bad(`cluster size 2^${clusterBits} is outside 512 bytes..2 MB`);
  const clusterBytes = 2 ** clusterBits;
  const v3 = version === 3;
  if (v3 && start.length < 104) throw bad("the file is too short");
  const headerBytes = v3 ? view.getUint32(100) : 72;
  if (v3 && (headerBytes < 104 || headerBytes % 8 !== 0 || headerBytes > Math.min(clusterBytes, start.length)))
    throw bad(`header length ${headerBytes}`);

  const extensions = parseExtensions(start, headerBytes, Math.min(clusterBytes, start.length), view, bad);
  const incompatible = v3 ? view.getBigUint64(72) : 0n;
  const crypt = view.getUint32(32);
  if (crypt !== 0)
    throw new VmmError("IMAGE_ENCRYPTED", `${name}: ${crypt === 2 ? "LUKS" : crypt === 1 ? "AES" : "this"} encryption is not supported`);
  const has = (bit: number): boolean => ((incompatible >> BigInt(bit)) & 1n) === 1n;
  if (has(INCOMPATIBLE.EXTERNAL_DATA)) throw refuse("an external data file is not supported; convert the image with qemu-img convert -O qcow2");
  const unknown = incompatible >> 5n;
  if (unknown !== 0n) throw refuse(`needs features that are not supported: ${featureNames(incompatible & ~0x1fn, extensions).join(", ")}`);
  const compressionType = headerBytes > 104 ? (start[104] ?? 0) : 0;
  if (has(INCOMPATIBLE.COMPRESSION_TYPE) !== (compressionType !== 0)) throw bad("compression type and feature bit disagree");
  if (compressionType > 1) throw refuse(`compression type ${compressionType} is not supported (zlib and zstd are)`);
  const extendedL2 = has(INCOMPATIBLE.EXTENDED_L2);
  if (extendedL2 && clusterBits < 14) throw bad("extended L2 entries with clusters below 16 KB");
  const refcountOrder = v3 ? view.getUint32(96) : 4;
  if (refcountOrder > 6) throw bad(`reference count width 2^${refcountOrder}`);

  const sizeBytes = be64(view, 24);
  if (sizeBytes > MAX_DISK_BYTES) throw refuse(`${sizeBytes} bytes is more than a PC disk can address (${MAX_DISK_BYTES} bytes)`);
  const endBytes = Math.ceil(fileBytes / clusterBytes) * clusterBytes;
  const aligned = (offset: number): boolean => offset % clusterBytes === 0 && offset <= endBytes;
  const l1Entries = view.getUint32(36);
  const l1Offset = be64(view, 40);
  if (l1Entries * 8 > MAX_L1_BYTES) throw bad(`L1 table of ${l1Entries} entries`);
  if (l1Entries < l1EntriesFor(sizeBytes, clusterBits, extendedL2)) throw bad("the L1 table is too small for the disk");
  if (!aligned(l1Offset) || l1Offset + l1Entries * 8 > endBytes || (l1Entries > 0 && l1Offset === 0)) throw bad("the L1 table is outside the file");
  const refcountTableOffset = be64(view, 48);
  const refcountTableClusters = view.getUint32(56);
  const refcountBytes = refcountTableClusters * clusterBytes;
  if (refcountTableClusters === 0 || refcountBytes > MAX_REFCOUNT_TABLE_BYTES) throw bad(`refcount table of ${refcountTableClusters} clusters`);
  if (!aligned(refcountTableOffset) || refcountTableOffset === 0 || refcountTableOffset + refcountBytes > endBytes)
    throw bad("the refcount table is outside the file");
  const snapshotCount = view.getUint32(60);
  const snapshotsOffset = be64(view, 64);
  if (snapshotCount > MAX_SNAPSHOTS) throw bad(`${snapshotCount} snapshots`);
  if (snapshotCount > 0 && (!aligned(snapshotsOffset) || snapshotsOffset === 0)) throw bad("the snapshot table is outside the file");
  return {
    version,
    clusterBits,
    sizeBytes,
    l1Entries,
    l1Offset,
    refcountTableOffset,
    refcountTableClusters,
    snapshotCount,
    snapshotsOffset,
    incompatible,
    compatible: v3 ? view.getBigUint64(80) : 0n,
    autoclear: v3 ? view.getBigUint64(88) : 0n,
    refcountOrder,
    headerBytes,
    compression: compressionType === 1 ? "zstd" : "zlib",
    extendedL2,
    backingFile: backingName(start, view, clusterBytes, bad),
    backingFormat: backingFormat(extensions),
    extensions,
  };
}

function parseExtensions(start: Uint8Array, from: number, end: number, view: DataView, bad: (why: string) => VmmError): HeaderExtension[] {
  const out: HeaderExtension[] = [];
  const backingOffset = be64(view, 8);
  const stop = backingOffset > from && backingOffset < end ? backingOffset : end;
  let at = from;
  while (at + 8 <= stop) {
    const type = view.getUint32(at);
    const bytes = view.getUint32(at + 4);
    if (type === EXTENSION.END) break;
    if (bytes > stop - at - 8) throw bad("a header extension is too long");
    if (out.length >= 1024) throw bad("too many header extensions");
    out.push({ type, data: start.slice(at + 8, at + 8 + bytes) });
    at += 8 + Math.ceil(bytes / 8) * 8;
  }
  return out;
}

function backingName(start: Uint8Array, view: DataView, clusterBytes: number, bad: (why: string) => VmmError): string | undefined {
  const offset = be64(view, 8);
  if (offset === 0) return undefined;
  const bytes = view.getUint32(16);
  if (bytes === 0) return undefined;
  if (bytes > 1023 || offset + bytes > Math.min(clusterBytes, start.length)) throw bad("the backing file's name is outside the header");
  return utf8Text(start.subarray(offset, offset + bytes));
}

function backingFormat(extensions: readonly HeaderExtension[]): string | undefined {
  const found = extensions.find((e) => e.type === EXTENSION.BACKING_FORMAT);
  return found === undefined || found.data.length > 64 ? undefined : ascii(found.data, 0, found.data.length);
}

/** Names of the set bits from the image's own feature name table, else "bit N". */
function featureNames(bits: bigint, extensions: readonly HeaderExtension[]): string[] {
  const table = extensions.find((e) => e.type === EXTENSION.FEATURE_NAMES)?.data ?? new Uint8Array(0);
  const names: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if (((bits >> BigInt(bit)) & 1n) === 0n) continue;
    let name = `bit ${bit}`;
    for (let at = 0; at + 48 <= table.length; at += 48) {
      if (table[at] === 0 && table[at + 1] === bit)
        name = ascii(table, at + 2, 46)
          .replace(/\0.*$/s, "")
          .replace(/[^ -~]/g, "?");
    }
    names.push(name);
  }
  return names;
}

/** The feature names every image of ours carries, so that other programs can name what they lack. */
const FEATURE_TABLE: readonly (readonly [number, number, string])[] = [
  [0, INCOMPATIBLE.DIRTY, "dirty bit"],
  [0, INCOMPATIBLE.CORRUPT, "corrupt bit"],
  [0, INCOMPATIBLE.EXTERNAL_DATA, "external data file"],
  [0, INCOMPATIBLE.COMPRESSION_TYPE, "compression type"],
  [0, INCOMPATIBLE.EXTENDED_L2, "extended L2 entries"],
  [1, 0, "lazy refcounts"],
  [2, 0, "bitmaps"],
];

/** Extensions of a new image. */
export function newExtensions(backingFormat: string | undefined): HeaderExtension[] {
  const table = new Uint8Array(48 * FEATURE_TABLE.length);
  for (const [i, [kind, bit, name]] of FEATURE_TABLE.entries()) {
    table[i * 48] = kind;
    table[i * 48 + 1] = bit;
    table.set(utf8Bytes(name), i * 48 + 2);
  }
  const out: HeaderExtension[] = [];
  if (backingFormat !== undefined) out.push({ type: EXTENSION.BACKING_FORMAT, data: utf8Bytes(backingFormat) });
  out.push({ type: EXTENSION.FEATURE_NAMES, data: table });
  return out;
}

/**
 * Lays a header out: fixed part, extensions, backing name. `keep` is the header as it was, for fields of the fixed part that this program
 * does not know. Undefined when it does not fit into the first cluster (512-byte clusters): the feature names go first, then it is tried again.
 */
export function serializeHeader(h: Qcow2Header, keep?: Uint8Array): Uint8Array | undefined {
  const clusterBytes = 2 ** h.clusterBits;
  for (const extensions of [h.extensions, h.extensions.filter((e) => e.type !== EXTENSION.FEATURE_NAMES)]) {
    const name = h.backingFile === undefined ? new Uint8Array(0) : utf8Bytes(h.backingFile);
    const total = extensions.reduce((sum, e) => sum + 8 + Math.ceil(e.data.length / 8) * 8, h.headerBytes + 8) + name.length;
    if (total > clusterBytes || name.length > 1023) continue;
    const out = new Uint8Array(Math.ceil(total / 8) * 8);
    if (keep !== undefined) out.set(keep.subarray(0, h.headerBytes));
    const view = viewOf(out);
    view.setUint32(0, QCOW2_MAGIC);
    view.setUint32(4, h.version);
    view.setUint32(20, h.clusterBits);
    putBe64(view, 24, h.sizeBytes);
    view.setUint32(36, h.l1Entries);
    putBe64(view, 40, h.l1Offset);
    putBe64(view, 48, h.refcountTableOffset);
    view.setUint32(56, h.refcountTableClusters);
    view.setUint32(60, h.snapshotCount);
    putBe64(view, 64, h.snapshotsOffset);
    if (h.version === 3) {
      view.setBigUint64(72, h.incompatible);
      view.setBigUint64(80, h.compatible);
      view.setBigUint64(88, h.autoclear);
      view.setUint32(96, h.refcountOrder);
      view.setUint32(100, h.headerBytes);
      if (h.headerBytes > 104) out[104] = h.compression === "zstd" ? 1 : 0;
    }
    let at = h.headerBytes;
    for (const e of extensions) {
      view.setUint32(at, e.type);
      view.setUint32(at + 4, e.data.length);
      out.set(e.data, at + 8);
      at += 8 + Math.ceil(e.data.length / 8) * 8;
    }
    at += 8; // the end of the extensions: zeros
    putBe64(view, 8, name.length === 0 ? 0 : at);
    view.setUint32(16, name.length);
    out.set(name, at);
    return out;
  }
  return undefined;
}
