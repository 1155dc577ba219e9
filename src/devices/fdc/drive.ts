import type { BlockBackend } from "../../backends/api/index.ts";

/** A disk in a drive: linear 512-byte sectors, cylinder by cylinder, head by head. */
export interface FloppyMedium {
  readonly backend: BlockBackend;
  readonly cylinders: number;
  readonly heads: number;
  readonly sectors: number;
}

/** The last cylinder a drive's mechanics reach. */
const LAST_CYLINDER = 84;

export interface FloppyDriveStateV1 {
  readonly cylinder: number;
  readonly changed: boolean;
  readonly deleted: readonly number[];
}

/** One drive: head position, disk change latch, medium. Deleted data marks live in memory; images have no room for them. */
export class FloppyDrive {
  readonly installed: boolean;
  cylinder = 0;
  /** DSKCHG: set by a swap, cleared by a step pulse with a disk in. */
  changed = true;
  #medium: FloppyMedium | undefined;
  readonly #deleted = new Set<number>();

  constructor(installed: boolean, medium: FloppyMedium | undefined) {
    this.installed = installed;
    this.#medium = medium;
  }

  get medium(): FloppyMedium | undefined {
    return this.#medium;
  }

  insert(medium: FloppyMedium | undefined): void {
    this.#medium = medium;
    this.#deleted.clear();
    this.changed = true;
  }

  /** Moves the head by step pulses. */
  stepTo(cylinder: number): void {
    const to = Math.max(0, Math.min(LAST_CYLINDER, cylinder));
    if (to !== this.cylinder && this.#medium !== undefined) this.changed = false;
    this.cylinder = to;
  }

  /** Nanoseconds until sector `r` (1-based) of the track has passed the head; the angle follows from the time alone. */
  sectorDelayNs(r: number, nowNs: number, revolutionNs: number): number {
    const sectors = this.#medium?.sectors ?? 18;
    const sectorNs = revolutionNs / sectors;
    const start = ((r - 1) % sectors) * sectorNs;
    return Math.ceil(((start - (nowNs % revolutionNs) + revolutionNs) % revolutionNs) + sectorNs);
  }

  /** The sector number that passes the head now. */
  sectorUnderHead(nowNs: number, revolutionNs: number): number {
    const sectors = this.#medium?.sectors ?? 1;
    return (Math.floor(((nowNs % revolutionNs) / revolutionNs) * sectors) % sectors) + 1;
  }

  /** True when a formatted track passes under `head` at this data rate (0 500, 1 300, 2 250 kbit/s, 3 1 Mbit/s). */
  isReadable(head: number, rate: number): boolean {
    const m = this.#medium;
    if (m === undefined || this.cylinder >= m.cylinders || head >= m.heads) return false;
    if (m.sectors <= 10) return rate === 1 || rate === 2;
    return m.sectors <= 24 ? rate === 0 : rate === 3;
  }

  /** Linear sector number on the current cylinder. */
  lba(head: number, sector: number): number {
    const m = this.#medium;
    return m === undefined ? 0 : (this.cylinder * m.heads + head) * m.sectors + sector - 1;
  }

  read(lba: number, into: Uint8Array): boolean {
    const b = this.#medium?.backend;
    return b !== undefined && (lba + 1) * 512 <= b.sizeBytes && b.read(lba * 512, into);
  }

  write(lba: number, from: Uint8Array, deleted: boolean): boolean {
    const b = this.#medium?.backend;
    if (b === undefined || (lba + 1) * 512 > b.sizeBytes || !b.write(lba * 512, from)) return false;
    if (deleted) this.#deleted.add(lba);
    else this.#deleted.delete(lba);
    return true;
  }

  isDeleted(lba: number): boolean {
    return this.#deleted.has(lba);
  }

  saveState(): FloppyDriveStateV1 {
    return { cylinder: this.cylinder, changed: this.changed, deleted: [...this.#deleted] };
  }

  loadState(s: FloppyDriveStateV1): void {
    this.cylinder = Math.max(0, Math.min(LAST_CYLINDER, s.cylinder));
    this.changed = s.changed;
    this.#deleted.clear();
    for (const lba of s.deleted) this.#deleted.add(lba);
  }
}
