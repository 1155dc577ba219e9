import { PAGE_SIZE } from "../../../isa/index.ts";
import type { Cpu } from "../cpu.ts";

/**
 * Loads and stores of helpers by linear address: the software TLB first, as generated code does, then the MMU's slow arms.
 * Stores next to decoded code look into its bitmap, since real-mode programs keep stack and code on one page.
 */

const PAGE = PAGE_SIZE;

/** Wasm address of `size` bytes of plain memory on one page, when the TLB knows them readable; else 0. */
export function hostForLoad(cpu: Cpu, la: number, size: number, user: boolean): number {
  const { tlb } = cpu.mmu;
  return (la & 0xfff) + size > PAGE || tlb.closed ? 0 : tlb.lookup(la, user, false);
}

/** The same for writing; the page holds no decoded code. */
export function hostForStore(cpu: Cpu, la: number, size: number, user: boolean): number {
  const { tlb } = cpu.mmu;
  return (la & 0xfff) + size > PAGE || tlb.closed ? 0 : tlb.lookup(la, user, true);
}

/** Reads 1, 2 or 4 bytes, unsigned. #PF is thrown. */
export function load(cpu: Cpu, la: number, size: number, user: boolean): number {
  const host = hostForLoad(cpu, la, size, user);
  if (host === 0) return cpu.mmu.read(la, size, user) >>> 0;
  return size === 2 ? cpu.view.getUint16(host, true) : size === 4 ? cpu.view.getUint32(host, true) : cpu.u8[host];
}

/** Writes 1, 2 or 4 bytes. #PF is thrown. */
export function store(cpu: Cpu, la: number, size: number, value: number, user: boolean): void {
  const { tlb } = cpu.mmu;
  let host = 0;
  if ((la & 0xfff) + size <= PAGE && !tlb.closed) {
    host = tlb.lookup(la, user, true);
    if (host === 0) host = tlb.lookupPastCode(la, size, user);
  }
  if (host === 0) cpu.mmu.write(la, size, value, user);
  else if (size === 2) cpu.view.setUint16(host, value, true);
  else if (size === 4) cpu.view.setUint32(host, value, true);
  else cpu.u8[host] = value;
}
