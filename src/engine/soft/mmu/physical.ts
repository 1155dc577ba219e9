import { VmmError } from "../../../base/index.ts";
import type { EngineVmOptions, GuestMemory, MemoryRegion, MemorySlot } from "../../api/index.ts";
import { guestBase } from "../state-layout.ts";

const PAGES_4G = 1 << 20;
const FOUR_G = 0x1_0000_0000;
const FILTER = 0xfff;
const pagesOf = (region: MemoryRegion): readonly [first: number, count: number] => [
  Math.floor(region.bytes.byteOffset / 4096),
  Math.ceil(region.sizeBytes / 4096),
];
/** To whole WebAssembly pages; sizes go beyond 2^31. */
const roundUp = (bytes: number): number => Math.ceil(bytes / 65536) * 65536;

/**
 * Guest-physical address space: which page lies where in the WebAssembly memory. A page's entry is its wasm page
 * number; 0 = no slot (MMIO); negative = read-only (ROM). Pages above 4 GiB are kept in a map.
 */
export class PhysicalMap implements GuestMemory {
  readonly sizeBytes: number;
  readonly regions: ReadonlyMap<string, MemoryRegion>;
  readonly #pages = new Int32Array(PAGES_4G);
  readonly #high = new Map<number, number>();
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  /** Called before bytes of [gpa, gpa+length) change under the decoder's feet, when a page of them may hold code. */
  onWrite: (gpa: number, length: number) => void = () => {};
  /** Called when TLBs must forget which pages may be written without being noted. */
  onNoteWrites: () => void = () => {};
  /** While writes to some region are noted: one byte a page of the WebAssembly memory, 1 = written. */
  #written: Uint8Array | undefined;
  readonly #noted = new Set<MemoryRegion>();
  /** By the low bits of a page's number: whether there is a page that holds decoded code. */
  readonly #mayHoldCode = new Uint8Array(FILTER + 1);

  static bytesNeeded(options: EngineVmOptions): number {
    let total = guestBase(options.cpus ?? 1);
    for (const r of [{ sizeBytes: options.ramBytes }, ...options.regions]) total += roundUp(r.sizeBytes);
    return total;
  }

  constructor(memory: ArrayBuffer, options: EngineVmOptions) {
    this.#view = new DataView(memory);
    this.#bytes = new Uint8Array(memory);
    this.sizeBytes = options.ramBytes;
    const regions = new Map<string, MemoryRegion>();
    let at = guestBase(options.cpus ?? 1);
    for (const r of [{ name: "ram", sizeBytes: options.ramBytes }, ...options.regions]) {
      if (regions.has(r.name)) throw new VmmError("VMM_REGION_TWICE", `memory region ${r.name} is named twice`);
      regions.set(r.name, { name: r.name, sizeBytes: r.sizeBytes, bytes: new Uint8Array(memory, at, r.sizeBytes) });
      at += roundUp(r.sizeBytes);
    }
    this.regions = regions;
  }

  map(slot: MemorySlot): void {
    if (((slot.gpa | slot.regionOffset | slot.sizeBytes) & 0xfff) !== 0)
      throw new VmmError("VMM_SLOT_ALIGN", `slot at ${slot.gpa.toString(16)} is not page-aligned`);
    const host = slot.region.bytes.byteOffset + slot.regionOffset;
    const first = Math.floor(slot.gpa / 4096);
    const count = slot.sizeBytes / 4096;
    const step = slot.access === "ro" ? -1 : 1;
    let entry = (host >>> 12) * step;
    // All of RAM goes through here before anything is compiled: a loop of as few steps as possible.
    const low = Math.min(first + count, PAGES_4G);
    const pages = this.#pages;
    for (let page = first; page < low; page++, entry += step) pages[page] = entry;
    for (let page = Math.max(first, PAGES_4G); page < first + count; page++, entry += step) this.#high.set(page, entry);
  }
  unmap(gpa: number, sizeBytes: number): void {
    const first = Math.floor(gpa / 4096);
    const end = first + Math.ceil(sizeBytes / 4096);
    this.#pages.fill(0, Math.min(first, PAGES_4G), Math.min(end, PAGES_4G));
    for (let page = Math.max(first, PAGES_4G); page < end; page++) this.#high.delete(page);
  }
  // ---- writes that are noted
  noteWrites(region: MemoryRegion): void {
    this.#written ??= new Uint8Array(this.#bytes.length >>> 12);
    this.#noted.add(region);
    const [first, pages] = pagesOf(region);
    this.#written.fill(0, first, first + pages);
    this.onNoteWrites();
  }
  /** The pages of a region written since the last call, one byte each. */
  takeWrites(region: MemoryRegion): Uint8Array {
    const [first, pages] = pagesOf(region);
    if (this.#written === undefined || !this.#noted.has(region)) return new Uint8Array(pages).fill(1);
    const taken = this.#written.slice(first, first + pages);
    if (!taken.includes(1)) return taken;
    this.#written.fill(0, first, first + pages);
    this.onNoteWrites();
    return taken;
  }
  ignoreWrites(region: MemoryRegion): void {
    this.#noted.delete(region);
    if (this.#noted.size === 0) this.#written = undefined;
  }
  /** A page (its entry in the map) is written from now on. */
  pageWritten(entry: number): void {
    if (this.#written !== undefined) this.#written[entry] = 1;
  }
  #write(gpa: number, length: number): void {
    const last = Math.floor((gpa + length - 1) / 4096);
    for (let page = Math.floor(gpa / 4096); page <= last; page++) {
      if (this.#mayHoldCode[page & FILTER] === 0) continue;
      this.onWrite(gpa, length);
      break;
    }
    if (this.#written === undefined) return;
    for (let page = Math.floor(gpa / 4096); page <= last; page++) this.#written[Math.abs(this.page(page))] = 1;
  }
  /** Writes to this page are for `onWrite`, until `forgetCode`. */
  holdsCode(page: number): void {
    this.#mayHoldCode[page & FILTER] = 1;
  }
  forgetCode(): void {
    this.#mayHoldCode.fill(0);
  }

  /** Entry of a guest-physical page number. */
  page(page: number): number {
    return page < PAGES_4G ? this.#pages[page] : (this.#high.get(page) ?? 0);
  }
  /** Entry of the page that holds an address. */
  #entry(gpa: number): number {
    return gpa < FOUR_G ? this.#pages[gpa >>> 12] : (this.#high.get(Math.floor(gpa / 4096)) ?? 0);
  }
  /** Wasm address of a mapped byte, or 0. */
  host(gpa: number): number {
    const entry = this.#entry(gpa);
    return entry === 0 ? 0 : (entry < 0 ? -entry : entry) * 4096 + (gpa & 0xfff);
  }

  // Few calls and few steps each: BIOS services come here before V8 has compiled anything.
  read8(gpa: number): number {
    const entry = gpa < FOUR_G ? this.#pages[gpa >>> 12] : this.#entry(gpa);
    return entry === 0 ? 0xff : this.#bytes[(entry < 0 ? -entry : entry) * 4096 + (gpa & 0xfff)];
  }
  read16(gpa: number): number {
    const entry = gpa < FOUR_G ? this.#pages[gpa >>> 12] : this.#entry(gpa);
    if (entry === 0 || (gpa & 0xfff) === 0xfff) return this.read8(gpa) | (this.read8(gpa + 1) << 8);
    return this.#view.getUint16((entry < 0 ? -entry : entry) * 4096 + (gpa & 0xfff), true);
  }
  read32(gpa: number): number {
    const entry = gpa < FOUR_G ? this.#pages[gpa >>> 12] : this.#entry(gpa);
    if (entry === 0 || (gpa & 0xfff) > 0xffc) return (this.read16(gpa) | (this.read16(gpa + 2) << 16)) >>> 0;
    return this.#view.getUint32((entry < 0 ? -entry : entry) * 4096 + (gpa & 0xfff), true);
  }
  write8(gpa: number, value: number): void {
    const entry = gpa < FOUR_G ? this.#pages[gpa >>> 12] : this.#entry(gpa);
    if (entry <= 0) return;
    if (this.#mayHoldCode[(gpa >>> 12) & FILTER] !== 0) this.onWrite(gpa, 1);
    if (this.#written !== undefined) this.#written[entry] = 1;
    this.#bytes[entry * 4096 + (gpa & 0xfff)] = value;
  }
  write16(gpa: number, value: number): void {
    const entry = gpa < FOUR_G ? this.#pages[gpa >>> 12] : this.#entry(gpa);
    if (entry <= 0 || (gpa & 0xfff) === 0xfff) {
      this.write8(gpa, value);
      this.write8(gpa + 1, value >>> 8);
      return;
    }
    if (this.#mayHoldCode[(gpa >>> 12) & FILTER] !== 0) this.onWrite(gpa, 2);
    if (this.#written !== undefined) this.#written[entry] = 1;
    this.#view.setUint16(entry * 4096 + (gpa & 0xfff), value, true);
  }
  write32(gpa: number, value: number): void {
    const entry = gpa < FOUR_G ? this.#pages[gpa >>> 12] : this.#entry(gpa);
    if (entry <= 0 || (gpa & 0xfff) > 0xffc) {
      this.write16(gpa, value);
      this.write16(gpa + 2, value >>> 16);
      return;
    }
    if (this.#mayHoldCode[(gpa >>> 12) & FILTER] !== 0) this.onWrite(gpa, 4);
    if (this.#written !== undefined) this.#written[entry] = 1;
    this.#view.setUint32(entry * 4096 + (gpa & 0xfff), value, true);
  }
  /** Visits page pieces of a range. */
  #pieces(gpa: number, length: number, visit: (gpa: number, at: number, bytes: number) => void): void {
    for (let at = 0; at < length; ) {
      const n = Math.min(length - at, 4096 - ((gpa + at) % 4096));
      visit(gpa + at, at, n);
      at += n;
    }
  }
  read(gpa: number, into: Uint8Array): void {
    this.#pieces(gpa, into.length, (g, at, n) => {
      const h = this.host(g);
      if (h === 0) into.fill(0xff, at, at + n);
      else into.set(this.#bytes.subarray(h, h + n), at);
    });
  }
  write(gpa: number, from: Uint8Array): void {
    this.#pieces(gpa, from.length, (g, at, n) => {
      if (this.#entry(g) <= 0) return;
      this.#write(g, n);
      this.#bytes.set(from.subarray(at, at + n), this.host(g));
    });
  }
  writeRom(gpa: number, from: Uint8Array): void {
    this.#pieces(gpa, from.length, (g, at, n) => {
      const h = this.host(g);
      if (h === 0) return;
      this.#write(g, n);
      this.#bytes.set(from.subarray(at, at + n), h);
    });
  }
  #contiguous(gpa: number, length: number, write: boolean): number {
    if (gpa < 0 || length <= 0) return 0;
    const first = this.#entry(gpa);
    if (first === 0 || (write && first < 0)) return 0;
    const step = first < 0 ? -1 : 1;
    const last = Math.floor((gpa + length - 1) / 4096);
    let entry = first;
    if (last < PAGES_4G) {
      const pages = this.#pages;
      for (let page = gpa >>> 12; page < last; ) if (pages[++page] !== (entry += step)) return 0;
    } else for (let page = Math.floor(gpa / 4096); page < last; ) if (this.page(++page) !== (entry += step)) return 0;
    return first * step * 4096 + (gpa & 0xfff);
  }
  viewForWrite(gpa: number, length: number): Uint8Array | undefined {
    const h = this.#contiguous(gpa, length, true);
    if (h === 0) return undefined;
    this.#write(gpa, length);
    return this.#bytes.subarray(h, h + length);
  }
  viewForRead(gpa: number, length: number): Uint8Array | undefined {
    const h = this.#contiguous(gpa, length, false);
    return h === 0 ? undefined : this.#bytes.subarray(h, h + length);
  }
}
