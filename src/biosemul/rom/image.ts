import type { TrapStyle } from "../config.ts";
import { Assembler } from "./assembler.ts";
import { RomCode } from "./code.ts";
import type { TrapSite } from "./code.ts";
import { emitFixedData } from "./data.ts";
import { sumOf } from "../tables/bytes.ts";
import { ENTRY } from "./layout.ts";
import { defaultVectors } from "./vectors.ts";

/** A piece of data for the ROM: fonts, video tables, firmware tables. `offset` is in the F000 segment. */
export interface RomData {
  readonly name: string;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface RomOptions {
  readonly style: TrapStyle;
  /** 8x8 font, 256 characters of 8 bytes; the first 128 go to F000:FA6E. */
  readonly font8x8?: Uint8Array;
  readonly data?: readonly RomData[];
  /** BIOS date, mm/dd/yy. */
  readonly date?: string;
}

/** Sum of all bytes, four at a time: a whole ROM, most of it empty, is summed at every start. */
function sumOfWords(bytes: Uint8Array): number {
  let sum = 0;
  for (const word of new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2))
    if (word !== 0) sum += (word & 0xff) + ((word >>> 8) & 0xff) + ((word >>> 16) & 0xff) + (word >>> 24);
  return sum;
}

const NOT_A_TRAP = -1;
const RESUMED = 0x8000;

/** The ROM at F0000-FFFFF and the flat tables that say which of its addresses are traps. */
export class RomImage {
  readonly bytes: Uint8Array;
  readonly sites: readonly TrapSite[];
  /** ROM offset of each vector's first handler; -1: 0000:0000. */
  readonly vectors: Int32Array;
  readonly #assembler: Assembler;
  /** By offset: trap id, with bit 15 for the trap after the wait arm; -1 none. */
  readonly #trapAt = new Int32Array(0x10000).fill(NOT_A_TRAP);
  /** By offset of the trap: its wait arm (0: none) and where a finished call goes on. */
  readonly #waitAt = new Uint16Array(0x10000);
  readonly #doneAt = new Uint16Array(0x10000);

  constructor(options: RomOptions) {
    const a = new Assembler();
    const code = new RomCode(a, options.style);
    code.entries();
    code.routines();
    emitFixedData(a, options.font8x8, options.date ?? "01/01/26");
    for (const { offset, bytes } of options.data ?? []) a.org(offset).data(bytes);
    this.bytes = a.finish();
    this.vectors = defaultVectors(a);
    this.sites = code.sites;
    this.#assembler = a;
    this.#vectorSource();
    this.bytes[0xffff] = 0;
    this.#addToChecksum(sumOfWords(this.bytes));
    for (const site of code.sites) {
      this.#mark(site, site.offset);
      // An engine may report the RIP after the two-byte OUT.
      if (options.style === "port") this.#mark(site, site.offset + 2);
    }
  }

  #mark(site: TrapSite, offset: number): void {
    this.#trapAt[offset] = site.id | (site.resumed ? RESUMED : 0);
    this.#waitAt[offset] = site.wait;
    this.#doneAt[offset] = site.done;
  }
  /** FEF3: offsets of the handlers of INT 08h to 1Fh, as the IBM ROM keeps them. */
  #vectorSource(): void {
    for (let n = 8; n < 0x20; n++) {
      const offset = this.vectors[n] ?? 0;
      const at = ENTRY.VECTORS + (n - 8) * 2;
      this.bytes[at] = offset < 0 ? 0 : offset & 0xff;
      this.bytes[at + 1] = offset < 0 ? 0 : offset >>> 8;
    }
  }
  /** Makes the sum of all bytes zero again after bytes were added to it. */
  #addToChecksum(sum: number): void {
    this.bytes[0xffff] = (this.bytes[0xffff] ?? 0) - sum;
  }

  /** Offset of a label of the ROM code. */
  address(label: string): number {
    return this.#assembler.address(label);
  }
  /** Puts data into free (zero) space made at run time (tables that depend on the configuration); the checksum stays right. */
  place(offset: number, bytes: Uint8Array): void {
    this.#assembler.org(offset).data(bytes);
    this.#addToChecksum(sumOf(bytes));
  }

  /** Trap at a ROM offset: id, with bit 15 set for the one after the wait arm; -1 when no trap is there. */
  trapAt(offset: number): number {
    return this.#trapAt[offset & 0xffff] ?? NOT_A_TRAP;
  }
  /** The 32 bits at an offset. */
  word(offset: number): number {
    const { bytes } = this;
    const byte = (i: number): number => bytes[(offset + i) & 0xffff] ?? 0;
    return (byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24)) >>> 0;
  }
  waitArm(offset: number): number {
    return this.#waitAt[offset & 0xffff] ?? 0;
  }
  /** Where a call goes on whose service is done. */
  doneAt(offset: number): number {
    return this.#doneAt[offset & 0xffff] ?? 0;
  }
  /** Vector or trap id of the trap at a linear address in real mode (F0000-FFFFF or its alias below 4 GiB), or undefined. */
  vectorOfTrap(linear: number): number | undefined {
    const inRom = (linear >= 0xf0000 && linear <= 0xfffff) || linear >= 0xffff0000;
    if (!inRom) return undefined;
    const id = this.trapAt(linear & 0xffff);
    return id < 0 ? undefined : id & 0x7fff;
  }
}
