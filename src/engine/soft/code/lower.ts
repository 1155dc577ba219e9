import { decode } from "../../../isa/index.ts";
import type { Insn, Operand, OpcodeRow, RegisterClass } from "../../../isa/index.ts";
import type { Cpu } from "../cpu.ts";
import { STATE, REC } from "../state-layout.ts";
import { H_END, H_HELPER } from "./codes.ts";
import type { InterpreterImage } from "./image.ts";
import type { InsnPool } from "./insn-pool.ts";
import { handlerKey, handlerShape } from "./shape.ts";
import { isAvailable } from "../sys/available.ts";

const MASK_INDEX: Readonly<Record<number, number>> = { 16: 0, 32: 1, 64: 2 };

const KIND: Readonly<Record<Operand["kind"], number>> = { reg: 0, mem: 1, imm: 2, rel: 3, far: 4 };
const CLASS: Readonly<Record<RegisterClass, number>> = { gpr: 0, gpr8h: 1, sreg: 2, cr: 3, dr: 4, tr: 5, st: 6, mm: 7, xmm: 8 };
/** Everything besides the row that decides on an instruction's handler (`handlerShape`, `handlerKey`), as a number below 2^53. */
function signature(insn: Insn): number {
  let key = (insn.opSize >> 3) * 64 + (insn.addrSize >> 5) * 16 + (insn.codeSize >> 5) * 4 + (insn.rep !== 0 ? 1 : 0);
  for (const o of insn.operands) {
    let kind = KIND[o.kind];
    let cls = 0;
    if (o.kind === "reg") {
      // Loads of CS and SS, and numbers without a segment register, are apart.
      cls = o.cls !== "sreg" ? CLASS[o.cls] : o.index > 5 ? 10 : o.index === 1 || o.index === 2 ? 9 : CLASS.sreg;
    } else if (o.kind === "mem" && o.dispHi !== o.disp >> 31) kind = 5;
    else if (o.kind === "imm" && o.hi !== o.lo >> 31) kind = 6;
    key = key * 4096 + (Math.min(o.size >> 3, 31) << 7) + (cls << 3) + kind;
  }
  return key;
}

/** The handler that an interpreter has for an instruction, and whether that may defer to the helper. */
export function handlerIn(image: InterpreterImage, insn: Insn): { readonly handler: number; readonly defers: boolean } | undefined {
  const shape = handlerShape(insn);
  const uses = shape === undefined ? undefined : image.uses[shape.sem];
  if (shape === undefined || uses === undefined) return undefined;
  const handler = image.handlers[handlerKey(shape, uses)];
  return handler === undefined ? undefined : { handler, defers: uses.defers };
}

/** Turns decoded instructions into records of the decoded-op pool. */
export class RecordWriter {
  readonly #cpu: Cpu;
  readonly #image: InterpreterImage;
  readonly #pool: InsnPool;
  /** Made at the first use: few guests need them, and decoding one builds tables. */
  #invalid: Insn | undefined;
  #tooLong: Insn | undefined;
  constructor(cpu: Cpu, image: InterpreterImage, pool: InsnPool) {
    this.#cpu = cpu;
    this.#image = image;
    this.#pool = pool;
  }
  /** A stand-in for bytes that are not an instruction: raises #UD, or #GP(0) when over 15 bytes. */
  invalid(long: boolean): Insn {
    return long ? (this.#tooLong ??= standIn("too_long")) : (this.#invalid ??= standIn("ud2"));
  }
  /** Whether a block ends with this instruction. */
  ends(insn: Insn): boolean {
    const { endsBlock, flow } = insn.row.facts;
    // A branch forward does not end its block.
    if (!endsBlock || flow !== "branch") return endsBlock;
    const target = insn.operands[0];
    return target !== undefined && target.kind === "rel" && target.disp < 0;
  }
  #defers = false;
  /** Handlers found before, by row and by what else decides: finding one takes much longer than decoding. Bit 16: may defer. */
  readonly #known = new Map<OpcodeRow, Map<number, number>>();
  #handler(insn: Insn): number {
    let ofRow = this.#known.get(insn.row);
    if (ofRow === undefined) this.#known.set(insn.row, (ofRow = new Map<number, number>()));
    const key = signature(insn);
    let known = ofRow.get(key);
    if (known === undefined) {
      known = this.#findHandler(insn);
      if (this.#defers) known |= 0x10000;
      ofRow.set(key, known);
    }
    this.#defers = (known & 0x10000) !== 0;
    return known & 0xffff;
  }
  #findHandler(insn: Insn): number {
    this.#defers = true;
    if (!isAvailable(this.#cpu.features, insn.row.mnemonic, insn.row.facts.feature)) return H_HELPER;
    const found = handlerIn(this.#image, insn);
    if (found === undefined) return H_HELPER;
    this.#defers = found.defers;
    return found.handler;
  }
  /** Fills the record at `rec`. `index`: its place in the block; `kept`: notes an instruction that its helper needs. */
  write(rec: number, insn: Insn, ipOff: number, index: number, kept: number[]): void {
    const { u8, u16, i32 } = this.#cpu;
    let handler = this.#handler(insn);
    u8[rec + REC.length] = insn.length;
    u8[rec + REC.addrSize] = MASK_INDEX[insn.addrSize];
    u16[(rec + REC.ipOff) >> 1] = ipOff;
    u16[(rec + REC.count) >> 1] = index;
    i32[(rec + REC.link) >> 2] = 0;
    i32[(rec + REC.imm) >> 2] = 0;
    u8[rec + REC.segment] = insn.segment;
    let registers = 0;
    let immediates = 0;
    if (handler !== H_HELPER) {
      for (const o of insn.operands) {
        if (o.kind === "reg") {
          const address =
            o.cls === "sreg"
              ? STATE.segSelector.offset + o.index * 2
              : o.cls === "mm"
                ? STATE.fpr.offset + o.index * 16
                : o.cls === "xmm"
                  ? STATE.xmm.offset + o.index * 16
                  : STATE.gpr.offset + (o.cls === "gpr8h" ? (o.index - 4) * 8 + 1 : o.index * 8);
          u16[(rec + (registers === 0 ? REC.reg1 : registers === 1 ? REC.reg2 : REC.imm)) >> 1] = address;
          registers++;
        } else if (o.kind === "imm") {
          if (o.hi !== o.lo >> 31) {
            i32[(rec + REC.disp) >> 2] = o.lo;
            i32[(rec + REC.imm) >> 2] = o.hi;
            immediates++;
          } else if (immediates++ === 0) i32[(rec + REC.imm) >> 2] = o.lo;
          else u16[(rec + REC.imm + 2) >> 1] = o.lo;
        } else if (o.kind === "rel") {
          i32[(rec + REC.imm) >> 2] = o.disp;
          u8[rec + REC.scale] = MASK_INDEX[insn.codeSize === 64 ? 64 : insn.opSize === 16 ? 16 : 32];
        } else if (o.kind === "mem") {
          let disp = o.disp;
          if (o.base === 16) {
            disp = o.disp + ipOff + insn.length;
            if (disp !== (disp | 0)) handler = H_HELPER;
          }
          u16[(rec + REC.base) >> 1] = o.base === 16 ? STATE.ipBase.offset : o.base < 0 ? STATE.zero.offset : STATE.gpr.offset + o.base * 8;
          u16[(rec + REC.index) >> 1] = o.index < 0 ? STATE.zero.offset : STATE.gpr.offset + o.index * 8;
          u8[rec + REC.scale] = o.scale;
          u8[rec + REC.segment] = o.segment;
          i32[(rec + REC.disp) >> 2] = disp;
        }
      }
    }
    if (handler === H_HELPER || this.#defers) i32[(rec + REC.link) >> 2] = this.#pool.keep(insn, kept);
    u16[(rec + REC.handler) >> 1] = handler;
  }
  /** The record after the last instruction: falls through to `ipOff`. */
  writeEnd(rec: number, ipOff: number, index: number): void {
    const { u8, u16, i32 } = this.#cpu;
    u16[(rec + REC.handler) >> 1] = H_END;
    u8[rec + REC.length] = 0;
    u16[(rec + REC.ipOff) >> 1] = ipOff;
    // A transfer charges count + 1; this record is no instruction.
    u16[(rec + REC.count) >> 1] = index - 1;
    i32[(rec + REC.link) >> 2] = 0;
    i32[(rec + REC.imm) >> 2] = 0;
    u8[rec + REC.scale] = MASK_INDEX[this.#cpu.codeSize];
  }
}

/** An instruction for bytes that are none. */
function standIn(sem: string): Insn {
  const ud2 = decode(new Uint8Array([0x0f, 0x0b]), 0, 2, 32);
  if ("failure" in ud2) throw new Error("UD2 does not decode");
  return { ...ud2, row: { ...ud2.row, sem, facts: { ...ud2.row.facts, endsBlock: true } } };
}
