/** Register names by number, as assemblers spell them. */
export const GPR8_NAMES = ["al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b"] as const;
/** Byte registers without REX: 4..7 are the high halves. */
export const GPR8_LEGACY_NAMES = ["al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"] as const;
/** 16-bit registers by number. */
export const GPR16_NAMES = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8w", "r9w", "r10w", "r11w", "r12w", "r13w", "r14w", "r15w"] as const;
/** 32-bit registers by number. */
export const GPR32_NAMES = [
  "eax",
  "ecx",
  "edx",
  "ebx",
  "esp",
  "ebp",
  "esi",
  "edi",
  "r8d",
  "r9d",
  "r10d",
  "r11d",
  "r12d",
  "r13d",
  "r14d",
  "r15d",
] as const;
/** 64-bit registers by number. */
export const GPR64_NAMES = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"] as const;
/** Segment registers by number. */
export const SEGMENT_NAMES = ["es", "cs", "ss", "ds", "fs", "gs"] as const;

/** General-purpose register numbers. */
export const GPR = { AX: 0, CX: 1, DX: 2, BX: 3, SP: 4, BP: 5, SI: 6, DI: 7 } as const;
/** Segment register numbers as ModRM.reg has them. */
export const SEG = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5 } as const;

/** Name of a general-purpose register of 8, 16, 32 or 64 bits (8: the REX set, use GPR8_LEGACY_NAMES for AH..BH). */
export function gprName(index: number, size: number): string {
  const names = size === 8 ? GPR8_NAMES : size === 16 ? GPR16_NAMES : size === 32 ? GPR32_NAMES : GPR64_NAMES;
  return names[index & 15] ?? "?";
}
