import { shape } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";
import type { Ps2Device } from "../common/ps2.ts";
import { ANSWER, COMMAND } from "./commands.ts";
import { breakCodes, makeCodes } from "./scan-codes.ts";
import type { KeyboardMode } from "./scan-codes.ts";
import { BREAK, TYPEMATIC, defaultSet3Types, isKeyName, KEYS } from "./keys.ts";
import type { KeyCodes, KeyName } from "./keys.ts";

/** The three lights, as the guest set them with EDh. */
export interface KeyboardLeds {
  readonly scrollLock: boolean;
  readonly numLock: boolean;
  readonly capsLock: boolean;
}

export interface Ps2KeyboardOptions {
  readonly clock: Clock;
  readonly leds?: (leds: KeyboardLeds) => void;
  /** False: scanning starts off, as after a cold start without POST (default true). */
  readonly enabled?: boolean;
}

/** The keyboard's buffer, in bytes; one more holds the overrun code. */
const BUFFER_BYTES = 16;
const MAX_REPLIES = 16;
/** Basic assurance test. A real one takes 300 to 500 ms; nobody needs the wait, only that the ANSWER.ACK comes first. */
const BAT_NS = 10_000_000;
/** 10.9 characters a second after 500 ms. */
const DEFAULT_RATE = 0x2b;
const LED_SCROLL = 1;
const LED_NUM = 2;
const LED_CAPS = 4;
/** Keys of the keyboard. */
const MAX_DOWN = Object.keys(KEYS).length;

const KEY = shape.that(isKeyName, "a key's name");
export const PS2_KEYBOARD_STATE = shape.record({
  v: shape.oneOf(1),
  replies: shape.list(shape.byte, MAX_REPLIES, 0),
  scans: shape.list(shape.byte, BUFFER_BYTES + 1, 0),
  overrun: shape.flag,
  enabled: shape.flag,
  set: shape.int(1, 3),
  leds: shape.byte,
  rate: shape.byte,
  set3Types: shape.bytes(256),
  expect: shape.byte,
  lastSent: shape.byte,
  down: shape.list(KEY, MAX_DOWN, 0),
  resetAtNs: shape.maybe(shape.count),
  /** The key that repeats, and when it does so next. */
  repeating: shape.maybe(KEY),
  repeatAtNs: shape.maybe(shape.count),
});
export type Ps2KeyboardStateV1 = Shaped<typeof PS2_KEYBOARD_STATE>;

/** A 104-key PS/2 keyboard with scan code sets 1, 2 and 3. Source: IBM PS/2 hardware technical reference, "Keyboards". */
export class Ps2Keyboard implements Ps2Device {
  readonly name = "ps2-keyboard";
  onOutput: (() => void) | undefined;
  readonly #clock: Clock;
  readonly #leds: ((leds: KeyboardLeds) => void) | undefined;
  readonly #repeat: Timer;
  readonly #bat: Timer;
  /** Answers go before scan codes. */
  #replies: number[] = [];
  #scans: number[] = [];
  #overrun = false;
  #enabled: boolean;
  #set = 2;
  #ledBits = 0;
  #rate = DEFAULT_RATE;
  #set3Types = defaultSet3Types();
  /** The command whose argument comes next, or 0. */
  #expect = 0;
  #lastSent = 0;
  readonly #down = new Set<KeyName>();
  #repeating: KeyName | undefined;

  constructor(options: Ps2KeyboardOptions) {
    this.#clock = options.clock;
    this.#leds = options.leds;
    this.#enabled = options.enabled ?? true;
    this.#repeat = options.clock.createTimer("ps2-keyboard-repeat", () => this.#onRepeat());
    this.#bat = options.clock.createTimer("ps2-keyboard-bat", () => this.#reply(ANSWER.PASSED));
  }

  /**
   * A key goes down or up, named by its DOM `KeyboardEvent.code` ("KeyA", "ArrowUp", "Pause"). False when the keyboard has no such key.
   * A second "down" is ignored: the keyboard repeats held keys itself.
   */
  key(code: KeyName | (string & {}), down: boolean): boolean {
    if (!isKeyName(code)) return false;
    if (down === this.#down.has(code)) return true;
    if (down) {
      this.#down.add(code);
      this.#send(makeCodes(code, this.#mode()));
      this.#startRepeat(code);
    } else {
      this.#down.delete(code);
      if (this.#repeating === code) this.#stopRepeat();
      this.#send(breakCodes(code, this.#mode()));
    }
    return true;
  }

  /** Lets every held key go (the window lost its focus). */
  releaseAll(): void {
    for (const code of this.#down) this.key(code, false);
  }

  /** Bytes of keys that the guest has not taken yet, 0..17. A typist waits until it is 0. */
  get pendingBytes(): number {
    return this.#scans.length;
  }

  /** False while the guest keeps scanning off (F5h): keys are lost. */
  get scanning(): boolean {
    return this.#enabled;
  }

  get leds(): KeyboardLeds {
    return {
      scrollLock: (this.#ledBits & LED_SCROLL) !== 0,
      numLock: (this.#ledBits & LED_NUM) !== 0,
      capsLock: (this.#ledBits & LED_CAPS) !== 0,
    };
  }

  hasOutput(): boolean {
    return this.#replies.length > 0 || this.#scans.length > 0;
  }

  takeOutput(): number {
    const value = this.#replies.shift() ?? this.#scans.shift() ?? 0;
    if (this.#scans.length === 0) this.#overrun = false;
    this.#lastSent = value;
    return value;
  }

  receive(value: number): void {
    const expect = this.#expect;
    this.#expect = 0;
    if (expect !== 0 && value < COMMAND.SET_LEDS) this.#argument(expect, value);
    else this.#command(value);
  }

  saveState(): Ps2KeyboardStateV1 {
    return {
      v: 1,
      replies: [...this.#replies],
      scans: [...this.#scans],
      overrun: this.#overrun,
      enabled: this.#enabled,
      set: this.#set,
      leds: this.#ledBits,
      rate: this.#rate,
      set3Types: this.#set3Types.slice(),
      expect: this.#expect,
      lastSent: this.#lastSent,
      down: [...this.#down],
      resetAtNs: this.#bat.deadlineNs,
      repeating: this.#repeating,
      repeatAtNs: this.#repeat.deadlineNs,
    };
  }

  loadState(s: Ps2KeyboardStateV1): void {
    this.#replies = s.replies.slice(0, MAX_REPLIES);
    this.#scans = s.scans.slice(0, BUFFER_BYTES + 1);
    this.#overrun = s.overrun;
    this.#enabled = s.enabled;
    this.#set = s.set;
    this.#rate = s.rate;
    this.#set3Types = s.set3Types.slice();
    this.#expect = s.expect;
    this.#lastSent = s.lastSent;
    this.#down.clear();
    for (const code of s.down) this.#down.add(code);
    this.#stopRepeat();
    this.#repeating = s.repeating;
    if (s.repeatAtNs !== undefined) this.#repeat.arm(s.repeatAtNs);
    if (s.resetAtNs === undefined) this.#bat.cancel();
    else this.#bat.arm(s.resetAtNs);
    this.#setLeds(s.leds);
    if (this.hasOutput() && this.onOutput !== undefined) this.onOutput();
  }

  #command(value: number): void {
    switch (value) {
      case COMMAND.SET_LEDS:
      case COMMAND.SCAN_CODE_SET:
      case COMMAND.RATE:
      case COMMAND.KEY_TYPEMATIC:
      case COMMAND.KEY_MAKE_BREAK:
      case COMMAND.KEY_MAKE:
        this.#expect = value;
        if (value === COMMAND.SCAN_CODE_SET || value >= COMMAND.KEY_TYPEMATIC) this.#clearScans();
        this.#reply(ANSWER.ACK);
        break;
      case COMMAND.ECHO:
        this.#reply(ANSWER.ECHO);
        break;
      case COMMAND.IDENTIFY:
        this.#reply(ANSWER.ACK);
        for (const byte of ANSWER.ID) this.#reply(byte);
        break;
      case COMMAND.ENABLE:
        this.#clearScans();
        this.#enabled = true;
        this.#reply(ANSWER.ACK);
        break;
      case COMMAND.DEFAULTS_AND_STOP:
        this.#defaults();
        this.#enabled = false;
        this.#reply(ANSWER.ACK);
        break;
      case COMMAND.DEFAULTS:
        this.#defaults();
        this.#reply(ANSWER.ACK);
        break;
      case COMMAND.ALL_TYPEMATIC:
        this.#allTypes(TYPEMATIC);
        break;
      case COMMAND.ALL_MAKE_BREAK:
        this.#allTypes(BREAK);
        break;
      case COMMAND.ALL_MAKE:
        this.#allTypes(0);
        break;
      case COMMAND.ALL_TYPEMATIC_MAKE_BREAK:
        this.#allTypes(TYPEMATIC | BREAK);
        break;
      case COMMAND.RESEND:
        if (this.#replies.length < MAX_REPLIES) this.#replies.unshift(this.#lastSent);
        this.#notify();
        break;
      case COMMAND.RESET:
        this.#reset();
        break;
      default:
        this.#reply(ANSWER.RESEND);
        break;
    }
  }

  #argument(command: number, value: number): void {
    switch (command) {
      case COMMAND.SET_LEDS:
        this.#setLeds(value & 7);
        this.#reply(ANSWER.ACK);
        break;
      case COMMAND.SCAN_CODE_SET:
        this.#reply(value <= 3 ? ANSWER.ACK : ANSWER.RESEND);
        if (value === 0) this.#reply(this.#set);
        else if (value <= 3) {
          this.#set = value;
          this.#stopRepeat();
        } else this.#expect = COMMAND.SCAN_CODE_SET;
        break;
      case COMMAND.RATE:
        this.#rate = value & 0x7f;
        this.#reply(ANSWER.ACK);
        break;
      default:
        // KEY_TYPEMATIC to KEY_MAKE take set 3 codes until the next command.
        this.#set3Types[value] = command === COMMAND.KEY_TYPEMATIC ? TYPEMATIC : command === COMMAND.KEY_MAKE_BREAK ? BREAK : 0;
        this.#expect = command;
        this.#reply(ANSWER.ACK);
        break;
    }
  }

  #allTypes(type: number): void {
    this.#clearScans();
    this.#set3Types.fill(type);
    this.#reply(ANSWER.ACK);
  }

  #defaults(): void {
    this.#clearScans();
    this.#stopRepeat();
    this.#rate = DEFAULT_RATE;
    this.#set3Types = defaultSet3Types();
    this.#set = 2;
  }

  #reset(): void {
    this.#replies = [];
    this.#defaults();
    this.#enabled = true;
    this.#setLeds(0);
    this.#reply(ANSWER.ACK);
    this.#bat.arm(this.#clock.nowNs() + BAT_NS);
  }

  #setLeds(bits: number): void {
    const changed = bits !== this.#ledBits;
    this.#ledBits = bits;
    if (changed && this.#leds !== undefined) this.#leds(this.leds);
  }

  #clearScans(): void {
    this.#scans = [];
    this.#overrun = false;
  }

  #reply(value: number): void {
    if (this.#replies.length < MAX_REPLIES) this.#replies.push(value);
    this.#notify();
  }

  #notify(): void {
    if (this.onOutput !== undefined) this.onOutput();
  }

  /** Queues a key's bytes whole, or the overrun code once when they do not fit. */
  #send(bytes: readonly number[]): void {
    if (!this.#enabled || bytes.length === 0) return;
    if (this.#scans.length + bytes.length <= BUFFER_BYTES && !this.#overrun) {
      for (const b of bytes) this.#scans.push(b);
    } else if (!this.#overrun) {
      this.#overrun = true;
      this.#scans.push(this.#set === 1 ? 0xff : 0x00);
    }
    this.#notify();
  }

  #mode(): KeyboardMode {
    return { set: this.#set, numLock: (this.#ledBits & LED_NUM) !== 0, set3Types: this.#set3Types, held: this.#down };
  }

  #startRepeat(code: KeyName): void {
    const codes: KeyCodes = KEYS[code];
    if (code === "Pause" || code === "Lang1" || code === "Lang2") return;
    if (this.#set === 3 && ((this.#set3Types[codes.set3] ?? 0) & TYPEMATIC) === 0) return;
    this.#repeating = code;
    this.#repeat.arm(this.#clock.nowNs() + ((this.#rate >> 5) + 1) * 250_000_000);
  }

  #stopRepeat(): void {
    this.#repeating = undefined;
    this.#repeat.cancel();
  }

  #onRepeat(): void {
    const code = this.#repeating;
    if (code === undefined) return;
    // A guest that does not read gets no backlog of repeats.
    if (this.#scans.length === 0) this.#send(makeCodes(code, this.#mode()));
    // Period = (8 + A) * 2^B * 4.17 ms.
    const periodNs = (8 + (this.#rate & 7)) * 2 ** ((this.#rate >> 3) & 3) * 4_170_000;
    this.#repeat.arm(this.#clock.nowNs() + periodNs);
  }
}
