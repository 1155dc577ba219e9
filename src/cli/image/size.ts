import { UsageError } from "../errors.ts";

const UNITS: Readonly<Record<string, number>> = { "": 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** `10G`, `1.5T`, `512M`, bytes without a letter: bytes, rounded up to whole sectors. */
export function parseSize(what: string, text: string): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)([bkmgt]?)(?:i?b)?$/i.exec(text) ?? [];
  const bytes = number === undefined ? Number.NaN : Number(number) * (UNITS[unit.toLowerCase()] ?? Number.NaN);
  if (!(bytes >= 1) || bytes > 2 ** 48) throw new UsageError(`${what} "${text}": use a size such as 512M, 10G or 1.5T`);
  return Math.ceil(bytes / 512) * 512;
}

/** Bytes for people: "1.5 GiB (1610612736 bytes)". */
export function describeSize(bytes: number): string {
  return `${shortSize(bytes)} (${bytes} bytes)`;
}

export function shortSize(bytes: number): string {
  let value = bytes;
  for (const unit of ["bytes", "KiB", "MiB", "GiB"]) {
    if (value < 1024) return `${Number(value.toFixed(value < 10 ? 2 : 1))} ${unit}`;
    value /= 1024;
  }
  return `${Number(value.toFixed(2))} TiB`;
}
