/** INT 13h status codes (IBM PS/2 BIOS interface reference, "INT 13h"; Phoenix EDD 3.0 table 1 for 31h and B0h-B5h). */
export const STATUS = {
  OK: 0x00,
  BAD_COMMAND: 0x01,
  ADDRESS_MARK: 0x02,
  WRITE_PROTECTED: 0x03,
  SECTOR_NOT_FOUND: 0x04,
  CHANGED: 0x06,
  PARAMETERS_FAILED: 0x07,
  DMA_BOUNDARY: 0x09,
  MEDIA_TYPE: 0x0c,
  CRC: 0x10,
  CONTROLLER: 0x20,
  NO_MEDIA: 0x31,
  SEEK: 0x40,
  TIME_OUT: 0x80,
  NOT_READY: 0xaa,
  NOT_LOCKED: 0xb0,
  LOCKED: 0xb1,
  NOT_REMOVABLE: 0xb2,
  LOCK_COUNT: 0xb4,
  EJECT_FAILED: 0xb5,
  WRITE_FAULT: 0xcc,
} as const;

/** BIOS data area cells the disk services keep (linear addresses). */
export const BDA = {
  EQUIPMENT: 0x410,
  FLOPPY_RECALIBRATE: 0x43e,
  FLOPPY_MOTOR: 0x43f,
  FLOPPY_MOTOR_TIMEOUT: 0x440,
  FLOPPY_STATUS: 0x441,
  FDC_RESULT: 0x442,
  DISK_STATUS: 0x474,
  DISK_COUNT: 0x475,
  DISK_CONTROL: 0x476,
  /** Data rate used last in bits 7:6 (0 500, 1 300, 2 250 kbit/s, 3 1 Mbit/s). */
  FLOPPY_RATE: 0x48b,
  FLOPPY_MEDIA: 0x490,
  FLOPPY_CYLINDER: 0x494,
  EBDA_SEGMENT: 0x40e,
} as const;
