import type { Codec } from "../codec.ts";
import type { CheckResult, DiskImage, Extent, ImageFacts } from "../disk-image.ts";
import { dropBitmaps } from "./bitmaps.ts";
import { checkImage, repairCounts } from "./check.ts";
import { CompressedClusters } from "./compressed.ts";
import { compressedEnd, decodeEntry, encodePlain, L2Entry } from "./entry.ts";
import { resizeImage } from "./resize.ts";
import { imageFacts } from "./snapshots.ts";
import type { Qcow2Store } from "./store.ts";
import type { Table } from "./tables.ts";

/** How a stretch of the disk is stored. */
type RunKind = "data" | "zero" | "backing" | "compressed" | "bad";

/** Above this a write is split: bounds what one request allocates at a time. */
const MAX_RUN_BYTES = 64 * 1024 * 1024;

/**
 * An opened qcow2 image. Reads follow the two tables, then the backing file; writes go in place where the cluster belongs to the active disk
 * alone, else to a new cluster. Data is in the file before the table entry that points to it changes, even in memory; `flush` orders the rest.
 */
export class Qcow2Image implements DiskImage {
  readonly format = "qcow2";
  readonly name: string;
  readonly sectorBytes: 512 | 2048;
  readonly readOnly: boolean;
  readonly #store: Qcow2Store;
  readonly #backing: DiskImage | undefined;
  readonly #compressed: CompressedClusters;
  readonly #clusterBytes: number;
  /** Unit of allocation: a cluster, or a 32nd of it with extended L2 entries. */
  readonly #unitBytes: number;
  readonly #allUnits: number;
  readonly #entry = new L2Entry();
  #runKind: RunKind = "bad";
  #runHost = 0;
  #runBytes = 0;
  #runCopied = false;
  #prepared = false;
  #closed = false;

  /** Owns the store's file and `backing`. Use `openImageFile`. */
  constructor(store: Qcow2Store, backing: DiskImage | undefined, codec: Codec, sectorBytes: 512 | 2048) {
    this.#store = store;
    this.#backing = backing;
    this.name = store.file.name;
    this.sectorBytes = sectorBytes;
    this.readOnly = store.refcounts === undefined;
    this.#clusterBytes = store.clusterBytes;
    this.#unitBytes = store.header.extendedL2 ? store.clusterBytes / 32 : store.clusterBytes;
    this.#allUnits = store.header.extendedL2 ? 0xffffffff : 1;
    this.#compressed = new CompressedClusters(store, codec);
  }

  get sizeBytes(): number {
    return Math.ceil(this.#store.header.sizeBytes / this.sectorBytes) * this.sectorBytes;
  }

  read(offset: number, into: Uint8Array): boolean {
    if (this.#closed || offset < 0 || offset + into.length > this.sizeBytes) return false;
    return this.#read(offset, into);
  }

  #read(offset: number, into: Uint8Array): boolean {
    let done = 0;
    while (done < into.length) {
      this.#locate(offset + done, into.length - done);
      const part = into.subarray(done, done + this.#runBytes);
      switch (this.#runKind) {
        case "data":
          if (!this.#store.file.read(this.#runHost, part)) return false;
          break;
        case "zero":
          part.fill(0);
          break;
        case "backing":
          if (!this.#readBacking(offset + done, part)) return false;
          break;
        case "compressed": {
          const cluster = this.#compressed.read(this.#entry);
          if (cluster === undefined) return false;
          const from = (offset + done) % this.#clusterBytes;
          part.set(cluster.subarray(from, from + part.length));
          break;
        }
        case "bad":
          return false;
      }
      done += part.length;
    }
    return true;
  }

  #readBacking(offset: number, into: Uint8Array): boolean {
    const have = Math.max(0, Math.min(into.length, this.#backingBytes - offset));
    if (have > 0 && this.#backing?.read(offset, into.subarray(0, have)) !== true) return false;
    into.fill(0, have);
    return true;
  }
  get #backingBytes(): number {
    return this.#backing?.sizeBytes ?? 0;
  }

  /** Finds how the disk is stored at `offset`, and for how many of `most` bytes it goes on like that (in one piece of the file). */
  #locate(offset: number, most: number): void {
    const cluster = Math.floor(offset / this.#clusterBytes);
    const perTable = this.#store.l2Entries;
    const l1Index = Math.floor(cluster / perTable);
    const table = this.#store.readTable(l1Index);
    this.#runBytes = 0;
    if (table === undefined || table === "none") {
      this.#runKind = table === undefined ? "bad" : "backing";
      this.#runBytes = Math.min(most, (l1Index + 1) * perTable * this.#clusterBytes - offset);
      return;
    }
    for (let index = cluster % perTable; index < perTable && this.#runBytes < most; index++) {
      if (!this.#extendRun(table, index, offset, most)) return;
    }
  }

  /** Adds what entry `index` describes to the run; false when it is of another kind. */
  #extendRun(table: Table, index: number, offset: number, most: number): boolean {
    const e = this.#entry;
    const cb = this.#clusterBytes;
    const first = this.#runBytes === 0;
    const inCluster = (offset + this.#runBytes) % cb;
    if (!first && this.#runKind === "compressed") return false;
    decodeEntry(this.#store.header, table.view, index, e);
    if (e.kind !== "plain") {
      if (first) {
        this.#runKind = e.kind;
        this.#runBytes = Math.min(most, cb - inCluster);
      }
      return false;
    }
    if (first) this.#runCopied = e.copied;
    for (let at = inCluster; at < cb && this.#runBytes < most; ) {
      const unit = 1 << Math.floor(at / this.#unitBytes);
      const kind = (e.allocated & unit) !== 0 ? "data" : (e.zero & unit) !== 0 ? "zero" : "backing";
      if (this.#runBytes === 0) {
        this.#runKind = kind;
        this.#runHost = e.host + at;
      } else if (kind !== this.#runKind) return false;
      else if (kind === "data" && (e.host + at !== this.#runHost + this.#runBytes || e.copied !== this.#runCopied)) return false;
      const step = Math.min(this.#unitBytes - (at % this.#unitBytes), most - this.#runBytes);
      this.#runBytes += step;
      at += step;
    }
    return true;
  }

  extent(offset: number, most: number): Extent {
    this.#locate(offset, most);
    const bytes = this.#runBytes;
    if (this.#runKind === "zero") return { bytes, zero: true };
    if (this.#runKind !== "backing") return { bytes, zero: false };
    const inBacking = this.#backingBytes - offset;
    if (this.#backing === undefined || inBacking <= 0) return { bytes, zero: true };
    return this.#backing.extent(offset, Math.min(bytes, inBacking));
  }

  write(offset: number, from: Uint8Array): boolean {
    if (!this.#mayWrite(offset, from.length)) return false;
    let done = 0;
    while (done < from.length) {
      const n = this.#writeSome(offset + done, from.subarray(done, done + MAX_RUN_BYTES));
      if (n <= 0) return false;
      done += n;
    }
    return true;
  }

  #mayWrite(offset: number, length: number): boolean {
    if (this.#closed || this.readOnly || this.#store.corrupt || offset < 0 || offset + length > this.sizeBytes) return false;
    if (!this.#prepared) {
      // Other programs' notes about the content (dirty bitmaps) are not kept up to date by this one: they go before the first change.
      if (!dropBitmaps(this.#store)) return false;
      this.#prepared = true;
    }
    return this.#store.relieve();
  }

  /** Writes a first part of `data`; how many bytes, 0 on an error. */
  #writeSome(offset: number, data: Uint8Array): number {
    this.#locate(offset, data.length);
    if (this.#runKind === "bad") return 0;
    if (this.#runKind === "data" && this.#runCopied) return this.#writeInPlace(data.subarray(0, this.#runBytes));
    const inCluster = offset % this.#clusterBytes;
    if (inCluster === 0 && data.length >= this.#clusterBytes) return this.#writeWhole(offset, data);
    const part = data.subarray(0, Math.min(data.length, this.#clusterBytes - inCluster));
    return this.#writePart(offset, part) ? part.length : 0;
  }

  #writeInPlace(data: Uint8Array): number {
    const { refcounts, file } = this.#store;
    const cb = this.#clusterBytes;
    for (let at = Math.floor(this.#runHost / cb) * cb; at < this.#runHost + data.length; at += cb) {
      if (refcounts?.isMetadata(at) === true) {
        this.#store.corrupt = true; // guest data laid over a table: a damaged image
        return 0;
      }
    }
    return file.write(this.#runHost, data) ? data.length : 0;
  }

  /** Whole clusters to new places, as many as lie together in the table and in the file. */
  #writeWhole(offset: number, data: Uint8Array): number {
    const store = this.#store;
    const cb = this.#clusterBytes;
    const cluster = offset / cb;
    const table = store.writeTable(Math.floor(cluster / store.l2Entries));
    if (table === undefined) return 0;
    const index = cluster % store.l2Entries;
    const e = this.#entry;
    let wanted = 0;
    const most = Math.min(Math.floor(data.length / cb), store.l2Entries - index);
    while (wanted < most) {
      decodeEntry(store.header, table.view, index + wanted, e);
      if (e.kind === "bad" || (wanted > 0 && e.copied && e.allocated !== 0)) break;
      wanted++;
    }
    const got = wanted === 0 ? undefined : store.allocate(wanted);
    if (got === undefined) return 0;
    const bytes = got.clusters * cb;
    if (!store.file.write(got.offset, data.subarray(0, bytes))) {
      store.giveBack(got.offset, got.clusters);
      return 0;
    }
    for (let i = 0; i < got.clusters; i++) {
      decodeEntry(store.header, table.view, index + i, e);
      this.#releaseEntry();
      encodePlain(store.header, table.view, index + i, got.offset + i * cb, this.#allUnits, 0);
    }
    store.touch(table);
    return bytes;
  }

  /** A part of one cluster: its units are filled up with what they held, in place or in a new cluster. */
  #writePart(offset: number, data: Uint8Array): boolean {
    const store = this.#store;
    const cb = this.#clusterBytes;
    const cluster = Math.floor(offset / cb);
    const base = cluster * cb;
    const table = store.writeTable(Math.floor(cluster / store.l2Entries));
    if (table === undefined) return false;
    const index = cluster % store.l2Entries;
    const e = new L2Entry();
    decodeEntry(store.header, table.view, index, e);
    if (e.kind === "bad") return false;
    const reuse = e.kind === "plain" && e.copied && e.host !== 0;
    // A shared or compressed cluster moves whole: its old place is given up.
    const moveAll = !reuse && (e.kind === "compressed" || e.allocated !== 0);
    const start = moveAll ? 0 : Math.floor((offset - base) / this.#unitBytes) * this.#unitBytes;
    const end = moveAll ? cb : Math.ceil((offset - base + data.length) / this.#unitBytes) * this.#unitBytes;
    const host = reuse ? e.host : store.allocate(1)?.offset;
    if (host === undefined) return false;
    if (reuse && store.refcounts?.isMetadata(host) === true) {
      store.corrupt = true;
      return false;
    }
    const undo = (): false => {
      if (!reuse) store.giveBack(host, 1);
      return false;
    };
    const fresh = !reuse && host >= store.file.size;
    if (store.file.size < host + cb && !store.file.resize(host + cb)) return undo();
    if (fresh && !moveAll && this.#readsZero(base + start, end - start)) {
      if (!store.file.write(host + offset - base, data)) return undo();
    } else {
      const whole = new Uint8Array(end - start);
      if (data.length < whole.length && !this.#read(base + start, whole)) return undo();
      whole.set(data, offset - base - start);
      if (!store.file.write(host + start, whole)) return undo();
    }
    const units = this.#mask(start, end);
    const kept = e.kind === "plain" && !moveAll ? e : undefined;
    if (!reuse) this.#release(e);
    encodePlain(store.header, table.view, index, host, ((reuse ? e.allocated : 0) | units) >>> 0, ((kept?.zero ?? 0) & ~units) >>> 0);
    store.touch(table);
    return true;
  }

  /** One bit for each unit in [start, end) of a cluster. */
  #mask(start: number, end: number): number {
    let mask = 0;
    for (let at = start; at < end; at += this.#unitBytes) mask |= 1 << (at / this.#unitBytes);
    return mask >>> 0;
  }

  #readsZero(offset: number, length: number): boolean {
    this.#locate(offset, length);
    return this.#runBytes === length && (this.#runKind === "zero" || (this.#runKind === "backing" && offset >= this.#backingBytes));
  }

  /** The cluster that `#entry` describes loses this user. */
  #releaseEntry(): void {
    this.#release(this.#entry);
  }
  #release(e: L2Entry): void {
    const cb = this.#clusterBytes;
    if (e.kind === "compressed") {
      const first = Math.floor(e.host / cb);
      this.#store.release(first * cb, Math.floor((compressedEnd(e) - 1) / cb) - first + 1);
      this.#compressed.forget();
    } else if (e.host !== 0) {
      this.#store.release(e.host, 1);
    }
  }

  discard(offset: number, length: number): boolean {
    return this.#clear(offset, length, false);
  }
  writeZeroes(offset: number, length: number): boolean {
    return this.#clear(offset, length, true);
  }

  /** `mustBeZero`: parts of clusters are cleared, too, and clusters over a backing file really read as zeros. */
  #clear(offset: number, length: number, mustBeZero: boolean): boolean {
    if (!this.#mayWrite(offset, length)) return false;
    const cb = this.#clusterBytes;
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const cluster = Math.floor(at / cb);
      const clusterEnd = Math.min((cluster + 1) * cb, this.sizeBytes);
      const n = Math.min(end, clusterEnd) - at;
      this.#locate(at, n);
      if (this.#runKind === "bad") return false;
      if (this.#runKind === "zero" || (this.#runKind === "backing" && at >= this.#backingBytes)) {
        this.#locate(at, end - at);
        at += this.#runBytes; // zeros already
        continue;
      }
      const whole = at === cluster * cb && at + n === clusterEnd;
      if (whole && this.#clearCluster(cluster)) {
        at += n;
        if (!this.#store.relieve()) return false;
        continue;
      }
      if (this.#store.corrupt || (mustBeZero && !this.write(at, new Uint8Array(n)))) return false;
      at += n;
    }
    return true;
  }

  /** Makes a cluster read as zeros without storing any. False when this image has no way to say so. */
  #clearCluster(cluster: number): boolean {
    const store = this.#store;
    const overBacking = cluster * this.#clusterBytes < this.#backingBytes;
    if (overBacking && store.header.version < 3) return false;
    const table = store.writeTable(Math.floor(cluster / store.l2Entries));
    if (table === undefined) return false;
    const index = cluster % store.l2Entries;
    decodeEntry(store.header, table.view, index, this.#entry);
    if (this.#entry.kind === "bad") return false;
    this.#releaseEntry();
    encodePlain(store.header, table.view, index, 0, 0, overBacking ? this.#allUnits : 0);
    store.touch(table);
    return true;
  }

  writeCompressed(offset: number, data: Uint8Array): boolean {
    const cb = this.#clusterBytes;
    if (offset % cb !== 0 || data.length > cb || !this.#mayWrite(offset, data.length)) return false;
    let whole = data;
    if (data.length < cb) {
      whole = new Uint8Array(cb);
      whole.set(data);
    }
    const packed = this.#compressed.pack(whole);
    if (packed === undefined) return this.write(offset, data);
    const store = this.#store;
    const cluster = offset / cb;
    const table = store.writeTable(Math.floor(cluster / store.l2Entries));
    if (table === undefined) return false;
    const index = cluster % store.l2Entries;
    decodeEntry(store.header, table.view, index, this.#entry);
    if (this.#entry.kind === "bad") return false;
    if (!this.#compressed.store(packed, table, index)) return false;
    this.#releaseEntry();
    store.touch(table);
    return true;
  }

  /** Nothing is left to be written by `close` afterwards. */
  flush(): boolean {
    if (this.#closed) return false;
    return this.readOnly || this.#store.settle();
  }
  commitTables(): "closed" | "clean" | "failed" {
    if (this.#closed) return "closed";
    return this.readOnly || !this.#store.hasDirty || this.#store.settle() ? "clean" : "failed";
  }
  identity(): string {
    return [this.#store.file.stamp?.() ?? "", this.#backing?.identity?.() ?? ""].join(" < ");
  }

  close(): void {
    if (this.#closed) return;
    if (!this.readOnly) this.#store.settle();
    this.#closed = true;
    this.#backing?.close();
    this.#store.file.close();
  }

  facts(): ImageFacts {
    return imageFacts(this.#store);
  }
  check(): CheckResult {
    if (!this.readOnly) this.#store.settle();
    return checkImage(this.#store.file, this.#store.header);
  }
  repair(): boolean {
    return !this.readOnly && this.#store.settle() && repairCounts(this.#store) && this.#store.settle();
  }
  resize(sizeBytes: number): void {
    const old = this.sizeBytes;
    resizeImage(this.#store, sizeBytes, {
      clear: (offset, length) => this.writeZeroes(offset, length),
      discard: (offset, length) => this.discard(offset, length),
    });
    // What the backing file holds behind the old end must not come to light.
    const shadow = Math.min(this.sizeBytes, this.#backingBytes) - old;
    if (shadow > 0) this.writeZeroes(old, shadow);
  }
}
