import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import { DATA_OPERATIONS } from "./registers.ts";
import type { DataOperation } from "./registers.ts";

/** `left` of a READ ID: no sector is moved. */
const READ_ID = -2;

/** The parameters of a data command under way. */
export const TRANSFER_STATE = shape.record({
  operation: shape.oneOf(...DATA_OPERATIONS),
  unit: shape.int(0, 3),
  multiTrack: shape.flag,
  mfm: shape.flag,
  skip: shape.flag,
  head: shape.int(0, 1),
  c: shape.int(0, 256),
  h: shape.byte,
  r: shape.int(0, 256),
  n: shape.byte,
  eot: shape.byte,
  /** DTL, SC or STP, by operation. */
  last: shape.byte,
  fill: shape.byte,
  /** Sectors still to do, for verify with EC, read-track and format; -1: by EOT. */
  left: shape.int(READ_ID, 256),
  st1: shape.byte,
  st2: shape.byte,
});
export type Transfer = { -readonly [Name in keyof Shaped<typeof TRANSFER_STATE>]: Shaped<typeof TRANSFER_STATE>[Name] };

/** From the opcode's modifier bits, the drive select byte and C H R N EOT DTL. */
function makeTransfer(operation: DataOperation, command: readonly number[], p: readonly number[]): Transfer {
  const [opcode = 0, select = 0] = command;
  return {
    operation,
    unit: select & 3,
    head: (select >>> 2) & 1,
    multiTrack: (opcode & 0x80) !== 0,
    mfm: (opcode & 0x40) !== 0,
    skip: (opcode & 0x20) !== 0,
    c: p[0] ?? 0,
    h: p[1] ?? 0,
    r: p[2] ?? 0,
    n: p[3] ?? 0,
    eot: p[4] ?? 0,
    last: p[5] ?? 0,
    fill: 0,
    left: -1,
    st1: 0,
    st2: 0,
  };
}

/** A data command from its bytes (82077AA table 5-1); `cylinder`: where the drive's head is. */
export function decodeTransfer(operation: DataOperation, command: readonly number[], cylinder: number): Transfer {
  const byte = (i: number): number => command[i] ?? 0;
  if (operation === "format") {
    // N, SC, GPL, D.
    const t = makeTransfer(operation, command, [cylinder, (byte(1) >>> 2) & 1, 0, byte(2)]);
    return { ...t, fill: byte(5), left: byte(3) };
  }
  const t = makeTransfer(operation, command, [byte(2), byte(3), byte(4), byte(5), byte(6), byte(8)]);
  if (operation === "read-track") return { ...t, left: t.eot, r: 1 };
  // EC: DTL counts sectors.
  return operation === "verify" && (byte(1) & 0x80) !== 0 ? { ...t, left: t.last } : t;
}

export function decodeReadId(command: readonly number[]): Transfer {
  return { ...makeTransfer("read", command, [0, 0, 0, 2]), left: READ_ID };
}

export const isReadId = (t: Transfer): boolean => t.left === READ_ID;

export function isScan(operation: DataOperation): boolean {
  return operation === "scan-equal" || operation === "scan-low" || operation === "scan-high";
}

/**
 * Steps C H R past a finished sector as the result phase reports them (82077AA table 5-4): at EOT to the other head with
 * MT, else to the next cylinder's number. True: that was the end of the cylinder, for the controller does not step.
 */
export function advance(t: Transfer): boolean {
  const step = isScan(t.operation) && t.last === 2 ? 2 : 1;
  const atEnd = t.r === t.eot || (step === 2 && t.r + 1 === t.eot) || t.r === 255;
  if (!atEnd) {
    t.r += step;
    return false;
  }
  t.r = 1;
  if (t.multiTrack && t.head === 0) {
    t.head = 1;
    t.h ^= 1;
    return false;
  }
  if (t.multiTrack) t.h ^= 1;
  t.c++;
  return true;
}

/** Scan order of a sector against the host's data: FFh on either side matches anything. Negative: disk below host. */
export function compare(disk: Uint8Array, host: Uint8Array): number {
  for (let i = 0; i < disk.length; i++) {
    const d = disk[i] ?? 0;
    const h = host[i] ?? 0;
    if (d !== h && d !== 0xff && h !== 0xff) return d - h;
  }
  return 0;
}

/** Whether a sector that compares so ends a scan. */
export function scanMet(operation: DataOperation, order: number): boolean {
  return operation === "scan-equal" ? order === 0 : operation === "scan-low" ? order <= 0 : order >= 0;
}
