import { putBe64, viewOf } from "../be.ts";
import type { ByteFile } from "../byte-file.ts";
import type { Qcow2Header } from "./header.ts";
import type { Refcounts } from "./refcounts.ts";
import { TableCache } from "./tables.ts";
import type { Table } from "./tables.ts";

/** Enough for 256 GB of disk at 64 KB clusters with every table in use; small clusters get the same number of bytes. */
const L2_CACHE_BYTES = 4 * 1024 * 1024;
/** Clusters that wait to be released before a commit is forced: bounds memory when a guest discards a large disk. */
const MAX_RELEASES = 16384;

/**
 * The metadata of an open image and the order in which it reaches the medium:
 * data and counts → L2 tables → L1 entries → counts of what nobody points to any more. A crash between any two writes leaves an image
 * that is consistent, at worst with clusters counted that nobody uses.
 */
export class Qcow2Store {
  readonly file: ByteFile;
  header: Qcow2Header;
  readonly clusterBytes: number;
  /** Entries in an L2 table. */
  readonly l2Entries: number;
  /** Undefined when the image is open for reading only. */
  readonly refcounts: Refcounts | undefined;
  /** Something contradicts itself: the image can be read where it makes sense, and is not written any more. */
  corrupt = false;
  readonly #l2: TableCache;
  #l1: DataView;
  readonly #dirtyL1 = new Set<number>();
  #releases: number[] = [];

  constructor(file: ByteFile, header: Qcow2Header, l1: Uint8Array, refcounts: Refcounts | undefined) {
    this.file = file;
    this.header = header;
    this.clusterBytes = 2 ** header.clusterBits;
    this.l2Entries = this.clusterBytes / (header.extendedL2 ? 16 : 8);
    this.refcounts = refcounts;
    this.#l1 = viewOf(l1);
    this.#l2 = new TableCache(file, this.clusterBytes, L2_CACHE_BYTES, () => this.commit());
    if (refcounts === undefined) return;
    refcounts.protect(header.l1Offset, Math.ceil((header.l1Entries * 8) / this.clusterBytes));
    if (header.snapshotCount > 0) refcounts.protect(header.snapshotsOffset, 1);
    for (let i = 0; i < header.l1Entries; i++) {
      const offset = this.#l1Target(i);
      if (offset !== undefined && offset !== 0) refcounts.protect(offset, 1);
    }
  }

  /** Host offset of L2 table `index`, 0 when there is none, undefined when the entry is nonsense. */
  #l1Target(index: number): number | undefined {
    const hi = this.#l1.getUint32(index * 8) & 0x00ffffff;
    const offset = hi * 2 ** 32 + ((this.#l1.getUint32(index * 8 + 4) & 0xfffffe00) >>> 0);
    return hi >= 0x200000 || offset % this.clusterBytes !== 0 ? undefined : offset;
  }

  /** The L2 table for reading: undefined when an error stands in the way, "none" when nothing is allocated there. */
  readTable(l1Index: number): Table | "none" | undefined {
    if (l1Index >= this.header.l1Entries) return "none";
    const offset = this.#l1Target(l1Index);
    if (offset === 0) return "none";
    const table = offset === undefined ? undefined : this.#l2.get(offset);
    if (table === undefined && (offset === undefined || offset >= this.file.size)) this.corrupt = true;
    return table;
  }

  /** The L2 table for writing: made when there is none, copied when a snapshot shares it. Undefined on an error. */
  writeTable(l1Index: number): Table | undefined {
    const { refcounts } = this;
    if (refcounts === undefined || l1Index >= this.header.l1Entries) return undefined;
    const old = this.readTable(l1Index);
    if (old === undefined) return undefined;
    const mine = this.#l1.getUint32(l1Index * 8) >>> 31 === 1;
    if (old !== "none" && mine) return old;
    const content = old === "none" ? undefined : old.bytes.slice();
    const offset = this.allocate(1);
    if (offset === undefined) return undefined;
    const table = this.#l2.create(offset.offset, content);
    if (table === undefined) return undefined;
    refcounts.protect(table.offset, 1);
    this.#l1.setUint32(l1Index * 8, (Math.floor(table.offset / 2 ** 32) | 0x80000000) >>> 0);
    this.#l1.setUint32(l1Index * 8 + 4, table.offset >>> 0);
    this.#dirtyL1.add(l1Index);
    if (old !== "none") this.release(old.offset, 1);
    return table;
  }

  /** The table was changed; its data must be in the file already. */
  touch(table: Table): void {
    this.#l2.touch(table);
  }

  /** Up to `n` neighbouring clusters. */
  allocate(n: number): { readonly offset: number; readonly clusters: number } | undefined {
    const got = this.refcounts?.allocateUpTo(n);
    if (this.refcounts?.corrupt === true) this.corrupt = true;
    return got;
  }

  /** Clusters that lose a user once what pointed there is off the medium. */
  release(offset: number, clusters: number): void {
    const first = Math.floor(offset / this.clusterBytes);
    for (let i = 0; i < clusters; i++) this.#releases.push(first + i);
  }

  /** Commits when too much waits to be released. */
  relieve(): boolean {
    return this.#releases.length < MAX_RELEASES || this.commit();
  }

  /** A fresh cluster of ours was not used after all. */
  giveBack(offset: number, clusters: number): void {
    for (let i = 0; i < clusters; i++) this.refcounts?.set(offset / this.clusterBytes + i, 0);
  }

  /** Puts another L1 table in place of the present one (resize); the caller has written it and changed the header on the medium. */
  replaceL1(header: Qcow2Header, l1: Uint8Array): void {
    this.header = header;
    this.#l1 = viewOf(l1);
  }
  /** A copy of the L1 table, `entries` long. */
  copyL1(entries: number): Uint8Array {
    const out = new Uint8Array(entries * 8);
    out.set(new Uint8Array(this.#l1.buffer, this.#l1.byteOffset, Math.min(out.length, this.#l1.byteLength)));
    return out;
  }

  /** Something is newer in memory than on the medium. */
  get hasDirty(): boolean {
    return this.#l2.hasDirty || this.#dirtyL1.size > 0 || this.#releases.length > 0 || this.refcounts?.hasDirty === true;
  }

  /** Everything becomes durable, in order. False on a host error: then what is not written stays in memory and is tried again. */
  commit(): boolean {
    const { refcounts, file } = this;
    if (refcounts === undefined) return file.flush();
    if (this.corrupt) return false;
    if (refcounts.hasDirty) {
      const moved = refcounts.writeBack();
      if (moved === undefined) return false;
      for (const place of moved) this.release(place.offset, place.clusters);
    }
    if (this.#l2.hasDirty || this.#dirtyL1.size > 0) {
      if (!file.flush() || !this.#l2.writeBack()) return false;
      if (this.#dirtyL1.size > 0 && (!file.flush() || !this.#writeL1())) return false;
    }
    if (!file.flush()) return false;
    if (this.#releases.length === 0) return true;
    const releases = this.#releases;
    this.#releases = [];
    for (const cluster of releases) {
      refcounts.unprotect(cluster * this.clusterBytes, 1);
      if (!refcounts.adjust(cluster, -1)) this.corrupt = true;
    }
    return !this.corrupt;
  }

  #writeL1(): boolean {
    const word = new Uint8Array(8);
    for (const index of this.#dirtyL1) {
      viewOf(word).setUint32(0, this.#l1.getUint32(index * 8));
      viewOf(word).setUint32(4, this.#l1.getUint32(index * 8 + 4));
      if (!this.file.write(this.header.l1Offset + index * 8, word)) return false;
    }
    this.#dirtyL1.clear();
    return true;
  }

  /** Commits until nothing is left: releases change counts, which want writing themselves. */
  settle(): boolean {
    for (let round = 0; round < 8; round++) {
      if (!this.commit()) return false;
      if (this.#releases.length === 0 && this.refcounts?.hasDirty !== true) return true;
    }
    return true;
  }

  /** Patches bytes of the header and makes them durable. */
  patchHeader(at: number, bytes: Uint8Array): boolean {
    return this.file.write(at, bytes) && this.file.flush();
  }
  /** Writes one 64-bit header field. */
  patchHeader64(at: number, value: number): boolean {
    const word = new Uint8Array(8);
    putBe64(viewOf(word), 0, value);
    return this.patchHeader(at, word);
  }
}
