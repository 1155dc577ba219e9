import type { PortIo } from "../../biosemul/index.ts";
import type { PioBus } from "../../bus/index.ts";
import type { AccessSize, GuestIo } from "../../vmm/index.ts";
import type { Chips } from "./chips.ts";

/** Ports and device memory answered below the exit. The chips behind it are exchanged at a hard reset. */
export class PortGateway implements GuestIo {
  /** Its accesses are exits: the BIOS is called there. -1: none. */
  readonly #trapPort: number;
  #chips: Chips | undefined;

  constructor(trapPort: number) {
    this.#trapPort = trapPort;
  }
  connect(chips: Chips): void {
    this.#chips = chips;
  }
  portRead(port: number, size: AccessSize): number {
    return this.#chips === undefined ? -1 : this.#chips.pio.read(port, size);
  }
  portWrite(port: number, size: AccessSize, value: number): boolean {
    if (port === this.#trapPort || this.#chips === undefined) return false;
    this.#chips.pio.write(port, size, value);
    return true;
  }
  mmioRead(gpa: number, size: AccessSize): number {
    return this.#chips === undefined ? -1 : this.#chips.mmio.read(gpa, size);
  }
  mmioWrite(gpa: number, size: AccessSize, value: number): boolean {
    if (this.#chips === undefined) return false;
    this.#chips.mmio.write(gpa, size, value);
    return true;
  }
  interruptAcknowledge(): number {
    return this.#chips?.pic.acknowledge() ?? 0xff;
  }
}

/** The same ports as the BIOS uses them. */
export function portIo(pio: PioBus): PortIo {
  return {
    in8: (port) => pio.read(port, 1),
    in16: (port) => pio.read(port, 2),
    in32: (port) => pio.read(port, 4),
    out8: (port, value) => pio.write(port, 1, value),
    out16: (port, value) => pio.write(port, 2, value),
    out32: (port, value) => pio.write(port, 4, value),
  };
}
