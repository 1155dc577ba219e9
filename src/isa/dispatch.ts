import type { OpcodeRow } from "./insn.ts";
import { K_CR, K_DR, K_MEM, K_RMREG, SIZE_N, SIZE_V, SIZE_Y, codeShape } from "./tables/codes.ts";
import type { CodeShape } from "./tables/codes.ts";
import { OPCODE_ROWS } from "./tables/index.ts";

/**
 * From bytes to rows. Rows are sorted into slots (mode, opcode map, opcode) at load; a slot is compiled into a flat table of forms
 * the first time the decoder meets it, so that loading the module stays cheap.
 */

/** A row with its encoding parsed, ready for the decoder. */
export interface Form {
  readonly row: OpcodeRow;
  readonly shapes: readonly CodeShape[];
  readonly hasModrm: boolean;
  /** r/m is a register whatever mod says (MOV CRn, DRn). */
  readonly ignoresMod: boolean;
  /** The row's own 66 is no operand-size prefix. */
  readonly mandatory66: boolean;
  /** The row's own F2 or F3 is no repeat prefix. */
  readonly mandatoryRep: boolean;
  /** 0, or a fixed operand size; SIZE_Y and SIZE_N where no operand has the "v" size. */
  readonly bits: number;
}

/** Prefix classes, the first index of a slot's table: none, 66, F3, F2 (the last of F3/F2 wins, either beats 66). */
export const PREFIX_NONE = 0;
export const PREFIX_66 = 1;
export const PREFIX_F3 = 2;
export const PREFIX_F2 = 3;

/** How the ModRM byte chooses inside a slot. */
export const KEY_NONE = 0;
export const KEY_MOD = 1;
export const KEY_REG = 2;
export const KEY_FULL = 3;
const SPANS = [1, 2, 16, 256] as const;

export interface Slot {
  readonly hasModrm: boolean;
  readonly key: number;
  readonly byPrefix: boolean;
  readonly byW: boolean;
  /** Index: ((prefix if byPrefix) * 2 + (W if byW)) * span + key of the ModRM byte. */
  readonly forms: readonly (Form | undefined)[];
  readonly span: number;
}

/** Where in the code space a row lies. */
interface Place {
  readonly form: Form;
  readonly map: number;
  readonly firstOpcode: number;
  readonly opcodes: number;
  /** "" (any), "NP", "NFx", "66", "F3", "F2". */
  readonly prefix: string;
  readonly rexW: boolean;
  /** ModRM constraint: digit 0..7 or -1; fixed range of whole bytes or -1; mod: 0 any, 1 memory, 2 register. */
  readonly digit: number;
  readonly modrmFirst: number;
  readonly modrmCount: number;
  readonly mod: number;
}

const HEX = /^[0-9A-F]{2}/;
const PREFIX_WORDS: ReadonlySet<string> = new Set(["NP", "NFx", "66", "F3", "F2"]);

/** Reads an encoding such as "F3 0F B8 /r", "50+r", "D8 C0+i", "REX.W 0F C7 /1". */
export function placeOf(row: OpcodeRow): Place {
  const tokens = row.encoding.split(" ");
  let i = 0;
  let prefix = "";
  let rexW = false;
  const first = tokens[0] ?? "";
  const second = tokens[1] ?? "";
  if (PREFIX_WORDS.has(first) && HEX.test(second)) {
    prefix = first;
    i++;
  }
  if (tokens[i] === "REX.W") {
    rexW = true;
    i++;
  }
  let map = 0;
  if (tokens[i] === "0F") {
    map = 1;
    i++;
    if (tokens[i] === "38" || tokens[i] === "3A") {
      map = tokens[i] === "38" ? 2 : 3;
      i++;
    }
  }
  const opcode = tokens[i++] ?? "";
  const modrm = tokens[i] ?? "";
  const fixed = HEX.test(modrm);
  const digit = /^\/[0-7]$/.test(modrm) ? Number(modrm[1]) : -1;
  const shapes = row.operands.map((o) => codeShape(o.code));
  const ignoresMod = shapes.some((s) => s.kind === K_CR || s.kind === K_DR);
  const memory = shapes.some((s) => s.kind === K_MEM);
  const register = shapes.some((s) => s.kind === K_RMREG);
  return {
    form: {
      row,
      shapes,
      hasModrm: fixed || modrm.startsWith("/"),
      ignoresMod,
      mandatory66: prefix === "66",
      mandatoryRep: prefix === "F3" || prefix === "F2",
      bits: row.facts.bits !== 0 ? row.facts.bits : symbolicSize(shapes),
    },
    map,
    firstOpcode: Number.parseInt(opcode, 16),
    opcodes: opcode.endsWith("+r") ? 8 : 1,
    prefix,
    rexW,
    digit,
    modrmFirst: fixed ? Number.parseInt(modrm, 16) : -1,
    modrmCount: modrm.endsWith("+i") ? 8 : 1,
    mod: ignoresMod ? 0 : memory ? 1 : register ? 2 : 0,
  };
}

function symbolicSize(shapes: readonly CodeShape[]): number {
  if (shapes.some((s) => s.reg === SIZE_V || s.mem === SIZE_V)) return 0;
  if (shapes.some((s) => s.reg === SIZE_N)) return SIZE_N;
  return shapes.some((s) => s.reg === SIZE_Y || s.mem === SIZE_Y) ? SIZE_Y : 0;
}

const MAPS = 4;
const places: (Place[] | undefined)[] = Array.from({ length: 2 * MAPS * 256 });
const slots: (Slot | undefined)[] = Array.from({ length: 2 * MAPS * 256 });

function slotIndex(is64: boolean, map: number, opcode: number): number {
  return (is64 ? MAPS * 256 : 0) + map * 256 + opcode;
}

function enter(index: number, place: Place): void {
  const list = places[index];
  if (list === undefined) places[index] = [place];
  else list.push(place);
}

/** Done once, by the first decode: a page that never runs a guest pays nothing. */
function sortRows(): void {
  for (const row of OPCODE_ROWS) {
    const place = placeOf(row);
    for (let i = 0; i < place.opcodes; i++) {
      const opcode = place.firstOpcode + i;
      if (row.facts.mode !== "only64") enter(slotIndex(false, place.map, opcode), place);
      if (row.facts.mode !== "no64") enter(slotIndex(true, place.map, opcode), place);
    }
  }
}
let sorted = false;

function matchesPrefix(word: string, prefix: number): boolean {
  switch (word) {
    case "NP":
      return prefix === PREFIX_NONE;
    case "NFx":
      return prefix <= PREFIX_66;
    case "66":
      return prefix === PREFIX_66;
    case "F3":
      return prefix === PREFIX_F3;
    case "F2":
      return prefix === PREFIX_F2;
    default:
      return true;
  }
}

function matchesModrm(p: Place, modrm: number): boolean {
  if (p.modrmFirst >= 0) return modrm >= p.modrmFirst && modrm < p.modrmFirst + p.modrmCount;
  if (p.digit >= 0 && ((modrm >>> 3) & 7) !== p.digit) return false;
  return p.mod === 0 || (p.mod === 1 ? modrm < 0xc0 : modrm >= 0xc0);
}

/** The narrower constraint wins: fixed ModRM, then digit, then mod; then an explicit prefix; then REX.W; then an opcode without +r. */
function rank(p: Place): number {
  const narrow = p.modrmFirst >= 0 ? 4 - (p.modrmCount >> 3) : (p.digit >= 0 ? 2 : 0) + (p.mod === 0 ? 0 : 1);
  return narrow * 8 + (p.prefix === "" ? 0 : 4) + (p.rexW ? 2 : 0) + (p.opcodes === 1 ? 1 : 0);
}

/** A ModRM byte that stands for key `k`. */
function representative(key: number, k: number): number {
  switch (key) {
    case KEY_MOD:
      return k === 1 ? 0xc0 : 0;
    case KEY_REG:
      return ((k >> 1) << 3) | ((k & 1) === 1 ? 0xc0 : 0);
    default:
      return k;
  }
}

function keyKind(list: readonly Place[]): number {
  if (list.some((p) => p.modrmFirst >= 0)) return KEY_FULL;
  if (list.some((p) => p.digit >= 0)) return KEY_REG;
  return list.some((p) => p.mod !== 0) ? KEY_MOD : KEY_NONE;
}

function compile(list: readonly Place[]): Slot {
  const ranked = list.toSorted((a, b) => rank(b) - rank(a));
  const key = keyKind(list);
  const byPrefix = list.some((p) => p.prefix !== "");
  const byW = list.some((p) => p.rexW);
  const span = SPANS[key] ?? 1;
  const forms: (Form | undefined)[] = [];
  for (let prefix = 0; prefix < (byPrefix ? 4 : 1); prefix++) {
    for (let wide = 0; wide < 2; wide++) {
      for (let k = 0; k < span; k++) {
        const modrm = representative(key, k);
        const found = ranked.find((p) => matchesPrefix(p.prefix, prefix) && (!p.rexW || wide === 1) && (!p.form.hasModrm || matchesModrm(p, modrm)));
        forms.push(found?.form);
      }
    }
  }
  return { hasModrm: list.some((p) => p.form.hasModrm), key, byPrefix, byW, forms, span };
}

/** The slot of an opcode (map 0 one byte, 1 0F, 2 0F 38, 3 0F 3A), or undefined if no row has it. */
export function slotOf(is64: boolean, map: number, opcode: number): Slot | undefined {
  const index = slotIndex(is64, map, opcode);
  const known = slots[index];
  if (known !== undefined) return known;
  if (!sorted) {
    sorted = true;
    sortRows();
  }
  const list = places[index];
  if (list === undefined) return undefined;
  const made = compile(list);
  slots[index] = made;
  return made;
}
