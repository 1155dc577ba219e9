import { VmmError } from "../base/index.ts";

/**
 * Keys of a 101/102-key keyboard by their names in the web's `KeyboardEvent.code` standard, with the make code of scan-code
 * set 1 (bit 8: E0 prefix). The keyboard device turns a key into the bytes of the set that the guest selected.
 * Source: IBM PC/AT technical reference, keyboard section; W3C UI Events code values.
 */
export const KEY_CODES = {
  Escape: 0x01,
  Digit1: 0x02,
  Digit2: 0x03,
  Digit3: 0x04,
  Digit4: 0x05,
  Digit5: 0x06,
  Digit6: 0x07,
  Digit7: 0x08,
  Digit8: 0x09,
  Digit9: 0x0a,
  Digit0: 0x0b,
  Minus: 0x0c,
  Equal: 0x0d,
  Backspace: 0x0e,
  Tab: 0x0f,
  KeyQ: 0x10,
  KeyW: 0x11,
  KeyE: 0x12,
  KeyR: 0x13,
  KeyT: 0x14,
  KeyY: 0x15,
  KeyU: 0x16,
  KeyI: 0x17,
  KeyO: 0x18,
  KeyP: 0x19,
  BracketLeft: 0x1a,
  BracketRight: 0x1b,
  Enter: 0x1c,
  ControlLeft: 0x1d,
  KeyA: 0x1e,
  KeyS: 0x1f,
  KeyD: 0x20,
  KeyF: 0x21,
  KeyG: 0x22,
  KeyH: 0x23,
  KeyJ: 0x24,
  KeyK: 0x25,
  KeyL: 0x26,
  Semicolon: 0x27,
  Quote: 0x28,
  Backquote: 0x29,
  ShiftLeft: 0x2a,
  Backslash: 0x2b,
  KeyZ: 0x2c,
  KeyX: 0x2d,
  KeyC: 0x2e,
  KeyV: 0x2f,
  KeyB: 0x30,
  KeyN: 0x31,
  KeyM: 0x32,
  Comma: 0x33,
  Period: 0x34,
  Slash: 0x35,
  ShiftRight: 0x36,
  NumpadMultiply: 0x37,
  AltLeft: 0x38,
  Space: 0x39,
  CapsLock: 0x3a,
  F1: 0x3b,
  F2: 0x3c,
  F3: 0x3d,
  F4: 0x3e,
  F5: 0x3f,
  F6: 0x40,
  F7: 0x41,
  F8: 0x42,
  F9: 0x43,
  F10: 0x44,
  NumLock: 0x45,
  ScrollLock: 0x46,
  Numpad7: 0x47,
  Numpad8: 0x48,
  Numpad9: 0x49,
  NumpadSubtract: 0x4a,
  Numpad4: 0x4b,
  Numpad5: 0x4c,
  Numpad6: 0x4d,
  NumpadAdd: 0x4e,
  Numpad1: 0x4f,
  Numpad2: 0x50,
  Numpad3: 0x51,
  Numpad0: 0x52,
  NumpadDecimal: 0x53,
  IntlBackslash: 0x56,
  F11: 0x57,
  F12: 0x58,
  NumpadEnter: 0x11c,
  ControlRight: 0x11d,
  NumpadDivide: 0x135,
  PrintScreen: 0x137,
  AltRight: 0x138,
  Pause: 0x145,
  Home: 0x147,
  ArrowUp: 0x148,
  PageUp: 0x149,
  ArrowLeft: 0x14b,
  ArrowRight: 0x14d,
  End: 0x14f,
  ArrowDown: 0x150,
  PageDown: 0x151,
  Insert: 0x152,
  Delete: 0x153,
  MetaLeft: 0x15b,
  MetaRight: 0x15c,
  ContextMenu: 0x15d,
} as const satisfies Record<string, number>;

export type KeyName = keyof typeof KEY_CODES;

/** Keys pressed together: all go down in order, then up in reverse order. */
export type KeyChord = readonly KeyName[];

const ALIASES: Readonly<Record<string, KeyName>> = {
  esc: "Escape",
  return: "Enter",
  ret: "Enter",
  bksp: "Backspace",
  bs: "Backspace",
  space: "Space",
  spc: "Space",
  ctrl: "ControlLeft",
  control: "ControlLeft",
  rctrl: "ControlRight",
  alt: "AltLeft",
  ralt: "AltRight",
  altgr: "AltRight",
  shift: "ShiftLeft",
  rshift: "ShiftRight",
  meta: "MetaLeft",
  win: "MetaLeft",
  up: "ArrowUp",
  down: "ArrowDown",
  left: "ArrowLeft",
  right: "ArrowRight",
  pgup: "PageUp",
  pgdn: "PageDown",
  pgdown: "PageDown",
  ins: "Insert",
  del: "Delete",
  menu: "ContextMenu",
  print: "PrintScreen",
  sysrq: "PrintScreen",
  break: "Pause",
  caps: "CapsLock",
  num: "NumLock",
  scroll: "ScrollLock",
};

const BY_LOWER_NAME = new Map<string, KeyName>();
for (const name of Object.keys(KEY_CODES)) if (isKeyName(name)) BY_LOWER_NAME.set(name.toLowerCase(), name);
for (const [alias, name] of Object.entries(ALIASES)) BY_LOWER_NAME.set(alias, name);

function isKeyName(name: string): name is KeyName {
  return Object.hasOwn(KEY_CODES, name);
}

/** US layout: character → key and whether Shift is held. */
const US_LAYOUT = new Map<string, { readonly key: KeyName; readonly shift: boolean }>();
function layoutRow(keys: readonly KeyName[], plain: string, shifted: string): void {
  keys.forEach((key, i) => {
    US_LAYOUT.set(plain.charAt(i), { key, shift: false });
    US_LAYOUT.set(shifted.charAt(i), { key, shift: true });
  });
}
const LETTERS = "qwertyuiopasdfghjklzxcvbnm";
layoutRow(
  [...LETTERS].map((c) => BY_LOWER_NAME.get(`key${c}`) ?? "Space"),
  LETTERS,
  LETTERS.toUpperCase(),
);
layoutRow(
  [..."1234567890"].map((c) => BY_LOWER_NAME.get(`digit${c}`) ?? "Space"),
  "1234567890",
  "!@#$%^&*()",
);
layoutRow(
  ["Minus", "Equal", "BracketLeft", "BracketRight", "Backslash", "Semicolon", "Quote", "Backquote", "Comma", "Period", "Slash"],
  "-=[]\\;'`,./",
  '_+{}|:"~<>?',
);
for (const [char, key] of [
  [" ", "Space"],
  ["\n", "Enter"],
  ["\r", "Enter"],
  ["\t", "Tab"],
  ["\b", "Backspace"],
  ["\x7f", "Backspace"],
  ["\x1b", "Escape"],
] as const) {
  US_LAYOUT.set(char, { key, shift: false });
}

/** The chord that types a character on a US keyboard: control characters as Ctrl and a letter, others outside ASCII by Alt and digits of code page 437. */
export function chordsForCharacter(char: string, codePage437: (char: string) => number | undefined): readonly KeyChord[] | undefined {
  const direct = US_LAYOUT.get(char);
  if (direct !== undefined) return [direct.shift ? ["ShiftLeft", direct.key] : [direct.key]];
  const code = char.codePointAt(0) ?? 0;
  if (code > 0 && code < 32) {
    const base = US_LAYOUT.get(String.fromCharCode(code + 64).toLowerCase());
    return base === undefined ? undefined : [["ControlLeft", base.key]];
  }
  const byte = codePage437(char);
  if (byte === undefined) return undefined;
  return [altDigits(byte)];
}

/** Alt held while the decimal code is typed on the keypad: the BIOS turns it into that character. */
function altDigits(byte: number): KeyChord {
  const digits = [...String(byte)].map((d) => BY_LOWER_NAME.get(`numpad${d}`) ?? "Numpad0");
  return ["AltLeft", ...digits];
}

/** `ctrl-alt-del`, `F1`, `ArrowDown`, `shift+a`, `ctrl--`. Throws `KEY_UNKNOWN` on a name that is no key. */
export function parseChord(text: string): KeyChord {
  const parts = text.length === 1 ? [text] : text.split(/[-+](?=.)/);
  const chord: KeyName[] = [];
  for (const part of parts) {
    const named = BY_LOWER_NAME.get(part.toLowerCase());
    // A capital in a combination names the key ("ctrl-C"), alone it is the character.
    const typed = part.length === 1 ? US_LAYOUT.get(parts.length > 1 ? part.toLowerCase() : part) : undefined;
    if (named !== undefined) chord.push(named);
    else if (typed !== undefined) {
      if (typed.shift && !chord.includes("ShiftLeft")) chord.push("ShiftLeft");
      chord.push(typed.key);
    } else throw new VmmError("KEY_UNKNOWN", `"${text}": no key is called "${part}" (examples: F1, Enter, ArrowDown, ctrl-alt-del, shift-Tab)`);
  }
  return chord;
}

/** Text with `{F1}` or `{ctrl-alt-del}` names in it; `{{` is a brace. Throws `KEY_UNKNOWN`. */
export function parseTyped(text: string, codePage437: (char: string) => number | undefined): readonly KeyChord[] {
  const chords: KeyChord[] = [];
  const pattern = /\{\{|\{([^{}]+)\}|[\s\S]/gu;
  for (const match of text.matchAll(pattern)) {
    const name = match[1];
    if (name !== undefined) {
      chords.push(parseChord(name));
      continue;
    }
    const char = match[0] === "{{" ? "{" : match[0];
    const typed = chordsForCharacter(char, codePage437);
    if (typed === undefined) throw new VmmError("KEY_UNKNOWN", `character "${char}" is neither on a US keyboard nor in code page 437`);
    chords.push(...typed);
  }
  return chords;
}
