/** Fixed offsets in the video option ROM at C0000 (built by `video-rom.ts`); vectors and tables point at them. */
export const VIDEO_ROM_SEGMENT = 0xc000;
/** Guest-physical address of the video option ROM. */
export const VIDEO_ROM_BASE = 0xc0000;

/** Where the fonts lie in the video ROM. */
export const ROM_FONT = { F16: 0x1000, F14: 0x2000, F8: 0x2e00, ALTERNATE: 0x3600 } as const;

/** Where tables and texts lie in the video ROM. */
export const ROM_TABLE = {
  PARAMETERS: 0x0200,
  SAVE_POINTERS: 0x0950,
  SECONDARY: 0x0970,
  DCC: 0x0990,
  STATIC: 0x09b8,
  VBE_MODES: 0x0a00,
  OEM_STRING: 0x0b00,
  OEM_VENDOR: 0x0b40,
  OEM_PRODUCT: 0x0b60,
  OEM_REVISION: 0x0b80,
  /** Real-mode far call of ModeInfoBlock +0Ch. */
  WINDOW_CALL: 0x0c00,
  /** VBE 2 protected-mode interface table (AX=4F0Ah). */
  PROTECTED: 0x0c40,
  VBE_MODES_END: 0x0b00,
} as const;
