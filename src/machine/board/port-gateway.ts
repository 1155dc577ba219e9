import type { PortIo } from "../../biosemul/index.ts";
import type { PioBus } from "../../bus/index.ts";
import { ENTRY_RUN, ENTRY_SKIP } from "../../vmm/index.ts";
import type { AccessSize, GuestIo, VmEntry, VmExit } from "../../vmm/index.ts";
import type { DeviceSet } from "./devices.ts";

/** Where port and memory accesses of the guest go. The devices behind it are exchanged at a hard reset. */
export class PortGateway implements GuestIo {
  /** Its accesses are exits: the BIOS is called there. -1: none. */
  readonly #trapPort: number;
  #devices: DeviceSet | undefined;

  constructor(trapPort: number) {
    this.#trapPort = trapPort;
  }
  connect(devices: DeviceSet): void {
    this.#devices = devices;
  }
  portRead(port: number, size: AccessSize): number {
    return this.#devices === undefined ? -1 : this.#devices.pio.read(port, size);
  }
  portWrite(port: number, size: AccessSize, value: number): boolean {
    if (port === this.#trapPort || this.#devices === undefined) return false;
    this.#devices.pio.write(port, size, value);
    return true;
  }
  mmioRead(gpa: number, size: AccessSize): number {
    return this.#devices === undefined ? -1 : this.#devices.mmio.read(gpa, size);
  }
  mmioWrite(gpa: number, size: AccessSize, value: number): boolean {
    if (this.#devices === undefined) return false;
    this.#devices.mmio.write(gpa, size, value);
    return true;
  }
  interruptAcknowledge(): number {
    return this.#devices?.chips.pic.acknowledge() ?? 0xff;
  }

  /** An access that became an exit. */
  answer(exit: VmExit): VmEntry {
    if (this.#devices === undefined) return ENTRY_SKIP;
    const { pio, mmio } = this.#devices;
    switch (exit.kind) {
      case "io-in":
        return { kind: "io-in", value: pio.read(exit.port, exit.size) };
      case "io-out":
        pio.write(exit.port, exit.size, exit.value);
        return ENTRY_SKIP;
      case "mmio-read":
        return { kind: "mmio-read", value: mmio.read(exit.gpa, exit.size) };
      case "mmio-write":
        mmio.write(exit.gpa, exit.size, exit.value);
        return ENTRY_SKIP;
      default:
        return ENTRY_RUN;
    }
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
