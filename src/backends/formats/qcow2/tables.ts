import { viewOf } from "../be.ts";
import type { ByteFile } from "../byte-file.ts";

/** A table of one cluster (L2 table or refcount block) in memory. */
export interface Table {
  readonly offset: number;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  dirty: boolean;
}

/** The tables in use, least recently used first; bounded. What is dirty leaves only through `makeRoom`. */
export class TableCache {
  readonly #file: ByteFile;
  readonly #tableBytes: number;
  readonly #capacity: number;
  readonly #tables = new Map<number, Table>();
  readonly #makeRoom: () => boolean;
  #last: Table | undefined;
  #dirty = 0;

  /** `makeRoom` is called when every table is dirty: it writes them back in its own order and answers false on an error. */
  constructor(file: ByteFile, tableBytes: number, budgetBytes: number, makeRoom: () => boolean) {
    this.#file = file;
    this.#tableBytes = tableBytes;
    this.#capacity = Math.max(4, Math.floor(budgetBytes / tableBytes));
    this.#makeRoom = makeRoom;
  }

  get hasDirty(): boolean {
    return this.#dirty > 0;
  }

  /** The table at `offset`; undefined on a host error, or when it is neither here nor in the file. */
  get(offset: number): Table | undefined {
    if (this.#last?.offset === offset) return this.#last;
    let table = this.#tables.get(offset);
    if (table === undefined) {
      if (offset >= this.#file.size) return undefined;
      const bytes = new Uint8Array(this.#tableBytes);
      if (!this.#evict() || !this.#file.read(offset, bytes)) return undefined;
      table = { offset, bytes, view: viewOf(bytes), dirty: false };
    } else {
      this.#tables.delete(offset);
    }
    this.#tables.set(offset, table);
    this.#last = table;
    return table;
  }

  /** A new, dirty table at `offset`; its content is `from` or zeros. */
  create(offset: number, from?: Uint8Array): Table | undefined {
    this.drop(offset);
    const bytes = from?.slice() ?? new Uint8Array(this.#tableBytes);
    if (!this.#evict()) return undefined;
    const table: Table = { offset, bytes, view: viewOf(bytes), dirty: false };
    this.#tables.set(offset, table);
    this.#last = table;
    this.touch(table);
    return table;
  }

  /** The table was changed. */
  touch(table: Table): void {
    if (table.dirty) return;
    table.dirty = true;
    this.#dirty++;
  }

  /** Forgets a table whose cluster is no table any more. */
  drop(offset: number): void {
    const table = this.#tables.get(offset);
    if (table === undefined) return;
    if (table.dirty) this.#dirty--;
    this.#tables.delete(offset);
    if (this.#last === table) this.#last = undefined;
  }

  writeBack(): boolean {
    if (this.#dirty === 0) return true;
    for (const table of this.#tables.values()) {
      if (!table.dirty) continue;
      if (!this.#file.write(table.offset, table.bytes)) return false;
      table.dirty = false;
      this.#dirty--;
    }
    return true;
  }

  #evict(): boolean {
    if (this.#tables.size < this.#capacity) return true;
    if (this.#dirty === this.#tables.size && !this.#makeRoom()) return false;
    for (const [offset, table] of this.#tables) {
      if (table.dirty) continue;
      this.#tables.delete(offset);
      if (this.#last === table) this.#last = undefined;
      return true;
    }
    return false;
  }
}
