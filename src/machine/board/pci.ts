import type { MmioBus } from "../../bus/index.ts";
import { I440fxHostBridge, PCI_CONFIG, PciBus, PciVga, Piix3IsaBridge } from "../../devices/pci/index.ts";
import { REGISTERS_BAR_BYTES, registersBar, Vga } from "../../devices/vga/index.ts";
import { MEM, PORT } from "../../isa/index.ts";
import type { Backplane } from "./backplane.ts";
import { PIRQ_GSI } from "./interrupts.ts";

export function buildVga(on: Backplane): Vga {
  const vga = new Vga({ vram: on.wires.vram, clock: on.wires.clock });
  on.pio.register(PORT.VGA, 0x30, vga.ports);
  on.pio.register(PORT.VBE_INDEX, 4, vga.dispiPorts);
  on.mmio.register(MEM.VGA, MEM.VGA_END - MEM.VGA, vga.window);
  return vga;
}

/** Bus 0: 440FX host bridge in slot 0, PIIX3 in 1 (its IDE function comes with the cables), display in 2. Virtio devices from slot 3 on. */
export function buildPci(on: Backplane): PciBus {
  const { chips, wires } = on;
  const isa = new Piix3IsaBridge({ pins: chips.lines.connectAll() });
  const bus = new PciBus({
    onPirq(pirq, level) {
      isa.setPirq(pirq, level);
      chips.apic.ioApic.setPin(PIRQ_GSI + pirq, level);
    },
  });
  bus.attach(0, 0, new I440fxHostBridge({ onPam: wires.shadow }));
  bus.attach(1, 0, isa);
  bus.attach(2, 0, displayFunction(chips.vga, on.mmio, wires.vram.length, wires.frameBuffer));
  on.pio.register(PORT.PCI_ADDRESS, 4, bus.addressPort);
  on.pio.register(PORT.PCI_DATA, 4, bus.dataPort);
  return bus;
}

/** The display adapter's PCI function: its frame buffer, and its registers wherever BAR2 is. */
function displayFunction(vga: Vga, mmio: MmioBus, frameBufferBytes: number, onFrameBufferMap: (address: number | undefined) => void): PciVga {
  const registers = registersBar(vga);
  let mapped: number | undefined;
  const pciVga = new PciVga({
    frameBufferBytes,
    onFrameBufferMap,
    registers: {
      sizeBytes: REGISTERS_BAR_BYTES,
      onMap: (address) => {
        if (mapped !== undefined) mmio.unregister(mapped, registers);
        mapped = address !== undefined && mmio.tryRegister(address, REGISTERS_BAR_BYTES, registers) ? address : undefined;
      },
    },
  });
  // The frame buffer starts where software without PCI looks for it; firmware keeps what it finds there.
  pciVga.writeConfig(PCI_CONFIG.BAR0, 4, MEM.LFB);
  return pciVga;
}
