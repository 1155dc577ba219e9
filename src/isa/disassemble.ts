import { decode } from "./decode.ts";
import type { CodeSize, Insn, MemoryOperand, Operand, RegisterOperand } from "./insn.ts";
import { GPR8_LEGACY_NAMES, SEGMENT_NAMES, gprName } from "./facts/registers.ts";

/** Text of an instruction, Intel syntax as NASM reads it: `add dword [ebx+esi*4+0x10], 0x1`. */
export interface Disassembly {
  readonly text: string;
  /** Bytes taken; 1 for a `db`. */
  readonly length: number;
  readonly bytes: Uint8Array;
}

/** Usual spellings of the conditions, by number. */
const CONDITION_NAMES = ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"] as const;
const CONDITION_STEMS: Readonly<Record<string, string>> = { jcc: "j", setcc: "set", cmovcc: "cmov" };

/** Rows whose mnemonic depends on the operand size: 16, 32, 64. */
const SIZED: ReadonlyMap<string, readonly [string, string, string]> = new Map([
  ["cbw", ["cbw", "cwde", "cdqe"]],
  ["cwd", ["cwd", "cdq", "cqo"]],
  ["pusha", ["pusha", "pushad", ""]],
  ["popa", ["popa", "popad", ""]],
  ["pushf", ["pushf", "pushfd", "pushfq"]],
  ["popf", ["popf", "popfd", "popfq"]],
  ["iret", ["iret", "iretd", "iretq"]],
]);
const STRING_SEMS: ReadonlySet<string> = new Set(["movs", "cmps", "stos", "lods", "scas", "ins", "outs"]);
/** MOVD with a 64-bit register is MOVQ, and so on. */
const WIDE_NAMES: ReadonlyMap<string, string> = new Map([
  ["movd", "movq"],
  ["pextrd", "pextrq"],
  ["pinsrd", "pinsrq"],
  ["fxsave", "fxsave64"],
  ["fxrstor", "fxrstor64"],
  ["xsave", "xsave64"],
  ["xrstor", "xrstor64"],
  ["xsaveopt", "xsaveopt64"],
  ["xsavec", "xsavec64"],
  ["xsaves", "xsaves64"],
  ["xrstors", "xrstors64"],
  ["sysret", "o64 sysret"],
  ["sysexit", "o64 sysexit"],
]);
/** Operand size that no operand shows: an o16/o32 in front when it is not the code's own. */
const SHOWS_SIZE: ReadonlySet<string> = new Set([
  "ret",
  "ret_imm",
  "ret_far",
  "ret_far_imm",
  "push_sreg",
  "pop_sreg",
  "leave",
  "enter",
  "call",
  "call_far",
  "call_far_mem",
  "jmp_far",
  "jmp_far_mem",
  "lgdt",
  "lidt",
  "fldenv",
  "fnstenv",
  "frstor",
  "fnsave",
]);
/** Implicit source in DS that an override moves. */
const IMPLICIT_SOURCE: ReadonlySet<string> = new Set(["movs", "cmps", "lods", "outs", "xlat", "maskmovq", "maskmovdqu", "monitor"]);

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}

function hexWide(lo: number, hi: number): string {
  if (hi === 0) return hex(lo);
  return `0x${(hi >>> 0).toString(16)}${(lo >>> 0).toString(16).padStart(8, "0")}`;
}

function masked(size: number, lo: number, hi: number): string {
  return size === 64 ? hexWide(lo, hi) : hex(size === 8 ? lo & 0xff : size === 16 ? lo & 0xffff : lo);
}

function registerText(o: RegisterOperand): string {
  switch (o.cls) {
    case "gpr":
      return gprName(o.index, o.size);
    case "gpr8h":
      return GPR8_LEGACY_NAMES[o.index & 7] ?? "?";
    case "sreg":
      return SEGMENT_NAMES[o.index] ?? "?";
    default:
      return `${o.cls}${o.index}`;
  }
}

const SIZE_WORDS: Readonly<Record<number, string>> = { 8: "byte ", 16: "word ", 32: "dword ", 64: "qword ", 80: "tword ", 128: "oword " };

/** NASM wants no size word: it is fixed, or it is the size of no register operand. */
const NO_SIZE: ReadonlySet<string> = new Set([
  "prefetch",
  "prefetchw",
  "prefetchnta",
  "prefetcht0",
  "prefetcht1",
  "prefetcht2",
  "clflush",
  "clflushopt",
  "clwb",
  "vmptrld",
  "vmptrst",
  "vmclear",
  "vmxon",
  "punpcklbw",
  "punpcklwd",
  "punpckldq",
  "cmpsd_sse",
  "les",
  "lds",
  "lss",
  "lfs",
  "lgs",
]);
/** The source's width is free of the destination's. */
const ALWAYS_SIZE: ReadonlySet<string> = new Set(["movsx", "movzx", "crc32"]);

/** Another operand says the width, so the size word is noise. */
function sizeIsKnown(insn: Insn, size: number): boolean {
  return insn.operands.some((o) => o.kind === "reg" && o.size === size && o.cls !== "st" && !(o.cls === "gpr" && insn.row.sem.startsWith("cvt")));
}

function isShiftCount(insn: Insn): boolean {
  const count = insn.row.operands.at(-1);
  return count?.code === "CL";
}

function farOrSize(insn: Insn, o: MemoryOperand): string {
  if (insn.row.sem === "jmp_far_mem" || insn.row.sem === "call_far_mem") return "far ";
  if (NO_SIZE.has(insn.row.sem)) return "";
  if (!ALWAYS_SIZE.has(insn.row.sem) && sizeIsKnown(insn, o.size) && !(isShiftCount(insn) && o.size === 8)) return "";
  return SIZE_WORDS[o.size] ?? "";
}

function displacement(o: MemoryOperand, alone: boolean, addrSize: number): string {
  if (alone && addrSize === 64) return hexWide(o.disp, o.dispHi);
  if (alone) return masked(addrSize, o.disp, 0);
  if (o.disp === 0) return "";
  return o.disp < 0 ? `-${hex(-o.disp)}` : `+${hex(o.disp)}`;
}

function memoryText(insn: Insn, o: MemoryOperand, rip: bigint): string {
  const usual = o.base === 4 || o.base === 5 ? 2 : 3;
  const segment = o.segment === usual ? "" : `${SEGMENT_NAMES[o.segment] ?? "?"}:`;
  const size = farOrSize(insn, o);
  if (o.base === 16) {
    const target = BigInt.asUintN(insn.addrSize, rip + BigInt(insn.length) + BigInt(o.disp));
    return `${size}[rel ${segment}0x${target.toString(16)}]`;
  }
  const parts: string[] = [];
  if (o.base >= 0) parts.push(gprName(o.base, insn.addrSize));
  if (o.index >= 0) parts.push(`${gprName(o.index, insn.addrSize)}${o.scale > 0 ? `*${1 << o.scale}` : ""}`);
  const long = insn.addrSize === 64 && insn.modrm < 0 ? "qword " : ""; // moffs64
  return `${size}[${long}${segment}${parts.join("+")}${displacement(o, parts.length === 0, insn.addrSize)}]`;
}

function operandText(insn: Insn, o: Operand, code: string, rip: bigint): string {
  switch (o.kind) {
    case "reg":
      return registerText(o);
    case "mem":
      return memoryText(insn, o, rip);
    case "imm":
      return code === "1" ? "1" : masked(o.size, o.lo, o.hi);
    case "rel":
      return `0x${BigInt.asUintN(o.size, rip + BigInt(insn.length) + BigInt(o.disp)).toString(16)}`;
    case "far":
      return `${hex(o.selector)}:${hex(o.offset)}`;
  }
}

function mnemonicText(insn: Insn): string {
  const { sem, facts } = insn.row;
  const lower = insn.row.mnemonic.toLowerCase();
  const stem = CONDITION_STEMS[sem];
  if (stem !== undefined) return `${stem}${CONDITION_NAMES[facts.cc] ?? ""}`;
  if (STRING_SEMS.has(sem)) return `${sem}${insn.opSize === 8 ? "b" : insn.opSize === 16 ? "w" : insn.opSize === 32 ? "d" : "q"}`;
  const sized = SIZED.get(sem);
  if (sized !== undefined) return sized[insn.opSize === 16 ? 0 : insn.opSize === 32 ? 1 : 2];
  if (sem === "jcxz") return insn.addrSize === 16 ? "jcxz" : insn.addrSize === 32 ? "jecxz" : "jrcxz";
  if (insn.opSize === 64) {
    const wide = insn.operands.some((o) => o.kind !== "mem" && o.size === 64) || insn.operands.some((o) => o.kind === "mem" && o.size !== 32);
    return (wide || insn.operands.length === 0 ? WIDE_NAMES.get(lower) : undefined) ?? lower;
  }
  return lower;
}

function prefixText(insn: Insn): string {
  const { sem, facts } = insn.row;
  let text = "";
  if (insn.lock) text += "lock ";
  if (insn.rep !== 0) {
    const compares = sem === "cmps" || sem === "scas";
    text += insn.rep === 0xf2 ? "repne " : compares ? "repe " : "rep ";
  }
  if (IMPLICIT_SOURCE.has(sem) && insn.segment !== 3) text += `${SEGMENT_NAMES[insn.segment] ?? "?"} `;
  if (SHOWS_SIZE.has(sem) || (sem === "push" && insn.operands[0]?.kind === "imm")) {
    const own = insn.codeSize === 64 && facts.size64 === "v" ? 32 : insn.codeSize;
    if (insn.opSize !== own) text += `o${insn.opSize} `;
  }
  return text;
}

/** Text of a decoded instruction at address `rip` (branch targets and RIP-relative addresses are shown absolute). */
export function formatInsn(insn: Insn, rip: bigint): string {
  let text = prefixText(insn) + mnemonicText(insn);
  for (let i = 0; i < insn.operands.length; i++) {
    const o = insn.operands[i];
    if (o !== undefined) text += (i === 0 ? " " : ", ") + operandText(insn, o, insn.row.operands[i]?.code ?? "", rip);
  }
  return text;
}

/** One instruction at `offset`; bytes that are none become `db 0xNN`. Never throws. */
export function disassemble(bytes: Uint8Array, offset: number, codeSize: CodeSize, rip: bigint): Disassembly {
  const insn = decode(bytes, offset, bytes.length - offset, codeSize);
  if ("failure" in insn) {
    const first = bytes[offset];
    return {
      text: first === undefined ? "" : `db 0x${first.toString(16).padStart(2, "0")}`,
      length: first === undefined ? 0 : 1,
      bytes: bytes.slice(offset, offset + 1),
    };
  }
  return { text: formatInsn(insn, rip), length: insn.length, bytes: bytes.slice(offset, offset + insn.length) };
}
