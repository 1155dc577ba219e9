import type { CodeSize } from "../../../isa/index.ts";
import type { Cpu } from "../cpu.ts";
import { CS } from "../cpu-state.ts";
import type { Mmu } from "../mmu/mmu.ts";
import { STATE, REC, REC_BYTES } from "../state-layout.ts";
import { type Block, MAX_BLOCK, SCRATCH_FIRST } from "./block.ts";
import { BlockDecoder, type Start } from "./decode-block.ts";
import type { GuestCode } from "./guest-code.ts";
import { Lookups } from "./lookups.ts";

const GENERAL_PROTECTION = 13;

/** Finds the block that a CPU is to execute next, as its mode, CS and paging say, and decodes it where there is none. */
export class CodeFinder {
  readonly code: GuestCode;
  readonly lookups: Lookups;
  readonly #cpu: Cpu;
  readonly #mmu: Mmu;
  readonly #decoder: BlockDecoder;
  /** The kept block of which only the first `#tailIndex` instructions ran, because the budget ended there. */
  #tail: Block | undefined;
  #tailIndex = 0;
  #resuming: Block | undefined;
  /** Instructions of its block before the record that `resume` gave. */
  skipped = 0;

  /** `jumpCache`: wasm address. */
  constructor(cpu: Cpu, code: GuestCode, jumpCache: number) {
    const { mmu } = cpu;
    this.#cpu = cpu;
    this.#mmu = mmu;
    this.code = code;
    this.lookups = new Lookups(cpu, mmu, jumpCache);
    this.#decoder = new BlockDecoder(cpu, mmu, code, this.lookups);
    code.blocks.join(mmu);
    mmu.keepCode(code.blocks, this.lookups);
  }

  /**
   * First record of the block at `ip`, at most `limit` instructions long. 0: a fault or exit is recorded. Sets STATE.ipBase. Blocks shorter than
   * the natural length are made in the scratch records.
   */
  find(ipLo: number, ipHi: number, limit: number): number {
    const cpu = this.#cpu;
    const codeSize = cpu.codeSize as CodeSize; // oxlint-disable-line no-unsafe-type-assertion
    let la: number;
    if (codeSize === 64) {
      if ((ipHi << 16) >> 16 !== (ipHi | 0)) return this.#fault();
      la = (ipHi | 0) * 0x100000000 + (ipLo >>> 0);
    } else {
      if (ipLo >>> 0 > cpu.limit(CS)) return this.#fault();
      la = (cpu.baseNumber(CS) + (ipLo >>> 0)) >>> 0;
    }
    if (limit === MAX_BLOCK) {
      const cached = this.lookups.cached(la);
      if (cached !== 0) {
        this.#setIpBase(ipLo, ipHi, cpu.u16[(cached + REC.ipOff) >> 1]);
        return cached;
      }
    }
    const gpa = this.lookups.fetch(la);
    if (gpa < 0) return 0;
    this.#setIpBase(ipLo, ipHi, gpa & 0xfff);
    const allowed = codeSize === 64 ? Number.POSITIVE_INFINITY : cpu.limit(CS) - (ipLo >>> 0) + 1;
    const start: Start = { la, gpa, codeSize, allowed };
    const host = this.#mmu.physical.host(gpa);
    if (host === 0) return this.#decoder.decodeUncached(start);
    const known = this.code.blocks.find(Math.floor(gpa / 4096), gpa & 0xfff, codeSize);
    return limit < MAX_BLOCK ? this.#short(start, host, known, limit) : this.#whole(start, host, known);
  }
  #fault(): number {
    this.#cpu.fault.vector = GENERAL_PROTECTION;
    this.#cpu.fault.errorCode = 0;
    return 0;
  }
  #setIpBase(ipLo: number, ipHi: number, off: number): void {
    const w = STATE.ipBase.u32;
    const lo = (ipLo >>> 0) - off;
    this.#cpu.u32[w] = lo >>> 0;
    this.#cpu.u32[w + 1] = lo < 0 ? ipHi - 1 : ipHi;
  }

  /** A block of its natural length. */
  #whole(start: Start, host: number, found: Block | undefined): number {
    const { blocks } = this.code;
    const { la, gpa, allowed } = start;
    let known = found;
    if (known !== undefined && known.nextPage >= 0) {
      const second = this.lookups.fetchNext(la);
      if (second < 0) return 0;
      if (Math.floor(second / 4096) !== known.nextPage) {
        blocks.drop(known);
        known = undefined;
      }
    }
    if (known !== undefined && known.end - known.start + known.nextEnd <= allowed) {
      if (known.nextPage < 0) this.lookups.cache(la, known.rec);
      return known.rec;
    }
    // Kept for a code segment that reaches further: this one gets its own, shorter block each time.
    if (known !== undefined) return this.#decodeScratch(start, host, MAX_BLOCK - 1);
    const resuming = this.#resuming;
    const within = resuming !== undefined && resuming.page === Math.floor(gpa / 4096) && resuming.codeSize === start.codeSize;
    if (within && resuming.end - (gpa & 0xfff) <= allowed) return resuming.rec;
    return this.#decoder.decode(start, host, MAX_BLOCK);
  }
  /** The first `limit` instructions of a block. */
  #short(start: Start, host: number, found: Block | undefined, limit: number): number {
    let known = found;
    if (known === undefined && limit > 1) {
      // Whole, so that stores into it are seen.
      const rec = this.#decoder.decode(start, host, MAX_BLOCK);
      known = this.code.blocks.at(rec);
      if (known === undefined || known.nextPage >= 0) return rec;
    }
    if (known !== undefined && known.nextPage < 0 && known.end - known.start <= start.allowed) return this.#head(known, limit);
    return this.#decodeScratch(start, host, limit);
  }
  #decodeScratch(start: Start, host: number, limit: number): number {
    const { blocks } = this.code;
    const rec = this.#decoder.decode(start, host, limit);
    // What CS cuts runs from the scratch records: the kept block has marked its bytes, and a store that ends that one ends this one.
    if (rec === SCRATCH_FIRST) blocks.copied = blocks.find(Math.floor(start.gpa / 4096), start.gpa & 0xfff, start.codeSize);
    return rec;
  }
  /** The first `limit` instructions of a kept block, copied to the scratch records: budgets end, and steps are made, in the middle of blocks. */
  #head(known: Block, limit: number): number {
    const { u8, u16 } = this.#cpu;
    const all = known.records - 1;
    if (all <= limit && known.regions.length === 0) return known.rec;
    const count = Math.min(all, limit);
    const end = SCRATCH_FIRST + count * REC_BYTES;
    if (count < all) this.#stopIn(known, count);
    u8.copyWithin(SCRATCH_FIRST, known.rec, known.rec + (count + 1) * REC_BYTES);
    if (known.regions.length > 0) this.code.blocks.onCopy(known, SCRATCH_FIRST, count);
    this.code.blocks.copied = known;
    this.code.lowering.writeEnd(end, u16[(end + REC.ipOff) >> 1], count);
    for (let at = SCRATCH_FIRST; at <= end; at += REC_BYTES) u16[(at + REC.blockCount) >> 1] = count;
    return SCRATCH_FIRST;
  }

  // ---- in the middle of a block
  #stopIn(block: Block | undefined, index: number): void {
    this.#tail = block;
    this.#tailIndex = index;
  }
  /** Whether the next run goes on in the middle of a kept block. */
  get stoppedInside(): boolean {
    return this.#tail !== undefined;
  }
  /** Whether a stop was asked for before this record. The rest of its block need not be decoded anew. */
  stopsAt(rec: number): boolean {
    if (!this.code.stops.isBefore(rec)) return false;
    const index = this.#cpu.u16[(rec + REC.count) >> 1];
    this.#stopIn(this.code.blocks.at(rec - index * REC_BYTES), index);
    return true;
  }
  /**
   * As `find` without a limit, but in the middle of the kept block whose head ran last it goes on there, so that none needs to be decoded that
   * begins there: `skipped` then says how many instructions of it come before.
   */
  resume(ipLo: number, ipHi: number): number {
    const block = this.#tail;
    this.#tail = undefined;
    this.skipped = 0;
    if (block === undefined || block.dead) return this.find(ipLo, ipHi, MAX_BLOCK);
    const cpu = this.#cpu;
    const rec = block.rec + this.#tailIndex * REC_BYTES;
    const off = cpu.u16[(rec + REC.ipOff) >> 1];
    const base = cpu.codeSize === 64 ? 0 : cpu.u32[STATE.segBase.u32 + CS * 2];
    if (((base + ipLo - off) & 0xfff) !== 0) return this.find(ipLo, ipHi, MAX_BLOCK);
    this.#resuming = block;
    const found = this.find(ipLo, ipHi, MAX_BLOCK);
    this.#resuming = undefined;
    // No block that begins elsewhere is found at this offset but by `resuming`.
    if (found !== block.rec) return found;
    this.skipped = this.#tailIndex;
    return rec;
  }
}
