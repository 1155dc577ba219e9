import type { GuestIo, GuestMemory } from "../engine/api/index.ts";

/** Ends below the display window. */
const CONVENTIONAL = 0xa0000;

/** Guest-physical memory as the CPU sees it: slots first, then MMIO through `GuestIo`. What BIOS services use. */
export class PhysicalMemory {
  readonly ram: GuestMemory;
  readonly #io: GuestIo;
  /** Conventional memory, once `remapped` found it to be one piece of RAM: the data areas are read several times a BIOS call. */
  #low: DataView = new DataView(new ArrayBuffer(0));
  #lowBytes = 0;
  constructor(ram: GuestMemory, io: GuestIo) {
    this.ram = ram;
    this.#io = io;
  }
  /** Slots have changed. Without a word of it, all reads ask `ram`. */
  remapped(): void {
    const low = this.ram.viewForRead(0, Math.min(CONVENTIONAL, this.ram.sizeBytes));
    this.#lowBytes = low?.length ?? 0;
    if (low !== undefined) this.#low = new DataView(low.buffer, low.byteOffset, low.length);
  }
  #mapped(gpa: number, size: number): boolean {
    return this.ram.viewForRead(gpa, size) !== undefined;
  }
  read8(gpa: number): number {
    if (gpa < this.#lowBytes) return this.#low.getUint8(gpa);
    if (gpa < 0xa0000 || this.#mapped(gpa, 1)) return this.ram.read8(gpa);
    return this.#io.mmioRead(gpa, 1) & 0xff;
  }
  read16(gpa: number): number {
    if (gpa < this.#lowBytes - 1) return this.#low.getUint16(gpa, true);
    if (gpa < 0x9ffff) return this.ram.read16(gpa);
    return this.read8(gpa) | (this.read8(gpa + 1) << 8);
  }
  read32(gpa: number): number {
    if (gpa < this.#lowBytes - 3) return this.#low.getUint32(gpa, true);
    if (gpa < 0x9fffd) return this.ram.read32(gpa);
    return (this.read16(gpa) | (this.read16(gpa + 2) << 16)) >>> 0;
  }
  write8(gpa: number, value: number): void {
    if (gpa < 0xa0000 || this.#mapped(gpa, 1)) this.ram.write8(gpa, value);
    else this.#io.mmioWrite(gpa, 1, value & 0xff);
  }
  write16(gpa: number, value: number): void {
    if (gpa < 0x9ffff) this.ram.write16(gpa, value);
    else {
      this.write8(gpa, value);
      this.write8(gpa + 1, value >>> 8);
    }
  }
  write32(gpa: number, value: number): void {
    if (gpa < 0x9fffd) this.ram.write32(gpa, value);
    else {
      this.write16(gpa, value);
      this.write16(gpa + 2, value >>> 16);
    }
  }
  read(gpa: number, into: Uint8Array): void {
    const view = this.ram.viewForRead(gpa, into.length);
    if (view !== undefined) into.set(view);
    else for (let i = 0; i < into.length; i++) into[i] = this.read8(gpa + i);
  }
  write(gpa: number, from: Uint8Array): void {
    const view = this.ram.viewForWrite(gpa, from.length);
    if (view !== undefined) view.set(from);
    else for (let i = 0; i < from.length; i++) this.write8(gpa + i, from[i] ?? 0);
  }
}
