import { decode, type Insn } from "../../../isa/index.ts";
import { SEMANTICS } from "../sem/index.ts";
import { SYSTEM_FAST } from "../sem/system-fast.ts";
import type { SimdEmit } from "../ir/simd-emit.ts";
import { XMM, XMM_DEFERS } from "../sem/xmm.ts";
import { type Shape, shapeOf } from "./interp-emit.ts";

/** Special handlers, before all others. */
export const H_HELPER = 0,
  H_END = 1,
  H_BREAK = 2,
  FIRST_HANDLER = 3;

/** What a semantic function looked at besides size and operands: part of the key only then. */
export interface SemanticUses {
  readonly addrSize: boolean;
  readonly codeSize: boolean;
  readonly cc: boolean;
}

/** Text by which equal handlers are found again at decode time. */
export function handlerKey(shape: Shape, uses: SemanticUses): string {
  let key = `${shape.sem}/${shape.size}`;
  for (const o of shape.operands)
    key +=
      o.kind === "mem"
        ? `,m${o.wide === true ? 128 : o.size}${o.access}`
        : o.kind === "imm" && o.wide === true
          ? ",wide"
          : `,${o.xmm === true ? "v" : o.mm === true ? "x" : o.kind[0]}${o.kind === "rel" || o.xmm === true ? "" : o.size}`;
  if (uses.addrSize) key += `;a${shape.addrSize}`;
  if (uses.codeSize) key += `;c${shape.codeSize}`;
  if (uses.cc) key += `;${shape.cc}`;
  return key;
}

/** Repeat prefixes that repeat go to helpers, so does everything without emitted semantics or with an odd operand. */
export function handledShape(insn: Insn): Shape | undefined {
  if (insn.rep !== 0 && insn.row.facts.rep) return undefined;
  const sem = insn.row.sem;
  const xmm = insn.operands.some((o) => o.kind === "reg" && o.cls === "xmm");
  if (xmm ? XMM[sem] === undefined : SEMANTICS[sem] === undefined && SYSTEM_FAST[sem] === undefined) return undefined;
  for (const o of insn.operands) {
    // Loads of CS and SS have effects of their own; there are no more than six segments.
    if (o.kind === "reg" && o.cls === "sreg" && (o.index > 5 || (o.access !== "r" && (o.index === 1 || o.index === 2)))) return undefined;
  }
  return shapeOf(insn);
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
/** Records of these keep their instruction for the helper they may defer to. */
export function mayDefer(shape: Shape): boolean {
  return shape.mm || (shape.xmm ? XMM_DEFERS.has(shape.sem) : SEMANTICS[shape.sem] === undefined);
}

/** Operations worth a place in the main function, by semantic name; the rest are called through the table. */
const HOT = new Set(
  "add sub cmp and or xor test inc dec mov lea jcc jmp jmp_ind push pop call call_ind ret movzx movsx shl sal shr sar rol ror adc sbb neg not imul xchg loop nop setcc cbw cwd movs stos lods".split(
    " ",
  ),
);
/** The same of vector instructions: copying, clearing, comparing of strings. */
const HOT_XMM = new Set("movaps movups movdqa movdqu movq movd pxor xorps por pand pcmpeqb pmovmskb".split(" "));
export function isHot(shape: Shape): boolean {
  if (shape.xmm) return HOT_XMM.has(shape.sem);
  if (shape.mm) return false;
  if (!HOT.has(shape.sem)) return false;
  if ((shape.sem === "movs" || shape.sem === "stos" || shape.sem === "lods" || shape.sem === "setcc") && shape.addrSize === 16) return false;
  return true;
}

/** Every shape the decoder can give: found by decoding all opcodes with all prefixes that matter, in all code sizes. */
export function allShapes(): Shape[] {
  const found = new Map<string, Shape>();
  const all: SemanticUses = { addrSize: true, codeSize: true, cc: true };
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
