import type { Clock, Timer } from "../../base/index.ts";
import type { FloppyDriveStateV1 } from "./drive.ts";
import type { Transfer } from "./transfer.ts";

/** Command, execution and result phase, and the time between commands. */
export type Phase = "idle" | "command" | "execute" | "result";

/** 1: the host reads the sector buffer through the FIFO; 2: it fills it; 0: neither. Non-DMA mode only. */
export type HostTurn = 0 | 1 | 2;

/** A saved controller; media are not part of it. */
export interface Fdc82077StateV1 {
  readonly v: 1;
  readonly registers: readonly number[];
  readonly phase: Phase;
  readonly command: readonly number[];
  readonly result: readonly number[];
  readonly transfer: Transfer | undefined;
  readonly buffer: readonly number[];
  readonly bufferPosition: number;
  readonly bufferBytes: number;
  readonly hostTurn: HostTurn;
  readonly senses: readonly (readonly [number, number])[];
  readonly interrupt: boolean;
  readonly seeks: readonly { readonly target: number; readonly leftNs: number }[];
  readonly executeNs: number;
  readonly resetNs: number;
  readonly drives: readonly FloppyDriveStateV1[];
}

/** What a timer has left to run, -1 when it does not run. */
export function leftNs(timer: Timer | undefined, clock: Clock): number {
  return timer?.deadlineNs === undefined ? -1 : Math.max(0, timer.deadlineNs - clock.nowNs());
}

/** Lets a timer run for what `leftNs` gave. */
export function armLeft(timer: Timer | undefined, clock: Clock, left: number): void {
  timer?.cancel();
  if (left >= 0) timer?.arm(clock.nowNs() + left);
}
