import type { GuestMemory, RegisterAccess } from "../../engine/api/index.ts";

const PRESENT = 1n;
const LARGE = 0x80n;
const FRAME = 0x000ffffffffff000n;

/**
 * Linear to guest-physical address by the guest's page tables, without touching accessed bits: for tracers and debuggers.
 * Undefined where nothing is mapped. Source: SDM vol. 3A, chapter 4.
 */
export function translateLinear(cpu: RegisterAccess, memory: GuestMemory, linear: bigint): number | undefined {
  const cr0 = cpu.getControl("cr0");
  if ((cr0 & 0x80000001n) !== 0x80000001n) return Number(linear & 0xffffffffn);
  const cr3 = cpu.getControl("cr3");
  const cr4 = cpu.getControl("cr4");
  if ((cr4 & 0x20n) === 0n) return translate32(cr3, (cr4 & 0x10n) !== 0n, memory, linear);
  const long = (cpu.getControl("efer") & 0x400n) !== 0n;
  let table = long ? cr3 & FRAME : cr3 & 0xffffffe0n;
  for (let level = long ? 3 : 2; level >= 0; level--) {
    const index = (linear >> BigInt(12 + 9 * level)) & (level === 2 && !long ? 3n : 0x1ffn);
    const at = Number(table + index * 8n);
    const entry = BigInt(memory.read32(at)) | (BigInt(memory.read32(at + 4)) << 32n);
    if ((entry & PRESENT) === 0n) return undefined;
    const pageBits = BigInt(12 + 9 * level);
    if (level === 0 || ((entry & LARGE) !== 0n && (level === 1 || (level === 2 && long)))) {
      const mask = (1n << pageBits) - 1n;
      return Number((entry & FRAME & ~mask) | (linear & mask));
    }
    table = entry & FRAME;
  }
  return undefined;
}

function translate32(cr3: bigint, pse: boolean, memory: GuestMemory, linear: bigint): number | undefined {
  const address = Number(linear & 0xffffffffn);
  const pde = memory.read32(Number(cr3 & 0xfffff000n) + (address >>> 22) * 4);
  if ((pde & 1) === 0) return undefined;
  if (pse && (pde & 0x80) !== 0) return ((pde & 0xffc00000) >>> 0) + (address & 0x3fffff);
  const pte = memory.read32(((pde & 0xfffff000) >>> 0) + ((address >>> 12) & 0x3ff) * 4);
  if ((pte & 1) === 0) return undefined;
  return ((pte & 0xfffff000) >>> 0) + (address & 0xfff);
}
