/** CRC-32C (Castagnoli, RFC 3720 appendix B.4): reflected, polynomial 1EDC6F41h. */
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let crc = n;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** Of bytes in which the four at `checksumAt` count as zero: where the sum itself is stored. */
export function crc32c(bytes: Uint8Array, checksumAt: number): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) {
    const byte = i >= checksumAt && i < checksumAt + 4 ? 0 : (bytes[i] ?? 0);
    crc = (TABLE[(crc ^ byte) & 255] ?? 0) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}
