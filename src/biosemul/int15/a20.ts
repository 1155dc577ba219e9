import type { BiosContext, ServiceResult } from "../api.ts";

const SYSTEM_CONTROL_A = 0x92;
const A20 = 0x02;
const BY_8042 = 1;
const BY_PORT_92 = 2;

/** INT 15h/24xx through port 92h; bit 0 (fast reset) is never written as one. False: not one of these functions. */
export function a20Service(ctx: BiosContext): ServiceResult | undefined {
  const { regs, ports } = ctx;
  const now = ports.in8(SYSTEM_CONTROL_A);
  switch (regs.al) {
    case 0x00:
      ports.out8(SYSTEM_CONTROL_A, now & ~(A20 | 1) & 0xff);
      break;
    case 0x01:
      ports.out8(SYSTEM_CONTROL_A, (now | A20) & 0xfe);
      break;
    case 0x02:
      regs.ax = (now & A20) !== 0 ? 1 : 0;
      break;
    case 0x03:
      regs.bx = BY_8042 | BY_PORT_92;
      break;
    default:
      return undefined;
  }
  regs.ah = 0;
  ctx.setCarry(false);
  return "done";
}
