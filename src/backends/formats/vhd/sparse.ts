import { VmmError } from "../../../base/index.ts";
import { viewOf } from "../be.ts";
import { because } from "../byte-file.ts";
import type { ByteFile } from "../byte-file.ts";
import type { CheckResult, DiskImage, Extent, ImageFacts } from "../disk-image.ts";
import { FOOTER_BYTES, MAX_VHD_BYTES, resizeFooter } from "./footer.ts";
import type { VhdFooter } from "./footer.ts";
import { HEADER_BYTES, moveTable } from "./header.ts";
import type { VhdHeader } from "./header.ts";

const UNUSED = 0xffffffff;
/** Sector bitmaps kept in memory: 512 bytes each for blocks of 2 MB. */
const MAX_BITMAPS = 1024;

interface Bitmap {
  readonly bits: Uint8Array;
  dirty: boolean;
}

/**
 * A dynamic or differencing VHD. A new block goes to the end, where the footer was, and a new footer behind it; the copy of the footer at the
 * start keeps the image readable between. The block table changes on the medium after the block is durable, in `flush`.
 */
export class SparseVhd implements DiskImage {
  readonly format = "vhd";
  readonly name: string;
  readonly sectorBytes: 512 | 2048;
  readonly readOnly: boolean;
  #sizeBytes: number;
  readonly #file: ByteFile;
  readonly #footer: VhdFooter;
  #header: VhdHeader;
  readonly #parent: DiskImage | undefined;
  #footerBytes: Uint8Array;
  #table: DataView;
  readonly #dirtyTable = new Set<number>();
  readonly #bitmaps = new Map<number, Bitmap>();
  readonly #bitmapBytes: number;
  /** Where the next block goes: behind everything in use. */
  #end: number;
  #footerLost: boolean;
  #closed = false;

  constructor(
    file: ByteFile,
    options: {
      readonly footer: VhdFooter;
      readonly footerBytes: Uint8Array;
      readonly header: VhdHeader;
      readonly table: Uint8Array;
      readonly parent: DiskImage | undefined;
      readonly sectorBytes: 512 | 2048;
      /** The footer at the end is missing: it is written again with the first change. */
      readonly footerLost: boolean;
    },
  ) {
    this.#file = file;
    this.name = file.name;
    this.readOnly = file.readOnly;
    this.sectorBytes = options.sectorBytes;
    this.#footer = options.footer;
    this.#footerBytes = options.footerBytes;
    this.#header = options.header;
    this.#sizeBytes = options.footer.sizeBytes;
    this.#parent = options.parent;
    this.#table = viewOf(options.table);
    this.#bitmapBytes = Math.ceil(options.header.blockBytes / 512 / 8 / 512) * 512;
    this.#footerLost = options.footerLost;
    this.#end = this.#usedEnd();
  }

  get sizeBytes(): number {
    return Math.ceil(this.#sizeBytes / this.sectorBytes) * this.sectorBytes;
  }

  /** First sector-aligned byte behind headers, table, locators and blocks. */
  #usedEnd(): number {
    const h = this.#header;
    let end = Math.max(FOOTER_BYTES + HEADER_BYTES, (this.#footer.headerOffset ?? 0) + HEADER_BYTES, h.tableOffset + h.entries * 4);
    for (const locator of h.locators) end = Math.max(end, locator.offset + locator.bytes);
    for (let i = 0; i < h.entries; i++) {
      const sector = this.#table.getUint32(i * 4);
      if (sector !== UNUSED) end = Math.max(end, sector * 512 + this.#bitmapBytes + h.blockBytes);
    }
    return Math.ceil(end / 512) * 512;
  }

  /** Offset of block `index` (its bitmap); 0 when it has none, undefined when it lies outside the file. */
  #block(index: number): number | undefined {
    if (index >= this.#header.entries) return 0;
    const sector = this.#table.getUint32(index * 4);
    if (sector === UNUSED) return 0;
    const at = sector * 512;
    return at < FOOTER_BYTES || at + this.#bitmapBytes >= this.#file.size ? undefined : at;
  }

  #bitmap(index: number, at: number): Bitmap | undefined {
    let bitmap = this.#bitmaps.get(index);
    if (bitmap !== undefined) return bitmap;
    if (!this.#roomForBitmap()) return undefined;
    bitmap = { bits: new Uint8Array(this.#bitmapBytes), dirty: false };
    if (!this.#file.read(at, bitmap.bits)) return undefined;
    this.#bitmaps.set(index, bitmap);
    return bitmap;
  }
  #roomForBitmap(): boolean {
    if (this.#bitmaps.size < MAX_BITMAPS) return true;
    if (!this.readOnly && !this.flush()) return false;
    for (const index of this.#bitmaps.keys()) {
      this.#bitmaps.delete(index);
      if (this.#bitmaps.size < MAX_BITMAPS / 2) break;
    }
    return true;
  }

  read(offset: number, into: Uint8Array): boolean {
    if (this.#closed || offset < 0 || offset + into.length > this.sizeBytes) return false;
    const { blockBytes } = this.#header;
    let done = 0;
    while (done < into.length) {
      const at = offset + done;
      const index = Math.floor(at / blockBytes);
      const inBlock = at % blockBytes;
      const part = into.subarray(done, done + Math.min(into.length - done, blockBytes - inBlock));
      const block = this.#block(index);
      if (block === undefined) return false;
      if (block === 0) {
        if (!this.#readParent(at, part)) return false;
      } else if (this.#parent === undefined) {
        if (!this.#file.read(block + this.#bitmapBytes + inBlock, part)) return false;
      } else if (!this.#readMixed(index, block, at, part)) return false;
      done += part.length;
    }
    return true;
  }

  #readParent(offset: number, into: Uint8Array): boolean {
    const have = Math.max(0, Math.min(into.length, (this.#parent?.sizeBytes ?? 0) - offset));
    if (have > 0 && this.#parent?.read(offset, into.subarray(0, have)) !== true) return false;
    into.fill(0, have);
    return true;
  }

  /** A block of a differencing disk: sectors are ours or the parent's. */
  #readMixed(index: number, block: number, offset: number, into: Uint8Array): boolean {
    const bitmap = this.#bitmap(index, block);
    if (bitmap === undefined) return false;
    const { blockBytes } = this.#header;
    let done = 0;
    while (done < into.length) {
      const inBlock = (offset + done) % blockBytes;
      const sector = Math.floor(inBlock / 512);
      const mine = hasBit(bitmap.bits, sector);
      let n = 512 - (inBlock % 512);
      while (done + n < into.length && hasBit(bitmap.bits, (inBlock + n) / 512) === mine) n += 512;
      const part = into.subarray(done, Math.min(into.length, done + n));
      const ok = mine ? this.#file.read(block + this.#bitmapBytes + inBlock, part) : this.#readParent(offset + done, part);
      if (!ok) return false;
      done += part.length;
    }
    return true;
  }

  extent(offset: number, most: number): Extent {
    const { blockBytes } = this.#header;
    const bytes = Math.min(most, blockBytes - (offset % blockBytes));
    if (this.#block(Math.floor(offset / blockBytes)) !== 0) return { bytes, zero: false };
    const inParent = (this.#parent?.sizeBytes ?? 0) - offset;
    return this.#parent === undefined || inParent <= 0 ? { bytes, zero: true } : this.#parent.extent(offset, Math.min(bytes, inParent));
  }

  /** Whole sectors, as every guest writes. */
  write(offset: number, from: Uint8Array): boolean {
    if (this.#closed || this.readOnly || offset < 0 || offset % 512 !== 0 || from.length % 512 !== 0 || offset + from.length > this.sizeBytes)
      return false;
    if (this.#footerLost && !this.#restoreFooter()) return false;
    const { blockBytes } = this.#header;
    let done = 0;
    while (done < from.length) {
      const index = Math.floor((offset + done) / blockBytes);
      const inBlock = (offset + done) % blockBytes;
      const part = from.subarray(done, done + Math.min(from.length - done, blockBytes - inBlock));
      let block = this.#block(index);
      if (block === 0) block = this.#allocate(index);
      if (block === undefined) return false;
      if (!this.#file.write(block + this.#bitmapBytes + inBlock, part)) return false;
      if (this.#parent !== undefined || this.#bitmaps.has(index)) {
        const bitmap = this.#bitmap(index, block);
        if (bitmap === undefined) return false;
        for (let sector = inBlock / 512; sector < (inBlock + part.length) / 512; sector++) {
          if (hasBit(bitmap.bits, sector)) continue;
          bitmap.bits[sector >> 3] = (bitmap.bits[sector >> 3] ?? 0) | (0x80 >> (sector & 7));
          bitmap.dirty = true;
        }
      }
      done += part.length;
    }
    return true;
  }

  /** A new block at the end; without a parent all its sectors count as present and read zero. */
  #allocate(index: number): number | undefined {
    if (index >= this.#header.entries) return undefined;
    const file = this.#file;
    const at = this.#end;
    const end = at + this.#bitmapBytes + this.#header.blockBytes;
    const bits = new Uint8Array(this.#bitmapBytes).fill(this.#parent === undefined ? 0xff : 0);
    // What a crash left behind the last block must not show through.
    if ((file.size > at && !file.resize(at)) || !file.resize(end) || !file.write(at, bits) || !file.write(end, this.#footerBytes)) {
      file.resize(at);
      file.write(at, this.#footerBytes);
      return undefined;
    }
    this.#table.setUint32(index * 4, at / 512);
    this.#dirtyTable.add(index);
    this.#end = end;
    if (this.#parent !== undefined && this.#roomForBitmap()) this.#bitmaps.set(index, { bits, dirty: false });
    return at;
  }

  #restoreFooter(): boolean {
    if (!this.#file.resize(this.#end) || !this.#file.write(this.#end, this.#footerBytes)) return false;
    this.#footerLost = false;
    return true;
  }

  flush(): boolean {
    if (this.#closed) return false;
    if (this.readOnly) return true;
    const file = this.#file;
    if (!file.flush()) return false;
    if (!this.#hasDirty) return true;
    for (const [index, bitmap] of this.#bitmaps) {
      if (!bitmap.dirty) continue;
      const at = this.#block(index);
      if (at === undefined || at === 0 || !file.write(at, bitmap.bits)) return false;
      bitmap.dirty = false;
    }
    if (this.#dirtyTable.size > 0) {
      // The table must not point to a block whose bitmap is older than itself.
      if (!file.flush()) return false;
      const word = new Uint8Array(4);
      for (const index of this.#dirtyTable) {
        viewOf(word).setUint32(0, this.#table.getUint32(index * 4));
        if (!file.write(this.#header.tableOffset + index * 4, word)) return false;
      }
      this.#dirtyTable.clear();
    }
    return file.flush();
  }

  commitTables(): "closed" | "clean" | "failed" {
    if (this.#closed) return "closed";
    return this.readOnly || !this.#hasDirty || this.flush() ? "clean" : "failed";
  }
  get #hasDirty(): boolean {
    if (this.#dirtyTable.size > 0) return true;
    for (const bitmap of this.#bitmaps.values()) if (bitmap.dirty) return true;
    return false;
  }

  identity(): string {
    return [this.#file.stamp?.() ?? "", this.#parent?.identity?.() ?? ""].join(" < ");
  }

  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.#parent?.close();
    this.#file.close();
  }

  facts(): ImageFacts {
    return {
      file: this.name,
      format: "vhd",
      virtualBytes: this.#sizeBytes,
      fileBytes: this.#file.size,
      variant: this.#footer.type === 4 ? "differencing" : "dynamic",
      clusterBytes: this.#header.blockBytes,
      ...(this.#footer.type !== 4 ? {} : { backingFile: this.#header.parentName, backingFormat: "vhd" }),
      ...(this.#footerLost ? { flags: ["footer at the end is missing"] } : {}),
    };
  }

  check(): CheckResult {
    const errors: string[] = [];
    const seen = new Set<number>();
    let allocated = 0;
    const length = this.#bitmapBytes + this.#header.blockBytes;
    for (let i = 0; i < this.#header.entries; i++) {
      const sector = this.#table.getUint32(i * 4);
      if (sector === UNUSED) continue;
      allocated++;
      if (this.#block(i) === undefined || sector * 512 + length > this.#file.size) errors.push(`block ${i} at ${sector * 512} lies outside the file`);
      if (seen.has(sector)) errors.push(`block ${i} shares its place with another`);
      seen.add(sector);
    }
    const sorted = [...seen].sort((a, b) => a - b);
    for (let i = 1; i < sorted.length; i++) {
      if (((sorted[i] ?? 0) - (sorted[i - 1] ?? 0)) * 512 < length) errors.push(`the blocks at ${(sorted[i] ?? 0) * 512} and before it overlap`);
    }
    const slack = this.#file.size - FOOTER_BYTES - this.#end;
    return {
      errors: errors.slice(0, 20),
      errorCount: errors.length,
      leakedClusters: slack > 0 ? Math.ceil(slack / length) : 0,
      allocatedClusters: allocated,
      totalClusters: Math.ceil(this.#sizeBytes / this.#header.blockBytes),
    };
  }

  resize(sizeBytes: number): void {
    const { name } = this;
    const failed = (): VmmError => new VmmError("IMAGE_IO", `${name}: cannot be resized${because(this.#file)}`);
    if (this.readOnly) throw new VmmError("IMAGE_READ_ONLY", `${name}: is open for reading only`);
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % 512 !== 0 || sizeBytes > MAX_VHD_BYTES)
      throw new VmmError("IMAGE_SIZE", `${name}: ${sizeBytes} is no possible VHD size (a multiple of 512, at most 2040G)`);
    if (sizeBytes < this.#sizeBytes) throw new VmmError("IMAGE_UNSUPPORTED", `${name}: a dynamic VHD cannot be shrunk; convert it`);
    if (this.#parent !== undefined) throw new VmmError("IMAGE_UNSUPPORTED", `${name}: a differencing VHD cannot be resized`);
    if (!this.flush()) throw failed();
    const file = this.#file;
    const entries = Math.ceil(sizeBytes / this.#header.blockBytes);
    const footer = resizeFooter(this.#footerBytes, sizeBytes);
    if (entries > this.#header.entries) {
      // A longer table at the end; the old one stays unused.
      const bytes = new Uint8Array(Math.ceil((entries * 4) / 512) * 512).fill(0xff);
      bytes.set(new Uint8Array(this.#table.buffer, this.#table.byteOffset, this.#header.entries * 4));
      const at = this.#end;
      const header = new Uint8Array(HEADER_BYTES);
      const place = this.#footer.headerOffset ?? FOOTER_BYTES;
      const ok =
        file.read(place, header) &&
        file.write(at, bytes) &&
        file.write(at + bytes.length, this.#footerBytes) &&
        file.flush() &&
        file.write(place, moveTable(header, at, entries)) &&
        file.flush();
      if (!ok) throw failed();
      this.#header = { ...this.#header, tableOffset: at, entries };
      this.#table = viewOf(bytes);
      this.#end = at + bytes.length;
    }
    if (!file.write(0, footer) || !file.flush() || !file.write(this.#end, footer) || !file.flush()) throw failed();
    this.#footerBytes = footer;
    this.#sizeBytes = sizeBytes;
  }
}

function hasBit(bits: Uint8Array, sector: number): boolean {
  return ((bits[sector >> 3] ?? 0) & (0x80 >> (sector & 7))) !== 0;
}
