import { decode, type Insn } from "../../../isa/index.ts";
import { SEMANTICS } from "../sem/index.ts";
import { SYSTEM_FAST } from "../sem/system-fast.ts";
import type { SimdEmit } from "../ir/simd-emit.ts";
import { XMM, XMM_DEFERS } from "../sem/xmm.ts";
import { handlerKey, type Shape, handlerShape } from "./shape.ts";

/** The shape of an instruction whose semantics are emitted; undefined for all that goes to helpers. */
export function handledShape(insn: Insn): Shape | undefined {
  const shape = handlerShape(insn);
  if (shape === undefined) return undefined;
  const { sem } = shape;
  return (shape.xmm ? XMM[sem] : (SEMANTICS[sem] ?? SYSTEM_FAST[sem])) === undefined ? undefined : shape;
}
/** Emits the semantics of a shape. */
export function emitSemantics(shape: Shape, e: SimdEmit): void {
  const { sem } = shape;
  if (shape.xmm) {
    XMM[sem]?.(e);
    return;
  }
  const plain = SEMANTICS[sem];
  if (plain !== undefined) plain(e);
  else SYSTEM_FAST[sem]?.(e);
}
/** Whether the emitted code may leave the work to the instruction's helper. */
export function mayDefer(shape: Shape): boolean {
  return shape.mm || (shape.xmm ? XMM_DEFERS.has(shape.sem) : SEMANTICS[shape.sem] === undefined);
}

/** Every shape the decoder can give: found by decoding all opcodes with all prefixes that matter, in all code sizes. */
export function allShapes(): Shape[] {
  const found = new Map<string, Shape>();
  const all = { addrSize: true, codeSize: true, cc: true };
  const bytes = new Uint8Array(32);
  const legacy = [[], [0x66], [0x67], [0x66, 0x67], [0xf3], [0xf2], [0x66, 0xf2], [0x66, 0xf3]];
  const rex = [...legacy, [0x48], [0x66, 0x48], [0x67, 0x48], [0xf3, 0x48], [0xf2, 0x48], [0x40], [0x66, 0x40]];
  const maps = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
  for (const codeSize of [16, 32, 64] as const) {
    for (const prefix of codeSize === 64 ? rex : legacy) {
      for (const map of maps) {
        for (let opcode = 0; opcode < 256; opcode++) {
          for (let reg = 0; reg < 8; reg++) {
            // FA and FB with F3 are ENDBR64 and ENDBR32.
            for (const modrm of reg === 7 ? [0x38, 0xf9, 0xfa, 0xfb, 0xfd] : [reg << 3, 0xc1 | (reg << 3), 0xc5 | (reg << 3)]) {
              bytes.fill(0);
              let at = 0;
              for (const p of prefix) bytes[at++] = p;
              for (const m of map) bytes[at++] = m;
              bytes[at++] = opcode;
              bytes[at] = modrm;
              const insn = decode(bytes, 0, 32, codeSize);
              if ("failure" in insn) continue;
              const shape = handledShape(insn);
              if (shape === undefined) continue;
              found.set(handlerKey(shape, all), shape);
            }
          }
        }
      }
    }
  }
  // MOV of 64 bits: all zero above, a register's worth would not be seen.
  const wide = decode(new Uint8Array([0x48, 0xb8, 0, 0, 0, 0, 1, 0, 0, 0]), 0, 10, 64);
  const shape = "failure" in wide ? undefined : handledShape(wide);
  if (shape !== undefined) found.set(handlerKey(shape, all), shape);
  return [...found.values()];
}
