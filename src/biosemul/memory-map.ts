import type { BiosConfig } from "./config.ts";

/** One row of the INT 15h/E820h map. Type: 1 RAM, 2 reserved, 3 ACPI tables, 4 ACPI NVS. */
export interface MemoryRange {
  readonly start: number;
  readonly length: number;
  readonly type: 1 | 2 | 3 | 4;
}

const MB = 0x100000;
const FOUR_GB = 0x100000000;
/** Room for the ACPI tables at the top of low RAM. */
export const ACPI_AREA_BYTES = 0x10000;

/** First byte above the RAM below 4 GiB. */
export function lowRamTop(config: BiosConfig): number {
  return Math.min(config.ramBytes, config.lowRamLimit);
}

/** Where the ACPI tables are, or undefined when ACPI is off or RAM is too small. */
export function acpiAreaStart(config: BiosConfig): number | undefined {
  const top = lowRamTop(config) & ~0xfff;
  const start = (top >>> 0) - ACPI_AREA_BYTES;
  return config.acpi && start >= 2 * MB ? start : undefined;
}

/** First byte above the RAM that the operating system may use below 4 GiB. */
export function usableTop(config: BiosConfig): number {
  return acpiAreaStart(config) ?? lowRamTop(config);
}

/** The INT 15h/E820h map: ascending, not overlapping. */
export function memoryMap(config: BiosConfig): readonly MemoryRange[] {
  const map: MemoryRange[] = [];
  const add = (start: number, end: number, type: MemoryRange["type"]): void => {
    if (end > start) map.push({ start, length: end - start, type });
  };
  add(0, 0x9fc00, 1);
  add(0x9fc00, 0xa0000, 2);
  add(0xf0000, MB, 2);
  add(MB, usableTop(config), 1);
  const acpi = acpiAreaStart(config);
  if (acpi !== undefined) add(acpi, lowRamTop(config), 3);
  if (config.apic) {
    add(0xfec00000, 0xfec01000, 2);
    if (config.hpet) add(0xfed00000, 0xfed00400, 2);
    add(0xfee00000, 0xfee01000, 2);
  } else if (config.hpet) add(0xfed00000, 0xfed00400, 2);
  add(0xfffc0000, FOUR_GB, 2);
  add(FOUR_GB, FOUR_GB + Math.max(0, config.ramBytes - config.lowRamLimit), 1);
  return map;
}

/** KB of RAM from 1 MB up in one piece, capped at `cap`. */
export function extendedKb(config: BiosConfig, cap: number): number {
  return Math.max(0, Math.min(cap, Math.floor((usableTop(config) - MB) / 1024)));
}

/** INT 15h/E801h: KB from 1 to 16 MB, and 64-KB pieces from 16 MB up (below 4 GiB). */
export function e801(config: BiosConfig): { readonly lowKb: number; readonly high64k: number } {
  const top = usableTop(config);
  return { lowKb: extendedKb(config, 0x3c00), high64k: Math.max(0, Math.min(0xffff, Math.floor((top - 16 * MB) / 0x10000))) };
}
