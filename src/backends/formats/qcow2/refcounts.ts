import { be64, putBe64, viewOf } from "../be.ts";
import type { ByteFile } from "../byte-file.ts";
import type { Qcow2Header } from "./header.ts";
import { TableCache } from "./tables.ts";
import type { Table } from "./tables.ts";

const CACHE_BYTES = 1024 * 1024;
/** Clusters looked at in one search: a damaged image must not hang its user. */
const MAX_SEARCH = 2 ** 28;
const MAX_TABLE_BYTES = 8 * 1024 * 1024;

/**
 * Which clusters of the file are in use, and how often. Raising a count early only leaks after a crash, so blocks may be written at any time;
 * lowering one must wait until nothing on the medium points there any more, which is the caller's order to keep (`release` after its commit).
 */
export class Refcounts {
  readonly #file: ByteFile;
  readonly #clusterBytes: number;
  readonly #bits: number;
  readonly #perBlock: number;
  readonly #cache: TableCache;
  /** Offsets of the blocks. */
  #table: Float64Array;
  #tableOffset: number;
  readonly #dirtyEntries = new Set<number>();
  /** Where the table was on the medium, when it has moved since the last write-back; and other places it had in between. */
  #oldTables: { readonly offset: number; readonly clusters: number }[] = [];
  /** Below this cluster everything is in use. */
  #hint = 1;
  /** Clusters that hold metadata: never handed out, never written as guest data. */
  readonly #metadata = new Set<number>();
  /** The largest count that an entry can hold. */
  readonly maxCount: number;
  /** Contradictions were found: nothing may be written any more. */
  corrupt = false;

  private constructor(file: ByteFile, header: Qcow2Header, table: Float64Array) {
    this.#file = file;
    this.#clusterBytes = 2 ** header.clusterBits;
    this.#bits = 2 ** header.refcountOrder;
    this.#perBlock = (this.#clusterBytes * 8) / this.#bits;
    this.maxCount = this.#bits >= 32 ? 2 ** 32 - 1 : 2 ** this.#bits - 1;
    this.#table = table;
    this.#tableOffset = header.refcountTableOffset;
    this.#cache = new TableCache(file, this.#clusterBytes, CACHE_BYTES, () => this.#cache.writeBack());
    this.protect(0, 1);
    this.protect(header.refcountTableOffset, header.refcountTableClusters);
    for (const offset of table) {
      if (offset === 0) continue;
      if (this.isMetadata(offset)) this.corrupt = true;
      this.protect(offset, 1);
    }
  }

  /** Reads the table. Undefined on a host error, "bad" when an entry points nowhere. */
  static open(file: ByteFile, header: Qcow2Header): Refcounts | "bad" | undefined {
    const clusterBytes = 2 ** header.clusterBits;
    const bytes = new Uint8Array(header.refcountTableClusters * clusterBytes);
    if (!file.read(header.refcountTableOffset, bytes)) return undefined;
    const view = viewOf(bytes);
    const table = new Float64Array(bytes.length / 8);
    for (let i = 0; i < table.length; i++) {
      const offset = be64(view, i * 8);
      if (offset % clusterBytes !== 0 || offset >= file.size) return "bad";
      table[i] = offset;
    }
    const counts = new Refcounts(file, header, table);
    return counts.corrupt ? "bad" : counts;
  }

  /** Marks clusters as metadata. */
  protect(offset: number, clusters: number): void {
    const first = offset / this.#clusterBytes;
    for (let i = 0; i < clusters; i++) this.#metadata.add(first + i);
  }
  unprotect(offset: number, clusters: number): void {
    const first = offset / this.#clusterBytes;
    for (let i = 0; i < clusters; i++) this.#metadata.delete(first + i);
  }
  /** True when the cluster at `offset` holds metadata, whatever the counts say. */
  isMetadata(offset: number): boolean {
    return this.#metadata.has(offset / this.#clusterBytes);
  }
  get perBlock(): number {
    return this.#perBlock;
  }

  /** The count of a cluster; undefined on a host error. */
  get(cluster: number): number | undefined {
    const block = this.#table[Math.floor(cluster / this.#perBlock)] ?? 0;
    if (block === 0) return 0;
    const table = this.#cache.get(block);
    return table === undefined ? undefined : this.#load(table, cluster % this.#perBlock);
  }

  #load(table: Table, index: number): number {
    const { view, bytes } = table;
    switch (this.#bits) {
      case 8:
        return view.getUint8(index);
      case 16:
        return view.getUint16(index * 2);
      case 32:
        return view.getUint32(index * 4);
      case 64:
        return Math.min(be64(view, index * 8), Number.MAX_SAFE_INTEGER);
      default: {
        const bit = index * this.#bits;
        return ((bytes[bit >> 3] ?? 0) >> (bit & 7)) & ((1 << this.#bits) - 1);
      }
    }
  }

  #store(table: Table, index: number, count: number): void {
    const { view, bytes } = table;
    switch (this.#bits) {
      case 8:
        view.setUint8(index, count);
        break;
      case 16:
        view.setUint16(index * 2, count);
        break;
      case 32:
        view.setUint32(index * 4, count);
        break;
      case 64:
        putBe64(view, index * 8, count);
        break;
      default: {
        const bit = index * this.#bits;
        const mask = ((1 << this.#bits) - 1) << (bit & 7);
        bytes[bit >> 3] = ((bytes[bit >> 3] ?? 0) & ~mask) | (count << (bit & 7));
      }
    }
    this.#cache.touch(table);
  }

  /** Sets a count; makes the block it lies in when there is none. False on an error. */
  set(cluster: number, count: number): boolean {
    const index = Math.floor(cluster / this.#perBlock);
    if (count > this.maxCount) return false;
    while ((this.#table[index] ?? 0) === 0) if (this.#ensureBlock(index) === undefined) return false;
    const table = this.#cache.get(this.#table[index] ?? 0);
    if (table === undefined) return false;
    this.#store(table, cluster % this.#perBlock, count);
    if (count === 0 && cluster < this.#hint) this.#hint = cluster;
    return true;
  }

  /** Adds 1 or -1. False on an error or a count that cannot be. */
  adjust(cluster: number, by: 1 | -1): boolean {
    const count = this.get(cluster);
    if (count === undefined) return false;
    if (count + by < 0) {
      this.corrupt = true;
      return false;
    }
    return this.set(cluster, count + by);
  }

  /** Exactly `n` neighbouring free clusters, now counted once; the offset of the first, or undefined. */
  allocate(n: number): number | undefined {
    const found = this.allocateUpTo(n, n);
    return found?.offset;
  }

  /** The first run of free clusters of at least `least` clusters, at most `most` of it. */
  allocateUpTo(most: number, least = 1): { readonly offset: number; readonly clusters: number } | undefined {
    for (;;) {
      const start = this.#findFree(least);
      if (start === undefined) return undefined;
      let clusters = least;
      while (clusters < most && this.get(start + clusters) === 0) clusters++;
      const blocks = this.#ensureBlocks(start, clusters);
      if (blocks === undefined) return undefined;
      if (blocks === "made") continue; // a new block may have taken one of them
      for (let i = 0; i < clusters; i++) {
        if (this.#metadata.has(start + i)) {
          // Counted free, yet part of a table: the counts are wrong, and writing would destroy the image.
          this.corrupt = true;
          return undefined;
        }
      }
      for (let i = 0; i < clusters; i++) if (!this.set(start + i, 1)) return undefined;
      if (start === this.#hint) this.#hint = start + clusters;
      return { offset: start * this.#clusterBytes, clusters };
    }
  }

  #findFree(n: number): number | undefined {
    let run = 0;
    let at = this.#hint;
    let onlyUsed = true;
    for (let steps = 0; run < n; steps++) {
      const count = this.get(at);
      if (count === undefined || steps > MAX_SEARCH) return undefined;
      if (count === 0) {
        run++;
        onlyUsed = false;
      } else {
        run = 0;
        if (onlyUsed) this.#hint = at + 1;
      }
      at++;
    }
    return at - n;
  }

  #ensureBlocks(start: number, clusters: number): "there" | "made" | undefined {
    let made = false;
    const last = Math.floor((start + clusters - 1) / this.#perBlock);
    for (let index = Math.floor(start / this.#perBlock); index <= last; index++) {
      const result = this.#ensureBlock(index);
      if (result === undefined) return undefined;
      made ||= result === "made";
    }
    return made ? "made" : "there";
  }

  /** The block for a range of clusters: there, newly made, or impossible. A new block lies in the range that it describes. */
  #ensureBlock(index: number): "there" | "made" | undefined {
    if (index < this.#table.length && this.#table[index] !== 0) return "there";
    if (index >= this.#table.length) return this.#grow(index + 1) ? "made" : undefined;
    const cluster = index * this.#perBlock;
    if (this.#metadata.has(cluster)) {
      this.corrupt = true;
      return undefined;
    }
    const offset = cluster * this.#clusterBytes;
    const table = this.#cache.create(offset);
    if (table === undefined) return undefined;
    this.#table[index] = offset;
    this.#dirtyEntries.add(index);
    this.#store(table, 0, 1);
    this.protect(offset, 1);
    return "made";
  }

  /** A longer table, elsewhere: the old place is given back after the header points to the new one. */
  #grow(entries: number): boolean {
    const perCluster = this.#clusterBytes / 8;
    const wanted = Math.max(entries, Math.ceil(this.#table.length * 1.5));
    const clusters = Math.ceil(wanted / perCluster) + 1;
    if (clusters * this.#clusterBytes > MAX_TABLE_BYTES) return false;
    const larger = new Float64Array(clusters * perCluster);
    larger.set(this.#table);
    const old = { offset: this.#tableOffset, clusters: this.#table.length / perCluster };
    this.#table = larger;
    const offset = this.allocate(clusters);
    if (offset === undefined) return false;
    this.#oldTables.push(old);
    this.#tableOffset = offset;
    this.protect(offset, clusters);
    return true;
  }

  get hasDirty(): boolean {
    return this.#cache.hasDirty || this.#dirtyEntries.size > 0 || this.#oldTables.length > 0;
  }

  /**
   * Writes blocks, then the table, each behind what it points to. The caller flushes the file before it writes anything that relies on it.
   * Answers the places where the table was, to be released by the caller; undefined on an error.
   */
  writeBack(): readonly { readonly offset: number; readonly clusters: number }[] | undefined {
    if (!this.#cache.writeBack()) return undefined;
    if (this.#oldTables.length > 0) return this.#writeMovedTable();
    if (this.#dirtyEntries.size === 0) return [];
    if (!this.#file.flush()) return undefined;
    const word = new Uint8Array(8);
    for (const index of this.#dirtyEntries) {
      putBe64(viewOf(word), 0, this.#table[index] ?? 0);
      if (!this.#file.write(this.#tableOffset + index * 8, word)) return undefined;
    }
    this.#dirtyEntries.clear();
    return [];
  }

  #writeMovedTable(): readonly { readonly offset: number; readonly clusters: number }[] | undefined {
    const bytes = new Uint8Array(this.#table.length * 8);
    const view = viewOf(bytes);
    for (let i = 0; i < this.#table.length; i++) putBe64(view, i * 8, this.#table[i] ?? 0);
    const pointer = new Uint8Array(12);
    putBe64(viewOf(pointer), 0, this.#tableOffset);
    viewOf(pointer).setUint32(8, bytes.length / this.#clusterBytes);
    // Header bytes 48..59: offset and length of the table, in one sector.
    const ok = this.#file.write(this.#tableOffset, bytes) && this.#file.flush() && this.#file.write(48, pointer) && this.#file.flush();
    if (!ok) return undefined;
    const old = this.#oldTables;
    this.#oldTables = [];
    this.#dirtyEntries.clear();
    for (const place of old) this.unprotect(place.offset, place.clusters);
    return old;
  }
}
