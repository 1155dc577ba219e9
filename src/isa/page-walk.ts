import { CR0, CR4, EFER } from "./facts/cr.ts";
import { PFEC } from "./facts/exceptions.ts";
import { PTE, PTE_NX_HI } from "./facts/paging.ts";

/** What an access that is translated does. `AC`: a supervisor's, explicit, with EFLAGS.AC set, which SMAP lets through. */
export const PAGE_ACCESS = { WRITE: 1, USER: 2, FETCH: 4, AC: 8 } as const;

/** Where paging structures lie. Addresses are guest-physical. */
export interface PageTables {
  read32(gpa: number): number;
  /** Stores a low half whose accessed or dirty bit was clear. Absent: entries stay as they are, for those who only look. */
  write32?(gpa: number, value: number): void;
}

/** What a monitor asks for the control registers. */
export interface ControlRegisters {
  getControl(name: "cr0" | "cr3" | "cr4" | "efer"): bigint;
}

const GIB4 = 0x100000000;
/** Bits 51:40 of an entry in its high half: MAXPHYADDR is 40. */
const HIGH_RESERVED = 0x000fff00;
/** Bits 62:52 in the high half: reserved in PAE paging. */
const HIGH_RESERVED_PAE = 0x7ff00000;
const FRAME = 0xfffff000;
const NOT_TRANSLATED = -1;
/** Bytes of a page, minus one, by level of its entry. */
const PAGE_MASK = [0xfff, 0x1fffff, 0x3fffffff];

/**
 * The page walk (SDM vol. 3A chapter 4): 32-bit paging with PSE-36, PAE and 4-level paging, with every right, reserved bit, SMEP and SMAP.
 * One object walks for one reader; nothing is allocated. A linear address is a `number`: unsigned 32-bit, or signed canonical in IA-32e mode.
 */
export class PageWalker {
  readonly #tables: PageTables;
  readonly #gbPages: boolean;
  /** Of paging structures; 0: no paging. */
  #levels: 0 | 2 | 3 | 4 = 0;
  #cr4 = 0;
  /** CR3, low and high half. */
  #cr3 = 0;
  #cr3High = 0;
  #writeProtect = false;
  #noExecute = false;
  #pdptes: readonly bigint[] | undefined;
  // The levels passed on the way down; accessed bits are set only once the walk has succeeded.
  readonly #visitedAt = new Float64Array(4);
  readonly #visitedLow = new Uint32Array(4);
  /** Of the last page found: its entry's level (0: 4 KiB, 1: 2 or 4 MiB, 2: 1 GiB), and whether it is global. */
  level = 0;
  global = false;
  /** Page-fault error code of the last walk that found none. */
  errorCode = 0;

  constructor(tables: PageTables, gbPages = true) {
    this.#tables = tables;
    this.#gbPages = gbPages;
  }
  /** Takes the control registers as they are now (CR3 in halves). `pdptes`: as the processor has loaded them for PAE paging; by default they are read from memory. */
  load(cr0: number, cr3: number, cr3High: number, cr4: number, efer: number, pdptes?: readonly bigint[]): void {
    this.#levels = (cr0 & CR0.PG) === 0 ? 0 : (cr4 & CR4.PAE) === 0 ? 2 : (efer & EFER.LMA) === 0 ? 3 : 4;
    this.#cr4 = cr4;
    this.#cr3 = cr3;
    this.#cr3High = cr3High;
    this.#writeProtect = (cr0 & CR0.WP) !== 0;
    this.#noExecute = (efer & EFER.NXE) !== 0;
    this.#pdptes = pdptes;
  }
  /** The same from registers as a monitor sees them. */
  loadControls(cpu: ControlRegisters): void {
    const cr0 = Number(cpu.getControl("cr0"));
    if ((cr0 & CR0.PG) === 0) this.#levels = 0;
    else {
      const cr3 = cpu.getControl("cr3");
      this.load(cr0, Number(cr3 & 0xffff_ffffn), Number(cr3 >> 32n), Number(cpu.getControl("cr4")), Number(cpu.getControl("efer")));
    }
  }
  /** Guest-physical address of `la` for an access (bits of `PAGE_ACCESS`), or -1: a page fault, see `errorCode`. */
  walk(la: number, access: number): number {
    this.global = false;
    this.level = 0;
    if (this.#levels === 0) return la >>> 0;
    return this.#levels === 2 ? this.#walk32(la >>> 0, access) : this.#walkWide(la, access);
  }

  #fault(access: number, present: boolean, reserved: boolean): number {
    const executeBit = (this.#noExecute && (this.#cr4 & CR4.PAE) !== 0) || (this.#cr4 & CR4.SMEP) !== 0;
    this.errorCode =
      (present ? PFEC.P : 0) |
      ((access & PAGE_ACCESS.WRITE) !== 0 ? PFEC.W : 0) |
      ((access & PAGE_ACCESS.USER) !== 0 ? PFEC.U : 0) |
      (reserved ? PFEC.RSVD : 0) |
      ((access & PAGE_ACCESS.FETCH) !== 0 && executeBit ? PFEC.I : 0);
    return NOT_TRANSLATED;
  }
  /** Whether the combined rights allow the access. */
  #allowed(access: number, rights: number, noExecute: boolean): boolean {
    const user = (access & PAGE_ACCESS.USER) !== 0;
    const userPage = (rights & PTE.U) !== 0;
    if (user && !userPage) return false;
    if ((access & PAGE_ACCESS.WRITE) !== 0 && (rights & PTE.W) === 0 && (user || this.#writeProtect)) return false;
    if ((access & PAGE_ACCESS.FETCH) !== 0) return !noExecute && (user || !userPage || (this.#cr4 & CR4.SMEP) === 0);
    return user || !userPage || (this.#cr4 & CR4.SMAP) === 0 || (access & PAGE_ACCESS.AC) !== 0;
  }
  /** The entry that maps the page: its accessed and dirty bits, and what it says about the page. */
  #found(at: number, low: number, level: number, access: number): void {
    this.#set(at, low, (access & PAGE_ACCESS.WRITE) !== 0 ? PTE.A | PTE.D : PTE.A);
    this.global = (low & PTE.G) !== 0 && (this.#cr4 & CR4.PGE) !== 0;
    this.level = level;
  }
  #set(at: number, low: number, bits: number): void {
    if ((low & bits) !== bits) this.#tables.write32?.(at, low | bits);
  }

  #walk32(la: number, access: number): number {
    const tables = this.#tables;
    const pdeAt = ((this.#cr3 & FRAME) >>> 0) + (la >>> 22) * 4;
    const pde = tables.read32(pdeAt);
    if ((pde & PTE.P) === 0) return this.#fault(access, false, false);
    if ((pde & PTE.PS) !== 0 && (this.#cr4 & CR4.PSE) !== 0) {
      // Bits 20:13 are address bits 39:32; bit 21 is reserved.
      if ((pde & 0x200000) !== 0) return this.#fault(access, true, true);
      if (!this.#allowed(access, pde, false)) return this.#fault(access, true, false);
      this.#found(pdeAt, pde, 1, access);
      return ((pde >>> 13) & 0xff) * GIB4 + ((pde & 0xffc00000) >>> 0) + (la & 0x3fffff);
    }
    const pteAt = ((pde & FRAME) >>> 0) + ((la >>> 12) & 0x3ff) * 4;
    const pte = tables.read32(pteAt);
    if ((pte & PTE.P) === 0) return this.#fault(access, false, false);
    if (!this.#allowed(access, pde & pte, false)) return this.#fault(access, true, false);
    this.#set(pdeAt, pde, PTE.A);
    this.#found(pteAt, pte, 0, access);
    return ((pte & FRAME) >>> 0) + (la & 0xfff);
  }

  /** Where PAE paging begins: the page directory of a quarter of the address space, or -1. */
  #directory(quarter: number): number {
    const pdptes = this.#pdptes;
    if (pdptes !== undefined) {
      const pdpte = pdptes[quarter] ?? 0n;
      return (pdpte & 1n) === 0n ? NOT_TRANSLATED : Number(pdpte & 0xfffffff000n);
    }
    const at = ((this.#cr3 & 0xffffffe0) >>> 0) + quarter * 8;
    const low = this.#tables.read32(at);
    return (low & PTE.P) === 0 ? NOT_TRANSLATED : (this.#tables.read32(at + 4) & 0xff) * GIB4 + ((low & FRAME) >>> 0);
  }
  #walkWide(la: number, access: number): number {
    const long = this.#levels === 4;
    const reserved = HIGH_RESERVED | (this.#noExecute ? 0 : PTE_NX_HI) | (long ? 0 : HIGH_RESERVED_PAE);
    const lo = la >>> 0;
    const hi = Math.floor(la / GIB4);
    let table = long ? (this.#cr3High & 0xff) * GIB4 + ((this.#cr3 & FRAME) >>> 0) : this.#directory(lo >>> 30);
    if (table < 0) return this.#fault(access, false, false);
    let rights: number = PTE.W | PTE.U;
    let noExecute = false;
    for (let level = long ? 3 : 1, visited = 0; ; level--) {
      const index = level === 3 ? hi >> 7 : level === 2 ? (hi << 2) | (lo >>> 30) : level === 1 ? lo >>> 21 : lo >>> 12;
      const at = table + (index & 0x1ff) * 8;
      const low = this.#tables.read32(at);
      const high = this.#tables.read32(at + 4);
      if ((low & PTE.P) === 0) return this.#fault(access, false, false);
      const large = level > 0 && (low & PTE.PS) !== 0;
      const mask = PAGE_MASK[level] ?? 0;
      // No pages of 512 GiB; below a large page's address only the PAT bit.
      const badLarge = large && (level === 3 || (level === 2 && !this.#gbPages) || (low & mask & ~0x1fff) !== 0);
      if ((high & reserved) !== 0 || badLarge) return this.#fault(access, true, true);
      rights &= low;
      noExecute ||= high >>> 31 !== 0;
      if (large || level === 0) {
        if (!this.#allowed(access, rights, noExecute)) return this.#fault(access, true, false);
        for (let i = 0; i < visited; i++) this.#set(this.#visitedAt[i] ?? 0, this.#visitedLow[i] ?? 0, PTE.A);
        this.#found(at, low, level, access);
        return (high & 0xff) * GIB4 + ((low & ~mask & FRAME) >>> 0) + (lo & mask);
      }
      this.#visitedAt[visited] = at;
      this.#visitedLow[visited++] = low;
      table = (high & 0xff) * GIB4 + ((low & FRAME) >>> 0);
    }
  }
}
