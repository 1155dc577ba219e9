import type { Insn, Operand } from "../../isa/insn.ts";
import type { EngineVmOptions } from "../api/index.ts";
import { CpuState } from "./cpu-state.ts";
import type { SoftIntercepts } from "./intercepts.ts";
import type { Mmu } from "./mmu/mmu.ts";
import { segmentAddress } from "./mmu/segmentation.ts";
import { STATE } from "./state-layout.ts";

/**
 * The vCPU as system helpers see it: its state, its memory and operands there. One instance a vCPU. Linear addresses here are `number`:
 * 0..2^32-1 outside IA-32e mode, canonical addresses as signed 48-bit integers in it.
 */
export class Cpu extends CpuState {
  readonly mmu: Mmu;

  constructor(memory: ArrayBuffer, options: EngineVmOptions, intercepts: SoftIntercepts, makeMmu: (cpu: CpuState) => Mmu, index = 0) {
    super(memory, options, intercepts, index);
    this.mmu = makeMmu(this);
  }
  protected override modeChanged(): void {
    this.mmu.modeChanged();
  }

  // ---- memory by linear address; #PF is thrown as GuestFault. `user`: access with user privilege (CPL 3), else supervisor (implicit too).
  readLinear8(la: number, user = this.cpl === 3): number {
    return this.mmu.read(la, 1, user);
  }
  readLinear64(la: number, user = this.cpl === 3): bigint {
    return this.mmu.read64(la, user);
  }
  writeLinear64(la: number, v: bigint, user = this.cpl === 3): void {
    this.mmu.write64(la, v, user);
  }
  /** Faults now if writing `size` bytes at `la` would; used before commits that span several stores. */
  probeWrite(la: number, size: number, user = this.cpl === 3): void {
    this.mmu.probeWrite(la, size, user);
  }

  // ---- memory by segment:offset with the segment's checks (#GP(0)/#SS(0), canonical) then paging
  /** Linear address of an access that has passed the segment's limit and type checks. */
  segmentAddress(s: number, offset: bigint | number, size: number, write: boolean): number {
    return segmentAddress(this, s, offset, size, write, this.mmu.alignment);
  }
  /** Offset (masked to the address size) of a decoded memory operand. */
  effectiveAddress(insn: Insn, op: Operand): bigint {
    if (op.kind !== "mem") return 0n;
    let ea = (BigInt(op.dispHi) << 32n) | BigInt(op.disp >>> 0);
    if (op.base === 16) ea += this.rip + BigInt(insn.length);
    else if (op.base >= 0) ea += this.r64(op.base);
    if (op.index >= 0) ea += this.r64(op.index) << BigInt(op.scale);
    return BigInt.asUintN(insn.addrSize, ea);
  }
  /** Reads operand n (reg, mem or imm) of 8..64 bits; bits above are zero. */
  readOperand(insn: Insn, n: number): bigint {
    const op = insn.operands[n];
    if (op.kind === "reg") {
      if (op.cls === "gpr8h") return BigInt(this.r8(op.index, true));
      if (op.cls === "sreg") return BigInt(this.selector(op.index));
      return this.reg(op.index, op.size);
    }
    if (op.kind === "mem") return this.readMemory(insn, op, op.size);
    if (op.kind === "imm") return BigInt.asUintN(op.size, (BigInt(op.hi) << 32n) | BigInt(op.lo >>> 0));
    return 0n;
  }
  readMemory(insn: Insn, op: Operand, size: number, displacement = 0n): bigint {
    if (op.kind !== "mem") return 0n;
    const la = this.segmentAddress(op.segment, BigInt.asUintN(insn.addrSize, this.effectiveAddress(insn, op) + displacement), size >> 3, false);
    if (size === 64) return this.readLinear64(la);
    return BigInt(this.mmu.read(la, size >> 3, this.cpl === 3));
  }
  writeMemory(insn: Insn, op: Operand, size: number, value: bigint, displacement = 0n): void {
    if (op.kind !== "mem") return;
    const la = this.segmentAddress(op.segment, BigInt.asUintN(insn.addrSize, this.effectiveAddress(insn, op) + displacement), size >> 3, true);
    if (size === 64) this.writeLinear64(la, BigInt.asUintN(64, value));
    else this.mmu.write(la, size >> 3, Number(BigInt.asUintN(32, value)), this.cpl === 3);
  }
  writeOperand(insn: Insn, n: number, value: bigint): void {
    const op = insn.operands[n];
    if (op.kind === "reg") {
      if (op.cls === "gpr8h") this.setR8(op.index, Number(value & 0xffn), true);
      else this.setReg(op.index, op.size, value);
    } else this.writeMemory(insn, op, op.size, value);
  }

  // ---- stack
  get stackMask(): bigint {
    return this.u64[STATE.stackMask.u64];
  }
}

/**
 * What a system helper is: does the whole instruction. On entry `cpu.rip` is the IP of the instruction itself; the
 * engine sets it to the next instruction AFTER the helper returns "next"; a helper that returns "jump" has set `cpu.rip`
 * (and segments, mode …) itself. "repeat": not finished (REP after a bounded chunk): RIP stays, interrupts are looked at,
 *  the instruction runs again. "exit": `cpu.exit` is set, as with `cpu.leave` but without the cost of a throw. Guest faults: `cpu.raise`, VM exits: `cpu.leave` (state must be as before the instruction, RIP still on it).
 */
export type SystemHelper = (cpu: Cpu, insn: Insn) => "next" | "jump" | "repeat" | "exit";
