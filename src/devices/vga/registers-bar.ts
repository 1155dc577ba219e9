import type { AccessSize, BusDevice } from "../../bus/index.ts";
import { readBytes, writeBytes } from "../common/byte-access.ts";
import { edidBlock } from "./edid.ts";

/** The size of the register BAR. */
export const REGISTERS_BAR_BYTES = 0x1000;

const EDID_END = 0x80;
const VGA_PORTS = 0x400;
const VGA_PORTS_END = 0x420;
const DISPI = 0x500;
const DISPI_END = 0x516;
const EXTENDED = 0x600;
/** Bytes of the extended registers: their size, then the byte order of the frame buffer. */
const EXTENDED_BYTES = 8;
const LITTLE_ENDIAN = 0x1e1e1e1e;

/** Ports 3C0h.. as offsets of the VGA's port device, which begins at 3B0h. */
const PORTS_AT_3C0 = 0x10;

/**
 * The adapter's registers in memory, as the standard VGA of PC emulators has them in BAR2: EDID at 0, the ports 3C0h-3DFh at 400h, the
 * dispi registers as words at 500h, and at 600h the extended ones (revision 2 of the function promises them). Drivers that use no I/O
 * ports set modes here. The frame buffer is always little-endian: a write of the other order changes nothing.
 */
export function registersBar(vga: { readonly ports: BusDevice; readonly dispiPorts: BusDevice }): BusDevice {
  const edid = edidBlock();
  const extended = Uint8Array.from([EXTENDED_BYTES, 0, 0, 0, ...[0, 8, 16, 24].map((shift) => (LITTLE_ENDIAN >>> shift) & 0xff)]);
  const readDispi = (offset: number): number => {
    vga.dispiPorts.write(0, 2, (offset - DISPI) >>> 1);
    return vga.dispiPorts.read(1, 2);
  };
  const readByte = (offset: number): number => {
    if (offset < EDID_END) return edid[offset] ?? 0;
    if (offset >= VGA_PORTS && offset < VGA_PORTS_END) return vga.ports.read(PORTS_AT_3C0 + offset - VGA_PORTS, 1);
    if (offset >= DISPI && offset < DISPI_END) return (readDispi(offset) >>> (8 * (offset & 1))) & 0xff;
    return extended[offset - EXTENDED] ?? 0;
  };
  return {
    name: "vga-registers",
    read(offset: number, size: AccessSize): number {
      if (size === 2 && (offset & 1) === 0 && offset >= DISPI && offset < DISPI_END) return readDispi(offset);
      return readBytes(offset, size, readByte);
    },
    write(offset: number, size: AccessSize, value: number): void {
      if (offset >= VGA_PORTS && offset + size <= VGA_PORTS_END) {
        writeBytes(PORTS_AT_3C0 + offset - VGA_PORTS, size, value, (port, byte) => vga.ports.write(port, 1, byte));
        return;
      }
      // The dispi registers are words: bytes of them cannot be written.
      if (size === 1 || (offset & 1) !== 0) return;
      for (let i = 0; i < size; i += 2) {
        if (offset + i < DISPI || offset + i >= DISPI_END) continue;
        vga.dispiPorts.write(0, 2, (offset + i - DISPI) >>> 1);
        vga.dispiPorts.write(1, 2, (value >>> (8 * i)) & 0xffff);
      }
    },
  };
}
