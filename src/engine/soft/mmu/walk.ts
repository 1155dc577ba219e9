import type { Cpu } from "../cpu.ts";
import type { PhysicalMap } from "./physical.ts";

/**
 * The page walk (SDM vol. 3A chapter 4): 32-bit, PAE and 4-level paging with every permission and reserved-bit check,
 * accessed and dirty bits. `access`: bit 0 write, bit 1 user privilege, bit 2 fetch. Gives the guest-physical address,
 * or -1 with #PF recorded in cpu.fault and CR2.
 */
export function walk(cpu: Cpu, memory: PhysicalMap, la: number, access: number): number {
  cpu.mmu.global = false;
  cpu.mmu.large = 0;
  const cr0 = cpu.cr0;
  if (cr0 >= 0 && (cr0 & 0x80000000) === 0) return la >>> 0;
  if ((cpu.cr4 & 0x20) === 0) return walk32(cpu, memory, la >>> 0, access);
  return walkPae(cpu, memory, la, access);
}

const P = 1,
  RW = 2,
  US = 4,
  A = 0x20,
  D = 0x40,
  PS = 0x80,
  G = 0x100;
const GIB4 = 0x100000000;

function fault(cpu: Cpu, la: number, access: number, present: boolean, reserved: boolean): number {
  const nx = (cpu.efer & 0x800) !== 0 && (cpu.cr4 & 0x20) !== 0;
  const id = (access & 4) !== 0 && (nx || (cpu.cr4 & 0x100000) !== 0) ? 0x10 : 0;
  cpu.fault.vector = 14;
  cpu.fault.errorCode = (present ? 1 : 0) | ((access & 1) << 1) | ((access & 2) << 1) | (reserved ? 8 : 0) | id;
  cpu.fault.address = BigInt.asUintN(64, BigInt(la));
  return -1;
}

/** Whether the combined rights allow the access. */
function allowed(cpu: Cpu, access: number, rights: number, noExecute: boolean): boolean {
  const user = (access & 2) !== 0;
  if (user && (rights & US) === 0) return false;
  if ((access & 1) !== 0 && (rights & RW) === 0 && (user || (cpu.cr0 & 0x10000) !== 0)) return false;
  if ((access & 4) !== 0) {
    if (noExecute) return false;
    if (!user && (rights & US) !== 0 && (cpu.cr4 & 0x100000) !== 0) return false; // SMEP
  } else if (!user && (rights & US) !== 0 && (cpu.cr4 & 0x200000) !== 0) {
    // SMAP: explicit supervisor access with EFLAGS.AC is allowed; implicit ones come at CPL 3 with user = false.
    if (cpu.cpl === 3 || (cpu.systemFlags & 0x40000) === 0) return false;
  }
  return true;
}

function walk32(cpu: Cpu, memory: PhysicalMap, la: number, access: number): number {
  const pdeAt = (Number(cpu.cr3 & 0xfffff000n) + (la >>> 22) * 4) >>> 0;
  const pde = memory.read32(cpu.mmu.a20(pdeAt));
  if ((pde & P) === 0) return fault(cpu, la, access, false, false);
  if ((pde & PS) !== 0 && (cpu.cr4 & 0x10) !== 0) {
    if ((pde & 0x200000) !== 0) return fault(cpu, la, access, true, true);
    if (!allowed(cpu, access, pde, false)) return fault(cpu, la, access, true, false);
    const set = A | ((access & 1) !== 0 ? D : 0);
    if ((pde & set) !== set) memory.write32(pdeAt, pde | set);
    cpu.mmu.global = (pde & G) !== 0 && (cpu.cr4 & 0x80) !== 0;
    cpu.mmu.large = 1;
    return ((pde >>> 13) & 0xff) * GIB4 + ((pde & 0xffc00000) >>> 0) + (la & 0x3fffff);
  }
  const pteAt = ((pde & 0xfffff000) >>> 0) + ((la >>> 12) & 0x3ff) * 4;
  const pte = memory.read32(cpu.mmu.a20(pteAt));
  if ((pte & P) === 0) return fault(cpu, la, access, false, false);
  if (!allowed(cpu, access, pde & pte, false)) return fault(cpu, la, access, true, false);
  if ((pde & A) === 0) memory.write32(pdeAt, pde | A);
  const set = A | ((access & 1) !== 0 ? D : 0);
  if ((pte & set) !== set) memory.write32(pteAt, pte | set);
  cpu.mmu.global = (pte & G) !== 0 && (cpu.cr4 & 0x80) !== 0;
  return ((pte & 0xfffff000) >>> 0) + (la & 0xfff);
}

/** Bits 51:40 of an entry (MAXPHYADDR 40) in its high word. */
const HIGH_RESERVED = 0x000fff00;

// The levels passed on the way down; A bits are set only once the walk has succeeded.
const visitedAt = new Float64Array(4);
const visitedLow = new Uint32Array(4);

function walkPae(cpu: Cpu, memory: PhysicalMap, la: number, access: number): number {
  const long = cpu.longMode;
  const nxe = (cpu.efer & 0x800) !== 0;
  let rights = RW | US;
  let noExecute = false;
  let table: number;
  let level: number;
  if (long) {
    table = Number(cpu.cr3 & 0xfffffff000n);
    level = 3;
  } else {
    const pdpte = cpu.pdptes[(la >>> 30) & 3];
    if ((pdpte & 1n) === 0n) return fault(cpu, la, access, false, false);
    table = Number(pdpte & 0xfffffff000n);
    level = 1;
  }
  const lo = la >>> 0;
  const hi = Math.floor(la / GIB4);
  let visited = 0;
  for (; ; level--) {
    const index =
      level === 3 ? (hi >> 7) & 0x1ff : level === 2 ? ((hi & 0x7f) << 2) | (lo >>> 30) : level === 1 ? (lo >>> 21) & 0x1ff : (lo >>> 12) & 0x1ff;
    const at = table + index * 8;
    const low = memory.read32(cpu.mmu.a20(at));
    const high = memory.read32(cpu.mmu.a20(at + 4));
    if ((low & P) === 0) return fault(cpu, la, access, false, false);
    if ((high & HIGH_RESERVED) !== 0 || (!nxe && high >>> 31 !== 0) || (!long && (high & 0x7ff00000) !== 0))
      return fault(cpu, la, access, true, true);
    rights &= low;
    noExecute ||= high >>> 31 !== 0;
    const address = (high & 0xff) * GIB4 + ((low & 0xfffff000) >>> 0);
    const large = level > 0 && (low & PS) !== 0;
    if (large && (level === 3 || (level === 2 && !cpu.features.gbPages))) return fault(cpu, la, access, true, true);
    if (large || level === 0) {
      const sizeMask = level === 2 ? 0x3fffffff : level === 1 ? 0x1fffff : 0xfff;
      if (large && (low & sizeMask & ~0x1fff) !== 0) return fault(cpu, la, access, true, true);
      if (!allowed(cpu, access, rights, noExecute)) return fault(cpu, la, access, true, false);
      for (let i = 0; i < visited; i++) {
        if ((visitedLow[i] & A) === 0) memory.write32(visitedAt[i], visitedLow[i] | A);
      }
      const set = A | ((access & 1) !== 0 ? D : 0);
      if ((low & set) !== set) memory.write32(at, low | set);
      cpu.mmu.global = (low & G) !== 0 && (cpu.cr4 & 0x80) !== 0;
      cpu.mmu.large = level;
      return (high & 0xff) * GIB4 + ((low & ~sizeMask & 0xfffff000) >>> 0) + (lo & sizeMask);
    }
    visitedAt[visited] = at;
    visitedLow[visited++] = low;
    table = address;
  }
}
