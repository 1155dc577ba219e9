/**
 * One BIOS service, told once: the trace prints it and the reference page is made from it.
 *
 * `select`: hex digits of AH ("02"), of AX ("4F02"), or "*" for the whole vector.
 * `args`/`results`: words for the formatter. `dl` prints dl=80; `lba=x` names it; `n#al` prints decimal; `es:bx` prints an
 * address; `char'al` prints a character; `{dap}` and the like read a structure. The words of `results` are printed after
 * the arrow when the call succeeds.
 * `status`: how success shows: "cf" (CF=1 is an error, AH its code), "zf" (ZF=1: nothing there), "vbe" (AX=004Fh), "" (always).
 */
export interface ServiceRow {
  readonly vector: number;
  readonly select: string;
  readonly name: string;
  readonly args: string;
  readonly results: string;
  readonly status: "cf" | "zf" | "vbe" | "";
  /** The trace can see it (a trap of its own); the rest is code in the ROM. */
  readonly traced: boolean;
}

/** [select, name, args, results] of one vector. */
export type RowTuple = readonly [select: string, name: string, args?: string, results?: string, status?: ServiceRow["status"]];

export function rowsOf(vector: number, status: ServiceRow["status"], tuples: readonly RowTuple[], traced = true): ServiceRow[] {
  return tuples.map(([select, name, args = "", results = "", own]) => ({ vector, select, name, args, results, status: own ?? status, traced }));
}
