/** Facts of the PC platform, once: ports, IRQs, memory map. Source: IBM PC/AT technical reference, chip data sheets. */
export const PORT = {
  DMA1: 0x00,
  PIC1: 0x20,
  /** Interrupt mask, and initialisation words 2 to 4. */
  PIC1_DATA: 0x21,
  PIT: 0x40,
  PIT_REFRESH: 0x41,
  PIT_SPEAKER: 0x42,
  PIT_CONTROL: 0x43,
  KBC_DATA: 0x60,
  SYSTEM_B: 0x61,
  KBC_STATUS: 0x64,
  CMOS_INDEX: 0x70,
  CMOS_DATA: 0x71,
  POST: 0x80,
  DMA_PAGE: 0x80,
  SYSTEM_A: 0x92,
  PIC2: 0xa0,
  PIC2_DATA: 0xa1,
  DMA2: 0xc0,
  DEBUG_E9: 0xe9,
  FPU_BUSY: 0xf0,
  FPU_RESET: 0xf1,
  IDE2: 0x170,
  IDE1: 0x1f0,
  VBE_INDEX: 0x1ce,
  VBE_DATA: 0x1cf,
  COM4: 0x2e8,
  COM2: 0x2f8,
  LPT2: 0x278,
  IDE2_CTL: 0x376,
  LPT1: 0x378,
  VGA: 0x3b0,
  CRTC_MONO: 0x3b4,
  INPUT_STATUS_MONO: 0x3ba,
  ATTR: 0x3c0,
  ATTR_READ: 0x3c1,
  MISC_WRITE: 0x3c2,
  SEQ: 0x3c4,
  PEL_MASK: 0x3c6,
  DAC_READ: 0x3c7,
  DAC_WRITE: 0x3c8,
  DAC_DATA: 0x3c9,
  FEATURE_READ: 0x3ca,
  MISC_READ: 0x3cc,
  GC: 0x3ce,
  CRTC_COLOR: 0x3d4,
  INPUT_STATUS_COLOR: 0x3da,
  COM3: 0x3e8,
  FDC: 0x3f0,
  /** Digital output register. */
  FDC_DOR: 0x3f2,
  IDE1_CTL: 0x3f6,
  COM1: 0x3f8,
  ELCR: 0x4d0,
  PCI_ADDRESS: 0xcf8,
  RESET_CONTROL: 0xcf9,
  PCI_DATA: 0xcfc,
  /** Bochs: the word "Shutdown". */
  SHUTDOWN: 0x8900,
} as const;

/** Offsets of a 16550's registers from its base; with LCR.DLAB set, the first two are the divisor. National PC16550D data sheet, table II. */
export const UART_REGISTER = { DATA: 0, IER: 1, IIR: 2, FCR: 2, LCR: 3, MCR: 4, LSR: 5, MSR: 6, SCRATCH: 7, DLL: 0, DLM: 1 } as const;

/** ISA interrupt lines, 0..15. */
export const IRQ = {
  PIT: 0,
  KBD: 1,
  CASCADE: 2,
  COM2: 3,
  COM1: 4,
  FDC: 6,
  LPT1: 7,
  RTC: 8,
  ACPI: 9,
  MOUSE: 12,
  FPU: 13,
  IDE1: 14,
  IDE2: 15,
} as const;

/** Guest-physical addresses. */
export const MEM = {
  IVT: 0,
  BDA: 0x400,
  BOOT: 0x7c00,
  EBDA: 0x9fc00,
  VGA: 0xa0000,
  TEXT_MONO: 0xb0000,
  TEXT_COLOR: 0xb8000,
  VGA_END: 0xc0000,
  VIDEO_ROM: 0xc0000,
  ROM_F: 0xf0000,
  HIGH: 0x100000,
  IOAPIC: 0xfec00000,
  HPET: 0xfed00000,
  LAPIC: 0xfee00000,
  LFB: 0xe0000000,
} as const;

/** PIT input clock in Hz (14.31818 MHz / 12). */
export const PIT_HZ = 1193182;
