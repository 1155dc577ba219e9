import { decode, type Insn } from "../../../isa/index.ts";
import { generatedFor } from "./semantics.ts";
import { handlerKey, type Shape, handlerShape } from "./shape.ts";

/** The shape of an instruction whose semantics are emitted; undefined for all that goes to helpers. */
export function handledShape(insn: Insn): Shape | undefined {
  const shape = handlerShape(insn);
  return shape === undefined || generatedFor(shape) === undefined ? undefined : shape;
}

const MAPS = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
const LEGACY = [[], [0x66], [0x67], [0x66, 0x67], [0xf3], [0xf2], [0x66, 0xf2], [0x66, 0xf3]];
const REX = [...LEGACY, [0x48], [0x66, 0x48], [0x67, 0x48], [0xf3, 0x48], [0xf2, 0x48], [0x40], [0x66, 0x40]];
/** FA and FB with F3 are ENDBR64 and ENDBR32. */
const MODRM7 = [0x38, 0xf9, 0xfa, 0xfb, 0xfd];

/** Instructions of every form that the decoder knows: all opcodes with all prefixes that matter, in all code sizes. */
export function* everyForm(): Generator<Insn> {
  const bytes = new Uint8Array(32);
  for (const codeSize of [16, 32, 64] as const) {
    for (const prefix of codeSize === 64 ? REX : LEGACY) {
      for (const map of MAPS) {
        for (let n = 0; n < 2048; n++) {
          const reg = n & 7;
          for (const modrm of reg === 7 ? MODRM7 : [reg << 3, 0xc1 | (reg << 3), 0xc5 | (reg << 3)]) {
            bytes.fill(0);
            bytes.set([...prefix, ...map, n >> 3, modrm]);
            const insn = decode(bytes, 0, 32, codeSize);
            if (!("failure" in insn)) yield insn;
          }
        }
      }
    }
  }
  // MOV of 64 bits: all zero above, a register's worth would not be seen.
  const wide = decode(new Uint8Array([0x48, 0xb8, 0, 0, 0, 0, 1, 0, 0, 0]), 0, 10, 64);
  if (!("failure" in wide)) yield wide;
}

/** Every shape that has a handler. */
export function allShapes(): Shape[] {
  const found = new Map<string, Shape>();
  const all = { addrSize: true, codeSize: true, cc: true };
  for (const insn of everyForm()) {
    const shape = handledShape(insn);
    if (shape !== undefined) found.set(handlerKey(shape, all), shape);
  }
  return [...found.values()];
}
