import type { ServiceResult } from "../api.ts";
import type { Context } from "../context.ts";
import { findService } from "../services/find.ts";
import type { ServiceRow } from "../services/row.ts";
import { TRAP } from "../rom/layout.ts";
import { formatWords } from "./format.ts";

/** One finished BIOS call. `text` is the whole line: `13h/42h read dl=80 lba=63 n=1 → 0000:7C00 ok`. */
export interface BiosCallRecord {
  readonly vector: number;
  /** AX at entry. */
  readonly ax: number;
  /** Where the INT returns to. */
  readonly callerCs: number;
  readonly callerIp: number;
  readonly text: string;
  /** False for an error or an unknown function. */
  readonly ok: boolean;
}

interface OpenCall {
  /** Stack pointer of the frame: a nested call from an interrupt handler has another. */
  readonly frame: number;
  readonly vector: number;
  readonly ax: number;
  readonly callerCs: number;
  readonly callerIp: number;
  readonly row: ServiceRow | undefined;
  readonly head: string;
}

const MAX_OPEN = 16;
const hex2 = (n: number): string => n.toString(16).toUpperCase().padStart(2, "0");
const ZF = 0x40;
const CF = 1;

/** Vectors whose calls are printed; the traps inside ROM code and the tick are not. */
function tracedVector(id: number): number {
  if (id === TRAP.BOOT_FIRST) return 0x19;
  if (id === TRAP.BOOT_NEXT) return 0x18;
  return id < 0x100 && id !== 0x08 ? id : -1;
}

/** Turns calls into lines as strace does: arguments at entry, results at the end, one line a call however long it waits. */
export class BiosTracer {
  readonly #sink: (record: BiosCallRecord) => void;
  readonly #open: OpenCall[] = [];
  constructor(sink: (record: BiosCallRecord) => void) {
    this.#sink = sink;
  }

  before(ctx: Context, id: number): void {
    const vector = tracedVector(id);
    if (vector < 0 || ctx.resumed) return;
    const { ax } = ctx.regs;
    const row = findService(vector, ax);
    const call = row === undefined || row.select !== "*" ? `${hex2(vector)}h/${selector(row, ax)}h` : `${hex2(vector)}h`;
    const name = row === undefined ? ` unknown ax=${ax.toString(16).toUpperCase().padStart(4, "0")}` : ` ${row.name}`;
    const args = row === undefined || row.args === "" ? "" : ` ${formatWords(ctx, row.args)}`;
    if (this.#open.length >= MAX_OPEN) this.#open.shift();
    this.#open.push({
      frame: ctx.stackByte(0),
      vector,
      ax,
      callerIp: ctx.stackWord(0),
      callerCs: ctx.stackWord(2),
      row,
      head: call + name + args,
    });
  }

  after(ctx: Context, id: number, result: ServiceResult): void {
    if (result === "wait" || result === "poll") return;
    const vector = tracedVector(id);
    if (vector < 0) return;
    const frame = ctx.stackByte(0);
    let index = this.#open.findLastIndex((call) => call.vector === vector && call.frame === frame);
    // Calls that leave through another door (boot, protected mode) have moved the stack.
    if (index < 0 && result !== "done") index = this.#open.findLastIndex((call) => call.vector === vector);
    const [call] = index < 0 ? [] : this.#open.splice(index, 1);
    if (call === undefined) return;
    const flags = result === "done" ? ctx.mem.read8(ctx.stackByte(4)) : 0;
    const { ok, text } = outcome(ctx, call.row, flags);
    this.#sink({ vector, ax: call.ax, callerCs: call.callerCs, callerIp: call.callerIp, text: `${call.head} ${text}`, ok });
  }
}

function selector(row: ServiceRow | undefined, ax: number): string {
  if (row !== undefined) return row.select;
  return hex2(ax >>> 8);
}

function outcome(ctx: Context, row: ServiceRow | undefined, flags: number): { readonly ok: boolean; readonly text: string } {
  const status = row?.status ?? "cf";
  const { ah } = ctx.regs;
  if (row === undefined && (flags & CF) === 0) return { ok: false, text: "= ignored" };
  if (status === "cf" && (flags & CF) !== 0) return { ok: false, text: `= error ${hex2(ah)}` };
  if (status === "zf" && (flags & ZF) !== 0) return { ok: true, text: "= none" };
  if (status === "vbe" && ctx.regs.ax !== 0x004f) return { ok: false, text: `= error ${hex2(ah)}${hex2(ctx.regs.al)}` };
  const results = formatWords(ctx, row?.results ?? "");
  if (status === "") return { ok: true, text: results === "" ? "= ok" : `= ${results}` };
  return { ok: true, text: results === "" ? "ok" : `= ${results} ok` };
}
