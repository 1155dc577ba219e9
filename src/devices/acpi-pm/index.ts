export { ACPI_PM_BYTES, AcpiPm } from "./device.ts";
export type { AcpiPmOptions, AcpiPmStateV1 } from "./device.ts";
