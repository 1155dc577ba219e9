/**
 * Compression, given to the formats by the platform. Input is hostile: every function answers undefined for what it cannot do, and never makes
 * more than `bytes` bytes.
 */
export interface Codec {
  /** Raw deflate (RFC 1951). The stream may be followed by other bytes. Exactly `bytes` of output, else undefined. */
  inflateRaw(from: Uint8Array, bytes: number): Uint8Array | undefined;
  /** Raw deflate with a window of at most 4 KB, as qcow2 readers expect. */
  deflateRaw(from: Uint8Array): Uint8Array | undefined;
  /** One Zstandard frame (RFC 8878); exactly `bytes` of output. */
  unzstd(frame: Uint8Array, bytes: number): Uint8Array | undefined;
}

const ZSTD_MAGIC = 0xfd2fb528;
/** Frames that want a larger window are refused: a cluster has at most 2 MB. */
const MAX_WINDOW_BYTES = 8 * 1024 * 1024;

/**
 * Length of the Zstandard frame at the start of `from` (RFC 8878 §3.1.1), undefined when it is none, is cut, or would make much more than `bytes`
 * bytes. Clusters are followed by unrelated bytes, and decoders want exactly one frame.
 */
export function zstdFrameBytes(from: Uint8Array, bytes: number): number | undefined {
  const view = new DataView(from.buffer, from.byteOffset, from.byteLength);
  if (from.length < 9 || view.getUint32(0, true) !== ZSTD_MAGIC) return undefined;
  const descriptor = view.getUint8(4);
  const singleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  let at = 5;
  if (!singleSegment) {
    const window = view.getUint8(at++);
    const base = 2 ** (10 + (window >> 3));
    if (base + (base / 8) * (window & 7) > MAX_WINDOW_BYTES) return undefined;
  }
  at += dictionaryBytes;
  if (at + sizeBytes > from.length) return undefined;
  const low = sizeBytes === 1 ? view.getUint8(at) : sizeBytes === 2 ? view.getUint16(at, true) + 256 : sizeBytes >= 4 ? view.getUint32(at, true) : 0;
  if (low > MAX_WINDOW_BYTES || (sizeBytes === 8 && view.getUint32(at + 4, true) !== 0)) return undefined;
  at += sizeBytes;
  let made = 0;
  for (let blocks = 0; ; blocks++) {
    if (at + 3 > from.length || blocks > 16 + bytes / 1024) return undefined;
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    const type = (header >> 1) & 3;
    if (type === 3) return undefined;
    if (type !== 2) made += header >> 3;
    if (made > bytes) return undefined;
    at += 3 + (type === 1 ? 1 : header >> 3);
    if (at > from.length) return undefined;
    if ((header & 1) !== 0) break;
  }
  if ((descriptor & 4) !== 0) at += 4;
  return at <= from.length ? at : undefined;
}
