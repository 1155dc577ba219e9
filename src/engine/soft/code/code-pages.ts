import { decode, type Insn } from "../../../isa/index.ts";
import { CS, type Cpu, type SystemHelper } from "../cpu.ts";
import { H_BREAK, H_END } from "./codes.ts";
import {
  CPU,
  JUMP,
  JUMP_CACHE_ENTRIES,
  JUMP_CACHE_ENTRY_BYTES,
  REC,
  REC_BYTES,
  REC_COUNT,
  REC_POOL,
  SMC_BITMAP_BYTES,
  SMC_BITMAP_COUNT,
  SMC_BITMAPS,
} from "../state-layout.ts";
import { FETCH, type Mmu, USER } from "../mmu/mmu.ts";

/** Instructions of a block at most. */
const MAX_BLOCK = 64;
/** Records kept for blocks that are decoded anew each time (single steps, tails, MMIO code). */
const SCRATCH_RECORDS = MAX_BLOCK + 2;
/** Instructions kept for helpers at most (objects of some hundred bytes). */
const MAX_INSNS = 1 << 18;
const SCRATCH_FIRST = REC_POOL + (REC_COUNT - SCRATCH_RECORDS) * REC_BYTES;

/** Writes decoded instructions into records; `lower.ts` implements it. */
export interface Lowering {
  /** Fills the record at `rec`. `index`: its place in the block, `keep`: remembers an instruction for helpers. */
  write(rec: number, insn: Insn, ipOff: number, index: number, keep: (insn: Insn) => number): void;
  /** The record after the last instruction: falls through to `ipOff`. */
  writeEnd(rec: number, ipOff: number, index: number): void;
  /** Whether a block ends with this instruction. */
  ends(insn: Insn): boolean;
  /** A stand-in for bytes that are not an instruction: raises #UD, or #GP(0) when over 15 bytes. */
  invalid(long: boolean): Insn;
}

export interface Block {
  readonly rec: number;
  records: number;
  readonly page: number;
  readonly codeSize: 16 | 32 | 64;
  /** How often the translator saw it run; see translate/. */
  heat: number;
  /** Translated regions that contain it. */
  readonly regions: number[];
  /** Bytes covered: offsets in the page, and in the following page when it crosses (then `nextPage` >= 0). */
  readonly start: number;
  readonly end: number;
  readonly nextPage: number;
  readonly nextEnd: number;
  readonly insns: number[];
  /** Records whose link leads here. */
  readonly incoming: number[];
  dead: boolean;
}

class CodePage {
  readonly number: number;
  readonly bitmap: number;
  readonly blocks = new Map<number, Block>();
  /** Blocks that begin on the page before and end here. */
  readonly crossing = new Set<Block>();
  constructor(number: number, bitmap: number) {
    this.number = number;
    this.bitmap = bitmap;
  }
}

/**
 * Decoded blocks, kept by guest-physical page; the jump caches over linear addresses; invalidation by stores. The blocks are shared by the
 * CPUs of a VM; look-ups are made for the one that runs.
 */
export class CodePages {
  #mmu: Mmu;
  #cpu: Cpu;
  readonly #mmus: Mmu[] = [];
  readonly #pages = new Map<number, CodePage>();
  readonly #byRecord = new Map<number, Block>();
  #lowering: Lowering | undefined;
  #nextRecord = 0;
  #nextBitmap = 0;
  /** Instructions that helpers and disassembly need, by index in REC.link. */
  readonly insns: (Insn | undefined)[] = [];
  /** Their helpers, side by side. */
  readonly helpers: SystemHelper[] = [];
  helperFor: (insn: Insn) => SystemHelper = () => () => "next";
  readonly #freeInsns: number[] = [];
  readonly #scratchInsns: number[] = [];
  readonly #bytes = new Uint8Array(32);
  /** The record that breaks out instead of being executed, 0: none; and its handler. */
  #broken = 0;
  #brokenHandler = 0;
  decodedBlocks = 0;
  flushes = 0;
  invalidations = 0;
  /** The translator's: a block with regions dies; everything dies. */
  onKill: (block: Block) => void = () => {};
  onFlush: () => void = () => {};
  /** The first records of a block with regions were copied: the copies are the interpreter's. */
  onCopy: (block: Block, to: number, records: number) => void = () => {};

  constructor(mmu: Mmu) {
    this.#mmu = mmu;
    this.#cpu = mmu.cpu;
  }
  /** One more CPU uses the blocks. */
  join(mmu: Mmu): void {
    this.#mmus.push(mmu);
  }
  /** This CPU's state lies at the fixed addresses from now on. */
  use(mmu: Mmu): void {
    this.#mmu = mmu;
    this.#cpu = mmu.cpu;
    this.#cpu.u32[CPU.jumpCache.offset >> 2] = mmu.jumpCache;
    this.modeChanged();
  }
  setLowering(lowering: Lowering): void {
    this.#lowering = lowering;
  }

  // ---- validity of linear look-ups
  /**
   * A CPU's translations changed: its jump-cache entries and known fetches are void. With `keepGlobal`, those of supervisor code stay where all of
   * it lay on global pages.
   */
  linearChanged(mmu: Mmu, keepGlobal = false): void {
    const kept = keepGlobal && mmu.fetches.supervisorGlobal;
    this.#renew(mmu, true, !kept);
    if (mmu === this.#mmu) this.modeChanged();
  }
  /** One page's translation changed: nothing happens unless code was run there. */
  pageChanged(mmu: Mmu, la: number): void {
    const { fetches } = mmu;
    const user = fetches.seen(la, true);
    const supervisor = fetches.seen(la, false);
    if (!user && !supervisor) return;
    this.#renew(mmu, user, supervisor);
    if (mmu === this.#mmu) this.modeChanged();
  }
  #renew(mmu: Mmu, user: boolean, supervisor: boolean): void {
    if (mmu.fetches.renew(user, supervisor)) return;
    // The numbers have come round: what is left from the first time must not look valid.
    mmu.cpu.u8.fill(0, mmu.jumpCache, mmu.jumpCache + JUMP_CACHE_ENTRIES * JUMP_CACHE_ENTRY_BYTES);
  }
  /** Code size, CPL or CS limit changed. */
  modeChanged(): void {
    const cpu = this.#cpu;
    const mmu = this.#mmu;
    const size = cpu.u32[CPU.codeSize.offset >> 2];
    const limit = cpu.limit(CS);
    if (size !== 64 && limit !== 0xffff && limit !== 0xffffffff && limit !== mmu.oddLimit) {
      mmu.oddLimit = limit;
      this.#renew(mmu, true, true);
    }
    const cls = size === 64 || limit === 0xffffffff ? 0 : limit === 0xffff ? 1 : 2;
    const user = cpu.u32[CPU.cpl.offset >> 2] === 3;
    const { fetches } = mmu;
    const generation = user ? fetches.user : fetches.supervisor;
    // Never 0: an all-zero jump-cache entry must not match linear address 0.
    cpu.u32[CPU.blockKey.offset >> 2] = ((generation << 6) | (cls << 4) | (user ? 8 : 0) | ((size >> 5) << 1) | 1) >>> 0;
  }

  // ---- stores into code
  /** Address of a page's bitmap, 0: no decoded code there. */
  bitmap(page: number): number {
    return this.#pages.get(page)?.bitmap ?? 0;
  }
  /** Whether a decoded byte lies in [gpa, gpa+bytes), within one page. */
  touches(gpa: number, bytes: number): boolean {
    const page = this.#pages.get(Math.floor(gpa / 4096));
    if (page === undefined) return false;
    for (let i = 0; i < bytes; i++) {
      const off = (gpa + i) & 0xfff;
      if ((this.#cpu.u8[page.bitmap + (off >> 3)] >> (off & 7)) & 1) return true;
    }
    return false;
  }
  /** Guest memory [gpa, gpa+bytes) is about to change. */
  written(gpa: number, bytes: number): void {
    if (this.#pages.size === 0) return;
    const last = Math.floor((gpa + bytes - 1) / 4096);
    for (let p = Math.floor(gpa / 4096); p <= last; p++) {
      const page = this.#pages.get(p);
      if (page === undefined) continue;
      const from = Math.max(gpa - p * 4096, 0);
      const to = Math.min(gpa + bytes - p * 4096, 4096);
      if (this.#anyBit(page.bitmap, from, to)) this.#invalidate(page, from, to);
    }
  }
  #anyBit(bitmap: number, from: number, to: number): boolean {
    const u8 = this.#cpu.u8;
    for (let off = from; off < to; ) {
      if ((off & 7) === 0 && off + 8 <= to) {
        if (u8[bitmap + (off >> 3)] !== 0) return true;
        off += 8;
      } else {
        if ((u8[bitmap + (off >> 3)] >> (off & 7)) & 1) return true;
        off++;
      }
    }
    return false;
  }
  #invalidate(page: CodePage, from: number, to: number): void {
    this.invalidations++;
    const dead: Block[] = [];
    // The bits that the dead blocks had; only those are looked at again.
    let low = 4096;
    let high = 0;
    for (const [key, b] of page.blocks) {
      if (b.start < to && from < b.end) {
        page.blocks.delete(key);
        dead.push(b);
        if (b.start < low) low = b.start;
        if (b.end > high) high = b.end;
      }
    }
    for (const b of page.crossing) {
      if (from < b.nextEnd) {
        page.crossing.delete(b);
        dead.push(b);
        low = 0;
        if (b.nextEnd > high) high = b.nextEnd;
      }
    }
    for (const b of dead) this.#kill(b);
    this.#rebuildBitmap(page, low, high);
    // A crossing block lives on two pages: forget it on the other one as well.
    for (const b of dead) {
      if (b.nextPage < 0) continue;
      for (const other of [this.#pages.get(b.nextPage), this.#pages.get(b.nextPage - 1), this.#firstPageOf(b)]) {
        if (other === undefined || other === page) continue;
        other.crossing.delete(b);
        for (const [key, o] of other.blocks) if (o === b) other.blocks.delete(key);
        this.#rebuildBitmap(other, 0, 4096);
      }
    }
  }
  #firstPageOf(b: Block): CodePage | undefined {
    for (const p of this.#pages.values()) for (const o of p.blocks.values()) if (o === b) return p;
    return undefined;
  }
  /** Marks [from, to) of a page anew from the blocks that are left: self-modifying loaders kill a block a BIOS call. */
  #rebuildBitmap(page: CodePage, from: number, to: number): void {
    this.#setBits(page.bitmap, from, to, false);
    for (const b of page.blocks.values())
      if (b.start < to && from < b.end) this.#setBits(page.bitmap, Math.max(b.start, from), Math.min(b.end, to), true);
    for (const b of page.crossing) if (from < b.nextEnd) this.#setBits(page.bitmap, from, Math.min(b.nextEnd, to), true);
  }
  #mark(page: CodePage, from: number, to: number): void {
    this.#setBits(page.bitmap, from, to, true);
  }
  /** Sets or clears one bit a byte of [from, to). */
  #setBits(bitmap: number, from: number, to: number, value: boolean): void {
    if (from >= to) return;
    const u8 = this.#cpu.u8;
    const first = bitmap + (from >> 3);
    const last = bitmap + ((to - 1) >> 3);
    const head = 0xff << (from & 7);
    const tail = 0xff >> (7 - ((to - 1) & 7));
    for (let at = first; at <= last; at++) {
      const bits = (at === first ? head : 0xff) & (at === last ? tail : 0xff);
      if (value) u8[at] |= bits;
      else u8[at] &= ~bits;
    }
  }
  /** Every record breaks out to the decoder; nobody links here any more. */
  #kill(b: Block): void {
    const cpu = this.#cpu;
    b.dead = true;
    if (this.#broken >= b.rec && this.#broken < b.rec + b.records * REC_BYTES) this.#broken = 0;
    this.#byRecord.delete(b.rec);
    for (let i = 0; i < b.records; i++) cpu.u16[(b.rec + i * REC_BYTES + REC.handler) >> 1] = H_BREAK;
    if (b === this.#copied) for (let i = 0; i < SCRATCH_RECORDS; i++) cpu.u16[(SCRATCH_FIRST + i * REC_BYTES + REC.handler) >> 1] = H_BREAK;
    for (const source of b.incoming) if (cpu.i32[(source + REC.link) >> 2] === b.rec) cpu.i32[(source + REC.link) >> 2] = 0;
    for (const i of b.insns) this.#retired.push(i);
    if (b.regions.length > 0) this.onKill(b);
  }
  // ---- stops
  /** The run ends before this record, as if its block had been cut there. It stays so until `mend`. */
  breakBefore(rec: number): void {
    if (rec < REC_POOL || rec >= REC_POOL + REC_COUNT * REC_BYTES) return;
    this.mend();
    const at = (rec + REC.handler) >> 1;
    const { u16 } = this.#cpu;
    // Block ends look at the budget anyhow.
    if (u16[at] === H_END || u16[at] === H_BREAK) return;
    this.#broken = rec;
    this.#brokenHandler = u16[at];
    u16[at] = H_BREAK;
  }
  mend(): void {
    if (this.#broken !== 0) this.#cpu.u16[(this.#broken + REC.handler) >> 1] = this.#brokenHandler;
    this.#broken = 0;
  }
  /** Whether a stop was asked for before this record. The rest of its block need not be decoded anew. */
  stopsAt(rec: number): boolean {
    if (rec === 0 || rec !== this.#broken) return false;
    const index = this.#cpu.u16[(rec + REC.count) >> 1];
    const block = this.#byRecord.get(rec - index * REC_BYTES);
    const { tail } = this.#mmu;
    tail.block = block;
    tail.index = index;
    return true;
  }
  /** Handler of a record, from now on. */
  setHandler(rec: number, handler: number): void {
    if (rec === this.#broken) this.#brokenHandler = handler;
    else this.#cpu.u16[(rec + REC.handler) >> 1] = handler;
  }
  handlerOf(rec: number): number {
    return rec === this.#broken ? this.#brokenHandler : this.#cpu.u16[(rec + REC.handler) >> 1];
  }

  /** The kept block that begins with this record. */
  block(rec: number): Block | undefined {
    return this.#byRecord.get(rec);
  }
  /** The kept block at an offset of a page. */
  blockAt(page: number, off: number, codeSize: 16 | 32 | 64): Block | undefined {
    return this.#pages.get(page)?.blocks.get((off << 2) | (codeSize >> 5));
  }
  /** Instructions of killed blocks: still needed while the block that killed itself finishes. */
  readonly #retired: number[] = [];
  /** No generated code is running: what killed blocks left goes. A guest that resets or rewrites itself for ever kills blocks for ever. */
  reclaim(): void {
    this.#free(this.#retired);
  }
  #free(list: number[]): void {
    for (const i of list) this.insns[i] = undefined;
    for (const i of list) this.#freeInsns.push(i);
    list.length = 0;
  }
  /** Instructions held for helpers. */
  get keptInstructions(): number {
    return this.insns.length - this.#freeInsns.length;
  }

  // ---- finding and decoding
  /**
   * The block at `ip` (as the state's mode, CS and paging say), at most `limit` instructions long. 0: a fault or exit is recorded.
   * Sets CPU.ipBase. Blocks shorter than the natural length are made in the scratch records.
   */
  find(ipLo: number, ipHi: number, limit: number): number {
    const cpu = this.#cpu;
    const codeSize = cpu.codeSize as 16 | 32 | 64; // oxlint-disable-line no-unsafe-type-assertion
    let la: number;
    if (codeSize === 64) {
      if ((ipHi << 16) >> 16 !== (ipHi | 0)) return this.#fault(13, 0);
      la = (ipHi | 0) * 0x100000000 + (ipLo >>> 0);
    } else {
      if (ipLo >>> 0 > cpu.limit(CS)) return this.#fault(13, 0);
      la = (cpu.baseNumber(CS) + (ipLo >>> 0)) >>> 0;
    }
    if (limit === MAX_BLOCK) {
      const cached = this.#cached(la, ipLo, ipHi);
      if (cached !== 0) return cached;
    }
    const user = cpu.cpl === 3;
    const gpa = this.#fetch(la, user);
    if (gpa < 0) return 0;
    const off = gpa & 0xfff;
    this.#setIpBase(ipLo, ipHi, off);
    const page = Math.floor(gpa / 4096);
    const host = this.#mmu.physical.host(gpa);
    // The bytes that CS allows from here; code that would run over the limit is taken one instruction at a time.
    const allowed = codeSize === 64 ? Number.POSITIVE_INFINITY : cpu.limit(CS) - (ipLo >>> 0) + 1;
    if (host === 0) return this.#decodeUncached(la, gpa, codeSize, allowed);
    let wanted = limit;
    if (limit < MAX_BLOCK) {
      let known = this.#pages.get(page)?.blocks.get((off << 2) | (codeSize >> 5));
      if (known === undefined && limit > 1) {
        // Whole, so that stores into it are seen.
        const rec = this.#decodeAt(la, page, off, host, codeSize, MAX_BLOCK, allowed);
        known = this.#byRecord.get(rec);
        if (known === undefined || known.nextPage >= 0) return rec;
      }
      if (known !== undefined && known.nextPage < 0 && known.end - known.start <= allowed) return this.#head(known, limit);
    } else {
      let known = this.#pages.get(page)?.blocks.get((off << 2) | (codeSize >> 5));
      if (known !== undefined && known.nextPage >= 0) {
        const second = this.#fetch(this.#nextPage(la), user);
        if (second < 0) return 0;
        if (Math.floor(second / 4096) !== known.nextPage) {
          this.#pages.get(page)?.blocks.delete((off << 2) | (codeSize >> 5));
          this.#kill(known);
          known = undefined;
        }
      }
      if (known !== undefined && known.end - known.start + known.nextEnd <= allowed) {
        if (known.nextPage < 0) this.#cache(la, known.rec);
        return known.rec;
      }
      const resuming = this.#resuming;
      if (
        known === undefined &&
        resuming !== undefined &&
        resuming.page === page &&
        resuming.codeSize === codeSize &&
        resuming.end - off <= allowed
      ) {
        return resuming.rec;
      }
      // Kept for a code segment that reaches further: this one gets its own, shorter block each time.
      if (known !== undefined) wanted = MAX_BLOCK - 1;
    }
    const rec = this.#decodeAt(la, page, off, host, codeSize, wanted, allowed);
    // What CS cuts runs from the scratch records: the kept block has marked its bytes, and a store that ends that one ends this one.
    if (rec === SCRATCH_FIRST) this.#copied = this.#pages.get(page)?.blocks.get((off << 2) | (codeSize >> 5));
    return rec;
  }
  /** The first `limit` instructions of a kept block, copied to the scratch records: budgets end, and steps are made, in the middle of blocks. */
  #head(known: Block, limit: number): number {
    const { u8, u16 } = this.#cpu;
    const all = known.records - 1;
    if (all <= limit && known.regions.length === 0) return known.rec;
    const lowering = this.#lowering;
    if (lowering === undefined) return 0;
    const count = Math.min(all, limit);
    const end = SCRATCH_FIRST + count * REC_BYTES;
    if (count < all) {
      const { tail } = this.#mmu;
      tail.block = known;
      tail.index = count;
    }
    u8.copyWithin(SCRATCH_FIRST, known.rec, known.rec + (count + 1) * REC_BYTES);
    if (known.regions.length > 0) this.onCopy(known, SCRATCH_FIRST, count);
    this.#copied = known;
    lowering.writeEnd(end, u16[(end + REC.ipOff) >> 1], count);
    for (let at = SCRATCH_FIRST; at <= end; at += REC_BYTES) u16[(at + REC.blockCount) >> 1] = count;
    return SCRATCH_FIRST;
  }
  /**
   * As `find` without a limit, but in the middle of the kept block whose head ran last it goes on there, so that none needs to be decoded that
   * begins there: `skipped` then says how many instructions of it come before.
   */
  resume(ipLo: number, ipHi: number): number {
    const { tail } = this.#mmu;
    const { block } = tail;
    tail.block = undefined;
    this.skipped = 0;
    if (block === undefined || block.dead) return this.find(ipLo, ipHi, MAX_BLOCK);
    const cpu = this.#cpu;
    const rec = block.rec + tail.index * REC_BYTES;
    const off = cpu.u16[(rec + REC.ipOff) >> 1];
    const base = cpu.codeSize === 64 ? 0 : cpu.u32[(CPU.segBase.offset >> 2) + CS * 2];
    if (((base + ipLo - off) & 0xfff) !== 0) return this.find(ipLo, ipHi, MAX_BLOCK);
    this.#resuming = block;
    const found = this.find(ipLo, ipHi, MAX_BLOCK);
    this.#resuming = undefined;
    // No block that begins elsewhere is found at this offset but by `resuming`.
    if (found !== block.rec) return found;
    this.skipped = tail.index;
    return rec;
  }
  skipped = 0;
  /** The block whose head lies in the scratch records. */
  #copied: Block | undefined;
  #resuming: Block | undefined;
  /** Guest-physical address of code, or -1 with the fault recorded. */
  #fetch(la: number, user: boolean): number {
    const { fetches } = this.#mmu;
    const known = fetches.find(la, user);
    if (known >= 0) return known;
    const gpa = this.#mmu.translate(la, user ? USER | FETCH : FETCH);
    if (gpa >= 0) fetches.remember(la, user, gpa, this.#mmu.global);
    return gpa;
  }
  #nextPage(la: number): number {
    const next = la - (((la % 4096) + 4096) % 4096) + 4096;
    return this.#cpu.codeSize === 64 ? next : next >>> 0;
  }
  #fault(vector: number, errorCode: number): number {
    this.#cpu.fault.vector = vector;
    this.#cpu.fault.errorCode = errorCode;
    return 0;
  }
  #setIpBase(ipLo: number, ipHi: number, off: number): void {
    const w = CPU.ipBase.offset >> 2;
    const lo = (ipLo >>> 0) - off;
    this.#cpu.u32[w] = lo >>> 0;
    this.#cpu.u32[w + 1] = lo < 0 ? ipHi - 1 : ipHi;
  }
  #cacheEntry(lo: number): number {
    return (this.#mmu.jumpCache + ((lo ^ (lo >>> 12)) & (JUMP_CACHE_ENTRIES - 1)) * JUMP_CACHE_ENTRY_BYTES) >> 2;
  }
  /** The live block that the jump cache has for an address, as generated code finds it, or 0. After a VM exit this is the rule. */
  #cached(la: number, ipLo: number, ipHi: number): number {
    const lo = la >>> 0;
    const w = this.#cacheEntry(lo);
    const { u16, u32 } = this.#cpu;
    if (u32[w] !== lo || u32[w + (JUMP.key >> 2)] !== u32[CPU.blockKey.offset >> 2]) return 0;
    if (u32[w + 1] !== Math.floor(la / 0x100000000) >>> 0) return 0;
    const rec = u32[w + (JUMP.block >> 2)];
    if (u16[(rec + REC.handler) >> 1] === H_BREAK) return 0;
    this.#setIpBase(ipLo, ipHi, u16[(rec + REC.ipOff) >> 1]);
    return rec;
  }
  #cache(la: number, rec: number): void {
    const lo = la >>> 0;
    const w = this.#cacheEntry(lo);
    const u32 = this.#cpu.u32;
    u32[w] = lo;
    u32[w + 1] = Math.floor(la / 0x100000000) >>> 0;
    u32[w + (JUMP.key >> 2)] = u32[CPU.blockKey.offset >> 2];
    u32[w + (JUMP.block >> 2)] = rec;
  }

  #decodeAt(la: number, page: number, off: number, host: number, codeSize: 16 | 32 | 64, limit: number, allowed: number): number {
    const cpu = this.#cpu;
    const lowering = this.#lowering;
    if (lowering === undefined) return 0;
    // A natural block may be kept; one that the limit, the budget or a crossing page cuts is decoded anew each time.
    let scratch = limit < MAX_BLOCK;
    if (
      !scratch &&
      (this.#nextRecord + MAX_BLOCK + 2 > REC_COUNT - SCRATCH_RECORDS ||
        this.insns.length > MAX_INSNS ||
        (!this.#pages.has(page) && this.#nextBitmap + 2 >= SMC_BITMAP_COUNT))
    )
      this.flush();
    if (scratch) this.#dropScratchInsns();
    const first = scratch ? SCRATCH_FIRST : REC_POOL + this.#nextRecord * REC_BYTES;
    const kept: number[] = [];
    const keep = (insn: Insn): number => {
      const i = this.#freeInsns.pop() ?? this.insns.length;
      this.insns[i] = insn;
      this.helpers[i] = this.helperFor(insn);
      (scratch ? this.#scratchInsns : kept).push(i);
      return i;
    };
    const bytes = cpu.u8;
    let at = off;
    let count = 0;
    let nextPage = -1;
    let nextEnd = 0;
    while (count < Math.min(limit, MAX_BLOCK)) {
      const room = Math.min(4096 - at, allowed - (at - off));
      if (room <= 0) break;
      let result = decode(bytes, host - off + at, room, codeSize);
      if ("failure" in result && result.failure === "more") {
        if (count > 0) break;
        // The first instruction runs over the page's end (or over the limit).
        if (allowed < 15 && allowed <= 4096 - at) return this.#fault(13, 0);
        const second = this.#fetch(this.#nextPage(la), cpu.cpl === 3);
        if (second < 0) return 0;
        const head = 4096 - at;
        this.#bytes.set(bytes.subarray(host, host + head));
        for (let i = 0; i < 15; i++) {
          const v = this.#mmu.readGpa(second + i, 1);
          if (v < 0) return 0;
          this.#bytes[head + i] = v;
        }
        result = decode(this.#bytes, 0, Math.min(head + 15, allowed), codeSize);
        if ("failure" in result && result.failure === "more") return this.#fault(13, 0);
        nextPage = Math.floor(second / 4096);
        if (this.#mmu.physical.page(nextPage) === 0) scratch = true;
        nextEnd = ("failure" in result ? head + 1 : result.length) - head;
      }
      const insn = "failure" in result ? lowering.invalid(result.failure === "long") : result;
      lowering.write(first + count * REC_BYTES, insn, at, count, keep);
      count++;
      const length = "failure" in result ? Math.max(result.length, 1) : insn.length;
      at += length;
      if ("failure" in result || lowering.ends(insn) || nextPage >= 0) break;
    }
    if (count === 0) return this.#fault(13, 0);
    // Always: an instruction that ends a block may still go on to the next one (helpers, branches not taken).
    const records = count + 1;
    lowering.writeEnd(first + count * REC_BYTES, at, count);
    for (let i = 0; i < records; i++) cpu.u16[(first + i * REC_BYTES + REC.blockCount) >> 1] = count;
    if (scratch) return first;
    this.decodedBlocks++;
    this.#nextRecord += records;
    const block: Block = {
      rec: first,
      records,
      page,
      codeSize,
      heat: 0,
      regions: [],
      start: off,
      end: Math.min(at, 4096),
      nextPage,
      nextEnd,
      insns: kept,
      incoming: [],
      dead: false,
    };
    const codePage = this.#page(page);
    codePage.blocks.set((off << 2) | (codeSize >> 5), block);
    this.#mark(codePage, block.start, block.end);
    if (nextPage >= 0) {
      const other = this.#page(nextPage);
      other.crossing.add(block);
      this.#mark(other, 0, nextEnd);
    } else this.#cache(la, first);
    this.#byRecord.set(first, block);
    return first;
  }
  /** Code in MMIO space: one instruction, byte by byte, never kept. */
  #decodeUncached(la: number, gpa: number, codeSize: 16 | 32 | 64, allowed: number): number {
    const lowering = this.#lowering;
    if (lowering === undefined) return 0;
    this.#dropScratchInsns();
    const n = Math.min(15, allowed);
    let have = 0;
    for (; have < n; have++) {
      let at = gpa + have;
      if ((gpa & 0xfff) + have >= 4096) {
        const second = this.#fetch(this.#nextPage(la), this.#cpu.cpl === 3);
        if (second < 0) break;
        at = second + ((gpa & 0xfff) + have - 4096);
      }
      const host = this.#mmu.physical.host(at);
      const v = host !== 0 ? this.#cpu.u8[host] : this.#cpu.io.mmioRead(at, 1);
      this.#bytes[have] = v < 0 ? 0xff : v;
    }
    const result = decode(this.#bytes, 0, have, codeSize);
    if ("failure" in result && result.failure === "more") return have < n ? 0 : this.#fault(13, 0);
    const insn = "failure" in result ? lowering.invalid(result.failure === "long") : result;
    const first = SCRATCH_FIRST;
    lowering.write(first, insn, gpa & 0xfff, 0, (i) => {
      const k = this.#freeInsns.pop() ?? this.insns.length;
      this.insns[k] = i;
      this.helpers[k] = this.helperFor(i);
      this.#scratchInsns.push(k);
      return k;
    });
    lowering.writeEnd(first + REC_BYTES, (gpa & 0xfff) + insn.length, 1);
    for (let i = 0; i < 2; i++) this.#cpu.u16[(first + i * REC_BYTES + REC.blockCount) >> 1] = 1;
    return first;
  }
  #dropScratchInsns(): void {
    this.#copied = undefined;
    this.#free(this.#scratchInsns);
  }
  #page(number: number): CodePage {
    const known = this.#pages.get(number);
    if (known !== undefined) return known;
    const bitmap = SMC_BITMAPS + this.#nextBitmap++ * SMC_BITMAP_BYTES;
    this.#cpu.u8.fill(0, bitmap, bitmap + SMC_BITMAP_BYTES);
    const page = new CodePage(number, bitmap);
    this.#pages.set(number, page);
    this.#mmu.physical.holdsCode(number);
    for (const mmu of this.#mmus) mmu.protectCodePage(number, bitmap);
    return page;
  }
  /** A jump inside one page found its target: next time it goes there directly. Not when a flush came between: `from` may be another's record now. */
  link(from: number, to: number, flushes: number): void {
    if (flushes !== this.flushes) return;
    const target = this.#byRecord.get(to);
    if (target === undefined || target.nextPage >= 0 || from >= SCRATCH_FIRST) return;
    this.#cpu.i32[(from + REC.link) >> 2] = to;
    target.incoming.push(from);
  }
  /**
   * Other memory lies at [gpa, gpa+bytes) from now on, or none. Code elsewhere stays: chips move their windows (BIOS shadow, PCI BARs) often.
   */
  remapped(gpa: number, bytes: number): void {
    // Who looks at `flushes` goes to the run loop, which finds its block anew.
    this.flushes++;
    const first = Math.floor(gpa / 4096);
    const end = Math.ceil((gpa + bytes) / 4096);
    for (const page of this.#pages.values()) if (page.number >= first && page.number < end) this.#invalidate(page, 0, 4096);
    for (const mmu of this.#mmus) mmu.flushAll(true);
  }
  /** Forgets all decoded code. */
  flush(): void {
    this.flushes++;
    this.mend();
    this.onFlush();
    this.#pages.clear();
    this.#mmu.physical.forgetCode();
    this.#byRecord.clear();
    this.#nextRecord = 0;
    this.#nextBitmap = 0;
    this.insns.length = 0;
    this.helpers.length = 0;
    this.#freeInsns.length = 0;
    this.#scratchInsns.length = 0;
    this.#retired.length = 0;
    for (const mmu of this.#mmus) {
      mmu.tail.block = undefined;
      mmu.flushAll(true);
    }
  }
}
