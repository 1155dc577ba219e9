import { SET2_TO_SET1 } from "../common/scan-translation.ts";
import { BREAK, KEYS } from "./keys.ts";
import type { KeyCodes, KeyName } from "./keys.ts";

const BREAK_PREFIX = 0xf0;
const EXTENDED = 0xe0;

/** What the bytes of a key depend on besides the key. */
export interface KeyboardMode {
  /** Scan code set, 1 to 3. */
  readonly set: number;
  readonly numLock: boolean;
  /** What each set 3 code does: bits of `TYPEMATIC` and `BREAK`. */
  readonly set3Types: Uint8Array;
  readonly held: ReadonlySet<KeyName>;
}

/** The bytes of a key that goes down. */
export function makeCodes(code: KeyName, mode: KeyboardMode): readonly number[] {
  const codes: KeyCodes = KEYS[code];
  if (mode.set === 3) return codes.set3 === 0 ? [] : [codes.set3];
  return inSet(mode.set, makeSet2(code, codes, mode));
}

/** The bytes of a key that is let go. */
export function breakCodes(code: KeyName, mode: KeyboardMode): readonly number[] {
  const codes: KeyCodes = KEYS[code];
  if (mode.set === 3) return codes.set3 !== 0 && ((mode.set3Types[codes.set3] ?? 0) & BREAK) !== 0 ? [BREAK_PREFIX, codes.set3] : [];
  return inSet(mode.set, breakSet2(code, codes, mode));
}

function makeSet2(code: KeyName, codes: KeyCodes, mode: KeyboardMode): readonly number[] {
  const control = mode.held.has("ControlLeft") || mode.held.has("ControlRight");
  if (code === "Pause") {
    return control ? [EXTENDED, 0x7e, EXTENDED, BREAK_PREFIX, 0x7e] : [0xe1, 0x14, 0x77, 0xe1, BREAK_PREFIX, 0x14, BREAK_PREFIX, 0x77];
  }
  if (code === "PrintScreen") {
    if (mode.held.has("AltLeft") || mode.held.has("AltRight")) return [0x84];
    return control || shifted(mode) ? [EXTENDED, 0x7c] : [EXTENDED, 0x12, EXTENDED, 0x7c];
  }
  const plain = codes.extended ? [EXTENDED, codes.set2] : [codes.set2];
  return [...wrapBefore(codes, mode), ...plain];
}

function breakSet2(code: KeyName, codes: KeyCodes, mode: KeyboardMode): readonly number[] {
  if (code === "Pause" || code === "Lang1" || code === "Lang2") return [];
  if (code === "PrintScreen") {
    if (mode.held.has("AltLeft") || mode.held.has("AltRight")) return [BREAK_PREFIX, 0x84];
    const control = mode.held.has("ControlLeft") || mode.held.has("ControlRight");
    const plain = [EXTENDED, BREAK_PREFIX, 0x7c];
    return control || shifted(mode) ? plain : [...plain, EXTENDED, BREAK_PREFIX, 0x12];
  }
  const plain = codes.extended ? [EXTENDED, BREAK_PREFIX, codes.set2] : [BREAK_PREFIX, codes.set2];
  return [...plain, ...wrapAfter(codes, mode)];
}

function shifted(mode: KeyboardMode): boolean {
  return mode.held.has("ShiftLeft") || mode.held.has("ShiftRight");
}

/** Grey keys look like keypad keys to old software, so the keyboard takes Shift away, or adds it under Num Lock. */
function wrapBefore(codes: KeyCodes, mode: KeyboardMode): readonly number[] {
  if (codes.wrap === undefined) return [];
  if (shifted(mode)) {
    const left = mode.held.has("ShiftLeft") ? [EXTENDED, BREAK_PREFIX, 0x12] : [];
    return mode.held.has("ShiftRight") ? [...left, EXTENDED, BREAK_PREFIX, 0x59] : left;
  }
  return codes.wrap === "nav" && mode.numLock ? [EXTENDED, 0x12] : [];
}

function wrapAfter(codes: KeyCodes, mode: KeyboardMode): readonly number[] {
  if (codes.wrap === undefined) return [];
  if (shifted(mode)) {
    const right = mode.held.has("ShiftRight") ? [EXTENDED, 0x59] : [];
    return mode.held.has("ShiftLeft") ? [...right, EXTENDED, 0x12] : right;
  }
  return codes.wrap === "nav" && mode.numLock ? [EXTENDED, BREAK_PREFIX, 0x12] : [];
}

/** Set 2 bytes as the chosen set has them. */
function inSet(set: number, bytes: readonly number[]): readonly number[] {
  if (set !== 1) return bytes;
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
