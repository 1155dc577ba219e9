import type { GuestIo, GuestMemory, RegisterAccess } from "../vmm/index.ts";
import { PhysicalMemory } from "../vmm/index.ts";

const NOT_PRESENT = -1;
const A20_BIT = 0x100000;

/** The parts of a page-table walk that depend on the guest's mode. Read once at each trap that needs translation. */
export class AddressTranslation {
  readonly #physical: GuestMemory;
  readonly #a20Enabled: () => boolean;
  #paging = false;
  #pae = false;
  #long = false;
  #pse = false;
  #root = 0;
  constructor(physical: GuestMemory, a20Enabled: () => boolean) {
    this.#physical = physical;
    this.#a20Enabled = a20Enabled;
  }

  /** Takes CR0, CR3, CR4 and EFER as they are now. */
  load(raw: RegisterAccess): void {
    this.#paging = (raw.getControl("cr0") & 0x80000000n) !== 0n;
    if (!this.#paging) return;
    const cr4 = raw.getControl("cr4");
    this.#pse = (cr4 & 0x10n) !== 0n;
    this.#pae = (cr4 & 0x20n) !== 0n;
    this.#long = (raw.getControl("efer") & 0x400n) !== 0n;
    this.#root = Number(raw.getControl("cr3") & 0xfffffff000n);
    if (this.#pae && !this.#long) this.#root = Number(raw.getControl("cr3") & 0xffffffe0n);
  }

  #gate(gpa: number): number {
    if (this.#a20Enabled()) return gpa;
    return Math.floor(gpa / (2 * A20_BIT)) * (2 * A20_BIT) + (gpa & (A20_BIT - 1));
  }

  /** 8-byte entry: physical address bits, or NOT_PRESENT. `large` is left in #large. */
  #large = false;
  #entry64(gpa: number): number {
    const at = this.#gate(gpa);
    const low = this.#physical.read32(at);
    if ((low & 1) === 0) return NOT_PRESENT;
    this.#large = (low & 0x80) !== 0;
    return (this.#physical.read32(at + 4) & 0xff) * 0x100000000 + ((low & 0xfffff000) >>> 0);
  }

  /** Physical address of a 32-bit linear address, or -1 when no page is there. */
  translate(linear: number): number {
    if (!this.#paging) return this.#gate(linear);
    if (!this.#pae) {
      const directory = this.#physical.read32(this.#gate(this.#root + (linear >>> 22) * 4));
      if ((directory & 1) === 0) return NOT_PRESENT;
      if ((directory & 0x80) !== 0 && this.#pse) return this.#gate(((directory & 0xffc00000) >>> 0) + (linear & 0x3fffff));
      const page = this.#physical.read32(this.#gate(((directory & 0xfffff000) >>> 0) + ((linear >>> 12) & 0x3ff) * 4));
      if ((page & 1) === 0) return NOT_PRESENT;
      return this.#gate(((page & 0xfffff000) >>> 0) + (linear & 0xfff));
    }
    let table = this.#root;
    if (this.#long) {
      table = this.#entry64(table);
      if (table < 0) return NOT_PRESENT;
      table = this.#entry64(table + (linear >>> 30) * 8);
      if (table < 0) return NOT_PRESENT;
      if (this.#large) return this.#gate(Math.floor(table / 0x40000000) * 0x40000000 + (linear & 0x3fffffff));
    } else {
      table = this.#entry64(table + (linear >>> 30) * 8);
      if (table < 0) return NOT_PRESENT;
    }
    table = this.#entry64(table + ((linear >>> 21) & 0x1ff) * 8);
    if (table < 0) return NOT_PRESENT;
    if (this.#large) return this.#gate(Math.floor(table / 0x200000) * 0x200000 + (linear & 0x1fffff));
    const page = this.#entry64(table + ((linear >>> 12) & 0x1ff) * 8);
    return page < 0 ? NOT_PRESENT : this.#gate(page + (linear & 0xfff));
  }
}

/**
 * Memory by linear address for the modes where that is not the physical one: virtual-8086 or protected mode under paging,
 * and a closed A20 gate. A missing page reads as all ones; writes to it vanish.
 */
class LinearRam implements GuestMemory {
  readonly #physical: PhysicalMemory;
  readonly #map: AddressTranslation;
  constructor(physical: PhysicalMemory, map: AddressTranslation) {
    this.#physical = physical;
    this.#map = map;
  }
  get sizeBytes(): number {
    return this.#physical.ram.sizeBytes;
  }
  read8(at: number): number {
    const gpa = this.#map.translate(at);
    return gpa < 0 ? 0xff : this.#physical.read8(gpa);
  }
  read16(at: number): number {
    return this.read8(at) | (this.read8(at + 1) << 8);
  }
  read32(at: number): number {
    return (this.read16(at) | (this.read16(at + 2) << 16)) >>> 0;
  }
  write8(at: number, value: number): void {
    const gpa = this.#map.translate(at);
    if (gpa >= 0) this.#physical.write8(gpa, value);
  }
  write16(at: number, value: number): void {
    this.write8(at, value & 0xff);
    this.write8(at + 1, (value >>> 8) & 0xff);
  }
  write32(at: number, value: number): void {
    this.write16(at, value & 0xffff);
    this.write16(at + 2, value >>> 16);
  }
  read(at: number, into: Uint8Array): void {
    for (let i = 0; i < into.length; i++) into[i] = this.read8(at + i);
  }
  write(at: number, from: Uint8Array): void {
    for (let i = 0; i < from.length; i++) this.write8(at + i, from[i] ?? 0);
  }
  writeRom(): void {}
  #contiguous(at: number, length: number): number {
    const gpa = this.#map.translate(at);
    if (gpa < 0) return -1;
    for (let next = 0x1000 - (at & 0xfff); next < length; next += 0x1000) {
      if (this.#map.translate(at + next) !== gpa + next) return -1;
    }
    return gpa;
  }
  viewForWrite(at: number, length: number): Uint8Array | undefined {
    const gpa = this.#contiguous(at, length);
    return gpa < 0 ? undefined : this.#physical.ram.viewForWrite(gpa, length);
  }
  viewForRead(at: number, length: number): Uint8Array | undefined {
    const gpa = this.#contiguous(at, length);
    return gpa < 0 ? undefined : this.#physical.ram.viewForRead(gpa, length);
  }
}

/** `PhysicalMemory` whose addresses are linear ones. */
export class LinearMemory extends PhysicalMemory {
  constructor(physical: PhysicalMemory, map: AddressTranslation) {
    const ram = new LinearRam(physical, map);
    const io: GuestIo = {
      portRead: () => -1,
      portWrite: () => false,
      mmioRead: (at) => ram.read8(at),
      mmioWrite: (at, _size, value) => {
        ram.write8(at, value);
        return true;
      },
      interruptAcknowledge: () => 0xff,
    };
    super(ram, io);
  }
}
