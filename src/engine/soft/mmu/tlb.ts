import type { CpuState } from "../cpu-state.ts";
import { STATE, TLB, TLB_AREA, TLB_AREAS_BYTES, TLB_ENTRIES, TLB_ENTRY_BYTES } from "../state-layout.ts";

/** Fields of an entry as 32-bit words; tags have a high half behind them. */
const READ = TLB.read >> 2,
  WRITE = TLB.write >> 2,
  ADDEND = TLB.addend >> 2,
  SMC_BITMAP = TLB.smcBitmap >> 2,
  WRITE_SMC = TLB.writeSmc >> 2;
/** A tag that no address has, in halves. */
const NONE_LOW = 0xfffff000,
  NONE_HIGH = 0x7fffffff;

/** What `#slots` says of an entry: listed, and what it holds. */
const IN_LOCAL = 1,
  IN_GLOBAL = 2,
  HOLDS_GLOBAL = 4;

/** Regions that large pages are noted by. */
const MIB4 = 0x400000,
  GIB = 0x40000000;

/** Tag of a linear address, in halves. */
const low = (la: number): number => (la & ~0xfff) >>> 0;
const high = (la: number): number => (la >= 0 && la < 0x100000000 ? 0 : Math.floor(la / 0x100000000) >>> 0);

/** The translations of a CPU that generated code looks into: four areas of direct-mapped entries. Entries are named by their wasm address. */
export class Tlb {
  readonly #u8: Uint8Array;
  readonly #u32: Uint32Array;
  /** This CPU's areas: wasm address. */
  readonly #areas: number;
  /** The area for accesses with user privilege. */
  readonly user: number;
  /** The area for supervisor accesses as things are: without user pages while SMAP forbids them. */
  supervisor: number;
  /** The area that is never filled. */
  readonly never: number;
  /** Entries filled since the last flush, by what they held then, each once a list. `#slots` says what they hold now. */
  readonly #local: number[] = [];
  readonly #global: number[] = [];
  readonly #slots = new Uint8Array(TLB_AREAS_BYTES / TLB_ENTRY_BYTES);
  /** By hash of the linear address, regions of 4 MiB and of 1 GiB: a large page was entered there. */
  readonly #largePages = new Uint8Array(1024 + 64);

  constructor({ u8, u32 }: CpuState, areas: number) {
    this.#u8 = u8;
    this.#u32 = u32;
    this.#areas = areas;
    this.user = areas + TLB_AREA.user;
    this.supervisor = areas + TLB_AREA.supervisor;
    this.never = areas + TLB_AREA.never;
    for (let at = areas; at < areas + TLB_AREAS_BYTES; at += TLB_ENTRY_BYTES) this.#invalidate(at);
  }
  /** `guarded`: SMAP closes user pages to the supervisor. */
  guard(guarded: boolean): void {
    this.supervisor = this.#areas + (guarded ? TLB_AREA.guarded : TLB_AREA.supervisor);
  }
  #entry(la: number, user: boolean): number {
    return (user ? this.user : this.supervisor) + ((la >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
  }
  #setTag(w: number, lo: number, hi: number): void {
    this.#u32[w] = lo;
    this.#u32[w + 1] = hi;
  }
  #invalidate(at: number): void {
    const w = at >> 2;
    this.#setTag(w + READ, NONE_LOW, NONE_HIGH);
    this.#setTag(w + WRITE, NONE_LOW, NONE_HIGH);
    this.#setTag(w + WRITE_SMC, NONE_LOW, NONE_HIGH);
  }

  // ---- looking up and entering
  /** Wasm address of a byte whose page may be read (or written, past no bitmap), or 0. */
  lookup(la: number, user: boolean, write: boolean): number {
    const w = this.#entry(la, user) >> 2;
    const tag = w + (write ? WRITE : READ);
    const u32 = this.#u32;
    if (u32[tag] !== low(la) || u32[tag + 1] !== high(la)) return 0;
    return (la + u32[w + ADDEND]) >>> 0;
  }
  /** The same for a store to a page that holds decoded code, when it hits none of its bytes. */
  lookupPastCode(la: number, bytes: number, user: boolean): number {
    const w = this.#entry(la, user) >> 2;
    const u32 = this.#u32;
    if (u32[w + WRITE_SMC] !== low(la) || u32[w + WRITE_SMC + 1] !== high(la)) return 0;
    const off = la & 0xfff;
    const bitmap = u32[w + SMC_BITMAP] + (off >> 3);
    const bits = (this.#u8[bitmap] | (this.#u8[bitmap + 1] << 8)) >> (off & 7);
    return (bits & ((1 << bytes) - 1)) !== 0 ? 0 : (la + u32[w + ADDEND]) >>> 0;
  }
  /** Every access must take the slow arms (data breakpoints, alignment checks). */
  get closed(): boolean {
    return this.#u32[STATE.tlbBase.u32] === this.never;
  }
  /** Enters a page that lies at wasm address `host`, for reads; `level`: as PageWalker has it. The entry. */
  enter(la: number, host: number, user: boolean, global: boolean, level: number): number {
    const at = this.#entry(la, user);
    const w = at >> 2;
    const lo = low(la);
    const hi = high(la);
    const u32 = this.#u32;
    if (u32[w + READ] !== lo || u32[w + READ + 1] !== hi) {
      this.#invalidate(at);
      this.#list(at, global);
      if (level !== 0) this.noteLarge(la, level);
    }
    this.#setTag(w + READ, lo, hi);
    u32[w + ADDEND] = (host - lo) >>> 0;
    return at;
  }
  /** Stores may go to the page of this entry; past its bitmap of decoded bytes when it has one. */
  allowWrites(at: number, la: number, bitmap: number): void {
    const w = at >> 2;
    this.#setTag(w + (bitmap === 0 ? WRITE : WRITE_SMC), low(la), high(la));
    this.#u32[w + SMC_BITMAP] = bitmap;
  }
  /** Remembers what this entry holds from now on. */
  #list(at: number, global: boolean): void {
    const slot = (at - this.#areas) / TLB_ENTRY_BYTES;
    const state = this.#slots[slot];
    if (global) {
      if ((state & IN_GLOBAL) === 0) this.#global.push(at);
      this.#slots[slot] = state | IN_GLOBAL | HOLDS_GLOBAL;
    } else {
      if ((state & IN_LOCAL) === 0) this.#local.push(at);
      this.#slots[slot] = (state | IN_LOCAL) & ~HOLDS_GLOBAL;
    }
  }
  /** The page at wasm address `host` got its first decoded code: stores to it must look at the bitmap. */
  protect(host: number, bitmap: number): void {
    const u32 = this.#u32;
    for (const list of [this.#local, this.#global]) {
      for (const at of list) {
        const w = at >> 2;
        if ((u32[w + READ] + u32[w + ADDEND]) >>> 0 !== host || u32[w + READ + 1] === NONE_HIGH) continue;
        if (u32[w + WRITE] === NONE_LOW && u32[w + WRITE + 1] === NONE_HIGH) continue;
        this.#setTag(w + WRITE_SMC, u32[w + WRITE], u32[w + WRITE + 1]);
        u32[w + SMC_BITMAP] = bitmap;
        this.#setTag(w + WRITE, NONE_LOW, NONE_HIGH);
      }
    }
  }

  // ---- flushing
  /** Forgets translations; global pages too when asked. */
  flush(includingGlobal: boolean): void {
    const slots = this.#slots;
    for (const at of this.#local) {
      const slot = (at - this.#areas) / TLB_ENTRY_BYTES;
      slots[slot] &= ~IN_LOCAL;
      if ((slots[slot] & HOLDS_GLOBAL) === 0) this.#invalidate(at);
    }
    this.#local.length = 0;
    if (!includingGlobal) return;
    for (const at of this.#global) {
      slots[(at - this.#areas) / TLB_ENTRY_BYTES] = 0;
      this.#invalidate(at);
    }
    this.#global.length = 0;
    this.#largePages.fill(0);
  }
  /** Forgets one page, and the whole of a large page with it: true then. */
  flushPage(la: number): boolean {
    const at = this.#areas + ((la >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
    this.#invalidate(at + TLB_AREA.supervisor);
    this.#invalidate(at + TLB_AREA.user);
    this.#invalidate(at + TLB_AREA.guarded);
    const large = this.#largePages[Math.floor(la / MIB4) & 1023] | this.#largePages[1024 + (Math.floor(la / GIB) & 63)];
    if (large === 0) return false;
    this.#flushRegion(la, large === 1 ? MIB4 : GIB);
    return true;
  }
  /** Of a large page there may be many pieces. */
  #flushRegion(la: number, size: number): void {
    const u32 = this.#u32;
    const region = Math.floor(la / size);
    for (const list of [this.#local, this.#global]) {
      for (const at of list) {
        const w = (at >> 2) + READ;
        const tag = (u32[w + 1] | 0) * 0x100000000 + u32[w];
        if (Math.floor(tag / size) === region) this.#invalidate(at);
      }
    }
  }
  /** A large page was met there. */
  noteLarge(la: number, level: number): void {
    if (level === 1) this.#largePages[Math.floor(la / MIB4) & 1023] = 1;
    else this.#largePages[1024 + (Math.floor(la / GIB) & 63)] = 2;
  }
}
