import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { AccessSize, BusDevice } from "../../bus/index.ts";
import { readBytes, writeBytes } from "../common/byte-access.ts";

/** Where QEMU's `pc-testdev` is, in ports and in memory. */
export const PC_TESTDEV = {
  IO: 0xe0,
  IO_PORTS: 4,
  FLUSH: 0xe4,
  FLUSH_PORTS: 4,
  IO_BYTE: 0xe8,
  IO_BYTE_PORTS: 4,
  IRQ: 0x2000,
  IRQ_LINES: 24,
  MEMORY: 0xff000000,
  MEMORY_BYTES: 0x10000,
} as const;

export interface PcTestdevOptions {
  /** Sets an interrupt line: 0 to 15 as on the ISA bus, 16 to 23 inputs of the I/O APIC. */
  readonly setIrq: (line: number, level: boolean) => void;
}

export const PC_TESTDEV_STATE = shape.record({
  v: shape.oneOf(1),
  latch: shape.bytes(PC_TESTDEV.IO_PORTS),
  memory: shape.bytes(PC_TESTDEV.MEMORY_BYTES),
  lines: shape.list(shape.flag, PC_TESTDEV.IRQ_LINES),
});
export type PcTestdevStateV1 = Shaped<typeof PC_TESTDEV_STATE>;

/**
 * QEMU's `pc-testdev`, which kvm-unit-tests and kernels' own suites use: a latch behind two ranges of ports (one takes single bytes only), memory
 * that is not RAM, a port for each interrupt line, and ports whose write makes a hypervisor forget a mapping of a page (nothing to forget here:
 * every slot change reaches the translation caches by itself).
 */
export class PcTestdev {
  readonly io: BusDevice;
  readonly ioByte: BusDevice;
  readonly flush: BusDevice;
  readonly irq: BusDevice;
  readonly memory: BusDevice;
  readonly #latch = new Uint8Array(PC_TESTDEV.IO_PORTS);
  readonly #memory = new Uint8Array(PC_TESTDEV.MEMORY_BYTES);
  readonly #lines = Array.from({ length: PC_TESTDEV.IRQ_LINES }, () => false);
  readonly #setIrq: (line: number, level: boolean) => void;

  constructor(options: PcTestdevOptions) {
    this.#setIrq = options.setIrq;
    this.io = bytesOf("pc-testdev", this.#latch);
    this.ioByte = bytesOf("pc-testdev-byte", this.#latch);
    this.memory = bytesOf("pc-testdev-memory", this.#memory);
    this.flush = { name: "pc-testdev-flush", read: () => 0, write: () => {} };
    this.irq = {
      name: "pc-testdev-irq",
      read: () => 0,
      write: (line, _size, value) => this.#drive(line, value !== 0),
    };
  }

  #drive(line: number, level: boolean): void {
    this.#lines[line] = level;
    this.#setIrq(line, level);
  }

  reset(): void {
    for (const [line, level] of this.#lines.entries()) if (level) this.#drive(line, false);
    this.#latch.fill(0);
  }

  saveState(): PcTestdevStateV1 {
    return { v: 1, latch: this.#latch.slice(), memory: this.#memory.slice(), lines: [...this.#lines] };
  }
  loadState(s: PcTestdevStateV1): void {
    this.#latch.set(s.latch.subarray(0, this.#latch.length));
    this.#memory.set(s.memory.subarray(0, this.#memory.length));
    for (let line = 0; line < PC_TESTDEV.IRQ_LINES; line++) this.#drive(line, s.lines[line] === true);
  }
}

/** A device that is nothing but bytes. */
function bytesOf(name: string, bytes: Uint8Array): BusDevice {
  return {
    name,
    read: (offset: number, size: AccessSize) => readBytes(offset, size, (at) => bytes[at] ?? 0),
    write: (offset: number, size: AccessSize, value: number) =>
      writeBytes(offset, size, value, (at, byte) => {
        bytes[at] = byte;
      }),
  };
}
