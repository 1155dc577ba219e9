import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { Clock, Timer } from "../../base/index.ts";
import type { Ps2Device } from "../common/ps2.ts";
import { SET2_TO_SET1 } from "../common/scan-translation.ts";
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

const ACK = 0xfa;
const RESEND = 0xfe;
const BAT_PASSED = 0xaa;
/** The keyboard's buffer, in bytes; one more holds the overrun code. */
const BUFFER_BYTES = 16;
const MAX_REPLIES = 16;
/** Basic assurance test. A real one takes 300 to 500 ms; nobody needs the wait, only that the ACK comes first. */
const BAT_NS = 10_000_000;
/** 10.9 characters a second after 500 ms. */
const DEFAULT_RATE = 0x2b;
const LED_SCROLL = 1;
const LED_NUM = 2;
const LED_CAPS = 4;
const BREAK_PREFIX = 0xf0;
const EXTENDED = 0xe0;
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
    this.#bat = options.clock.createTimer("ps2-keyboard-bat", () => this.#reply(BAT_PASSED));
  }

  /**
   * A key goes down or up, named by its DOM `KeyboardEvent.code` ("KeyA", "ArrowUp", "Pause"). False when the keyboard has no such key.
   * A second "down" is ignored: the keyboard repeats held keys itself.
   */
  key(code: KeyName | (string & {}), down: boolean): boolean {
    if (!isKeyName(code)) return false;
    const codes: KeyCodes = KEYS[code];
    if (down === this.#down.has(code)) return true;
    if (down) {
      this.#down.add(code);
      this.#send(this.#make(code, codes));
      this.#startRepeat(code);
    } else {
      this.#down.delete(code);
      if (this.#repeating === code) this.#stopRepeat();
      this.#send(this.#release(code, codes));
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
    if (expect !== 0 && value < 0xed) this.#argument(expect, value);
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
      case 0xed:
      case 0xf0:
      case 0xf3:
      case 0xfb:
      case 0xfc:
      case 0xfd:
        this.#expect = value;
        if (value === 0xf0 || value >= 0xfb) this.#clearScans();
        this.#reply(ACK);
        break;
      case 0xee:
        this.#reply(0xee);
        break;
      case 0xf2:
        this.#reply(ACK);
        this.#reply(0xab);
        this.#reply(0x83);
        break;
      case 0xf4:
        this.#clearScans();
        this.#enabled = true;
        this.#reply(ACK);
        break;
      case 0xf5:
        this.#defaults();
        this.#enabled = false;
        this.#reply(ACK);
        break;
      case 0xf6:
        this.#defaults();
        this.#reply(ACK);
        break;
      case 0xf7:
        this.#allTypes(TYPEMATIC);
        break;
      case 0xf8:
        this.#allTypes(BREAK);
        break;
      case 0xf9:
        this.#allTypes(0);
        break;
      case 0xfa:
        this.#allTypes(TYPEMATIC | BREAK);
        break;
      case 0xfe:
        if (this.#replies.length < MAX_REPLIES) this.#replies.unshift(this.#lastSent);
        this.#notify();
        break;
      case 0xff:
        this.#reset();
        break;
      default:
        this.#reply(RESEND);
        break;
    }
  }

  #argument(command: number, value: number): void {
    switch (command) {
      case 0xed:
        this.#setLeds(value & 7);
        this.#reply(ACK);
        break;
      case 0xf0:
        this.#reply(value <= 3 ? ACK : RESEND);
        if (value === 0) this.#reply(this.#set);
        else if (value <= 3) {
          this.#set = value;
          this.#stopRepeat();
        } else this.#expect = 0xf0;
        break;
      case 0xf3:
        this.#rate = value & 0x7f;
        this.#reply(ACK);
        break;
      default:
        // FBh..FDh take set 3 codes until the next command.
        this.#set3Types[value] = command === 0xfb ? TYPEMATIC : command === 0xfc ? BREAK : 0;
        this.#expect = command;
        this.#reply(ACK);
        break;
    }
  }

  #allTypes(type: number): void {
    this.#clearScans();
    this.#set3Types.fill(type);
    this.#reply(ACK);
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
    this.#reply(ACK);
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

  #held(code: KeyName): boolean {
    return this.#down.has(code);
  }

  #make(code: string, codes: KeyCodes): readonly number[] {
    if (this.#set === 3) return codes.set3 === 0 ? [] : [codes.set3];
    return this.#inSet(this.#make2(code, codes));
  }

  #release(code: string, codes: KeyCodes): readonly number[] {
    if (this.#set === 3) return codes.set3 !== 0 && ((this.#set3Types[codes.set3] ?? 0) & BREAK) !== 0 ? [BREAK_PREFIX, codes.set3] : [];
    return this.#inSet(this.#break2(code, codes));
  }

  #make2(code: string, codes: KeyCodes): readonly number[] {
    const control = this.#held("ControlLeft") || this.#held("ControlRight");
    if (code === "Pause") {
      return control ? [EXTENDED, 0x7e, EXTENDED, BREAK_PREFIX, 0x7e] : [0xe1, 0x14, 0x77, 0xe1, BREAK_PREFIX, 0x14, BREAK_PREFIX, 0x77];
    }
    if (code === "PrintScreen") {
      if (this.#held("AltLeft") || this.#held("AltRight")) return [0x84];
      return control || this.#shifted() ? [EXTENDED, 0x7c] : [EXTENDED, 0x12, EXTENDED, 0x7c];
    }
    const plain = codes.extended ? [EXTENDED, codes.set2] : [codes.set2];
    return [...this.#wrapBefore(codes), ...plain];
  }

  #break2(code: string, codes: KeyCodes): readonly number[] {
    if (code === "Pause" || code === "Lang1" || code === "Lang2") return [];
    if (code === "PrintScreen") {
      if (this.#held("AltLeft") || this.#held("AltRight")) return [BREAK_PREFIX, 0x84];
      const control = this.#held("ControlLeft") || this.#held("ControlRight");
      const plain = [EXTENDED, BREAK_PREFIX, 0x7c];
      return control || this.#shifted() ? plain : [...plain, EXTENDED, BREAK_PREFIX, 0x12];
    }
    const plain = codes.extended ? [EXTENDED, BREAK_PREFIX, codes.set2] : [BREAK_PREFIX, codes.set2];
    return [...plain, ...this.#wrapAfter(codes)];
  }

  #shifted(): boolean {
    return this.#held("ShiftLeft") || this.#held("ShiftRight");
  }

  /** Grey keys look like keypad keys to old software, so the keyboard takes Shift away, or adds it under Num Lock. */
  #wrapBefore(codes: KeyCodes): readonly number[] {
    if (codes.wrap === undefined) return [];
    if (this.#shifted()) {
      const left = this.#held("ShiftLeft") ? [EXTENDED, BREAK_PREFIX, 0x12] : [];
      return this.#held("ShiftRight") ? [...left, EXTENDED, BREAK_PREFIX, 0x59] : left;
    }
    return codes.wrap === "nav" && (this.#ledBits & LED_NUM) !== 0 ? [EXTENDED, 0x12] : [];
  }

  #wrapAfter(codes: KeyCodes): readonly number[] {
    if (codes.wrap === undefined) return [];
    if (this.#shifted()) {
      const right = this.#held("ShiftRight") ? [EXTENDED, 0x59] : [];
      return this.#held("ShiftLeft") ? [...right, EXTENDED, 0x12] : right;
    }
    return codes.wrap === "nav" && (this.#ledBits & LED_NUM) !== 0 ? [EXTENDED, BREAK_PREFIX, 0x12] : [];
  }

  /** Set 2 bytes as the chosen set has them. */
  #inSet(bytes: readonly number[]): readonly number[] {
    if (this.#set !== 1) return bytes;
    const out: number[] = [];
    let release = 0;
    for (const b of bytes) {
      if (b === BREAK_PREFIX) {
        release = 0x80;
        continue;
      }
      out.push((SET2_TO_SET1[b] ?? 0) | release);
      release = 0;
    }
    return out;
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
    if (this.#scans.length === 0) this.#send(this.#make(code, KEYS[code]));
    // Period = (8 + A) * 2^B * 4.17 ms.
    const periodNs = (8 + (this.#rate & 7)) * 2 ** ((this.#rate >> 3) & 3) * 4_170_000;
    this.#repeat.arm(this.#clock.nowNs() + periodNs);
  }
}
