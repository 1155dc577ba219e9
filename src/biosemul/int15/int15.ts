import type { PhysicalMemory } from "../../vmm/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";
import type { BiosConfig } from "../config.ts";
import { ebdaSegment } from "../bda.ts";
import { ENTRY } from "../rom/layout.ts";
import { a20Service } from "./a20.ts";
import type { ApmServices } from "./apm.ts";
import { blockMove, enterProtectedMode } from "./block-move.ts";
import { joystick } from "./joystick.ts";
import { MemorySizes } from "./memory.ts";
import type { MouseServices } from "./mouse.ts";
import { WaitServices } from "./wait.ts";

const UNSUPPORTED = 0x86;

/** The stack of the call, for the one service that does not return through its stub; memory past the A20 gate, for block moves. */
export interface CallFrame {
  readonly beyondA20: PhysicalMemory;
  stackWord(index: number): number;
  dropStack(bytes: number): void;
}

/** INT 15h: system services. Whatever is not here answers CF=1, AH=86h. */
export class Int15 {
  readonly waits = new WaitServices();
  readonly #memory: MemorySizes;
  readonly #apm: ApmServices;
  readonly #mouse: MouseServices;
  readonly #frame: CallFrame;
  constructor(config: BiosConfig, apm: ApmServices, mouse: MouseServices, frame: CallFrame) {
    this.#memory = new MemorySizes(config);
    this.#apm = apm;
    this.#mouse = mouse;
    this.#frame = frame;
  }

  readonly handle = (ctx: BiosContext): ServiceResult => {
    const regs = ctx.regs;
    switch (regs.ah) {
      case 0x24:
        return a20Service(ctx) ?? unsupported(ctx);
      case 0x4f: // keyboard intercept: CF stays set, the code goes on
        return "done";
      case 0x52: // removable media may be ejected
      case 0x80: // device open, close, program termination: for multitaskers
      case 0x81:
      case 0x82:
      case 0x85: // SysRq
      case 0x90: // device busy, interrupt complete
      case 0x91:
        return ok(ctx);
      case 0x53:
        return this.#apm.handle(ctx);
      case 0x83:
        return this.waits.event(ctx);
      case 0x84:
        return joystick(ctx) ?? unsupported(ctx);
      case 0x86:
        return this.waits.delay(ctx);
      case 0x87:
        return blockMove(ctx, this.#frame.beyondA20);
      case 0x88:
        return this.#memory.extended(ctx);
      case 0x89:
        return enterProtectedMode(ctx, (bytes) => this.#frame.dropStack(bytes), this.#frame.stackWord(0));
      case 0xc0:
        regs.setRealSegment("es", 0xf000);
        regs.bx = ENTRY.CONFIG_TABLE;
        return ok(ctx);
      case 0xc1:
        regs.setRealSegment("es", ebdaSegment(ctx.mem));
        ctx.setCarry(false);
        return "done";
      case 0xc2:
        return this.#mouse.handle(ctx);
      case 0xe8:
        return this.#bigMemory(ctx);
      case 0xec:
        return regs.al === 0 ? ok(ctx) : unsupported(ctx);
      default:
        return unsupported(ctx);
    }
  };

  #bigMemory(ctx: BiosContext): ServiceResult {
    switch (ctx.regs.al) {
      case 0x01:
        return this.#memory.e801(ctx);
      case 0x20:
        return this.#memory.e820(ctx);
      case 0x81:
        return this.#memory.e881(ctx);
      default:
        return unsupported(ctx);
    }
  }
}

function ok(ctx: BiosContext): ServiceResult {
  ctx.regs.ah = 0;
  ctx.setCarry(false);
  return "done";
}

function unsupported(ctx: BiosContext): ServiceResult {
  ctx.regs.ah = UNSUPPORTED;
  ctx.setCarry(true);
  return "done";
}
