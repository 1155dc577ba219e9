import { DEBUG_EXIT_PORTS, DebugExit, PC_TESTDEV, PcTestdev } from "../../devices/testdev/index.ts";
import type { IrqPin } from "../../bus/index.ts";
import type { Backplane } from "./backplane.ts";

/** Where the guest's tests say how they went. */
export function buildDebugExit({ config, pio, wires }: Backplane): DebugExit | undefined {
  if (config.isaDebugExit === undefined) return undefined;
  const device = new DebugExit(wires.debugExit);
  pio.register(config.isaDebugExit, DEBUG_EXIT_PORTS, device);
  return device;
}

const ISA_LINES = 16;

/** QEMU's test device at its places; the debug console's port may lie inside them. */
export function buildPcTestdev(on: Backplane): PcTestdev | undefined {
  if (!on.config.pcTestdev) return undefined;
  const pins: IrqPin[] = Array.from({ length: ISA_LINES }, (_, irq) => on.pin(irq));
  const { ioApic } = on.chips.apic;
  const device = new PcTestdev({ setIrq: (line, level) => (pins[line] === undefined ? ioApic.setPin(line, level) : pins[line].set(level)) });
  const { pio, mmio } = on;
  pio.register(PC_TESTDEV.IO, PC_TESTDEV.IO_PORTS, device.io);
  pio.register(PC_TESTDEV.FLUSH, PC_TESTDEV.FLUSH_PORTS, device.flush);
  pio.register(PC_TESTDEV.IO_BYTE, on.chips.debugPort === undefined ? PC_TESTDEV.IO_BYTE_PORTS : 1, device.ioByte, { maxSize: 1 });
  pio.register(PC_TESTDEV.IRQ, PC_TESTDEV.IRQ_LINES, device.irq);
  mmio.register(PC_TESTDEV.MEMORY, PC_TESTDEV.MEMORY_BYTES, device.memory);
  return device;
}
