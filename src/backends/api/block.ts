import { checkArguments, checkOptions, kinds, shape } from "../../base/index.ts";
import type { OptionTable } from "../../base/index.ts";

const { bytes: byteArray, choice, flag, text } = kinds;

/**
 * A disk, floppy or CD image seen as bytes. Synchronous: the BIOS and device models answer inside a VM exit.
 * Offsets and lengths are in bytes; the caller keeps them inside `sizeBytes` and multiples of `sectorBytes`.
 */
export interface BlockBackend {
  /** What messages call it (a file name, "demo"). */
  readonly name: string;
  readonly sizeBytes: number;
  /** 512, or 2048 for CD media. */
  readonly sectorBytes: 512 | 2048;
  readonly readOnly: boolean;
  /** Fills `into` from `offset`. Returns false on a host I/O error (the guest sees a medium error). */
  read(offset: number, into: Uint8Array): boolean;
  /** Writes `from` at `offset`. Returns false on a host I/O error or when `readOnly`. */
  write(offset: number, from: Uint8Array): boolean;
  /** Makes every completed write durable. Returns false on a host I/O error. */
  flush(): boolean;
  /** Optional hint that the range is no longer needed; what it reads afterwards is undefined. False on a host I/O error. */
  discard?(offset: number, length: number): boolean;
  /** Optional, cheaper than writing: the range reads as zeros afterwards. False on a host I/O error or when `readOnly`. */
  writeZeroes?(offset: number, length: number): boolean;
  /**
   * Optional: says of which content this is, as far as the host can tell cheaply (size and time of the last change): the same text, the same
   * content. Snapshots remember it.
   */
  identity?(): string;
  /** Optional: what the disk holds in memory only, for a snapshot; and back. The file below is not part of it. */
  saveState?(): unknown;
  /** `record` is unchecked; `at` names it in messages. */
  loadState?(record: unknown, at: string): void;
  close(): void;
}

interface MemoryBlockOptions {
  readonly sectorBytes?: 512 | 2048;
  readonly readOnly?: boolean;
}
const MEMORY_OPTIONS: OptionTable<MemoryBlockOptions> = { sectorBytes: choice([512, 2048]), readOnly: flag };

/** A disk in memory: tests, the demo disk, browser uploads. Owns `bytes`. */
export class MemoryBlockBackend implements BlockBackend {
  readonly name: string;
  readonly sectorBytes: 512 | 2048;
  readonly readOnly: boolean;
  readonly bytes: Uint8Array;
  constructor(name: string, bytes: Uint8Array, options: MemoryBlockOptions = {}) {
    checkArguments("MemoryBlockBackend()", ["name", text(), name], ["bytes", byteArray, bytes]);
    checkOptions("MemoryBlockBackend()", MEMORY_OPTIONS, options, "API_ARGUMENT", "{ readOnly: true }");
    this.name = name;
    this.bytes = bytes;
    this.sectorBytes = options.sectorBytes ?? 512;
    this.readOnly = options.readOnly ?? false;
  }
  get sizeBytes(): number {
    return this.bytes.length;
  }
  read(offset: number, into: Uint8Array): boolean {
    if (offset < 0 || offset + into.length > this.bytes.length) return false;
    into.set(this.bytes.subarray(offset, offset + into.length));
    return true;
  }
  write(offset: number, from: Uint8Array): boolean {
    if (this.readOnly || offset < 0 || offset + from.length > this.bytes.length) return false;
    this.bytes.set(from, offset);
    return true;
  }
  flush(): boolean {
    return true;
  }
  saveState(): unknown {
    return { v: 1, bytes: this.bytes };
  }
  loadState(record: unknown, at: string): void {
    this.bytes.set(shape.record({ bytes: shape.bytes(this.bytes.length) })(record, at).bytes);
  }
  close(): void {}
}
