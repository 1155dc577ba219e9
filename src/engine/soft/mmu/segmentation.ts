import { ACCESS, VECTOR } from "../../../isa/index.ts";
import { type CpuState, FS, GS, SS } from "../cpu-state.ts";

/** Records #GP(0), or #SS(0) for the stack. */
function denied(cpu: CpuState, s: number): false {
  cpu.fault.vector = s === SS ? VECTOR.SS : VECTOR.GP;
  cpu.fault.errorCode = 0;
  return false;
}

/** Whether segment:offset may be accessed (the slow arm of the limit check): records #GP(0)/#SS(0) and gives false when not. */
export function segmentAllows(cpu: CpuState, s: number, offset: number, bytes: number, write: boolean): boolean {
  if (cpu.code64) return true;
  const access = cpu.access(s);
  const limit = cpu.limit(s);
  if (!cpu.realOrV86) {
    if ((access & (ACCESS.UNUSABLE | ACCESS.P)) !== ACCESS.P) return denied(cpu, s);
    const code = (access & ACCESS.CODE) !== 0;
    const right = (access & ACCESS.RW) !== 0;
    if (write ? code || !right : code && !right) return denied(cpu, s);
    if (!code && (access & ACCESS.DC) !== 0) {
      const top = (access & ACCESS.DB) !== 0 ? 0xffffffff : 0xffff;
      return (offset > limit && offset + bytes - 1 <= top) || denied(cpu, s);
    }
  }
  // A segment of 4 GiB has no end to pass: accesses go round, as on silicon.
  return offset + bytes - 1 <= limit || limit === 0xffffffff || denied(cpu, s);
}

/** What an operand of `bytes` is aligned to: far pointers by their offset, x87 images by their word (SDM vol. 3 table 6-7). */
function alignmentOf(bytes: number): number {
  switch (bytes) {
    case 2:
    case 14:
    case 94:
      return 2;
    case 4:
    case 6:
    case 28:
    case 108:
      return 4;
    case 8:
    case 10:
      return 8;
    default:
      return 1;
  }
}

/** Linear address of segment:offset after its checks; throws #GP(0)/#SS(0), and #AC(0) with `aligned`. */
export function segmentAddress(cpu: CpuState, s: number, offset: bigint | number, bytes: number, write: boolean, aligned: boolean): number {
  let la: number;
  if (cpu.code64) {
    const base = s === FS || s === GS ? cpu.base(s) : 0n;
    const whole = BigInt.asIntN(64, base + BigInt(offset));
    if (BigInt.asIntN(48, whole) !== whole) cpu.raise(s === SS ? VECTOR.SS : VECTOR.GP, 0);
    la = Number(whole);
  } else {
    const at = Number(offset);
    if (!segmentAllows(cpu, s, at, bytes, write)) cpu.raise(cpu.fault.vector, cpu.fault.errorCode);
    la = (cpu.baseNumber(s) + at) >>> 0;
  }
  if (aligned && (la & (alignmentOf(bytes) - 1)) !== 0) cpu.raise(VECTOR.AC, 0);
  return la;
}
