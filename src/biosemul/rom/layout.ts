/** Offsets in the F000 segment that programs jump to or read directly. Source: IBM PC AT BIOS listing; spec of compatible BIOSes. */
export const ENTRY = {
  POST: 0xe05b,
  NMI: 0xe2c3,
  INT13: 0xe3fe,
  DISK_TYPES: 0xe401,
  INT19: 0xe6f2,
  CONFIG_TABLE: 0xe6f5,
  BAUD_TABLE: 0xe729,
  INT14: 0xe739,
  INT16: 0xe82e,
  INT09: 0xe987,
  INT40: 0xec59,
  INT0E: 0xef57,
  DISKETTE_TABLE: 0xefc7,
  INT17: 0xefd2,
  INT10: 0xf065,
  CRTC_TABLE: 0xf0a4,
  INT12: 0xf841,
  INT11: 0xf84d,
  INT15: 0xf859,
  FONT_8X8: 0xfa6e,
  INT1A: 0xfe6e,
  INT08: 0xfea5,
  VECTORS: 0xfef3,
  IRET: 0xff53,
  INT05: 0xff54,
  RESET: 0xfff0,
  DATE: 0xfff5,
  MODEL: 0xfffe,
} as const;

/** F0000-F7FFF is left to the caller's data (fonts, video tables); tables (from F8000) and code of this room are above it. */
export const ROM_CODE = 0xd000;

/** A write to this otherwise unused port is the trap of the "port" style. */
export const BIOS_TRAP_PORT = 0xe8;

/** Traps that are not an interrupt vector of their own: steps inside ROM code, and far-call entries. */
export const TRAP = {
  POST: 0x100,
  BOOT_FIRST: 0x101,
  BOOT_NEXT: 0x102,
  KEY: 0x103,
  MOUSE: 0x104,
  RTC: 0x105,
  BIOS32: 0x106,
  PCI32: 0x107,
  APM16: 0x108,
  APM32: 0x109,
  OPTION_ROM: 0x10a,
} as const;
/** Traps from here up return with a far RET and give CF in live FLAGS. */
export const FIRST_FAR_TRAP = TRAP.BIOS32;
export const LAST_FAR_TRAP = TRAP.APM32;
export const TRAP_COUNT = 0x110;
