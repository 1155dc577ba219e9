/** A decoded instruction: x86 as data. Produced by `decode`, read by the engine and the disassembler. */

/** Code segment kind: CS.D = 0, CS.D = 1, or CS.L = 1. */
export type CodeSize = 16 | 32 | 64;
/** Read, written, both, or neither (address only). */
export type OperandAccess = "r" | "w" | "rw" | "n"; // n: no access (LEA's address, hints)

/** Which register file a register operand names. "gpr8h" is AH, CH, DH, BH as index 4..7 without REX (index kept 4..7). */
export type RegisterClass = "gpr" | "gpr8h" | "sreg" | "cr" | "dr" | "tr" | "st" | "mm" | "xmm";

/** A register. */
export interface RegisterOperand {
  readonly kind: "reg";
  readonly access: OperandAccess;
  readonly cls: RegisterClass;
  readonly index: number;
  /** Operand width in bits (sreg 16, st 80, mm 64, xmm 128). */
  readonly size: number;
}

/** A place in memory: segment, base, index, displacement. */
export interface MemoryOperand {
  readonly kind: "mem";
  readonly access: OperandAccess;
  /** Width of the access in bits; 0 where it has none or is a structure (LEA, INVLPG, FXSAVE, LGDT: see the row's operand code). */
  readonly size: number;
  /** Effective segment 0..5 = ES CS SS DS FS GS, default or override. In 64-bit code ES/CS/SS/DS mean base 0. */
  readonly segment: number;
  /** Register numbers, or -1. `base` 16 means RIP-relative (displacement counts from the next instruction). */
  readonly base: number;
  readonly index: number;
  /** 0..3: shift of the index. */
  readonly scale: number;
  /** Sign-extended displacement as int32; moffs64 uses `dispHi` for its upper half, else dispHi is the sign. */
  readonly disp: number;
  readonly dispHi: number;
}

/** A constant in the instruction. */
export interface ImmediateOperand {
  readonly kind: "imm";
  readonly access: "r";
  /** Width of the operand it combines with, in bits. */
  readonly size: number;
  /** Sign-extended to 64 bits as two int32 (Ib as unsigned only where the manual zero-extends: ports, INT n, shift counts, ENTER). */
  readonly lo: number;
  readonly hi: number;
}

/** A branch displacement from the end of the instruction. */
export interface RelativeOperand {
  readonly kind: "rel";
  readonly access: "r";
  readonly size: number;
  readonly disp: number;
}

/** ptr16:16 / ptr16:32. */
export interface FarPointerOperand {
  readonly kind: "far";
  readonly access: "r";
  readonly size: number;
  readonly selector: number;
  readonly offset: number;
}

/** Everything an operand can be. */
export type Operand = RegisterOperand | MemoryOperand | ImmediateOperand | RelativeOperand | FarPointerOperand;

/** One row of the opcode tables = one row of the manual. */
export interface OpcodeRow {
  /** As in the SDM: "ADD". */
  readonly mnemonic: string;
  /** As in the SDM: "01 /r", "80 /0 ib", "0F A2", "F3 0F B8 /r". */
  readonly encoding: string;
  /** SDM operand codes: "Ev", "Gv", "Ib", "eAX", "Sw", … */
  readonly operands: readonly OperandSpec[];
  /** Name of the semantic function. Default: the mnemonic in lower case; other names stand in the row (`sem`). */
  readonly sem: string;
  readonly facts: RowFacts;
}

/** An operand of a row: its code and what happens to it. */
export interface OperandSpec {
  readonly code: string;
  readonly access: OperandAccess;
}

/**
 * Where control goes after an instruction. `next`: behind it. `branch`: there, or along the displacement, by a condition. `jump`, `call` and
 * `return` stay in the code segment; `far` leaves it, or its privilege level. `interrupt`: through the IDT, which clears TF (INTO: perhaps).
 * `interrupt-return`: loads all of RFLAGS, RF too.
 */
export type Flow = "next" | "branch" | "jump" | "call" | "return" | "far" | "interrupt" | "interrupt-return";

/** What of a row is not its encoding: who may execute it, when, and what follows. */
export interface RowFacts {
  /** Transfers control, may change mode, or must not be followed by more instructions in one block. */
  readonly endsBlock: boolean;
  readonly flow: Flow;
  /** What it holds off until the instruction behind it is done: interrupts (STI that sets IF), or debug exceptions too (a load of SS other than LSS). */
  readonly shadow: "none" | "sti" | "ss";
  /** Whose TF decides on the single-step trap behind it: that from before it (SDM vol. 3B 18.3.1.4), or the one it loads. */
  readonly trapFlag: "before" | "after";
  /** LOCK is allowed (memory destination). */
  readonly lock: boolean;
  /** REP/REPE/REPNE means repetition. */
  readonly rep: boolean;
  /** "no64": invalid in 64-bit code; "only64": only there. */
  readonly mode: "any" | "no64" | "only64";
  /** Operand size in 64-bit code: "d64" defaults to 64 (32 impossible), "f64" forced 64, "z" never 64 (IN, OUTS), "v" ordinary. */
  readonly size64: "v" | "d64" | "f64" | "z";
  /** Fixed operand size in bits of a row without "v" operands (8 for MOVSB, AL forms), or 0. */
  readonly bits: number;
  /** A 128-bit memory operand must lie on a 16-byte boundary, else #GP(0). */
  readonly aligned: boolean;
  /** Not recognised in real and virtual-8086 mode (#UD): LAR, LSL, VERR, SLDT, ARPL, … */
  readonly protectedOnly: boolean;
  /** Must be at CPL 0, else #GP(0). */
  readonly cpl0: boolean;
  /** Condition code 0..15 (O NO B NB Z NZ BE NBE S NS P NP L NL LE NLE) for Jcc, SETcc, CMOVcc. */
  readonly cc: number;
  /** CPUID feature it belongs to: "base", "fpu", "mmx", "cmov", "cx8", "cx16", "sse", "sse2", … */
  readonly feature: string;
  /** Name of the VM-exit kind it can cause ("cpuid", "hlt", "vmcall", …), or "". */
  readonly exits: string;
}

/** A decoded instruction. */
export interface Insn {
  readonly row: OpcodeRow;
  /** Bytes, 1..15. */
  readonly length: number;
  readonly codeSize: CodeSize;
  /** Effective operand size of the "v" operands in bits: 16, 32, 64 (8 for byte rows). */
  readonly opSize: number;
  /** Effective address size in bits. */
  readonly addrSize: 16 | 32 | 64;
  readonly lock: boolean;
  /** 0, 0xF2 or 0xF3: the last repeat prefix where the row does not use it as mandatory prefix. */
  readonly rep: number;
  /** Effective segment 0..5 of an implicit source (MOVS, LODS, CMPS, OUTS, XLAT, MASKMOVQ, MONITOR): DS or the override. */
  readonly segment: number;
  /** The ModRM byte, or -1: x87 opcode register (FOP), VM-exit instruction information. */
  readonly modrm: number;
  readonly operands: readonly Operand[];
}

/** Why bytes are not an instruction. `more`: the bytes given end inside it. `long`: over 15 bytes (#GP). `ud`: #UD. */
export type DecodeFailure = { readonly failure: "ud" | "long" | "more"; readonly length: number };
/** What `decode` gives. */
export type DecodeResult = Insn | DecodeFailure;
