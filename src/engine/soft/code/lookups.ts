import { PAGE_ACCESS } from "../../../isa/index.ts";
import type { Cpu } from "../cpu.ts";
import { CS } from "../cpu-state.ts";
import type { CodeLookups } from "../mmu/code-watch.ts";
import type { Mmu } from "../mmu/mmu.ts";
import { STATE, JUMP, JUMP_CACHE_ENTRIES, JUMP_CACHE_ENTRY_BYTES, REC } from "../state-layout.ts";
import { H_BREAK } from "./codes.ts";
import { Fetches } from "./fetches.ts";

/** A CPU's ways from linear addresses to code: translations of fetches, the jump cache, and the key that says which of its entries are valid. */
export class Lookups implements CodeLookups {
  readonly #cpu: Cpu;
  readonly #mmu: Mmu;
  /** Wasm address. */
  readonly #jumpCache: number;
  readonly #fetches = new Fetches();
  /** The last CS limit that is none of the usual two. */
  #oddLimit = -1;
  /** This CPU's state lies at the fixed addresses. */
  #inUse = false;

  constructor(cpu: Cpu, mmu: Mmu, jumpCache: number) {
    this.#cpu = cpu;
    this.#mmu = mmu;
    this.#jumpCache = jumpCache;
  }
  /** Whether this CPU's state lies at the fixed addresses from now on. */
  use(inUse: boolean): void {
    this.#inUse = inUse;
    if (!inUse) return;
    this.#cpu.u32[STATE.jumpCache.u32] = this.#jumpCache;
    this.modeChanged();
  }

  // ---- validity
  /** Entries and known fetches are void. With `keepGlobal`, those of supervisor code stay where all of it lay on global pages. */
  linearChanged(keepGlobal: boolean): void {
    const kept = keepGlobal && this.#fetches.supervisorGlobal;
    this.#renew(true, !kept);
    if (this.#inUse) this.modeChanged();
  }
  /** Nothing happens unless code was run on that page. */
  pageChanged(la: number): void {
    const user = this.#fetches.seen(la, true);
    const supervisor = this.#fetches.seen(la, false);
    if (!user && !supervisor) return;
    this.#renew(user, supervisor);
    if (this.#inUse) this.modeChanged();
  }
  #renew(user: boolean, supervisor: boolean): void {
    if (this.#fetches.renew(user, supervisor)) return;
    // The numbers have come round: what is left from the first time must not look valid.
    this.#cpu.u8.fill(0, this.#jumpCache, this.#jumpCache + JUMP_CACHE_ENTRIES * JUMP_CACHE_ENTRY_BYTES);
  }
  modeChanged(): void {
    const cpu = this.#cpu;
    const size = cpu.u32[STATE.codeSize.u32];
    const limit = cpu.limit(CS);
    if (size !== 64 && limit !== 0xffff && limit !== 0xffffffff && limit !== this.#oddLimit) {
      this.#oddLimit = limit;
      this.#renew(true, true);
    }
    const cls = size === 64 || limit === 0xffffffff ? 0 : limit === 0xffff ? 1 : 2;
    const user = cpu.u32[STATE.cpl.u32] === 3;
    const generation = user ? this.#fetches.user : this.#fetches.supervisor;
    // Never 0: an all-zero jump-cache entry must not match linear address 0.
    cpu.u32[STATE.blockKey.u32] = ((generation << 6) | (cls << 4) | (user ? 8 : 0) | ((size >> 5) << 1) | 1) >>> 0;
  }

  // ---- fetches
  /** Guest-physical address of code, or -1 with the fault recorded. */
  fetch(la: number): number {
    const user = this.#cpu.cpl === 3;
    const known = this.#fetches.find(la, user);
    if (known >= 0) return known;
    const gpa = this.#mmu.translate(la, user ? PAGE_ACCESS.USER | PAGE_ACCESS.FETCH : PAGE_ACCESS.FETCH);
    if (gpa >= 0) this.#fetches.remember(la, user, gpa, this.#mmu.global);
    return gpa;
  }
  /** The same for the beginning of the page behind `la`. */
  fetchNext(la: number): number {
    const next = la - (((la % 4096) + 4096) % 4096) + 4096;
    return this.fetch(this.#cpu.codeSize === 64 ? next : next >>> 0);
  }

  // ---- the jump cache
  /** Index of a 32-bit word. */
  #entry(lo: number): number {
    return (this.#jumpCache + ((lo ^ (lo >>> 12)) & (JUMP_CACHE_ENTRIES - 1)) * JUMP_CACHE_ENTRY_BYTES) >> 2;
  }
  /** First record of the live block that the jump cache has for an address, as generated code finds it, or 0. After a VM exit this is the rule. */
  cached(la: number): number {
    const lo = la >>> 0;
    const w = this.#entry(lo);
    const { u16, u32 } = this.#cpu;
    if (u32[w] !== lo || u32[w + (JUMP.key >> 2)] !== u32[STATE.blockKey.u32]) return 0;
    if (u32[w + 1] !== Math.floor(la / 0x100000000) >>> 0) return 0;
    const rec = u32[w + (JUMP.block >> 2)];
    return u16[(rec + REC.handler) >> 1] === H_BREAK ? 0 : rec;
  }
  cache(la: number, rec: number): void {
    const lo = la >>> 0;
    const w = this.#entry(lo);
    const u32 = this.#cpu.u32;
    u32[w] = lo;
    u32[w + 1] = Math.floor(la / 0x100000000) >>> 0;
    u32[w + (JUMP.key >> 2)] = u32[STATE.blockKey.u32];
    u32[w + (JUMP.block >> 2)] = rec;
  }
}
