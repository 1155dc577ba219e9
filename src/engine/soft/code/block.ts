import type { CodeSize } from "../../../isa/index.ts";
import { REC_BYTES, REC_COUNT, REC_POOL } from "../state-layout.ts";

/** Instructions of a block at most. */
export const MAX_BLOCK = 64;
/** Records kept for blocks that are decoded anew each time (single steps, tails, MMIO code). */
export const SCRATCH_RECORDS = MAX_BLOCK + 2;
export const SCRATCH_FIRST = REC_POOL + (REC_COUNT - SCRATCH_RECORDS) * REC_BYTES;

/** A decoded run of instructions, kept by the guest-physical page that it begins on. */
export interface Block {
  readonly rec: number;
  readonly records: number;
  readonly page: number;
  readonly codeSize: CodeSize;
  /** How often the translator saw it run; see translate/. */
  heat: number;
  /** Translated regions that contain it. */
  readonly regions: number[];
  /** Bytes covered: offsets in the page, and in the following page when it crosses (then `nextPage` >= 0). */
  readonly start: number;
  readonly end: number;
  readonly nextPage: number;
  readonly nextEnd: number;
  /** Its instructions in the pool. */
  readonly insns: number[];
  /** Records whose link leads here. */
  readonly incoming: number[];
  dead: boolean;
}

/** Views of the memory that records and bitmaps lie in. */
export interface MemoryViews {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
}
