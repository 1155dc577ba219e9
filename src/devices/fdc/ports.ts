import type { BusDevice } from "../../bus/index.ts";

/** A device of byte-wide registers: a wider access is several narrow ones, lowest first. */
export function byteRegisters(name: string, read: (offset: number) => number, write: (offset: number, value: number) => void): BusDevice {
  return {
    name,
    read: (offset, size) => {
      let value = 0;
      for (let i = 0; i < size; i++) value |= read(offset + i) << (8 * i);
      return value >>> 0;
    },
    write: (offset, size, value) => {
      for (let i = 0; i < size; i++) write(offset + i, (value >>> (8 * i)) & 0xff);
    },
  };
}
