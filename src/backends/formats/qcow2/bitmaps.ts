import { be64, viewOf } from "../be.ts";
import { BITMAPS_EXTENSION, serializeHeader } from "./header.ts";
import type { Qcow2Header } from "./header.ts";
import { bitmapDirectory } from "./snapshots.ts";
import type { Qcow2Store } from "./store.ts";

const MAX_DIRECTORY_BYTES = 1024 * 1024;
const MAX_TABLE_BYTES = 32 * 1024 * 1024;

/** Calls `visit` with every range of the file that the image's bitmaps use. False when the structures are damaged or unreadable. */
export function visitBitmaps(store: Pick<Qcow2Store, "file" | "header">, visit: (offset: number, bytes: number) => void): boolean {
  const directory = bitmapDirectory(store.header);
  if (directory === undefined) return true;
  const { file, header } = store;
  const clusterBytes = 2 ** header.clusterBits;
  if (directory.bytes > MAX_DIRECTORY_BYTES || directory.offset % clusterBytes !== 0 || directory.offset + directory.bytes > file.size + clusterBytes)
    return false;
  const bytes = new Uint8Array(directory.bytes);
  if (!file.read(directory.offset, bytes)) return false;
  visit(directory.offset, directory.bytes);
  const view = viewOf(bytes);
  for (let at = 0; at + 24 <= bytes.length; ) {
    const tableOffset = be64(view, at);
    const entries = view.getUint32(at + 8);
    const nameBytes = view.getUint16(at + 18);
    const extraBytes = view.getUint32(at + 20);
    if (entries * 8 > MAX_TABLE_BYTES || tableOffset % clusterBytes !== 0 || tableOffset + entries * 8 > file.size + clusterBytes) return false;
    visit(tableOffset, entries * 8);
    const table = new Uint8Array(entries * 8);
    if (!file.read(tableOffset, table)) return false;
    const tableView = viewOf(table);
    for (let i = 0; i < entries; i++) {
      const offset = (tableView.getUint32(i * 8) & 0x00ffffff) * 2 ** 32 + ((tableView.getUint32(i * 8 + 4) & 0xfffffe00) >>> 0);
      if (offset === 0) continue;
      if (offset % clusterBytes !== 0 || offset >= file.size) return false;
      visit(offset, clusterBytes);
    }
    at += Math.ceil((24 + extraBytes + nameBytes) / 8) * 8;
  }
  return true;
}

/**
 * Before the first change of an image: clears the auto-clear feature bits, and takes dirty bitmaps out, which would no longer say what has changed.
 * The order keeps every state in between consistent: bits off, extension out of the header, clusters given back.
 */
export function dropBitmaps(store: Qcow2Store): boolean {
  const old = store.header;
  if (old.version < 3) return true;
  const bitmaps = bitmapDirectory(old) !== undefined;
  if (old.autoclear === 0n && !bitmaps) return true;
  const ranges: { readonly offset: number; readonly bytes: number }[] = [];
  // Bitmaps that were inconsistent before may share clusters with anything: those are left to leak.
  const consistent = (old.autoclear & 1n) === 1n && bitmaps && visitBitmaps(store, (offset, bytes) => ranges.push({ offset, bytes }));
  if (old.autoclear !== 0n && !store.patchHeader64(88, 0)) return false;
  const header: Qcow2Header = { ...old, autoclear: 0n, extensions: old.extensions.filter((e) => e.type !== BITMAPS_EXTENSION) };
  if (bitmaps) {
    const keep = new Uint8Array(old.headerBytes);
    if (!store.file.read(0, keep)) return false;
    const bytes = serializeHeader(header, keep);
    if (bytes === undefined || !store.patchHeader(0, bytes)) return false;
  }
  store.header = header;
  if (!consistent) return true;
  for (const range of ranges) if (range.bytes > 0) store.release(range.offset, Math.ceil(range.bytes / store.clusterBytes));
  return true;
}
