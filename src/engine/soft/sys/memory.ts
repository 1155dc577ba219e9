import type { Cpu } from "../cpu.ts";
import { CPU, TLB, TLB_ENTRIES, TLB_ENTRY_BYTES } from "../state-layout.ts";

/**
 * Loads and stores of helpers by linear address: the software TLB first, as generated code does, then the MMU's slow arms.
 * Stores next to decoded code look into its bitmap, since real-mode programs keep stack and code on one page.
 */

const TLB_BASE = CPU.tlbBase.u32;

/** Index (in words) of the TLB entry whose tag at `tag` (bytes) matches the page of `la`, or 0. */
function entryOf(cpu: Cpu, la: number, user: boolean, tag: number): number {
  const u32 = cpu.u32;
  const w = ((user ? cpu.mmu.userTlb : cpu.mmu.supervisorTlb) + ((la >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES) >> 2;
  if (u32[w + (tag >> 2)] !== (la & ~0xfff) >>> 0) return 0;
  const hi = u32[w + (tag >> 2) + 1];
  if (hi !== (la >= 0 && la < 0x100000000 ? 0 : Math.floor(la / 0x100000000) >>> 0)) return 0;
  return w;
}

/** Wasm address of `size` bytes of plain memory on one page, when the TLB knows them readable; else 0. */
export function hostForLoad(cpu: Cpu, la: number, size: number, user: boolean): number {
  if ((la & 0xfff) + size > 4096 || cpu.u32[TLB_BASE] === cpu.mmu.neverTlb) return 0;
  const w = entryOf(cpu, la, user, TLB.read);
  return w === 0 ? 0 : (la + cpu.u32[w + (TLB.addend >> 2)]) >>> 0;
}

/** The same for writing; the page holds no decoded code. */
export function hostForStore(cpu: Cpu, la: number, size: number, user: boolean): number {
  if ((la & 0xfff) + size > 4096 || cpu.u32[TLB_BASE] === cpu.mmu.neverTlb) return 0;
  const w = entryOf(cpu, la, user, TLB.write);
  return w === 0 ? 0 : (la + cpu.u32[w + (TLB.addend >> 2)]) >>> 0;
}

/** Reads 1, 2 or 4 bytes, unsigned. #PF is thrown. */
export function load(cpu: Cpu, la: number, size: number, user: boolean): number {
  if ((la & 0xfff) + size <= 4096 && cpu.u32[TLB_BASE] !== cpu.mmu.neverTlb) {
    const w = entryOf(cpu, la, user, TLB.read);
    if (w !== 0) {
      const host = (la + cpu.u32[w + (TLB.addend >> 2)]) >>> 0;
      return size === 2 ? cpu.view.getUint16(host, true) : size === 4 ? cpu.view.getUint32(host, true) : cpu.u8[host];
    }
  }
  return cpu.mmu.read(la, size, user) >>> 0;
}

/** Writes 1, 2 or 4 bytes. #PF is thrown. */
export function store(cpu: Cpu, la: number, size: number, value: number, user: boolean): void {
  const at = la & 0xfff;
  if (at + size <= 4096 && cpu.u32[TLB_BASE] !== cpu.mmu.neverTlb) {
    let w = entryOf(cpu, la, user, TLB.write);
    if (w === 0) {
      w = entryOf(cpu, la, user, TLB.writeSmc);
      if (w !== 0) {
        const bitmap = cpu.u32[w + (TLB.smcBitmap >> 2)] + (at >> 3);
        const bits = (cpu.u8[bitmap] | (cpu.u8[bitmap + 1] << 8)) >> (at & 7);
        if ((bits & ((1 << size) - 1)) !== 0) w = 0;
      }
    }
    if (w !== 0) {
      const host = (la + cpu.u32[w + (TLB.addend >> 2)]) >>> 0;
      if (size === 2) cpu.view.setUint16(host, value, true);
      else if (size === 4) cpu.view.setUint32(host, value, true);
      else cpu.u8[host] = value;
      return;
    }
  }
  cpu.mmu.write(la, size, value, user);
}
