import { REC, REC_BYTES, REC_COUNT, REC_POOL } from "../state-layout.ts";
import type { MemoryViews } from "./block.ts";
import { H_BREAK, H_END } from "./codes.ts";

/** Handlers of records, and the one record that breaks out instead of being executed. */
export class Stops {
  readonly #u16: Uint16Array;
  /** 0: none. */
  #broken = 0;
  #handler = 0;

  constructor({ u16 }: MemoryViews) {
    this.#u16 = u16;
  }
  /** The run ends before this record, as if its block had been cut there. It stays so until `mend`. */
  breakBefore(rec: number): void {
    if (rec < REC_POOL || rec >= REC_POOL + REC_COUNT * REC_BYTES) return;
    this.mend();
    const at = (rec + REC.handler) >> 1;
    const handler = this.#u16[at];
    // Block ends look at the budget anyhow.
    if (handler === H_END || handler === H_BREAK) return;
    this.#broken = rec;
    this.#handler = handler;
    this.#u16[at] = H_BREAK;
  }
  mend(): void {
    if (this.#broken !== 0) this.#u16[(this.#broken + REC.handler) >> 1] = this.#handler;
    this.#broken = 0;
  }
  /** Whether a stop was asked for before this record. */
  isBefore(rec: number): boolean {
    return rec !== 0 && rec === this.#broken;
  }
  /** These records have been overwritten. */
  forget(first: number, records: number): void {
    if (this.#broken >= first && this.#broken < first + records * REC_BYTES) this.#broken = 0;
  }
  /** Handler of a record, from now on. */
  setHandler(rec: number, handler: number): void {
    if (rec === this.#broken) this.#handler = handler;
    else this.#u16[(rec + REC.handler) >> 1] = handler;
  }
  handlerOf(rec: number): number {
    return rec === this.#broken ? this.#handler : this.#u16[(rec + REC.handler) >> 1];
  }
}
