import type { DriveConfig } from "./config.ts";

/** A class of drives that the BIOS may start from. */
export type BootClass = "hd" | "fd" | "cd";
/** Where the BIOS looks for something to start: all drives of a class, or the one of that number, from 0: hd1 is the second hard disk. */
export type BootDevice = BootClass | `${BootClass}${number}`;

/** The parts of a boot device's name; undefined for what is none. */
export function parseBootDevice(text: string): { readonly kind: DriveConfig["kind"]; readonly unit: number | undefined } | undefined {
  const [, name, unit] = /^(hd|fd|cd)(\d{1,2})?$/.exec(text) ?? [];
  if (name !== "hd" && name !== "fd" && name !== "cd") return undefined;
  return { kind: BOOT_KIND[name], unit: unit === undefined ? undefined : Number(unit) };
}

export function isBootDevice(text: string): text is BootDevice {
  return parseBootDevice(text) !== undefined;
}

const BOOT_KIND = { hd: "hard-disk", fd: "floppy", cd: "cdrom" } as const satisfies Record<BootClass, DriveConfig["kind"]>;
