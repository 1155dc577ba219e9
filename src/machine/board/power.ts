import { shape } from "../../base/index.ts";
import { DEFAULT_BIOS_CONFIG } from "../../biosemul/index.ts";
import type { BusDevice } from "../../bus/index.ts";
import { ACPI_PM_BYTES, AcpiPm } from "../../devices/acpi-pm/index.ts";
import { IRQ, PORT } from "../../isa/index.ts";
import type { Backplane } from "./backplane.ts";

/** The power management block, where the ACPI tables say that it is. */
export function buildPm(on: Backplane): AcpiPm {
  const { pmBase, smiCommandPort, acpiEnable, acpiDisable, s3SleepType, s5SleepType } = DEFAULT_BIOS_CONFIG;
  const { clock, powerOff, suspend, wake } = on.wires;
  const pm = new AcpiPm({ clock, sci: on.pin(IRQ.ACPI), s3SleepType, s5SleepType, powerOff, suspend, wake, acpiEnable, acpiDisable });
  on.pio.register(pmBase, ACPI_PM_BYTES, pm.block);
  on.claimBytes(smiCommandPort, 2, pm.command);
  return pm;
}

const WORD = "Shutdown";

/** Letters of the word that have come. */
export const SHUTDOWN_PORT_STATE = shape.int(0, WORD.length);

/**
 * A way to switch a virtual PC off that no real chip has: the word "Shutdown" written byte by byte to port 8900h (Bochs and the
 * old QEMU BIOS interface; GRUB's `halt` uses it).
 */
export class ShutdownPort implements BusDevice {
  readonly name = "shutdown-port";
  readonly #powerOff: (by: string) => void;
  /** Letters of the word that have come. */
  #matched = 0;

  constructor(powerOff: (by: string) => void) {
    this.#powerOff = powerOff;
  }
  read(_offset: number, size: 1 | 2 | 4): number {
    return size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff;
  }
  write(_offset: number, _size: 1 | 2 | 4, value: number): void {
    const char = String.fromCharCode(value & 0xff);
    if (char === WORD.charAt(this.#matched)) this.#matched++;
    else this.#matched = char === WORD.charAt(0) ? 1 : 0;
    if (this.#matched < WORD.length) return;
    this.#matched = 0;
    this.#powerOff("port 8900h");
  }
  saveState(): number {
    return this.#matched;
  }
  loadState(matched: number): void {
    this.#matched = matched;
  }
}

export function buildShutdownPort(on: Backplane): ShutdownPort {
  const port = new ShutdownPort((by) => on.wires.powerOff(by));
  on.pio.register(PORT.SHUTDOWN, 1, port);
  return port;
}
