import type { Clock } from "../../base/index.ts";
import { DEFAULT_BIOS_CONFIG } from "../../biosemul/index.ts";
import type { IrqPin, PioBus } from "../../bus/index.ts";
import { ACPI_PM_BYTES, AcpiPm } from "../../devices/acpi-pm/index.ts";

/** The power management block, where the ACPI tables say that it is. */
export function buildAcpiPm(options: {
  readonly clock: Clock;
  readonly pio: PioBus;
  readonly sci: IrqPin;
  readonly powerOff: (by: string) => void;
}): AcpiPm {
  const { pmBase, smiCommandPort, acpiEnable, acpiDisable, s5SleepType } = DEFAULT_BIOS_CONFIG;
  const pm = new AcpiPm({ clock: options.clock, sci: options.sci, s5SleepType, powerOff: options.powerOff, acpiEnable, acpiDisable });
  options.pio.register(pmBase, ACPI_PM_BYTES, pm.block);
  options.pio.register(smiCommandPort, 2, pm.command, { maxSize: 1 });
  return pm;
}
