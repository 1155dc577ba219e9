import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import { sectorIndex } from "../../backends/api/index.ts";
import type { BlockBackend, FloppyLayout, FloppySector } from "../../backends/api/index.ts";

/** A disk in a drive: linear 512-byte sectors, cylinder by cylinder, head by head, unless `layout` says otherwise. */
export interface FloppyMedium {
  readonly backend: BlockBackend;
  readonly cylinders: number;
  readonly heads: number;
  readonly sectors: number;
  readonly layout?: FloppyLayout | undefined;
}

/** Bytes of a track that a sector takes beside its data: ID field, marks, gaps. */
const SECTOR_OVERHEAD = 100;

/** The last cylinder a drive's mechanics reach. */
const LAST_CYLINDER = 84;
/** Blocks of 512 bytes of the largest floppy, with room. */
const MAX_BLOCKS = 16384;

export const FLOPPY_DRIVE_STATE = shape.record({
  cylinder: shape.int(0, LAST_CYLINDER),
  changed: shape.flag,
  deleted: shape.list(shape.count, MAX_BLOCKS, 0),
});
export type FloppyDriveStateV1 = Shaped<typeof FLOPPY_DRIVE_STATE>;

/** One drive: head position, disk change latch, medium. Deleted data marks live in memory; images have no room for them. */
export class FloppyDrive {
  readonly installed: boolean;
  cylinder = 0;
  /** DSKCHG: set by a swap, cleared by a step pulse with a disk in. */
  changed = true;
  #medium: FloppyMedium | undefined;
  /** Image blocks of 512 bytes where a sector with a deleted-data mark begins. */
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

  #track(head: number): readonly FloppySector[] | undefined {
    return this.#medium?.layout?.track(this.cylinder, head);
  }

  /** How many sectors the track under `head` has. */
  sectorCount(head: number): number {
    return this.#track(head)?.length ?? this.#medium?.sectors ?? 0;
  }

  /** Place on the track (from 0, at the index hole) of the sector whose ID is `r`; -1: none. */
  find(head: number, r: number): number {
    const track = this.#track(head);
    if (track !== undefined) return sectorIndex(track, r);
    return r >= 1 && r <= (this.#medium?.sectors ?? 0) ? r - 1 : -1;
  }

  /** R of the ID field at a place. */
  idAt(head: number, index: number): number {
    const track = this.#track(head);
    return track === undefined ? index + 1 : (track[index]?.r ?? 0);
  }

  /** N of the ID field at a place: the sector has 128 << N bytes. */
  sizeCodeAt(head: number, index: number): number {
    const track = this.#track(head);
    return track === undefined ? 2 : (track[index]?.n ?? 2);
  }

  /** Where the image keeps the sector at a place. */
  #offset(head: number, index: number): number {
    const m = this.#medium;
    if (m === undefined) return 0;
    const sector = this.#track(head)?.[index];
    if (m.layout !== undefined) return this.cylinder * m.layout.cylinderBytes + (sector?.offset ?? 0);
    return ((this.cylinder * m.heads + head) * m.sectors + index) * 512;
  }

  /** Start and length of the sector at a place, in parts of a revolution. */
  #span(head: number, index: number): readonly [number, number] {
    const track = this.#track(head);
    if (track === undefined) {
      const sectors = this.#medium?.sectors ?? 18;
      return [(index % sectors) / sectors, 1 / sectors];
    }
    let before = 0;
    let own = 0;
    let all = 0;
    for (const [i, { n }] of track.entries()) {
      const bytes = (128 << n) + SECTOR_OVERHEAD;
      if (i < index) before += bytes;
      if (i === index) own = bytes;
      all += bytes;
    }
    return own === 0 ? [0, 1 / Math.max(1, track.length)] : [before / all, own / all];
  }

  /** Nanoseconds until the sector at a place has passed the head; the angle follows from the time alone. A place of -1 takes a revolution. */
  sectorDelayNs(head: number, index: number, nowNs: number, revolutionNs: number): number {
    if (index < 0) return revolutionNs;
    const [start, length] = this.#span(head, index);
    return Math.ceil(((start * revolutionNs - (nowNs % revolutionNs) + revolutionNs) % revolutionNs) + length * revolutionNs);
  }

  /** Nanoseconds that the sector at a place takes to pass. */
  sectorNs(head: number, index: number, revolutionNs: number): number {
    return Math.ceil(this.#span(head, Math.max(0, index))[1] * revolutionNs);
  }

  /** Place of the sector that passes the head now. */
  placeUnderHead(head: number, nowNs: number, revolutionNs: number): number {
    const count = this.sectorCount(head);
    const angle = (nowNs % revolutionNs) / revolutionNs;
    if (this.#medium?.layout === undefined) return Math.floor(angle * count) % Math.max(1, count);
    let index = 0;
    for (let i = 0; i < count; i++) if (this.#span(head, i)[0] <= angle) index = i;
    return index;
  }

  /** True when a formatted track passes under `head` at this data rate (0 500, 1 300, 2 250 kbit/s, 3 1 Mbit/s). */
  isReadable(head: number, rate: number): boolean {
    const m = this.#medium;
    if (m === undefined || this.cylinder >= m.cylinders || head >= m.heads) return false;
    if (m.sectors <= 10) return rate === 1 || rate === 2;
    return m.sectors <= 24 ? rate === 0 : rate === 3;
  }

  /** Reads the sector at a place; `into` is as long as the sector. */
  read(head: number, index: number, into: Uint8Array): boolean {
    const b = this.#medium?.backend;
    const offset = this.#offset(head, index);
    return b !== undefined && offset + into.length <= b.sizeBytes && b.read(offset, into);
  }

  write(head: number, index: number, from: Uint8Array, deleted: boolean): boolean {
    const b = this.#medium?.backend;
    const offset = this.#offset(head, index);
    if (b === undefined || offset + from.length > b.sizeBytes || !b.write(offset, from)) return false;
    if (deleted) this.#deleted.add(offset / 512);
    else this.#deleted.delete(offset / 512);
    return true;
  }

  isDeleted(head: number, index: number): boolean {
    return this.#deleted.has(this.#offset(head, index) / 512);
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
