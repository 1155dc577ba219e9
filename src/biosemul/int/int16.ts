import { BDA, PORT } from "../../isa/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";
import { dropKey, peekKey, pushKey } from "./key-ring.ts";
import type { IdleWatch } from "./idle.ts";
import { updateLeds } from "./int09.ts";

const SET_TYPEMATIC = 0xf3;
/** 0300 | 0305 | 0306 | 0A | 10-12: what INT 16h/09h says this BIOS can do (bit 6: 20h-22h). */
const FUNCTIONS = 0x01 | 0x04 | 0x08 | 0x10 | 0x20 | 0x40;
const KEYBOARD_ID = 0x41ab;
const DEFAULT_RATE = 0x0b;
const DEFAULT_DELAY = 0x01;

/** Typematic rate in 4:0 and delay in 6:5; the keyboard cannot be asked, so the BIOS remembers. */
export class Int16 {
  #rate = DEFAULT_RATE;
  #delay = DEFAULT_DELAY;
  readonly #idle: IdleWatch;

  constructor(idle: IdleWatch) {
    this.#idle = idle;
  }

  readonly handle = (ctx: BiosContext): ServiceResult => {
    const regs = ctx.regs;
    const mem = ctx.mem;
    const ah = regs.ah;
    // A lock key pressed while the lights were being set leaves them behind; every call brings them up.
    if (((mem.read8(BDA.SHIFT1) >>> 4) & 7) !== (mem.read8(BDA.KEY_LEDS) & 7)) updateLeds(ctx);
    switch (ah) {
      case 0x00:
      case 0x10:
      case 0x20:
        return this.#read(ctx, ah);
      case 0x01:
      case 0x11:
      case 0x21:
        return this.#peek(ctx, ah);
      case 0x02:
        regs.al = mem.read8(BDA.SHIFT1);
        return "done";
      case 0x12:
      case 0x22:
        regs.ax = mem.read8(BDA.SHIFT1) | (extendedShift(mem.read8(BDA.SHIFT2), mem.read8(BDA.KEY_FLAGS3)) << 8);
        return "done";
      case 0x03:
        return this.#typematic(ctx);
      case 0x05:
        regs.al = pushKey(mem, regs.cx) ? 0 : 1;
        return "done";
      case 0x09:
        regs.al = FUNCTIONS;
        return "done";
      case 0x0a:
        regs.bx = KEYBOARD_ID;
        return "done";
      case 0x92: // asked by KEYB: AH up to 80h says that 10h-12h are there
      case 0xa2: // and 20h-22h
        regs.ah = 0x80;
        return "done";
      default:
        return "done";
    }
  };

  #read(ctx: BiosContext, ah: number): ServiceResult {
    for (let i = 0; i < 64; i++) {
      const key = peekKey(ctx.mem);
      if (key < 0) return "wait";
      dropKey(ctx.mem);
      const seen = ah === 0 ? classicKey(key) : enhancedKey(key);
      if (seen >= 0) {
        ctx.regs.ax = seen;
        return "done";
      }
    }
    return "wait";
  }

  #peek(ctx: BiosContext, ah: number): ServiceResult {
    for (let i = 0; i < 64; i++) {
      const key = peekKey(ctx.mem);
      if (key < 0) break;
      const seen = ah === 1 ? classicKey(key) : enhancedKey(key);
      if (seen >= 0) {
        this.#idle.working();
        ctx.regs.ax = seen;
        ctx.setZero(false);
        return "done";
      }
      dropKey(ctx.mem); // not a key of the 84-key keyboard
    }
    // Callers poll with interrupts off; IRQ1 must get a chance to bring the key.
    if (!ctx.resumed) return this.#idle.noKey(ctx) ? "wait" : "poll";
    this.#idle.answered();
    ctx.setZero(true);
    return "done";
  }

  #typematic(ctx: BiosContext): ServiceResult {
    const regs = ctx.regs;
    switch (regs.al) {
      case 0x00:
        this.#set(ctx, DEFAULT_RATE, DEFAULT_DELAY);
        break;
      case 0x05:
        if (regs.bl <= 0x1f && regs.bh <= 3) this.#set(ctx, regs.bl, regs.bh);
        break;
      case 0x06:
        regs.bx = (this.#delay << 8) | this.#rate;
        break;
      default:
        break;
    }
    return "done";
  }

  #set(ctx: BiosContext, rate: number, delay: number): void {
    this.#rate = rate;
    this.#delay = delay;
    // The two acknowledges come through IRQ1 and INT 09h drops them.
    ctx.ports.out8(PORT.KBC_DATA, SET_TYPEMATIC);
    ctx.ports.out8(PORT.KBC_DATA, (delay << 5) | rate);
  }

  saveState(): { readonly rate: number; readonly delay: number } {
    return { rate: this.#rate, delay: this.#delay };
  }
  loadState(s: { readonly rate: number; readonly delay: number }): void {
    this.#rate = s.rate & 0x1f;
    this.#delay = s.delay & 3;
  }
}

/** Functions 00 and 01: keys that the 83/84-key keyboards lack are hidden (-1), the others get their old codes. */
export function classicKey(key: number): number {
  const scan = key >>> 8;
  const ascii = key & 0xff;
  if (scan === 0xe0) return (ascii === 0x2f ? 0x3500 : 0x1c00) | ascii;
  const marked = scan !== 0 && (ascii === 0xe0 || ascii === 0xf0);
  if (ascii === 0xf0 && marked) return -1;
  if ((ascii === 0 || marked) && scan > 0x84) return -1;
  return marked ? scan << 8 : key;
}

/** Functions 10, 11, 20, 21: everything; only the F0 mark of keypad 5 is taken off. */
function enhancedKey(key: number): number {
  return (key & 0xff) === 0xf0 && key >>> 8 !== 0 ? key & 0xff00 : key;
}

/** AH of function 12h: left/right Ctrl and Alt, and which lock keys and SysRq are held. */
function extendedShift(shift2: number, flags3: number): number {
  return (shift2 & 0x73) | ((shift2 & 0x04) << 5) | (flags3 & 0x0c);
}
