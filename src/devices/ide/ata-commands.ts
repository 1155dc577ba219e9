/**
 * ATA command codes by the standard's names, those that move sectors apart (`TRANSFERS`). OLD: the codes of ATA-1.
 * Source: ATA/ATAPI-6 §8; ATA-1 §9.
 */
export const ATA = {
  /** The two that a packet device refuses with its signature. */
  READ_SECTORS: 0x20,
  READ_SECTORS_NO_RETRY: 0x21,
  READ_NATIVE_MAX_EXT: 0x27,
  SET_MAX_EXT: 0x37,
  READ_VERIFY: 0x40,
  READ_VERIFY_NO_RETRY: 0x41,
  READ_VERIFY_EXT: 0x42,
  DIAGNOSTIC: 0x90,
  INITIALIZE_PARAMETERS: 0x91,
  OLD_STANDBY_IMMEDIATE: 0x94,
  OLD_IDLE_IMMEDIATE: 0x95,
  OLD_STANDBY: 0x96,
  OLD_IDLE: 0x97,
  OLD_CHECK_POWER: 0x98,
  OLD_SLEEP: 0x99,
  PACKET: 0xa0,
  IDENTIFY_PACKET: 0xa1,
  SMART: 0xb0,
  SET_MULTIPLE: 0xc6,
  STANDBY_IMMEDIATE: 0xe0,
  IDLE_IMMEDIATE: 0xe1,
  STANDBY: 0xe2,
  IDLE: 0xe3,
  READ_BUFFER: 0xe4,
  CHECK_POWER: 0xe5,
  SLEEP: 0xe6,
  FLUSH_CACHE: 0xe7,
  WRITE_BUFFER: 0xe8,
  FLUSH_CACHE_EXT: 0xea,
  IDENTIFY: 0xec,
  SET_FEATURES: 0xef,
  SECURITY_FREEZE_LOCK: 0xf5,
  READ_NATIVE_MAX: 0xf8,
  SET_MAX: 0xf9,
} as const;

/** SET FEATURES subcommands (ATA/ATAPI-6 §8, SET FEATURES). */
export const FEATURE = {
  WRITE_CACHE_ON: 0x02,
  TRANSFER_MODE: 0x03,
  ADVANCED_POWER_ON: 0x05,
  ECC_BYTES_VENDOR: 0x44,
  LOOK_AHEAD_OFF: 0x55,
  RELEASE_INTERRUPT_ON: 0x5d,
  KEEP_OVER_RESET: 0x66,
  WRITE_CACHE_OFF: 0x82,
  ADVANCED_POWER_OFF: 0x85,
  LOOK_AHEAD_ON: 0xaa,
  ECC_BYTES_4: 0xbb,
  DEFAULTS_AT_RESET: 0xcc,
  RELEASE_INTERRUPT_OFF: 0xdd,
} as const;

/** SMART subcommands (ATA/ATAPI-6 §8, SMART; D1h: ATA-3). */
export const SMART = {
  READ_DATA: 0xd0,
  READ_THRESHOLDS: 0xd1,
  AUTOSAVE: 0xd2,
  SAVE: 0xd3,
  OFFLINE_TEST: 0xd4,
  READ_LOG: 0xd5,
  ENABLE: 0xd8,
  DISABLE: 0xd9,
  RETURN_STATUS: 0xda,
  AUTO_OFFLINE: 0xdb,
} as const;

/** How a command that moves sectors works: direction, DMA, blocks of several sectors, 48-bit address. */
export interface TransferCommand {
  readonly write: boolean;
  readonly dma: boolean;
  readonly multiple: boolean;
  readonly ext: boolean;
}

const transfer = (write: boolean, form: "single" | "multiple" | "dma", ext: boolean): TransferCommand => ({
  write,
  dma: form === "dma",
  multiple: form === "multiple",
  ext,
});

/** Every command that moves sectors, the forms without retries (ATA-1) included. */
export const TRANSFERS: ReadonlyMap<number, TransferCommand> = new Map([
  [0x20, transfer(false, "single", false)], // READ SECTORS
  [0x21, transfer(false, "single", false)], // READ SECTORS without retries
  [0x24, transfer(false, "single", true)], // READ SECTORS EXT
  [0x25, transfer(false, "dma", true)], // READ DMA EXT
  [0x29, transfer(false, "multiple", true)], // READ MULTIPLE EXT
  [0x30, transfer(true, "single", false)], // WRITE SECTORS
  [0x31, transfer(true, "single", false)], // WRITE SECTORS without retries
  [0x34, transfer(true, "single", true)], // WRITE SECTORS EXT
  [0x35, transfer(true, "dma", true)], // WRITE DMA EXT
  [0x39, transfer(true, "multiple", true)], // WRITE MULTIPLE EXT
  [0x3c, transfer(true, "single", false)], // WRITE VERIFY
  [0x3d, transfer(true, "dma", true)], // WRITE DMA FUA EXT
  [0xc4, transfer(false, "multiple", false)], // READ MULTIPLE
  [0xc5, transfer(true, "multiple", false)], // WRITE MULTIPLE
  [0xc8, transfer(false, "dma", false)], // READ DMA
  [0xc9, transfer(false, "dma", false)], // READ DMA without retries
  [0xca, transfer(true, "dma", false)], // WRITE DMA
  [0xcb, transfer(true, "dma", false)], // WRITE DMA without retries
  [0xce, transfer(true, "multiple", true)], // WRITE MULTIPLE FUA EXT
]);
