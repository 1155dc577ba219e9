/** Big-endian fields and the Internet checksum (RFC 1071). Offsets are the caller's to check. */

export function get16(b: Uint8Array, at: number): number {
  return ((b[at] ?? 0) << 8) | (b[at + 1] ?? 0);
}

export function get32(b: Uint8Array, at: number): number {
  return (((b[at] ?? 0) << 24) | ((b[at + 1] ?? 0) << 16) | ((b[at + 2] ?? 0) << 8) | (b[at + 3] ?? 0)) >>> 0;
}

export function put16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}

export function put32(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
}

/** A hardware address as a 48-bit number: comparable, a map key. */
export function getMac(b: Uint8Array, at: number): number {
  return get16(b, at) * 0x100000000 + get32(b, at + 2);
}

export function putMac(b: Uint8Array, at: number, mac: number): void {
  put16(b, at, Math.floor(mac / 0x100000000));
  put32(b, at + 2, mac >>> 0);
}

export const BROADCAST_MAC = 0xffffffffffff;

/** Sum of big-endian 16-bit words added to `sum`, not folded; good for 64 KiB and more. */
export function sumWords(b: Uint8Array, start: number, end: number, sum: number): number {
  let at = start;
  let total = sum;
  for (const even = end - 1; at < even; at += 2) total += ((b[at] ?? 0) << 8) | (b[at + 1] ?? 0);
  return at < end ? total + ((b[at] ?? 0) << 8) : total;
}

/** Folds a sum to 16 bits. */
export function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return folded;
}

/** The checksum field's value for the bytes, with that field zero. */
export function checksum(b: Uint8Array, start: number, end: number, sum = 0): number {
  return ~fold(sumWords(b, start, end, sum)) & 0xffff;
}

/** The TCP and UDP pseudo header (RFC 793 §3.1), not folded. */
export function pseudoSum(source: number, destination: number, protocol: number, length: number): number {
  return (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + protocol + length;
}
