import type { Insn, MemoryOperand } from "../../../isa/index.ts";
import type { Cpu } from "../cpu.ts";

/** The encodings of qualification and instruction information (SDM vol. 3C, 27.2). */

function memoryOf(insn: Insn): MemoryOperand | undefined {
  for (const op of insn.operands) if (op.kind === "mem") return op;
  return undefined;
}

/** Address-size code of the instruction-information field. */
export function addressSizeCode(insn: Insn): number {
  return insn.addrSize === 16 ? 0 : insn.addrSize === 32 ? 1 : 2;
}

/** The memory-operand part of the instruction-information field: scale, address size, segment, index, base; or bit 10 and reg1. */
export function operandInfo(insn: Insn): number {
  const mem = memoryOf(insn);
  if (mem === undefined) {
    for (const op of insn.operands) if (op.kind === "reg") return (1 << 10) | (op.index << 3);
    return 1 << 10;
  }
  let info = (addressSizeCode(insn) << 7) | (mem.segment << 15);
  info |= mem.index < 0 ? 1 << 22 : mem.scale | (mem.index << 18);
  // RIP-relative counts as "no base": the qualification holds RIP + displacement.
  info |= mem.base < 0 || mem.base === 16 ? 1 << 27 : mem.base << 23;
  return info >>> 0;
}

/** Displacement of the memory operand, for RIP-relative the sum with the next RIP; 0 without memory operand. */
export function displacement(cpu: Cpu, insn: Insn): bigint {
  const mem = memoryOf(insn);
  if (mem === undefined) return 0n;
  let d = BigInt.asUintN(64, (BigInt(mem.dispHi) << 32n) | BigInt(mem.disp >>> 0));
  if (mem.base === 16) d = BigInt.asUintN(64, d + cpu.rip + BigInt(insn.length));
  return d;
}
