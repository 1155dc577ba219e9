import { BDA } from "../../isa/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";

const GAME_PORT = 0x201;
const GAME_ADAPTER = 0x1000;
/** Polls before an axis counts as not connected; its one-shots take at most about 1.1 ms. */
const AXIS_POLLS = 0x400;

/** INT 15h/84h: buttons in AL 7:4 (DX=0), or resistances in AX, BX, CX, DX (DX=1). Undefined: no game adapter. */
export function joystick(ctx: BiosContext): ServiceResult | undefined {
  const { regs, ports } = ctx;
  if ((ctx.mem.read16(BDA.EQUIPMENT) & GAME_ADAPTER) === 0) return undefined;
  if (regs.dx === 0) regs.al = ports.in8(GAME_PORT) & 0xf0;
  else if (regs.dx === 1) {
    const axes = [0, 0, 0, 0];
    ports.out8(GAME_PORT, 0xff);
    for (let n = 1; n <= AXIS_POLLS; n++) {
      const bits = ports.in8(GAME_PORT) & 0x0f;
      if (bits === 0) break;
      for (let axis = 0; axis < 4; axis++) if ((bits & (1 << axis)) !== 0) axes[axis] = n;
    }
    const value = (axis: number): number => (axes[axis] === AXIS_POLLS ? 0 : (axes[axis] ?? 0));
    regs.ax = value(0);
    regs.bx = value(1);
    regs.cx = value(2);
    regs.dx = value(3);
  } else return undefined;
  ctx.setCarry(false);
  return "done";
}
