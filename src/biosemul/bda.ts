import type { PhysicalMemory } from "../vmm/index.ts";

/** BIOS data area (linear addresses) and extended BIOS data area (offsets). Source: IBM PS/2 and PC BIOS interface technical reference. */
export const BDA = {
  COM: 0x400,
  LPT: 0x408,
  EBDA_SEGMENT: 0x40e,
  EQUIPMENT: 0x410,
  BASE_MEMORY_KB: 0x413,
  SHIFT1: 0x417,
  SHIFT2: 0x418,
  ALT_KEYPAD: 0x419,
  KEY_HEAD: 0x41a,
  KEY_TAIL: 0x41c,
  KEY_RING: 0x41e,
  FLOPPY_RECALIBRATE: 0x43e,
  FLOPPY_MOTOR: 0x43f,
  FLOPPY_MOTOR_TICKS: 0x440,
  FLOPPY_STATUS: 0x441,
  WARM_RESET_VECTOR: 0x467,
  TICKS: 0x46c,
  MIDNIGHT: 0x470,
  BREAK_FLAG: 0x471,
  RESET_FLAG: 0x472,
  DISK_STATUS: 0x474,
  DISK_COUNT: 0x475,
  LPT_TIMEOUT: 0x478,
  COM_TIMEOUT: 0x47c,
  KEY_RING_START: 0x480,
  KEY_RING_END: 0x482,
  DISK_INTERRUPT: 0x48e,
  FLOPPY_MEDIA: 0x490,
  KEY_FLAGS3: 0x496,
  KEY_LEDS: 0x497,
  WAIT_FLAG_POINTER: 0x498,
  WAIT_COUNT: 0x49c,
  WAIT_ACTIVE: 0x4a0,
  PRINT_SCREEN: 0x500,
} as const;

export const EBDA = {
  SIZE_KB: 0x00,
  MOUSE_HANDLER: 0x22,
  MOUSE_FLAGS1: 0x26,
  MOUSE_FLAGS2: 0x27,
  MOUSE_DATA: 0x28,
  DISK_TABLE0: 0x3d,
  DISK_TABLE1: 0x4d,
} as const;

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
