import { BDA } from "../isa/index.ts";
import type { PhysicalMemory } from "../vmm/index.ts";

/** The extended BIOS data area after POST: the last KB of conventional memory. */
export const EBDA_SEGMENT = 0x9fc0;
export const BASE_MEMORY_KB = 639;
/** Ticks in a day of the 18.2065 Hz clock. */
export const TICKS_PER_DAY = 0x1800b0;

/** Where the extended BIOS data area is now: memory managers move it and tell so in 40Eh. */
export function ebdaSegment(mem: PhysicalMemory): number {
  const segment = mem.read16(BDA.EBDA_SEGMENT);
  return segment === 0 ? EBDA_SEGMENT : segment;
}
