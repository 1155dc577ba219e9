import type { FloppyDriveStateV1 } from "./drive.ts";
import type { Transfer } from "./transfer.ts";

/** Command, execution and result phase, and the time between commands. */
export type Phase = "idle" | "command" | "execute" | "result";

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
  readonly hostTurn: 0 | 1 | 2;
  readonly senses: readonly (readonly [number, number])[];
  readonly interrupt: boolean;
  readonly seeks: readonly { readonly target: number; readonly leftNs: number }[];
  readonly executeNs: number;
  readonly resetNs: number;
  readonly drives: readonly FloppyDriveStateV1[];
}
