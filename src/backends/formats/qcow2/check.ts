import { be64, viewOf } from "../be.ts";
import type { ByteFile } from "../byte-file.ts";
import type { CheckResult } from "../disk-image.ts";
import { visitBitmaps } from "./bitmaps.ts";
import { compressedEnd, decodeEntry, L2Entry } from "./entry.ts";
import type { Qcow2Header } from "./header.ts";
import { Refcounts } from "./refcounts.ts";
import { readSnapshots } from "./snapshots.ts";
import type { Qcow2Store } from "./store.ts";

const MAX_ERRORS_TOLD = 20;
/** Counted in one array: at 64 KB clusters this is a file of 16 TB. */
const MAX_CLUSTERS = 2 ** 28;

/** How often every cluster is used, found by following all tables. */
class Census {
  readonly counts: Uint32Array;
  readonly errors: string[] = [];
  errorCount = 0;
  allocated = 0;
  readonly #file: ByteFile;
  readonly #header: Qcow2Header;
  readonly #clusterBytes: number;

  constructor(file: ByteFile, header: Qcow2Header) {
    this.#file = file;
    this.#header = header;
    this.#clusterBytes = 2 ** header.clusterBits;
    this.counts = new Uint32Array(Math.min(MAX_CLUSTERS, Math.ceil(file.size / this.#clusterBytes)));
  }

  error(text: string): void {
    this.errorCount++;
    if (this.errors.length < MAX_ERRORS_TOLD) this.errors.push(text);
  }

  use(offset: number, bytes: number, what: string): boolean {
    const first = Math.floor(offset / this.#clusterBytes);
    const last = Math.floor((offset + Math.max(1, bytes) - 1) / this.#clusterBytes);
    if (!(last < this.counts.length)) {
      this.error(`${what} at ${offset} lies outside the file`);
      return false;
    }
    for (let i = first; i <= last; i++) this.counts[i] = (this.counts[i] ?? 0) + 1;
    return true;
  }

  /** Everything but the reference counts' own blocks. */
  run(refcountTable: Float64Array): boolean {
    const h = this.#header;
    this.use(0, 1, "header");
    this.use(h.refcountTableOffset, h.refcountTableClusters * this.#clusterBytes, "refcount table");
    for (const [i, offset] of refcountTable.entries()) {
      if (offset === 0) continue;
      if (offset % this.#clusterBytes === 0) this.use(offset, 1, `refcount block ${i}`);
      else this.error(`refcount block ${i} at ${offset} is not on a cluster boundary`);
    }
    if (!this.#disk(h.l1Offset, h.l1Entries, "active", true)) return false;
    const snapshots = readSnapshots(this.#file, h);
    if (snapshots === undefined) {
      this.error("the snapshot table is damaged");
    } else {
      if (snapshots.bytes > 0) this.use(h.snapshotsOffset, snapshots.bytes, "snapshot table");
      for (const s of snapshots.list) if (!this.#disk(s.l1Offset, s.l1Entries, `snapshot ${s.id}`, false)) return false;
    }
    if ((h.autoclear & 1n) === 1n) {
      if (!visitBitmaps({ file: this.#file, header: h }, (offset, bytes) => bytes > 0 && this.use(offset, bytes, "bitmap")))
        this.error("a bitmap is damaged");
    }
    return true;
  }

  #disk(l1Offset: number, entries: number, whose: string, active: boolean): boolean {
    if (entries === 0) return true;
    if (l1Offset % this.#clusterBytes !== 0 || !this.use(l1Offset, entries * 8, `${whose} L1 table`)) return true;
    const l1 = new Uint8Array(entries * 8);
    if (!this.#file.read(l1Offset, l1)) return false;
    const view = viewOf(l1);
    for (let i = 0; i < entries; i++) {
      const offset = (view.getUint32(i * 8) & 0x00ffffff) * 2 ** 32 + ((view.getUint32(i * 8 + 4) & 0xfffffe00) >>> 0);
      if (offset === 0) continue;
      if (offset % this.#clusterBytes !== 0) this.error(`${whose} L2 table ${i} at ${offset} is not on a cluster boundary`);
      else if (this.use(offset, 1, `${whose} L2 table ${i}`) && !this.#l2(offset, `${whose} L2 table ${i}`, active)) return false;
    }
    return true;
  }

  #l2(tableOffset: number, what: string, active: boolean): boolean {
    const bytes = new Uint8Array(this.#clusterBytes);
    if (!this.#file.read(tableOffset, bytes)) return false;
    const view = viewOf(bytes);
    const e = new L2Entry();
    const entries = this.#clusterBytes / (this.#header.extendedL2 ? 16 : 8);
    for (let i = 0; i < entries; i++) {
      decodeEntry(this.#header, view, i, e);
      if (e.kind === "bad") {
        this.error(`${what}: entry ${i} is damaged`);
      } else if (e.kind === "compressed") {
        this.use(e.host, Math.min(compressedEnd(e), this.counts.length * this.#clusterBytes) - e.host, `${what}: compressed cluster ${i}`);
        if (active) this.allocated++;
      } else if (e.host !== 0) {
        this.use(e.host, 1, `${what}: cluster ${i}`);
        if (active) this.allocated++;
      }
    }
    return true;
  }
}

function readRefcountTable(file: ByteFile, header: Qcow2Header): Float64Array | undefined {
  const bytes = new Uint8Array(header.refcountTableClusters * 2 ** header.clusterBits);
  if (!file.read(header.refcountTableOffset, bytes)) return undefined;
  const view = viewOf(bytes);
  return Float64Array.from({ length: bytes.length / 8 }, (_, i) => be64(view, i * 8));
}

/** Compares reference counts with what the tables use, as they are on the medium. */
export function checkImage(file: ByteFile, header: Qcow2Header): CheckResult {
  const census = new Census(file, header);
  const table = readRefcountTable(file, header);
  let leaks = 0;
  if (table === undefined || !census.run(table)) {
    census.error("the file cannot be read");
  } else {
    const counts = Refcounts.open(file, header);
    if (counts === undefined || counts === "bad") census.error("the refcount table is damaged");
    else {
      for (let i = 0; i < census.counts.length; i++) {
        const used = census.counts[i] ?? 0;
        const said = counts.get(i) ?? -1;
        if (said < used) census.error(`cluster ${i} is used ${used} times but counted ${said}`);
        else if (said > used) leaks++;
      }
    }
  }
  return {
    errors: census.errors,
    errorCount: census.errorCount,
    leakedClusters: leaks,
    allocatedClusters: census.allocated,
    totalClusters: Math.ceil(header.sizeBytes / 2 ** header.clusterBits),
  };
}

/** Sets every count to what the tables use: after a crash with lazy counts, and to win leaked room back. False when that cannot be done. */
export function repairCounts(store: Qcow2Store): boolean {
  const { file, header, refcounts } = store;
  const table = readRefcountTable(file, header);
  const census = new Census(file, header);
  if (refcounts === undefined || table === undefined || !census.run(table)) return false;
  // Counts that are too low first: from here on nothing that is in use can be handed out.
  for (const raise of [true, false]) {
    for (let i = 0; i < census.counts.length; i++) {
      const used = census.counts[i] ?? 0;
      const said = refcounts.get(i);
      if (said === undefined) return false;
      if (raise ? said < used : said > used) if (!refcounts.set(i, used)) return false;
    }
    if (!store.settle()) return false;
  }
  return true;
}
