import { PAGE_ACCESS, PageWalker } from "../isa/index.ts";
import type { GuestIo, GuestMemory, RegisterAccess } from "../vmm/index.ts";
import { PhysicalMemory } from "../vmm/index.ts";

const VM86 = 0x20000;
const A20_BIT = 0x100000;

/**
 * Linear to guest-physical addresses as the guest's mode says, with the rights of the code that called, accessed and dirty bits included: the BIOS
 * does what code of a ROM would do there. (A supervisor's accesses pass SMAP.)
 */
export class AddressTranslation {
  readonly #a20Enabled: () => boolean;
  readonly #walker: PageWalker;
  /** PAGE_ACCESS bits of the caller. */
  #caller: number = PAGE_ACCESS.AC;
  constructor(physical: GuestMemory, a20Enabled: () => boolean) {
    this.#a20Enabled = a20Enabled;
    this.#walker = new PageWalker({
      read32: (gpa) => physical.read32(this.#gate(gpa)),
      write32: (gpa, value) => physical.write32(this.#gate(gpa), value),
    });
  }

  /** Takes CR0, CR3, CR4, EFER and the privilege as they are now, at each trap that needs translation. Outside V86 callers are of ring 0. */
  load(raw: RegisterAccess): void {
    this.#walker.loadControls(raw);
    this.#caller = (raw.getRflags() & VM86) !== 0 ? PAGE_ACCESS.USER : PAGE_ACCESS.AC;
  }
  #gate(gpa: number): number {
    if (this.#a20Enabled()) return gpa;
    return Math.floor(gpa / (2 * A20_BIT)) * (2 * A20_BIT) + (gpa & (A20_BIT - 1));
  }
  /** Physical address of a 32-bit linear address, or -1 when no page is there, or none that the caller may access so. */
  translate(linear: number, write = false): number {
    const gpa = this.#walker.walk(linear, write ? this.#caller | PAGE_ACCESS.WRITE : this.#caller);
    return gpa < 0 ? gpa : this.#gate(gpa);
  }
}

/**
 * Memory by linear address for the modes where that is not the physical one: virtual-8086 or protected mode under paging,
 * and a closed A20 gate. A page that is missing, or not the caller's, reads as all ones; writes to it, and to a read-only one, vanish.
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
    const gpa = this.#map.translate(at, true);
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
  #contiguous(at: number, length: number, write: boolean): number {
    const gpa = this.#map.translate(at, write);
    if (gpa < 0) return -1;
    for (let next = 0x1000 - (at & 0xfff); next < length; next += 0x1000) {
      if (this.#map.translate(at + next, write) !== gpa + next) return -1;
    }
    return gpa;
  }
  viewForWrite(at: number, length: number): Uint8Array | undefined {
    const gpa = this.#contiguous(at, length, true);
    return gpa < 0 ? undefined : this.#physical.ram.viewForWrite(gpa, length);
  }
  viewForRead(at: number, length: number): Uint8Array | undefined {
    const gpa = this.#contiguous(at, length, false);
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
