import { VmmError } from "../../base/index.ts";
import { cp437Code } from "../../devices/vga/index.ts";
import { isKeyName, KEYS } from "../../devices/ps2-keyboard/keys.ts";
import type { KeyName } from "../../devices/ps2-keyboard/keys.ts";
import { charToKeys } from "../../devices/ps2-keyboard/us-layout.ts";

export type { KeyName } from "../../devices/ps2-keyboard/keys.ts";

/** Keys pressed together, by their `KeyboardEvent.code` names: all go down in order, then up in reverse order. */
export type KeyChord = readonly KeyName[];

const ALIASES: Readonly<Record<string, KeyName>> = {
  esc: "Escape",
  return: "Enter",
  ret: "Enter",
  bksp: "Backspace",
  bs: "Backspace",
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
for (const name of Object.keys(KEYS)) if (isKeyName(name)) BY_LOWER_NAME.set(name.toLowerCase(), name);
for (const [alias, name] of Object.entries(ALIASES)) BY_LOWER_NAME.set(alias, name);

function usKeys(char: string): KeyChord | undefined {
  const typed = charToKeys(char);
  if (typed === undefined) return undefined;
  if (typed.control === true) return ["ControlLeft", typed.code];
  return typed.shift ? ["ShiftLeft", typed.code] : [typed.code];
}

/** The combination that types a character on a US keyboard; others of code page 437 by Alt and their decimal code on the keypad. */
function chordForCharacter(char: string): KeyChord | undefined {
  const direct = usKeys(char);
  if (direct !== undefined) return direct;
  const byte = cp437Code(char);
  return byte === undefined ? undefined : altDigits(byte);
}

/** Alt held while the decimal code is typed on the keypad: the BIOS turns it into that character. */
function altDigits(byte: number): KeyChord {
  return ["AltLeft", ...Array.from(String(byte), (digit) => BY_LOWER_NAME.get(`numpad${digit}`) ?? "Numpad0")];
}

/** `ctrl-alt-del`, `F1`, `ArrowDown`, `shift+a`, `ctrl--`. Throws `KEY_UNKNOWN` on a name that is no key. */
export function parseChord(text: string): KeyChord {
  const parts = text.length === 1 ? [text] : text.split(/[-+](?=.)/);
  const chord: KeyName[] = [];
  for (const part of parts) {
    const named = BY_LOWER_NAME.get(part.toLowerCase());
    // A capital in a combination names the key ("ctrl-C"), alone it is the character.
    const typed = part.length === 1 ? usKeys(parts.length > 1 ? part.toLowerCase() : part) : undefined;
    if (named === undefined && typed === undefined) {
      throw new VmmError("KEY_UNKNOWN", `"${text}": no key is called "${part}" (examples: F1, Enter, ArrowDown, ctrl-alt-del, shift-Tab)`);
    }
    for (const key of named !== undefined ? [named] : (typed ?? [])) if (!chord.includes(key)) chord.push(key);
  }
  return chord;
}

/** Text with `{F1}` or `{ctrl-alt-del}` names in it; `{{` is a brace. Throws `KEY_UNKNOWN`. */
export function parseTyped(text: string): readonly KeyChord[] {
  const chords: KeyChord[] = [];
  for (const match of text.matchAll(/\{\{|\{([^{}]+)\}|[\s\S]/gu)) {
    const name = match[1];
    if (match[0] === "{") throw new VmmError("KEY_UNKNOWN", `"${text.slice(match.index)}": a key is written {Enter}, and a brace {{`);
    const char = match[0] === "{{" ? "{" : match[0];
    const chord = name !== undefined ? parseChord(name) : chordForCharacter(char);
    if (chord === undefined) throw new VmmError("KEY_UNKNOWN", `character "${char}" is neither on a US keyboard nor in code page 437`);
    chords.push(chord);
  }
  return chords;
}
