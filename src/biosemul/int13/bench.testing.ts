import { MemoryBlockBackend } from "../../backends/api/index.ts";
import type { BlockBackend } from "../../backends/api/index.ts";
import { GuestRegisters, PhysicalMemory } from "../../vmm/index.ts";
import type { GuestIo } from "../../vmm/index.ts";
import type { BiosContext, BiosDrive, PortIo, VideoWindow } from "../api.ts";
import { ByteMemory, FakeRegisters } from "../fakes.testing.ts";

/** Guest memory over one array: RAM, a video hole A0000-BFFFF that is MMIO, ROM from C0000 to FFFFF. */
class BenchMemory extends ByteMemory {
  readonly bytes: Uint8Array;
  constructor(sizeBytes: number) {
    super();
    this.bytes = new Uint8Array(sizeBytes);
  }
  override get sizeBytes(): number {
    return this.bytes.length;
  }
  #readable(gpa: number, n: number): boolean {
    return gpa >= 0 && gpa + n <= this.bytes.length && !(gpa < 0xc0000 && gpa + n > 0xa0000);
  }
  #writable(gpa: number, n: number): boolean {
    return this.#readable(gpa, n) && !(gpa < 0x100000 && gpa + n > 0xa0000);
  }
  override read8(gpa: number): number {
    return this.#readable(gpa, 1) ? (this.bytes[gpa] ?? 0) : 0xff;
  }
  override write8(gpa: number, value: number): void {
    if (this.#writable(gpa, 1)) this.bytes[gpa] = value;
  }
  override writeRom(gpa: number, from: Uint8Array): void {
    this.bytes.set(from, gpa);
  }
  override viewForWrite(gpa: number, length: number): Uint8Array | undefined {
    return this.#writable(gpa, length) ? this.bytes.subarray(gpa, gpa + length) : undefined;
  }
  override viewForRead(gpa: number, length: number): Uint8Array | undefined {
    return this.#readable(gpa, length) ? this.bytes.subarray(gpa, gpa + length) : undefined;
  }
}

/** A BIOS call on a bench: registers, memory, drives; flags of the caller's stack image as plain fields. */
export class BenchContext implements BiosContext {
  readonly memory = new BenchMemory(2 * 1024 * 1024);
  /** What reached the MMIO window, by address. */
  readonly mmio = new Map<number, number>();
  readonly regs = new GuestRegisters(new FakeRegisters());
  readonly mem: PhysicalMemory;
  readonly physical: PhysicalMemory;
  readonly drives: BiosDrive[];
  /** Answers of port reads; FFFFFFFFh elsewhere. */
  readonly portValues = new Map<number, number>();
  readonly ports: PortIo;
  readonly video: VideoWindow;
  carry = false;
  zero = false;
  interrupts = false;
  resumed = false;

  constructor(drives: BiosDrive[]) {
    this.drives = drives;
    const io: GuestIo = {
      portRead: () => -1,
      portWrite: () => false,
      mmioRead: (gpa) => this.mmio.get(gpa) ?? 0xff,
      mmioWrite: (gpa, _size, value) => {
        this.mmio.set(gpa, value);
        return true;
      },
      interruptAcknowledge: () => 0,
    };
    this.physical = this.mem = new PhysicalMemory(this.memory, io);
    const read = (port: number): number => this.portValues.get(port) ?? 0xffffffff;
    const write = (port: number, value: number): void => {
      if (this.portValues.has(port)) this.portValues.set(port, value);
    };
    this.ports = { in8: read, in16: read, in32: read, out8: write, out16: write, out32: write };
    this.video = { read8: () => 0, write8: () => {}, fill16: () => {}, move: () => {} };
    this.mem.write16(0x40e, 0x9fc0);
    this.useDisketteTable([0xdf, 2, 0x25, 2, 18, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 8]);
  }

  /** Puts a diskette table at 0:0522 and IVT 1Eh on it. */
  useDisketteTable(bytes: readonly number[]): void {
    this.mem.write(0x522, Uint8Array.from(bytes));
    this.mem.write32(0x78, 0x522);
  }

  setCarry(on: boolean): void {
    this.carry = on;
  }
  getCarry(): boolean {
    return this.carry;
  }
  setZero(on: boolean): void {
    this.zero = on;
  }
  setInterruptFlag(on: boolean): void {
    this.interrupts = on;
  }
  linear(segment: number, offset: number): number {
    return ((segment & 0xffff) << 4) + (offset & 0xffff);
  }
}

/** A disk whose byte at offset n of sector s is (s + n) mod 256: every sector is recognisable. */
export function patternDisk(sectors: number, options: { sectorBytes?: 512 | 2048; readOnly?: boolean } = {}): MemoryBlockBackend {
  const sectorBytes = options.sectorBytes ?? 512;
  const bytes = new Uint8Array(sectors * sectorBytes);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(i / sectorBytes) + (i % sectorBytes);
  return new MemoryBlockBackend("pattern", bytes, options);
}

export function floppyDrive(unit: number, backend: BlockBackend | undefined, floppyType = 4): BiosDrive {
  const geometry = { cylinders: floppyType === 1 ? 40 : 80, heads: 2, sectors: [0, 9, 15, 9, 18, 36][floppyType] ?? 18 };
  return { kind: "floppy", unit, backend, geometry, floppyType };
}

export function hardDrive(unit: number, backend: BlockBackend | undefined, geometry = { cylinders: 10, heads: 16, sectors: 63 }): BiosDrive {
  const path = { bus: "ide", channel: 0, device: unit & 1, base: 0x1f0, control: 0x3f6, irq: 14 } as const;
  return { kind: "hard-disk", unit, backend, geometry, floppyType: 0, path };
}

export function cdDrive(unit: number, backend: BlockBackend | undefined): BiosDrive {
  const path = { bus: "ide", channel: 1, device: 0, base: 0x170, control: 0x376, irq: 15 } as const;
  return { kind: "cdrom", unit, backend, geometry: { cylinders: 0, heads: 0, sectors: 0 }, floppyType: 0, path };
}

/** What an El Torito test disc holds: entries of the catalog and image bytes by block. */
export interface TestDiscEntry {
  readonly bootable?: boolean;
  readonly media: number;
  readonly loadSegment?: number;
  readonly sectorCount: number;
  readonly image: Uint8Array;
  readonly platform?: number;
}

/** A minimal ISO with a boot catalog in block 19 and images from block 32 on. */
export function bootDisc(entries: readonly TestDiscEntry[], options: { badChecksum?: boolean } = {}): MemoryBlockBackend {
  const starts: number[] = [];
  let next = 32;
  for (const e of entries) {
    starts.push(next);
    next += Math.ceil(e.image.length / 2048);
  }
  const bytes = new Uint8Array(next * 2048);
  const v = new DataView(bytes.buffer);
  const put = (at: number, s: string): void => {
    for (let i = 0; i < s.length; i++) bytes[at + i] = s.charCodeAt(i);
  };
  bytes[16 * 2048] = 1;
  put(16 * 2048 + 1, "CD001");
  put(17 * 2048 + 1, "CD001");
  put(17 * 2048 + 7, "EL TORITO SPECIFICATION");
  v.setUint32(17 * 2048 + 0x47, 19, true);
  bytes[18 * 2048] = 0xff;
  put(18 * 2048 + 1, "CD001");
  const catalog = 19 * 2048;
  bytes[catalog] = 1;
  v.setUint16(catalog + 0x1e, 0xaa55, true);
  let sum = 0;
  for (let i = 0; i < 32; i += 2) sum += v.getUint16(catalog + i, true);
  v.setUint16(catalog + 0x1c, (-sum & 0xffff) + (options.badChecksum === true ? 1 : 0), true);
  let at = catalog + 32;
  for (const [i, e] of entries.entries()) {
    if (i > 0) {
      bytes[at] = i === entries.length - 1 ? 0x91 : 0x90;
      bytes[at + 1] = e.platform ?? 0;
      v.setUint16(at + 2, 1, true);
      at += 32;
    }
    bytes[at] = e.bootable === false ? 0 : 0x88;
    bytes[at + 1] = e.media;
    v.setUint16(at + 2, e.loadSegment ?? 0, true);
    v.setUint16(at + 6, e.sectorCount, true);
    v.setUint32(at + 8, starts[i] ?? 0, true);
    bytes.set(e.image, (starts[i] ?? 0) * 2048);
    at += 32;
  }
  return new MemoryBlockBackend("disc", bytes, { sectorBytes: 2048, readOnly: true });
}
