import type { AccessSize, BusDevice } from "../../bus/index.ts";

/** A wide read of byte-wide registers: several narrow ones, lowest address first, as an 8-bit chip on a wider bus sees it. Unsigned. */
export function readBytes(offset: number, size: AccessSize, read: (offset: number) => number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value |= read(offset + i) << (8 * i);
  return value >>> 0;
}

/** The same for a write. */
export function writeBytes(offset: number, size: AccessSize, value: number, write: (offset: number, value: number) => void): void {
  for (let i = 0; i < size; i++) write(offset + i, (value >>> (8 * i)) & 0xff);
}

/** A device of byte-wide registers. */
export function byteRegisters(name: string, read: (offset: number) => number, write: (offset: number, value: number) => void): BusDevice {
  return {
    name,
    read: (offset, size) => readBytes(offset, size, read),
    write: (offset, size, value) => writeBytes(offset, size, value, write),
  };
}
