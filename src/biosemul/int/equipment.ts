import { BDA } from "../../isa/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";

/** INT 11h: the equipment word. */
export function int11(ctx: BiosContext): ServiceResult {
  ctx.regs.ax = ctx.mem.read16(BDA.EQUIPMENT);
  return "done";
}

/** INT 12h: KB of conventional memory below the EBDA. */
export function int12(ctx: BiosContext): ServiceResult {
  ctx.regs.ax = ctx.mem.read16(BDA.BASE_MEMORY_KB);
  return "done";
}
