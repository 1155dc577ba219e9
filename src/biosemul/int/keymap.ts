/**
 * Set-1 make codes to BIOS key words (scan code in the high byte, ASCII in the low), for the four shift states of the
 * 101/102-key keyboard with US legends. Source: IBM PS/2 and PC BIOS interface technical reference, keyboard tables.
 * `NONE`: the combination gives no key.
 */
const NONE = -1;
const NORMAL = 0;
const SHIFT = 1;
const CTRL = 2;
const ALT = 3;
const CODES = 0x80;

const map: Int32Array = new Int32Array(CODES * 4).fill(NONE);

function put(code: number, normal: number, shift: number, ctrl: number, alt: number): void {
  map[code * 4 + NORMAL] = normal;
  map[code * 4 + SHIFT] = shift;
  map[code * 4 + CTRL] = ctrl;
  map[code * 4 + ALT] = alt;
}
const word = (scan: number, ascii: number): number => (scan << 8) | ascii;
const char = (text: string, i: number): number => text.charCodeAt(i);

const DIGITS = "1234567890-=";
const DIGITS_SHIFTED = "!@#$%^&*()_+";
for (let i = 0; i < DIGITS.length; i++) {
  const code = 2 + i;
  put(code, word(code, char(DIGITS, i)), word(code, char(DIGITS_SHIFTED, i)), NONE, word(0x78 + i, 0));
}
map[0x03 * 4 + CTRL] = word(0x03, 0x00); // Ctrl-2: NUL
map[0x07 * 4 + CTRL] = word(0x07, 0x1e); // Ctrl-6: RS
map[0x0c * 4 + CTRL] = word(0x0c, 0x1f); // Ctrl-minus: US

const LETTER_ROWS: readonly (readonly [number, string])[] = [
  [0x10, "qwertyuiop"],
  [0x1e, "asdfghjkl"],
  [0x2c, "zxcvbnm"],
];
for (const [first, letters] of LETTER_ROWS) {
  for (let i = 0; i < letters.length; i++) {
    const lower = char(letters, i);
    const code = first + i;
    put(code, word(code, lower), word(code, lower - 0x20), word(code, lower & 0x1f), word(code, 0));
  }
}

put(0x01, 0x011b, 0x011b, 0x011b, 0x0100);
put(0x0e, 0x0e08, 0x0e08, 0x0e7f, 0x0e00);
put(0x0f, 0x0f09, 0x0f00, 0x9400, 0xa500);
put(0x1a, word(0x1a, 0x5b), word(0x1a, 0x7b), word(0x1a, 0x1b), 0x1a00);
put(0x1b, word(0x1b, 0x5d), word(0x1b, 0x7d), word(0x1b, 0x1d), 0x1b00);
put(0x1c, 0x1c0d, 0x1c0d, 0x1c0a, 0x1c00);
put(0x27, word(0x27, 0x3b), word(0x27, 0x3a), NONE, 0x2700);
put(0x28, word(0x28, 0x27), word(0x28, 0x22), NONE, 0x2800);
put(0x29, word(0x29, 0x60), word(0x29, 0x7e), NONE, 0x2900);
put(0x2b, word(0x2b, 0x5c), word(0x2b, 0x7c), word(0x2b, 0x1c), 0x2b00);
put(0x33, word(0x33, 0x2c), word(0x33, 0x3c), NONE, 0x3300);
put(0x34, word(0x34, 0x2e), word(0x34, 0x3e), NONE, 0x3400);
put(0x35, word(0x35, 0x2f), word(0x35, 0x3f), NONE, 0x3500);
put(0x37, 0x372a, NONE, 0x9600, 0x3700); // keypad *
put(0x39, 0x3920, 0x3920, 0x3920, 0x3920);
for (let i = 0; i < 10; i++) put(0x3b + i, word(0x3b + i, 0), word(0x54 + i, 0), word(0x5e + i, 0), word(0x68 + i, 0));
put(0x57, 0x8500, 0x8700, 0x8900, 0x8b00);
put(0x58, 0x8600, 0x8800, 0x8a00, 0x8c00);
// Keypad: normal = cursor keys, shift column = digits (Num Lock swaps the two). Alt is the number entry, done elsewhere.
put(0x47, 0x4700, 0x4737, 0x7700, NONE);
put(0x48, 0x4800, 0x4838, 0x8d00, NONE);
put(0x49, 0x4900, 0x4939, 0x8400, NONE);
put(0x4a, 0x4a2d, 0x4a2d, 0x8e00, 0x4a00);
put(0x4b, 0x4b00, 0x4b34, 0x7300, NONE);
put(0x4c, 0x4cf0, 0x4c35, 0x8f00, NONE);
put(0x4d, 0x4d00, 0x4d36, 0x7400, NONE);
put(0x4e, 0x4e2b, 0x4e2b, 0x9000, 0x4e00);
put(0x4f, 0x4f00, 0x4f31, 0x7500, NONE);
put(0x50, 0x5000, 0x5032, 0x9100, NONE);
put(0x51, 0x5100, 0x5133, 0x7600, NONE);
put(0x52, 0x5200, 0x5230, 0x9200, NONE);
put(0x53, 0x5300, 0x532e, 0x9300, NONE);
put(0x56, word(0x56, 0x5c), word(0x56, 0x7c), NONE, NONE); // the 102nd key

/** Keys with the E0 prefix; ASCII E0h marks the grey cursor block for INT 16h/10h. */
const extended: Int32Array = new Int32Array(CODES * 4).fill(NONE);
function grey(code: number, normal: number, ctrl: number, alt: number): void {
  extended[code * 4 + NORMAL] = normal;
  extended[code * 4 + SHIFT] = normal;
  extended[code * 4 + CTRL] = ctrl;
  extended[code * 4 + ALT] = alt;
}
grey(0x1c, 0xe00d, 0xe00a, 0xa600);
grey(0x35, 0xe02f, 0x9500, 0xa400);
grey(0x47, 0x47e0, 0x77e0, 0x9700);
grey(0x48, 0x48e0, 0x8de0, 0x9800);
grey(0x49, 0x49e0, 0x84e0, 0x9900);
grey(0x4b, 0x4be0, 0x73e0, 0x9b00);
grey(0x4d, 0x4de0, 0x74e0, 0x9d00);
grey(0x4f, 0x4fe0, 0x75e0, 0x9f00);
grey(0x50, 0x50e0, 0x91e0, 0xa000);
grey(0x51, 0x51e0, 0x76e0, 0xa100);
grey(0x52, 0x52e0, 0x92e0, 0xa200);
grey(0x53, 0x53e0, 0x93e0, 0xa300);

export interface ShiftState {
  readonly shift: boolean;
  readonly ctrl: boolean;
  readonly alt: boolean;
  readonly caps: boolean;
  readonly num: boolean;
}

const isLetter = (code: number): boolean => (code >= 0x10 && code <= 0x19) || (code >= 0x1e && code <= 0x26) || (code >= 0x2c && code <= 0x32);
const isKeypad = (code: number): boolean => code >= 0x47 && code <= 0x53 && code !== 0x4a && code !== 0x4e;

/** Key word for a make code (0..7F), or -1 when the combination gives none. */
export function translateKey(code: number, e0: boolean, state: ShiftState): number {
  if (code >= CODES) return NONE;
  let column = state.alt ? ALT : state.ctrl ? CTRL : state.shift ? SHIFT : NORMAL;
  if (e0) return extended[code * 4 + column] ?? NONE;
  if (column === NORMAL || column === SHIFT) {
    if (isLetter(code) && state.caps) column ^= 1;
    else if (isKeypad(code) && state.num) column ^= 1;
  }
  return map[code * 4 + column] ?? NONE;
}

/** Digit of a keypad key for Alt-number entry, or -1. */
export function keypadDigit(code: number): number {
  const shifted = map[code * 4 + SHIFT] ?? NONE;
  const ascii = shifted & 0xff;
  return isKeypad(code) && ascii >= 0x30 && ascii <= 0x39 ? ascii - 0x30 : -1;
}
