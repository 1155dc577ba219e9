import type { SystemHelper } from "../../cpu.ts";
import { repCmps, repScas } from "./compare.ts";
import { repLods, repMovs, repStos } from "./move.ts";
import { repIns, repOuts } from "./ports.ts";

export const REP: Readonly<Record<string, SystemHelper>> = {
  rep_movs: repMovs,
  rep_stos: repStos,
  rep_lods: repLods,
  rep_scas: repScas,
  rep_cmps: repCmps,
  rep_ins: repIns,
  rep_outs: repOuts,
};
