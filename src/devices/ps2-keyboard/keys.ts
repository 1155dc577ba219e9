/**
 * The keys of a PC/AT keyboard by their DOM `KeyboardEvent.code`, with their scan codes. Source: IBM PS/2 hardware reference, keyboards
 * (101/102-key), Microsoft keyboard scan code specification 1.3a (Windows, ACPI and media keys). Set 1 follows from set 2 by translation.
 */
export interface KeyCodes {
  /** Set 2 make code. */
  readonly set2: number;
  /** E0h comes before it in sets 1 and 2. */
  readonly extended: boolean;
  /** Set 3 make code, 0 when the key has none. */
  readonly set3: number;
  /** Sets 1 and 2 wrap the key in fake shifts: "nav" undoes Shift or Num Lock, "slash" undoes Shift only. */
  readonly wrap?: "nav" | "slash";
}

const key = (set2: number, set3: number): KeyCodes => ({ set2, extended: false, set3 });
const ext = (set2: number, set3 = 0): KeyCodes => ({ set2, extended: true, set3 });
const nav = (set2: number, set3: number): KeyCodes => ({ set2, extended: true, set3, wrap: "nav" });

/** The keys of the keyboard by their `KeyboardEvent.code`. */
export const KEYS = {
  Escape: key(0x76, 0x08),
  F1: key(0x05, 0x07),
  F2: key(0x06, 0x0f),
  F3: key(0x04, 0x17),
  F4: key(0x0c, 0x1f),
  F5: key(0x03, 0x27),
  F6: key(0x0b, 0x2f),
  F7: key(0x83, 0x37),
  F8: key(0x0a, 0x3f),
  F9: key(0x01, 0x47),
  F10: key(0x09, 0x4f),
  F11: key(0x78, 0x56),
  F12: key(0x07, 0x5e),
  F13: key(0x08, 0),
  F14: key(0x10, 0),
  F15: key(0x18, 0),
  F16: key(0x20, 0),
  F17: key(0x28, 0),
  F18: key(0x30, 0),
  F19: key(0x38, 0),
  F20: key(0x40, 0),
  F21: key(0x48, 0),
  F22: key(0x50, 0),
  F23: key(0x57, 0),
  F24: key(0x5f, 0),
  ScrollLock: key(0x7e, 0x5f),
  Backquote: key(0x0e, 0x0e),
  Digit1: key(0x16, 0x16),
  Digit2: key(0x1e, 0x1e),
  Digit3: key(0x26, 0x26),
  Digit4: key(0x25, 0x25),
  Digit5: key(0x2e, 0x2e),
  Digit6: key(0x36, 0x36),
  Digit7: key(0x3d, 0x3d),
  Digit8: key(0x3e, 0x3e),
  Digit9: key(0x46, 0x46),
  Digit0: key(0x45, 0x45),
  Minus: key(0x4e, 0x4e),
  Equal: key(0x55, 0x55),
  Backspace: key(0x66, 0x66),
  Tab: key(0x0d, 0x0d),
  KeyQ: key(0x15, 0x15),
  KeyW: key(0x1d, 0x1d),
  KeyE: key(0x24, 0x24),
  KeyR: key(0x2d, 0x2d),
  KeyT: key(0x2c, 0x2c),
  KeyY: key(0x35, 0x35),
  KeyU: key(0x3c, 0x3c),
  KeyI: key(0x43, 0x43),
  KeyO: key(0x44, 0x44),
  KeyP: key(0x4d, 0x4d),
  BracketLeft: key(0x54, 0x54),
  BracketRight: key(0x5b, 0x5b),
  Backslash: key(0x5d, 0x5c),
  CapsLock: key(0x58, 0x14),
  KeyA: key(0x1c, 0x1c),
  KeyS: key(0x1b, 0x1b),
  KeyD: key(0x23, 0x23),
  KeyF: key(0x2b, 0x2b),
  KeyG: key(0x34, 0x34),
  KeyH: key(0x33, 0x33),
  KeyJ: key(0x3b, 0x3b),
  KeyK: key(0x42, 0x42),
  KeyL: key(0x4b, 0x4b),
  Semicolon: key(0x4c, 0x4c),
  Quote: key(0x52, 0x52),
  Enter: key(0x5a, 0x5a),
  ShiftLeft: key(0x12, 0x12),
  IntlBackslash: key(0x61, 0x13),
  KeyZ: key(0x1a, 0x1a),
  KeyX: key(0x22, 0x22),
  KeyC: key(0x21, 0x21),
  KeyV: key(0x2a, 0x2a),
  KeyB: key(0x32, 0x32),
  KeyN: key(0x31, 0x31),
  KeyM: key(0x3a, 0x3a),
  Comma: key(0x41, 0x41),
  Period: key(0x49, 0x49),
  Slash: key(0x4a, 0x4a),
  ShiftRight: key(0x59, 0x59),
  ControlLeft: key(0x14, 0x11),
  AltLeft: key(0x11, 0x19),
  Space: key(0x29, 0x29),
  AltRight: ext(0x11, 0x39),
  ControlRight: ext(0x14, 0x58),
  MetaLeft: ext(0x1f, 0x8b),
  MetaRight: ext(0x27, 0x8c),
  ContextMenu: ext(0x2f, 0x8d),
  Insert: nav(0x70, 0x67),
  Delete: nav(0x71, 0x64),
  Home: nav(0x6c, 0x6e),
  End: nav(0x69, 0x65),
  PageUp: nav(0x7d, 0x6f),
  PageDown: nav(0x7a, 0x6d),
  ArrowUp: nav(0x75, 0x63),
  ArrowDown: nav(0x72, 0x60),
  ArrowLeft: nav(0x6b, 0x61),
  ArrowRight: nav(0x74, 0x6a),
  NumLock: key(0x77, 0x76),
  NumpadDivide: { set2: 0x4a, extended: true, set3: 0x77, wrap: "slash" },
  NumpadMultiply: key(0x7c, 0x7e),
  NumpadSubtract: key(0x7b, 0x84),
  NumpadAdd: key(0x79, 0x7c),
  NumpadEnter: ext(0x5a, 0x79),
  NumpadDecimal: key(0x71, 0x71),
  NumpadComma: key(0x6d, 0),
  NumpadEqual: key(0x0f, 0),
  Numpad0: key(0x70, 0x70),
  Numpad1: key(0x69, 0x69),
  Numpad2: key(0x72, 0x72),
  Numpad3: key(0x7a, 0x7a),
  Numpad4: key(0x6b, 0x6b),
  Numpad5: key(0x73, 0x73),
  Numpad6: key(0x74, 0x74),
  Numpad7: key(0x6c, 0x6c),
  Numpad8: key(0x75, 0x75),
  Numpad9: key(0x7d, 0x7d),
  // These two have sequences of their own (device.ts); the codes here are for set 3.
  PrintScreen: ext(0x7c, 0x57),
  Pause: key(0x77, 0x62),
  IntlRo: key(0x51, 0x51),
  IntlYen: key(0x6a, 0x5d),
  KanaMode: key(0x13, 0x87),
  Convert: key(0x64, 0x86),
  NonConvert: key(0x67, 0x85),
  Lang1: key(0xf2, 0),
  Lang2: key(0xf1, 0),
  Power: ext(0x37),
  Sleep: ext(0x3f),
  WakeUp: ext(0x5e),
  MediaTrackNext: ext(0x4d),
  MediaTrackPrevious: ext(0x15),
  MediaStop: ext(0x3b),
  MediaPlayPause: ext(0x34),
  AudioVolumeMute: ext(0x23),
  AudioVolumeUp: ext(0x32),
  AudioVolumeDown: ext(0x21),
  BrowserHome: ext(0x3a),
  BrowserSearch: ext(0x10),
  BrowserFavorites: ext(0x18),
  BrowserRefresh: ext(0x20),
  BrowserStop: ext(0x28),
  BrowserForward: ext(0x30),
  BrowserBack: ext(0x38),
  LaunchMail: ext(0x48),
  LaunchApp1: ext(0x40),
  LaunchApp2: ext(0x2b),
  MediaSelect: ext(0x50),
} as const satisfies Record<string, KeyCodes>;

/** A DOM `KeyboardEvent.code` that the keyboard has. */
export type KeyName = keyof typeof KEYS;

const BY_NAME: ReadonlyMap<string, KeyCodes> = new Map(Object.entries(KEYS));

/** Whether the keyboard has that key. */
export function isKeyName(code: string): code is KeyName {
  return BY_NAME.has(code);
}

/** Undefined: the keyboard has no such key. */
export function keyCodes(code: string): KeyCodes | undefined {
  return BY_NAME.get(code);
}

export const TYPEMATIC = 1;
export const BREAK = 2;

const SET3_MAKE_BREAK = [0x11, 0x12, 0x14, 0x19, 0x59];
const SET3_MAKE_ONLY = [
  0x07, 0x08, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x39, 0x3f, 0x47, 0x4f, 0x56, 0x57, 0x58, 0x5e, 0x5f, 0x62, 0x65, 0x67, 0x69, 0x6b, 0x6c, 0x6d,
  0x6e, 0x6f, 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x79, 0x7a, 0x7d, 0x7e, 0x84, 0x8b, 0x8c, 0x8d,
];

/** What each set 3 code does at power-on: TYPEMATIC and BREAK bits. */
export function defaultSet3Types(): Uint8Array {
  const types = new Uint8Array(256).fill(TYPEMATIC);
  for (const code of SET3_MAKE_BREAK) types[code] = BREAK;
  for (const code of SET3_MAKE_ONLY) types[code] = 0;
  return types;
}
