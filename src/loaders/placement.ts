import { VmmError } from "../base/index.ts";
import type { MemoryRow, Piece } from "./api.ts";

const FOUR_GB = 0x100000000;
/** The BIOS owns what lies below: vectors, data area, boot sector's place. */
const FIRST_FREE = 0x1000;

const mib = (bytes: number): string => `${Math.ceil(bytes / 0x100000)} MiB`;

/** Where things may go: RAM below 4 GiB by the firmware's map, less what was put there. */
export class Placement {
  readonly #name: string;
  readonly #ram: readonly { readonly start: number; readonly end: number }[];
  readonly #taken: { readonly start: number; readonly end: number }[] = [];
  readonly pieces: Piece[] = [];

  /** `name`: the kernel file, for messages. */
  constructor(name: string, map: readonly MemoryRow[]) {
    this.#name = name;
    this.#ram = map
      .filter((r) => r.type === 1 && r.start < FOUR_GB)
      .map((r) => ({ start: Math.max(r.start, FIRST_FREE), end: Math.min(r.start + r.length, FOUR_GB) }));
  }

  /** Puts bytes at a place they ask for; `what` names them in the error when there is no RAM. */
  put(what: string, gpa: number, bytes: Uint8Array, zeroBytes = 0): void {
    this.reserve(what, gpa, bytes.length + zeroBytes);
    this.pieces.push({ gpa, bytes, zeroBytes });
  }

  /** Whether a range is RAM that nobody has taken. */
  isFree(start: number, length: number): boolean {
    const end = start + length;
    return this.#ram.some((r) => r.start <= start && end <= r.end) && !this.#taken.some((t) => start < t.end && t.start < end);
  }

  /** Keeps others out of a range. */
  reserve(what: string, start: number, length: number): void {
    const end = start + length;
    if (!this.#ram.some((r) => r.start <= start && end <= r.end)) {
      throw new VmmError(
        "KERNEL_MEMORY",
        `${this.#name}: ${what} wants ${hex(start)}-${hex(end - 1)}, where this machine has no free RAM; more --mem?`,
      );
    }
    const other = this.#taken.find((t) => start < t.end && t.start < end);
    if (other !== undefined && length > 0) {
      throw new VmmError("KERNEL_FORMAT", `${this.#name}: ${what} at ${hex(start)} overlaps what lies at ${hex(other.start)}-${hex(other.end - 1)}`);
    }
    this.#taken.push({ start, end });
  }

  /** The lowest free place from `from` on (and below `to`). */
  low(what: string, length: number, align: number, from: number, to = FOUR_GB): number {
    let best: number | undefined;
    for (const r of this.#ram) {
      let at = Math.ceil(Math.max(r.start, from) / align) * align;
      const end = Math.min(r.end, to);
      for (;;) {
        const other = this.#taken.find((t) => at < t.end && t.start < at + length);
        if (other === undefined) break;
        at = Math.ceil(other.end / align) * align;
      }
      if (at + length <= end && (best === undefined || at < best)) best = at;
    }
    return best ?? this.#full(what, length);
  }

  /** The highest free place below `to`, page-aligned. */
  high(what: string, length: number, to: number): number {
    for (const r of [...this.#ram].sort((a, b) => b.end - a.end)) {
      let at = Math.floor((Math.min(r.end, to) - length) / 4096) * 4096;
      for (;;) {
        const other = this.#taken.find((t) => at < t.end && t.start < at + length);
        if (other === undefined) break;
        at = Math.floor((other.start - length) / 4096) * 4096;
      }
      if (at >= Math.max(r.start, 0x100000)) return at;
    }
    return this.#full(what, length);
  }

  #full(what: string, length: number): never {
    throw new VmmError("KERNEL_MEMORY", `${this.#name}: no room in RAM for ${what} (${mib(length)}); give the machine more with --mem`);
  }
}

export const hex = (n: number): string => n.toString(16).toUpperCase();
