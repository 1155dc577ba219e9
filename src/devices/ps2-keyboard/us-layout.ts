import type { KeyName } from "./keys.ts";

/** The key of a character on a US keyboard, and whether Shift (or Control) is held with it. */
export interface TypedKey {
  readonly code: KeyName;
  readonly shift: boolean;
  /** Control characters that have no key of their own (^C, ^Z, …). */
  readonly control?: boolean;
}

const PLAIN: readonly (readonly [KeyName, string])[] = [
  ["Backquote", "`~"],
  ["Digit1", "1!"],
  ["Digit2", "2@"],
  ["Digit3", "3#"],
  ["Digit4", "4$"],
  ["Digit5", "5%"],
  ["Digit6", "6^"],
  ["Digit7", "7&"],
  ["Digit8", "8*"],
  ["Digit9", "9("],
  ["Digit0", "0)"],
  ["Minus", "-_"],
  ["Equal", "=+"],
  ["KeyA", "aA"],
  ["KeyB", "bB"],
  ["KeyC", "cC"],
  ["KeyD", "dD"],
  ["KeyE", "eE"],
  ["KeyF", "fF"],
  ["KeyG", "gG"],
  ["KeyH", "hH"],
  ["KeyI", "iI"],
  ["KeyJ", "jJ"],
  ["KeyK", "kK"],
  ["KeyL", "lL"],
  ["KeyM", "mM"],
  ["KeyN", "nN"],
  ["KeyO", "oO"],
  ["KeyP", "pP"],
  ["KeyQ", "qQ"],
  ["KeyR", "rR"],
  ["KeyS", "sS"],
  ["KeyT", "tT"],
  ["KeyU", "uU"],
  ["KeyV", "vV"],
  ["KeyW", "wW"],
  ["KeyX", "xX"],
  ["KeyY", "yY"],
  ["KeyZ", "zZ"],
  ["BracketLeft", "[{"],
  ["BracketRight", "]}"],
  ["Backslash", "\\|"],
  ["Semicolon", ";:"],
  ["Quote", "'\""],
  ["Comma", ",<"],
  ["Period", ".>"],
  ["Slash", "/?"],
];

const TABLE: ReadonlyMap<string, TypedKey> = build();

/** The key press that types `ch` (one character) on a US keyboard; undefined when it takes more than Shift or Control. */
export function charToKeys(ch: string): TypedKey | undefined {
  return TABLE.get(ch);
}

function build(): Map<string, TypedKey> {
  const table = new Map<string, TypedKey>();
  // ^A..^Z, ^[ ^\ ^] first, so that keys of their own (Tab, Enter, …) replace them.
  for (const [code, chars] of PLAIN) {
    const upper = chars.charAt(code.startsWith("Key") ? 1 : 0);
    const point = upper.charCodeAt(0);
    if (point >= 0x41 && point <= 0x5d) table.set(String.fromCharCode(point - 0x40), { code, shift: false, control: true });
  }
  table.set("\x1e", { code: "Digit6", shift: true, control: true });
  table.set("\x1f", { code: "Minus", shift: true, control: true });
  for (const [code, chars] of PLAIN) {
    table.set(chars.charAt(0), { code, shift: false });
    table.set(chars.charAt(1), { code, shift: true });
  }
  table.set(" ", { code: "Space", shift: false });
  table.set("\n", { code: "Enter", shift: false });
  table.set("\r", { code: "Enter", shift: false });
  table.set("\t", { code: "Tab", shift: false });
  table.set("\b", { code: "Backspace", shift: false });
  table.set("\x1b", { code: "Escape", shift: false });
  table.set("\x7f", { code: "Backspace", shift: false });
  return table;
}
