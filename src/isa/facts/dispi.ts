/**
 * Registers of the Bochs VBE "dispi" interface (index at port 1CEh, data at 1CFh), by which the video BIOS and display drivers set linear modes. Source: the
 * interface's description in Bochs' VBE documentation.
 */
export const DISPI = {
  ID: 0,
  XRES: 1,
  YRES: 2,
  BPP: 3,
  ENABLE: 4,
  BANK: 5,
  VIRT_WIDTH: 6,
  VIRT_HEIGHT: 7,
  X_OFFSET: 8,
  Y_OFFSET: 9,
  VIDEO_MEMORY_64K: 10,
} as const;

/** Bits of DISPI.ENABLE. */
export const DISPI_ENABLE = { ENABLED: 0x01, GETCAPS: 0x02, DAC_8BIT: 0x20, LFB: 0x40, NOCLEAR: 0x80 } as const;
