import { BDA, PORT } from "../../isa/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";
import type { PhysicalMemory } from "../../vmm/index.ts";
import { clearKeys, pushKey } from "./key-ring.ts";
import { keypadDigit, translateKey } from "./keymap.ts";

/** What the ROM has to do after the trap, in AH. */
export const KEY_ACTION = { NONE: 0, BREAK: 1, PRINT_SCREEN: 2, SYSREQ: 3, PAUSE: 4, REBOOT: 5 } as const;

/** 40:17 */
const R_SHIFT = 0x01;
const L_SHIFT = 0x02;
const CTRL = 0x04;
const ALT = 0x08;
const SCROLL = 0x10;
const NUM = 0x20;
const CAPS = 0x40;
const INSERT = 0x80;
/** 40:18 */
const L_CTRL = 0x01;
const L_ALT = 0x02;
const SYSREQ_DOWN = 0x04;
const PAUSED = 0x08;
const SCROLL_DOWN = 0x10;
const NUM_DOWN = 0x20;
const CAPS_DOWN = 0x40;
const INSERT_DOWN = 0x80;
/** 40:96 */
const LAST_E1 = 0x01;
const LAST_E0 = 0x02;
const R_CTRL = 0x04;
const R_ALT = 0x08;
/** 40:97: LEDs in 2:0, acknowledge 4, resend 5, update under way 6. */
const LED_MASK = 0x07;
const LED_ACK = 0x10;
const LED_BUSY = 0x40;

const ACK = 0xfa;
const RESEND = 0xfe;
const SET_LEDS = 0xed;
const WARM_BOOT = 0x1234;

/**
 * INT 09h after INT 15h/4Fh: takes the set-1 code in AL, keeps the shift state, fills the ring. AH says what else the
 * keystroke asks for; AL is its parameter (SysRq: 0 pressed, 1 released).
 */
export function keyStroke(ctx: BiosContext): ServiceResult {
  const regs = ctx.regs;
  const action = stroke(ctx, regs.al);
  regs.ax = action;
  return "done";
}

const action = (kind: number, parameter = 0): number => (kind << 8) | parameter;
const IDLE = action(KEY_ACTION.NONE);

function stroke(ctx: BiosContext, code: number): number {
  const mem = ctx.mem;
  if (code === ACK || code === RESEND) {
    ledStep(ctx, code);
    return IDLE;
  }
  const flags3 = mem.read8(BDA.KEY_FLAGS3);
  if (code === 0xe0 || code === 0xe1) {
    mem.write8(BDA.KEY_FLAGS3, (flags3 & ~(LAST_E0 | LAST_E1)) | (code === 0xe0 ? LAST_E0 : LAST_E1));
    return IDLE;
  }
  if (code === 0x00 || code === 0xff || code === 0xee) return IDLE; // overrun, echo
  if ((flags3 & LAST_E1) !== 0) return pauseSequence(mem, code, flags3);
  const e0 = (flags3 & LAST_E0) !== 0;
  mem.write8(BDA.KEY_FLAGS3, flags3 & ~(LAST_E0 | LAST_E1));
  return (code & 0x80) === 0 ? pressed(ctx, code, e0) : released(ctx, code & 0x7f, e0);
}

/** E1 1D 45 E1 9D C5 is the Pause key; Ctrl-Pause comes as E0 46. */
function pauseSequence(mem: PhysicalMemory, code: number, flags3: number): number {
  if ((code & 0x7f) === 0x1d) return IDLE; // keeps LAST_E1
  mem.write8(BDA.KEY_FLAGS3, flags3 & ~LAST_E1);
  return code === 0x45 ? pause(mem) : IDLE;
}

function pause(mem: PhysicalMemory): number {
  const flags2 = mem.read8(BDA.SHIFT2);
  if ((flags2 & PAUSED) !== 0) return IDLE;
  mem.write8(BDA.SHIFT2, flags2 | PAUSED);
  return action(KEY_ACTION.PAUSE);
}

function change(mem: PhysicalMemory, at: number, mask: number, on: boolean): void {
  const old = mem.read8(at);
  mem.write8(at, on ? old | mask : old & ~mask & 0xff);
}

function toggle(ctx: BiosContext, lock: number, down: number): number {
  const mem = ctx.mem;
  if ((mem.read8(BDA.SHIFT2) & down) !== 0) return IDLE; // typematic repeat
  change(mem, BDA.SHIFT2, down, true);
  mem.write8(BDA.SHIFT1, mem.read8(BDA.SHIFT1) ^ lock);
  if (lock !== INSERT) updateLeds(ctx);
  return IDLE;
}

function pressed(ctx: BiosContext, code: number, e0: boolean): number {
  const mem = ctx.mem;
  const flags1 = mem.read8(BDA.SHIFT1);
  const ctrl = (flags1 & CTRL) !== 0;
  const alt = (flags1 & ALT) !== 0;
  switch (code) {
    case 0x2a:
      if (!e0) change(mem, BDA.SHIFT1, L_SHIFT, true); // E0 2A is a fake shift around grey keys
      return IDLE;
    case 0x36:
      if (!e0) change(mem, BDA.SHIFT1, R_SHIFT, true);
      return IDLE;
    case 0x1d:
      change(mem, BDA.SHIFT1, CTRL, true);
      change(mem, e0 ? BDA.KEY_FLAGS3 : BDA.SHIFT2, e0 ? R_CTRL : L_CTRL, true);
      return IDLE;
    case 0x38:
      change(mem, BDA.SHIFT1, ALT, true);
      change(mem, e0 ? BDA.KEY_FLAGS3 : BDA.SHIFT2, e0 ? R_ALT : L_ALT, true);
      return IDLE;
    case 0x3a:
      return toggle(ctx, CAPS, CAPS_DOWN);
    case 0x45:
      return ctrl && !e0 ? pause(mem) : toggle(ctx, NUM, NUM_DOWN);
    case 0x46:
      return ctrl ? breakKey(mem) : toggle(ctx, SCROLL, SCROLL_DOWN);
    case 0x54:
      if ((mem.read8(BDA.SHIFT2) & SYSREQ_DOWN) !== 0) return IDLE;
      change(mem, BDA.SHIFT2, SYSREQ_DOWN, true);
      return action(KEY_ACTION.SYSREQ, 0);
    case 0x53:
      if (ctrl && alt) {
        mem.write16(BDA.RESET_FLAG, WARM_BOOT);
        return action(KEY_ACTION.REBOOT);
      }
      break;
    case 0x37:
      if (e0) return printKey(mem, ctrl);
      if ((flags1 & (L_SHIFT | R_SHIFT)) !== 0 && !ctrl && !alt) return resume(mem) ? IDLE : action(KEY_ACTION.PRINT_SCREEN);
      break;
    default:
      break;
  }
  if (resume(mem)) return IDLE; // any other key ends Pause and is swallowed
  if (alt && !e0) {
    const digit = keypadDigit(code);
    if (digit >= 0) {
      mem.write8(BDA.ALT_KEYPAD, (mem.read8(BDA.ALT_KEYPAD) * 10 + digit) & 0xff);
      return IDLE;
    }
  }
  mem.write8(BDA.ALT_KEYPAD, 0);
  if (code === 0x52) toggle(ctx, INSERT, INSERT_DOWN);
  const key = translateKey(code, e0, {
    shift: (flags1 & (L_SHIFT | R_SHIFT)) !== 0,
    ctrl,
    alt,
    caps: (flags1 & CAPS) !== 0,
    num: (flags1 & NUM) !== 0,
  });
  if (key >= 0) pushKey(mem, key); // a full ring drops it
  return IDLE;
}

/** Ends a Pause; true when one was on. */
function resume(mem: PhysicalMemory): boolean {
  const flags2 = mem.read8(BDA.SHIFT2);
  if ((flags2 & PAUSED) === 0) return false;
  mem.write8(BDA.SHIFT2, flags2 & ~PAUSED);
  return true;
}

function printKey(mem: PhysicalMemory, ctrl: boolean): number {
  if (resume(mem)) return IDLE;
  if (!ctrl) return action(KEY_ACTION.PRINT_SCREEN);
  pushKey(mem, 0x7200);
  return IDLE;
}

function breakKey(mem: PhysicalMemory): number {
  change(mem, BDA.SHIFT2, PAUSED, false);
  mem.write8(BDA.BREAK_FLAG, 0x80);
  clearKeys(mem);
  pushKey(mem, 0);
  return action(KEY_ACTION.BREAK);
}

function released(ctx: BiosContext, code: number, e0: boolean): number {
  const mem = ctx.mem;
  switch (code) {
    case 0x2a:
      if (!e0) change(mem, BDA.SHIFT1, L_SHIFT, false);
      break;
    case 0x36:
      if (!e0) change(mem, BDA.SHIFT1, R_SHIFT, false);
      break;
    case 0x1d:
      change(mem, e0 ? BDA.KEY_FLAGS3 : BDA.SHIFT2, e0 ? R_CTRL : L_CTRL, false);
      change(mem, BDA.SHIFT1, CTRL, (mem.read8(BDA.KEY_FLAGS3) & R_CTRL) !== 0 || (mem.read8(BDA.SHIFT2) & L_CTRL) !== 0);
      break;
    case 0x38:
      change(mem, e0 ? BDA.KEY_FLAGS3 : BDA.SHIFT2, e0 ? R_ALT : L_ALT, false);
      change(mem, BDA.SHIFT1, ALT, (mem.read8(BDA.KEY_FLAGS3) & R_ALT) !== 0 || (mem.read8(BDA.SHIFT2) & L_ALT) !== 0);
      if ((mem.read8(BDA.SHIFT1) & ALT) === 0) altNumber(mem);
      break;
    case 0x3a:
      change(mem, BDA.SHIFT2, CAPS_DOWN, false);
      break;
    case 0x45:
      change(mem, BDA.SHIFT2, NUM_DOWN, false);
      break;
    case 0x46:
      change(mem, BDA.SHIFT2, SCROLL_DOWN, false);
      break;
    case 0x52:
      change(mem, BDA.SHIFT2, INSERT_DOWN, false);
      break;
    case 0x54:
      change(mem, BDA.SHIFT2, SYSREQ_DOWN, false);
      return action(KEY_ACTION.SYSREQ, 1);
    default:
      break;
  }
  return IDLE;
}

/** Alt released: the number typed on the keypad becomes a character with scan code 0. */
function altNumber(mem: PhysicalMemory): void {
  const value = mem.read8(BDA.ALT_KEYPAD);
  if (value === 0) return;
  mem.write8(BDA.ALT_KEYPAD, 0);
  pushKey(mem, value);
}

/** Starts telling the keyboard its lights; the answers come as codes through IRQ1 and are taken by `ledStep`. */
export function updateLeds(ctx: BiosContext): void {
  const mem = ctx.mem;
  const wanted = (mem.read8(BDA.SHIFT1) >>> 4) & LED_MASK;
  const state = mem.read8(BDA.KEY_LEDS);
  if ((state & LED_MASK) === wanted && (state & LED_BUSY) === 0) return;
  mem.write8(BDA.KEY_LEDS, LED_BUSY | wanted);
  ctx.ports.out8(PORT.KBC_DATA, SET_LEDS);
}

function ledStep(ctx: BiosContext, code: number): void {
  const mem = ctx.mem;
  const state = mem.read8(BDA.KEY_LEDS);
  if ((state & LED_BUSY) === 0) return;
  if (code === RESEND) {
    mem.write8(BDA.KEY_LEDS, state & LED_MASK); // gives up; the next lock key tries again
    return;
  }
  if ((state & LED_ACK) === 0) {
    mem.write8(BDA.KEY_LEDS, state | LED_ACK);
    ctx.ports.out8(PORT.KBC_DATA, state & LED_MASK);
  } else mem.write8(BDA.KEY_LEDS, state & LED_MASK);
}
