import type { CodeSize } from "../../../isa/index.ts";
import type { CodeBlocks } from "../mmu/code-watch.ts";
import type { PhysicalMap } from "../mmu/physical.ts";
import { REC, REC_BYTES, REC_COUNT, REC_POOL, SMC_BITMAP_BYTES, SMC_BITMAP_COUNT, SMC_BITMAPS } from "../state-layout.ts";
import { anyBit, setBits } from "./bitmap.ts";
import { type Block, MAX_BLOCK, type MemoryViews, SCRATCH_FIRST, SCRATCH_RECORDS } from "./block.ts";
import { H_BREAK } from "./codes.ts";
import type { InsnPool } from "./insn-pool.ts";
import type { Stops } from "./stops.ts";

class CodePage {
  readonly number: number;
  /** Wasm address. */
  readonly bitmap: number;
  /** By `keyOf`. */
  readonly blocks = new Map<number, Block>();
  /** Blocks that begin on the page before and end here. */
  readonly crossing = new Set<Block>();
  constructor(number: number, bitmap: number) {
    this.number = number;
    this.bitmap = bitmap;
  }
}
const keyOf = (off: number, codeSize: CodeSize): number => (off << 2) | (codeSize >> 5);

/** A CPU's TLBs, as far as decoded code needs them. */
interface Tlbs {
  /** A page got its first decoded code. */
  protectCodePage(page: number, bitmap: number): void;
  flushAll(includingGlobal: boolean): void;
}

/** Decoded blocks of a VM by guest-physical page and by record; links between them; invalidation by stores. */
export class Blocks implements CodeBlocks {
  readonly #views: MemoryViews;
  readonly #physical: PhysicalMap;
  readonly #insns: InsnPool;
  readonly #stops: Stops;
  readonly #tlbs: Tlbs[] = [];
  readonly #pages = new Map<number, CodePage>();
  readonly #byRecord = new Map<number, Block>();
  #nextRecord = 0;
  #nextBitmap = 0;
  /** The block that the scratch records are a copy of, or a part. */
  copied: Block | undefined;
  decoded = 0;
  /** Who looks at this goes to the run loop when it has changed, which finds its block anew. */
  flushes = 0;
  invalidations = 0;
  /** The translator's: a block with regions dies; everything dies. */
  onKill: (block: Block) => void = () => {};
  onFlush: () => void = () => {};
  /** The first records of a block with regions were copied: the copies are the interpreter's. */
  onCopy: (block: Block, to: number, records: number) => void = () => {};

  constructor(views: MemoryViews, physical: PhysicalMap, insns: InsnPool, stops: Stops) {
    this.#views = views;
    this.#physical = physical;
    this.#insns = insns;
    this.#stops = stops;
  }
  /** One more CPU uses the blocks. */
  join(tlbs: Tlbs): void {
    this.#tlbs.push(tlbs);
  }

  // ---- looking up and entering
  /** The kept block that begins with this record. */
  at(rec: number): Block | undefined {
    return this.#byRecord.get(rec);
  }
  /** The kept block at an offset of a page. */
  find(page: number, off: number, codeSize: CodeSize): Block | undefined {
    return this.#pages.get(page)?.blocks.get(keyOf(off, codeSize));
  }
  /** The first record of the next block, which will begin on this page; when something has run out, everything is forgotten. */
  makeRoom(page: number): number {
    if (
      this.#nextRecord + MAX_BLOCK + 2 > REC_COUNT - SCRATCH_RECORDS ||
      this.#insns.full ||
      (!this.#pages.has(page) && this.#nextBitmap + 2 >= SMC_BITMAP_COUNT)
    )
      this.flush();
    return REC_POOL + this.#nextRecord * REC_BYTES;
  }
  /** Keeps a block whose records `makeRoom` gave. */
  add(block: Block): void {
    const { u8 } = this.#views;
    this.decoded++;
    this.#nextRecord += block.records;
    const page = this.#page(block.page);
    page.blocks.set(keyOf(block.start, block.codeSize), block);
    setBits(u8, page.bitmap, block.start, block.end, true);
    if (block.nextPage >= 0) {
      const other = this.#page(block.nextPage);
      other.crossing.add(block);
      setBits(u8, other.bitmap, 0, block.nextEnd, true);
    }
    this.#byRecord.set(block.rec, block);
  }
  #page(number: number): CodePage {
    const known = this.#pages.get(number);
    if (known !== undefined) return known;
    const bitmap = SMC_BITMAPS + this.#nextBitmap++ * SMC_BITMAP_BYTES;
    this.#views.u8.fill(0, bitmap, bitmap + SMC_BITMAP_BYTES);
    const page = new CodePage(number, bitmap);
    this.#pages.set(number, page);
    this.#physical.holdsCode(number);
    for (const tlbs of this.#tlbs) tlbs.protectCodePage(number, bitmap);
    return page;
  }
  /** A jump inside one page found its target: next time it goes there directly. Not when a flush came between: `from` may be another's record now. */
  link(from: number, to: number, flushes: number): void {
    if (flushes !== this.flushes) return;
    const target = this.#byRecord.get(to);
    if (target === undefined || target.nextPage >= 0 || from >= SCRATCH_FIRST) return;
    this.#views.i32[(from + REC.link) >> 2] = to;
    target.incoming.push(from);
  }

  // ---- stores into code
  bitmap(page: number): number {
    return this.#pages.get(page)?.bitmap ?? 0;
  }
  touches(gpa: number, bytes: number): boolean {
    const page = this.#pages.get(Math.floor(gpa / 4096));
    const off = gpa % 4096;
    return page !== undefined && anyBit(this.#views.u8, page.bitmap, off, off + bytes);
  }
  written(gpa: number, bytes: number): void {
    if (this.#pages.size === 0) return;
    const last = Math.floor((gpa + bytes - 1) / 4096);
    for (let p = Math.floor(gpa / 4096); p <= last; p++) {
      const page = this.#pages.get(p);
      if (page === undefined) continue;
      const from = Math.max(gpa - p * 4096, 0);
      const to = Math.min(gpa + bytes - p * 4096, 4096);
      if (anyBit(this.#views.u8, page.bitmap, from, to)) this.#invalidate(page, from, to);
    }
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
    for (const b of dead) if (b.nextPage >= 0) this.#forgetCrossing(b, page);
  }
  /** A crossing block lives on two pages: forgets it on the other one as well. */
  #forgetCrossing(b: Block, page: CodePage): void {
    for (const other of [this.#pages.get(b.page), this.#pages.get(b.nextPage)]) {
      if (other === undefined || other === page) continue;
      other.crossing.delete(b);
      const key = keyOf(b.start, b.codeSize);
      if (other.blocks.get(key) === b) other.blocks.delete(key);
      this.#rebuildBitmap(other, 0, 4096);
    }
  }
  /** Marks [from, to) of a page anew from the blocks that are left: self-modifying loaders kill a block a BIOS call. */
  #rebuildBitmap(page: CodePage, from: number, to: number): void {
    const { u8 } = this.#views;
    setBits(u8, page.bitmap, from, to, false);
    for (const b of page.blocks.values())
      if (b.start < to && from < b.end) setBits(u8, page.bitmap, Math.max(b.start, from), Math.min(b.end, to), true);
    for (const b of page.crossing) if (from < b.nextEnd) setBits(u8, page.bitmap, from, Math.min(b.nextEnd, to), true);
  }
  /** Its second page lies elsewhere now: a block that crosses is no longer the code at its address. */
  drop(b: Block): void {
    const page = this.#pages.get(b.page);
    if (page === undefined) return;
    page.blocks.delete(keyOf(b.start, b.codeSize));
    this.#kill(b);
    this.#forgetCrossing(b, page);
  }
  /** Every record breaks out to the decoder; nobody links here any more. */
  #kill(b: Block): void {
    b.dead = true;
    this.#stops.forget(b.rec, b.records);
    this.#byRecord.delete(b.rec);
    this.#break(b.rec, b.records);
    if (b === this.copied) this.#break(SCRATCH_FIRST, SCRATCH_RECORDS);
    const { i32 } = this.#views;
    for (const source of b.incoming) if (i32[(source + REC.link) >> 2] === b.rec) i32[(source + REC.link) >> 2] = 0;
    this.#insns.retire(b.insns);
    if (b.regions.length > 0) this.onKill(b);
  }
  #break(first: number, records: number): void {
    const { u16 } = this.#views;
    for (let i = 0; i < records; i++) u16[(first + i * REC_BYTES + REC.handler) >> 1] = H_BREAK;
  }

  // ---- the memory map
  /**
   * Other memory lies at [gpa, gpa+bytes) from now on, or none. Code elsewhere stays: chips move their windows (BIOS shadow, PCI BARs) often.
   */
  remapped(gpa: number, bytes: number): void {
    this.flushes++;
    const first = Math.floor(gpa / 4096);
    const end = Math.ceil((gpa + bytes) / 4096);
    for (const page of this.#pages.values()) if (page.number >= first && page.number < end) this.#invalidate(page, 0, 4096);
    for (const tlbs of this.#tlbs) tlbs.flushAll(true);
  }
  /** Forgets all decoded code. */
  flush(): void {
    this.flushes++;
    this.#stops.mend();
    this.onFlush();
    for (const b of this.#byRecord.values()) b.dead = true;
    this.#pages.clear();
    this.#physical.forgetCode();
    this.#byRecord.clear();
    this.#nextRecord = 0;
    this.#nextBitmap = 0;
    this.#insns.clear();
    for (const tlbs of this.#tlbs) tlbs.flushAll(true);
  }
}
