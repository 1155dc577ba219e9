/** What an L2 entry says about its cluster. qcow2 specification, "Cluster mapping", "Extended L2 Entries". */
export class L2Entry {
  /** `bad`: the entry contradicts the specification. `plain`: nothing allocated, or allocated and uncompressed. */
  kind: "plain" | "compressed" | "bad" = "plain";
  /** Offset of the cluster in the file, or of the compressed bytes; 0 when none is allocated. */
  host = 0;
  /** The host cluster may be written in place: nobody else uses it. */
  copied = false;
  /** Compressed only: bytes of the file that hold it, at most. */
  compressedBytes = 0;
  /** One bit a subcluster (bit 0 alone without extended entries): has data in the host cluster. */
  allocated = 0;
  /** One bit a subcluster: reads as zeros. */
  zero = 0;
}

export interface EntryFormat {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  readonly extendedL2: boolean;
}

const OFFSET_HI = 0x00ffffff;
/** Offsets from 2^53 on are no safe integers; no file is that long. */
const MAX_OFFSET_HI = 0x200000;

/** Reads entry `index` of an L2 table into `out`. */
export function decodeEntry(f: EntryFormat, view: DataView, index: number, out: L2Entry): void {
  const at = index * (f.extendedL2 ? 16 : 8);
  const hi = view.getUint32(at);
  const lo = view.getUint32(at + 4);
  out.kind = "plain";
  out.copied = hi >>> 31 === 1;
  out.allocated = 0;
  out.zero = 0;
  if ((hi & 0x40000000) !== 0) {
    const offsetBits = 62 - (f.clusterBits - 8) - 32;
    const offsetHi = hi & ((1 << offsetBits) - 1);
    if (offsetHi >= MAX_OFFSET_HI) {
      out.kind = "bad";
      return;
    }
    out.kind = "compressed";
    out.copied = false;
    out.host = offsetHi * 2 ** 32 + lo;
    out.compressedBytes = (((hi & 0x3fffffff) >>> offsetBits) + 1) * 512 - (out.host % 512);
    return;
  }
  const offsetHi = hi & OFFSET_HI;
  out.host = offsetHi * 2 ** 32 + ((lo & 0xfffffe00) >>> 0);
  if (offsetHi >= MAX_OFFSET_HI || out.host % 2 ** f.clusterBits !== 0) {
    out.kind = "bad";
    return;
  }
  if (f.extendedL2) {
    out.zero = view.getUint32(at + 8);
    out.allocated = view.getUint32(at + 12);
    if ((out.zero & out.allocated) !== 0 || (out.allocated !== 0 && out.host === 0)) out.kind = "bad";
  } else if ((lo & 1) !== 0) {
    if (f.version < 3) out.kind = "bad";
    out.zero = 1;
  } else if (out.host !== 0) {
    out.allocated = 1;
  }
}

/** Stores an uncompressed entry. Without extended entries only bit 0 of the masks counts. */
export function encodePlain(f: EntryFormat, view: DataView, index: number, host: number, allocated: number, zero: number): void {
  const at = index * (f.extendedL2 ? 16 : 8);
  const hi = Math.floor(host / 2 ** 32);
  view.setUint32(at, host === 0 ? 0 : hi | 0x80000000);
  view.setUint32(at + 4, (host | (f.extendedL2 ? 0 : zero & 1)) >>> 0);
  if (f.extendedL2) {
    view.setUint32(at + 8, zero);
    view.setUint32(at + 12, allocated);
  }
}

/** Stores the descriptor of `bytes` compressed bytes at `host`. */
export function encodeCompressed(f: EntryFormat, view: DataView, index: number, host: number, bytes: number): void {
  const at = index * (f.extendedL2 ? 16 : 8);
  const offsetBits = 62 - (f.clusterBits - 8) - 32;
  const sectors = Math.floor((host + bytes - 1) / 512) - Math.floor(host / 512);
  view.setUint32(at, (0x40000000 | (sectors << offsetBits) | Math.floor(host / 2 ** 32)) >>> 0);
  view.setUint32(at + 4, host >>> 0);
  if (f.extendedL2) {
    view.setUint32(at + 8, 0);
    view.setUint32(at + 12, 0);
  }
}

/** One past the last host byte that a compressed entry may use, rounded to whole sectors. */
export function compressedEnd(e: L2Entry): number {
  return e.host + e.compressedBytes;
}
