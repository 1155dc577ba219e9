import { shape } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";
import { FLOPPY_DRIVE_STATE } from "./drive.ts";
import { TRANSFER_STATE } from "./transfer.ts";

/** Command, execution and result phase, and the time between commands. */
export type Phase = "idle" | "command" | "execute" | "result";

/** 1: the host reads the sector buffer through the FIFO; 2: it fills it; 0: neither. Non-DMA mode only. */
export type HostTurn = 0 | 1 | 2;

/** What a timer has left to run, -1 when it does not run. */
export function leftNs(timer: Timer | undefined, clock: Clock): number {
  return timer?.deadlineNs === undefined ? -1 : Math.max(0, timer.deadlineNs - clock.nowNs());
}

/** Lets a timer run for what `leftNs` gave. */
export function armLeft(timer: Timer | undefined, clock: Clock, left: number): void {
  timer?.cancel();
  if (left >= 0) timer?.arm(clock.nowNs() + left);
}
/** A saved controller; media are not part of it. */
/** 128 << 7 bytes. */
export const LARGEST_SECTOR = 16384;

export const FDC82077_STATE = shape.record({
  v: shape.oneOf(1),
  registers: shape.list(shape.byte, 11),
  phase: shape.oneOf("idle", "command", "execute", "result"),
  command: shape.list(shape.byte, 16, 0),
  result: shape.list(shape.byte, 16, 0),
  transfer: shape.maybe(TRANSFER_STATE),
  buffer: shape.list(shape.byte, LARGEST_SECTOR, 0),
  bufferPosition: shape.int(0, LARGEST_SECTOR),
  bufferBytes: shape.int(0, LARGEST_SECTOR),
  hostTurn: shape.oneOf(0, 1, 2),
  senses: shape.list(shape.pair(shape.byte, shape.byte), 8, 0),
  interrupt: shape.flag,
  seeks: shape.list(shape.record({ target: shape.int(-1, 256), leftNs: shape.moment }), 4),
  executeNs: shape.moment,
  resetNs: shape.moment,
  drives: shape.list(FLOPPY_DRIVE_STATE, 4, 0),
});
export type Fdc82077StateV1 = Shaped<typeof FDC82077_STATE>;
