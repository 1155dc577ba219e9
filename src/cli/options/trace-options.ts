import { UsageError } from "../errors.ts";

/** Restricts `--trace insn`. Addresses are linear, inclusive. */
export interface InsnFilter {
  readonly modes: readonly (16 | 32 | 64)[] | undefined;
  readonly from: number;
  readonly to: number;
}

export interface TraceRequest {
  readonly what: "bios" | "insn" | "io" | "exits";
  readonly filter: InsnFilter;
  /** Undefined: standard error. */
  readonly path: string | undefined;
}

const ALL: InsnFilter = { modes: undefined, from: 0, to: Number.MAX_SAFE_INTEGER };

/** `bios`, `io=io.txt`, `insn:mode=16,addr=7c00-7dff=insn.txt`. */
export function parseTrace(value: string): TraceRequest {
  const match = /^(bios|insn|io|exits)(?::([^=]+=[^=,]+(?:,[^=,]+=[^=,]+)*))?(?:=(.*))?$/s.exec(value);
  const what = match?.[1];
  if (match === null || (what !== "bios" && what !== "insn" && what !== "io" && what !== "exits")) {
    throw new UsageError(`--trace "${value}": use bios, insn, io or exits, each with =FILE if wanted; insn:mode=16,addr=7c00-7dff filters`);
  }
  const path = match[3];
  if (path === "") throw new UsageError(`--trace "${value}": the file name is empty`);
  if (match[2] !== undefined && what !== "insn") throw new UsageError(`--trace "${value}": only insn takes filters`);
  return { what, filter: match[2] === undefined ? ALL : parseFilter(value, match[2]), path };
}

function parseFilter(value: string, text: string): InsnFilter {
  let { modes, from, to } = ALL;
  for (const part of text.split(",")) {
    const [key, setting = ""] = part.split("=");
    if (key === "mode") {
      const mode = Number(setting);
      if (mode !== 16 && mode !== 32 && mode !== 64) throw new UsageError(`--trace "${value}": mode is 16, 32 or 64`);
      modes = [...(modes ?? []), mode];
    } else if (key === "addr") {
      const range = /^(?:0x)?([0-9a-f]{1,13})(?:-(?:0x)?([0-9a-f]{1,13}))?$/i.exec(setting);
      if (range === null) throw new UsageError(`--trace "${value}": addr is a hexadecimal range such as 7c00-7dff`);
      from = Number.parseInt(range[1] ?? "0", 16);
      to = Number.parseInt(range[2] ?? range[1] ?? "0", 16);
      if (to < from) throw new UsageError(`--trace "${value}": the address range is empty`);
    } else throw new UsageError(`--trace "${value}": unknown filter "${key}"; use mode= or addr=`);
  }
  return { modes, from, to };
}
