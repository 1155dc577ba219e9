import { CR4 } from "../../../isa/index.ts";
import type { CpuState } from "../cpu-state.ts";

/** R/W fields of DR7. */
const EXECUTE = 0,
  WRITE = 1,
  IO = 2,
  ACCESS = 3;
/** Bytes by LEN field of DR7. */
const LENGTH = [1, 2, 8, 4] as const;

/**
 * What DR0-DR3 and DR7 watch (SDM vol. 3B 18.2.4, 18.2.5). Data and I/O breakpoints cover LEN bytes from their address with its low bits cleared;
 * an access meets them when it touches one of these. Conditions are bits 3:0 of DR6, of enabled breakpoints only.
 */
export class Breakpoints {
  readonly #cpu: CpuState;
  #dr7 = 0x400n;
  /** Some breakpoint is enabled: instructions are run one at a time. */
  armed = false;
  /** Some data breakpoint is: no access may take the fast path. */
  data = false;

  constructor(cpu: CpuState) {
    this.#cpu = cpu;
  }
  /** DR7 may have changed. */
  update(): void {
    const dr7 = this.#cpu.dr[7];
    if (dr7 === this.#dr7) return;
    this.#dr7 = dr7;
    this.armed = (dr7 & 0xffn) !== 0n;
    const n = Number(dr7);
    this.data = [0, 1, 2, 3].some((i) => enabled(n, i) && (kindOf(n, i) & 1) !== 0);
  }
  /** Of a read or write of `bytes` bytes at a linear address. */
  onData(la: number, bytes: number, write: boolean): number {
    if (!this.data) return 0;
    const end = la + bytes;
    // Outside 64-bit code an access goes round at 4 GiB.
    const wrapped = this.#cpu.code64 ? 0 : end - 0x100000000;
    const dr7 = Number(this.#dr7);
    let met = 0;
    for (let i = 0; i < 4; i++) {
      const kind = kindOf(dr7, i);
      if (!enabled(dr7, i) || !(kind === ACCESS || (kind === WRITE && write))) continue;
      const { from, to } = this.#range(dr7, i);
      if ((la < to && from < end) || from < wrapped) met |= 1 << i;
    }
    return met;
  }
  /** Of an access to `bytes` ports; only with CR4.DE. */
  onPort(port: number, bytes: number): number {
    if (!this.armed || (this.#cpu.cr4 & CR4.DE) === 0) return 0;
    const dr7 = Number(this.#dr7);
    let met = 0;
    for (let i = 0; i < 4; i++) {
      if (!enabled(dr7, i) || kindOf(dr7, i) !== IO) continue;
      const { from, to } = this.#range(dr7, i);
      if (port < to && from < port + bytes) met |= 1 << i;
    }
    return met;
  }
  /** Of the instruction at a linear address. */
  onInstruction(la: bigint): number {
    const dr7 = Number(this.#dr7);
    let met = 0;
    for (let i = 0; i < 4; i++) if (enabled(dr7, i) && kindOf(dr7, i) === EXECUTE && this.#cpu.dr[i] === la) met |= 1 << i;
    return met;
  }
  #range(dr7: number, i: number): { readonly from: number; readonly to: number } {
    const size = LENGTH[(dr7 >> (18 + i * 4)) & 3] ?? 1;
    const at = Number(BigInt.asIntN(64, this.#cpu.dr[i]));
    const from = at - (((at % size) + size) % size);
    return { from, to: from + size };
  }
}

/** By L or G. */
function enabled(dr7: number, i: number): boolean {
  return ((dr7 >> (i * 2)) & 3) !== 0;
}
function kindOf(dr7: number, i: number): number {
  return (dr7 >> (16 + i * 4)) & 3;
}
