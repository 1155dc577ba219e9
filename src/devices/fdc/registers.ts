/** Registers by their offset from 3F0h; some are another one when written (82077AA data sheet 290166, §2.1). */
export const REGISTER = { STATUS_A: 0, STATUS_B: 1, DOR: 2, TDR: 3, MSR: 4, DSR: 4, FIFO: 5, DIR: 7, CCR: 7 } as const;
/** Main status register (82077AA data sheet 290166, §2.1.5). */
export const MSR = { RQM: 0x80, DIO: 0x40, NON_DMA: 0x20, BUSY: 0x10 } as const;
/** Digital output register (§2.1.3). */
export const DOR = { NOT_RESET: 0x04, DMA_GATE: 0x08 } as const;
/** Status registers 0..3 of the result phase (§5.0). */
export const ST0 = { ABNORMAL: 0x40, INVALID: 0x80, POLL: 0xc0, SEEK_END: 0x20, EQUIPMENT: 0x10 } as const;
export const ST1 = { MA: 0x01, NW: 0x02, ND: 0x04, OR: 0x10, DE: 0x20, EN: 0x80 } as const;
export const ST2 = { MD: 0x01, SN: 0x04, SH: 0x08, WC: 0x10, DD: 0x20, CM: 0x40 } as const;
export const ST3 = { WP: 0x40, READY: 0x20, TRACK0: 0x10, TWO_SIDE: 0x08 } as const;

/** What the data commands do with each sector. */
export const DATA_OPERATIONS = [
  "read",
  "read-deleted",
  "write",
  "write-deleted",
  "read-track",
  "verify",
  "format",
  "scan-equal",
  "scan-low",
  "scan-high",
] as const;
export type DataOperation = (typeof DATA_OPERATIONS)[number];

export type CommandKind =
  | DataOperation
  | "specify"
  | "sense-drive"
  | "recalibrate"
  | "sense-interrupt"
  | "read-id"
  | "dumpreg"
  | "seek"
  | "relative-seek"
  | "version"
  | "perpendicular"
  | "configure"
  | "lock";

interface CommandRow {
  readonly kind: CommandKind;
  /** Opcode with the modifier bits zero, and which modifiers may be set. */
  readonly code: number;
  readonly modifiers: number;
  /** Length with the opcode byte. */
  readonly bytes: number;
}

const MT = 0x80;
const MFM = 0x40;
const SK = 0x20;

/** Command set of the 82077AA (§5.0, table 5-1). Anything else is INVALID. */
const COMMANDS: readonly CommandRow[] = [
  { kind: "read-track", code: 0x02, modifiers: MFM, bytes: 9 },
  { kind: "specify", code: 0x03, modifiers: 0, bytes: 3 },
  { kind: "sense-drive", code: 0x04, modifiers: 0, bytes: 2 },
  { kind: "write", code: 0x05, modifiers: MT | MFM, bytes: 9 },
  { kind: "read", code: 0x06, modifiers: MT | MFM | SK, bytes: 9 },
  { kind: "recalibrate", code: 0x07, modifiers: 0, bytes: 2 },
  { kind: "sense-interrupt", code: 0x08, modifiers: 0, bytes: 1 },
  { kind: "write-deleted", code: 0x09, modifiers: MT | MFM, bytes: 9 },
  { kind: "read-id", code: 0x0a, modifiers: MFM, bytes: 2 },
  { kind: "read-deleted", code: 0x0c, modifiers: MT | MFM | SK, bytes: 9 },
  { kind: "format", code: 0x0d, modifiers: MFM, bytes: 6 },
  { kind: "dumpreg", code: 0x0e, modifiers: 0, bytes: 1 },
  { kind: "seek", code: 0x0f, modifiers: 0, bytes: 3 },
  { kind: "relative-seek", code: 0x8f, modifiers: 0x40, bytes: 3 },
  { kind: "version", code: 0x10, modifiers: 0, bytes: 1 },
  { kind: "scan-equal", code: 0x11, modifiers: MT | MFM | SK, bytes: 9 },
  { kind: "perpendicular", code: 0x12, modifiers: 0, bytes: 2 },
  { kind: "configure", code: 0x13, modifiers: 0, bytes: 4 },
  { kind: "lock", code: 0x14, modifiers: MT, bytes: 1 },
  { kind: "verify", code: 0x16, modifiers: MT | MFM | SK, bytes: 9 },
  { kind: "scan-low", code: 0x19, modifiers: MT | MFM | SK, bytes: 9 },
  { kind: "scan-high", code: 0x1d, modifiers: MT | MFM | SK, bytes: 9 },
];

/** By opcode byte; undefined for invalid ones. */
const BY_OPCODE: readonly (CommandRow | undefined)[] = Array.from({ length: 256 }, (_, opcode) =>
  COMMANDS.find((c) => (opcode & ~c.modifiers & 0xff) === c.code),
);

export function decodeCommand(opcode: number): CommandRow | undefined {
  return BY_OPCODE[opcode & 0xff];
}

/** Status register A, PS/2 form (§2.1.1): interrupt, second drive, track 0, index, write protect; low-active where so named. */
export function statusA(interrupt: boolean, secondDrive: boolean, track0: boolean, writeProtected: boolean): number {
  return (interrupt ? 0x80 : 0) | (secondDrive ? 0 : 0x40) | (track0 ? 0 : 0x10) | 0x04 | (writeProtected ? 0 : 0x02);
}

/** Factor on SPECIFY's step rate for 500, 300, 250 kbit/s and 1 Mbit/s (§5.2.5). */
const STEP_SCALE = [1, 1.67, 2, 0.5] as const;

/** Time of one step by SPECIFY's first byte and the data rate. */
export function stepMilliseconds(srtHut: number, rate: number): number {
  return (16 - (srtHut >>> 4)) * (STEP_SCALE[rate] ?? 1);
}
