import type { BlockBackend } from "../../../backends/api/index.ts";

/** Feature bits of block devices. Source: VIRTIO 1.2 §5.2.3. */
export const BLK = {
  SIZE_MAX: 1n << 1n,
  SEG_MAX: 1n << 2n,
  GEOMETRY: 1n << 4n,
  RO: 1n << 5n,
  BLK_SIZE: 1n << 6n,
  FLUSH: 1n << 9n,
  TOPOLOGY: 1n << 10n,
  CONFIG_WCE: 1n << 11n,
  DISCARD: 1n << 13n,
  WRITE_ZEROES: 1n << 14n,
} as const;

export const QUEUE_SIZE = 256;
/** Segments of a request without header and status, and bytes of each; together the largest request that we take on. */
export const SEG_MAX = 126;
export const SIZE_MAX = 1024 * 1024;
/** Ranges in one discard or write-zeroes request, and sectors in each. */
export const DISCARD_SEGMENTS = 16;
export const DISCARD_SECTORS = 0x3fffff;
export const ZERO_SEGMENTS = 1;
export const ZERO_SECTORS = 0x10000;

export const CONFIG_BYTES = 60;
/** The one byte that drivers may write: 1 write-back, 0 write-through. */
export const WRITEBACK = 32;

/** The configuration space of a disk (VIRTIO 1.2 §5.2.4). */
export function blkConfig(backend: BlockBackend): Uint8Array {
  const bytes = new Uint8Array(CONFIG_BYTES);
  const v = new DataView(bytes.buffer);
  const sectors = Math.floor(backend.sizeBytes / 512);
  v.setUint32(0, sectors >>> 0, true);
  v.setUint32(4, Math.floor(sectors / 2 ** 32), true);
  v.setUint32(8, SIZE_MAX, true);
  v.setUint32(12, SEG_MAX, true);
  // Heads and sectors as LBA-assist translation has them; no driver addresses by them.
  v.setUint16(16, Math.min(65535, Math.floor(sectors / (255 * 63))), true);
  bytes[18] = 255;
  bytes[19] = 63;
  v.setUint32(20, 512, true);
  // Eight logical blocks in a physical one; transfers are best as multiples of 4 KB.
  bytes[24] = 3;
  v.setUint16(26, 8, true);
  bytes[WRITEBACK] = 1;
  v.setUint16(34, 1, true);
  v.setUint32(36, DISCARD_SECTORS, true);
  v.setUint32(40, DISCARD_SEGMENTS, true);
  v.setUint32(44, 8, true);
  v.setUint32(48, ZERO_SECTORS, true);
  v.setUint32(52, ZERO_SEGMENTS, true);
  bytes[56] = backend.discard === undefined ? 0 : 1;
  return bytes;
}
