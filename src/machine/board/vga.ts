import type { MmioBus } from "../../bus/index.ts";
import { PCI_CONFIG, PciVga } from "../../devices/pci/index.ts";
import { REGISTERS_BAR_BYTES, registersBar } from "../../devices/vga/index.ts";
import type { Vga } from "../../devices/vga/index.ts";
import { MEM } from "../../isa/index.ts";

/** The display adapter's PCI function: its frame buffer, and its registers wherever BAR2 is. */
export function buildPciVga(options: {
  readonly vga: Vga;
  readonly mmio: MmioBus;
  readonly frameBufferBytes: number;
  readonly frameBuffer: (address: number | undefined) => void;
}): PciVga {
  const registers = registersBar(options.vga);
  let mapped: number | undefined;
  const pciVga = new PciVga({
    frameBufferBytes: options.frameBufferBytes,
    onFrameBufferMap: options.frameBuffer,
    registers: {
      sizeBytes: REGISTERS_BAR_BYTES,
      onMap: (address) => {
        if (mapped !== undefined) options.mmio.unregister(mapped, registers);
        mapped = address !== undefined && options.mmio.tryRegister(address, REGISTERS_BAR_BYTES, registers) ? address : undefined;
      },
    },
  });
  // The frame buffer starts where software without PCI looks for it; firmware keeps what it finds there.
  pciVga.writeConfig(PCI_CONFIG.BAR0, 4, MEM.LFB);
  return pciVga;
}
