export { ACPI_PM_BYTES, ACPI_PM_STATE, AcpiPm } from "./device.ts";
export type { AcpiPmOptions, AcpiPmStateV1 } from "./device.ts";
