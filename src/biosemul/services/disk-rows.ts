import type { RowTuple, ServiceRow } from "./row.ts";
import { rowsOf } from "./row.ts";

const CLASSIC: readonly RowTuple[] = [
  ["00", "reset", "dl"],
  ["01", "last status", "dl", "ah"],
  ["02", "read", "dl {chs} n#al → es:bx", "n#al"],
  ["03", "write", "dl {chs} n#al ← es:bx", "n#al"],
  ["04", "verify", "dl {chs} n#al"],
  ["05", "format track", "dl {chs} table=es:bx"],
  ["08", "get parameters", "dl", "type=bl {chs} drives#dl table=es:di"],
  ["09", "initialise drive", "dl"],
  ["0A", "read long", "dl {chs} n#al → es:bx"],
  ["0B", "write long", "dl {chs} n#al ← es:bx"],
  ["0C", "seek", "dl {chs}"],
  ["0D", "reset hard disk", "dl"],
  ["10", "test ready", "dl"],
  ["11", "recalibrate", "dl"],
  ["14", "diagnose controller", "dl"],
  ["15", "get disk type", "dl", "type=ah cx dx"],
  ["16", "disk change", "dl"],
  ["17", "set diskette type", "dl type=al"],
  ["18", "set media type", "dl {chs}", "table=es:di"],
];

/** INT 13h and INT 40h. */
export const DISK_ROWS: readonly ServiceRow[] = [
  ...rowsOf(0x13, "cf", [
    ...CLASSIC,
    ["41", "extensions present", "dl bx", "version=ah bx features=cx"],
    ["42", "read", "dl {dap}"],
    ["43", "write", "dl {dap} flags=al"],
    ["44", "verify", "dl {dap}"],
    ["45", "lock or unlock", "dl what=al", "locked=al"],
    ["46", "eject", "dl"],
    ["47", "seek", "dl {dap}"],
    ["48", "get extended parameters", "dl buffer=ds:si"],
    ["49", "media change", "dl"],
    ["4B00", "end disk emulation", "dl packet=ds:si"],
    ["4B01", "get emulation status", "dl packet=ds:si"],
    ["4C", "start emulation and boot", "packet=ds:si"],
    ["4D", "get boot catalog", "packet=ds:si"],
    ["4E", "set hardware configuration", "dl al", "al"],
  ]),
  ...rowsOf(0x40, "cf", CLASSIC),
];
