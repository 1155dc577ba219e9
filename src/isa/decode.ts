import type { Form, Slot } from "./dispatch.ts";
import { KEY_FULL, KEY_MOD, KEY_NONE, PREFIX_66, PREFIX_F2, PREFIX_F3, PREFIX_NONE, slotOf } from "./dispatch.ts";
import type { CodeSize, DecodeFailure, DecodeResult, ImmediateOperand, MemoryOperand, Operand, OperandAccess, RegisterOperand } from "./insn.ts";
import {
  K_CR,
  K_DR,
  K_FAR,
  K_FIXED,
  K_IMM16,
  K_IMM8S,
  K_IMM8U,
  K_IMMV,
  K_IMMZ,
  K_MEM,
  K_MOFFS,
  K_ONE,
  K_OPREG,
  K_REG,
  K_REL8,
  K_RELZ,
  K_RM,
  K_RMREG,
  K_SREG,
  K_STI,
  SIZE_N,
  SIZE_P,
  SIZE_V,
  SIZE_Y,
  SIZE_Z,
} from "./tables/codes.ts";
import type { CodeShape } from "./tables/codes.ts";

/** Longest instruction; one more byte is #GP(0). SDM vol. 2 §2.3.11. */
const MAX_LENGTH = 15;
const SEG_SS = 2;
const SEG_DS = 3;
/** Base register number that means the address of the next instruction. */
const RIP_BASE = 16;

// Scratch of the instruction in hand. `decode` is synchronous and not re-entrant, and leaves nothing here that a later call reads.
let code: Uint8Array = new Uint8Array(0);
let pos = 0;
let limit = 0;
let short = false;
let is64 = false;
let rex = 0;
let segOverride = -1;
let opcodeByte = 0;
let modrmByte = 0;
let addrSize: 16 | 32 | 64 = 16;
let opSize = 16;
let memSegment = 0;
let memBase = 0;
let memIndex = 0;
let memScale = 0;
let memDisp = 0;
let invalid = false;

const EMPTY: Uint8Array = new Uint8Array(0);

/** Next byte; past the end gives 0 and sets `short`. */
function u8(): number {
  if (pos >= limit) {
    short = true;
    return 0;
  }
  return code[pos++] ?? 0;
}
function s8(): number {
  return (u8() << 24) >> 24;
}
function u16(): number {
  const low = u8();
  return low | (u8() << 8);
}
function s16(): number {
  return (u16() << 16) >> 16;
}
function s32(): number {
  const low = u16();
  return low | (u16() << 16);
}

function failure(kind: DecodeFailure["failure"], length: number): DecodeFailure {
  return { failure: kind, length };
}

/** 16-bit base and index registers by r/m (SDM table 2-1). */
const BASE16 = [3, 3, 5, 5, 6, 7, 5, 3] as const;
const INDEX16 = [6, 7, 6, 7, -1, -1, -1, -1] as const;

function address16(mod: number, rm: number): void {
  memScale = 0;
  if (mod === 0 && rm === 6) {
    memBase = -1;
    memIndex = -1;
    memDisp = s16();
    memSegment = SEG_DS;
    return;
  }
  memBase = BASE16[rm] ?? -1;
  memIndex = INDEX16[rm] ?? -1;
  memSegment = memBase === 5 ? SEG_SS : SEG_DS;
  memDisp = mod === 1 ? s8() : mod === 2 ? s16() : 0;
}

function address32(mod: number, rm: number): void {
  memScale = 0;
  memIndex = -1;
  memSegment = SEG_DS;
  let noBase = false;
  if (rm === 4) {
    const sib = u8();
    const index = ((sib >>> 3) & 7) | ((rex & 2) << 2);
    if (index !== 4) {
      memIndex = index;
      memScale = sib >>> 6;
    }
    const base = sib & 7;
    noBase = base === 5 && mod === 0;
    memBase = noBase ? -1 : base | ((rex & 1) << 3);
  } else if (rm === 5 && mod === 0) {
    noBase = true;
    memBase = is64 ? RIP_BASE : -1;
  } else {
    memBase = rm | ((rex & 1) << 3);
  }
  if (memBase === 4 || memBase === 5) memSegment = SEG_SS;
  memDisp = noBase ? s32() : mod === 1 ? s8() : mod === 2 ? s32() : 0;
}

function resolve(size: number): number {
  if (size >= 0) return size;
  switch (size) {
    case SIZE_V:
      return opSize;
    case SIZE_Z:
      return opSize === 16 ? 16 : 32;
    case SIZE_Y:
      return (rex & 8) !== 0 ? 64 : 32;
    case SIZE_N:
      return is64 ? 64 : 32;
    case SIZE_P:
      return 16 + opSize;
    default:
      return 0;
  }
}

function register(cls: RegisterOperand["cls"], index: number, size: number, access: OperandAccess): RegisterOperand {
  // Without REX, byte registers 4..7 are AH CH DH BH.
  if (size === 8 && rex === 0 && index >= 4 && cls === "gpr") return { kind: "reg", access, cls: "gpr8h", index, size };
  // MMX and x87 have eight registers: REX bits do not reach them.
  return { kind: "reg", access, cls, index: cls === "mm" ? index & 7 : index, size };
}

function memory(size: number, access: OperandAccess): MemoryOperand {
  return {
    kind: "mem",
    access,
    size,
    segment: segOverride >= 0 ? segOverride : memSegment,
    base: memBase,
    index: memIndex,
    scale: memScale,
    disp: memDisp,
    dispHi: memDisp >> 31,
  };
}

function moffs(size: number, access: OperandAccess): MemoryOperand {
  const disp = addrSize === 16 ? u16() : s32();
  const dispHi = addrSize === 64 ? s32() : 0;
  return { kind: "mem", access, size, segment: segOverride >= 0 ? segOverride : SEG_DS, base: -1, index: -1, scale: 0, disp, dispHi };
}

function immediate(size: number, lo: number, hi: number): ImmediateOperand {
  return { kind: "imm", access: "r", size, lo, hi };
}

function signed(size: number, lo: number): ImmediateOperand {
  return immediate(size, lo, lo >> 31);
}

/** CR0, CR2, CR3, CR4, CR8 exist. */
function controlRegister(index: number): number {
  if (index > 8 || ((1 << index) & 0x11d) === 0) invalid = true;
  return index;
}

function operand(shape: CodeShape, access: OperandAccess, form: Form): Operand {
  switch (shape.kind) {
    case K_RM:
      if (modrmByte < 0xc0) return memory(resolve(shape.mem), access);
      return register(shape.cls, (modrmByte & 7) | ((rex & 1) << 3), resolve(shape.reg), access);
    case K_REG:
      return register(shape.cls, ((modrmByte >>> 3) & 7) | ((rex & 4) << 1), resolve(shape.reg), access);
    case K_MEM:
      return memory(resolve(shape.mem), access);
    case K_RMREG:
      return register(shape.cls, (modrmByte & 7) | ((rex & 1) << 3), resolve(shape.reg), access);
    case K_OPREG:
      return register("gpr", (opcodeByte & 7) | ((rex & 1) << 3), resolve(shape.reg), access);
    case K_IMM8S:
      return signed(resolve(shape.reg), s8());
    case K_IMM8U:
      return immediate(8, u8(), 0);
    case K_IMM16:
      return immediate(16, u16(), 0);
    case K_IMMZ:
      return signed(opSize, opSize === 16 ? s16() : s32());
    case K_IMMV: {
      if (opSize !== 64) return signed(opSize, opSize === 16 ? s16() : s32());
      const lo = s32();
      return immediate(64, lo, s32());
    }
    case K_REL8:
      return { kind: "rel", access: "r", size: opSize, disp: s8() };
    case K_RELZ:
      return { kind: "rel", access: "r", size: opSize, disp: opSize === 16 ? s16() : s32() };
    case K_FAR: {
      const offset = opSize === 16 ? u16() : s32() >>> 0;
      return { kind: "far", access: "r", size: opSize, selector: u16(), offset };
    }
    case K_MOFFS:
      return moffs(resolve(shape.mem), access);
    case K_SREG: {
      const index = (modrmByte >>> 3) & 7;
      if (index > 5) invalid = true;
      return register("sreg", index, 16, access);
    }
    case K_CR:
      return register("cr", controlRegister(((modrmByte >>> 3) & 7) | ((rex & 4) << 1)), resolve(shape.reg), access);
    case K_DR:
      if ((rex & 4) !== 0) invalid = true;
      return register("dr", (modrmByte >>> 3) & 7, resolve(shape.reg), access);
    case K_FIXED:
      return register(shape.cls, shape.index, resolve(shape.reg), access);
    case K_ONE:
      return immediate(8, 1, 0);
    case K_STI:
      return register("st", modrmByte & 7, 80, access);
    default:
      throw new Error(`operand kind ${shape.kind} of ${form.row.mnemonic}`);
  }
}

function operandsOf(form: Form): Operand[] {
  const shapes = form.shapes;
  const specs = form.row.operands;
  const out: Operand[] = [];
  for (let i = 0; i < shapes.length; i++) {
    const shape = shapes[i];
    const spec = specs[i];
    if (shape !== undefined && spec !== undefined) out.push(operand(shape, spec.access, form));
  }
  return out;
}

function choose(slot: Slot, prefix: number, modrm: number): Form | undefined {
  const major = (slot.byPrefix ? prefix * 2 : 0) + (slot.byW && (rex & 8) !== 0 ? 1 : 0);
  let key = 0;
  if (slot.key === KEY_FULL) key = modrm;
  else if (slot.key === KEY_MOD) key = modrm >= 0xc0 ? 1 : 0;
  else if (slot.key !== KEY_NONE) key = ((modrm >>> 2) & 14) | (modrm >= 0xc0 ? 1 : 0);
  return slot.forms[major * slot.span + key];
}

function operandSize(form: Form, codeSize: CodeSize, has66: boolean): number {
  const bits = form.bits;
  if (bits > 0) return bits;
  if (bits === SIZE_N) return codeSize === 64 ? 64 : 32;
  if (bits === SIZE_Y) return (rex & 8) !== 0 ? 64 : 32;
  const toggled = has66 && !form.mandatory66;
  if (codeSize !== 64) return (codeSize === 32) !== toggled ? 32 : 16;
  switch (form.row.facts.size64) {
    case "f64":
      return 64;
    case "d64":
      return toggled && (rex & 8) === 0 ? 16 : 64;
    case "z":
      return toggled && (rex & 8) === 0 ? 16 : 32;
    default:
      return (rex & 8) !== 0 ? 64 : toggled ? 16 : 32;
  }
}

/**
 * Decodes the instruction at `offset`. `available` bytes from there may be read (a page end cuts them: then `more`).
 * `codeSize` is what CS says: 16 (real mode too), 32 or 64. Never throws; a failure is a value. Sources: SDM vol. 2 chapter 2, appendix A.
 */
export function decode(bytes: Uint8Array, offset: number, available: number, codeSize: CodeSize): DecodeResult {
  const end = Math.min(offset + available, bytes.length);
  code = bytes;
  pos = offset;
  limit = Math.min(end, offset + MAX_LENGTH);
  short = false;
  const result = decodeAt(offset, codeSize);
  code = EMPTY;
  if (!short) return result;
  return failure(limit - offset >= MAX_LENGTH ? "long" : "more", Math.max(limit - offset, 0));
}

function decodeAt(start: number, codeSize: CodeSize): DecodeResult {
  is64 = codeSize === 64;
  rex = 0;
  segOverride = -1;
  invalid = false;
  let has66 = false;
  let has67 = false;
  let lock = false;
  let rep = 0;
  let map = 0;
  let byte = 0;

  // A REX that another prefix follows does nothing: each turn forgets it.
  for (;;) {
    byte = u8();
    if (short) return failure("more", 0);
    if (is64 && (byte & 0xf0) === 0x40) {
      rex = byte;
      continue;
    }
    if (byte === 0x66) has66 = true;
    else if (byte === 0x67) has67 = true;
    else if (byte === 0xf0) lock = true;
    else if (byte === 0xf2 || byte === 0xf3) rep = byte;
    else if ((byte & 0xe7) === 0x26) {
      // 26 2E 36 3E; 64-bit code ignores them, and they do not cancel FS or GS.
      if (!is64) segOverride = (byte >>> 3) & 3;
    } else if (byte === 0x64 || byte === 0x65) segOverride = byte - 0x60;
    else break;
    rex = 0;
  }
  if (byte === 0x0f) {
    byte = u8();
    map = 1;
    if (byte === 0x38 || byte === 0x3a) {
      map = byte === 0x38 ? 2 : 3;
      byte = u8();
    }
  }
  opcodeByte = byte;
  const slot = slotOf(is64, map, byte);
  if (slot === undefined) return failure("ud", pos - start);
  addrSize = is64 ? (has67 ? 32 : 64) : (codeSize === 32) !== has67 ? 32 : 16;
  modrmByte = slot.hasModrm ? u8() : 0;
  const prefix = rep === 0xf3 ? PREFIX_F3 : rep === 0xf2 ? PREFIX_F2 : has66 ? PREFIX_66 : PREFIX_NONE;
  let form = choose(slot, prefix, modrmByte);
  // 90 is XCHG rAX, rAX, which REX.B makes a true exchange with r8 (SDM, NOP); F3 stays PAUSE (observed on Intel).
  if (byte === 0x90 && map === 0 && (rex & 1) !== 0 && rep !== 0xf3) form = slotOf(true, 0, 0x91)?.forms[0];
  if (form === undefined) return failure("ud", pos - start);
  opSize = operandSize(form, codeSize, has66);
  if (form.hasModrm && modrmByte < 0xc0 && !form.ignoresMod) {
    if (addrSize === 16) address16(modrmByte >>> 6, modrmByte & 7);
    else address32(modrmByte >>> 6, modrmByte & 7);
  }
  const operands = operandsOf(form);
  const length = pos - start;
  if (invalid) return failure("ud", length);
  const facts = form.row.facts;
  if (lock && !(facts.lock && operands[0]?.kind === "mem")) return failure("ud", length);
  return {
    row: form.row,
    length,
    codeSize,
    opSize,
    addrSize,
    lock,
    rep: form.mandatoryRep ? 0 : rep,
    segment: segOverride >= 0 ? segOverride : SEG_DS,
    modrm: form.hasModrm ? modrmByte : -1,
    operands,
  };
}
