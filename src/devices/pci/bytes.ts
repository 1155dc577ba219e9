/** Little-endian fields of configuration space. */
export const configU16 = (b: Uint8Array, at: number): number => (b[at] ?? 0) | ((b[at + 1] ?? 0) << 8);
export const configU32 = (b: Uint8Array, at: number): number => (configU16(b, at) | (configU16(b, at + 2) << 16)) >>> 0;
export function setConfig(b: Uint8Array, at: number, size: number, value: number): void {
  for (let i = 0; i < size; i++) b[at + i] = (value >>> (8 * i)) & 0xff;
}
