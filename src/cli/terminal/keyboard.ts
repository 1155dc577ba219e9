import { parseChord, parseTyped } from "../../node/index.ts";
import type { KeyChord } from "../../node/index.ts";

/** Final letters of CSI and SS3 sequences (ECMA-48, xterm). */
const LETTER_KEYS: Readonly<Record<string, string>> = {
  A: "ArrowUp",
  B: "ArrowDown",
  C: "ArrowRight",
  D: "ArrowLeft",
  E: "Numpad5",
  F: "End",
  H: "Home",
  M: "NumpadEnter",
  P: "F1",
  Q: "F2",
  R: "F3",
  S: "F4",
  Z: "shift-Tab",
};

/** Numbers of `CSI n ~` sequences. */
const TILDE_KEYS: Readonly<Record<number, string>> = {
  1: "Home",
  2: "Insert",
  3: "Delete",
  4: "End",
  5: "PageUp",
  6: "PageDown",
  7: "Home",
  8: "End",
  11: "F1",
  12: "F2",
  13: "F3",
  14: "F4",
  15: "F5",
  17: "F6",
  18: "F7",
  19: "F8",
  20: "F9",
  21: "F10",
  23: "F11",
  24: "F12",
};

/** Control bytes that are keys of their own, not Ctrl and a letter. */
const CONTROL_KEYS: Readonly<Record<string, string>> = {
  "\r": "Enter",
  "\n": "ctrl-j",
  "\t": "Tab",
  "\x7f": "Backspace",
  "\b": "ctrl-h",
  "\0": "ctrl-Space",
  "\x1c": "ctrl-Backslash",
  "\x1e": "ctrl-Digit6",
  "\x1f": "ctrl-Minus",
};

/** What a chunk of terminal input means. */
export interface Decoded {
  readonly chords: readonly KeyChord[];
  /** Ctrl-] was pressed: what follows belongs to the menu. */
  readonly menu: boolean;
  /** Input after the menu key, or the start of a sequence that is not complete. */
  readonly rest: string;
}

/** Pressed with Shift, Alt or Ctrl: xterm sends 1 + a sum of 1, 2 and 4. */
function withModifiers(name: string, parameter: number): KeyChord {
  const bits = Math.max(0, parameter - 1);
  const prefix = `${(bits & 1) !== 0 ? "shift-" : ""}${(bits & 2) !== 0 ? "alt-" : ""}${(bits & 4) !== 0 ? "ctrl-" : ""}`;
  return parseChord(prefix + name);
}

// oxlint-disable-next-line no-control-regex -- escape sequences are what this decodes
const CSI = /^\x1b\[([\d;]*)([A-Za-z~])/;
// oxlint-disable-next-line no-control-regex
const SS3 = /^\x1bO(\d*)([A-Z])/;
// oxlint-disable-next-line no-control-regex
const LINUX_FUNCTION = /^\x1b\[\[([A-E])/;
// oxlint-disable-next-line no-control-regex
const INCOMPLETE = /^\x1b(\[[\d;[]*|O\d*)$/;

/** The chord at the start of `text` and how many characters it takes; chord undefined for sequences that mean nothing here. */
function nextKey(text: string): { readonly chord: KeyChord | undefined; readonly length: number } {
  const linux = LINUX_FUNCTION.exec(text);
  if (linux !== null) return { chord: parseChord(`F${(linux[1] ?? "A").charCodeAt(0) - 64}`), length: linux[0].length };
  const csi = CSI.exec(text);
  if (csi !== null) {
    const numbers = (csi[1] ?? "").split(";").map(Number);
    const final = csi[2] ?? "";
    const name = final === "~" ? TILDE_KEYS[numbers[0] ?? 0] : LETTER_KEYS[final];
    return { chord: name === undefined ? undefined : withModifiers(name, numbers[1] ?? 1), length: csi[0].length };
  }
  const ss3 = SS3.exec(text);
  if (ss3 !== null) {
    const name = LETTER_KEYS[ss3[2] ?? ""];
    return { chord: name === undefined ? undefined : withModifiers(name, Number(ss3[1] || "1")), length: ss3[0].length };
  }
  if (text.startsWith("\x1b") && text.length > 1) {
    const after = nextKey(text.slice(1));
    const chord: KeyChord | undefined = after.chord === undefined ? undefined : ["AltLeft", ...after.chord];
    return { chord, length: after.length + 1 };
  }
  const char = String.fromCodePoint(text.codePointAt(0) ?? 32);
  const named = CONTROL_KEYS[char];
  if (named !== undefined) return { chord: parseChord(named), length: 1 };
  try {
    return { chord: parseTyped(char === "{" ? "{{" : char)[0], length: char.length };
  } catch {
    return { chord: undefined, length: char.length };
  }
}

export const MENU_KEY = "\x1d";

/**
 * Terminal input as keys. `final`: nothing more is coming soon, so a lone ESC is the Escape key and not the start of a
 * sequence.
 */
export function decodeKeys(text: string, final: boolean): Decoded {
  const chords: KeyChord[] = [];
  let rest = text;
  while (rest !== "") {
    if (rest.startsWith(MENU_KEY)) return { chords, menu: true, rest: rest.slice(1) };
    if (!final && (rest === "\x1b" || INCOMPLETE.test(rest))) break;
    const { chord, length } = nextKey(rest);
    if (chord !== undefined) chords.push(chord);
    rest = rest.slice(length);
  }
  return { chords, menu: false, rest };
}
