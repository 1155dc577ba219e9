import type { Emit, OpSize, Val } from "./emit.ts";

/**
 * What the common cases of system instructions need on top of Emit. A function written in it handles the frequent
 * path in generated code and hands everything else to the TypeScript helper of the same name with `deferIf`.
 */
export interface SystemEmit extends Emit {
  /** When the condition holds, the helper does the whole instruction. Before any commit. */
  deferIf(condition: Val): void;
  /** 1 when CR0.PE is clear. */
  realMode(): Val;
  /** 1 at CPL 0, real mode included. */
  supervisor(): Val;
  /** 1 when port access needs no bitmap: real mode, or not V86 and CPL <= IOPL; and nothing intercepts it. */
  portsOpen(): Val;
  stackMask(): Val;
  selector(segment: number): Val;
  /** Real-mode load of CS: selector and base. */
  loadRealCode(selector: Val): void;
  /** Real-mode load of the segment register that is operand n. */
  loadRealOperand(n: number, selector: Val): void;
  /** All of EFLAGS. */
  flagsImage(): Val;
  /** EFLAGS = (old & ~mask) | (image & mask), arithmetic flags always from the image. */
  setFlagsImage(image: Val, mask: number): void;
  loadLinear(la: Val, size: OpSize): Val;
  idtrBase(): Val;
  idtrLimit(): Val;
  /** 1 when INTR, NMI or another event waits. */
  pendingInterrupt(): Val;
  /** 1 while NMIs are blocked until IRET. */
  nmiBlocked(): Val;
  /** Reads a port: value in bits 15:0, bit 16 = stop after this instruction, or -1: nobody claims it. */
  portIn(port: Val, size: 8 | 16): Val;
  /** Writes a port: 0 done, 1 done and stop after this instruction, 2 nobody claims it. */
  portOut(port: Val, size: 8 | 16, value: Val): Val;
}

export type SystemSemantic = (e: SystemEmit) => void;
