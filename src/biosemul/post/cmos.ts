import type { BiosContext } from "../api.ts";
import type { BiosConfig } from "../config.ts";
import { writeCmos } from "../int/int70.ts";
import { BASE_MEMORY_KB } from "../bda.ts";

const MB = 0x100000;
const HARD_DISK_TYPES = 0x12;

/** Drive types, equipment and memory sizes in CMOS, from the configuration, with the checksum of 10h-2Dh. */
export function writeSetupCmos(ctx: BiosContext, config: BiosConfig, equipment: number): void {
  const bytes = new Map<number, number>();
  const put16 = (at: number, value: number): void => {
    bytes.set(at, value & 0xff);
    bytes.set(at + 1, (value >>> 8) & 0xff);
  };
  const disks = ctx.drives.filter((drive) => drive.kind === "hard-disk");
  const diskType = (unit: number): number => (disks.some((drive) => drive.unit === unit) ? 0xf : 0);
  bytes.set(0x10, ((config.floppyTypes[0] ?? 0) << 4) | (config.floppyTypes[1] ?? 0));
  bytes.set(HARD_DISK_TYPES, (diskType(0) << 4) | diskType(1));
  bytes.set(0x14, equipment & 0xff);
  put16(0x15, BASE_MEMORY_KB + 1);
  const lowTop = Math.min(config.ramBytes, config.lowRamLimit);
  const extended = Math.max(0, Math.min(0xffff, (lowTop - MB) >>> 10));
  put16(0x17, extended);
  // Type 47 ("user") disks keep their geometry at 1Bh and 24h.
  for (const [unit, type, base] of [
    [0, 0x19, 0x1b],
    [1, 0x1a, 0x24],
  ] as const) {
    const disk = disks.find((drive) => drive.unit === unit);
    bytes.set(type, disk === undefined ? 0 : 47);
    const { cylinders, heads, sectors } = disk?.geometry ?? { cylinders: 0, heads: 0, sectors: 0 };
    put16(base, Math.min(cylinders, 0xffff));
    bytes.set(base + 2, heads & 0xff);
    put16(base + 3, disk === undefined ? 0 : 0xffff);
    bytes.set(base + 5, disk === undefined ? 0 : 0xc0 | (heads > 8 ? 8 : 0));
    put16(base + 6, Math.min(cylinders, 0xffff));
    bytes.set(base + 8, sectors & 0xff);
  }
  let sum = 0;
  for (let at = 0x10; at <= 0x2d; at++) sum += bytes.get(at) ?? 0;
  bytes.set(0x2e, (sum >>> 8) & 0xff);
  bytes.set(0x2f, sum & 0xff);
  put16(0x30, extended);
  put16(0x34, Math.max(0, Math.min(0xffff, Math.floor((lowTop - 16 * MB) / 0x10000))));
  const above = Math.max(0, Math.floor((config.ramBytes - config.lowRamLimit) / 0x10000));
  bytes.set(0x5b, above & 0xff);
  bytes.set(0x5c, (above >>> 8) & 0xff);
  bytes.set(0x5d, (above >>> 16) & 0xff);
  bytes.set(0x5f, config.cpus - 1);
  for (const [at, value] of bytes) writeCmos(ctx, at, value);
}
